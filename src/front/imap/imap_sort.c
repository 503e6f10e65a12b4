#include "front/imap/imap_sort.h"

#include <stdlib.h>

#include "base/clock.h"
#include "format/base_subject.h"
#include "format/charset.h"
#include "format/encoded_word.h"
#include "format/envelope_texts.h"
#include "format/header.h"
#include "format/imap_string.h"
#include "format/thread.h"
#include "front/imap/imap_private.h"

#define PAGE_SIZE 200
/* What messages are sorted by is kept in memory meanwhile. */
#define SORTED_MOST 200000
#define KEPT_BYTES_MOST MIB(256)
/* Of one message; the last ones are the nearest. */
#define REFERENCES_MOST 100

struct item {
	uint32_t uid, number;
	uint64_t arrival_us, size;
	unsigned score;
	int64_t sent_at;
	struct slice texts[SORT_KEY_COUNT]; /* folded, for keys that are texts */
	bool is_reply;
	struct slice message_id;
	struct slice *references;
	size_t reference_count;
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

/* ---- What is known of a message ---- */

static bool wants(const struct sort_request *request, enum sort_key key)
{
	for (size_t i = 0; i < request->key_count; i++)
		if (request->keys[i].key == key)
			return true;
	return false;
}

static bool wants_summary(const struct sort_request *request)
{
	for (size_t i = 0; i < request->key_count; i++)
		if (request->keys[i].key != SORT_ARRIVAL && request->keys[i].key != SORT_SIZE &&
			request->keys[i].key != SORT_RELEVANCY)
			return true;
	return request->is_thread;
}

/* RFC 5957: the name that is shown, or the address where there is none. */
static struct slice display(struct arena *arena, const struct envelope_address *address)
{
	if (address->name.len)
		return address->name;
	if (!address->host.len)
		return address->local;
	return slice_from_cstr(arena_printf(arena, SLICE_FMT "@" SLICE_FMT,
		SLICE_ARG(address->local), SLICE_ARG(address->host)));
}

static void take_texts(
	struct op *op, const struct sort_request *request, struct slice envelope, struct item *item)
{
	struct envelope_texts texts;
	struct arena *arena = &op->arena;
	envelope_texts_read(arena, envelope, &texts);
	const struct slice known[SORT_KEY_COUNT] = {
		[SORT_SUBJECT] = base_subject(arena, texts.subject, &item->is_reply),
		[SORT_FROM] = texts.first_from.local,
		[SORT_TO] = texts.first_to.local,
		[SORT_CC] = texts.first_cc.local,
		[SORT_DISPLAYFROM] = display(arena, &texts.first_from),
		[SORT_DISPLAYTO] = display(arena, &texts.first_to),
	};
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		if (known[key].len && (wants(request, (enum sort_key)key) ||
					      (request->is_thread && key == SORT_SUBJECT)))
			item->texts[key] = utf8_fold(arena, known[key]);
}

static struct error *take_summary(struct op *op, struct imap_session *session,
	const struct sort_request *request, const struct message *row, struct item *item)
{
	struct message_summary summary;
	item->sent_at = (int64_t)(row->internal_date_us / US_PER_S);
	if (!wants_summary(request))
		return NULL;
	TRY(message_summary_get(op, session->store, row, &summary));
	if (summary.sent_at)
		item->sent_at = summary.sent_at;
	take_texts(op, request, summary.envelope, item);
	return NULL;
}

static struct slice field_of(struct slice header, struct slice name)
{
	struct header_field field;
	while (header_next(&header, &field))
		if (slice_equal_nocase(field.name, name))
			return field.value;
	return SLICE_NONE;
}

/* References, or else the first of In-Reply-To (RFC 5256 3). They are not in the summary. */
static struct error *take_references(
	struct op *op, struct imap_session *session, const struct message *row, struct item *item)
{
	struct slice header;
	struct slice *ids;
	size_t count;
	struct arena *arena = &op->arena;
	TRY(message_content(op, session->store, row, 0, row->header_length, &header));
	message_ids_read(arena, field_of(header, SLICE("Message-ID")), 1, &ids, &count);
	item->message_id = count ? ids[0] : SLICE_NONE;
	message_ids_read(arena, field_of(header, SLICE("References")), REFERENCES_MOST,
		&item->references, &item->reference_count);
	if (item->reference_count)
		return NULL;
	message_ids_read(arena, field_of(header, SLICE("In-Reply-To")), REFERENCES_MOST,
		&item->references, &item->reference_count);
	item->reference_count = MIN_OF(item->reference_count, 1);
	return NULL;
}

static struct error *take_item(struct op *op, struct imap_session *session,
	const struct imap_args *args, const struct sort_request *request, const struct message *row,
	struct item *item)
{
	*item = (struct item){.uid = row->uid,
		.number = args->is_uid ? row->uid : imap_view_sequence(session->view, row->uid),
		.arrival_us = row->internal_date_us,
		.size = row->size};
	TRY(take_summary(op, session, request, row, item));
	if (request->is_thread && request->algorithm == THREAD_REFERENCES)
		TRY(take_references(op, session, row, item));
	return NULL;
}

/* Copies them; returns how many bytes they are. */
static uint64_t keep_texts(struct arena *arena, struct item *item)
{
	uint64_t bytes = item->message_id.len + item->reference_count * sizeof(struct slice);
	struct slice *references = ARENA_ARRAY(arena, struct slice, item->reference_count + 1);
	for (int key = 0; key < SORT_KEY_COUNT; key++) {
		item->texts[key] = arena_dup(arena, item->texts[key]);
		bytes += item->texts[key].len;
	}
	item->message_id = arena_dup(arena, item->message_id);
	for (size_t i = 0; i < item->reference_count; i++) {
		references[i] = arena_dup(arena, item->references[i]);
		bytes += references[i].len;
	}
	item->references = references;
	return bytes;
}

/* Of all that is read of a message, only what it is sorted by stays. */
static struct error *add_item(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, const struct message *row)
{
	struct arena kept;
	struct arena_mark mark = arena_mark(&op->arena);
	struct item *item = &sorting->items[sorting->count];
	TRY(take_item(op, session, args, &sorting->request, row, item));
	item->score = imap_search_score(&sorting->run, row->uid);
	arena_init(&kept);
	keep_texts(&kept, item);
	arena_release(&op->arena, mark);
	sorting->kept_bytes += keep_texts(&op->arena, item);
	arena_done(&kept);
	sorting->count++;
	if (sorting->kept_bytes > KEPT_BYTES_MOST)
		return op_fail(op, ERR_LIMIT, "Too much text to be sorted");
	return NULL;
}

/* The next page of what was found; *ret_more is false behind the last. */
static struct error *take_page(struct op *op, struct imap_session *session,
	const struct imap_args *args, struct sorting *sorting, bool *ret_more)
{
	struct uid_set page;
	struct message *rows;
	size_t asked = 0, count;
	uint32_t uid;
	uid_set_init(&page, &op->arena);
	while (asked < PAGE_SIZE && uid_cursor_next(sorting->run.result, &sorting->cursor, &uid)) {
		uid_set_add(&page, uid);
		asked++;
	}
	*ret_more = asked == PAGE_SIZE;
	if (!asked)
		return NULL;
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox, &page,
		&rows, &count));
	for (size_t i = 0; i < count; i++)
		TRY(add_item(op, session, args, sorting, &rows[i]));
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
		return compare_numbers(a->arrival_us / US_PER_S, b->arrival_us / US_PER_S);
	if (key == SORT_SIZE)
		return compare_numbers(a->size, b->size);
	/* The highest comes first (RFC 6203 6). */
	if (key == SORT_RELEVANCY)
		return compare_numbers(b->score, a->score);
	if (key == SORT_DATE)
		return (a->sent_at > b->sent_at) - (a->sent_at < b->sent_at);
	return slice_compare(a->texts[key], b->texts[key]);
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

static void write_thread(struct op *op, struct imap_session *session, const struct sorting *sorting)
{
	struct buf *out = session->out;
	struct thread_message *messages =
		ARENA_ARRAY(&op->arena, struct thread_message, sorting->count + 1);
	for (size_t i = 0; i < sorting->count; i++)
		messages[i] = (struct thread_message){.number = sorting->items[i].number,
			.sent_at = sorting->items[i].sent_at,
			.subject = sorting->items[i].texts[SORT_SUBJECT],
			.is_reply = sorting->items[i].is_reply,
			.message_id = sorting->items[i].message_id,
			.references = sorting->items[i].references,
			.reference_count = sorting->items[i].reference_count};
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
