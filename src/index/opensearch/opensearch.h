#pragma once

/* An index in OpenSearch: a document for each place of a message, with the trigrams of its folded
 * texts, and one for each account that says how far it is complete. Many nodes may write it. */

#include "base/setting.h"
#include "index/index.h"

struct opensearch_options {
	const char *hosts;         /* "https://one:9200 https://two:9200" */
	const char *user;          /* NULL: none is told */
	const char *password_file; /* its first line */
	const char *ca_file;       /* NULL: the system's */
	const char *name;          /* what the names of its indexes and aliases begin with */
	uint64_t connect_ms;
	uint64_t search_ms;  /* for one question of a search */
	uint64_t write_ms;   /* for one write, its becoming visible included */
	uint64_t refresh_ms; /* how often what was written becomes visible */
	uint64_t shards, replicas;
	uint32_t rules;    /* search_texts_rules() */
	bool has_words;    /* can be asked for words too */
	bool has_attached; /* those of attachments too; with words only */
};

/* What the settings say; all but the rules. */
extern struct opensearch_options opensearch_config;
extern const struct setting opensearch_settings[];
extern const size_t opensearch_setting_count;

/* ERR_INVALID: it cannot be used. Nothing is sent: the service may come later. */
MUST_CHECK struct error *opensearch_open(
	struct op *op, const struct opensearch_options *options, struct index **ret_index);
