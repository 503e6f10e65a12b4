#include <assert.h>

#include "base/clock.h"
#include "format/charset.h"
#include "format/date.h"
#include "format/encoded_word.h"
#include "format/envelope.h"
#include "format/find_text.h"
#include "format/header.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_search.h"

struct matcher {
	struct op *op;
	struct imap_session *session;
	struct search_message *message;
};

static struct error *matches(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches);

static struct error *read_header(struct matcher *matcher)
{
	struct search_message *message = matcher->message;
	if (message->has_header)
		return NULL;
	if (message->has_bytes)
		message->header = slice_range(message->bytes, 0, message->row->header_length);
	else
		TRY(message_content(matcher->op, matcher->session->store, message->row, 0,
			message->row->header_length, &message->header));
	message->has_header = true;
	return NULL;
}

static struct error *read_bytes(struct matcher *matcher)
{
	struct search_message *message = matcher->message;
	if (message->has_bytes)
		return NULL;
	TRY(message_content(
		matcher->op, matcher->session->store, message->row, 0, SIZE_MAX, &message->bytes));
	message->has_bytes = true;
	return NULL;
}

static bool field_contains(struct arena *arena, struct slice value, struct slice needle)
{
	return utf8_contains(arena, encoded_words_decode(arena, value), needle);
}

/* Some field of this name holds the text; an empty text asks for the field alone. */
static struct error *match_field(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	struct header_field field;
	TRY(read_header(matcher));
	struct slice rest = matcher->message->header;
	*ret_matches = false;
	while (!*ret_matches && header_next(&rest, &field))
		*ret_matches = slice_equal_nocase(field.name, node->field) &&
			       field_contains(&matcher->op->arena, field.value, node->text);
	return NULL;
}

/* Every text in the message, decoded; not what is attached as something else. */
static struct error *match_body(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	TRY(read_bytes(matcher));
	*ret_matches = body_contains(&matcher->op->arena, matcher->message->bytes, node->text);
	return NULL;
}

static struct error *match_text(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	TRY(read_header(matcher));
	*ret_matches = header_contains(&matcher->op->arena, matcher->message->header, node->text);
	return *ret_matches ? NULL : match_body(matcher, node, ret_matches);
}

/* By the day the sender's calendar showed (RFC 9051 6.4.4). */
static struct error *match_sent(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	struct search_message *message = matcher->message;
	struct date date;
	if (!message->has_summary)
		TRY(message_summary_get(
			matcher->op, matcher->session->store, message->row, &message->summary));
	message->has_summary = true;
	*ret_matches = false;
	if (!envelope_date(message->summary.envelope, &date))
		return NULL;
	int64_t day = date_local_day(date);
	*ret_matches = node->kind == SEARCH_SENTBEFORE ? day < node->day
		       : node->kind == SEARCH_SENTON   ? day == node->day
						       : day >= node->day;
	return NULL;
}

static bool has_keyword(const struct search_message *message, struct slice name)
{
	const struct keyword_names *names = snapshot_keyword_names(message->snapshot);
	const struct keyword_set *set = snapshot_keywords(message->snapshot, &message->at);
	int bit = keyword_names_find(names, name);
	return set && bit >= 0 && keyword_set_has(set, (unsigned)bit);
}

static bool match_id(const struct search_message *message, struct slice text)
{
	char id[UUID_TEXT_LENGTH + 2] = "M";
	uuid_format(&message->row->id.uuid, id + 1);
	return slice_equal(slice_from_cstr(id), text);
}

static int64_t day_of(uint64_t us)
{
	return (int64_t)(us / US_PER_S / DATE_DAY_SECONDS);
}

/* Keys that need no more than the snapshot and the row. */
static bool match_simple(const struct matcher *matcher, const struct search_node *node)
{
	const struct search_message *message = matcher->message;
	const struct message *row = message->row;
	bool is_recent = message->at.uid >= matcher->session->view->recent_from;
	int64_t day = row ? day_of(row->internal_date_us) : 0;
	int64_t saved_day = row ? day_of(row->save_date_us) : 0;
	switch ((int)node->kind) {
	case SEARCH_ALL:
		return true;
	case SEARCH_SEQUENCE:
	case SEARCH_UID:
		return uid_set_contains(&node->uids, message->at.uid);
	case SEARCH_FLAG:
		return message->at.flags & node->flag;
	case SEARCH_NOFLAG:
		return !(message->at.flags & node->flag);
	case SEARCH_KEYWORD:
		return has_keyword(message, node->text);
	case SEARCH_NOKEYWORD:
		return !has_keyword(message, node->text);
	case SEARCH_RECENT:
		return is_recent;
	case SEARCH_NEW:
		return is_recent && !(message->at.flags & FLAG_SEEN);
	case SEARCH_OLD:
		return !is_recent;
	case SEARCH_MODSEQ:
		return message->at.modseq >= node->number;
	case SEARCH_BEFORE:
		return day < node->day;
	case SEARCH_ON:
		return day == node->day;
	case SEARCH_SINCE:
		return day >= node->day;
	case SEARCH_OLDER:
		assert(row);
		return row->internal_date_us <= node->instant_us;
	case SEARCH_YOUNGER:
		assert(row);
		return row->internal_date_us >= node->instant_us;
	case SEARCH_SAVEDBEFORE:
		return saved_day < node->day;
	case SEARCH_SAVEDON:
		return saved_day == node->day;
	case SEARCH_SAVEDSINCE:
		return saved_day >= node->day;
	case SEARCH_LARGER:
		assert(row);
		return row->size > node->number;
	case SEARCH_SMALLER:
		assert(row);
		return row->size < node->number;
	case SEARCH_EMAILID:
		return match_id(message, node->text);
	default:
		/* THREADID: there are no threads, so nothing is in one. */
		return false;
	}
}

