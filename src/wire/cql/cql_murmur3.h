#pragma once

#include "base/slice.h"

/* The token of a partition key, as Cassandra's Murmur3Partitioner computes it. Pure. */
int64_t cql_murmur3_token(struct slice key);
