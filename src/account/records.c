#include "account/account_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"

/* Domains, users and aliases are single rows, each changed by a CAS on its revision. */

#define ATTEMPTS 16

/* Whoever signs in only to read can do so while nothing can be changed. That there is no such row
 * is not believed. */
static struct error *read_relaxed(struct op *op, struct accounts *accounts,
	const struct table *table, struct slice name, bool *ret_found, struct engine_row *ret_row,
	struct error *failure)
{
	TRY(engine_get(
		accounts->engine, op, table, name, SLICE_NONE, READ_RELAXED, ret_found, ret_row));
	return *ret_found ? NULL : failure;
}

static struct error *read_at(struct op *op, struct accounts *accounts, const struct table *table,
	struct slice name, enum read_level level, void *ret_row, struct slice *ret_encoded,
	bool *ret_found)
{
	struct engine_row row;
	*ret_encoded = SLICE_NONE;
	struct error *err =
		engine_get(accounts->engine, op, table, name, SLICE_NONE, level, ret_found, &row);
	if (engine_may_read_relaxed(op, err))
		err = read_relaxed(op, accounts, table, name, ret_found, &row, err);
	TRY(err);
	if (!*ret_found) {
		memset(ret_row, 0, table->static_row->size);
		return NULL;
	}
	*ret_encoded = row.value;
	return row_decode(op, table->static_row, row.value, ret_row);
}

struct error *record_read(struct op *op, struct accounts *accounts, const struct table *table,
	struct slice name, void *ret_row, struct slice *ret_encoded, bool *ret_found)
{
	return read_at(op, accounts, table, name, READ_NORMAL, ret_row, ret_encoded, ret_found);
}

/* Uncertain: the row itself says. Each write has a revision of its own, which is never used twice
 * for different contents by one writer; another writer's row of the same revision differs in its
 * bytes. */
static struct error *find_out(struct op *op, struct accounts *accounts, const struct table *table,
	struct slice name, struct slice expected, struct slice wanted, struct error *cause)
{
	bool found;
	struct engine_row row;
	TRY(engine_get(accounts->engine, op, table, name, SLICE_NONE, READ_SERIAL, &found, &row));
	if (found && slice_equal(row.value, wanted))
		return NULL;
	bool has_moved = expected.ptr ? !found || !slice_equal(row.value, expected) : found;
	if (has_moved)
		return op_fail(op, ERR_CONFLICT, "%s was changed meanwhile", table->name);
	return cause;
}

struct error *record_write(struct op *op, struct accounts *accounts, const struct table *table,
	struct slice name, struct slice expected, const void *row, uint32_t revision)
{
	(void)revision;
	struct mutation change = {.table = table,
		.partition = name,
		.value = row_encode_in(&op->arena, table->static_row, row)};
	struct cas cas = {.table = table,
		.partition = name,
		.expected = expected,
		.mutations = &change,
		.mutation_count = 1};
	struct slice current;
	struct error *err = engine_cas(accounts->engine, op, &cas, &current);
	for (int attempt = 0; err && err->kind == ERR_UNCERTAIN && attempt < ATTEMPTS; attempt++) {
		struct error *verdict =
			find_out(op, accounts, table, name, expected, change.value, err);
		if (!verdict || verdict->kind == ERR_CONFLICT)
			return verdict;
		/* Undecided: the same write on the same condition decides it. */
		struct error *again = engine_cas(accounts->engine, op, &cas, &current);
		if (!again)
			return NULL;
		if (again->kind == ERR_CONFLICT)
			continue;
	}
	return err;
}

struct error *record_change(
	struct op *op, struct accounts *accounts, const struct record_change *change)
{
	struct error *err = NULL;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		struct slice encoded;
		bool found;
		TRY(read_at(op, accounts, change->table, change->name, READ_SERIAL, change->row,
			&encoded, &found));
		TRY(change->change(op, change->row, found, change->context));
		++*change->revision;
		err = record_write(op, accounts, change->table, change->name, encoded, change->row,
			*change->revision);
		if (!err || err->kind != ERR_CONFLICT)
			return err;
		clock_sleep_ns(random_below(20 * NS_PER_MS) + 1);
	}
	return op_wrap(op, err, "changed by others again and again");
}

