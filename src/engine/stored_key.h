#pragma once

/* One byte string for a row's whole address, in an order that keeps a partition together: for
 * engines that keep all rows in one sorted array. Pure. */

#include "schema/table.h"

struct slice stored_key(
	struct arena *arena, const struct table *table, struct slice partition, struct slice key);

/* How long the part is that all rows of a partition share. */
size_t stored_key_prefix_length(struct slice partition);

/* The first key above every key of the partition. */
struct slice stored_key_after(
	struct arena *arena, const struct table *table, struct slice partition);

/* The first key above every key of the table. */
struct slice stored_key_after_table(struct arena *arena, const struct table *table);

/* Takes one apart. */
void stored_key_read(struct slice stored, uint8_t *ret_table_id, struct slice *ret_partition);