static struct error *match_children(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	bool is_or = node->kind == SEARCH_OR;
	*ret_matches = !is_or;
	for (const struct search_node *child = node->first; child; child = child->next) {
		TRY(matches(matcher, child, ret_matches));
		if (*ret_matches == is_or)
			return NULL;
	}
	return NULL;
}

/* The index says nothing of this message, so nothing of its attachments: whoever searches is told.
 */
static struct error *note_unread(struct matcher *matcher)
{
	struct search_message *message = matcher->message;
	TRY(read_bytes(matcher));
	message->has_unread |=
		search_may_owe(matcher->op, matcher->session->search, message->bytes);
	return NULL;
}

/* What the index says of words stands; where it says nothing, the message is taken to pieces as it
 * would have been for the index (RFC 6203 3). */
static struct error *match_fuzzy(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	unsigned score;
	struct search_message *message = matcher->message;
	if (!search_ranking_score(&node->ranking, message->at.uid, &score)) {
		TRY(read_bytes(matcher));
		score = search_score_message(matcher->op, message->bytes,
			message->row->header_length, imap_search_fields(node), node->words);
		if (!score && node->attached)
			TRY(note_unread(matcher));
	}
	*ret_matches = score > 0;
	message->score_sum += score;
	message->score_count += *ret_matches;
	return NULL;
}

/* What is found within has nothing to do with what is asked for. */
static struct error *match_not(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	struct search_message *message = matcher->message;
	unsigned sum = message->score_sum, count = message->score_count;
	TRY(matches(matcher, node->first, ret_matches));
	*ret_matches = !*ret_matches;
	message->score_sum = sum;
	message->score_count = count;
	return NULL;
}

/* A text that the index says is certainly not there is not looked for. */
static struct error *match_own(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	*ret_matches = false;
	if (search_is_left_out(&node->narrowing, matcher->message->at.uid))
		return NULL;
	return node->kind == SEARCH_HEADER ? match_field(matcher, node, ret_matches)
	       : node->kind == SEARCH_BODY ? match_body(matcher, node, ret_matches)
					   : match_text(matcher, node, ret_matches);
}

static struct error *match_words(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	unsigned score = 0;
	if (node->words)
		return match_fuzzy(matcher, node, ret_matches);
	bool is_known = !node->attached ||
			search_ranking_score(&node->ranking, matcher->message->at.uid, &score);
	*ret_matches = score > 0;
	if (!score)
		TRY(match_own(matcher, node, ret_matches));
	return is_known || *ret_matches ? NULL : note_unread(matcher);
}

/* Depth is bounded by the parser. */
static struct error *matches(
	struct matcher *matcher, const struct search_node *node, bool *ret_matches)
{
	switch ((int)node->kind) {
	case SEARCH_AND:
	case SEARCH_OR:
		return match_children(matcher, node, ret_matches);
	case SEARCH_NOT:
		return match_not(matcher, node, ret_matches);
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE:
		return match_sent(matcher, node, ret_matches);
	case SEARCH_HEADER:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return match_words(matcher, node, ret_matches);
	default:
		*ret_matches = match_simple(matcher, node);
		return NULL;
	}
}

struct error *imap_search_match(struct op *op, struct imap_session *session,
	const struct search_node *root, struct search_message *message, bool *ret_matches)
{
	struct matcher matcher = {op, session, message};
	return matches(&matcher, root, ret_matches);
}

/* ---- What is certain with nothing read ---- */

enum certainty { CERTAINLY_NOT, PERHAPS, CERTAINLY };

static enum certainty certainty(const struct matcher *matcher, const struct search_node *node);

static enum certainty certainty_of_children(
	const struct matcher *matcher, const struct search_node *node)
{
	bool is_or = node->kind == SEARCH_OR;
	enum certainty all = is_or ? CERTAINLY_NOT : CERTAINLY;
	for (const struct search_node *child = node->first; child; child = child->next) {
		enum certainty one = certainty(matcher, child);
		all = is_or ? MAX_OF(all, one) : MIN_OF(all, one);
	}
	return all;
}

static enum certainty certainty_of_words(
	const struct matcher *matcher, const struct search_node *node)
{
	unsigned score = 0;
	uint32_t uid = matcher->message->at.uid;
	bool is_ranked = node->words || node->attached;
	if (is_ranked && !search_ranking_score(&node->ranking, uid, &score))
		return PERHAPS;
	if (score)
		return CERTAINLY;
	bool is_not = node->words || search_is_left_out(&node->narrowing, uid);
	return is_not ? CERTAINLY_NOT : PERHAPS;
}

/* Depth is bounded by the parser. */
static enum certainty certainty(const struct matcher *matcher, const struct search_node *node)
{
	switch ((int)node->kind) {
	case SEARCH_AND:
	case SEARCH_OR:
		return certainty_of_children(matcher, node);
	case SEARCH_NOT:
		return CERTAINLY - certainty(matcher, node->first);
	case SEARCH_HEADER:
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return certainty_of_words(matcher, node);
	default:
		if (node->cost > SEARCH_COSTS_NOTHING)
			return PERHAPS;
		return match_simple(matcher, node) ? CERTAINLY : CERTAINLY_NOT;
	}
}

bool imap_search_may_match(const struct imap_session *session, const struct search_node *root,
	const struct search_message *message)
{
	/* Nothing is written to either. */
	struct matcher matcher = {NULL, (struct imap_session *)(uintptr_t)session,
		(struct search_message *)(uintptr_t)message};
	return certainty(&matcher, root) != CERTAINLY_NOT;
}
