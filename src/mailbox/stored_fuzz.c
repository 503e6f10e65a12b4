/* Stored bytes may be damaged: whatever they are, decoding them ends in a value or an error. The
 * first byte chooses the decoder. */

#include "mailbox/acl.h"
#include "mailbox/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_log_entry(struct op *op, struct slice bytes)
{
	struct log_reader log = log_entry_read(op, bytes);
	struct log_item item;
	while (log_reader_next(&log, &item))
		;
}

static void read_chunk(struct op *op, struct slice bytes)
{
	struct snapshot_builder builder;
	builder_begin(&builder, NULL);
	if (!map_decode_chunk(op, bytes, 1, &builder)) {
		/* What was read can be written and read again. */
		struct slice again = map_encode_chunk(op, &builder, 1);
		struct snapshot_builder second;
		builder_begin(&second, NULL);
		if (map_decode_chunk(op, again, 1, &second))
			__builtin_trap();
		builder_drop(&second);
	}
	builder_drop(&builder);
}

static void read_row(struct op *op, uint8_t which, struct slice bytes)
{
	size_t count;
	const struct table *const *tables = table_all(&count);
	const struct table *table = tables[which % count];
	char row[512] __attribute__((aligned(16)));
	struct error *err = NULL;
	if (table->static_row)
		err = row_decode(op, table->static_row, bytes, row);
	for (size_t i = 0; i < TABLE_MAX_ROW_KINDS; i++)
		if (table->rows[i])
			err = row_decode(op, table->rows[i], bytes, row);
	(void)err; /* either is fine */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	AUTO_OP(op, "fuzz");
	struct slice bytes = slice_of(data + 2, size - 2);
	struct reader reader = reader_of(bytes);
	struct uid_set uids;
	struct keyword_names names;
	bool decoded;
	struct acl acl;
	switch (data[0] % 5) {
	case 0:
		read_log_entry(&op, bytes);
		break;
	case 1:
		read_chunk(&op, bytes);
		break;
	case 2:
		read_row(&op, data[1], bytes);
		break;
	case 3:
		decoded = uid_set_decode(&op.arena, &reader, &uids);
		(void)decoded;
		break;
	default:
		decoded = keyword_names_decode(&op.arena, bytes, &names);
		decoded |= acl_decode(&op.arena, bytes, &acl);
		(void)decoded;
	}
	return 0;
}
