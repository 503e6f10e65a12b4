#pragma once

/* Inside index/opensearch only. */

#include <jansson.h>

#include "base/buf.h"
#include "base/sync.h"
#include "index/opensearch/opensearch.h"
#include "wire/http/http.h"

/* Raised when documents become others without the mapping becoming another. */
#define OPENSEARCH_FORMAT 1

extern const char opensearch_mapping[];
/* The last one is what is attached. */
extern const char *const opensearch_fields[TEXT_FIELD_COUNT + 1];

/* What the words of a field are called: "body_words". */
#define OPENSEARCH_WORDS "_words"

/* What is asked and what is made beside it differ in the account's own document only. */
struct opensearch;
struct opensearch_view {
	struct index index;
	struct opensearch *shared;
	bool is_beside;
};

struct opensearch {
	struct opensearch_view live, beside;
	struct http_client *http;
	char **hosts;
	size_t host_count;
	char *read_alias, *write_alias, *index_name;
	char *prefix;     /* of the names of all its indexes */
	char *definition; /* what an index is made with */
	uint64_t search_ms, write_ms;
	uint32_t rules;
	_Atomic size_t host; /* that answered last */
	_Atomic uint64_t
		silent_until_ns;   /* it did not answer: nobody waits for it again until then */
	_Atomic unsigned failures; /* in a row */
	_Atomic bool may_have_old; /* the read alias names an index of another making */
	_Atomic bool is_prepared;  /* the index and its aliases are there, as far as is known */
};

/* ---- call.c ---- */

struct opensearch_call {
	const char *method;
	const char *path; /* with its parameters, without a host */
	struct slice body;
	bool is_bulk;
	bool is_write;

	int status;
	struct slice answer;
};

/* Tries hosts and, where that is worth it, tries again. Any status below 500 but 429 is an answer,
 * not an error. ERR_UNAVAILABLE, ERR_TIMEOUT. */
MUST_CHECK struct error *opensearch_send(
	struct op *op, struct opensearch *shared, struct opensearch_call *call);

/* What an answer is that nobody expected. */
struct error *opensearch_refused(
	struct op *op, const struct opensearch_call *call, const char *what);

/* The index and its aliases, unless they are known to be there. */
MUST_CHECK struct error *opensearch_prepare(struct op *op, struct opensearch *shared);

/* ---- answer.c: what it says in JSON; anybody may have said it ---- */

/* The document of an account. */
struct opensearch_progress {
	bool found;
	uint64_t seq_no, primary_term; /* for the next change of it */
	struct index_state state;
};
MUST_CHECK struct error *opensearch_parse_progress(
	struct op *op, struct slice answer, struct opensearch_progress *ret_progress);

/* Ascending entries. Those that tell of being written after `last` are altered. ERR_UNAVAILABLE:
 * not all of it was searched. */
MUST_CHECK struct error *opensearch_parse_hits(struct op *op, struct slice answer, uint64_t last,
	struct index_entry **ret_entries, size_t *ret_count);

/* Of opensearch_held_query. */
MUST_CHECK struct error *opensearch_parse_held(
	struct op *op, struct slice answer, struct index_held *ret_held);

/* The same of opensearch_word_query for so many words. */
MUST_CHECK struct error *opensearch_parse_ranking(struct op *op, struct slice answer, size_t words,
	struct index_hit **ret_hits, size_t *ret_count);

/* How many documents match, and how many there are at all, of a question for no hits. */
MUST_CHECK struct error *opensearch_parse_total(
	struct op *op, struct slice answer, uint64_t *ret_total);

/* ERR_UNAVAILABLE: a part of it was not done. */
MUST_CHECK struct error *opensearch_parse_bulk(struct op *op, struct slice answer);

/* ---- query.c ---- */

/* As a JSON string. Broken UTF-8 becomes U+FFFD. */
void opensearch_put_text(struct buf *out, struct slice text);
void opensearch_put_uuid(struct buf *out, struct uuid id);

/* What all documents of a generation are found by; ends within an array of filters. */
void opensearch_put_filters(struct buf *out, struct account_id account, uint64_t generation,
	const struct mailbox_id *mailbox);

/* Which places: all, those that may have what was asked, those whose attachments are owed, or were
 * given up. */
enum opensearch_places { PLACES_ALL, PLACES_FOUND, PLACES_OWED, PLACES_GIVEN_UP };

/* Ends an array of filters. */
void opensearch_put_attached(struct buf *out, enum opensearch_places places);

/* Places from this UID on; with a query those that may have what was asked. */
struct slice opensearch_query(struct arena *arena, struct account_id account, uint64_t generation,
	struct mailbox_id mailbox, enum opensearch_places places, const struct index_query *query,
	uint32_t from, size_t most);

/* How many places below this UID there are, the sum of their UIDs, and how many of them were
 * written after the account's document. */
struct slice opensearch_held_query(struct arena *arena, struct account_id account,
	const struct opensearch_progress *progress, struct mailbox_id mailbox, uint32_t below);

/* Places in any mailbox that were written after the account's document. */
struct slice opensearch_newer_query(
	struct arena *arena, struct account_id account, const struct opensearch_progress *progress);

/* Places from this UID on that have these words, or may, with their scores. */
struct slice opensearch_word_query(struct arena *arena, struct account_id account,
	uint64_t generation, const struct index_word_query *query, uint32_t from, size_t most);

/* A score is so much for each percent that a word is alike, and less than what BM25 adds to it. */
#define OPENSEARCH_SCORE_OF_PERCENT 1000
#define OPENSEARCH_SCORE_STEP (10 * OPENSEARCH_SCORE_OF_PERCENT)

const char *opensearch_progress_path(
	struct arena *arena, const struct opensearch_view *view, struct account_id account);

/* ---- write.c ---- */

MUST_CHECK struct error *opensearch_apply(struct index *index, struct op *op,
	struct account_id account, const struct index_batch *batch);
MUST_CHECK struct error *opensearch_drop(
	struct index *index, struct op *op, struct account_id account);
MUST_CHECK struct error *opensearch_swap(
	struct index *index, struct op *op, struct account_id account);
MUST_CHECK struct error *opensearch_settle(struct index *index, struct op *op);

/* ---- opensearch.c ---- */

MUST_CHECK struct error *opensearch_read_progress(struct op *op, const char *alias,
	const struct opensearch_view *view, struct account_id account,
	struct opensearch_progress *ret_progress);
