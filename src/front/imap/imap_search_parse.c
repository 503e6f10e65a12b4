#include <assert.h>

#include "format/charset.h"
#include "format/date.h"
#include "front/imap/imap_search.h"

enum argument {
	NO_ARGUMENT,
	TAKES_TEXT,
	TAKES_FIELD_AND_TEXT,
	TAKES_DATE,
	TAKES_NUMBER,
	TAKES_INTERVAL,
	TAKES_KEYWORD,
	TAKES_ID,
	TAKES_SET,
	TAKES_MODSEQ,
	TAKES_KEY,
	TAKES_TWO_KEYS,
	TAKES_FUZZY_KEY,
};

struct key {
	struct slice name;
	enum search_kind kind;
	enum argument argument;
	uint16_t flag;
	const char *field;
};

static const struct key keys[] = {
	{SLICE_INIT("ALL"), SEARCH_ALL, NO_ARGUMENT},
	{SLICE_INIT("ANSWERED"), SEARCH_FLAG, NO_ARGUMENT, FLAG_ANSWERED},
	{SLICE_INIT("BCC"), SEARCH_HEADER, TAKES_TEXT, 0, "Bcc"},
	{SLICE_INIT("BEFORE"), SEARCH_BEFORE, TAKES_DATE},
	{SLICE_INIT("BODY"), SEARCH_BODY, TAKES_TEXT},
	{SLICE_INIT("CC"), SEARCH_HEADER, TAKES_TEXT, 0, "Cc"},
	{SLICE_INIT("DELETED"), SEARCH_FLAG, NO_ARGUMENT, FLAG_DELETED},
	{SLICE_INIT("DRAFT"), SEARCH_FLAG, NO_ARGUMENT, FLAG_DRAFT},
	{SLICE_INIT("EMAILID"), SEARCH_EMAILID, TAKES_ID},
	{SLICE_INIT("FLAGGED"), SEARCH_FLAG, NO_ARGUMENT, FLAG_FLAGGED},
	{SLICE_INIT("FROM"), SEARCH_HEADER, TAKES_TEXT, 0, "From"},
	{SLICE_INIT("FUZZY"), SEARCH_ALL, TAKES_FUZZY_KEY},
	{SLICE_INIT("HEADER"), SEARCH_HEADER, TAKES_FIELD_AND_TEXT},
	{SLICE_INIT("KEYWORD"), SEARCH_KEYWORD, TAKES_KEYWORD},
	{SLICE_INIT("LARGER"), SEARCH_LARGER, TAKES_NUMBER},
	{SLICE_INIT("MODSEQ"), SEARCH_MODSEQ, TAKES_MODSEQ},
	{SLICE_INIT("NEW"), SEARCH_NEW, NO_ARGUMENT},
	{SLICE_INIT("NOT"), SEARCH_NOT, TAKES_KEY},
	{SLICE_INIT("OLD"), SEARCH_OLD, NO_ARGUMENT},
	{SLICE_INIT("OLDER"), SEARCH_OLDER, TAKES_INTERVAL},
	{SLICE_INIT("ON"), SEARCH_ON, TAKES_DATE},
	{SLICE_INIT("OR"), SEARCH_OR, TAKES_TWO_KEYS},
	{SLICE_INIT("RECENT"), SEARCH_RECENT, NO_ARGUMENT},
	{SLICE_INIT("SAVEDATESUPPORTED"), SEARCH_ALL, NO_ARGUMENT},
	{SLICE_INIT("SAVEDBEFORE"), SEARCH_SAVEDBEFORE, TAKES_DATE},
	{SLICE_INIT("SAVEDON"), SEARCH_SAVEDON, TAKES_DATE},
	{SLICE_INIT("SAVEDSINCE"), SEARCH_SAVEDSINCE, TAKES_DATE},
	{SLICE_INIT("SEEN"), SEARCH_FLAG, NO_ARGUMENT, FLAG_SEEN},
	{SLICE_INIT("SENTBEFORE"), SEARCH_SENTBEFORE, TAKES_DATE},
	{SLICE_INIT("SENTON"), SEARCH_SENTON, TAKES_DATE},
	{SLICE_INIT("SENTSINCE"), SEARCH_SENTSINCE, TAKES_DATE},
	{SLICE_INIT("SINCE"), SEARCH_SINCE, TAKES_DATE},
	{SLICE_INIT("SMALLER"), SEARCH_SMALLER, TAKES_NUMBER},
	{SLICE_INIT("SUBJECT"), SEARCH_HEADER, TAKES_TEXT, 0, "Subject"},
	{SLICE_INIT("TEXT"), SEARCH_TEXT, TAKES_TEXT},
	{SLICE_INIT("THREADID"), SEARCH_THREADID, TAKES_ID},
	{SLICE_INIT("TO"), SEARCH_HEADER, TAKES_TEXT, 0, "To"},
	{SLICE_INIT("UID"), SEARCH_UID, TAKES_SET},
	{SLICE_INIT("UNANSWERED"), SEARCH_NOFLAG, NO_ARGUMENT, FLAG_ANSWERED},
	{SLICE_INIT("UNDELETED"), SEARCH_NOFLAG, NO_ARGUMENT, FLAG_DELETED},
	{SLICE_INIT("UNDRAFT"), SEARCH_NOFLAG, NO_ARGUMENT, FLAG_DRAFT},
	{SLICE_INIT("UNFLAGGED"), SEARCH_NOFLAG, NO_ARGUMENT, FLAG_FLAGGED},
	{SLICE_INIT("UNKEYWORD"), SEARCH_NOKEYWORD, TAKES_KEYWORD},
	{SLICE_INIT("UNSEEN"), SEARCH_NOFLAG, NO_ARGUMENT, FLAG_SEEN},
	{SLICE_INIT("YOUNGER"), SEARCH_YOUNGER, TAKES_INTERVAL},
};

