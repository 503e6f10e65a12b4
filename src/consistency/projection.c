#include "consistency/projection.h"

#include "base/hash_map.h"
#include "base/metric.h"

METRIC_COUNTER(repaired, "projection_repairs_total", "Rows found unlike their truth and put right");

/* A partition from which more rows than this are needed is read by one scan. */
#define SCAN_FROM_ROWS 8

void row_changes_init(struct row_changes *changes, struct arena *arena)
{
	*changes = (struct row_changes){.arena = arena};
}

void row_changes_add(struct row_changes *changes, const struct row_change *change)
{
	if (changes->count == changes->capacity) {
		size_t capacity = changes->capacity ? changes->capacity * 2 : 8;
		changes->items = arena_grow(changes->arena, changes->items,
			changes->capacity * sizeof(struct row_change),
			capacity * sizeof(struct row_change));
		changes->capacity = capacity;
	}
	changes->items[changes->count++] = *change;
}

/* One row on its way through the changes. */
struct pending {
	const struct table *table;
	struct slice partition;
	struct slice key;
	bool is_read; /* the stored row was looked at */
	bool exists;
	struct slice value;
	uint64_t version;
	uint64_t begun;
	bool is_changed;
	bool is_unreadable;
	bool is_known;        /* repair: the changes tell all about it */
	struct pending *next; /* in order of first appearance */
};

static struct slice pending_key(struct op *op, const struct row_change *change)
{
	struct buf key = buf_in(&op->arena);
	buf_u8(&key, change->table->id);
	buf_slice(&key, change->partition);
	buf_append(&key, change->key);
	return buf_as_slice(&key);
}

static struct error *change_row(struct op *op, const struct row_change *change, bool *inout_exists,
	struct slice *inout_value, uint64_t *inout_version)
{
	switch (change->kind) {
	case ROW_PUT:
		*inout_exists = true;
		*inout_value = change->value;
		break;
	case ROW_DELETE:
		*inout_exists = false;
		break;
	case ROW_EDIT:
		if (*inout_exists)
			TRY(change->edit(op, change, *inout_value, inout_value));
		break;
	}
	*inout_version = change->modseq;
	return NULL;
}

struct work {
	struct hash_map rows;
	struct pending *first;
	struct pending **last;
};

static struct pending *pending_of(struct op *op, struct work *work, const struct row_change *change)
{
	struct slice key = pending_key(op, change);
	struct pending *row = hash_map_find(&work->rows, key);
	if (row)
		return row;
	row = ARENA_NEW(&op->arena, struct pending);
	row->table = change->table;
	row->partition = change->partition;
	row->key = change->key;
	hash_map_put(&work->rows, key, row);
	*work->last = row;
	work->last = &row->next;
	return row;
}

static void note_stored(struct pending *row, bool found, const struct engine_row *stored)
{
	row->is_read = true;
	row->exists = found;
	if (found) {
		row->value = stored->value;
		row->version = stored->version;
		row->is_unreadable = stored->is_damaged;
	}
}

static bool same_partition(const struct pending *a, const struct pending *b)
{
	return a->table == b->table && slice_equal(a->partition, b->partition);
}

static struct error *scan_partition(struct op *op, struct engine *engine, struct pending *first,
	struct slice low, struct slice high)
{
	struct buf to = buf_in(&op->arena);
	buf_append(&to, high);
	buf_u8(&to, 0);
	struct engine_rows rows;
	TRY(engine_scan(engine, op, first->table, first->partition, low, buf_as_slice(&to),
		SIZE_MAX, false, READ_NORMAL, &rows));
	struct hash_map stored;
	hash_map_init(&stored);
	for (size_t i = 0; i < rows.count; i++)
		hash_map_put(&stored, rows.rows[i].key, &rows.rows[i]);
	for (struct pending *row = first; row; row = row->next)
		if (!row->is_read && same_partition(row, first)) {
			struct engine_row *found = hash_map_find(&stored, row->key);
			note_stored(row, found != NULL, found);
		}
	hash_map_done(&stored);
	return NULL;
}

