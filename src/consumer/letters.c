#include "consumer/consumer_private.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"

METRIC_GAUGE(letters_there, "dead_letters",
	"Events given up on that nobody has redelivered or deleted, counted each minute");

#define PAGE 500

/* ---- Names ---- */

struct slice letter_name(struct arena *arena, const struct letter *letter)
{
	return slice_from_cstr(arena_printf(arena, SLICE_FMT ":%s:%llu",
		SLICE_ARG(letter->consumer), uuid_text(arena, letter->account.uuid),
		(unsigned long long)letter->modseq));
}

static bool parse_name(struct slice name, struct letter *ret_letter)
{
	struct letter letter = {0};
	struct slice account;
	return slice_split(&name, ':', &letter.consumer) && slice_split(&name, ':', &account) &&
	       letter.consumer.len && letter.consumer.len <= CONSUMER_NAME_MOST &&
	       uuid_parse(account, &letter.account.uuid) && slice_parse_u64(name, &letter.modseq) &&
	       (*ret_letter = letter, true);
}

/* ---- One letter ---- */

static struct slice partition_of(struct op *op, const struct letter *letter)
{
	return key_dead_letters(&op->arena, letter->consumer, letter->modseq);
}

static struct slice key_of(struct op *op, const struct letter *letter)
{
	return key_dead_letter(&op->arena, letter->account, letter->modseq);
}

static struct error *write_letter(
	struct op *op, struct consumers *consumers, const struct letter *letter, bool is_delete)
{
	struct mutations list;
	mutations_init(&list, &op->arena);
	struct slice partition = partition_of(op, letter);
	uint64_t version = MAX_OF(clock_realtime_us(), letter->version + 1);
	if (is_delete)
		mutations_delete(&list, &dead_letter_table, partition, key_of(op, letter), version);
	else
		mutations_put(&list, &dead_letter_table, partition, key_of(op, letter),
			row_encode_in(&op->arena, &dead_letter_row, &letter->row), version);
	return engine_write(consumers->engine, op, list.items, list.count, DURABLE);
}

static void count_one(struct consumers *consumers, const struct letter *letter, int change)
{
	struct lane *lane = find_lane(consumers, letter->consumer);
	bool is_counted = change > 0 || consumers->letters > 0;
	if (!is_counted)
		return;
	consumers->letters += (uint64_t)(int64_t)change;
	if (lane && (change > 0 || lane->letters > 0))
		lane->letters += (uint64_t)(int64_t)change;
	metric_set(&letters_there, (int64_t)consumers->letters);
}

struct error *letter_put(struct op *op, struct consumers *consumers, const struct letter *letter)
{
	TRY(write_letter(op, consumers, letter, false));
	count_one(consumers, letter, 1);
	return NULL;
}

struct error *letter_delete(struct op *op, struct consumers *consumers, const struct letter *letter)
{
	TRY(write_letter(op, consumers, letter, true));
	count_one(consumers, letter, -1);
	return NULL;
}

static struct error *decode(struct op *op, const struct engine_row *row, struct letter *letter)
{
	struct reader key = reader_of(slice_from(row->key, 1));
	struct slice account = reader_bytes(&key, sizeof(struct uuid));
	letter->modseq = reader_u64(&key);
	letter->version = row->version;
	if (!reader_is_complete(&key) || !uuid_from_slice(account, &letter->account.uuid))
		return op_fail(op, ERR_CORRUPT, "the key of a dead letter is no key");
	return row_decode(op, &dead_letter_row, row->value, &letter->row);
}

struct error *letter_get(
	struct op *op, struct consumers *consumers, struct slice name, struct letter *ret_letter)
{
	struct letter letter;
	struct engine_row row;
	bool found = parse_name(name, &letter);
	if (found)
		TRY(engine_get(consumers->engine, op, &dead_letter_table, partition_of(op, &letter),
			key_of(op, &letter), READ_NORMAL, &found, &row));
	if (!found)
		return op_fail(op, ERR_NOT_FOUND, "there is no such dead letter");
	TRY(decode(op, &row, &letter));
	*ret_letter = letter;
	return NULL;
}