static enum search_cost cost_of(enum search_kind kind)
{
	switch ((int)kind) {
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
	case SEARCH_OLDER:
	case SEARCH_YOUNGER:
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
	case SEARCH_LARGER:
	case SEARCH_SMALLER:
	case SEARCH_EMAILID:
		return SEARCH_COSTS_ROW;
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return SEARCH_COSTS_SUMMARY;
	case SEARCH_HEADER:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return SEARCH_COSTS_CONTENT;
	default:
		return SEARCH_COSTS_NOTHING;
	}
}

static struct error *take_key(struct op *op, struct imap_args *args, struct search_request *request,
	struct search_node **ret_node);

static struct error *new_node(struct op *op, struct imap_args *args, struct search_request *request,
	enum search_kind kind, struct search_node **ret_node)
{
	if (++request->node_count > SEARCH_NODES_MAX)
		return imap_bad(op, args, "The search has too many keys");
	*ret_node = ARENA_NEW(&op->arena, struct search_node);
	(*ret_node)->kind = kind;
	(*ret_node)->cost = cost_of(kind);
	return NULL;
}

/* Cheap children first, so that the others are seldom asked. */
static void add_child(struct search_node *parent, struct search_node *child)
{
	struct search_node **at = &parent->first;
	while (*at && (*at)->cost <= child->cost)
		at = &(*at)->next;
	child->next = *at;
	*at = child;
	parent->cost = MAX_OF(parent->cost, child->cost);
}

unsigned imap_search_fields(const struct search_node *node)
{
	if (node->kind == SEARCH_HEADER)
		return 1U << text_field_of(node->field);
	return node->kind == SEARCH_BODY ? 1U << TEXT_BODY : INDEX_ALL_FIELDS;
}

/* RFC 6203 5: where nearness means nothing, a key is matched exactly; so are fields that are no
 * prose, and texts without words. */
static void take_words(struct op *op, struct search_node *node)
{
	struct search_words *words = ARENA_NEW(&op->arena, struct search_words);
	search_words_ask(&op->arena, node->text, words);
	if (words->count && (imap_search_fields(node) & SEARCH_WORDS_FIELDS))
		node->words = words;
}

/* What is looked for, folded as the messages will be. */
static struct error *take_text(struct op *op, struct imap_args *args,
	const struct search_request *request, struct search_node *node)
{
	struct slice text, utf8;
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &text));
	if (!charset_to_utf8(&op->arena, request->charset, text, &utf8))
		return op_fail(op, ERR_INVALID, "The text is not in its charset");
	node->text = utf8_fold(&op->arena, utf8);
	if (request->fuzzy_keys)
		take_words(op, node);
	return NULL;
}

static struct error *take_date(struct op *op, struct imap_args *args, struct search_node *node)
{
	struct slice text;
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &text));
	if (!date_parse_imap_day(text, &node->day))
		return imap_bad(op, args, "The date cannot be read");
	return NULL;
}

/* Seconds (RFC 5032 3) */
static struct error *take_interval(struct op *op, struct imap_args *args, struct search_node *node)
{
	uint32_t seconds;
	TRY(imap_space(op, args));
	TRY(imap_u32(op, args, &seconds));
	if (seconds == 0)
		return imap_bad(op, args, "An interval has at least a second");
	node->number = seconds;
	return NULL;
}

