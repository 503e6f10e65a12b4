#include "search/search_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "mailbox/follow.h"

METRIC_COUNTER(documents, "index_documents_total", "Messages whose text was put into an index");
METRIC_COUNTER(places, "index_places_total", "Places of messages put into an index");
METRIC_COUNTER(removals, "index_removals_total", "Places of messages taken out of an index");
METRIC_COUNTER(refusals, "index_refused_total",
	"Messages that an index takes neither now nor later: searches read them");
METRIC_COUNTER(rebuilds, "index_rebuilds_total",
	"Indexes begun anew, because they had too much that is dead or were of no use");

/* Of one transaction. */
#define PAGE_MESSAGES 100
#define PAGE_BYTES MIB(4)

/* A cursor that lags behind what means nothing to the index is moved now and then, before the log
 * forgets where it stood. */
#define CURSOR_LAG_US (3600 * US_PER_S)

/* How often it is looked for what is dead, by the account's MODSEQ. */
#define LOOK_EVERY_US CURSOR_LAG_US

/* An index is made anew when a third of at least so many messages is dead. */
#define DEAD_MOST 1000

const struct index_coverage *find_coverage(
	const struct index_state *state, struct mailbox_id mailbox)
{
	for (size_t i = 0; i < state->covered_count; i++)
		if (ID_EQUAL(state->covered[i].mailbox, mailbox))
			return &state->covered[i];
	return NULL;
}

static bool is_listed(const struct mailbox_list *list, const struct index_coverage *covered)
{
	for (size_t i = 0; i < list->count; i++)
		if (ID_EQUAL(list->items[i].id, covered->mailbox))
			return list->items[i].uidvalidity == covered->uidvalidity ||
			       covered->uidnext == 0;
	return false;
}

/* Takes out what has gone, and moves the cursor: the messages below it that have come are not there
 * yet, and not covered. */
static struct error *follow_log(struct op *op, const struct catch_up *work,
	const struct account_news *news, struct index_state *state)
{
	struct mailbox_id *forgotten =
		ARENA_ARRAY(&op->arena, struct mailbox_id, state->covered_count + 1);
	struct index_place *removed =
		ARENA_ARRAY(&op->arena, struct index_place, news->gone_count + 1);
	struct index_batch batch = {.forgotten = forgotten,
		.removed = removed,
		.expected_cursor = state->cursor,
		.expected_id = state->id,
		.cursor = news->modseq};
	for (size_t i = 0; i < state->covered_count; i++) {
		if (is_listed(&news->mailboxes, &state->covered[i]))
			continue;
		forgotten[batch.forgotten_count++] = state->covered[i].mailbox;
		state->covered[i] = (struct index_coverage){0};
	}
	for (size_t i = 0; i < news->gone_count; i++) {
		const struct account_place *gone = &news->gone[i];
		const struct index_coverage *covered = find_coverage(state, gone->mailbox);
		if (covered && gone->uid < covered->uidnext)
			removed[batch.removed_count++] =
				(struct index_place){gone->mailbox, gone->uid};
	}
	bool means_nothing = !batch.forgotten_count && !batch.removed_count && state->cursor;
	if (means_nothing && news->modseq - state->cursor < CURSOR_LAG_US)
		return NULL;
	metric_add(&removals, (int64_t)batch.removed_count);
	TRY(index_apply(work->index, op, work->account, &batch));
	state->cursor = news->modseq;
	return NULL;
}

/* ---- Messages that have come ---- */

struct page {
	struct mailbox_id mailbox;
	uint32_t uids[PAGE_MESSAGES];
	size_t listed;
	struct index_add adds[PAGE_MESSAGES];
	struct search_texts texts[PAGE_MESSAGES];
	size_t count;
	size_t bytes;
};

struct error *read_texts(struct op *op, struct mail_store *store, const struct index *index,
	const struct message *message, struct search_texts *ret_texts, bool *ret_is_lost)
{
	struct slice content;
	struct error *err = message_content(op, store, message, 0, UINT64_MAX, &content);
	*ret_is_lost = err && err->kind == ERR_CORRUPT;
	if (*ret_is_lost) {
		log_warn(op, "index-content-lost", FIELD_ID("message", op, message->id.uuid),
			FIELD_ERROR(op, err));
		return NULL;
	}
	TRY(err);
	search_texts_make(
		&op->arena, content, message->header_length, search_config.text_bytes, ret_texts);
	if (index->has_attached && attachments_are_there(&op->arena, content, attachment_rules()))
		ret_texts->attached_state = INDEX_ATTACHED_OWED;
	return NULL;
}

/* A message whose content cannot be read whatever is done is proposed by every search, which then
 * meets what there is to be met. */
static struct error *add_texts(struct op *op, const struct catch_up *work,
	const struct message *message, struct page *page)
{
	bool is_lost;
	struct index_add *add = &page->adds[page->count];
	struct search_texts *texts = &page->texts[page->count];
	TRY(read_texts(op, work->store, work->index, message, texts, &is_lost));
	if (is_lost)
		return NULL;
	if (work->owes)
		*work->owes |= texts->attached_state != INDEX_ATTACHED_WHOLE;
	add->message = message->id;
	add->texts = texts;
	page->bytes += message->size;
	metric_add(&documents, 1);
	return NULL;
}

