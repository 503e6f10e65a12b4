#include "front/imap/imap_fetch.h"

#include "base/clock.h"
#include "front/imap/imap_private.h"

/* Rows are read by the page; the output is looked at behind each message. */
#define PAGE_SIZE 64
/* So many messages without a row are looked at once more. */
#define ROWLESS_MOST 16

struct fetch {
	struct fetch_request request;
	struct uid_set uids;            /* what is to be answered */
	struct uid_set seen;            /* what this command has made \Seen */
	struct uid_cursor cursor;       /* behind what is done */
	uint32_t next;                  /* UIDs below are done */
	bool misses_some;               /* sequence numbers of messages that are gone */
	bool has_unknown_encoding;      /* BINARY was asked of a part that has one */
	uint32_t rowless[ROWLESS_MOST]; /* UIDs in the snapshot, of which no row was found */
	size_t rowless_count;
};

static void add_changed(const struct snapshot *now, const struct fetch_request *request,
	const struct uid_set *there, struct uid_set *uids)
{
	struct uid_cursor cursor = {0};
	uint32_t uid, position;
	struct snapshot_message message;
	while (uid_cursor_next(there, &cursor, &uid))
		if (snapshot_find(now, uid, &position, &message) &&
			message.modseq > request->changed_since)
			uid_set_add(uids, uid);
}

/* Of what would be answered without it, the page alone (RFC 9394 3.3). */
static void keep_page(struct op *op, const struct imap_page *page, struct uid_set *uids)
{
	struct uid_set kept;
	struct uid_cursor cursor = {0};
	uint64_t from, to;
	uint32_t uid;
	imap_page_bounds(page, uid_set_size(uids), &from, &to);
	uid_set_init(&kept, &op->arena);
	for (uint64_t i = 0; i < to && uid_cursor_next(uids, &cursor, &uid); i++)
		if (i >= from)
			uid_set_add(&kept, uid);
	*uids = kept;
}

/* "VANISHED (EARLIER)" for UIDs asked about that are there no more. */
static struct error *write_vanished(struct op *op, struct imap_session *session,
	const struct fetch_request *request, struct snapshot *now)
{
	struct mailbox_changes changes;
	struct uid_set asked, vanished;
	TRY(mailbox_changes_since(op, session->store, session->mailbox_account, now,
		request->changed_since, &changes));
	uid_set_init(&asked, &op->arena);
	for (size_t i = 0; i < request->messages.count; i++) {
		struct uid_range range = request->messages.ranges[i];
		uint32_t first = range.first ? range.first : UINT32_MAX;
		uint32_t last = range.last ? range.last : UINT32_MAX;
		uid_set_add_range(&asked, MIN_OF(first, last), MAX_OF(first, last));
	}
	uid_set_intersect(&op->arena, &changes.vanished, &asked, &vanished);
	if (uid_set_is_empty(&vanished))
		return NULL;
	buf_append(session->out, SLICE("* VANISHED (EARLIER) "));
	imap_write_uid_set(session, &vanished);
	buf_append(session->out, SLICE("\r\n"));
	return NULL;
}

static struct error *choose_messages(struct op *op, struct imap_session *session,
	struct imap_args *args, struct snapshot *now, struct fetch *fetch)
{
	struct uid_set named;
	const struct fetch_request *request = &fetch->request;
	TRY(imap_view_uids(op, args, session->view, &request->messages, args->is_uid, &named));
	uid_set_init(&fetch->uids, &op->arena);
	if (request->has_changed_since)
		add_changed(now, request, &named, &fetch->uids);
	else
		fetch->uids = named;
	if (request->page.is_wanted)
		keep_page(op, &request->page, &fetch->uids);
	if (request->wants_vanished)
		TRY(write_vanished(op, session, request, now));
	return NULL;
}