/* "MODSEQ "/flags/\\draft" all 620162338" (RFC 7162 3.1.5): per-flag values are not kept, so the
 * entry is passed over as the RFC allows. */
static struct error *take_modseq(struct op *op, struct imap_args *args,
	struct search_request *request, struct search_node *node)
{
	struct slice entry, type;
	TRY(imap_space(op, args));
	if (imap_next_is(args, '"')) {
		TRY(imap_string(op, args, &entry));
		TRY(imap_space(op, args));
		TRY(imap_atom(op, args, &type));
		TRY(imap_space(op, args));
	}
	request->uses_modseq = true;
	return imap_u64(op, args, &node->number);
}

static struct error *take_child(struct op *op, struct imap_args *args,
	struct search_request *request, struct search_node *parent)
{
	struct search_node *child;
	TRY(imap_space(op, args));
	TRY(take_key(op, args, request, &child));
	assert(child);
	add_child(parent, child);
	return NULL;
}

static struct error *take_argument(struct op *op, struct imap_args *args,
	struct search_request *request, enum argument argument, struct search_node *node)
{
	switch (argument) {
	case TAKES_FIELD_AND_TEXT:
		TRY(imap_space(op, args));
		TRY(imap_astring(op, args, &node->field));
		return take_text(op, args, request, node);
	case TAKES_TEXT:
		return take_text(op, args, request, node);
	case TAKES_DATE:
		return take_date(op, args, node);
	case TAKES_NUMBER:
		TRY(imap_space(op, args));
		return imap_u64(op, args, &node->number);
	case TAKES_INTERVAL:
		return take_interval(op, args, node);
	case TAKES_KEYWORD:
		TRY(imap_space(op, args));
		return imap_atom(op, args, &node->text);
	case TAKES_ID:
		TRY(imap_space(op, args));
		return imap_astring(op, args, &node->text);
	case TAKES_SET:
		TRY(imap_space(op, args));
		return imap_sequence(op, args, &node->sequence);
	case TAKES_MODSEQ:
		return take_modseq(op, args, request, node);
	case TAKES_KEY:
		return take_child(op, args, request, node);
	case TAKES_TWO_KEYS:
		TRY(take_child(op, args, request, node));
		return take_child(op, args, request, node);
	case NO_ARGUMENT:
	case TAKES_FUZZY_KEY:
	default:
		return NULL;
	}
}

/* "FUZZY" SP search-key (RFC 6203 3): it is a property of the keys within. */
static struct error *take_fuzzy_key(struct op *op, struct imap_args *args,
	struct search_request *request, struct search_node **ret_node)
{
	if (!args->has_fuzzy)
		return imap_bad(op, args, "FUZZY is not offered");
	TRY(imap_space(op, args));
	request->has_fuzzy = true;
	request->fuzzy_keys++;
	TRY(take_key(op, args, request, ret_node));
	request->fuzzy_keys--;
	return NULL;
}

static struct error *take_named_key(struct op *op, struct imap_args *args,
	struct search_request *request, struct search_node **ret_node)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!slice_equal_nocase(name, keys[i].name))
			continue;
		if (keys[i].argument == TAKES_FUZZY_KEY)
			return take_fuzzy_key(op, args, request, ret_node);
		TRY(new_node(op, args, request, keys[i].kind, ret_node));
		assert(*ret_node);
		(*ret_node)->flag = keys[i].flag;
		(*ret_node)->field = slice_from_cstr(keys[i].field);
		return take_argument(op, args, request, keys[i].argument, *ret_node);
	}
	return imap_bad(op, args, "There is no such search key");
}

static struct error *take_group(struct op *op, struct imap_args *args,
	struct search_request *request, struct search_node *parent)
{
	for (;;) {
		struct search_node *child;
		TRY(take_key(op, args, request, &child));
		assert(child);
		add_child(parent, child);
		if (imap_take_char(args, ')'))
			return NULL;
		TRY(imap_space(op, args));
	}
}

static struct error *take_key(struct op *op, struct imap_args *args, struct search_request *request,
	struct search_node **ret_node)
{
	*ret_node = NULL;
	if (++request->depth > IMAP_NESTING_MAX)
		return imap_bad(op, args, "The search is nested too deeply");
	if (imap_take_char(args, '(')) {
		TRY(new_node(op, args, request, SEARCH_AND, ret_node));
		TRY(take_group(op, args, request, *ret_node));
	} else if (args->rest.len && (ascii_is_digit(args->rest.ptr[0]) ||
					     imap_next_is(args, '*') || imap_next_is(args, '$'))) {
		TRY(new_node(op, args, request, SEARCH_SEQUENCE, ret_node));
		TRY(imap_sequence(op, args, &(*ret_node)->sequence));
	} else {
		TRY(take_named_key(op, args, request, ret_node));
	}
	assert(*ret_node);
	request->depth--;
	return NULL;
}

