#include "consistency/nodes.h"

#include "base/clock.h"
#include "schema/tables.h"

#define NODES_MOST 10000

struct error *node_announce(struct op *op, struct engine *engine, const struct node_info *node)
{
	struct arena *arena = &op->arena;
	struct node row = {.name = node->name,
		.datacenter = node->datacenter,
		.version = node->version,
		.started_us = node->started_us,
		.seen_us = clock_realtime_us()};
	struct mutations rows;
	mutations_init(&rows, arena);
	mutations_put(&rows, &node_table, key_shard(arena, 0, 0), key_id_row(arena, 0, node->id),
		row_encode_in(arena, &node_row, &row), row.seen_us);
	return engine_write(engine, op, rows.items, rows.count, RELAXED);
}

struct error *node_list(
	struct op *op, struct engine *engine, struct node_info **ret_nodes, size_t *ret_count)
{
	struct engine_rows rows;
	TRY(engine_scan(engine, op, &node_table, key_shard(&op->arena, 0, 0), SLICE_NONE,
		SLICE_NONE, NODES_MOST, false, READ_NORMAL, &rows));
	struct node_info *nodes = ARENA_ARRAY(&op->arena, struct node_info, rows.count + 1);
	for (size_t i = 0; i < rows.count; i++) {
		struct node row;
		TRY(row_decode(op, &node_row, rows.rows[i].value, &row));
		nodes[i] = (struct node_info){.name = row.name,
			.datacenter = row.datacenter,
			.version = row.version,
			.started_us = row.started_us,
			.seen_us = row.seen_us};
		if (!uuid_from_slice(slice_from(rows.rows[i].key, 1), &nodes[i].id))
			return op_fail(op, ERR_CORRUPT, "a row of node has a key of %zu bytes",
				rows.rows[i].key.len);
	}
	*ret_nodes = nodes;
	*ret_count = rows.count;
	return NULL;
}
