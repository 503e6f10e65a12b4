#include "engine/cassandra/cassandra_private.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/digest.h"
#include "schema/tables.h"

/* Part of each table's comment. A higher one stands for tables that this program does not know.
 * 2: rows have seals (engine/seal.h). */
#define SCHEMA_FORMAT 2
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
		"AND default_time_to_live = %u AND caching = %s AND speculative_retry = "
		"'MIN(99p,50ms)' AND comment = '" COMMENT "%d'",
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

/* One host is asked and told throughout: what it was told it shows at once. */
struct schema {
	struct cql_cluster *cluster;
	const struct cassandra_options *options;
	const char *host; /* NULL: none is up, anybody */
};

static struct schema schema_begin(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	struct schema schema = {.cluster = cluster, .options = options};
	struct cql_host *hosts;
	size_t count;
	cql_cluster_hosts(cluster, &op->arena, &hosts, &count);
	for (size_t i = 0; i < count && !schema.host; i++)
		if (hosts[i].is_up && hosts[i].is_local)
			schema.host = hosts[i].address;
	return schema;
}

static struct error *query(
	struct op *op, const struct schema *schema, const char *text, struct cql_result *ret_result)
{
	struct cql_bound bound = {.text = text};
	struct cql_request request = {
		.statements = &bound, .count = 1, .level = CQL_ONE, .host = schema->host};
	struct cql_failure why;
	struct error *err = cql_execute(op, schema->cluster, &request, ret_result, &why);
	return err ? op_wrap(op, err, "%.60s", text) : NULL;
}

static struct error *tell(struct op *op, const struct schema *schema, const char *text)
{
	struct cql_result result;
	return query(op, schema, text, &result);
}

/* What was told is known to every host that is up. */
static struct error *await_agreement(struct op *op, const struct schema *schema)
{
	bool agreed = false;
	TRY(cql_await_schema_agreement(op, schema->cluster, &agreed));
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

/* What system_schema says of the keyspace: two answers for all of its tables. */
struct stored_schema {
	struct cql_result tables;
	struct cql_result columns;
};

#define TABLE_COLUMNS                                                                \
	"table_name, comment, read_repair, gc_grace_seconds, default_time_to_live, " \
	"compaction['class']"

static struct error *read_stored(
	struct op *op, const struct schema *schema, struct stored_schema *ret_stored)
{
	const char *keyspace = schema->options->keyspace;
	TRY(query(op, schema,
		arena_printf(&op->arena,
			"SELECT " TABLE_COLUMNS " FROM system_schema.tables WHERE keyspace_name = "
			"'%s'",
			keyspace),
		&ret_stored->tables));
	return query(op, schema,
		arena_printf(&op->arena,
			"SELECT table_name, column_name, type, kind FROM system_schema.columns "
			"WHERE keyspace_name = '%s'",
			keyspace),
		&ret_stored->columns);
}

static bool text_is(struct cql_value value, const char *expected)
{
	return slice_equal(cql_to_bytes(value), slice_from_cstr(expected));
}

static bool number_is(struct cql_value value, uint32_t expected)
{
	int32_t number;
	return cql_to_int(value, &number) && (uint32_t)number == expected;
}

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
	const struct cql_result *tables, size_t row)
{
	struct table_options want = options_of(table);
	const char *compaction =
		arena_printf(&op->arena, "org.apache.cassandra.db.compaction.%s", want.compaction);
	const char *comment = arena_printf(&op->arena, COMMENT "%d", SCHEMA_FORMAT);
	bool same = text_is(cql_at(tables, row, 1), comment) &&
		    text_is(cql_at(tables, row, 2), want.read_repair) &&
		    number_is(cql_at(tables, row, 3), want.gc_grace_s) &&
		    number_is(cql_at(tables, row, 4), want.ttl_s) &&
		    (text_is(cql_at(tables, row, 5), compaction) ||
			    text_is(cql_at(tables, row, 5), want.compaction));
	if (!same)
		add_finding(findings, op,
			arena_printf(&op->arena, "the options of table %s are not: %s", table->name,
				options_text(&op->arena, table)));
}

static bool has_column(const struct cql_result *columns, const struct table *table,
	const char *name, const char *type, const char *kind)
{
	for (size_t i = 0; i < columns->row_count; i++)
		if (text_is(cql_at(columns, i, 0), table->name) &&
			text_is(cql_at(columns, i, 1), name) &&
			text_is(cql_at(columns, i, 2), type) &&
			text_is(cql_at(columns, i, 3), kind))
			return true;
	return false;
}

/* Other columns cannot be mended by us: they hold somebody's data. */
static struct error *check_columns(
	struct op *op, const struct cql_result *columns, const struct table *table)
{
	bool right = has_column(columns, table, "partition", "blob", "partition_key") &&
		     has_column(columns, table, "key", "blob", "clustering") &&
		     has_column(columns, table, "value", "blob", "regular");
	if (table->kind == TABLE_CAS)
		right = right && has_column(columns, table, "state", "blob", "static");
	for (size_t i = 0; i < table->condition_columns; i++)
		right = right && has_column(columns, table, table->static_row->columns[i].name,
					 "bigint", "static");
	return right ? NULL
		     : op_fail(op, ERR_INVALID, "the table %s has other columns than Holdfast's",
			       table->name);
}