/* ---- Many ---- */

static int compare_keys(const void *a, const void *b)
{
	return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Days and consumers, the oldest day first. */
static struct error *list_partitions(struct op *op, struct consumers *consumers,
	struct slice **ret_partitions, size_t *ret_count)
{
	struct buf all = buf_in(&op->arena);
	struct slice after = SLICE_NONE;
	struct slice *page;
	for (size_t count = 1; count;) {
		TRY(engine_partitions(
			consumers->engine, op, &dead_letter_table, after, PAGE, &page, &count));
		buf_append(&all, slice_of(page, count * sizeof(*page)));
		if (count)
			after = page[count - 1];
	}
	*ret_count = all.len / sizeof(struct slice);
	*ret_partitions = ARENA_ARRAY(&op->arena, struct slice, *ret_count + 1);
	if (all.len)
		memcpy(*ret_partitions, all.ptr, all.len);
	qsort(*ret_partitions, *ret_count, sizeof(struct slice), compare_keys);
	return NULL;
}

static struct error *scan_behind(struct op *op, struct consumers *consumers, struct slice partition,
	struct slice key, struct engine_rows *ret_rows)
{
	/* The next key there can be. */
	struct buf from = buf_in(&op->arena);
	buf_append(&from, key);
	if (key.len)
		buf_u8(&from, 0);
	return engine_scan(consumers->engine, op, &dead_letter_table, partition,
		buf_as_slice(&from), SLICE_NONE, PAGE, false, READ_NORMAL, ret_rows);
}

static bool is_wanted(const struct letter_filter *filter, const struct letter *letter)
{
	struct slice address = letter->row.address;
	struct slice domain = slice_from(address, slice_find_char(address, '@') + 1);
	return (!filter->address.len || slice_equal(filter->address, address)) &&
	       (!filter->domain.len || slice_equal(filter->domain, domain));
}

struct listing {
	const struct letter_filter *filter;
	size_t limit;
	struct letter *letters;
	size_t count;
	bool is_full; /* and there is another */
};

static struct error *list_rows(struct op *op, const struct engine_rows *rows, struct slice consumer,
	struct listing *listing)
{
	for (size_t i = 0; i < rows->count && !listing->is_full; i++) {
		struct letter letter = {.consumer = consumer};
		TRY(decode(op, &rows->rows[i], &letter));
		if (!is_wanted(listing->filter, &letter))
			continue;
		listing->is_full = listing->count == listing->limit;
		if (!listing->is_full)
			listing->letters[listing->count++] = letter;
	}
	return NULL;
}

/* Of a page that is not needed any more only where it ended is kept. */
static struct slice release_all_but_key(struct op *op, struct arena_mark mark, struct slice key)
{
	char last[64];
	key = slice_range(key, 0, sizeof(last));
	memcpy(last, key.ptr, key.len);
	arena_release(&op->arena, mark);
	return arena_dup(&op->arena, slice_of(last, key.len));
}

static struct error *list_partition(struct op *op, struct consumers *consumers,
	struct slice partition, struct slice key, struct listing *listing)
{
	struct engine_rows rows = {.count = PAGE};
	struct slice consumer = slice_from(partition, sizeof(uint32_t));
	if (listing->filter->consumer.len && !slice_equal(listing->filter->consumer, consumer))
		return NULL;
	while (rows.count == PAGE && !listing->is_full) {
		struct arena_mark mark = arena_mark(&op->arena);
		size_t before = listing->count;
		TRY(scan_behind(op, consumers, partition, key, &rows));
		TRY(list_rows(op, &rows, consumer, listing));
		if (!rows.count)
			return NULL;
		key = rows.rows[rows.count - 1].key;
		if (listing->count == before)
			key = release_all_but_key(op, mark, key);
	}
	return NULL;
}

struct error *letters_list(struct op *op, struct consumers *consumers,
	const struct letter_filter *filter, struct slice after, size_t limit,
	struct letter **ret_letters, size_t *ret_count, bool *ret_more)
{
	struct letter last;
	struct slice *partitions;
	size_t count;
	struct slice begin = SLICE_NONE, key = SLICE_NONE;
	struct listing listing = {.filter = filter,
		.limit = limit,
		.letters = ARENA_ARRAY(&op->arena, struct letter, limit + 1)};
	if (after.len && !parse_name(after, &last))
		return op_fail(op, ERR_INVALID, "this is the name of no dead letter");
	if (after.len) {
		begin = partition_of(op, &last);
		key = key_of(op, &last);
	}
	TRY(list_partitions(op, consumers, &partitions, &count));
	for (size_t i = 0; i < count && !listing.is_full; i++) {
		int order = slice_compare(partitions[i], begin);
		if (order >= 0)
			TRY(list_partition(
				op, consumers, partitions[i], order ? SLICE_NONE : key, &listing));
	}
	*ret_letters = listing.letters;
	*ret_count = listing.count;
	*ret_more = listing.is_full;
	return NULL;
}

static struct error *count_partition(
	struct op *op, struct consumers *consumers, struct slice partition, uint64_t *ret_count)
{
	struct slice key = SLICE_NONE;
	*ret_count = 0;
	for (size_t count = PAGE; count == PAGE;) {
		struct engine_rows rows;
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(scan_behind(op, consumers, partition, key, &rows));
		count = rows.count;
		*ret_count += count;
		if (count)
			key = release_all_but_key(op, mark, rows.rows[count - 1].key);
	}
	return NULL;
}

struct error *letters_count(struct op *op, struct consumers *consumers)
{
	struct slice *partitions;
	size_t count;
	uint64_t of_lane[CONSUMERS_MOST] = {0};
	uint64_t all = 0;
	TRY(list_partitions(op, consumers, &partitions, &count));
	for (size_t i = 0; i < count; i++) {
		uint64_t found;
		struct lane *lane =
			find_lane(consumers, slice_from(partitions[i], sizeof(uint32_t)));
		TRY(count_partition(op, consumers, partitions[i], &found));
		all += found;
		if (lane)
			of_lane[lane - consumers->lanes] += found;
	}
	for (size_t i = 0; i < consumers->lane_count; i++)
		consumers->lanes[i].letters = of_lane[i];
	consumers->letters = all;
	metric_set(&letters_there, (int64_t)all);
	return NULL;
}

/* ---- Again ---- */

static struct error *keep_letter(struct op *op, struct consumers *consumers,
	const struct letter *letter, const struct consumer_outcome *outcome)
{
	struct letter again = *letter;
	again.row.attempts++;
	again.row.failed_us = clock_realtime_us();
	again.row.last_error = slice_range(slice_from_cstr(outcome->reason), 0, REASON_MOST);
	return write_letter(op, consumers, &again, false);
}

struct error *letter_redeliver(struct op *op, struct consumers *consumers,
	const struct letter *letter, struct consumer_outcome *ret_outcome)
{
	struct lane *lane = find_lane(consumers, letter->consumer);
	const struct consumer_event event = {.account = letter->account,
		.address = letter->row.address,
		.modseq = letter->modseq,
		.operation_id = letter->row.operation_id,
		.entry = letter->row.payload};
	if (!lane)
		return op_fail(op, ERR_NOT_FOUND, "this node has no consumer " SLICE_FMT,
			SLICE_ARG(letter->consumer));
	TRY(event_take(op, lane, &event, ret_outcome));
	bool is_done =
		ret_outcome->delivery == DELIVERY_DONE || ret_outcome->delivery == DELIVERY_NOTHING;
	log_info(op, "dead-letter-redelivered", FIELD_SLICE("consumer", letter->consumer),
		FIELD_ID("account", op, letter->account.uuid), FIELD_U64("modseq", letter->modseq),
		FIELD_TEXT("outcome", is_done ? "done" : ret_outcome->reason));
	return is_done ? letter_delete(op, consumers, letter)
		       : keep_letter(op, consumers, letter, ret_outcome);
}
