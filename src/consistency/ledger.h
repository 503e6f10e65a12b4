#pragma once

/* A node's durable record of what it does not know yet. A commit whose outcome could not be found
 * out in time is recorded here, fsynced, before anybody is told of a temporary failure; it is
 * settled when the truth has been read. Survives kill -9. Any thread. */

#include "base/op.h"
#include "schema/ids.h"

struct ledger;

struct ledger_entry {
	struct operation_id operation;
	struct account_id account;
	uint64_t expected_modseq; /* what the commit was conditional on */
	uint64_t modseq;          /* what it would have become */
	uint64_t recorded_us;
	struct slice once_key;
	struct slice detail; /* what the owner of the change needs to undo it */
};

/* `path`: a file, made if missing; NULL: in memory, for tests. ERR_CORRUPT when the file is no
 * ledger; a torn last record is one that nobody was told of, and is dropped. */
MUST_CHECK struct error *ledger_open(struct op *op, const char *path, struct ledger **ret_ledger);
void ledger_close(struct ledger *ledger);

/* Durable when it returns NULL. */
MUST_CHECK struct error *ledger_record(
	struct op *op, struct ledger *ledger, const struct ledger_entry *entry);

/* Forgets an entry; durable with the next record, since settling twice is harmless. */
MUST_CHECK struct error *ledger_settle(
	struct op *op, struct ledger *ledger, struct operation_id operation, const char *verdict);

/* All open entries, oldest first, copied into the arena. */
void ledger_list(
	struct op *op, struct ledger *ledger, struct ledger_entry **ret_entries, size_t *ret_count);

size_t ledger_length(struct ledger *ledger);

/* An open entry with this once-key; false when there is none. */
bool ledger_find_once(struct op *op, struct ledger *ledger, struct account_id account,
	struct slice once_key, struct ledger_entry *ret_entry);
