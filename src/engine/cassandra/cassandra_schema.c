#include "engine/cassandra/cassandra_private.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/digest.h"
#include "schema/tables.h"

/* Part of each table's comment. A higher one stands for tables that this program does not know. */
#define SCHEMA_FORMAT 1
#define COMMENT "Holdfast format "

/* What a table of Cassandra's is told beyond its columns, and why: docs/cassandra.md. */
struct table_options {
	const char *compaction;
	const char *read_repair;
	uint32_t gc_grace_s;
	uint32_t ttl_s;
	const char *caching;
};

static bool has_rows(const struct table *table)
{
	for (size_t i = 0; i < TABLE_MAX_ROW_KINDS; i++)
		if (table->rows[i])
			return true;
	return false;
}

static struct table_options options_of(const struct table *table)
{
	struct table_options options = {.compaction = "LeveledCompactionStrategy",
		.read_repair = "BLOCKING",
		.gc_grace_s = 864000,
		.ttl_s = table->ttl_s,
		.caching = "{'keys': 'ALL', 'rows_per_partition': 'NONE'}"};
	if (table->large_values)
		options.compaction = "SizeTieredCompactionStrategy";
	if (table->ttl_s)
		options.compaction = "TimeWindowCompactionStrategy";
	/* A read of the static row alone must not copy it to a replica without the rows of the
	 * commit that wrote it. */
	if (table->kind == TABLE_CAS && has_rows(table))
		options.read_repair = "NONE";
	if (table->short_lived)
		options.gc_grace_s = 3600;
	return options;
}

/* A table's id is given, not drawn: two nodes that create it at once create one table. */
static void table_uuid(const char *keyspace, const struct table *table, char ret_text[static 37])
{
	char seed[256];
	uint8_t digest[SHA256_SIZE];
	snprintf(seed, sizeof(seed), "holdfast table %s.%s", keyspace, table->name);
	sha256_of(slice_from_cstr(seed), digest);
	digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x40);
	digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
	char *at = ret_text;
	for (int i = 0; i < 16; i++)
		at += snprintf(at, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			digest[i]);
}

static const char *options_text(struct arena *arena, const struct table *table)
{
	struct table_options options = options_of(table);
	const char *window =
		table->ttl_s ? ", 'compaction_window_unit': 'DAYS', 'compaction_window_size': '1'"
			     : "";
	return arena_printf(arena,
		"compaction = {'class': '%s'%s} AND read_repair = '%s' AND gc_grace_seconds = %u "
		"AND default_time_to_live = %u AND caching = %s AND comment = '" COMMENT "%d'",
		options.compaction, window, options.read_repair, options.gc_grace_s, options.ttl_s,
		options.caching, SCHEMA_FORMAT);
}

static const char *create_table_text(
	struct arena *arena, const char *keyspace, const struct table *table)
{
	char id[37];
	table_uuid(keyspace, table, id);
	struct buf out = buf_in(arena);
	buf_printf(&out, "CREATE TABLE IF NOT EXISTS %s.%s (partition blob, key blob, ", keyspace,
		table->name);
	if (table->kind == TABLE_CAS) {
		for (size_t i = 0; i < table->condition_columns; i++)
			buf_printf(&out, "%s bigint static, ", table->static_row->columns[i].name);
		buf_printf(&out, "state blob static, ");
	}
	buf_printf(&out, "value blob, PRIMARY KEY (partition, key)) WITH id = %s AND %s", id,
		options_text(arena, table));
	return arena_cstr(arena, buf_as_slice(&out));
}

/* ---- replication: "dc1=3, dc2=3" ---- */

static bool is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-' && c != '.')
			return false;
	}
	return name.len > 0;
}

static struct slice trimmed(struct slice text)
{
	while (text.len && text.ptr[0] == ' ')
		text = slice_from(text, 1);
	while (text.len && text.ptr[text.len - 1] == ' ')
		text.len--;
	return text;
}

static struct error *append_factor(struct op *op, struct slice part, struct buf *out)
{
	const char *equals = memchr(part.ptr, '=', part.len);
	size_t at = equals ? (size_t)(equals - part.ptr) : part.len;
	struct slice name = trimmed(slice_of(part.ptr, at));
	uint64_t factor = 0;
	if (!equals || !is_name(name) ||
		!slice_parse_u64(trimmed(slice_from(part, at + 1)), &factor) || factor < 1 ||
		factor > 100)
		return op_fail(op, ERR_INVALID,
			"\"" SLICE_FMT
			"\" is not a data centre and its number of replicas, as in dc1=3",
			SLICE_ARG(part));
	buf_printf(out, ", '" SLICE_FMT "': '%llu'", SLICE_ARG(name), (unsigned long long)factor);
	return NULL;
}

static struct error *replication_text(struct op *op, const char *replication, const char **ret_text)
{
	struct buf out = buf_in(&op->arena);
	struct slice rest = slice_from_cstr(replication);
	buf_printf(&out, "{'class': 'NetworkTopologyStrategy'");
	while (rest.len) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
		TRY(append_factor(op, trimmed(slice_of(rest.ptr, len)), &out));
		rest = comma ? slice_from(rest, len + 1) : SLICE_NONE;
	}
	buf_printf(&out, "}");
	*ret_text = arena_cstr(&op->arena, buf_as_slice(&out));
	return NULL;
}

