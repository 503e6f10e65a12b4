#include "front/imap/imap_sort.h"

#include <stdlib.h>

#include "base/clock.h"
#include "format/imap_string.h"
#include "format/thread.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_sort_keys.h"

#define PAGE_SIZE 200
/* What messages are sorted by is kept in memory meanwhile. */
#define SORTED_MOST 200000
#define KEPT_BYTES_MOST MIB(256)

struct item {
	uint32_t uid, number;
	unsigned score;
	struct sort_keys keys;
};

/* In the operation's arena, from step to step. */
struct sorting {
	struct sort_request request;
	struct search_run run;
	bool has_found; /* the search has ended */
	struct uid_cursor cursor;
	struct item *items;
	size_t count;
	uint64_t kept_bytes; /* of all texts of the items */
};

/* ---- What is known of the messages ---- */

static uint64_t bytes_of(const struct sort_keys *keys)
{
	uint64_t bytes = keys->message_id.len + keys->reference_count * sizeof(struct slice);
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		bytes += keys->texts[key].len;
	for (size_t i = 0; i < keys->reference_count; i++)
		bytes += keys->references[i].len;
	return bytes;
}

static struct error *add_item(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, uint32_t uid,
	const struct sort_keys *keys)
{
	sorting->items[sorting->count++] = (struct item){.uid = uid,
		.number = args->is_uid ? uid : imap_view_sequence(session->view, uid),
		.score = imap_search_score(&sorting->run, uid),
		.keys = *keys};
	sorting->kept_bytes += bytes_of(keys);
	if (sorting->kept_bytes > KEPT_BYTES_MOST)
		return op_fail(op, ERR_LIMIT, "Too much text to be sorted");
	return NULL;
}

/* Of those whose keys are not in memory. */
static struct error *read_items(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, unsigned wanted,
	const struct uid_set *uids)
{
	struct message *rows;
	size_t count;
	if (uid_set_is_empty(uids))
		return NULL;
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox, uids,
		&rows, &count));
	for (size_t i = 0; i < count; i++) {
		struct sort_keys keys;
		TRY(sort_keys_read(op, session, &rows[i], wanted, &keys));
		TRY(add_item(op, session, args, sorting, rows[i].uid, &keys));
	}
	return NULL;
}

/* The next page of what was found; *ret_more is false behind the last. */
static struct error *take_page(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, bool *ret_more)
{
	struct uid_set unknown;
	size_t asked = 0;
	uint32_t uid;
	unsigned wanted = sort_keys_wanted(&sorting->request);
	unsigned all = wanted; /* with what some are known by already */
	uid_set_init(&unknown, &op->arena);
	for (; asked < PAGE_SIZE && uid_cursor_next(sorting->run.result, &sorting->cursor, &uid);
		asked++) {
		struct sort_keys keys;
		if (sort_keys_find(&op->arena, session->mailbox, uid, wanted, &keys)) {
			TRY(add_item(op, session, args, sorting, uid, &keys));
			continue;
		}
		all |= keys.known;
		uid_set_add(&unknown, uid);
	}
	*ret_more = asked == PAGE_SIZE;
	TRY(read_items(op, session, args, sorting, all, &unknown));
	if (session_is_gone(session->session))
		return op_fail(op, ERR_CANCELLED, "The client is gone");
	return NULL;
}

static struct error *take_items(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, bool *ret_more)
{
	uint64_t until_ns = clock_monotonic_ns() + imap_progress_step_ns();
	if (!sorting->items) {
		uint64_t found = uid_set_size(sorting->run.result);
		if (found > SORTED_MOST)
			return op_fail(op, ERR_LIMIT, "Too many messages to be sorted");
		sorting->items = ARENA_ARRAY(&op->arena, struct item, found + 1);
	}
	do {
		TRY(take_page(op, session, args, sorting, ret_more));
	} while (*ret_more && clock_monotonic_ns() < until_ns);
	return NULL;
}

/* ---- SORT ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_by(enum sort_key key, const struct item *a, const struct item *b)
{
	if (key == SORT_ARRIVAL)
		return compare_numbers(
			a->keys.arrival_us / US_PER_S, b->keys.arrival_us / US_PER_S);
	if (key == SORT_SIZE)
		return compare_numbers(a->keys.size, b->keys.size);
	/* The highest comes first (RFC 6203 6). */
	if (key == SORT_RELEVANCY)
		return compare_numbers(b->score, a->score);
	if (key == SORT_DATE)
		return (a->keys.sent_at > b->keys.sent_at) - (a->keys.sent_at < b->keys.sent_at);
	return slice_compare(a->keys.texts[key], b->keys.texts[key]);
}

