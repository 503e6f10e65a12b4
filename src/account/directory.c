#include "account/account_private.h"

#include "base/clock.h"

/* The names for listing, held against the records that they are of. */

/* A name is noted before its record is made: one without a record is somebody's for so long. */
#define MAKING_LASTS_US (3600 * US_PER_S)

static const struct table *table_of(enum directory_kind kind)
{
	switch (kind) {
	case DIRECTORY_DOMAIN:
		return &domain_table;
	case DIRECTORY_USER:
		return &user_table;
	case DIRECTORY_ALIAS:
		break;
	}
	return &alias_table;
}

struct listed {
	bool is_live;
	struct account_id account;
};

static struct error *read_record(struct op *op, struct accounts *accounts, enum directory_kind kind,
	struct slice name, struct listed *ret_listed)
{
	union {
		struct domain domain;
		struct user user;
		struct alias alias;
	} row;
	struct slice encoded;
	bool found;
	*ret_listed = (struct listed){0};
	TRY(record_read(op, accounts, table_of(kind), name, &row, &encoded, &found));
	if (!found)
		return NULL;
	switch (kind) {
	case DIRECTORY_DOMAIN:
		ret_listed->is_live = row.domain.state != RECORD_DELETED;
		break;
	case DIRECTORY_USER:
		ret_listed->is_live = row.user.state != RECORD_DELETED;
		ret_listed->account.uuid = row.user.account_id;
		break;
	case DIRECTORY_ALIAS:
		ret_listed->is_live = row.alias.state != RECORD_DELETED;
		break;
	}
	return NULL;
}

struct error *directory_hold(struct op *op, struct accounts *accounts, enum directory_kind kind,
	struct slice name, struct repair_report *report)
{
	struct listed record;
	struct engine_row row;
	struct directory stored = {0};
	bool found;
	TRY(read_record(op, accounts, kind, name, &record));
	report->checked++;
	if (!record.is_live)
		return NULL;
	TRY(engine_get(accounts->engine, op, &directory_table,
		key_directory(&op->arena, kind, name), key_text_row(&op->arena, name), READ_NORMAL,
		&found, &row));
	struct error *err = found ? row_decode(op, &directory_row, row.value, &stored) : NULL;
	bool is_right = found && !err && uuid_equal(stored.account_id, record.account.uuid);
	if (is_right)
		return NULL;
	report->missing += !found;
	report->stale += found;
	TRY(directory_note(op, accounts, kind, name, record.account, true));
	report->fixed++;
	return NULL;
}

struct error *accounts_hold_records(struct op *op, struct accounts *accounts, unsigned kind,
	struct slice after, struct slice *ret_last, size_t *ret_count,
	struct repair_report *inout_report)
{
	struct slice *names;
	TRY(engine_partitions(accounts->engine, op, table_of((enum directory_kind)kind), after,
		DIRECTORY_PAGE, &names, ret_count));
	for (size_t i = 0; i < *ret_count; i++)
		TRY(directory_hold(
			op, accounts, (enum directory_kind)kind, names[i], inout_report));
	if (*ret_count)
		*ret_last = names[*ret_count - 1];
	return NULL;
}

static struct error *hold_name(struct op *op, struct accounts *accounts, enum directory_kind kind,
	struct slice partition, const struct engine_row *row, struct repair_report *report)
{
	struct listed record;
	struct mutations gone;
	TRY(read_record(op, accounts, kind, slice_from(row->key, 1), &record));
	if (record.is_live || row->version + MAKING_LASTS_US > clock_realtime_us())
		return NULL;
	report->orphaned++;
	/* Exactly what was seen: whoever notes the name anew wins. */
	mutations_init(&gone, &op->arena);
	mutations_delete(&gone, &directory_table, partition, row->key, row->version);
	TRY(engine_write(accounts->engine, op, gone.items, gone.count, DURABLE));
	report->fixed++;
	return NULL;
}

struct error *accounts_hold_names(
	struct op *op, struct accounts *accounts, unsigned kind, struct repair_report *inout_report)
{
	for (unsigned shard = 0; shard < DIRECTORY_SHARDS; shard++) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct engine_rows rows;
		struct slice partition =
			key_directory_shard(&op->arena, (enum directory_kind)kind, (uint8_t)shard);
		TRY(engine_scan(accounts->engine, op, &directory_table, partition, SLICE_NONE,
			SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
		for (size_t i = 0; i < rows.count; i++)
			TRY(hold_name(op, accounts, (enum directory_kind)kind, partition,
				&rows.rows[i], inout_report));
		arena_release(&op->arena, mark);
	}
	return NULL;
}