/* ---- asking and telling ---- */

static struct error *query(struct op *op, struct cql_cluster *cluster, enum cql_level level,
	const char *text, struct cql_result *ret_result)
{
	struct cql_bound bound = {.text = text};
	struct cql_request request = {.statements = &bound, .count = 1, .level = level};
	struct cql_failure why;
	struct error *err = cql_execute(op, cluster, &request, ret_result, &why);
	return err ? op_wrap(op, err, "%.60s", text) : NULL;
}

/* A change of the schema is known to every host that is up before the next one is sent. */
static struct error *tell(struct op *op, struct cql_cluster *cluster, const char *text)
{
	struct cql_result result;
	bool agreed = false;
	TRY(query(op, cluster, CQL_ONE, text, &result));
	TRY(cql_await_schema_agreement(op, cluster, &agreed));
	return agreed ? NULL
		      : op_fail(op, ERR_UNAVAILABLE, "the hosts do not agree on the schema yet");
}

struct findings {
	struct slice *items;
	size_t count;
	size_t capacity;
};

static void add_finding(struct findings *findings, struct op *op, const char *text)
{
	if (findings->count == findings->capacity) {
		size_t capacity = findings->capacity ? findings->capacity * 2 : 16;
		struct slice *items = ARENA_ARRAY(&op->arena, struct slice, capacity);
		if (findings->count)
			memcpy(items, findings->items, findings->count * sizeof(*items));
		findings->items = items;
		findings->capacity = capacity;
	}
	findings->items[findings->count++] = slice_from_cstr(text);
}

/* ---- check ---- */

static bool text_is(struct cql_value value, const char *expected)
{
	return slice_equal(cql_to_bytes(value), slice_from_cstr(expected));
}

static bool number_is(struct cql_value value, uint32_t expected)
{
	int32_t number;
	return cql_to_int(value, &number) && (uint32_t)number == expected;
}

/* The columns in the order of `format_columns`. */
#define OPTION_COLUMNS \
	"comment, read_repair, gc_grace_seconds, default_time_to_live, compaction['class']"

static struct error *check_format(
	struct op *op, const struct table *table, struct cql_value comment)
{
	struct slice text = cql_to_bytes(comment);
	struct slice prefix = SLICE(COMMENT);
	uint64_t format;
	if (!slice_starts_with(text, prefix) ||
		!slice_parse_u64(slice_from(text, prefix.len), &format))
		return op_fail(
			op, ERR_INVALID, "the table %s is not one of Holdfast's", table->name);
	if (format > SCHEMA_FORMAT)
		return op_fail(op, ERR_INVALID,
			"the table %s has format %llu, and this Holdfast knows %d: run a newer one",
			table->name, (unsigned long long)format, SCHEMA_FORMAT);
	return NULL;
}

static void check_options(struct op *op, struct findings *findings, const struct table *table,
	const struct cql_result *row)
{
	struct table_options want = options_of(table);
	const char *compaction =
		arena_printf(&op->arena, "org.apache.cassandra.db.compaction.%s", want.compaction);
	bool same = text_is(cql_at(row, 0, 1), want.read_repair) &&
		    number_is(cql_at(row, 0, 2), want.gc_grace_s) &&
		    number_is(cql_at(row, 0, 3), want.ttl_s) &&
		    (text_is(cql_at(row, 0, 4), compaction) ||
			    text_is(cql_at(row, 0, 4), want.compaction));
	if (!same)
		add_finding(findings, op,
			arena_printf(&op->arena, "the options of table %s are not: %s", table->name,
				options_text(&op->arena, table)));
}

static bool has_column(
	const struct cql_result *columns, const char *name, const char *type, const char *kind)
{
	for (size_t i = 0; i < columns->row_count; i++)
		if (text_is(cql_at(columns, i, 0), name) && text_is(cql_at(columns, i, 1), type) &&
			text_is(cql_at(columns, i, 2), kind))
			return true;
	return false;
}

/* Other columns cannot be mended by us: they hold somebody's data. */
static struct error *check_columns(
	struct op *op, struct cql_cluster *cluster, const char *keyspace, const struct table *table)
{
	struct cql_result columns;
	TRY(query(op, cluster, CQL_ONE,
		arena_printf(&op->arena,
			"SELECT column_name, type, kind FROM system_schema.columns WHERE "
			"keyspace_name = '%s' AND table_name = '%s'",
			keyspace, table->name),
		&columns));
	bool right = has_column(&columns, "partition", "blob", "partition_key") &&
		     has_column(&columns, "key", "blob", "clustering") &&
		     has_column(&columns, "value", "blob", "regular");
	if (table->kind == TABLE_CAS)
		right = right && has_column(&columns, "state", "blob", "static");
	for (size_t i = 0; i < table->condition_columns; i++)
		right = right && has_column(&columns, table->static_row->columns[i].name, "bigint",
					 "static");
	if (right)
		return NULL;
	return op_fail(op, ERR_INVALID, "the table %s.%s has other columns than Holdfast's",
		keyspace, table->name);
}