/* Whatever the keys leave open is in the order of sequence numbers (RFC 5256 3). */
static int compare_items(const void *a, const void *b, void *context)
{
	const struct sort_request *request = context;
	const struct item *x = a;
	const struct item *y = b;
	for (size_t i = 0; i < request->key_count; i++) {
		int order = compare_by(request->keys[i].key, x, y);
		if (order)
			return request->keys[i].is_reverse ? -order : order;
	}
	return compare_numbers(x->uid, y->uid);
}

static uint64_t highest_modseq(const struct snapshot *now, const struct item *items, size_t count)
{
	uint64_t modseq = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t position;
		struct snapshot_message message;
		if (snapshot_find(now, items[i].uid, &position, &message))
			modseq = MAX_OF(modseq, message.modseq);
	}
	return modseq;
}

/* "5,3:4,1": runs only where they go up. */
static void write_ordered(struct buf *out, const struct sorting *sorting)
{
	for (size_t i = 0; i < sorting->count;) {
		size_t end = i + 1;
		while (end < sorting->count &&
			sorting->items[end].number == sorting->items[end - 1].number + 1)
			end++;
		if (i)
			buf_append_char(out, ',');
		buf_decimal(out, sorting->items[i].number);
		if (end - i > 1) {
			buf_append_char(out, ':');
			buf_decimal(out, sorting->items[end - 1].number);
		}
		i = end;
	}
}

/* RFC 6203 6 */
static void write_scores(struct buf *out, const struct sorting *sorting)
{
	buf_append(out, SLICE(" RELEVANCY ("));
	for (size_t i = 0; i < sorting->count; i++)
		buf_printf(out, "%s%u", i ? " " : "", sorting->items[i].score);
	buf_append_char(out, ')');
}

/* RFC 5267 3: of MIN and MAX, the first and the last in the order asked for. */
static void write_extended(struct imap_session *session, const struct imap_args *args,
	const struct sorting *sorting, uint64_t modseq)
{
	struct buf *out = session->out;
	unsigned returns = sorting->request.search.returns;
	size_t count = sorting->count;
	buf_append(out, SLICE("* ESEARCH (TAG "));
	imap_print_string(out, args->tag);
	buf_append(out, args->is_uid ? SLICE(") UID") : SLICE(")"));
	if ((returns & SEARCH_RETURN_MIN) && count)
		buf_printf(out, " MIN %u", sorting->items[0].number);
	if ((returns & SEARCH_RETURN_MAX) && count)
		buf_printf(out, " MAX %u", sorting->items[count - 1].number);
	if (returns & SEARCH_RETURN_COUNT)
		buf_printf(out, " COUNT %zu", count);
	if ((returns & SEARCH_RETURN_ALL) && count) {
		buf_append(out, SLICE(" ALL "));
		write_ordered(out, sorting);
	}
	if ((returns & SEARCH_RETURN_RELEVANCY) && count)
		write_scores(out, sorting);
	if (sorting->request.search.uses_modseq && count)
		buf_printf(out, " MODSEQ %llu", (unsigned long long)modseq);
	buf_append(out, SLICE("\r\n"));
}

/* Of MIN and MAX alone, those two. False: all stay. */
static bool keep_ends(struct sorting *sorting)
{
	unsigned returns = sorting->request.search.returns;
	bool wants_min = returns & SEARCH_RETURN_MIN;
	bool wants_max = returns & SEARCH_RETURN_MAX;
	if (!sorting->count || imap_search_tells_of_all(returns))
		return false;
	const struct item first = sorting->items[0];
	const struct item last = sorting->items[sorting->count - 1];
	sorting->count = 0;
	if (wants_min)
		sorting->items[sorting->count++] = first;
	if (wants_max)
		sorting->items[sorting->count++] = last;
	return true;
}

static void save(struct op *op, struct imap_session *session, const struct sorting *sorting,
	bool has_ends_alone)
{
	struct uid_set ends;
	if (!has_ends_alone) {
		imap_view_save(session->view, sorting->run.result);
		return;
	}
	uid_set_init(&ends, &op->arena);
	for (size_t i = 0; i < sorting->count; i++)
		uid_set_add(&ends, sorting->items[i].uid);
	imap_view_save(session->view, &ends);
}

