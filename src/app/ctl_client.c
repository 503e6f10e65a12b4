#include "app/ctl_client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

const char *ctl_encode(struct arena *arena, const char *text)
{
	struct buf out = buf_in(arena);
	for (; *text; text++) {
		if (ascii_is_alpha(*text) || ascii_is_digit(*text) || strchr("-._~", *text))
			buf_append_char(&out, *text);
		else
			buf_printf(&out, "%%%02X", (uint8_t)*text);
	}
	return arena_cstr(arena, buf_as_slice(&out));
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
	buf_append(context, slice_of(bytes, size * count));
	return size * count;
}

static CURLcode set_up(CURL *curl, const char *socket_path, const char *method, const char *url,
	const char *body, struct curl_slist *headers, struct buf *out)
{
	CURLcode code = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_URL, url);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_TIMEOUT, 120L);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	code = code ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	if (!code && body)
		code = curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, body);
	return code;
}

struct error *ctl_request(struct op *op, const char *socket_path, const char *method,
	const char *path, json_t *body, struct ctl_reply *ret_reply)
{
	struct buf out = buf_in(&op->arena);
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!curl || !headers) {
		curl_slist_free_all(headers);
		curl_easy_cleanup(curl);
		return op_fail(op, ERR_INTERNAL, "libcurl does not start");
	}
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	CURLcode code = set_up(curl, socket_path, method,
		arena_printf(&op->arena, "http://localhost/%s", path), text, headers, &out);
	if (!code)
		code = curl_easy_perform(curl);
	if (!code)
		code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &ret_reply->status);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	free(text);
	if (code)
		return op_fail(op, ERR_UNAVAILABLE, "no server answers at %s: %s", socket_path,
			curl_easy_strerror(code));
	ret_reply->text = buf_as_slice(&out);
	ret_reply->json = json_loadb(out.ptr, out.len, JSON_REJECT_DUPLICATES, NULL);
	return NULL;
}

const char *ctl_fault(const struct ctl_reply *reply)
{
	const char *detail = json_string_value(json_object_get(reply->json, "detail"));
	if (reply->status < 400)
		return NULL;
	return detail ? detail : "the server does not do it, and does not say why";
}

int ctl_ask(struct op *op, const char *socket_path, const char *method, const char *path,
	json_t *body, struct ctl_reply *ret_reply)
{
	*ret_reply = (struct ctl_reply){0};
	struct error *err = ctl_request(op, socket_path, method, path, body, ret_reply);
	if (err) {
		fprintf(stderr, "holdfastctl: %s\n", error_chain(&op->arena, err));
		return EX_UNAVAILABLE;
	}
	if (!ctl_fault(ret_reply))
		return EXIT_SUCCESS;
	fprintf(stderr, "holdfastctl: %s\n", ctl_fault(ret_reply));
	return EXIT_FAILURE;
}

void ctl_add_argument(struct buf *path, struct arena *arena, const char *name, const char *value)
{
	if (value)
		buf_printf(path, "%s=%s&", name, ctl_encode(arena, value));
}