/* *ret_exists false: it is to be created, which is a finding too. */
static struct error *check_table(struct op *op, const struct stored_schema *stored,
	const struct table *table, bool *ret_exists, struct findings *findings)
{
	size_t row = 0;
	while (row < stored->tables.row_count &&
		!text_is(cql_at(&stored->tables, row, 0), table->name))
		row++;
	*ret_exists = row < stored->tables.row_count;
	if (!*ret_exists) {
		add_finding(findings, op,
			arena_printf(&op->arena, "there is no table %s", table->name));
		return NULL;
	}
	TRY(check_format(op, table, cql_at(&stored->tables, row, 1)));
	TRY(check_columns(op, &stored->columns, table));
	check_options(op, findings, table, &stored->tables, row);
	return NULL;
}

/* Is "dc1=3" in a map of texts as it travels: each with its length before it (protocol 6.1)? */
static bool has_replicas(struct arena *arena, struct slice map, struct slice part)
{
	const char *equals = memchr(part.ptr, '=', part.len);
	size_t at = (size_t)(equals - part.ptr);
	struct slice name = trimmed(slice_of(part.ptr, at));
	struct slice factor = trimmed(slice_from(part, at + 1));
	struct buf pair = buf_in(arena);
	buf_u32(&pair, (uint32_t)name.len);
	buf_append(&pair, name);
	buf_u32(&pair, (uint32_t)factor.len);
	buf_append(&pair, factor);
	return memmem(map.ptr, map.len, pair.ptr, pair.len) != NULL;
}

static struct error *check_keyspace(
	struct op *op, const struct schema *schema, bool *ret_exists, struct findings *findings)
{
	const struct cassandra_options *options = schema->options;
	struct cql_result result;
	const char *wanted;
	struct slice rest = slice_from_cstr(options->replication);
	TRY(replication_text(op, options->replication, &wanted));
	TRY(query(op, schema,
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
	struct slice map = cql_to_bytes(cql_at(&result, 0, 0));
	while (rest.len) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
		struct slice part = trimmed(slice_of(rest.ptr, len));
		if (!has_replicas(&op->arena, map, part))
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
	struct schema schema = schema_begin(op, cluster, options);
	struct findings findings = {0};
	struct stored_schema stored;
	bool exists;
	size_t count;
	const struct table *const *tables = table_all(&count);
	TRY(check_keyspace(op, &schema, &exists, &findings));
	TRY(read_stored(op, &schema, &stored));
	for (size_t i = 0; i < count && exists; i++) {
		bool has_table;
		TRY(check_table(op, &stored, tables[i], &has_table, &findings));
	}
	*ret_differences = findings.items;
	*ret_count = findings.count;
	return NULL;
}

struct error *cassandra_keyspace_exists(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, bool *ret_exists)
{
	struct schema schema = schema_begin(op, cluster, options);
	struct findings findings = {0};
	return check_keyspace(op, &schema, ret_exists, &findings);
}

/* ---- create ---- */

static struct error *create_keyspace(struct op *op, const struct schema *schema)
{
	const struct cassandra_options *options = schema->options;
	const char *replication;
	struct findings findings = {0};
	bool exists;
	TRY(replication_text(op, options->replication, &replication));
	TRY(tell(op, schema,
		arena_printf(&op->arena,
			"CREATE KEYSPACE IF NOT EXISTS %s WITH replication = %s AND durable_writes "
			"= true",
			options->keyspace, replication)));
	TRY(check_keyspace(op, schema, &exists, &findings));
	if (findings.count)
		TRY(tell(op, schema,
			arena_printf(&op->arena, "ALTER KEYSPACE %s WITH replication = %s",
				options->keyspace, replication)));
	return await_agreement(op, schema);
}

static struct error *create_table(struct op *op, const struct schema *schema,
	const struct stored_schema *stored, const struct table *table)
{
	struct findings findings = {0};
	bool exists;
	TRY(check_table(op, stored, table, &exists, &findings));
	if (!exists)
		return tell(op, schema,
			create_table_text(&op->arena, schema->options->keyspace, table));
	if (!findings.count)
		return NULL;
	return tell(op, schema,
		arena_printf(&op->arena, "ALTER TABLE %s.%s WITH %s", schema->options->keyspace,
			table->name, options_text(&op->arena, table)));
}

struct error *cassandra_schema_create(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	struct schema schema = schema_begin(op, cluster, options);
	struct stored_schema stored;
	size_t count;
	const struct table *const *tables = table_all(&count);
	TRY(create_keyspace(op, &schema));
	TRY(read_stored(op, &schema, &stored));
	for (size_t i = 0; i < count; i++)
		TRY(create_table(op, &schema, &stored, tables[i]));
	return await_agreement(op, &schema);
}