/* Reading a body without PEEK makes it \Seen: one commit for the whole command. */
static struct error *set_seen(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct fetch *fetch)
{
	struct uid_cursor cursor = {0};
	uint32_t uid, position;
	struct snapshot_message message;
	struct uid_set unseen;
	uid_set_init(&unseen, &op->arena);
	while (uid_cursor_next(&fetch->uids, &cursor, &uid))
		if (snapshot_find(now, uid, &position, &message) && !(message.flags & FLAG_SEEN))
			uid_set_add(&unseen, uid);
	if (uid_set_is_empty(&unseen))
		return NULL;
	struct flag_change change = {.mode = FLAGS_ADD, .flags = FLAG_SEEN};
	struct flag_result result;
	op->only_shows = false;
	struct error *err = mailbox_change_flags(op, session->store, session->mailbox_account,
		session->mailbox, &unseen, &change, &result);
	op->only_shows = true;
	/* Refused, so certainly not set: what can be read is read all the same. */
	if (err && err->kind == ERR_UNAVAILABLE)
		return NULL;
	TRY(err);
	fetch->seen = result.changed;
	return NULL;
}

static struct error *begin(struct op *op, struct imap_session *session, struct imap_args *args,
	struct fetch **ret_fetch)
{
	struct fetch *fetch = ARENA_NEW(&op->arena, struct fetch);
	struct snapshot *now;
	TRY(imap_fetch_parse(op, args, &fetch->request));
	if (fetch->request.wants_vanished && !session->has_qresync)
		return imap_bad(op, args, "Enable QRESYNC first");
	if (fetch->request.has_changed_since || fetch->request.wants_modseq)
		imap_enable_condstore(session);
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	struct error *err = choose_messages(op, session, args, now, fetch);
	if (!err && fetch->request.sets_seen && !session->is_read_only &&
		(session->rights & RIGHT_SEEN))
		err = set_seen(op, session, now, fetch);
	snapshot_unref(now);
	if (err)
		return err;
	*ret_fetch = fetch;
	return NULL;
}

static void take_page(struct op *op, const struct fetch *fetch, struct uid_set *ret_page)
{
	struct uid_cursor cursor = fetch->cursor;
	uint32_t uid;
	uid_set_init(ret_page, &op->arena);
	for (size_t count = 0; count < PAGE_SIZE && uid_cursor_next(&fetch->uids, &cursor, &uid);
		count++)
		uid_set_add(ret_page, uid);
}

static const struct message *find_row(const struct message *rows, size_t count, uint32_t uid)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].uid == uid)
			return &rows[i];
	return NULL;
}

static struct error *write_one(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct fetch *fetch, const struct message *row, uint32_t uid)
{
	struct fetch_message message = {.snapshot = now,
		.row = row,
		.sequence = imap_view_sequence(session->view, uid),
		.seen_changed = uid_set_contains(&fetch->seen, uid)};
	uint32_t position;
	/* To this client it is there until it is told otherwise (RFC 2180 4.1.1). */
	if (!snapshot_find(now, uid, &position, &message.at)) {
		message.snapshot = session->view->shown;
		snapshot_find(message.snapshot, uid, &position, &message.at);
	}
	struct arena_mark mark = arena_mark(&op->arena);
	struct error *err = NULL;
	bool is_there = message.sequence && (row || fetch->request.need == FETCH_NEEDS_SNAPSHOT);
	if (is_there)
		err = imap_fetch_write(op, session, &fetch->request, &message);
	fetch->has_unknown_encoding = message.has_unknown_encoding;
	/* Its content is kept for a time only. */
	if (!is_there || (err && err->kind == ERR_NOT_FOUND && row && row->is_expunged)) {
		/* Removed by somebody while we were at it, or its row is lost. */
		if (!row && fetch->rowless_count < ROWLESS_MOST)
			fetch->rowless[fetch->rowless_count++] = uid;
		fetch->misses_some = fetch->misses_some || !fetch->request.by_uid;
		return NULL;
	}
	TRY(err);
	arena_release(&op->arena, mark);
	return NULL;
}

/* Rows of a page: of what is there, and of what is gone and still shown. */
static struct error *read_rows(struct op *op, struct imap_session *session,
	const struct snapshot *now, const struct uid_set *page, struct message **ret_rows,
	size_t *ret_count)
{
	struct uid_set gone;
	struct message *expunged;
	size_t count;
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox, page,
		ret_rows, ret_count));
	uid_set_split(&op->arena, page, now, NULL, &gone);
	if (uid_set_is_empty(&gone))
		return NULL;
	TRY(mailbox_expunged_messages(op, session->store, session->mailbox_account,
		session->mailbox, snapshot_highest_modseq(session->view->shown), &gone, &expunged,
		&count));
	*ret_rows = arena_grow(&op->arena, *ret_rows, *ret_count * sizeof(struct message),
		(*ret_count + count + 1) * sizeof(struct message));
	for (size_t i = 0; i < count; i++)
		(*ret_rows)[(*ret_count)++] = expunged[i];
	return NULL;
}

