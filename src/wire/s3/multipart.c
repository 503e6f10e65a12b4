#include "wire/s3/s3_private.h"

/* Large content goes in parts, some at a time, and becomes an object when all are there. Whatever
 * fails on the way, the upload is given up: if even that fails, s3_abort_uploads finds it later. */

struct parts {
	struct slice key;
	struct slice sha256;
	struct slice upload_id;
	struct s3_request *requests;
	size_t count;
};

struct error *s3_begin_upload(struct op *op, struct s3 *s3, struct slice key, struct slice sha256,
	struct slice *ret_upload_id)
{
	const char *header =
		arena_printf(&op->arena, "x-amz-meta-sha256: %s", s3_hex(&op->arena, sha256));
	struct s3_request request = {.method = S3_POST,
		.url = s3_url(&op->arena, s3->base_url, key,
			(const struct s3_parameter[]){{"uploads", SLICE("")}}, 1),
		.headers = &header,
		.header_count = 1,
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	/* An upload that was begun and not heard of is no object. */
	if (!s3_is_good(&request))
		return s3_fail(op, &request, false);
	if (!s3_parse_upload_id(&op->arena, request.answer, ret_upload_id))
		return op_fail(
			op, ERR_UNAVAILABLE, "POST %s: the answer names no upload", request.url);
	return NULL;
}

static struct error *send_parts(
	struct op *op, struct s3 *s3, struct parts *parts, struct slice content)
{
	struct arena *arena = &op->arena;
	size_t part_bytes = (size_t)s3->config.part_bytes;
	parts->count = (content.len + part_bytes - 1) / part_bytes;
	parts->requests = ARENA_ARRAY(arena, struct s3_request, parts->count);
	for (size_t i = 0; i < parts->count; i++) {
		uint8_t *digest = arena_alloc(arena, SHA256_SIZE);
		struct slice body = slice_range(content, i * part_bytes, (i + 1) * part_bytes);
		const struct s3_parameter place[] = {
			{"partNumber", slice_from_cstr(arena_printf(arena, "%zu", i + 1))},
			{"uploadId", parts->upload_id}};
		sha256_of(body, digest);
		parts->requests[i] = (struct s3_request){.method = S3_PUT,
			.url = s3_url(arena, s3->base_url, parts->key, place, 2),
			.body = body,
			.sha256 = slice_of(digest, SHA256_SIZE),
			.answer_max = S3_LIST_BODY_MAX};
	}
	s3_perform(op, s3, parts->requests, parts->count);
	for (size_t i = 0; i < parts->count; i++)
		if (!s3_is_good(&parts->requests[i]))
			return s3_fail(op, &parts->requests[i], false);
	return NULL;
}

static struct slice list_of_parts(struct op *op, const struct parts *parts)
{
	struct buf body = buf_in(&op->arena);
	buf_append(&body, SLICE("<CompleteMultipartUpload>"));
	for (size_t i = 0; i < parts->count; i++) {
		buf_printf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		xml_escape(&body, parts->requests[i].etag);
		buf_append(&body, SLICE("</ETag></Part>"));
	}
	buf_append(&body, SLICE("</CompleteMultipartUpload>"));
	return buf_as_slice(&body);
}

static struct error *complete(struct op *op, struct s3 *s3, const struct parts *parts)
{
	uint8_t digest[SHA256_SIZE];
	const char *header = "if-none-match: *";
	struct slice body = list_of_parts(op, parts);
	sha256_of(body, digest);
	struct s3_request request = {.method = S3_POST,
		.url = s3_url(&op->arena, s3->base_url, parts->key,
			(const struct s3_parameter[]){{"uploadId", parts->upload_id}}, 1),
		.headers = &header,
		.header_count = s3->config.create_only ? 1 : 0,
		.body = body,
		.sha256 = slice_of(digest, sizeof(digest)),
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	if (s3_is_good(&request))
		return NULL;
	/* Taken, or completed by a try whose answer was lost: the upload is gone then. */
	bool is_unheard = request.status == 404 && request.may_be_done;
	if (request.status == 412 || is_unheard)
		return s3_check_taken(op, s3, parts->key, parts->sha256);
	return s3_fail(op, &request, true);
}

static struct error *abort_upload(
	struct op *op, struct s3 *s3, struct slice key, struct slice upload_id)
{
	struct s3_request request = {.method = S3_DELETE,
		.url = s3_url(&op->arena, s3->base_url, key,
			(const struct s3_parameter[]){{"uploadId", upload_id}}, 1),
		.answer_max = S3_LIST_BODY_MAX};
	s3_perform(op, s3, &request, 1);
	return s3_is_good(&request) || request.status == 404 ? NULL : s3_fail(op, &request, true);
}

struct error *s3_put_parts(
	struct op *op, struct s3 *s3, struct slice key, struct slice content, struct slice sha256)
{
	struct parts parts = {.key = key, .sha256 = sha256};
	TRY(s3_begin_upload(op, s3, key, sha256, &parts.upload_id));
	struct error *err = send_parts(op, s3, &parts, content);
	if (!err)
		err = complete(op, s3, &parts);
	if (err && error_nothing_written(err)) {
		/* The first error is the one to tell. */
		struct error *ignored = abort_upload(op, s3, key, parts.upload_id);
		(void)ignored;
	}
	return err;
}

/* ---- What was never finished ---- */

static struct error *abort_page(struct op *op, struct s3 *s3, const struct s3_uploads *page,
	uint64_t before_us, size_t *inout_aborted)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct s3_upload *upload = &page->items[i];
		if (upload->begun_us >= before_us)
			continue;
		TRY(abort_upload(op, s3, upload->key, upload->upload_id));
		(*inout_aborted)++;
	}
	return NULL;
}

static const char *uploads_url(
	struct op *op, const struct s3 *s3, struct slice prefix, const struct s3_uploads *last)
{
	struct s3_parameter parameters[4];
	size_t count = 0;
	if (last->next_key.len)
		parameters[count++] = (struct s3_parameter){"key-marker", last->next_key};
	parameters[count++] = (struct s3_parameter){"prefix", prefix};
	if (last->next_upload_id.len)
		parameters[count++] =
			(struct s3_parameter){"upload-id-marker", last->next_upload_id};
	parameters[count++] = (struct s3_parameter){"uploads", SLICE("")};
	return s3_url(&op->arena, s3->base_url, SLICE(""), parameters, count);
}

struct error *s3_abort_uploads(
	struct op *op, struct s3 *s3, struct slice prefix, uint64_t before_us, size_t *ret_aborted)
{
	struct s3_uploads page = {0};
	*ret_aborted = 0;
	do {
		struct s3_request request = {.method = S3_GET,
			.url = uploads_url(op, s3, prefix, &page),
			.answer_max = S3_LIST_BODY_MAX};
		s3_perform(op, s3, &request, 1);
		if (!s3_is_good(&request))
			return s3_fail(op, &request, false);
		if (!s3_parse_uploads(&op->arena, request.answer, &page))
			return op_fail(op, ERR_UNAVAILABLE, "GET %s: this is no list of uploads",
				request.url);
		TRY(abort_page(op, s3, &page, before_us, ret_aborted));
	} while (page.is_truncated && page.next_key.len);
	return NULL;
}
