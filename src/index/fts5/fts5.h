#pragma once

/* An index in SQLite: FTS5 over the trigrams of folded text, one file an account. A file that is
 * missing, damaged or of other rules is made anew, empty. */

#include "index/index.h"

struct fts5_options {
	const char *folder; /* made if it is not there; copied */
	size_t open_files;  /* of accounts not in use just now */
	uint32_t rules;     /* search_texts_rules() */
	bool has_words;     /* can be asked for words too */
	bool has_attached;  /* those of attachments too; with words only */
};

MUST_CHECK struct error *fts5_open(
	struct op *op, const struct fts5_options *options, struct index **ret_index);

/* The file of an account, in the arena: for tests and the administrator. */
const char *fts5_path(struct arena *arena, const char *folder, struct account_id account);
