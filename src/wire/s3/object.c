#include "wire/s3/s3_private.h"

#include <openssl/evp.h>
#include <stdlib.h>

#define REMOVE_MAX 1000

/* ---- The client ---- */

static char *copy(const char *text)
{
	return text ? heap_cstr(slice_from_cstr(text)) : NULL;
}

struct error *s3_new(struct op *op, const struct s3_config *config, struct s3 **ret_s3)
{
	const char *base_url;
	TRY(s3_base_url(op, config, &base_url));
	if (!config->access_key || !config->secret_key || !config->region)
		return op_fail(op, ERR_INVALID, "S3 needs a region, an access key and its secret");
	struct s3 *s3 = HEAP_NEW(struct s3);
	*s3 = (struct s3){.config = *config, .base_url = copy(base_url)};
	s3->config.endpoint = copy(config->endpoint);
	s3->config.region = copy(config->region);
	s3->config.bucket = copy(config->bucket);
	s3->config.access_key = copy(config->access_key);
	s3->config.secret_key = copy(config->secret_key);
	s3->config.ca_file = copy(config->ca_file);
	s3->signing = copy(arena_printf(&op->arena, "aws:amz:%s:s3", config->region));
	s3->lanes = lane_pool_new(s3);
	*ret_s3 = s3;
	return NULL;
}

void s3_free(struct s3 *s3)
{
	if (!s3)
		return;
	lane_pool_free(s3->lanes);
	free((void *)s3->config.endpoint);
	free((void *)s3->config.region);
	free((void *)s3->config.bucket);
	free((void *)s3->config.access_key);
	free((void *)s3->config.secret_key);
	free((void *)s3->config.ca_file);
	free(s3->base_url);
	free(s3->signing);
	free(s3);
}

/* ---- Answers ---- */

bool s3_is_good(const struct s3_request *request)
{
	return request->status >= 200 && request->status < 300 && !request->code.len;
}

struct error *s3_fail(struct op *op, const struct s3_request *request, bool is_write)
{
	static const char *const methods[] = {[S3_GET] = "GET",
		[S3_HEAD] = "HEAD",
		[S3_PUT] = "PUT",
		[S3_POST] = "POST",
		[S3_DELETE] = "DELETE"};
	enum error_kind kind = ERR_UNAVAILABLE;
	if (is_write && request->may_be_done)
		kind = ERR_UNCERTAIN;
	else if (!request->status && request->is_late)
		kind = ERR_TIMEOUT;
	else if (request->status == 404 && slice_equal(request->code, SLICE("NoSuchKey")))
		kind = ERR_NOT_FOUND;
	if (!request->status)
		return op_fail(op, kind, "%s %s: %s", methods[request->method], request->url,
			request->problem);
	return op_fail(op, kind, "%s %s: the object store answers %d " SLICE_FMT,
		methods[request->method], request->url, request->status,
		SLICE_ARG(slice_range(request->code, 0, 64)));
}

const char *s3_hex(struct arena *arena, struct slice bytes)
{
	struct buf hex = buf_in(arena);
	for (size_t i = 0; i < bytes.len; i++)
		buf_printf(&hex, "%02x", (unsigned char)bytes.ptr[i]);
	return arena_cstr(arena, buf_as_slice(&hex));
}

static bool parse_sha256(struct arena *arena, struct slice hex, struct slice *ret_bytes)
{
	if (hex.len != 2 * (size_t)SHA256_SIZE)
		return false;
	char *bytes = arena_alloc(arena, SHA256_SIZE);
	for (size_t i = 0; i < hex.len; i++) {
		char c = ascii_lower(hex.ptr[i]);
		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		int digit = ascii_is_digit(c) ? c - '0' : c - 'a' + 10;
		bytes[i / 2] = (char)((unsigned char)bytes[i / 2] << 4 | digit);
	}
	*ret_bytes = slice_of(bytes, SHA256_SIZE);
	return true;
}

