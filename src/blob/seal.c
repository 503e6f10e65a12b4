#include "blob/seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/buf.h"

#define FRAME_BYTES KIB(256)
#define FRAME_BYTES_MAX MIB(16)
#define CONTENT_MAX (UINT64_C(4) << 30)
#define RESERVE_MAX MIB(64) /* before a frame has shown that it is there */
#define TAG_BYTES 16
#define NONCE_BYTES 12
#define COMPRESSION_LEVEL 3

/* No mail begins so. The last byte is the version. */
static const struct slice magic = SLICE_INIT("\x89HFSEAL\x01");
#define FIXED_BYTES (8 + 1 + SEAL_KEY_ID_BYTES + 4 + 8 + SHA256_SIZE + 4)

enum { FLAG_ENCRYPTED = 1 };

/* ---- Keys ---- */

static bool parse_key(struct slice hex, uint8_t *ret_bytes)
{
	if (hex.len != 2 * (size_t)SEAL_KEY_BYTES)
		return false;
	for (size_t i = 0; i < hex.len; i++) {
		char c = ascii_lower(hex.ptr[i]);
		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		int digit = ascii_is_digit(c) ? c - '0' : c - 'a' + 10;
		ret_bytes[i / 2] = (uint8_t)(ret_bytes[i / 2] << 4 | digit);
	}
	return true;
}

static const struct seal_key *find_key(const struct seal_keys *keys, struct slice id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (slice_equal(slice_of(keys->items[i].id, SEAL_KEY_ID_BYTES), id))
			return &keys->items[i];
	return NULL;
}

static struct error *parse_line(
	struct op *op, struct slice line, size_t number, struct seal_keys *keys)
{
	struct seal_key key = {0};
	struct slice name;
	struct slice hex = line;
	slice_split(&hex, ' ', &name);
	hex = slice_trim(hex);
	if (!name.len || name.len > sizeof(key.id) || !parse_key(hex, key.bytes))
		return op_fail(op, ERR_INVALID,
			"line %zu of the keys is no name and 64 hexadecimal digits", number);
	memcpy(key.id, name.ptr, name.len);
	if (find_key(keys, slice_of(key.id, sizeof(key.id))))
		return op_fail(op, ERR_INVALID, "line %zu of the keys names one again", number);
	keys->items = arena_grow(&op->arena, keys->items, keys->count * sizeof(key),
		(keys->count + 1) * sizeof(key));
	keys->items[keys->count++] = key;
	return NULL;
}

struct error *seal_keys_parse(struct op *op, struct slice text, struct seal_keys *ret_keys)
{
	struct slice line;
	struct seal_keys keys = {0};
	for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
		line = slice_trim(line);
		if (line.len && line.ptr[0] != '#')
			TRY(parse_line(op, line, number, &keys));
	}
	if (!keys.count)
		return op_fail(op, ERR_INVALID, "there is no key");
	*ret_keys = keys;
	return NULL;
}

/* ---- One frame ---- */

struct cipher {
	EVP_CIPHER_CTX *context;
	uint8_t key[SEAL_KEY_BYTES]; /* of this content */
	struct slice header;         /* as far as it does not depend on the frames */
};

static void cipher_done(struct cipher *cipher)
{
	EVP_CIPHER_CTX_free(cipher->context);
}

static struct error *cipher_init(
	struct op *op, const struct seal_key *key, struct blob_id id, struct cipher *cipher)
{
	struct buf name = buf_in(&op->arena);
	unsigned int length = sizeof(cipher->key);
	buf_append(&name, SLICE("holdfast content key"));
	buf_append(&name, ID_SLICE(id));
	buf_append(&name, cipher->header);
	cipher->context = NULL;
	if (!HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), (const uint8_t *)name.ptr, name.len,
		    cipher->key, &length))
		return op_fail(op, ERR_INTERNAL, "cannot make a content's key");
	cipher->context = EVP_CIPHER_CTX_new();
	return cipher->context ? NULL : op_fail(op, ERR_INTERNAL, "cannot make a cipher");
}