static struct error *check_table(struct op *op, struct cql_cluster *cluster, const char *keyspace,
	const struct table *table, struct findings *findings)
{
	struct cql_result row;
	TRY(query(op, cluster, CQL_ONE,
		arena_printf(&op->arena,
			"SELECT " OPTION_COLUMNS " FROM system_schema.tables WHERE keyspace_name = "
			"'%s' AND table_name = '%s'",
			keyspace, table->name),
		&row));
	if (!row.row_count) {
		add_finding(findings, op,
			arena_printf(&op->arena, "there is no table %s", table->name));
		return NULL;
	}
	TRY(check_format(op, table, cql_at(&row, 0, 0)));
	TRY(check_columns(op, cluster, keyspace, table));
	check_options(op, findings, table, &row);
	return NULL;
}

/* Replicas that each data centre has, as the settings want them: dc -> number in both directions.
 */
static struct error *check_keyspace(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, bool *ret_exists, struct findings *findings)
{
	struct cql_result result;
	const char *wanted;
	struct slice rest = slice_from_cstr(options->replication);
	TRY(replication_text(op, options->replication, &wanted));
	TRY(query(op, cluster, CQL_ONE,
		arena_printf(&op->arena,
			"SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = "
			"'%s'",
			options->keyspace),
		&result));
	*ret_exists = result.row_count > 0;
	if (!*ret_exists) {
		add_finding(findings, op,
			arena_printf(&op->arena, "there is no keyspace %s", options->keyspace));
		return NULL;
	}
	/* The map as bytes: each wanted pair is in it, length before value (protocol 6.1). */
	struct slice map = cql_to_bytes(cql_at(&result, 0, 0));
	while (rest.len) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
		struct slice part = trimmed(slice_of(rest.ptr, len));
		size_t at = (size_t)((const char *)memchr(part.ptr, '=', part.len) - part.ptr);
		struct slice name = trimmed(slice_of(part.ptr, at));
		struct slice factor = trimmed(slice_from(part, at + 1));
		struct buf pair = buf_in(&op->arena);
		buf_u32(&pair, (uint32_t)name.len);
		buf_append(&pair, name);
		buf_u32(&pair, (uint32_t)factor.len);
		buf_append(&pair, factor);
		if (!memmem(map.ptr, map.len, pair.ptr, pair.len))
			add_finding(findings, op,
				arena_printf(&op->arena,
					"the keyspace %s does not have replicas " SLICE_FMT,
					options->keyspace, SLICE_ARG(part)));
		rest = comma ? slice_from(rest, len + 1) : SLICE_NONE;
	}
	return NULL;
}

struct error *cassandra_schema_check(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, struct slice **ret_differences, size_t *ret_count)
{
	struct findings findings = {0};
	bool exists;
	TRY(check_keyspace(op, cluster, options, &exists, &findings));
	size_t count;
	const struct table *const *tables = table_all(&count);
	for (size_t i = 0; i < count && exists; i++)
		TRY(check_table(op, cluster, options->keyspace, tables[i], &findings));
	*ret_differences = findings.items;
	*ret_count = findings.count;
	return NULL;
}

struct error *cassandra_keyspace_exists(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, bool *ret_exists)
{
	struct findings findings = {0};
	return check_keyspace(op, cluster, options, ret_exists, &findings);
}

/* ---- create ---- */

static struct error *create_keyspace(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	const char *replication;
	TRY(replication_text(op, options->replication, &replication));
	TRY(tell(op, cluster,
		arena_printf(&op->arena,
			"CREATE KEYSPACE IF NOT EXISTS %s WITH replication = %s AND durable_writes "
			"= true",
			options->keyspace, replication)));
	struct findings findings = {0};
	bool exists;
	TRY(check_keyspace(op, cluster, options, &exists, &findings));
	if (!findings.count)
		return NULL;
	return tell(op, cluster,
		arena_printf(&op->arena, "ALTER KEYSPACE %s WITH replication = %s",
			options->keyspace, replication));
}

static struct error *create_table(
	struct op *op, struct cql_cluster *cluster, const char *keyspace, const struct table *table)
{
	struct findings findings = {0};
	TRY(check_table(op, cluster, keyspace, table, &findings));
	if (!findings.count)
		return NULL;
	TRY(tell(op, cluster, create_table_text(&op->arena, keyspace, table)));
	findings.count = 0;
	TRY(check_table(op, cluster, keyspace, table, &findings));
	if (!findings.count)
		return NULL;
	return tell(op, cluster,
		arena_printf(&op->arena, "ALTER TABLE %s.%s WITH %s", keyspace, table->name,
			options_text(&op->arena, table)));
}

struct error *cassandra_schema_create(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	TRY(create_keyspace(op, cluster, options));
	size_t count;
	const struct table *const *tables = table_all(&count);
	for (size_t i = 0; i < count; i++)
		TRY(create_table(op, cluster, options->keyspace, tables[i]));
	return NULL;
}
