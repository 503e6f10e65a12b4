#pragma once

/* Which accounts a node watches, as a bounded number of slots: each account is in one. Not
 * thread-safe. */

#include "schema/ids.h"

#define SLOT_COUNT 256

struct slots {
	uint32_t watches[SLOT_COUNT];
};

/* The last byte of an account's id is random. */
static inline unsigned slot_of(struct account_id account)
{
	return account.uuid.bytes[sizeof(account.uuid.bytes) - 1];
}

static inline bool slots_is_watched(const struct slots *slots, struct account_id account)
{
	return slots->watches[slot_of(account)] > 0;
}

/* Each watch is ended by one that is not. */
static inline void slots_watch(struct slots *slots, struct account_id account, bool is_watched)
{
	slots->watches[slot_of(account)] += is_watched ? 1U : -1U;
}