static void nonce_of(uint32_t frame, uint8_t *ret_nonce)
{
	memset(ret_nonce, 0, NONCE_BYTES);
	for (int i = 0; i < 4; i++)
		ret_nonce[NONCE_BYTES - 1 - i] = (uint8_t)(frame >> (8 * i));
}

/* Appends the text and its tag, which covers the header too. */
static struct error *encrypt(
	struct op *op, struct cipher *cipher, uint32_t frame, struct slice plain, struct buf *out)
{
	uint8_t nonce[NONCE_BYTES];
	int done = 0;
	int last = 0;
	int header = 0;
	uint8_t *to = (uint8_t *)buf_reserve(out, plain.len + TAG_BYTES);
	EVP_CIPHER_CTX *context = cipher->context;
	nonce_of(frame, nonce);
	bool is_good =
		EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, cipher->key, nonce) == 1 &&
		EVP_EncryptUpdate(context, NULL, &header, (const uint8_t *)cipher->header.ptr,
			(int)cipher->header.len) == 1 &&
		EVP_EncryptUpdate(context, to, &done, (const uint8_t *)plain.ptr, (int)plain.len) ==
			1 &&
		EVP_EncryptFinal_ex(context, to + done, &last) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, to + plain.len) == 1;
	if (!is_good)
		return op_fail(op, ERR_INTERNAL, "cannot encrypt content");
	out->len += plain.len + TAG_BYTES;
	return NULL;
}

static struct error *decrypt(struct op *op, struct cipher *cipher, uint32_t frame,
	struct slice sealed, struct slice *ret_plain)
{
	uint8_t nonce[NONCE_BYTES];
	uint8_t tag[TAG_BYTES];
	int done = 0;
	int last = 0;
	int header = 0;
	EVP_CIPHER_CTX *context = cipher->context;
	if (sealed.len < TAG_BYTES)
		return op_fail(op, ERR_CORRUPT, "sealed content has a frame without a tag");
	size_t length = sealed.len - TAG_BYTES;
	uint8_t *plain = arena_alloc_raw(&op->arena, length + 1);
	memcpy(tag, sealed.ptr + length, TAG_BYTES);
	nonce_of(frame, nonce);
	bool is_good =
		EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, cipher->key, nonce) == 1 &&
		EVP_DecryptUpdate(context, NULL, &header, (const uint8_t *)cipher->header.ptr,
			(int)cipher->header.len) == 1 &&
		EVP_DecryptUpdate(
			context, plain, &done, (const uint8_t *)sealed.ptr, (int)length) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) == 1 &&
		EVP_DecryptFinal_ex(context, plain + done, &last) == 1;
	if (!is_good)
		return op_fail(op, ERR_CORRUPT, "sealed content is damaged, or sealed elsewhere");
	*ret_plain = slice_of(plain, length);
	return NULL;
}

/* What does not become smaller stays as it is: its length tells. */
static struct slice compress_frame(struct op *op, struct slice plain)
{
	size_t room = ZSTD_compressBound(plain.len);
	char *packed = arena_alloc_raw(&op->arena, room);
	size_t length = ZSTD_compress(packed, room, plain.ptr, plain.len, COMPRESSION_LEVEL);
	bool is_smaller = !ZSTD_isError(length) && length < plain.len;
	return is_smaller ? slice_of(packed, length) : plain;
}

static struct error *unpack_frame(
	struct op *op, struct slice packed, size_t plain_length, struct buf *out)
{
	if (packed.len == plain_length) {
		buf_append(out, packed);
		return NULL;
	}
	char *to = buf_reserve(out, plain_length);
	size_t length = ZSTD_decompress(to, plain_length, packed.ptr, packed.len);
	if (ZSTD_isError(length) || length != plain_length)
		return op_fail(op, ERR_CORRUPT, "sealed content cannot be unpacked");
	out->len += plain_length;
	return NULL;
}

/* ---- Sealing ---- */

