#include "blob/blob_sealed.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "blob/seal.h"

/* A part is read in two steps, the header first. So much is read at first: for most content it
 * holds all there is, or at least the whole header. */
#define FIRST_READ KIB(64)
#define KEY_FILE_MAX KIB(64)

struct blob_sealed_config blob_sealed_config;

struct blob_sealed {
	struct blob_store store;
	struct blob_store *below;
	struct seal_keys keys; /* on the heap */
	bool compress;
	bool accept_plain;
};

static struct blob_sealed *self(struct blob_store *store)
{
	return (struct blob_sealed *)store;
}

static struct error *sealed_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	struct slice sealed;
	uint8_t *digest = arena_alloc(&op->arena, SHA256_SIZE);
	TRY(seal(op, &self(store)->keys, self(store)->compress, id, content, sha256, &sealed));
	sha256_of(sealed, digest);
	return blob_put(self(store)->below, op, id, sealed, slice_of(digest, SHA256_SIZE), staged);
}

/* Content that was stored before there were keys. */
static struct error *check_plain(struct op *op, const struct blob_sealed *sealed, struct blob_id id)
{
	if (!sealed->keys.count || sealed->accept_plain)
		return NULL;
	return op_fail(
		op, ERR_CORRUPT, "content %s is not encrypted", uuid_text(&op->arena, id.uuid));
}

static struct error *check_encrypted(struct op *op, const struct blob_sealed *sealed,
	struct blob_id id, const struct seal_header *header)
{
	return header->is_encrypted ? NULL : check_plain(op, sealed, id);
}

static struct error *check_whole(
	struct op *op, struct blob_id id, const struct seal_header *header, struct slice content)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	if (!slice_equal(slice_of(digest, sizeof(digest)), header->sha256))
		return op_fail(op, ERR_CORRUPT, "content %s does not have its checksum",
			uuid_text(&op->arena, id.uuid));
	return NULL;
}

/* Opens what was read whole from below. */
static struct error *open_whole(struct op *op, const struct blob_sealed *sealed, struct blob_id id,
	struct slice bytes, struct slice *ret_content)
{
	struct seal_header header;
	size_t missing;
	if (!seal_is_there(bytes)) {
		*ret_content = bytes;
		return check_plain(op, sealed, id);
	}
	TRY(seal_read_header(op, bytes, &header, &missing));
	if (missing)
		return op_fail(
			op, ERR_CORRUPT, "content %s is cut off", uuid_text(&op->arena, id.uuid));
	TRY(check_encrypted(op, sealed, id, &header));
	struct seal_span span = seal_span_of(&header, 0, header.size);
	TRY(seal_open(
		op, &sealed->keys, id, &header, &span, slice_from(bytes, span.from), ret_content));
	return check_whole(op, id, &header, *ret_content);
}

static struct error *read_header(struct op *op, const struct blob_sealed *sealed, struct blob_id id,
	struct slice *inout_start, struct seal_header *ret_header)
{
	size_t missing;
	for (size_t had = 0;; had = inout_start->len) {
		TRY(seal_read_header(op, *inout_start, ret_header, &missing));
		if (!missing)
			return NULL;
		if (had == inout_start->len)
			return op_fail(op, ERR_CORRUPT, "content %s is cut off",
				uuid_text(&op->arena, id.uuid));
		TRY(blob_read(sealed->below, op, id, 0, inout_start->len + missing, inout_start));
	}
}

static struct error *read_span(struct op *op, const struct blob_sealed *sealed, struct blob_id id,
	const struct seal_span *span, struct slice start, struct slice *ret_frames)
{
	if (span->to <= start.len) {
		*ret_frames = slice_range(start, span->from, span->to);
		return NULL;
	}
	return blob_read(sealed->below, op, id, span->from, span->to - span->from, ret_frames);
}

static struct error *read_part(struct op *op, const struct blob_sealed *sealed, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct slice start, frames, content;
	struct seal_header header;
	TRY(blob_read(sealed->below, op, id, 0, FIRST_READ, &start));
	if (!seal_is_there(start)) {
		TRY(check_plain(op, sealed, id));
		return blob_read(sealed->below, op, id, offset, length, ret_bytes);
	}
	TRY(read_header(op, sealed, id, &start, &header));
	TRY(check_encrypted(op, sealed, id, &header));
	uint64_t from = MIN_OF(offset, header.size);
	uint64_t count = MIN_OF(length, header.size - from);
	if (!count) {
		*ret_bytes = SLICE("");
		return NULL;
	}
	struct seal_span span = seal_span_of(&header, from, count);
	TRY(read_span(op, sealed, id, &span, start, &frames));
	TRY(seal_open(op, &sealed->keys, id, &header, &span, frames, &content));
	if (count == header.size)
		TRY(check_whole(op, id, &header, content));
	uint64_t skipped = from - (uint64_t)span.first * header.frame_bytes;
	*ret_bytes = slice_range(content, skipped, skipped + count);
	return NULL;
}

