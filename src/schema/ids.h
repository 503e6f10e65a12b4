#pragma once

/* Distinct ids are distinct types: one cannot be passed where another is wanted. */

#include "base/uuid.h"

struct account_id {
	struct uuid uuid;
};

struct mailbox_id {
	struct uuid uuid;
};

struct message_id {
	struct uuid uuid;
};

/* A blob's id is its own, never reused and not its hash. */
struct blob_id {
	struct uuid uuid;
};

/* 128 random bits, one per operation, kept through its retries. */
struct operation_id {
	struct uuid uuid;
};

#define ID_SLICE(id) uuid_as_slice(&(id).uuid)
#define ID_EQUAL(a, b) uuid_equal((a).uuid, (b).uuid)
#define ID_IS_NIL(id) uuid_is_nil((id).uuid)