static uint32_t frame_count_of(uint64_t size, uint32_t frame_bytes)
{
	return (uint32_t)((size + frame_bytes - 1) / frame_bytes);
}

static struct slice fixed_header(struct op *op, const struct seal_key *key, struct slice content,
	struct slice sha256, uint32_t frame_count)
{
	static const uint8_t no_key[SEAL_KEY_ID_BYTES];
	struct buf header = buf_in(&op->arena);
	buf_append(&header, magic);
	buf_u8(&header, key ? FLAG_ENCRYPTED : 0);
	buf_append(&header, slice_of(key ? key->id : no_key, SEAL_KEY_ID_BYTES));
	buf_u32(&header, FRAME_BYTES);
	buf_u64(&header, content.len);
	buf_append(&header, sha256);
	buf_u32(&header, frame_count);
	return buf_as_slice(&header);
}

static void write_length(struct buf *sealed, size_t at, size_t length)
{
	for (int i = 0; i < 4; i++)
		sealed->ptr[at + (size_t)i] = (char)(length >> (24 - 8 * i));
}

static struct error *add_frame(struct op *op, struct cipher *cipher, uint32_t number,
	struct slice frame, bool compress, struct buf *sealed)
{
	size_t before = sealed->len;
	if (compress)
		frame = compress_frame(op, frame);
	if (cipher->context)
		TRY(encrypt(op, cipher, number, frame, sealed));
	else
		buf_append(sealed, frame);
	write_length(sealed, FIXED_BYTES + (size_t)number * 4, sealed->len - before);
	return NULL;
}

struct error *seal(struct op *op, const struct seal_keys *keys, bool compress, struct blob_id id,
	struct slice content, struct slice sha256, struct slice *ret_sealed)
{
	const struct seal_key *key = keys->count ? &keys->items[0] : NULL;
	uint32_t count = frame_count_of(content.len, FRAME_BYTES);
	struct cipher cipher = {.header = fixed_header(op, key, content, sha256, count)};
	struct error *err = key ? cipher_init(op, key, id, &cipher) : NULL;
	struct buf sealed = buf_in(&op->arena);
	/* The lengths are filled in as the frames come. */
	size_t start = FIXED_BYTES + (size_t)count * 4;
	buf_reserve(&sealed, start + content.len + (size_t)count * TAG_BYTES);
	memset(sealed.ptr, 0, start);
	memcpy(sealed.ptr, cipher.header.ptr, FIXED_BYTES);
	sealed.len = start;
	for (uint32_t i = 0; i < count && !err; i++)
		err = add_frame(op, &cipher, i,
			slice_range(content, i * FRAME_BYTES, (i + 1) * FRAME_BYTES), compress,
			&sealed);
	cipher_done(&cipher);
	*ret_sealed = buf_as_slice(&sealed);
	return err;
}

/* ---- Opening ---- */

bool seal_is_there(struct slice bytes)
{
	return slice_starts_with(bytes, magic);
}

static uint32_t length_of(const struct seal_header *header, uint32_t frame)
{
	struct reader reader = reader_of(slice_from(header->lengths, (size_t)frame * 4));
	return reader_u32(&reader);
}

static size_t plain_length_of(const struct seal_header *header, uint32_t frame)
{
	uint64_t from = (uint64_t)frame * header->frame_bytes;
	return (size_t)MIN_OF(header->frame_bytes, header->size - from);
}

static struct error *check_header(struct op *op, const struct seal_header *header, uint8_t flags)
{
	bool is_sound = flags <= FLAG_ENCRYPTED && header->frame_bytes >= KIB(4) &&
			header->frame_bytes <= FRAME_BYTES_MAX && header->size <= CONTENT_MAX &&
			header->frame_count == frame_count_of(header->size, header->frame_bytes);
	return is_sound ? NULL : op_fail(op, ERR_CORRUPT, "sealed content has a broken header");
}

