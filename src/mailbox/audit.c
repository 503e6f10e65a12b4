#include "mailbox/store_private.h"

#include "base/clock.h"
#include "base/log.h"

/* Holds what is stored as content against what refers to it. Finds what no list of work knows of:
 * what a node left that never came back. It only tells. */

#define PAGE 512

struct auditing {
	struct mail_store *store;
	struct hash_map candidates; /* message_id, and blob_id -> non-NULL */
	struct audit_report *report;
};

static struct error *note_candidates(struct op *op, struct auditing *a, struct slice partition)
{
	struct engine_rows rows;
	TRY(engine_scan(a->store->engine, op, &blob_candidate_table, partition, SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		struct blob_candidate candidate;
		TRY(row_decode(op, &blob_candidate_row, rows.rows[i].value, &candidate));
		hash_map_put(&a->candidates, slice_from(rows.rows[i].key, 1), a->store);
		hash_map_put(&a->candidates, uuid_as_slice(&candidate.blob_id), a->store);
	}
	return NULL;
}

static struct error *find_candidates(struct op *op, struct auditing *a)
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
	struct op *op, struct auditing *a, struct slice message_id, bool *ret_has)
{
	struct engine_rows rows;
	TRY(engine_scan(a->store->engine, op, &message_table, message_id,
		key_kind_row(&op->arena, MESSAGE_PLACE), SLICE_NONE, 1, false, READ_NORMAL, &rows));
	*ret_has = rows.count != 0;
	return NULL;
}

static struct error *audit_blob(struct op *op, struct auditing *a, struct blob_id blob)
{
	struct engine_rows refs;
	bool is_live;
	bool is_waiting = hash_map_find(&a->candidates, ID_SLICE(blob)) != NULL;
	TRY(has_place(op, a, ID_SLICE(blob), &is_live));
	TRY(engine_scan(a->store->engine, op, &blob_ref_table, key_id(&op->arena, blob.uuid),
		SLICE_NONE, SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &refs));
	for (size_t i = 0; i < refs.count && !is_live; i++) {
		struct slice message_id = slice_from(refs.rows[i].key, 1);
		TRY(has_place(op, a, message_id, &is_live));
		is_waiting |= hash_map_find(&a->candidates, message_id) != NULL;
	}
	a->report->blobs++;
	a->report->live += is_live;
	a->report->waiting += !is_live && is_waiting;
	if (is_live || is_waiting)
		return NULL;
	a->report->orphaned++;
	log_warn(op, "content-orphaned", FIELD_ID("blob", op, blob.uuid));
	return NULL;
}

static struct error *audit_all(struct op *op, struct auditing *a)
{
	struct blob_id last;
	bool has_last = false;
	TRY(find_candidates(op, a));
	for (;;) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct blob_id *blobs;
		size_t count;
		TRY(blob_list(a->store->blobs, op, has_last ? ID_SLICE(last) : SLICE_NONE, PAGE,
			&blobs, &count));
		for (size_t i = 0; i < count; i++)
			TRY(audit_blob(op, a, blobs[i]));
		if (!count)
			return NULL;
		last = blobs[count - 1];
		has_last = true;
		arena_release(&op->arena, mark);
	}
}

struct error *mail_store_audit(
	struct op *op, struct mail_store *store, struct audit_report *ret_report)
{
	struct auditing a = {.store = store, .report = ret_report};
	*ret_report = (struct audit_report){0};
	hash_map_init(&a.candidates);
	struct error *err = audit_all(op, &a);
	hash_map_done(&a.candidates);
	return err;
}
