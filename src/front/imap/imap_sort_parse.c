#include "front/imap/imap_sort.h"

static const struct slice key_names[SORT_KEY_COUNT] = {
	[SORT_ARRIVAL] = SLICE_INIT("ARRIVAL"),
	[SORT_CC] = SLICE_INIT("CC"),
	[SORT_DATE] = SLICE_INIT("DATE"),
	[SORT_DISPLAYFROM] = SLICE_INIT("DISPLAYFROM"),
	[SORT_DISPLAYTO] = SLICE_INIT("DISPLAYTO"),
	[SORT_FROM] = SLICE_INIT("FROM"),
	[SORT_RELEVANCY] = SLICE_INIT("RELEVANCY"),
	[SORT_SIZE] = SLICE_INIT("SIZE"),
	[SORT_SUBJECT] = SLICE_INIT("SUBJECT"),
	[SORT_TO] = SLICE_INIT("TO"),
};

/* "REVERSE DATE", "SUBJECT" */
static struct error *take_key(struct op *op, struct imap_args *args, struct sort_request *request)
{
	struct slice name;
	if (request->key_count == SORT_KEYS_MAX)
		return imap_bad(op, args, "There are too many sort keys");
	TRY(imap_atom(op, args, &name));
	bool is_reverse = slice_equal_nocase(name, SLICE("REVERSE"));
	if (is_reverse) {
		TRY(imap_space(op, args));
		TRY(imap_atom(op, args, &name));
	}
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		if (slice_equal_nocase(name, key_names[key])) {
			request->keys[request->key_count].key = (enum sort_key)key;
			request->keys[request->key_count++].is_reverse = is_reverse;
			return NULL;
		}
	return imap_bad(op, args, "There is no such sort key");
}

static struct error *take_keys(struct op *op, struct imap_args *args, struct sort_request *request)
{
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "The sort keys are a list");
	do {
		if (request->key_count)
			TRY(imap_space(op, args));
		TRY(take_key(op, args, request));
	} while (!imap_take_char(args, ')'));
	return NULL;
}

/* The charset must be said (RFC 5256 3). */
static struct error *take_search(
	struct op *op, struct imap_args *args, struct search_request *request)
{
	TRY(imap_search_take_charset(op, args, request));
	return imap_search_parse_keys(op, args, request);
}

struct error *imap_sort_parse(
	struct op *op, struct imap_args *args, struct sort_request *ret_request)
{
	*ret_request = (struct sort_request){0};
	TRY(imap_space(op, args));
	if (imap_take_word(args, SLICE("RETURN")))
		TRY(imap_search_take_returns(op, args, &ret_request->search));
	/* That would be CONTEXT=SORT. */
	if (ret_request->search.returns &
		(SEARCH_RETURN_PARTIAL | SEARCH_RETURN_UPDATE | SEARCH_RETURN_CONTEXT))
		return imap_bad(op, args, "PARTIAL and UPDATE are for SEARCH");
	TRY(take_keys(op, args, ret_request));
	TRY(take_search(op, args, &ret_request->search));
	for (size_t i = 0; i < ret_request->key_count; i++)
		if (ret_request->keys[i].key == SORT_RELEVANCY && !ret_request->search.has_fuzzy)
			return imap_bad(op, args, "RELEVANCY goes with FUZZY");
	return NULL;
}

struct error *imap_thread_parse(
	struct op *op, struct imap_args *args, struct sort_request *ret_request)
{
	struct slice name;
	*ret_request = (struct sort_request){.is_thread = true};
	TRY(imap_space(op, args));
	TRY(imap_atom(op, args, &name));
	if (slice_equal_nocase(name, SLICE("REFERENCES")))
		ret_request->algorithm = THREAD_REFERENCES;
	else if (!slice_equal_nocase(name, SLICE("ORDEREDSUBJECT")))
		return imap_bad(op, args, "There is no such way of threading");
	return take_search(op, args, &ret_request->search);
}