/* Reads these rows, all at once. */
static struct error *read_apart(
	struct op *op, struct engine *engine, struct pending **rows, size_t count)
{
	struct engine_read *reads = ARENA_ARRAY(&op->arena, struct engine_read, count + 1);
	for (size_t i = 0; i < count; i++)
		reads[i] = (struct engine_read){.table = rows[i]->table,
			.partition = rows[i]->partition,
			.key = rows[i]->key};
	TRY(engine_get_many(engine, op, reads, count, READ_NORMAL));
	for (size_t i = 0; i < count; i++)
		note_stored(rows[i], reads[i].found, &reads[i].row);
	return NULL;
}

/* Reads the stored rows that edits need: by one scan where many stand together, else each. */
static struct error *read_stored(
	struct op *op, struct engine *engine, struct pending *first, size_t most)
{
	struct pending **apart = ARENA_ARRAY(&op->arena, struct pending *, most + 1);
	size_t apart_count = 0;
	for (struct pending *row = first; row; row = row->next) {
		if (row->is_read)
			continue;
		size_t together = 0;
		struct slice low = row->key;
		struct slice high = row->key;
		for (struct pending *other = row; other; other = other->next)
			if (!other->is_read && same_partition(other, row)) {
				together++;
				low = slice_compare(other->key, low) < 0 ? other->key : low;
				high = slice_compare(other->key, high) > 0 ? other->key : high;
			}
		if (together > SCAN_FROM_ROWS)
			TRY(scan_partition(op, engine, row, low, high));
		else
			apart[apart_count++] = row;
	}
	return read_apart(op, engine, apart, apart_count);
}

/* A stored row that cannot be read is left as it is, and put right by who knows it from its
 * beginning (projection_repair): it must not hold up the others. */
static struct error *compute_row(
	struct op *op, const struct row_change *change, struct pending *row)
{
	bool is_edit = change->kind == ROW_EDIT;
	if (change->modseq <= row->version || (is_edit && row->is_unreadable))
		return NULL;
	struct error *err = change_row(op, change, &row->exists, &row->value, &row->version);
	row->is_unreadable = err && err->kind == ERR_CORRUPT && is_edit;
	row->is_changed |= !err && (row->exists || change->kind == ROW_DELETE);
	return row->is_unreadable ? NULL : err;
}

static struct error *compute(struct op *op, struct engine *engine,
	const struct row_changes *changes, struct work *work, struct mutations *out)
{
	for (size_t i = 0; i < changes->count; i++) {
		struct pending *row = pending_of(op, work, &changes->items[i]);
		/* A row that is put before anything else needs no look at what is stored: an older
		 * stored row loses to it, a newer one wins by its version. */
		if (changes->items[i].kind != ROW_EDIT)
			row->is_read = true;
	}
	for (size_t i = 0; i < changes->count; i++)
		if (changes->items[i].kind == ROW_EDIT) {
			TRY(read_stored(op, engine, work->first, work->rows.count));
			break;
		}
	for (size_t i = 0; i < changes->count; i++) {
		const struct row_change *change = &changes->items[i];
		TRY(compute_row(op, change, pending_of(op, work, change)));
	}
	for (struct pending *row = work->first; row; row = row->next) {
		if (!row->is_changed)
			continue;
		if (row->exists)
			mutations_put(out, row->table, row->partition, row->key, row->value,
				row->version);
		else
			mutations_delete(out, row->table, row->partition, row->key, row->version);
	}
	return NULL;
}

struct error *projection_rows(struct op *op, struct engine *engine,
	const struct row_changes *changes, struct mutations *out)
{
	struct work work = {0};
	work.last = &work.first;
	hash_map_init(&work.rows);
	struct error *err = compute(op, engine, changes, &work, out);
	hash_map_done(&work.rows);
	return err;
}

