#pragma once

/* SORT and THREAD (RFC 5256, RFC 5957, RFC 5267, RFC 6203): what is wanted. Included only inside
 * front/imap.
 */

#include "front/imap/imap_search.h"

#define SORT_KEYS_MAX 20

enum sort_key {
	SORT_ARRIVAL,
	SORT_CC,
	SORT_DATE,
	SORT_DISPLAYFROM,
	SORT_DISPLAYTO,
	SORT_FROM,
	SORT_RELEVANCY,
	SORT_SIZE,
	SORT_SUBJECT,
	SORT_TO,
	SORT_KEY_COUNT,
};

enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES };

struct sort_request {
	struct search_request search; /* which messages */
	bool is_thread;
	enum thread_algorithm algorithm;
	struct {
		enum sort_key key;
		bool is_reverse;
	} keys[SORT_KEYS_MAX];
	size_t key_count;
};

MUST_CHECK struct error *imap_sort_parse(
	struct op *op, struct imap_args *args, struct sort_request *ret_request);
MUST_CHECK struct error *imap_thread_parse(
	struct op *op, struct imap_args *args, struct sort_request *ret_request);
