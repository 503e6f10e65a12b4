#include "mailbox/store_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "mailbox/follow.h"

/* Holds what is stored as content against what refers to it. Finds what no list of work knows of:
 * what a node left that never came back. It tells, and when told to leaves what is nobody's and old
 * enough to reclaim, which looks once more after another grace period. */

#define PAGE 512

struct audit {
	struct mail_store *store;
	struct hash_map candidates; /* message_id, and blob_id -> non-NULL */
	bool knows_candidates;      /* they were read for this page */
	uint64_t leave_before_us;   /* what was put earlier and is nobody's is left; 0: only tell */
	struct audit_report report; /* of the page */
};

static struct error *note_candidates(struct op *op, struct audit *a, struct slice partition)
{
	struct engine_rows rows;
	TRY(engine_scan(a->store->engine, op, &blob_candidate_table, partition, SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		struct blob_candidate candidate;
		struct error *err =
			row_decode(op, &blob_candidate_row, rows.rows[i].value, &candidate);
		hash_map_put(&a->candidates, slice_from(rows.rows[i].key, 1), a->store);
		/* Of a damaged one the message is known, and not the content. */
		if (err && err->kind == ERR_CORRUPT)
			continue;
		TRY(err);
		hash_map_put(&a->candidates, uuid_as_slice(&candidate.blob_id), a->store);
	}
	return NULL;
}

static struct error *find_candidates(struct op *op, struct audit *a)
{
	struct slice after = SLICE_NONE;
	for (;;) {
		struct slice *partitions;
		size_t count;
		TRY(engine_partitions(a->store->engine, op, &blob_candidate_table, after, PAGE,
			&partitions, &count));
		if (!count)
			return NULL;
		for (size_t i = 0; i < count; i++)
			TRY(note_candidates(op, a, partitions[i]));
		after = partitions[count - 1];
	}
}

static struct error *has_place(
	struct op *op, struct audit *a, struct slice message_id, bool *ret_has)
{
	struct engine_rows rows;
	TRY(engine_scan(a->store->engine, op, &message_table, message_id,
		key_kind_row(&op->arena, MESSAGE_PLACE),
		key_kind_row(&op->arena, MESSAGE_PLACE + 1), 1, false, READ_NORMAL, &rows));
	*ret_has = rows.count != 0;
	return NULL;
}

/* A commit may have taken the content although no place says so yet: while its account owes rows,
 * nobody knows. Content without a summary was never offered to any. */
static struct error *may_have_owner(struct op *op, struct audit *a, struct blob_id blob,
	struct uuid *ret_account, bool *ret_may)
{
	bool found;
	struct engine_row row;
	struct message_summary_columns summary;
	*ret_may = false;
	*ret_account = (struct uuid){0};
	TRY(engine_get(a->store->engine, op, &message_table, ID_SLICE(blob),
		key_kind_row(&op->arena, MESSAGE_SUMMARY), READ_NORMAL, &found, &row));
	if (!found)
		return NULL;
	struct error *err = row_decode(op, &message_summary_row, row.value, &summary);
	/* Whose it may be is not to be told. */
	*ret_may = err && err->kind == ERR_CORRUPT;
	if (*ret_may)
		return NULL;
	TRY(err);
	*ret_account = summary.account_id;
	return account_owes(op, a->store, (struct account_id){summary.account_id}, ret_may);
}

static uint64_t put_us(struct blob_id blob)
{
	/* The first 48 bits of a UUID of version 7 are milliseconds. */
	struct reader reader = reader_of(ID_SLICE(blob));
	uint64_t high = reader_u32(&reader);
	return (high << 16 | reader_u16(&reader)) * 1000;
}

/* No commit takes the content any more, since none is sent long after it was put. But one that was
 * sent in time, and that few replicas have heard of, is finished by whoever comes next: this commit
 * finishes or bars it. *ret_is_here false: that is for the account's home to do. */
static struct error *end_earlier_commits(
	struct op *op, struct audit *a, struct account_id account, bool *ret_is_here)
{
	struct account_facts facts = {.is_here = true};
	uint64_t modseq;
	struct error *err = account_facts_get(op, a->store, account, &facts);
	*ret_is_here = facts.is_here;
	if (!err && facts.is_here)
		err = step_modseq(op, a->store, account, &modseq);
	return err && err->kind == ERR_NOT_FOUND ? NULL : err;
}

static struct error *leave_orphan(struct op *op, struct audit *a, struct blob_id blob)
{
	static const struct uuid nobody;
	struct uuid account;
	bool has_owner;
	bool is_here = true;
	if (put_us(blob) >= a->leave_before_us)
		return NULL;
	TRY(may_have_owner(op, a, blob, &account, &has_owner));
	if (has_owner)
		return NULL;
	if (!uuid_equal(account, nobody)) {
		TRY(end_earlier_commits(op, a, (struct account_id){account}, &is_here));
		TRY(may_have_owner(op, a, blob, &account, &has_owner));
	}
	if (has_owner || !is_here)
		return NULL;
	/* What was applied between the two looks has its place now. */
	TRY(has_place(op, a, ID_SLICE(blob), &has_owner));
	if (has_owner)
		return NULL;
	struct buf detail = buf_in(&op->arena);
	buf_append(&detail, ID_SLICE(blob));
	buf_append(&detail, ID_SLICE(blob));
	buf_append(&detail, uuid_as_slice(&account));
	TRY(undo_append(op, a->store->engine, buf_as_slice(&detail)));
	a->report.left++;
	return NULL;
}

/* Is reclaim to come for it? What was read for an earlier page does for most; before content is
 * called nobody's the candidates are read again, since mail is deleted meanwhile. */
static struct error *is_candidate(struct op *op, struct audit *a, struct blob_id blob,
	const struct engine_rows *refs, bool *ret_is)
{
	*ret_is = hash_map_find(&a->candidates, ID_SLICE(blob)) != NULL;
	for (size_t i = 0; i < refs->count && !*ret_is; i++)
		*ret_is = hash_map_find(&a->candidates, slice_from(refs->rows[i].key, 1)) != NULL;
	if (*ret_is || a->knows_candidates)
		return NULL;
	hash_map_done(&a->candidates);
	hash_map_init(&a->candidates);
	TRY(find_candidates(op, a));
	a->knows_candidates = true;
	return is_candidate(op, a, blob, refs, ret_is);
}

static struct error *audit_blob(struct op *op, struct audit *a, struct blob_id blob)
{
	struct engine_rows refs;
	bool is_live;
	bool is_waiting = false;
	TRY(has_place(op, a, ID_SLICE(blob), &is_live));
	TRY(engine_scan(a->store->engine, op, &blob_ref_table, key_id(&op->arena, blob.uuid),
		SLICE_NONE, SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &refs));
	for (size_t i = 0; i < refs.count && !is_live; i++)
		TRY(has_place(op, a, slice_from(refs.rows[i].key, 1), &is_live));
	if (!is_live)
		TRY(is_candidate(op, a, blob, &refs, &is_waiting));
	a->report.blobs++;
	a->report.live += is_live;
	a->report.waiting += !is_live && is_waiting;
	if (is_live || is_waiting)
		return NULL;
	a->report.orphaned++;
	log_warn(op, "content-orphaned", FIELD_ID("blob", op, blob.uuid));
	return leave_orphan(op, a, blob);
}

struct audit *audit_begin(struct mail_store *store, uint64_t grace_us)
{
	struct audit *audit = HEAP_NEW(struct audit);
	uint64_t now_us = clock_realtime_us();
	audit->store = store;
	audit->leave_before_us = grace_us && now_us > grace_us ? now_us - grace_us : 0;
	hash_map_init(&audit->candidates);
	return audit;
}

void audit_end(struct audit *audit)
{
	if (!audit)
		return;
	hash_map_done(&audit->candidates);
	free(audit);
}

struct error *audit_page(struct op *op, struct audit *audit, struct blob_id *inout_last,
	size_t *ret_count, struct audit_report *inout_report)
{
	struct blob_id *blobs;
	const struct audit_report *report = &audit->report;
	bool is_first = uuid_is_nil(inout_last->uuid);
	audit->report = (struct audit_report){0};
	audit->knows_candidates = false;
	TRY(blob_list(audit->store->blobs, op, is_first ? SLICE_NONE : ID_SLICE(*inout_last), PAGE,
		&blobs, ret_count));
	for (size_t i = 0; i < *ret_count; i++)
		TRY(audit_blob(op, audit, blobs[i]));
	if (*ret_count)
		*inout_last = blobs[*ret_count - 1];
	inout_report->blobs += report->blobs;
	inout_report->live += report->live;
	inout_report->waiting += report->waiting;
	inout_report->orphaned += report->orphaned;
	inout_report->left += report->left;
	return NULL;
}

static struct error *audit_pages(
	struct op *op, struct audit *audit, struct audit_report *ret_report)
{
	struct blob_id last = {0};
	size_t count;
	*ret_report = (struct audit_report){0};
	do {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(audit_page(op, audit, &last, &count, ret_report));
		arena_release(&op->arena, mark);
	} while (count);
	return NULL;
}

static struct error *audit_all(
	struct op *op, struct mail_store *store, uint64_t grace_us, struct audit_report *ret_report)
{
	struct audit *audit = audit_begin(store, grace_us);
	struct error *err = audit_pages(op, audit, ret_report);
	audit_end(audit);
	return err;
}

struct error *mail_store_audit(
	struct op *op, struct mail_store *store, struct audit_report *ret_report)
{
	return audit_all(op, store, 0, ret_report);
}

struct error *mail_store_tidy(
	struct op *op, struct mail_store *store, uint64_t grace_us, struct audit_report *ret_report)
{
	return audit_all(op, store, grace_us, ret_report);
}