/* The messages from `uid` on, a page of them. */
static void list_uids(const struct snapshot *snapshot, uint32_t uid, struct page *page)
{
	uint32_t position = snapshot_lower_bound(snapshot, uid);
	while (page->listed < PAGE_MESSAGES && position < snapshot_count(snapshot))
		page->uids[page->listed++] = snapshot_at(snapshot, position++).uid;
}

struct rows {
	struct message *items;
	size_t count;
	size_t at;
	bool *has; /* the index has the message in another place */
};

static struct error *read_rows(
	struct op *op, const struct catch_up *work, const struct page *page, struct rows *rows)
{
	struct uid_set uids;
	uid_set_init(&uids, &op->arena);
	for (size_t i = 0; i < page->listed; i++)
		uid_set_add(&uids, page->uids[i]);
	TRY(mailbox_messages(
		op, work->store, work->account, page->mailbox, &uids, &rows->items, &rows->count));
	struct message_id *ids = ARENA_ARRAY(&op->arena, struct message_id, rows->count + 1);
	for (size_t i = 0; i < rows->count; i++)
		ids[i] = rows->items[i].id;
	rows->has = ARENA_ARRAY(&op->arena, bool, rows->count + 1);
	return index_has(work->index, op, work->account, ids, rows->count, rows->has);
}

/* A message that the snapshot has and the rows have not has gone meanwhile, or its row is lost and
 * may be found again: it is put there as one that is not known. */
static struct error *add_message(struct op *op, const struct catch_up *work, struct rows *rows,
	uint32_t uid, struct page *page)
{
	struct index_add *add = &page->adds[page->count];
	while (rows->at < rows->count && rows->items[rows->at].uid < uid)
		rows->at++;
	bool is_there = rows->at < rows->count && rows->items[rows->at].uid == uid;
	*add = (struct index_add){.place = {page->mailbox, uid}};
	if (is_there && rows->has[rows->at])
		add->message = rows->items[rows->at].id;
	else if (is_there)
		TRY(add_texts(op, work, &rows->items[rows->at], page));
	page->count++;
	return NULL;
}

/* The index does not take a document, whenever it comes: that message is put there as one that is
 * not known, so that it holds up no other. Each is asked about alone, without the page's coverage.
 */
static struct error *leave_out_refused(struct op *op, const struct catch_up *work,
	const struct index_batch *page_batch, struct page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		struct index_batch alone = *page_batch;
		alone.added = &page->adds[i];
		alone.added_count = 1;
		alone.covered_count = 0;
		struct error *err = index_apply(work->index, op, work->account, &alone);
		if (err && err->kind != ERR_INVALID)
			return err;
		if (!err)
			continue;
		log_warn(op, "index-refused", FIELD_ID("account", op, work->account.uuid),
			FIELD_ID("message", op, page->adds[i].message.uuid), FIELD_ERROR(op, err));
		metric_add(&refusals, 1);
		page->adds[i] = (struct index_add){.place = page->adds[i].place};
	}
	return NULL;
}

static struct error *apply_page(struct op *op, const struct catch_up *work,
	const struct index_batch *batch, struct page *page)
{
	struct error *err = index_apply(work->index, op, work->account, batch);
	if (!err || err->kind != ERR_INVALID)
		return err;
	TRY(leave_out_refused(op, work, batch, page));
	return index_apply(work->index, op, work->account, batch);
}

/* Puts a page of the mailbox's messages from `*uidnext` on into the index, which then covers more
 * of it, or all. */
static struct error *add_page(struct op *op, const struct catch_up *work,
	const struct snapshot *snapshot, uint32_t *uidnext)
{
	struct rows rows = {0};
	struct page *page = ARENA_NEW(&op->arena, struct page);
	struct index_coverage covered = {snapshot_mailbox(snapshot), snapshot_uidvalidity(snapshot),
		snapshot_uidnext(snapshot)};
	page->mailbox = covered.mailbox;
	list_uids(snapshot, *uidnext, page);
	TRY(read_rows(op, work, page, &rows));
	while (page->count < page->listed && page->bytes < PAGE_BYTES)
		TRY(add_message(op, work, &rows, page->uids[page->count], page));
	if (page->count == PAGE_MESSAGES || page->count < page->listed)
		covered.uidnext = page->uids[page->count - 1] + 1;
	const struct index_batch batch = {.added = page->adds,
		.added_count = page->count,
		.covered = &covered,
		.covered_count = 1,
		.expected_cursor = work->cursor,
		.expected_id = work->id};
	TRY(apply_page(op, work, &batch, page));
	metric_add(&places, (int64_t)page->count);
	*uidnext = covered.uidnext;
	return NULL;
}

static bool is_time_up(const struct catch_up *work, size_t messages)
{
	bool goes_on = !work->pace || work->pace(work->pace_context, messages);
	return !goes_on || clock_monotonic_ns() >= work->until_ns;
}

