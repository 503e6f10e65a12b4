#include "mailbox/snapshot_private.h"

#include <stdlib.h>

#include "base/metric.h"

METRIC_GAUGE(snapshots_alive, "snapshots", "Mailbox snapshots in memory");

static struct block *block_new(uint32_t count, uint32_t capacity)
{
	struct block *block = HEAP_NEW(struct block);
	block->references = 1;
	block->count = count;
	block->capacity = capacity;
	/* One allocation, widest first. */
	size_t size = sizeof(*block->modseqs) + sizeof(*block->uids) +
		      sizeof(*block->keyword_sets) + sizeof(*block->flags);
	block->modseqs = heap_alloc(capacity * size);
	block->uids = (uint32_t *)(void *)(block->modseqs + capacity);
	block->keyword_sets = (uint16_t *)(void *)(block->uids + capacity);
	block->flags = (uint8_t *)(block->keyword_sets + capacity);
	return block;
}

static struct block *block_ref(struct block *block)
{
	__atomic_fetch_add(&block->references, 1, __ATOMIC_RELAXED);
	return block;
}

static void block_unref(struct block *block)
{
	if (__atomic_sub_fetch(&block->references, 1, __ATOMIC_ACQ_REL))
		return;
	free(block->modseqs);
	free(block);
}

/* Copies messages [from, from + count) of one block to `at` in another. */
static void block_copy(struct block *target, uint32_t at, const struct block *source, uint32_t from,
	uint32_t count)
{
	if (!count)
		return;
	memcpy(target->modseqs + at, source->modseqs + from, count * sizeof(*target->modseqs));
	memcpy(target->uids + at, source->uids + from, count * sizeof(*target->uids));
	memcpy(target->keyword_sets + at, source->keyword_sets + from,
		count * sizeof(*target->keyword_sets));
	memcpy(target->flags + at, source->flags + from, count * sizeof(*target->flags));
}

static void keywords_unref(struct keyword_table *table)
{
	if (table && !__atomic_sub_fetch(&table->references, 1, __ATOMIC_ACQ_REL))
		free(table);
}

static struct keyword_table *keywords_copy(const struct keyword_table *base, uint32_t more)
{
	uint32_t count = base ? base->count : 1;
	struct keyword_table *table =
		heap_alloc(sizeof(*table) + (count + more) * sizeof(struct keyword_set));
	table->references = 1;
	table->count = count;
	table->capacity = count + more;
	if (base)
		memcpy(table->sets, base->sets, count * sizeof(struct keyword_set));
	return table;
}

/* ---- Builder ---- */

void builder_begin(struct snapshot_builder *builder, const struct snapshot *base)
{
	*builder = (struct snapshot_builder){0};
	hash_map_init(&builder->keyword_index);
	if (!base) {
		builder->keywords = keywords_copy(NULL, 0);
		return;
	}
	builder->capacity = base->block_count + 1;
	builder->blocks = heap_alloc(builder->capacity * sizeof(struct block *));
	builder->is_own = heap_alloc(builder->capacity * sizeof(bool));
	builder->block_count = base->block_count;
	for (size_t i = 0; i < base->block_count; i++)
		builder->blocks[i] = block_ref(base->blocks[i]);
	builder->keywords = base->keywords;
	__atomic_fetch_add(&builder->keywords->references, 1, __ATOMIC_RELAXED);
}

void builder_drop(struct snapshot_builder *builder)
{
	for (size_t i = 0; i < builder->block_count; i++)
		block_unref(builder->blocks[i]);
	free(builder->blocks);
	free(builder->is_own);
	keywords_unref(builder->keywords);
	hash_map_done(&builder->keyword_index);
	*builder = (struct snapshot_builder){0};
}