static void write_sort(struct op *op, struct imap_session *session, const struct imap_args *args,
	const struct snapshot *now, struct sorting *sorting)
{
	struct buf *out = session->out;
	unsigned returns = sorting->request.search.returns;
	qsort_r(sorting->items, sorting->count, sizeof(struct item), compare_items,
		&sorting->request);
	bool has_ends_alone = keep_ends(sorting);
	if (returns & SEARCH_RETURN_SAVE)
		save(op, session, sorting, has_ends_alone);
	/* RFC 5182 2.1: nothing else was asked for. */
	if (returns == SEARCH_RETURN_SAVE)
		return;
	uint64_t modseq = sorting->request.search.uses_modseq
				  ? highest_modseq(now, sorting->items, sorting->count)
				  : 0;
	if (sorting->request.search.is_extended) {
		write_extended(session, args, sorting, modseq);
		return;
	}
	buf_append(out, SLICE("* SORT"));
	for (size_t i = 0; i < sorting->count; i++) {
		buf_append_char(out, ' ');
		buf_decimal(out, sorting->items[i].number);
	}
	if (sorting->request.search.uses_modseq && sorting->count)
		buf_printf(out, " (MODSEQ %llu)", (unsigned long long)modseq);
	buf_append(out, SLICE("\r\n"));
}

/* ---- THREAD ---- */

static void write_thread(struct op *op, struct imap_session *session, struct sorting *sorting)
{
	struct buf *out = session->out;
	/* Those whose keys were in memory came first. */
	qsort_r(sorting->items, sorting->count, sizeof(struct item), compare_items,
		&sorting->request);
	struct thread_message *messages =
		ARENA_ARRAY(&op->arena, struct thread_message, sorting->count + 1);
	for (size_t i = 0; i < sorting->count; i++)
		messages[i] = (struct thread_message){.number = sorting->items[i].number,
			.sent_at = sorting->items[i].keys.sent_at,
			.subject = sorting->items[i].keys.texts[SORT_SUBJECT],
			.is_reply = sorting->items[i].keys.is_reply,
			.message_id = sorting->items[i].keys.message_id,
			.references = sorting->items[i].keys.references,
			.reference_count = sorting->items[i].keys.reference_count};
	buf_append(out, sorting->count ? SLICE("* THREAD ") : SLICE("* THREAD"));
	if (sorting->request.algorithm == THREAD_REFERENCES)
		thread_by_references(&op->arena, messages, sorting->count, out);
	else
		thread_by_subject(&op->arena, messages, sorting->count, out);
	buf_append(out, SLICE("\r\n"));
}

/* ---- The commands ---- */

static struct error *step(struct op *op, struct imap_session *session, struct imap_args *args,
	struct sorting *sorting)
{
	struct snapshot *now;
	struct error *err = NULL;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	if (!sorting->has_found) {
		err = imap_search_run(op, session, now, &sorting->run, &args->wants_more);
		sorting->has_found = !err && !args->wants_more;
	}
	if (!err && sorting->has_found)
		err = take_items(op, session, args, sorting, &args->wants_more);
	if (!err && !args->wants_more && sorting->request.is_thread)
		write_thread(op, session, sorting);
	else if (!err && !args->wants_more)
		write_sort(op, session, args, now, sorting);
	/* A search and a reading of keys: how far that is in all is not known. */
	if (!err && args->wants_more)
		imap_progress_tell(session, args, &sorting->run.progress, 0, 0);
	snapshot_unref(now);
	return err;
}

static struct error *go_on(struct op *op, struct imap_session *session, struct imap_args *args,
	struct error *(*parse)(
		struct op *op, struct imap_args *args, struct sort_request *ret_request))
{
	struct sorting *sorting = args->cursor;
	if (!sorting) {
		sorting = ARENA_NEW(&op->arena, struct sorting);
		TRY(parse(op, args, &sorting->request));
		TRY(imap_search_begin(op, session, args, &sorting->request.search, &sorting->run));
		args->cursor = sorting;
	}
	return step(op, session, args, sorting);
}

/* SORT (RFC 5256 3) */
IMAP_HANDLER(imap_sort)
{
	return go_on(op, session, args, imap_sort_parse);
}

/* THREAD (RFC 5256 3) */
IMAP_HANDLER(imap_thread)
{
	return go_on(op, session, args, imap_thread_parse);
}