static struct error *cover_snapshot(struct op *op, const struct catch_up *work,
	const struct snapshot *snapshot, uint32_t uidnext, bool *ret_more)
{
	while (uidnext < snapshot_uidnext(snapshot)) {
		struct arena_mark mark = arena_mark(&op->arena);
		uint32_t before = uidnext;
		TRY(add_page(op, work, snapshot, &uidnext));
		arena_release(&op->arena, mark);
		*ret_more = is_time_up(work, MIN_OF(uidnext - before, PAGE_MESSAGES));
		if (*ret_more)
			return NULL;
	}
	return NULL;
}

/* The snapshot is newer than the cursor: what has gone before the cursor is not in it, and what
 * goes later the log will tell. */
static struct error *cover_mailbox(struct op *op, const struct catch_up *work,
	const struct mailbox_status *mailbox, const struct index_coverage *covered, bool *ret_more)
{
	struct snapshot *snapshot;
	uint32_t uidnext = covered ? MAX_OF(covered->uidnext, 1U) : 1;
	if (uidnext >= mailbox->uidnext)
		return NULL;
	struct error *err =
		mailbox_snapshot(op, work->store, work->account, mailbox->id, &snapshot);
	if (err)
		return err->kind == ERR_NOT_FOUND ? NULL : err;
	if (!snapshot_is_deleted(snapshot))
		err = cover_snapshot(op, work, snapshot, uidnext, ret_more);
	snapshot_unref(snapshot);
	return err;
}

static struct error *begin_anew(
	struct op *op, const struct catch_up *work, const char *why, bool *ret_more)
{
	log_info(op, "index-rebuilt", FIELD_ID("account", op, work->account.uuid),
		FIELD_TEXT("because", why));
	metric_add(&rebuilds, 1);
	*ret_more = true;
	return index_drop(work->index, op, work->account);
}

static struct error *look_for_dead(struct op *op, struct catch_up *work)
{
	struct index_size size;
	TRY(index_measure(work->index, op, work->account, &size));
	work->is_worn = size.dead >= DEAD_MOST && size.dead * 3 >= size.documents;
	return NULL;
}

static struct error *mend_altered(struct op *op, const struct catch_up *work)
{
	const struct search_pace pace = {work->pace, work->pace_context};
	bool owes;
	TRY(verify_altered(op, work->store, work->index, work->account, &pace, &owes));
	if (work->owes)
		*work->owes |= owes;
	return NULL;
}

static struct error *run_turn(struct op *op, struct catch_up *work, bool *ret_more)
{
	struct index_state state;
	struct account_news news;
	TRY(index_prepare(work->index, op));
	TRY(index_get_state(work->index, op, work->account, &state));
	uint64_t since = state.cursor;
	struct error *err = account_news_since(op, work->store, work->account, since, &news);
	if (err && err->kind == ERR_NOT_FOUND)
		return index_drop(work->index, op, work->account);
	TRY(err);
	if (!news.is_complete)
		return begin_anew(op, work, "the log does not join on", ret_more);
	TRY(mend_altered(op, work));
	TRY(follow_log(op, work, &news, &state));
	work->cursor = state.cursor;
	work->id = state.id;
	for (size_t i = 0; i < news.mailboxes.count && !*ret_more; i++)
		TRY(cover_mailbox(op, work, &news.mailboxes.items[i],
			find_coverage(&state, news.mailboxes.items[i].id), ret_more));
	bool looks = news.modseq / LOOK_EVERY_US != since / LOOK_EVERY_US;
	return looks && !*ret_more ? look_for_dead(op, work) : NULL;
}

struct error *catch_up_run(struct op *op, struct catch_up *work, bool *ret_more)
{
	*ret_more = work->is_worn = false;
	struct error *err = run_turn(op, work, ret_more);
	/* Thrown away meanwhile, by a search that met damage or by the administrator. */
	bool is_behind = err && err->kind == ERR_CONFLICT;
	*ret_more |= is_behind;
	return is_behind ? NULL : err;
}

/* ---- Beside the one that is asked ---- */

struct error *rebuild_begin(struct op *op, const struct catch_up *work)
{
	log_info(op, "index-rebuilt", FIELD_ID("account", op, work->account.uuid),
		FIELD_TEXT("because", work->is_worn ? "much of it is dead" : "it was asked for"));
	metric_add(&rebuilds, 1);
	return index_drop(index_beside(work->index), op, work->account);
}

struct error *rebuild_run(struct op *op, const struct catch_up *work, bool *ret_more)
{
	struct catch_up beside = *work;
	beside.index = index_beside(work->index);
	TRY(catch_up_run(op, &beside, ret_more));
	if (*ret_more)
		return NULL;
	struct error *err = index_swap(work->index, op, work->account);
	/* What is asked has moved meanwhile: once more. */
	*ret_more = err && err->kind == ERR_CONFLICT;
	/* Somebody else has swapped it, or the account has gone. */
	bool is_settled = err && err->kind == ERR_NOT_FOUND;
	return *ret_more || is_settled ? NULL : err;
}