/* The block that holds `uid`, or would: the first whose last UID is not below it. */
static size_t find_block(const struct snapshot_builder *builder, uint32_t uid)
{
	size_t low = 0;
	size_t high = builder->block_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct block *block = builder->blocks[middle];
		if (block->uids[block->count - 1] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t find_in_block(const struct block *block, uint32_t uid)
{
	uint32_t low = 0;
	uint32_t high = block->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (block->uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert_block(struct snapshot_builder *builder, size_t at, struct block *block)
{
	if (builder->block_count == builder->capacity) {
		builder->capacity = builder->capacity ? builder->capacity * 2 : 8;
		builder->blocks =
			heap_realloc(builder->blocks, builder->capacity * sizeof(struct block *));
		builder->is_own = heap_realloc(builder->is_own, builder->capacity * sizeof(bool));
	}
	size_t behind = builder->block_count - at;
	memmove(builder->blocks + at + 1, builder->blocks + at, behind * sizeof(struct block *));
	memmove(builder->is_own + at + 1, builder->is_own + at, behind * sizeof(bool));
	builder->blocks[at] = block;
	builder->is_own[at] = true;
	builder->block_count++;
}

static void replace_block(struct snapshot_builder *builder, size_t at, struct block *block)
{
	block_unref(builder->blocks[at]);
	builder->blocks[at] = block;
	builder->is_own[at] = true;
}

static void remove_block(struct snapshot_builder *builder, size_t at)
{
	block_unref(builder->blocks[at]);
	size_t behind = builder->block_count - at - 1;
	memmove(builder->blocks + at, builder->blocks + at + 1, behind * sizeof(struct block *));
	memmove(builder->is_own + at, builder->is_own + at + 1, behind * sizeof(bool));
	builder->block_count--;
}

static struct block *own_block(struct snapshot_builder *builder, size_t at)
{
	struct block *block = builder->blocks[at];
	if (builder->is_own[at])
		return block;
	struct block *copy = block_new(block->count, block->count);
	block_copy(copy, 0, block, 0, block->count);
	replace_block(builder, at, copy);
	return copy;
}

static struct slice set_bytes(const struct keyword_set *set)
{
	return slice_of(set, sizeof(*set));
}

static void index_keywords(struct snapshot_builder *builder)
{
	for (uint32_t i = 1; i < builder->keywords->count; i++)
		hash_map_put(&builder->keyword_index, set_bytes(&builder->keywords->sets[i]),
			(void *)(uintptr_t)(i + 1));
}

static uint16_t add_keywords(struct snapshot_builder *builder, const struct keyword_set *keywords)
{
	struct keyword_table *table = builder->keywords;
	if (table->count == KEYWORD_SETS_MAX)
		return 0;
	/* A table that a snapshot shows is shared with it, and not changed. */
	bool is_shared = __atomic_load_n(&table->references, __ATOMIC_ACQUIRE) > 1;
	if (is_shared || table->count == table->capacity) {
		struct keyword_table *larger = keywords_copy(table, MAX_OF(4, table->count));
		keywords_unref(table);
		builder->keywords = table = larger;
	}
	table->sets[table->count++] = *keywords;
	hash_map_put(&builder->keyword_index, set_bytes(keywords), (void *)(uintptr_t)table->count);
	return (uint16_t)(table->count - 1);
}

static uint16_t intern_keywords(
	struct snapshot_builder *builder, const struct keyword_set *keywords)
{
	if (keyword_set_is_empty(keywords))
		return 0;
	if (!builder->keyword_index.count)
		index_keywords(builder);
	void *known = hash_map_find(&builder->keyword_index, set_bytes(keywords));
	return known ? (uint16_t)((uintptr_t)known - 1) : add_keywords(builder, keywords);
}

static void set_message(struct block *block, uint32_t at, uint32_t uid, uint16_t flags,
	uint16_t keyword_set, uint64_t modseq)
{
	block->uids[at] = uid;
	block->flags[at] = (uint8_t)flags;
	block->keyword_sets[at] = keyword_set;
	block->modseqs[at] = modseq;
}

/* Splits a full block in two halves; where `position` of it is now. */
static void split_block(
	struct snapshot_builder *builder, size_t *inout_at, uint32_t *inout_position)
{
	struct block *block = builder->blocks[*inout_at];
	uint32_t half = BLOCK_MESSAGES / 2;
	struct block *low = block_new(half, half + 1);
	struct block *high = block_new(BLOCK_MESSAGES - half, BLOCK_MESSAGES - half + 1);
	block_copy(low, 0, block, 0, half);
	block_copy(high, 0, block, half, BLOCK_MESSAGES - half);
	replace_block(builder, *inout_at, low);
	insert_block(builder, *inout_at + 1, high);
	if (*inout_position > half) {
		++*inout_at;
		*inout_position -= half;
	}
}

static void shift_up(struct block *block, uint32_t position)
{
	uint32_t behind = block->count - position;
	memmove(block->modseqs + position + 1, block->modseqs + position,
		behind * sizeof(uint64_t));
	memmove(block->uids + position + 1, block->uids + position, behind * sizeof(uint32_t));
	memmove(block->keyword_sets + position + 1, block->keyword_sets + position,
		behind * sizeof(uint16_t));
	memmove(block->flags + position + 1, block->flags + position, behind);
	block->count++;
}

/* Makes room for one message at `position` of block `at`; a full block is split, or if the message
 * comes last, a new one is begun. */
static struct block *make_room(
	struct snapshot_builder *builder, size_t at, uint32_t *inout_position)
{
	struct block *block = builder->blocks[at];
	if (block->count == BLOCK_MESSAGES && *inout_position == block->count) {
		struct block *next = block_new(1, 64);
		insert_block(builder, at + 1, next);
		*inout_position = 0;
		return next;
	}
	if (block->count == BLOCK_MESSAGES)
		split_block(builder, &at, inout_position);
	block = builder->blocks[at];
	if (!builder->is_own[at] || block->count == block->capacity) {
		/* Room for more: a builder that adds one message often adds others. */
		uint32_t capacity = MIN_OF(BLOCK_MESSAGES, block->count + block->count / 2 + 8);
		struct block *larger = block_new(block->count, capacity);
		block_copy(larger, 0, block, 0, block->count);
		replace_block(builder, at, larger);
		block = larger;
	}
	shift_up(block, *inout_position);
	return block;
}

/* Memory that was taken ahead is given back. */
static void shrink_blocks(struct snapshot_builder *builder)
{
	for (size_t i = 0; i < builder->block_count; i++) {
		struct block *block = builder->blocks[i];
		if (!builder->is_own[i] || block->capacity - block->count <= block->count / 64)
			continue;
		struct block *exact = block_new(block->count, block->count);
		block_copy(exact, 0, block, 0, block->count);
		replace_block(builder, i, exact);
	}
}

void builder_put(struct snapshot_builder *builder, uint32_t uid, uint16_t flags,
	const struct keyword_set *keywords, uint64_t modseq)
{
	uint16_t keyword_set = intern_keywords(builder, keywords);
	size_t at = find_block(builder, uid);
	if (at == builder->block_count && at)
		at--; /* behind everything: the last block takes it */
	if (!builder->block_count) {
		insert_block(builder, 0, block_new(1, 64));
		set_message(builder->blocks[0], 0, uid, flags, keyword_set, modseq);
		return;
	}
	uint32_t position = find_in_block(builder->blocks[at], uid);
	struct block *block = builder->blocks[at];
	if (position < block->count && block->uids[position] == uid)
		block = own_block(builder, at);
	else
		block = make_room(builder, at, &position);
	set_message(block, position, uid, flags, keyword_set, modseq);
}

void builder_remove(struct snapshot_builder *builder, uint32_t uid)
{
	size_t at = find_block(builder, uid);
	if (at == builder->block_count)
		return;
	struct block *block = builder->blocks[at];
	uint32_t position = find_in_block(block, uid);
	if (position == block->count || block->uids[position] != uid)
		return;
	if (block->count == 1) {
		remove_block(builder, at);
		return;
	}
	struct block *smaller = block_new(block->count - 1, block->count - 1);
	block_copy(smaller, 0, block, 0, position);
	block_copy(smaller, position, block, position + 1, block->count - position - 1);
	replace_block(builder, at, smaller);
}

bool builder_get(const struct snapshot_builder *builder, uint32_t uid, uint16_t *ret_flags,
	struct keyword_set *ret_keywords)
{
	size_t at = find_block(builder, uid);
	if (at == builder->block_count)
		return false;
	const struct block *block = builder->blocks[at];
	uint32_t position = find_in_block(block, uid);
	if (position == block->count || block->uids[position] != uid)
		return false;
	*ret_flags = block->flags[position];
	*ret_keywords = builder->keywords->sets[block->keyword_sets[position]];
	return true;
}

static bool is_in_scope(const struct builder_scope *scope, uint32_t uid, uint64_t modseq)
{
	if (uid < scope->first_uid || uid > scope->last_uid)
		return false;
	size_t chunk = uid >> MAILBOX_MAP_CHUNK_BITS;
	return !scope->as_of || chunk >= scope->chunk_count || modseq > scope->as_of[chunk];
}

static void apply_flags(struct snapshot_builder *builder, const struct builder_scope *scope,
	const struct log_item *item, uint64_t modseq)
{
	for (size_t i = 0; i < item->uids.count; i++)
		for (uint64_t uid = item->uids.ranges[i].first; uid <= item->uids.ranges[i].last;
			uid++) {
			uint16_t flags;
			struct keyword_set keywords;
			if (!is_in_scope(scope, (uint32_t)uid, modseq) ||
				!builder_get(builder, (uint32_t)uid, &flags, &keywords))
				continue;
			flags_apply(item->mode, item->flags, &item->keywords, &flags, &keywords);
			builder_put(builder, (uint32_t)uid, flags, &keywords, modseq);
		}
}

static void apply_append(struct snapshot_builder *builder, const struct builder_scope *scope,
	const struct log_item *item, uint64_t modseq)
{
	struct keyword_set keywords = {0};
	if (is_in_scope(scope, item->uid, modseq) &&
		keyword_set_decode(item->row.keywords, &keywords))
		builder_put(builder, item->uid, item->row.flags, &keywords, modseq);
}

struct error *builder_apply(struct op *op, struct snapshot_builder *builder,
	const struct builder_scope *scope, const struct log_row *row)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item)) {
		if (!ID_EQUAL(item.mailbox, scope->mailbox))
			continue;
		switch (item.kind) {
		case LOG_APPEND:
			apply_append(builder, scope, &item, row->modseq);
			break;
		case LOG_FLAGS:
			apply_flags(builder, scope, &item, row->modseq);
			break;
		case LOG_EXPUNGE:
			for (size_t i = 0; i < item.expunged_count; i++)
				if (is_in_scope(scope, item.expunged[i].uid, row->modseq))
					builder_remove(builder, item.expunged[i].uid);
			break;
		case LOG_DELETION:
		case LOG_MAILBOX:
		case LOG_METADATA:
		case LOG_GRANTS:
			break;
		}
	}
	return log.err;
}

static struct error *keep_keyword_names(
	struct op *op, struct snapshot *snapshot, const struct account_mailbox *row)
{
	struct keyword_names names;
	if (!keyword_names_decode(&op->arena, row->keywords, &names))
		return op_fail(op, ERR_CORRUPT, "the keywords of a mailbox cannot be read");
	/* The array and the names in one piece of memory that lives as long as the snapshot. */
	size_t size = names.count * sizeof(struct slice);
	for (size_t i = 0; i < names.count; i++)
		size += names.names[i].len;
	snapshot->keyword_bytes = heap_alloc(size);
	snapshot->keyword_names.names = (struct slice *)(void *)snapshot->keyword_bytes;
	snapshot->keyword_names.count = names.count;
	char *at = snapshot->keyword_bytes + names.count * sizeof(struct slice);
	for (size_t i = 0; i < names.count; i++) {
		memcpy(at, names.names[i].ptr, names.names[i].len);
		snapshot->keyword_names.names[i] = slice_of(at, names.names[i].len);
		at += names.names[i].len;
	}
	return NULL;
}

struct error *builder_finish(struct op *op, struct snapshot_builder *builder,
	struct mailbox_id mailbox, const struct account_mailbox *row, uint64_t as_of,
	struct snapshot **ret_snapshot)
{
	shrink_blocks(builder);
	struct snapshot *snapshot = HEAP_NEW(struct snapshot);
	snapshot->references = 1;
	snapshot->mailbox = mailbox;
	snapshot->uidvalidity = row->uidvalidity;
	snapshot->uidnext = row->uidnext;
	snapshot->highest_modseq = row->highest_modseq;
	snapshot->is_deleted = row->deleted_modseq != 0;
	snapshot->as_of = as_of;
	snapshot->keywords = builder->keywords;
	snapshot->block_count = builder->block_count;
	snapshot->blocks = builder->blocks;
	snapshot->starts = heap_alloc(builder->block_count * sizeof(uint32_t));
	for (size_t i = 0; i < builder->block_count; i++) {
		snapshot->starts[i] = snapshot->count;
		snapshot->count += builder->blocks[i]->count;
	}
	free(builder->is_own);
	hash_map_done(&builder->keyword_index);
	*builder = (struct snapshot_builder){0};
	metric_add(&snapshots_alive, 1);
	struct error *err = keep_keyword_names(op, snapshot, row);
	if (err) {
		snapshot_unref(snapshot);
		return err;
	}
	*ret_snapshot = snapshot;
	return NULL;
}

/* ---- Reading ---- */

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	__atomic_fetch_add(&snapshot->references, 1, __ATOMIC_RELAXED);
	return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
	if (!snapshot || __atomic_sub_fetch(&snapshot->references, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < snapshot->block_count; i++)
		block_unref(snapshot->blocks[i]);
	free(snapshot->blocks);
	free(snapshot->starts);
	free(snapshot->keyword_bytes);
	keywords_unref(snapshot->keywords);
	free(snapshot);
	metric_add(&snapshots_alive, -1);
}

struct mailbox_id snapshot_mailbox(const struct snapshot *snapshot)
{
	return snapshot->mailbox;
}

uint32_t snapshot_count(const struct snapshot *snapshot)
{
	return snapshot->count;
}

uint32_t snapshot_uidvalidity(const struct snapshot *snapshot)
{
	return snapshot->uidvalidity;
}

uint32_t snapshot_uidnext(const struct snapshot *snapshot)
{
	return snapshot->uidnext;
}

uint64_t snapshot_highest_modseq(const struct snapshot *snapshot)
{
	return snapshot->highest_modseq;
}

bool snapshot_is_deleted(const struct snapshot *snapshot)
{
	return snapshot->is_deleted;
}

static size_t block_at(const struct snapshot *snapshot, uint32_t position)
{
	size_t low = 0;
	size_t high = snapshot->block_count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (snapshot->starts[middle] <= position)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static struct snapshot_message message_in(const struct block *block, uint32_t at)
{
	return (struct snapshot_message){.uid = block->uids[at],
		.flags = block->flags[at],
		.keyword_set = block->keyword_sets[at],
		.modseq = block->modseqs[at]};
}

struct snapshot_message snapshot_at(const struct snapshot *snapshot, uint32_t position)
{
	size_t at = block_at(snapshot, position);
	return message_in(snapshot->blocks[at], position - snapshot->starts[at]);
}

uint32_t snapshot_lower_bound(const struct snapshot *snapshot, uint32_t uid)
{
	size_t low = 0;
	size_t high = snapshot->block_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct block *block = snapshot->blocks[middle];
		if (block->uids[block->count - 1] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == snapshot->block_count)
		return snapshot->count;
	return snapshot->starts[low] + find_in_block(snapshot->blocks[low], uid);
}

bool snapshot_find(const struct snapshot *snapshot, uint32_t uid, uint32_t *ret_position,
	struct snapshot_message *ret_message)
{
	uint32_t position = snapshot_lower_bound(snapshot, uid);
	if (position == snapshot->count)
		return false;
	struct snapshot_message message = snapshot_at(snapshot, position);
	if (message.uid != uid)
		return false;
	if (ret_position)
		*ret_position = position;
	if (ret_message)
		*ret_message = message;
	return true;
}

const struct keyword_set *snapshot_keywords(
	const struct snapshot *snapshot, const struct snapshot_message *message)
{
	return &snapshot->keywords->sets[message->keyword_set];
}

const struct keyword_names *snapshot_keyword_names(const struct snapshot *snapshot)
{
	return &snapshot->keyword_names;
}

uint32_t snapshot_count_flags(const struct snapshot *snapshot, uint16_t with, uint16_t without)
{
	uint32_t count = 0;
	for (size_t i = 0; i < snapshot->block_count; i++) {
		const struct block *block = snapshot->blocks[i];
		for (uint32_t j = 0; j < block->count; j++)
			count += (block->flags[j] & with) == with && !(block->flags[j] & without);
	}
	return count;
}

uint32_t snapshot_first_unseen(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->block_count; i++) {
		const struct block *block = snapshot->blocks[i];
		for (uint32_t j = 0; j < block->count; j++)
			if (!(block->flags[j] & FLAG_SEEN))
				return snapshot->starts[i] + j;
	}
	return snapshot->count;
}

/* A place in a snapshot's blocks. */
struct place {
	const struct snapshot *snapshot;
	size_t block;
	uint32_t at;
};

static bool place_has(const struct place *place)
{
	return place->block < place->snapshot->block_count;
}

static struct snapshot_message place_message(const struct place *place)
{
	return message_in(place->snapshot->blocks[place->block], place->at);
}

static void place_next(struct place *place)
{
	if (++place->at == place->snapshot->blocks[place->block]->count) {
		place->block++;
		place->at = 0;
	}
}

static bool skip_shared_block(struct place *before, struct place *after)
{
	if (before->at || after->at || !place_has(before) || !place_has(after) ||
		before->snapshot->blocks[before->block] != after->snapshot->blocks[after->block])
		return false;
	before->block++;
	after->block++;
	return true;
}

void snapshot_diff(struct arena *arena, const struct snapshot *before, const struct snapshot *after,
	struct snapshot_difference *ret_difference)
{
	uid_set_init(&ret_difference->expunged, arena);
	uid_set_init(&ret_difference->added, arena);
	uid_set_init(&ret_difference->changed, arena);
	struct place old = {.snapshot = before};
	struct place new = {.snapshot = after};
	while (place_has(&old) || place_has(&new)) {
		if (skip_shared_block(&old, &new))
			continue;
		struct snapshot_message was =
			place_has(&old) ? place_message(&old) : (struct snapshot_message){0};
		struct snapshot_message is =
			place_has(&new) ? place_message(&new) : (struct snapshot_message){0};
		if (!place_has(&new) || (place_has(&old) && was.uid < is.uid)) {
			uid_set_add(&ret_difference->expunged, was.uid);
			place_next(&old);
		} else if (!place_has(&old) || is.uid < was.uid) {
			uid_set_add(&ret_difference->added, is.uid);
			place_next(&new);
		} else {
			if (was.modseq != is.modseq)
				uid_set_add(&ret_difference->changed, is.uid);
			place_next(&old);
			place_next(&new);
		}
	}
}

size_t snapshot_memory(const struct snapshot *snapshot)
{
	size_t size = sizeof(*snapshot) +
		      snapshot->block_count * (sizeof(struct block *) + sizeof(uint32_t)) +
		      sizeof(struct keyword_table) +
		      snapshot->keywords->count * sizeof(struct keyword_set);
	for (size_t i = 0; i < snapshot->block_count; i++)
		size += sizeof(struct block) + snapshot->blocks[i]->capacity * (size_t)15;
	return size;
}