struct error *s3_check_bucket(struct op *op, struct s3 *s3)
{
	struct s3_request request = {.method = S3_GET,
		.url = s3_url(&op->arena, s3->base_url, SLICE(""),
			(const struct s3_parameter[]){
				{"list-type", SLICE("2")}, {"max-keys", SLICE("1")}},
			2),
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	if (s3_is_good(&request))
		return NULL;
	struct error *err = s3_fail(op, &request, false);
	if (request.status == 403)
		err->kind = ERR_DENIED;
	if (request.status == 404)
		err->kind = ERR_NOT_FOUND;
	return err;
}

/* ---- Putting ---- */

struct error *s3_check_taken(struct op *op, struct s3 *s3, struct slice key, struct slice sha256)
{
	struct slice stored;
	struct s3_request request = {
		.method = S3_HEAD, .url = s3_url(&op->arena, s3->base_url, key, NULL, 0)};
	s3_perform(op, s3, &request, 1);
	if (!s3_is_good(&request)) {
		/* It was there a moment ago. */
		struct error *err = s3_fail(op, &request, false);
		err->kind = ERR_UNCERTAIN;
		return err;
	}
	if (parse_sha256(&op->arena, request.meta_sha256, &stored) && slice_equal(stored, sha256))
		return NULL;
	return op_fail(op, ERR_EXISTS,
		"the object " SLICE_FMT " is there already, with other content", SLICE_ARG(key));
}

struct error *s3_put(
	struct op *op, struct s3 *s3, struct slice key, struct slice content, struct slice sha256)
{
	if (content.len > s3->config.part_bytes)
		return s3_put_parts(op, s3, key, content, sha256);
	const char *const headers[] = {
		arena_printf(&op->arena, "x-amz-meta-sha256: %s", s3_hex(&op->arena, sha256)),
		"if-none-match: *"};
	struct s3_request request = {.method = S3_PUT,
		.url = s3_url(&op->arena, s3->base_url, key, NULL, 0),
		.headers = headers,
		.header_count = s3->config.create_only ? 2 : 1,
		.body = content,
		.sha256 = sha256,
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	if (s3_is_good(&request))
		return NULL;
	if (request.status == 412)
		return s3_check_taken(op, s3, key, sha256);
	return s3_fail(op, &request, true);
}

/* ---- Getting ---- */

static void prepare_get(
	struct op *op, struct s3 *s3, const struct s3_get *get, struct s3_request *request)
{
	bool is_whole = get->offset == 0 && get->length == UINT64_MAX;
	/* There is no range of nothing: one byte is asked for and dropped. */
	uint64_t length = MAX_OF(get->length, 1);
	uint64_t last = length > UINT64_MAX - get->offset ? UINT64_MAX : get->offset + length - 1;
	*request = (struct s3_request){.method = S3_GET,
		.url = s3_url(&op->arena, s3->base_url, get->key, NULL, 0),
		.answer_max = SIZE_MAX};
	if (!is_whole && last >= INT64_MAX)
		request->range = arena_printf(&op->arena, "%llu-", (unsigned long long)get->offset);
	else if (!is_whole)
		request->range = arena_printf(&op->arena, "%llu-%llu",
			(unsigned long long)get->offset, (unsigned long long)last);
}

static void finish_get(struct op *op, struct s3_request *request, struct s3_get *get)
{
	get->err = NULL;
	get->bytes = get->sha256 = SLICE("");
	get->size = 0;
	if (request->status == 416) {
		/* Nothing is there from this offset on. */
		get->size = UINT64_MAX;
		return;
	}
	bool is_part = request->range != NULL;
	bool is_as_asked = request->status == (is_part ? 206 : 200);
	if (!is_as_asked && !(is_part && request->status == 200)) {
		get->err = s3_fail(op, request, false);
		return;
	}
	parse_sha256(&op->arena, request->meta_sha256, &get->sha256);
	get->bytes = request->answer;
	get->size = request->answer.len;
	if (request->status == 206) {
		get->size = request->range_total;
		get->bytes = slice_range(get->bytes, 0, MIN_OF(get->length, get->bytes.len));
	} else if (is_part) {
		/* A store may ignore the range, as for an empty object. */
		uint64_t from = MIN_OF(get->offset, get->size);
		uint64_t length = MIN_OF(get->length, get->size - from);
		get->bytes = slice_range(get->bytes, from, from + length);
	}
}

void s3_get_many(struct op *op, struct s3 *s3, struct s3_get *gets, size_t count)
{
	struct s3_request *requests = ARENA_ARRAY(&op->arena, struct s3_request, count);
	for (size_t i = 0; i < count; i++)
		prepare_get(op, s3, &gets[i], &requests[i]);
	s3_perform(op, s3, requests, count);
	for (size_t i = 0; i < count; i++)
		finish_get(op, &requests[i], &gets[i]);
}

/* ---- Removing ---- */

struct error *s3_remove(struct op *op, struct s3 *s3, struct slice key)
{
	struct s3_request request = {.method = S3_DELETE,
		.url = s3_url(&op->arena, s3->base_url, key, NULL, 0),
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	bool is_gone = request.status == 404 && slice_equal(request.code, SLICE("NoSuchKey"));
	return s3_is_good(&request) || is_gone ? NULL : s3_fail(op, &request, true);
}

static const char *md5_header(struct op *op, struct slice body)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	char text[2 * EVP_MAX_MD_SIZE];
	if (EVP_Digest(body.ptr, body.len, digest, &length, EVP_md5(), NULL) != 1)
		return NULL; /* forbidden on this machine; newer stores do without */
	EVP_EncodeBlock((unsigned char *)text, digest, (int)length);
	return arena_printf(&op->arena, "content-md5: %s", text);
}

static struct error *remove_page(
	struct op *op, struct s3 *s3, const struct slice *keys, size_t count)
{
	struct buf body = buf_in(&op->arena);
	uint8_t digest[SHA256_SIZE];
	buf_append(&body, SLICE("<Delete><Quiet>true</Quiet>"));
	for (size_t i = 0; i < count; i++) {
		buf_append(&body, SLICE("<Object><Key>"));
		xml_escape(&body, keys[i]);
		buf_append(&body, SLICE("</Key></Object>"));
	}
	buf_append(&body, SLICE("</Delete>"));
	sha256_of(buf_as_slice(&body), digest);
	const char *md5 = md5_header(op, buf_as_slice(&body));
	struct s3_request request = {.method = S3_POST,
		.url = s3_url(&op->arena, s3->base_url, SLICE(""),
			(const struct s3_parameter[]){{"delete", SLICE("")}}, 1),
		.headers = &md5,
		.header_count = md5 ? 1 : 0,
		.body = buf_as_slice(&body),
		.sha256 = slice_of(digest, sizeof(digest)),
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	return s3_is_good(&request) ? NULL : s3_fail(op, &request, true);
}

struct error *s3_remove_many(struct op *op, struct s3 *s3, const struct slice *keys, size_t count)
{
	for (size_t from = 0; from < count; from += REMOVE_MAX)
		TRY(remove_page(op, s3, keys + from, MIN_OF(count - from, REMOVE_MAX)));
	return NULL;
}

/* ---- Listing ---- */

struct error *s3_list(struct op *op, struct s3 *s3, struct slice prefix, struct slice after,
	size_t limit, struct slice **ret_keys, size_t *ret_count, bool *ret_more)
{
	const char *most = arena_printf(&op->arena, "%zu", limit);
	const struct s3_parameter parameters[] = {{"list-type", SLICE("2")},
		{"max-keys", slice_from_cstr(most)}, {"prefix", prefix}, {"start-after", after}};
	struct s3_request request = {.method = S3_GET,
		.url = s3_url(&op->arena, s3->base_url, SLICE(""), parameters, after.len ? 4 : 3),
		.answer_max = S3_LIST_BODY_MAX};
	struct s3_listing listing;
	s3_perform(op, s3, &request, 1);
	if (!s3_is_good(&request))
		return s3_fail(op, &request, false);
	if (!s3_parse_listing(&op->arena, request.answer, &listing))
		return op_fail(op, ERR_UNAVAILABLE, "GET %s: this is no listing", request.url);
	*ret_keys = listing.keys;
	*ret_count = listing.count;
	*ret_more = listing.is_truncated && listing.count;
	return NULL;
}
