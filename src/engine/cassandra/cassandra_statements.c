#include "engine/cassandra/cassandra_private.h"

#include "base/buf.h"

static void append_columns(
	struct buf *out, const struct table *table, const char *separator, const char *format)
{
	for (size_t i = 0; i < table->condition_columns; i++) {
		if (i)
			buf_printf(out, "%s", separator);
		buf_printf(out, "%s%s", table->static_row->columns[i].name, format);
	}
}

/* A condition on `state` too, though it says nothing new: a refused CAS then returns it. */
static const char *cas_text(
	struct arena *arena, const char *keyspace, const struct table *table, bool is_update)
{
	struct buf out = buf_in(arena);
	buf_printf(&out, "UPDATE %s.%s SET ", keyspace, table->name);
	append_columns(&out, table, ", ", " = ?");
	buf_printf(&out, ", state = ? WHERE partition = ? IF ");
	append_columns(&out, table, " AND ", is_update ? " = ?" : " = null");
	buf_printf(&out, is_update ? " AND state != null" : " AND state = null");
	return arena_cstr(arena, buf_as_slice(&out));
}

static const char *scan_text(
	struct arena *arena, const char *keyspace, const struct table *table, int variant)
{
	struct buf out = buf_in(arena);
	buf_printf(&out, "SELECT key, value, ");
	if (table->kind == TABLE_CAS) {
		append_columns(&out, table, ", ", "");
		buf_printf(&out, ", state");
	} else {
		buf_printf(&out, "writetime(value)");
	}
	buf_printf(&out, " FROM %s.%s WHERE partition = ?", keyspace, table->name);
	if (variant & SCAN_FROM)
		buf_printf(&out, " AND key >= ?");
	if (variant & SCAN_TO)
		buf_printf(&out, " AND key < ?");
	if (variant & SCAN_BACKWARDS)
		buf_printf(&out, " ORDER BY key DESC");
	buf_printf(&out, " LIMIT ?");
	return arena_cstr(arena, buf_as_slice(&out));
}

static void make_cas_statements(struct arena *arena, struct table_statements *out,
	struct cql_cluster *cluster, const char *keyspace, const struct table *table)
{
	const char *name = table->name;
	out->get_state = cql_statement(cluster,
		arena_printf(arena,
			"SELECT DISTINCT partition, state FROM %s.%s WHERE partition = ?", keyspace,
			name),
		true);
	out->get = cql_statement(cluster,
		arena_printf(arena, "SELECT value FROM %s.%s WHERE partition = ? AND key = ?",
			keyspace, name),
		true);
	out->create = cql_statement(cluster, cas_text(arena, keyspace, table, false), false);
	out->update = cql_statement(cluster, cas_text(arena, keyspace, table, true), false);
	out->remove_range = cql_statement(cluster,
		arena_printf(arena,
			"DELETE FROM %s.%s WHERE partition = ? AND key >= ? AND key < ?", keyspace,
			name),
		false);
	out->put = cql_statement(cluster,
		arena_printf(arena, "INSERT INTO %s.%s (partition, key, value) VALUES (?, ?, ?)",
			keyspace, name),
		false);
	out->remove = cql_statement(cluster,
		arena_printf(
			arena, "DELETE FROM %s.%s WHERE partition = ? AND key = ?", keyspace, name),
		false);
}

static void make_plain_statements(struct arena *arena, struct table_statements *out,
	struct cql_cluster *cluster, const char *keyspace, const struct table *table)
{
	const char *name = table->name;
	out->get = cql_statement(cluster,
		arena_printf(arena,
			"SELECT value, writetime(value) FROM %s.%s WHERE partition = ? AND key = ?",
			keyspace, name),
		true);
	out->put = cql_statement(cluster,
		arena_printf(arena,
			"INSERT INTO %s.%s (partition, key, value) VALUES (?, ?, ?) USING "
			"TIMESTAMP ?",
			keyspace, name),
		true);
	out->remove = cql_statement(cluster,
		arena_printf(arena,
			"DELETE FROM %s.%s USING TIMESTAMP ? WHERE partition = ? AND key = ?",
			keyspace, name),
		true);
}

void cassandra_make_statements(struct table_statements *out, struct cql_cluster *cluster,
	const char *keyspace, const struct table *table)
{
	struct arena arena;
	arena_init(&arena);
	out->table = table;
	if (table->kind == TABLE_CAS)
		make_cas_statements(&arena, out, cluster, keyspace, table);
	else
		make_plain_statements(&arena, out, cluster, keyspace, table);
	for (int variant = 0; variant < SCAN_VARIANTS; variant++)
		out->scan[variant] =
			cql_statement(cluster, scan_text(&arena, keyspace, table, variant), true);
	out->partitions = cql_statement(cluster,
		arena_printf(&arena, "SELECT DISTINCT partition FROM %s.%s LIMIT ?", keyspace,
			table->name),
		true);
	out->partitions_after = cql_statement(cluster,
		arena_printf(&arena,
			"SELECT DISTINCT partition FROM %s.%s WHERE token(partition) > token(?) "
			"LIMIT ?",
			keyspace, table->name),
		true);
	arena_done(&arena);
}
