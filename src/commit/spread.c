#include "commit/commit_private.h"

/* A CAS of an account that is at home here is decided and durable here. Its log row goes to the
 * other data centres as a plain write, which can be repeated and whose level counts data centres,
 * as that of a CAS does not. The same row is written again when the tail is trimmed. */

struct error *spread_log(struct op *op, struct commit *commit, struct account_id account,
	const struct head *head, const struct uuid *operations, size_t count)
{
	struct arena *arena = &op->arena;
	struct slice segment = key_log_segment(arena, account, head->state.segment);
	struct mutations rows;
	mutations_init(&rows, arena);
	for (size_t i = 0; i < count; i++) {
		const struct log_row *row = head_find_operation(head, operations[i]);
		/* Trimmed meanwhile: written to account_log by whoever trimmed it. */
		if (!row)
			continue;
		mutations_put(&rows, &account_log_table, segment, key_u64_row(arena, row->modseq),
			row_encode_in(arena, &account_log_row, &row->row), row->modseq);
	}
	struct error *err = engine_write(commit->engine, op, rows.items, rows.count, DURABLE);
	return err ? op_wrap(op, err, "write the commit to the other data centres") : NULL;
}
