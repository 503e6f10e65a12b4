#include "blob/blob_s3.h"

#include <stdlib.h>

#include "base/secret_file.h"

/* A blob is an object "PREFIXxx/ID", where xx is the last byte of the id (the first ones are the
 * time: all of an hour would be neighbours, and a store divides its work by neighbourhood). Its
 * SHA-256 is the object's user metadata "sha256". */

struct blob_s3 {
	struct blob_store store;
	struct s3 *s3;
	char *prefix;
};

static struct blob_s3 *self(struct blob_store *store)
{
	return (struct blob_s3 *)store;
}

static struct slice key_of(struct op *op, struct blob_store *store, struct blob_id id)
{
	return slice_from_cstr(arena_printf(&op->arena, "%s%02x/%s", self(store)->prefix,
		id.uuid.bytes[15], uuid_text(&op->arena, id.uuid)));
}

static bool id_of(struct blob_store *store, struct slice key, struct blob_id *ret_id)
{
	struct slice name = slice_from(key, strlen(self(store)->prefix));
	return name.len > 3 && name.ptr[2] == '/' && uuid_parse(slice_from(name, 3), &ret_id->uuid);
}

static struct error *s3_blob_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	(void)staged;
	struct error *err = s3_put(op, self(store)->s3, key_of(op, store, id), content, sha256);
	if (!err)
		return NULL;
	err = op_wrap(op, err, "store content %s", uuid_text(&op->arena, id.uuid));
	if (err->kind == ERR_EXISTS)
		err->kind = ERR_CORRUPT; /* an id is never used again */
	return err;
}

static struct error *check_whole(struct op *op, struct blob_id id, const struct s3_get *get)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(get->bytes, digest);
	if (!slice_equal(slice_of(digest, sizeof(digest)), get->sha256))
		return op_fail(op, ERR_CORRUPT, "content %s does not have its checksum",
			uuid_text(&op->arena, id.uuid));
	return NULL;
}

static void s3_blob_read_many(
	struct blob_store *store, struct op *op, struct blob_part *parts, size_t count)
{
	struct s3_get *gets = ARENA_ARRAY(&op->arena, struct s3_get, count);
	for (size_t i = 0; i < count; i++)
		gets[i] = (struct s3_get){.key = key_of(op, store, parts[i].id),
			.offset = parts[i].offset,
			.length = parts[i].length};
	s3_get_many(op, self(store)->s3, gets, count);
	for (size_t i = 0; i < count; i++) {
		parts[i].bytes = gets[i].bytes;
		parts[i].err = gets[i].err;
		if (gets[i].err)
			parts[i].err = op_wrap(op, gets[i].err, "read content %s",
				uuid_text(&op->arena, parts[i].id.uuid));
		else if (!parts[i].offset && gets[i].bytes.len == gets[i].size)
			parts[i].err = check_whole(op, parts[i].id, &gets[i]);
	}
}

static struct error *s3_blob_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct blob_part part = {.id = id, .offset = offset, .length = length};
	s3_blob_read_many(store, op, &part, 1);
	TRY(part.err);
	*ret_bytes = part.bytes;
	return NULL;
}

static struct error *s3_blob_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	return s3_remove(op, self(store)->s3, key_of(op, store, id));
}

static struct error *s3_blob_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	struct slice *keys = ARENA_ARRAY(&op->arena, struct slice, count);
	for (size_t i = 0; i < count; i++)
		keys[i] = key_of(op, store, ids[i]);
	return s3_remove_many(op, self(store)->s3, keys, count);
}

/* Objects that are not named as blobs are somebody else's. */
static struct error *s3_blob_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	struct blob_id last;
	struct slice from = SLICE_NONE;
	bool has_more = true;
	if (after.len && uuid_from_slice(after, &last.uuid))
		from = key_of(op, store, last);
	*ret_ids = ARENA_ARRAY(&op->arena, struct blob_id, limit);
	*ret_count = 0;
	while (has_more && *ret_count < limit) {
		struct slice *keys;
		size_t count;
		TRY(s3_list(op, self(store)->s3, slice_from_cstr(self(store)->prefix), from,
			limit - *ret_count, &keys, &count, &has_more));
		for (size_t i = 0; i < count && *ret_count < limit; i++)
			if (id_of(store, keys[i], &(*ret_ids)[*ret_count]))
				++*ret_count;
		if (count)
			from = keys[count - 1];
	}
	return NULL;
}

static struct error *s3_blob_clean_up(
	struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed)
{
	return s3_abort_uploads(
		op, self(store)->s3, slice_from_cstr(self(store)->prefix), before_us, ret_removed);
}

static void s3_blob_close(struct blob_store *store)
{
	s3_free(self(store)->s3);
	free(self(store)->prefix);
	free(store);
}

static const struct blob_ops s3_ops = {
	.name = "s3",
	.put = s3_blob_put,
	.read = s3_blob_read,
	.read_many = s3_blob_read_many,
	.remove = s3_blob_remove,
	.remove_many = s3_blob_remove_many,
	.list = s3_blob_list,
	.clean_up = s3_blob_clean_up,
	.close = s3_blob_close,
};

/* Keys are signed as they stand: a prefix keeps to what nobody writes in two ways. */
static struct error *check_prefix(struct op *op, struct slice prefix)
{
	for (size_t i = 0; i < prefix.len; i++) {
		char c = prefix.ptr[i];
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && !strchr("/-_.", c))
			return op_fail(
				op, ERR_INVALID, "s3.prefix may have letters, digits and /-_.");
	}
	if (prefix.len > 512 || slice_starts_with(prefix, SLICE("/")))
		return op_fail(op, ERR_INVALID, "s3.prefix is too long or begins with a slash");
	return NULL;
}

struct error *blob_s3_open(
	struct op *op, const struct blob_s3_config *config, struct blob_store **ret_store)
{
	struct s3_config client = config->client;
	struct s3 *s3;
	struct slice prefix = slice_from_cstr(config->prefix ? config->prefix : "");
	TRY(check_prefix(op, prefix));
	if (!config->secret_file)
		return op_fail(op, ERR_INVALID, "S3 needs s3.secret_file");
	TRY(secret_file_read(op, config->secret_file, &client.secret_key));
	TRY(s3_new(op, &client, &s3));
	struct blob_s3 *store = HEAP_NEW(struct blob_s3);
	*store = (struct blob_s3){
		.store = {.ops = &s3_ops, .is_apart = true}, .s3 = s3, .prefix = heap_cstr(prefix)};
	*ret_store = &store->store;
	return NULL;
}

struct error *blob_s3_check(struct op *op, struct blob_store *store)
{
	return s3_check_bucket(op, self(store)->s3);
}
