#include "engine/model_private.h"

#include <stdlib.h>

#include "base/clock.h"

static struct slice heap_dup(struct slice bytes)
{
	return slice_of(heap_cstr(bytes), bytes.len);
}

struct model_batch *model_batch_new(struct slice partition, size_t count)
{
	struct model_batch *batch =
		heap_alloc(sizeof(struct model_batch) + count * sizeof(struct model_row));
	batch->references = 1;
	batch->partition = heap_dup(partition);
	batch->count = count;
	return batch;
}

void model_batch_set(struct model_batch *batch, size_t index, const struct mutation *mutation,
	struct slice key, uint64_t now_us)
{
	uint32_t ttl_s = mutation->is_delete ? 0 : mutation->table->ttl_s;
	batch->rows[index] = (struct model_row){.key = heap_dup(key),
		.value = heap_dup(mutation->is_delete ? SLICE_NONE : mutation->value),
		.version = mutation->version,
		.expires_us = ttl_s ? now_us + ttl_s * US_PER_S : 0,
		.is_deleted = mutation->is_delete};
}

struct model_batch *model_batch_ref(struct model_batch *batch)
{
	if (batch)
		__atomic_fetch_add(&batch->references, 1, __ATOMIC_RELAXED);
	return batch;
}

void model_batch_unref(struct model_batch *batch)
{
	if (!batch || __atomic_sub_fetch(&batch->references, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < batch->count; i++) {
		free((void *)batch->rows[i].key.ptr);
		free((void *)batch->rows[i].value.ptr);
	}
	free((void *)batch->partition.ptr);
	free(batch);
}

bool model_row_wins(const struct model_row *a, const struct model_row *b)
{
	if (a->version != b->version)
		return a->version > b->version;
	if (a->is_deleted || b->is_deleted)
		return a->is_deleted && !b->is_deleted;
	return slice_compare(a->value, b->value) > 0;
}

bool model_row_is_live(const struct model_row *row)
{
	return !row->is_deleted && (!row->expires_us || row->expires_us > clock_realtime_us());
}

/* Index of the first row whose key is not below `key`. */
static size_t lower_bound(const struct model_rows *rows, struct slice key)
{
	size_t low = 0;
	size_t high = rows->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(rows->items[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct model_row *insert_row(struct model_rows *rows, size_t at, struct slice key)
{
	if (rows->count == rows->capacity) {
		rows->capacity = rows->capacity ? rows->capacity * 2 : 64;
		rows->items = heap_realloc(rows->items, rows->capacity * sizeof(*rows->items));
	}
	memmove(&rows->items[at + 1], &rows->items[at], (rows->count - at) * sizeof(*rows->items));
	rows->count++;
	rows->items[at] = (struct model_row){.key = heap_dup(key)};
	return &rows->items[at];
}

static void apply_row(struct model_rows *rows, const struct model_row *row, uint64_t ballot)
{
	struct model_row incoming = *row;
	if (ballot)
		incoming.version = ballot;
	size_t at = lower_bound(rows, row->key);
	bool exists = at < rows->count && slice_equal(rows->items[at].key, row->key);
	if (exists && !model_row_wins(&incoming, &rows->items[at]))
		return;
	struct model_row *stored = exists ? &rows->items[at] : insert_row(rows, at, row->key);
	/* The analyzer does not see that the row then gets another value.
	   NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	free((void *)stored->value.ptr);
	incoming.key = stored->key;
	incoming.value = heap_dup(row->value);
	*stored = incoming;
}

static void apply_batch(
	struct model_replica *replica, const struct model_batch *batch, uint64_t ballot)
{
	for (size_t i = 0; i < batch->count; i++)
		apply_row(&replica->rows, &batch->rows[i], ballot);
}

static struct paxos_state *state_of(struct model_replica *replica, struct slice partition)
{
	struct paxos_state *state = hash_map_find(&replica->paxos, partition);
	if (!state) {
		state = HEAP_NEW(struct paxos_state);
		hash_map_put(&replica->paxos, partition, state);
	}
	return state;
}

static enum reply prepare(const struct model_message *message)
{
	struct paxos_state *state = state_of(message->target, message->partition);
	if (message->ballot <= state->promised)
		return REPLY_NO;
	state->promised = message->ballot;
	*message->ret_state = *state;
	model_batch_ref(state->accepted_batch);
	model_batch_ref(state->committed_batch);
	return REPLY_YES;
}

static enum reply accept_proposal(const struct model_message *message)
{
	struct paxos_state *state = state_of(message->target, message->batch->partition);
	if (message->ballot < state->promised || message->ballot <= state->committed)
		return REPLY_NO;
	state->promised = state->accepted = message->ballot;
	model_batch_unref(state->accepted_batch);
	state->accepted_batch = model_batch_ref(message->batch);
	return REPLY_YES;
}

static enum reply commit_proposal(const struct model_message *message)
{
	struct paxos_state *state = state_of(message->target, message->batch->partition);
	apply_batch(message->target, message->batch, message->ballot);
	if (message->ballot > state->committed) {
		state->committed = message->ballot;
		model_batch_unref(state->committed_batch);
		state->committed_batch = model_batch_ref(message->batch);
	}
	if (state->accepted <= state->committed) {
		model_batch_unref(state->accepted_batch);
		state->accepted_batch = NULL;
		state->accepted = 0;
	}
	return REPLY_YES;
}

static enum reply read_rows(const struct model_message *message)
{
	const struct model_rows *rows = &message->target->rows;
	size_t low = lower_bound(rows, message->low);
	size_t high = lower_bound(rows, message->high);
	struct model_rows copies = {0};
	if (high > low) {
		copies.count = high - low;
		copies.items = ARENA_ARRAY(message->arena, struct model_row, copies.count);
	}
	for (size_t i = 0; i < copies.count; i++) {
		copies.items[i] = rows->items[low + i];
		copies.items[i].key = arena_dup(message->arena, rows->items[low + i].key);
		copies.items[i].value = arena_dup(message->arena, rows->items[low + i].value);
	}
	*message->ret_rows = copies;
	return REPLY_YES;
}

enum reply model_deliver(const struct model_message *message)
{
	switch (message->kind) {
	case MESSAGE_MUTATE:
		apply_batch(message->target, message->batch, 0);
		return REPLY_YES;
	case MESSAGE_PREPARE:
		return prepare(message);
	case MESSAGE_ACCEPT:
		return accept_proposal(message);
	case MESSAGE_COMMIT:
		return commit_proposal(message);
	case MESSAGE_READ:
		return read_rows(message);
	}
	return REPLY_NONE;
}

void model_replica_done(struct model_replica *replica)
{
	for (size_t i = 0; i < replica->rows.count; i++) {
		free((void *)replica->rows.items[i].key.ptr);
		free((void *)replica->rows.items[i].value.ptr);
	}
	free(replica->rows.items);
	struct hash_cursor cursor = {0};
	void *value;
	while (hash_map_next(&replica->paxos, &cursor, NULL, &value)) {
		struct paxos_state *state = value;
		model_batch_unref(state->accepted_batch);
		model_batch_unref(state->committed_batch);
		free(state);
	}
	hash_map_done(&replica->paxos);
}

/* The row at a position, NULL behind the last. */
static const struct model_row *row_at(const struct model_rows *rows, size_t position)
{
	return position < rows->count ? &rows->items[position] : NULL;
}

/* The copies that stand at the lowest key move on; the row that wins there, NULL at the end. */
static const struct model_row *next_merged(
	const struct model_rows *copies, size_t copy_count, size_t *positions)
{
	const struct model_row *winner = NULL;
	for (size_t i = 0; i < copy_count; i++) {
		const struct model_row *row = row_at(&copies[i], positions[i]);
		int order = row && winner ? slice_compare(row->key, winner->key) : -1;
		if (row && (order < 0 || (order == 0 && model_row_wins(row, winner))))
			winner = row;
	}
	if (!winner)
		return NULL;
	for (size_t i = 0; i < copy_count; i++) {
		const struct model_row *row = row_at(&copies[i], positions[i]);
		if (row && slice_equal(row->key, winner->key))
			positions[i]++;
	}
	return winner;
}

struct model_rows model_merge(
	struct arena *arena, const struct model_rows *copies, size_t copy_count)
{
	size_t positions[MODEL_MOST] = {0};
	size_t most = 0;
	for (size_t i = 0; i < copy_count; i++)
		most += copies[i].count;
	struct model_rows merged = {.items = ARENA_ARRAY(arena, struct model_row, most + 1)};
	const struct model_row *row;
	while ((row = next_merged(copies, copy_count, positions)))
		merged.items[merged.count++] = *row;
	return merged;
}

struct model_rows model_missing(
	struct arena *arena, const struct model_rows *merged, const struct model_rows *copy)
{
	struct model_rows missing = {
		.items = ARENA_ARRAY(arena, struct model_row, merged->count + 1)};
	size_t at = 0;
	for (size_t i = 0; i < merged->count; i++) {
		const struct model_row *row = &merged->items[i];
		bool has = at < copy->count && slice_equal(copy->items[at].key, row->key);
		if (!has || model_row_wins(row, &copy->items[at]))
			missing.items[missing.count++] = *row;
		at += has;
	}
	return missing;
}
