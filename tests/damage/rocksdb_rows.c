/* Rows of one plain table as they are stored, of a data directory that no server has open:
 *   rocksdb_rows ROWS-DIRECTORY TABLE dump     one line a row: PARTITION KEY VERSION VALUE
 *   rocksdb_rows ROWS-DIRECTORY TABLE write    from lines: put PARTITION KEY VERSION VALUE
 *                                                      or: delete PARTITION KEY VERSION
 * in hexadecimal but for the version. Writes go past engine.c: what it puts around a row is not
 * there, or wrong, if the test wants it so. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/rocksdb.h"
#include "schema/tables.h"

#define PARTITIONS_MOST 1000000

static void die(struct op *op, const struct error *err)
{
	fprintf(stderr, "rocksdb_rows: %s\n", error_chain(&op->arena, err));
	exit(1);
}

static void print_hex(struct slice bytes, char end)
{
	for (size_t i = 0; i < bytes.len; i++)
		printf("%02x", (unsigned char)bytes.ptr[i]);
	putchar(end);
}

static struct slice read_hex(struct arena *arena, const char *text)
{
	struct buf out = buf_in(arena);
	char pair[3] = "";
	for (; text[0] && text[1]; text += 2) {
		memcpy(pair, text, 2);
		buf_u8(&out, (uint8_t)strtoul(pair, NULL, 16));
	}
	return buf_as_slice(&out);
}

static struct error *dump(struct op *op, struct engine *engine, const struct table *table)
{
	struct slice *partitions;
	size_t count;
	TRY(engine->ops->partitions(
		engine, op, table, SLICE_NONE, PARTITIONS_MOST, &partitions, &count));
	for (size_t i = 0; i < count; i++) {
		struct engine_rows rows;
		TRY(engine->ops->scan(engine, op, table, partitions[i], SLICE_NONE, SLICE_NONE,
			SIZE_MAX, false, READ_NORMAL, &rows));
		for (size_t j = 0; j < rows.count; j++) {
			print_hex(partitions[i], ' ');
			print_hex(rows.rows[j].key, ' ');
			printf("%llu ", (unsigned long long)rows.rows[j].version);
			print_hex(rows.rows[j].value, '\n');
		}
	}
	return NULL;
}

static struct error *write_line(
	struct op *op, struct engine *engine, const struct table *table, char *line)
{
	char *words[5] = {0};
	char *at = line;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = strsep(&at, " \n");
	bool is_delete = words[0] && strcmp(words[0], "delete") == 0;
	if (!words[3] || (!is_delete && !words[4]))
		return op_fail(op, ERR_INVALID, "a line has too few words");
	struct mutation change = {.table = table,
		.partition = read_hex(&op->arena, words[1]),
		.key = read_hex(&op->arena, words[2]),
		.version = strtoull(words[3], NULL, 10),
		.is_delete = is_delete};
	if (!is_delete)
		change.value = read_hex(&op->arena, words[4]);
	return engine->ops->write(engine, op, &change, 1, RELAXED);
}

static struct error *write_lines(struct op *op, struct engine *engine, const struct table *table)
{
	char *line = NULL;
	size_t size = 0;
	struct error *err = NULL;
	while (!err && getline(&line, &size, stdin) > 0)
		err = write_line(op, engine, table, line);
	free(line);
	return err;
}

static const struct table *table_named(const char *name)
{
	size_t count;
	const struct table *const *tables = table_all(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(tables[i]->name, name) == 0 && tables[i]->kind == TABLE_PLAIN)
			return tables[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct rocksdb_limits limits = {
		.write_buffer_bytes = MIB(16), .cache_bytes = MIB(8), .open_files = 256};
	struct engine *engine;
	const struct table *table = argc == 4 ? table_named(argv[2]) : NULL;
	if (!table) {
		fputs("usage: rocksdb_rows ROWS-DIRECTORY TABLE dump|write\n", stderr);
		return 2;
	}
	AUTO_OP(op, "rows");
	struct error *err =
		rocksdb_engine_open(&op, argv[1], &limits, (struct rocksdb_owner){0}, &engine);
	if (err)
		die(&op, err);
	err = strcmp(argv[3], "dump") == 0 ? dump(&op, engine, table)
					   : write_lines(&op, engine, table);
	if (err)
		die(&op, err);
	engine_close(engine);
	return 0;
}
