#include "search/search_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "mailbox/follow.h"

METRIC_COUNTER(mended, "index_entries_mended_total",
	"Entries of indexes that differed from their messages and were put right");

/* Of one batch. */
#define PAGE_MESSAGES 100
#define PAGE_BYTES MIB(4)
/* How often a page is looked at again because the index has changed meanwhile. */
#define ATTEMPTS 5
/* A message is to be found by so much of its own text. */
#define PROBE_BYTES 24

struct verifying {
	struct mail_store *store;
	struct index *index;
	struct account_id account;
	const struct verify_scope *scope;
	struct verify_report *report;
	bool *owes; /* set when attachments are owed */
};

/* Some of a mailbox's UIDs, as the index, then the snapshot, then the rows have them. */
struct page {
	struct index_state state;
	uint32_t from, end;
	struct snapshot *snapshot;
	struct index_entry *entries;
	size_t entry_count, entry_at;
	struct message *rows;
	size_t row_count, row_at;
	struct account_news news; /* since the index's cursor; when `has_news` */
	bool has_news;
	size_t bytes;
	bool owes; /* attachments of what is added */
	struct index_add adds[PAGE_MESSAGES];
	size_t add_count;
	struct index_place removed[PAGE_MESSAGES];
	size_t removed_count;
	struct verify_report report;
};

/* ---- One message ---- */