static const struct {
	struct slice name;
	unsigned bit;
} return_options[] = {
	{SLICE_INIT("MIN"), SEARCH_RETURN_MIN},
	{SLICE_INIT("MAX"), SEARCH_RETURN_MAX},
	{SLICE_INIT("ALL"), SEARCH_RETURN_ALL},
	{SLICE_INIT("COUNT"), SEARCH_RETURN_COUNT},
	{SLICE_INIT("SAVE"), SEARCH_RETURN_SAVE},
	{SLICE_INIT("PARTIAL"), SEARCH_RETURN_PARTIAL},
	{SLICE_INIT("UPDATE"), SEARCH_RETURN_UPDATE},
	{SLICE_INIT("CONTEXT"), SEARCH_RETURN_CONTEXT},
	{SLICE_INIT("RELEVANCY"), SEARCH_RETURN_RELEVANCY},
};

/* RFC 9394 3.1: one page a search. */
static struct error *take_page(
	struct op *op, struct imap_args *args, struct search_request *request)
{
	if (request->returns & SEARCH_RETURN_PARTIAL)
		return imap_bad(op, args, "PARTIAL was said twice");
	TRY(imap_space(op, args));
	return imap_page_range(op, args, &request->page);
}

/* "RETURN (MIN COUNT)" (RFC 4731, RFC 5182, RFC 9394, RFC 6203 4) */
struct error *imap_search_take_returns(
	struct op *op, struct imap_args *args, struct search_request *request)
{
	request->is_extended = true;
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "RETURN takes a list");
	for (bool first = true; !imap_take_char(args, ')'); first = false) {
		struct slice name;
		unsigned bit = 0;
		if (!first)
			TRY(imap_space(op, args));
		TRY(imap_atom(op, args, &name));
		for (size_t i = 0; i < ARRAY_SIZE(return_options); i++)
			if (slice_equal_nocase(name, return_options[i].name))
				bit = return_options[i].bit;
		if (!bit)
			return imap_bad(op, args, "There is no such RETURN option");
		if (bit == SEARCH_RETURN_PARTIAL)
			TRY(take_page(op, args, request));
		request->returns |= bit;
	}
	if ((request->returns & SEARCH_RETURN_PARTIAL) && (request->returns & SEARCH_RETURN_ALL))
		return imap_bad(op, args, "PARTIAL and ALL do not go together");
	return imap_space(op, args);
}

struct error *imap_search_take_charset(
	struct op *op, struct imap_args *args, struct search_request *request)
{
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &request->charset));
	request->has_charset = true;
	if (!charset_is_known(request->charset) || request->charset.len == 0) {
		args->no_code = SLICE("BADCHARSET (US-ASCII UTF-8)");
		return op_fail(op, ERR_INVALID, "The charset is not known");
	}
	return imap_space(op, args);
}

struct error *imap_search_parse_keys(
	struct op *op, struct imap_args *args, struct search_request *request)
{
	if (!request->has_charset && args->has_utf8)
		request->charset = SLICE("UTF-8");
	if ((request->returns &
		    ~(SEARCH_RETURN_UPDATE | SEARCH_RETURN_CONTEXT | SEARCH_RETURN_RELEVANCY)) == 0)
		request->returns |= SEARCH_RETURN_ALL;
	request->keys = args->rest;
	TRY(new_node(op, args, request, SEARCH_AND, &request->root));
	for (;;) {
		struct search_node *child;
		TRY(take_key(op, args, request, &child));
		assert(child);
		add_child(request->root, child);
		if (imap_at_end(args))
			break;
		TRY(imap_space(op, args));
	}
	if ((request->returns & SEARCH_RETURN_RELEVANCY) && !request->has_fuzzy)
		return imap_bad(op, args, "RELEVANCY goes with FUZZY");
	return NULL;
}

struct error *imap_search_parse(
	struct op *op, struct imap_args *args, struct search_request *ret_request)
{
	*ret_request = (struct search_request){0};
	TRY(imap_space(op, args));
	if (imap_take_word(args, SLICE("RETURN")))
		TRY(imap_search_take_returns(op, args, ret_request));
	if (imap_take_word(args, SLICE("CHARSET")))
		TRY(imap_search_take_charset(op, args, ret_request));
	return imap_search_parse_keys(op, args, ret_request);
}
