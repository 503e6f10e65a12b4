#pragma once

/* Immutable content by id. An id is its blob's own, never reused and not a hash; a SHA-256 beside
 * it tells damage. Any thread. */

#include "base/digest.h"
#include "engine/engine.h"
#include "schema/tables.h"

struct blob_store;

/* One of several reads. */
struct blob_part {
	struct blob_id id;
	uint64_t offset;
	uint64_t length; /* UINT64_MAX: to the end */

	/* Answers, in the operation's arena. */
	struct error *err;
	struct slice bytes;
};

struct blob_ops {
	const char *name;
	struct error *(*put)(struct blob_store *store, struct op *op, struct blob_id id,
		struct slice content, struct slice sha256, struct mutations *staged);
	struct error *(*read)(struct blob_store *store, struct op *op, struct blob_id id,
		uint64_t offset, uint64_t length, struct slice *ret_bytes);
	/* NULL: one after another. */
	void (*read_many)(
		struct blob_store *store, struct op *op, struct blob_part *parts, size_t count);
	struct error *(*remove)(struct blob_store *store, struct op *op, struct blob_id id);
	/* NULL: one after another. */
	struct error *(*remove_many)(
		struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count);
	struct error *(*list)(struct blob_store *store, struct op *op, struct slice after,
		size_t limit, struct blob_id **ret_ids, size_t *ret_count);
	/* NULL: nothing is ever left over. */
	struct error *(*clean_up)(
		struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed);
	void (*close)(struct blob_store *store);
};

struct blob_store {
	const struct blob_ops *ops;
	/* Its puts wait for something else than the engine: rows may be written meanwhile. */
	bool is_apart;
	/* New content up to so many bytes is to stand among the rows of its message; 0: none. */
	uint64_t inline_max;
};

/* An id tells where its content is, so that neither a message's rows nor a setting need to say it:
 * of version 8 among the rows of the message of the same id, else in the store of content. */
static inline bool blob_is_inline(struct blob_id id)
{
	return uuid_version(id.uuid) == 8;
}

/* An id for new content of so many bytes. */
static inline struct blob_id blob_new_id(const struct blob_store *store, uint64_t size)
{
	bool is_small = store->inline_max && size <= store->inline_max;
	return (struct blob_id){is_small ? uuid_v8() : uuid_v7()};
}

static inline bool blob_is_apart(const struct blob_store *store, struct blob_id id)
{
	return store->is_apart && !blob_is_inline(id);
}

/* Content above this is written, and durable, before the commit; below it may go with it. */
#define BLOB_STAGED_MAX MIB(1)

/* Stores content. With `staged` small content may be added to it and becomes durable with the
 * write that carries it; else it is durable when NULL is returned.
 * ERR_UNAVAILABLE: nothing was written. ERR_UNCERTAIN: something may be there: reclaim finds it. */
MUST_CHECK static inline struct error *blob_put(struct blob_store *store, struct op *op,
	struct blob_id id, struct slice content, struct slice sha256, struct mutations *staged)
{
	return store->ops->put(store, op, id, content, sha256, staged);
}

/* `length` bytes from `offset`, clamped to the blob. ERR_NOT_FOUND; ERR_CORRUPT when a blob read
 * whole does not have its checksum. */
MUST_CHECK static inline struct error *blob_read(struct blob_store *store, struct op *op,
	struct blob_id id, uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	return store->ops->read(store, op, id, offset, length, ret_bytes);
}

/* Several reads, at the same time where the store can; each has its own error. */
static inline void blob_read_many(
	struct blob_store *store, struct op *op, struct blob_part *parts, size_t count)
{
	if (store->ops->read_many) {
		store->ops->read_many(store, op, parts, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		parts[i].err = blob_read(
			store, op, parts[i].id, parts[i].offset, parts[i].length, &parts[i].bytes);
}

/* Removing what is not there is no error. */
MUST_CHECK static inline struct error *blob_remove(
	struct blob_store *store, struct op *op, struct blob_id id)
{
	return store->ops->remove(store, op, id);
}

/* After an error some may be gone. */
MUST_CHECK static inline struct error *blob_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	if (store->ops->remove_many)
		return store->ops->remove_many(store, op, ids, count);
	for (size_t i = 0; i < count; i++)
		TRY(blob_remove(store, op, ids[i]));
	return NULL;
}

/* Ids in an order of the store's own, after `after` (16 bytes, or empty): for audits. */
MUST_CHECK static inline struct error *blob_list(struct blob_store *store, struct op *op,
	struct slice after, size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	return store->ops->list(store, op, after, limit, ret_ids, ret_count);
}

/* Removes what puts left behind that were begun before a time (microseconds since 1970) and never
 * finished: it is no blob, but it takes room. */
MUST_CHECK static inline struct error *blob_clean_up(
	struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed)
{
	*ret_removed = 0;
	return store->ops->clean_up ? store->ops->clean_up(store, op, before_us, ret_removed)
				    : NULL;
}

static inline void blob_store_close(struct blob_store *store)
{
	if (store)
		store->ops->close(store);
}

/* Content in the engine's own `blob` table (on RocksDB: in its blob files). */
struct blob_store *blob_engine_new(struct engine *engine);

/* Content as files under `folder`, made if missing: two levels of 256 folders. */
MUST_CHECK struct error *blob_file_open(
	struct op *op, const char *folder, struct blob_store **ret_store);