struct error *directory_note(struct op *op, struct accounts *accounts, enum directory_kind kind,
	struct slice name, struct account_id account, bool exists)
{
	struct arena *arena = &op->arena;
	struct directory row = {.account_id = account.uuid};
	struct slice partition = key_directory(arena, kind, name);
	struct slice key = key_text_row(arena, name);
	struct mutations rows;
	mutations_init(&rows, arena);
	if (exists)
		mutations_put(&rows, &directory_table, partition, key,
			row_encode_in(arena, &directory_row, &row), clock_realtime_us());
	else
		mutations_delete(&rows, &directory_table, partition, key, clock_realtime_us());
	return engine_write(accounts->engine, op, rows.items, rows.count, DURABLE);
}

static int compare_names(const void *left, const void *right)
{
	return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

struct error *directory_names(struct op *op, struct accounts *accounts, enum directory_kind kind,
	struct slice **ret_names, size_t *ret_count)
{
	*ret_names = NULL;
	*ret_count = 0;
	for (unsigned shard = 0; shard < DIRECTORY_SHARDS; shard++) {
		struct engine_rows rows;
		TRY(engine_scan(accounts->engine, op, &directory_table,
			key_directory_shard(&op->arena, kind, (uint8_t)shard), SLICE_NONE,
			SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
		struct slice *names =
			ARENA_ARRAY(&op->arena, struct slice, *ret_count + rows.count + 1);
		if (*ret_count)
			memcpy(names, *ret_names, *ret_count * sizeof(*names));
		for (size_t i = 0; i < rows.count; i++)
			names[*ret_count + i] = slice_from(rows.rows[i].key, 1);
		*ret_names = names;
		*ret_count += rows.count;
	}
	if (*ret_count)
		qsort(*ret_names, *ret_count, sizeof(**ret_names), compare_names);
	return NULL;
}

/* `part` ASCII-lower: names are folded. */
static bool contains(struct slice name, struct slice part)
{
	return !part.len || slice_find(name, part) < name.len;
}

struct error *directory_part(struct op *op, struct accounts *accounts, enum directory_kind kind,
	const struct list_part *part, struct slice **ret_names, size_t *ret_count)
{
	struct slice *names;
	size_t count;
	size_t kept = 0;
	struct slice domain = SLICE_NONE;
	struct slice wanted = lower_ascii(op, part->contains);
	if (part->domain.len)
		TRY(domain_normalise(op, part->domain, &domain));
	TRY(directory_names(op, accounts, kind, &names, &count));
	for (size_t i = 0; i < count; i++)
		if ((!domain.len || name_is_in_domain(names[i], domain)) &&
			contains(names[i], wanted) &&
			(!part->after.len || slice_compare(names[i], part->after) > 0))
			names[kept++] = names[i];
	*ret_names = names;
	*ret_count = kept;
	return NULL;
}

struct account_config account_config = {.deliver_detail = true};
const struct setting account_settings[] = {
	{.name = "accounts.deliver_detail",
		.type = SETTING_BOOL,
		.target = &account_config.deliver_detail,
		.default_value = "yes",
		.help = "Mail to user+detail@domain goes to user@domain."},
	{.name = "accounts.quota_size",
		.type = SETTING_BYTES,
		.target = &account_config.quota_bytes,
		.default_value = "0",
		.max = UINT64_MAX,
		.reloadable = true,
		.help = "Bytes an account may hold if neither it nor its domain has a limit of its "
			"own; 0: no limit."},
	{.name = "accounts.quota_messages",
		.type = SETTING_NUMBER,
		.target = &account_config.quota_messages,
		.default_value = "0",
		.max = UINT32_MAX,
		.reloadable = true,
		.help = "Messages an account may hold if neither it nor its domain has a limit of "
			"its "
			"own; 0: no limit."},
};
const size_t account_setting_count = ARRAY_SIZE(account_settings);

struct accounts *accounts_new(struct mail_store *store)
{
	struct accounts *accounts = HEAP_NEW(struct accounts);
	accounts->store = store;
	accounts->engine = mail_store_engine(store);
	mutex_init(&accounts->lock);
	hash_map_init(&accounts->quotas);
	mail_store_set_quota(store, quota_limits_of, accounts);
	return accounts;
}

void accounts_free(struct accounts *accounts)
{
	if (!accounts)
		return;
	quota_forget_all(accounts);
	used_names_done(accounts);
	hash_map_done(&accounts->quotas);
	mutex_done(&accounts->lock);
	free(accounts);
}

struct mail_store *accounts_store(struct accounts *accounts)
{
	return accounts->store;
}