struct error *seal_read_header(
	struct op *op, struct slice bytes, struct seal_header *ret_header, size_t *ret_missing)
{
	*ret_missing = bytes.len < FIXED_BYTES ? FIXED_BYTES - bytes.len : 0;
	if (*ret_missing)
		return NULL;
	struct reader reader = reader_of(bytes);
	struct seal_header header = {0};
	if (!slice_equal(reader_bytes(&reader, magic.len), magic))
		return op_fail(op, ERR_CORRUPT, "this is no sealed content");
	uint8_t flags = reader_u8(&reader);
	header.is_encrypted = flags & FLAG_ENCRYPTED;
	header.key_id = reader_bytes(&reader, SEAL_KEY_ID_BYTES);
	header.frame_bytes = reader_u32(&reader);
	header.size = reader_u64(&reader);
	header.sha256 = reader_bytes(&reader, SHA256_SIZE);
	header.frame_count = reader_u32(&reader);
	TRY(check_header(op, &header, flags));
	size_t length = FIXED_BYTES + (size_t)header.frame_count * 4;
	*ret_missing = bytes.len < length ? length - bytes.len : 0;
	if (*ret_missing)
		return NULL;
	header.bytes = slice_range(bytes, 0, length);
	header.lengths = slice_from(header.bytes, FIXED_BYTES);
	for (uint32_t i = 0; i < header.frame_count; i++)
		if (length_of(&header, i) > plain_length_of(&header, i) + TAG_BYTES)
			return op_fail(op, ERR_CORRUPT, "sealed content has a frame too long");
	*ret_header = header;
	return NULL;
}

struct seal_span seal_span_of(const struct seal_header *header, uint64_t offset, uint64_t length)
{
	struct seal_span span = {.from = header->bytes.len};
	if (!header->size)
		return (struct seal_span){.from = span.from, .to = span.from};
	uint64_t last = offset + MAX_OF(length, 1) - 1;
	span.first = (uint32_t)(offset / header->frame_bytes);
	span.count = (uint32_t)(last / header->frame_bytes) - span.first + 1;
	for (uint32_t i = 0; i < span.first; i++)
		span.from += length_of(header, i);
	span.to = span.from;
	for (uint32_t i = 0; i < span.count; i++)
		span.to += length_of(header, span.first + i);
	return span;
}

static struct error *open_frames(struct op *op, struct cipher *cipher,
	const struct seal_header *header, const struct seal_span *span, struct slice frames,
	struct buf *out)
{
	for (uint32_t i = span->first; i < span->first + span->count; i++) {
		uint32_t length = length_of(header, i);
		struct slice frame = slice_range(frames, 0, length);
		frames = slice_from(frames, length);
		if (frame.len != length)
			return op_fail(op, ERR_CORRUPT, "sealed content is cut off");
		if (header->is_encrypted)
			TRY(decrypt(op, cipher, i, frame, &frame));
		TRY(unpack_frame(op, frame, plain_length_of(header, i), out));
	}
	return NULL;
}

struct error *seal_open(struct op *op, const struct seal_keys *keys, struct blob_id id,
	const struct seal_header *header, const struct seal_span *span, struct slice frames,
	struct slice *ret_content)
{
	struct cipher cipher = {.header = slice_range(header->bytes, 0, FIXED_BYTES)};
	const struct seal_key *key = header->is_encrypted ? find_key(keys, header->key_id) : NULL;
	if (header->is_encrypted && !key)
		return op_fail(op, ERR_UNAVAILABLE,
			"content %s needs a key that is not there: %.*s",
			uuid_text(&op->arena, id.uuid), SEAL_KEY_ID_BYTES, header->key_id.ptr);
	struct error *err = key ? cipher_init(op, key, id, &cipher) : NULL;
	struct buf content = buf_in(&op->arena);
	buf_reserve(&content, MIN_OF((size_t)span->count * header->frame_bytes, RESERVE_MAX));
	if (!err)
		err = open_frames(op, &cipher, header, span, frames, &content);
	cipher_done(&cipher);
	*ret_content = buf_as_slice(&content);
	return err;
}