static bool is_whole(uint64_t offset, uint64_t length)
{
	return offset == 0 && length == UINT64_MAX;
}

static struct error *sealed_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct slice bytes;
	if (!is_whole(offset, length))
		return read_part(op, self(store), id, offset, length, ret_bytes);
	TRY(blob_read(self(store)->below, op, id, 0, UINT64_MAX, &bytes));
	return open_whole(op, self(store), id, bytes, ret_bytes);
}

/* Whole contents at once, parts one after another. */
static void sealed_read_many(
	struct blob_store *store, struct op *op, struct blob_part *parts, size_t count)
{
	struct blob_part *whole = ARENA_ARRAY(&op->arena, struct blob_part, count);
	size_t whole_count = 0;
	for (size_t i = 0; i < count; i++)
		if (is_whole(parts[i].offset, parts[i].length))
			whole[whole_count++] = parts[i];
	blob_read_many(self(store)->below, op, whole, whole_count);
	for (size_t i = 0, next = 0; i < count; i++) {
		if (!is_whole(parts[i].offset, parts[i].length)) {
			parts[i].err = read_part(op, self(store), parts[i].id, parts[i].offset,
				parts[i].length, &parts[i].bytes);
			continue;
		}
		const struct blob_part *got = &whole[next++];
		parts[i].err = got->err ? got->err
					: open_whole(op, self(store), parts[i].id, got->bytes,
						  &parts[i].bytes);
	}
}

static struct error *sealed_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	return blob_remove(self(store)->below, op, id);
}

static struct error *sealed_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	return blob_remove_many(self(store)->below, op, ids, count);
}

static struct error *sealed_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	return blob_list(self(store)->below, op, after, limit, ret_ids, ret_count);
}

static struct error *sealed_clean_up(
	struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed)
{
	return blob_clean_up(self(store)->below, op, before_us, ret_removed);
}

static void sealed_close(struct blob_store *store)
{
	struct blob_sealed *sealed = self(store);
	blob_store_close(sealed->below);
	OPENSSL_cleanse(sealed->keys.items, sealed->keys.count * sizeof(struct seal_key));
	free(sealed->keys.items);
	free(sealed);
}

static const struct blob_ops sealed_ops = {
	.name = "sealed",
	.put = sealed_put,
	.read = sealed_read,
	.read_many = sealed_read_many,
	.remove = sealed_remove,
	.remove_many = sealed_remove_many,
	.list = sealed_list,
	.clean_up = sealed_clean_up,
	.close = sealed_close,
};

static struct error *read_keys(struct op *op, const char *path, struct seal_keys *ret_keys)
{
	char *text = arena_alloc_raw(&op->arena, KEY_FILE_MAX);
	FILE *file = fopen(path, "re");
	if (!file)
		return op_fail(op, ERR_INVALID, "cannot read %s: %s", path, strerror(errno));
	size_t length = fread(text, 1, KEY_FILE_MAX, file);
	fclose(file);
	if (length == KEY_FILE_MAX)
		return op_fail(op, ERR_INVALID, "%s is too long for a file of keys", path);
	struct error *err = seal_keys_parse(op, slice_of(text, length), ret_keys);
	OPENSSL_cleanse(text, length);
	return err ? op_fail(op, err->kind, "%s: %s", path, err->message) : NULL;
}

bool blob_sealed_is_wanted(const struct blob_sealed_config *config)
{
	return config->key_file || config->compression != BLOB_PLAIN;
}

struct error *blob_sealed_check(struct op *op, const struct blob_sealed_config *config)
{
	struct seal_keys keys = {0};
	if (config->key_file)
		TRY(read_keys(op, config->key_file, &keys));
	OPENSSL_cleanse(keys.items, keys.count * sizeof(struct seal_key));
	return NULL;
}

struct error *blob_sealed_open(struct op *op, const struct blob_sealed_config *config,
	struct blob_store *below, struct blob_store **ret_store)
{
	struct seal_keys keys = {0};
	if (config->key_file)
		TRY(read_keys(op, config->key_file, &keys));
	struct blob_sealed *sealed = HEAP_NEW(struct blob_sealed);
	*sealed = (struct blob_sealed){.store = {.ops = &sealed_ops,
					       .is_apart = below->is_apart,
					       .inline_max = below->inline_max},
		.below = below,
		.compress = config->compression == BLOB_ZSTD,
		.accept_plain = config->accept_plain};
	size_t size = keys.count * sizeof(struct seal_key);
	sealed->keys.count = keys.count;
	sealed->keys.items = heap_alloc(size + 1);
	if (size)
		memcpy(sealed->keys.items, keys.items, size);
	OPENSSL_cleanse(keys.items, size);
	*ret_store = &sealed->store;
	return NULL;
}