/* What the index has by the text itself, not by what it says of it. */
static struct error *is_found(struct op *op, const struct verifying *v, struct mailbox_id mailbox,
	uint32_t uid, const struct search_texts *texts, bool *ret_found)
{
	struct index_found found;
	unsigned field = (unsigned)random_below(TEXT_FIELD_COUNT);
	struct slice text = texts->fields[field];
	*ret_found = true;
	if (!text.len)
		return NULL;
	size_t at = random_below(text.len);
	while (at > 0 && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
		at--;
	size_t end = MIN_OF(at + PROBE_BYTES, text.len);
	while (end < text.len && ((unsigned char)text.ptr[end] & 0xc0) == 0x80)
		end++;
	const struct index_query query = {
		.mailbox = mailbox, .fields = 1U << field, .needle = slice_range(text, at, end)};
	if (!index_takes_needle(query.needle))
		return NULL;
	TRY(index_find(v->index, op, v->account, &query, &found));
	/* It may have been replaced meanwhile. */
	*ret_found = found.coverage.uidnext <= uid;
	for (size_t i = 0; i < found.count && !*ret_found; i++)
		*ret_found = found.uids[i] == uid;
	return NULL;
}

static bool is_nil(struct message_id id)
{
	static const struct message_id nil;
	return ID_EQUAL(id, nil);
}

static struct error *is_stale(struct op *op, const struct verifying *v, const struct page *page,
	const struct index_entry *entry, const struct message *row,
	const struct search_texts *texts, bool *ret_stale)
{
	bool found;
	*ret_stale = entry->is_altered || !ID_EQUAL(entry->message, row->id) ||
		     entry->fingerprint != search_texts_fingerprint(texts);
	if (*ret_stale)
		return NULL;
	TRY(is_found(op, v, snapshot_mailbox(page->snapshot), entry->uid, texts, &found));
	*ret_stale = !found;
	return NULL;
}

static void add(struct page *page, uint32_t uid, const struct message *row,
	const struct search_texts *texts)
{
	page->adds[page->add_count++] = (struct index_add){
		.place = {snapshot_mailbox(page->snapshot), uid}, .texts = texts, .replaces = true};
	if (!texts)
		return;
	page->adds[page->add_count - 1].message = row->id;
	page->bytes += row->size;
}

/* `entry` NULL: the index has none. `row` NULL: its row is lost, or it is gone since. */
static struct error *look_at(struct op *op, const struct verifying *v, struct page *page,
	uint32_t uid, const struct index_entry *entry, const struct message *row)
{
	bool is_lost = !row, differs_now = false;
	bool is_wrong = !entry || entry->is_altered;
	bool is_given_up = entry && entry->attached == INDEX_ATTACHED_GIVEN_UP;
	bool is_unknown = entry && (is_nil(entry->message) || is_given_up);
	struct arena_mark mark = arena_mark(&op->arena);
	struct search_texts *texts = ARENA_NEW(&op->arena, struct search_texts);
	if (v->scope->mode == VERIFY_RETRIES && entry && !is_unknown)
		return NULL;
	if (v->scope->mode == VERIFY_DOUBTS && !is_wrong)
		return NULL;
	page->report.checked++;
	if (row)
		TRY(read_texts(op, v->store, v->index, row, texts, &is_lost));
	page->report.unreadable += is_lost || is_given_up;
	page->report.missing += !entry;
	if (entry && !is_lost) {
		TRY(is_stale(op, v, page, entry, row, texts, &differs_now));
		page->report.stale += differs_now;
		is_wrong |= differs_now || v->scope->mode == VERIFY_RENEWS ||
			    (v->scope->mode == VERIFY_RETRIES && is_given_up);
	}
	if (is_wrong)
		add(page, uid, row, is_lost ? NULL : texts);
	if (is_wrong && !is_lost)
		page->owes |= texts->attached_state != INDEX_ATTACHED_WHOLE;
	else
		arena_release(&op->arena, mark);
	return NULL;
}

/* What the log says has gone since the index's cursor is not known to it yet. */
static struct error *look_at_orphan(
	struct op *op, const struct verifying *v, struct page *page, uint32_t uid)
{
	struct mailbox_id mailbox = snapshot_mailbox(page->snapshot);
	if (!page->has_news)
		TRY(account_news_since(op, v->store, v->account, page->state.cursor, &page->news));
	page->has_news = true;
	bool is_gone = !page->news.is_complete;
	for (size_t i = 0; i < page->news.gone_count && !is_gone; i++)
		is_gone = page->news.gone[i].uid == uid &&
			  ID_EQUAL(page->news.gone[i].mailbox, mailbox);
	if (is_gone)
		return NULL;
	page->report.orphaned++;
	page->removed[page->removed_count++] = (struct index_place){mailbox, uid};
	return NULL;
}

/* ---- A page ---- */

static const struct index_entry *entry_of(struct page *page, uint32_t uid)
{
	while (page->entry_at < page->entry_count && page->entries[page->entry_at].uid < uid)
		page->entry_at++;
	bool is_there =
		page->entry_at < page->entry_count && page->entries[page->entry_at].uid == uid;
	return is_there ? &page->entries[page->entry_at] : NULL;
}

static const struct message *row_of(struct page *page, uint32_t uid)
{
	while (page->row_at < page->row_count && page->rows[page->row_at].uid < uid)
		page->row_at++;
	bool is_there = page->row_at < page->row_count && page->rows[page->row_at].uid == uid;
	return is_there ? &page->rows[page->row_at] : NULL;
}

/* The next UID that the index or the snapshot has; page->end behind the last. */
static uint32_t next_uid(const struct page *page, uint32_t from)
{
	uint32_t next = page->end;
	uint32_t position = snapshot_lower_bound(page->snapshot, from);
	if (position < snapshot_count(page->snapshot))
		next = MIN_OF(next, snapshot_at(page->snapshot, position).uid);
	for (size_t i = page->entry_at; i < page->entry_count; i++)
		if (page->entries[i].uid >= from)
			return MIN_OF(next, page->entries[i].uid);
	return next;
}

static struct error *walk(struct op *op, const struct verifying *v, struct page *page)
{
	uint32_t uid = next_uid(page, page->from);
	for (; uid < page->end && page->bytes < PAGE_BYTES; uid = next_uid(page, uid + 1)) {
		uint32_t position;
		struct snapshot_message at;
		const struct index_entry *entry = entry_of(page, uid);
		if (snapshot_find(page->snapshot, uid, &position, &at))
			TRY(look_at(op, v, page, uid, entry, row_of(page, uid)));
		else if (v->scope->mode != VERIFY_RETRIES)
			TRY(look_at_orphan(op, v, page, uid));
	}
	page->end = uid;
	return NULL;
}

/* Is there anything in it that VERIFY_DOUBTS looks at? */
static bool has_doubts(struct page *page)
{
	bool is_sound = true;
	for (uint32_t uid = next_uid(page, page->from); is_sound && uid < page->end;
		uid = next_uid(page, uid + 1)) {
		uint32_t position;
		struct snapshot_message at;
		const struct index_entry *entry = entry_of(page, uid);
		is_sound = entry && !entry->is_altered &&
			   snapshot_find(page->snapshot, uid, &position, &at);
	}
	page->entry_at = 0;
	return !is_sound;
}

/* The index first, then the snapshot: what is covered and in the snapshot is in the index. */
static struct error *read_entries(
	struct op *op, const struct verifying *v, struct mailbox_id mailbox, struct page *page)
{
	TRY(index_get_state(v->index, op, v->account, &page->state));
	const struct index_coverage *covered = find_coverage(&page->state, mailbox);
	page->end = covered ? covered->uidnext : 0;
	TRY(index_list(v->index, op, v->account, mailbox, page->from, PAGE_MESSAGES, &page->entries,
		&page->entry_count));
	if (page->entry_count == PAGE_MESSAGES)
		page->end = MIN_OF(page->end, page->entries[PAGE_MESSAGES - 1].uid + 1);
	TRY(mailbox_snapshot(op, v->store, v->account, mailbox, &page->snapshot));
	if (covered && covered->uidvalidity != snapshot_uidvalidity(page->snapshot))
		page->end = 0;
	return NULL;
}

static struct error *read_rows(struct op *op, const struct verifying *v, struct page *page)
{
	struct uid_set uids;
	uint32_t position = snapshot_lower_bound(page->snapshot, page->from);
	uint32_t last = position + PAGE_MESSAGES;
	if (last < snapshot_count(page->snapshot))
		page->end = MIN_OF(page->end, snapshot_at(page->snapshot, last).uid);
	uid_set_init(&uids, &op->arena);
	for (; position < MIN_OF(last, snapshot_count(page->snapshot)); position++)
		uid_set_add(&uids, snapshot_at(page->snapshot, position).uid);
	return mailbox_messages(op, v->store, v->account, snapshot_mailbox(page->snapshot), &uids,
		&page->rows, &page->row_count);
}

static struct error *mend(struct op *op, const struct verifying *v, struct page *page)
{
	const struct index_batch batch = {.expected_cursor = page->state.cursor,
		.expected_id = page->state.id,
		.removed = page->removed,
		.removed_count = page->removed_count,
		.added = page->adds,
		.added_count = page->add_count};
	if (!(batch.removed_count + batch.added_count))
		return NULL;
	if (v->scope->mode == VERIFY_TELLS) {
		/* One that was made anew meanwhile lacks nothing that this one has. */
		struct index_state now;
		TRY(index_get_state(v->index, op, v->account, &now));
		return now.id == page->state.id
			       ? NULL
			       : op_fail(op, ERR_CONFLICT, "the index was made anew");
	}
	TRY(index_apply(v->index, op, v->account, &batch));
	page->report.fixed = batch.removed_count + batch.added_count;
	metric_add(&mended, (int64_t)page->report.fixed);
	*v->owes |= page->owes;
	return NULL;
}

static struct error *verify_page(
	struct op *op, const struct verifying *v, struct mailbox_id mailbox, struct page *page)
{
	TRY(read_entries(op, v, mailbox, page));
	if (v->scope->uid)
		page->end = MIN_OF(page->end, v->scope->uid + 1);
	if (page->from >= page->end || snapshot_is_deleted(page->snapshot))
		return NULL;
	if (v->scope->mode == VERIFY_DOUBTS && !has_doubts(page))
		return NULL;
	TRY(read_rows(op, v, page));
	TRY(walk(op, v, page));
	return mend(op, v, page);
}

static void count_page(struct verify_report *to, const struct verify_report *page)
{
	to->checked += page->checked;
	to->missing += page->missing;
	to->stale += page->stale;
	to->orphaned += page->orphaned;
	to->unreadable += page->unreadable;
	to->fixed += page->fixed;
}

/* *inout_from is where the next page begins; 0: this was the last one. */
static struct error *verify_next(struct op *op, const struct verifying *v,
	struct mailbox_id mailbox, uint32_t *inout_from, uint64_t *ret_checked)
{
	struct page *page = ARENA_NEW(&op->arena, struct page);
	page->from = *inout_from;
	struct error *err = verify_page(op, v, mailbox, page);
	bool is_last = !err && page->from >= page->end;
	if (is_last && !v->scope->uid)
		v->report->behind += snapshot_count(page->snapshot) -
				     snapshot_lower_bound(page->snapshot, page->from);
	snapshot_unref(page->snapshot);
	TRY(err);
	count_page(v->report, &page->report);
	*ret_checked = page->report.checked;
	*inout_from = is_last ? 0 : page->end;
	return NULL;
}

static struct error *verify_mailbox(
	struct op *op, const struct verifying *v, struct mailbox_id mailbox)
{
	uint32_t from = v->scope->uid ? v->scope->uid : 1;
	int attempts = 0;
	v->report->mailboxes++;
	while (from) {
		struct arena_mark mark = arena_mark(&op->arena);
		uint64_t checked = 0;
		struct error *err = verify_next(op, v, mailbox, &from, &checked);
		if (err && err->kind == ERR_CONFLICT && ++attempts < ATTEMPTS)
			continue;
		TRY(err);
		attempts = 0;
		arena_release(&op->arena, mark);
		const struct search_pace *pace = &v->scope->pace;
		if (pace->pace && !pace->pace(pace->context, checked))
			return op_fail(op, ERR_CANCELLED, "told to stop");
	}
	return NULL;
}

static struct error *verify_account(
	struct op *op, const struct verifying *v, const struct mailbox_list *list, bool *ret_found)
{
	for (size_t i = 0; i < list->count; i++) {
		if (v->scope->path.len && !slice_equal(v->scope->path, list->items[i].path))
			continue;
		*ret_found = true;
		struct error *err = verify_mailbox(op, v, list->items[i].id);
		if (err && err->kind != ERR_NOT_FOUND)
			return err;
	}
	return NULL;
}

struct error *verify_doubts(struct op *op, struct mail_store *store, struct index *index,
	struct account_id account, const struct search_pace *pace, bool *ret_owes)
{
	struct mailbox_list list;
	struct verify_report report = {0};
	const struct verify_scope scope = {.mode = VERIFY_DOUBTS, .pace = *pace};
	*ret_owes = false;
	const struct verifying v = {store, index, account, &scope, &report, ret_owes};
	bool found = false;
	TRY(mailbox_list(op, store, account, &list));
	TRY(verify_account(op, &v, &list, &found));
	if (report.fixed)
		log_warn(op, "index-mended", FIELD_ID("account", op, account.uuid),
			FIELD_U64("missing", report.missing), FIELD_U64("altered", report.stale),
			FIELD_U64("orphaned", report.orphaned));
	return NULL;
}

struct error *verify_altered(struct op *op, struct mail_store *store, struct index *index,
	struct account_id account, const struct search_pace *pace, bool *ret_owes)
{
	bool is_altered;
	*ret_owes = false;
	TRY(index_is_altered(index, op, account, &is_altered));
	return is_altered ? verify_doubts(op, store, index, account, pace, ret_owes) : NULL;
}

struct error *search_verify(struct op *op, struct search *search, struct account_id account,
	const struct verify_scope *scope, struct verify_report *inout_report)
{
	struct mailbox_list list;
	bool owes = false;
	const struct verifying v = {.store = search->store,
		.index = search->index,
		.account = account,
		.scope = scope,
		.report = inout_report,
		.owes = &owes};
	bool found = !scope->path.len;
	/* What the log tells is not drift. */
	if (scope->mode != VERIFY_TELLS)
		TRY(search_catch_up(op, search, account));
	TRY(mailbox_list(op, search->store, account, &list));
	struct error *err = verify_account(op, &v, &list, &found);
	if (owes)
		attachments_owed(search, account);
	TRY(err);
	return found ? NULL : op_fail(op, ERR_NOT_FOUND, "no such mailbox");
}