struct error *projection_overlay(struct op *op, const struct row_changes *changes,
	const struct table *table, struct slice partition, struct slice key, bool *inout_found,
	struct engine_row *inout_row)
{
	if (!*inout_found)
		*inout_row = (struct engine_row){.key = key};
	for (size_t i = 0; i < changes->count; i++) {
		const struct row_change *change = &changes->items[i];
		if (change->table != table || change->modseq <= inout_row->version ||
			!slice_equal(change->key, key) ||
			!slice_equal(change->partition, partition))
			continue;
		TRY(change_row(op, change, inout_found, &inout_row->value, &inout_row->version));
	}
	return NULL;
}

void repair_report_add(struct repair_report *sum, const struct repair_report *part)
{
	sum->checked += part->checked;
	sum->missing += part->missing;
	sum->stale += part->stale;
	sum->orphaned += part->orphaned;
	sum->fixed += part->fixed;
}

/* Does the stored row differ? Counts what it is. */
static bool differs(const struct pending *row, bool found, const struct engine_row *stored,
	struct repair_report *report)
{
	report->checked++;
	if (row->exists && !found)
		report->missing++;
	else if (!row->exists && found)
		report->orphaned++;
	else if (found && !slice_equal(row->value, stored->value))
		report->stale++;
	else
		return false;
	return true;
}

static struct error *repair_row(struct op *op, struct engine *engine, const struct pending *row,
	const struct repair_bounds *bounds, struct mutations *out, struct repair_report *report)
{
	bool found;
	struct engine_row stored;
	const struct made_row made = {
		row->table, row->partition, row->key, row->begun, row->version, row->exists};
	if (row->version > bounds->applied)
		return NULL;
	if (bounds->is_certain && !bounds->is_certain(bounds->context, &made))
		return NULL;
	TRY(engine_get(
		engine, op, row->table, row->partition, row->key, READ_NORMAL, &found, &stored));
	bool is_newer = found && stored.version > bounds->newest;
	if (is_newer || !differs(row, found, &stored, report) || !bounds->version)
		return NULL;
	if (row->exists)
		mutations_put(
			out, row->table, row->partition, row->key, row->value, bounds->version);
	else
		mutations_delete(out, row->table, row->partition, row->key, bounds->version);
	return NULL;
}

static struct error *repair(struct op *op, struct engine *engine, const struct row_changes *changes,
	const struct repair_bounds *bounds, struct work *work, struct repair_report *report)
{
	for (size_t i = 0; i < changes->count; i++) {
		const struct row_change *change = &changes->items[i];
		struct pending *row = pending_of(op, work, change);
		if (!row->is_read) {
			row->is_known = change->kind != ROW_EDIT;
			row->begun = change->modseq;
		}
		row->is_read = true;
		if (row->is_known)
			TRY(change_row(op, change, &row->exists, &row->value, &row->version));
	}
	struct mutations out;
	mutations_init(&out, &op->arena);
	for (struct pending *row = work->first; row; row = row->next)
		if (row->is_known)
			TRY(repair_row(op, engine, row, bounds, &out, report));
	TRY(engine_write(engine, op, out.items, out.count, DURABLE));
	report->fixed += out.count;
	metric_add(&repaired, (int64_t)out.count);
	return NULL;
}

struct error *projection_repair(struct op *op, struct engine *engine,
	const struct row_changes *changes, const struct repair_bounds *bounds,
	struct repair_report *inout_report)
{
	struct work work = {0};
	work.last = &work.first;
	hash_map_init(&work.rows);
	struct error *err = repair(op, engine, changes, bounds, &work, inout_report);
	hash_map_done(&work.rows);
	return err;
}

uint64_t projection_repair_count(void)
{
	return (uint64_t)metric_value(&repaired);
}