/* Answers a page; *ret_more when there is more to come. */
static struct error *write_page(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct fetch *fetch, bool *ret_more)
{
	struct uid_set page;
	struct message *rows = NULL;
	size_t row_count = 0;
	take_page(op, fetch, &page);
	*ret_more = false;
	if (uid_set_is_empty(&page))
		return NULL;
	if (fetch->request.need > FETCH_NEEDS_SNAPSHOT)
		TRY(read_rows(op, session, now, &page, &rows, &row_count));
	struct uid_cursor cursor = {0};
	uint32_t uid;
	*ret_more = true;
	while (uid_cursor_next(&page, &cursor, &uid)) {
		TRY(write_one(op, session, now, fetch, find_row(rows, row_count, uid), uid));
		uid_cursor_next(&fetch->uids, &fetch->cursor, &uid);
		fetch->next = uid + 1;
		if (session_output_is_full(session->session))
			return NULL;
	}
	return NULL;
}

/* Messages of which the client has heard the flags as they are in this step's snapshot. */
static void told_since(
	struct op *op, const struct fetch *fetch, uint32_t from, struct uid_set *ret_told)
{
	struct uid_set step;
	uid_set_init(&step, &op->arena);
	if (fetch->next > from)
		uid_set_add_range(&step, MAX_OF(from, 1), fetch->next - 1);
	uid_set_intersect(&op->arena, fetch->request.wants_flags ? &fetch->uids : &fetch->seen,
		&step, ret_told);
}

static struct error *write_pages(
	struct op *op, struct imap_session *session, struct imap_args *args, struct fetch *fetch)
{
	struct snapshot *now;
	struct uid_set told;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	struct error *err = NULL;
	bool more = true;
	uint32_t from = fetch->next;
	uint64_t until_ns = clock_monotonic_ns() + IMAP_STEP_NS;
	while (!err && more && !args->wants_more) {
		struct arena_mark mark = arena_mark(&op->arena);
		err = write_page(op, session, now, fetch, &more);
		if (!err)
			arena_release(&op->arena, mark);
		args->wants_more = more && (session_output_is_full(session->session) ||
						   clock_monotonic_ns() > until_ns);
	}
	told_since(op, fetch, from, &told);
	imap_sync_to(op, session, now, args->is_uid, &told);
	return err;
}

/* Messages that are still there, and could not be told of: that is said, and not that they are
 * gone.
 */
static struct error *check_rowless(
	struct op *op, struct imap_session *session, const struct fetch *fetch)
{
	struct snapshot *now;
	size_t damaged = 0;
	if (!fetch->rowless_count)
		return NULL;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	for (size_t i = 0; i < fetch->rowless_count; i++) {
		uint32_t position;
		struct snapshot_message message;
		damaged += snapshot_find(now, fetch->rowless[i], &position, &message);
	}
	snapshot_unref(now);
	if (!damaged)
		return NULL;
	return op_fail(op, ERR_CORRUPT, "rows of %zu messages or more are lost", damaged);
}

/* FETCH (RFC 9051 6.4.5, RFC 7162 3.1.4 and 3.2.6, RFC 3516) */
IMAP_HANDLER(imap_fetch)
{
	struct fetch *fetch = args->cursor;
	if (!fetch)
		TRY(begin(op, session, args, &fetch));
	args->cursor = fetch;
	struct error *err = write_pages(op, session, args, fetch);
	if (err && fetch->has_unknown_encoding)
		args->no_code = SLICE("UNKNOWN-CTE");
	TRY(err);
	if (args->wants_more)
		return NULL;
	TRY(check_rowless(op, session, fetch));
	if (!fetch->misses_some)
		return NULL;
	args->no_code = SLICE("EXPUNGEISSUED");
	return op_fail(op, ERR_NOT_FOUND, "Some of the messages are gone");
}
