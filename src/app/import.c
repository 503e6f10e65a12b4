#include "app/import.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/ctl_client.h"
#include "base/buf.h"
#include "base/digest.h"
#include "format/charset.h"
#include "format/encoding.h"

/* Between two syncs of the manifest: a power cut costs the knowledge of so many, which the server
 * has for a week. */
#define SYNC_EVERY 256

static struct slice key_of(
	struct arena *arena, struct slice folder, struct slice source, struct slice hex)
{
	struct buf key = buf_in(arena);
	buf_slice(&key, folder);
	buf_slice(&key, source);
	buf_append(&key, hex);
	return buf_as_slice(&key);
}

static struct slice text_field(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	return slice_of(json_string_value(value), json_string_length(value));
}

/* ---- The manifest ---- */

typedef struct error *(*line_visitor)(struct op *op, void *context, const json_t *line);

/* A last line without an end was being written when all ended: *ret_whole is the length without
 * it. */
static struct error *each_line(
	struct op *op, FILE *file, line_visitor visit, void *context, long *ret_whole)
{
	char *line = NULL;
	size_t room = 0;
	struct error *err = NULL;
	*ret_whole = 0;
	for (ssize_t len; !err && (len = getline(&line, &room, file)) > 0;) {
		struct arena_mark mark = arena_mark(&op->arena);
		json_t *object = json_loadb(line, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
		bool is_whole = line[len - 1] == '\n';
		if (line[0] != '{' || (is_whole && !text_field(object, "sha256").len))
			err = op_fail(op, ERR_INVALID, "this is no manifest: \"%.60s\"", line);
		else if (is_whole)
			err = visit(op, context, object);
		json_decref(object);
		*ret_whole += is_whole ? len : 0;
		if (!err)
			arena_release(&op->arena, mark);
	}
	if (!err && ferror(file))
		err = op_fail(op, ERR_UNAVAILABLE, "cannot read the manifest: %s", strerror(errno));
	free(line);
	return err;
}

static struct error *know_line(struct op *op, void *context, const json_t *line)
{
	struct import *import = context;
	struct slice address = text_field(line, "address");
	if (address.len && !slice_equal_nocase(address, slice_from_cstr(import->address)))
		return op_fail(op, ERR_INVALID, "%s is the manifest of " SLICE_FMT,
			import->manifest_path, SLICE_ARG(address));
	hash_map_put(&import->known,
		key_of(&op->arena, text_field(line, "folder"), text_field(line, "source"),
			text_field(line, "sha256")),
		import);
	return NULL;
}

static struct error *fail_manifest(struct op *op, const char *what, const char *path)
{
	return op_fail(op, ERR_UNAVAILABLE, "cannot %s %s: %s", what, path, strerror(errno));
}

struct error *import_open(struct op *op, struct import *import)
{
	long whole;
	hash_map_init(&import->known);
	import->manifest = fopen(import->manifest_path, "a+e");
	if (!import->manifest)
		return fail_manifest(op, "write", import->manifest_path);
	rewind(import->manifest);
	TRY(each_line(op, import->manifest, know_line, import, &whole));
	if (ftruncate(fileno(import->manifest), whole) != 0)
		return fail_manifest(op, "write", import->manifest_path);
	return NULL;
}

static struct error *sync_manifest(struct op *op, struct import *import)
{
	if (fflush(import->manifest) == 0 && fsync(fileno(import->manifest)) == 0)
		return NULL;
	return fail_manifest(op, "write", import->manifest_path);
}

struct error *import_close(struct op *op, struct import *import)
{
	struct error *err = import->manifest ? sync_manifest(op, import) : NULL;
	if (import->manifest)
		fclose(import->manifest);
	hash_map_done(&import->known);
	return err;
}

/* Takes the answer. */
static struct error *note(struct op *op, struct import *import,
	const struct import_message *message, const char *hex, json_t *answer)
{
	json_t *line = json_pack("{s:s, s:s%, s:s, s:s, s:I, s:O, s:I, s:O, s:O}", "address",
		import->address, "source", message->source.ptr, message->source.len, "folder",
		message->folder, "sha256", hex, "size", (json_int_t)message->content.len, "flags",
		message->flags, "received_us", (json_int_t)message->received_us, "uidvalidity",
		json_object_get(answer, "uidvalidity"), "uid", json_object_get(answer, "uid"));
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	bool is_written = text && fprintf(import->manifest, "%s\n", text) > 0 &&
			  fflush(import->manifest) == 0;
	free(text);
	if (!is_written)
		return fail_manifest(op, "write", import->manifest_path);
	return (import->added + import->there) % SYNC_EVERY ? NULL : sync_manifest(op, import);
}

/* ---- Putting ---- */

#define NAME_SHOWN 400

/* Names come from anywhere: nothing of them may speak to a terminal. */
void import_failed(struct import *import, struct slice what, const char *why)
{
	bool is_text = utf8_is_valid(what);
	import->failed++;
	fprintf(stderr, "holdfastctl: ");
	for (size_t i = 0; i < what.len && i < NAME_SHOWN; i++) {
		uint8_t byte = (uint8_t)what.ptr[i];
		fputc(byte < ' ' || byte == 0x7f || (byte > 0x7f && !is_text) ? '?' : byte, stderr);
	}
	fprintf(stderr, ": %s\n", why);
}

/* The server, or its store, cannot now: nothing is wrong with the message. */
static bool is_passing(long status)
{
	return status == 503 || status == 500 || status == 401 || status == 403;
}

static struct error *post(struct op *op, const struct import *import, const char *what,
	json_t *body, struct ctl_reply *ret_reply)
{
	*ret_reply = (struct ctl_reply){0};
	struct error *err = ctl_request(op, import->socket_path, "POST",
		arena_printf(&op->arena, "v1/users/%s/%s", ctl_encode(&op->arena, import->address),
			what),
		body, ret_reply);
	json_decref(body);
	TRY(err);
	if (!is_passing(ret_reply->status))
		return NULL;
	err = op_fail(op, ERR_UNAVAILABLE, "%s", ctl_fault(ret_reply));
	json_decref(ret_reply->json);
	return err;
}

/* *ret_fault: why it cannot be; NULL: it is there. */
static struct error *need_folder(
	struct op *op, struct import *import, const char *folder, const char **ret_fault)
{
	struct ctl_reply reply;
	*ret_fault = NULL;
	if (import->folder && strcmp(import->folder, folder) == 0)
		return NULL;
	TRY(post(op, import, "folders", json_pack("{s:s}", "path", folder), &reply));
	if (reply.status >= 300 && reply.status != 409)
		*ret_fault = arena_printf(&op->arena, "%s", ctl_fault(&reply));
	json_decref(reply.json);
	if (!*ret_fault)
		import->folder = folder;
	return NULL;
}

static json_t *message_body(struct op *op, const struct import_message *message)
{
	struct buf content = buf_in(&op->arena);
	buf_reserve(&content, message->content.len / 3 * 4 + 4);
	base64_encode(&content, message->content);
	json_t *body = json_pack("{s:s, s:s%, s:O, s:s%}", "mailbox", message->folder, "content",
		content.ptr, content.len, "flags", message->flags, "source", message->source.ptr,
		message->source.len);
	if (body && message->received_us)
		json_object_set_new(
			body, "received_us", json_integer((json_int_t)message->received_us));
	return body;
}

static struct error *put(struct op *op, struct import *import, const struct import_message *message,
	const char *hex, const char **ret_fault)
{
	struct ctl_reply reply;
	struct error *err;
	TRY(need_folder(op, import, message->folder, ret_fault));
	if (*ret_fault)
		return NULL;
	TRY(post(op, import, "messages", message_body(op, message), &reply));
	if (reply.status >= 300) {
		*ret_fault = arena_printf(&op->arena, "%s", ctl_fault(&reply));
		err = NULL;
	} else {
		bool was_there = json_is_true(json_object_get(reply.json, "repeated"));
		import->there += was_there;
		import->added += !was_there;
		err = note(op, import, message, hex, reply.json);
	}
	json_decref(reply.json);
	return err;
}

struct error *import_add(struct op *op, struct import *import, const struct import_message *message)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE + 1];
	const char *fault = NULL;
	sha256_of(message->content, digest);
	sha256_hex(digest, hex);
	struct slice key = key_of(&op->arena, slice_from_cstr(message->folder), message->source,
		slice_from_cstr(hex));
	if (hash_map_find(&import->known, key)) {
		import->there++;
		return NULL;
	}
	if (!utf8_is_valid(message->source))
		fault = "its name is no UTF-8";
	else
		TRY(put(op, import, message, hex, &fault));
	if (fault)
		import_failed(import, message->source, fault);
	else
		hash_map_put(&import->known, key, import);
	return NULL;
}

/* ---- Reading back ---- */

struct verifying {
	const char *socket_path;
	const char *address;
	struct import_verdict *verdict;
};

static bool has_flags(const json_t *have, const json_t *want)
{
	size_t at;
	json_t *flag;
	if (json_array_size(have) != json_array_size(want))
		return false;
	json_array_foreach((json_t *)(uintptr_t)want, at, flag)
	{
		bool found = false;
		for (size_t i = 0; i < json_array_size(have); i++)
			found = found ||
				slice_equal_nocase(
					slice_from_cstr(json_string_value(json_array_get(have, i))),
					slice_from_cstr(json_string_value(flag)));
		if (!found)
			return false;
	}
	return true;
}

static const char *difference(const json_t *line, const struct ctl_reply *reply)
{
	const json_t *answer = reply->json;
	uint64_t received_us = (uint64_t)json_integer_value(json_object_get(line, "received_us"));
	if (reply->status >= 300)
		return ctl_fault(reply);
	if (!json_equal(
		    json_object_get(line, "uidvalidity"), json_object_get(answer, "uidvalidity")))
		return "UIDVALIDITY is another";
	if (!slice_equal(text_field(line, "sha256"), text_field(answer, "sha256")))
		return "the bytes are not the same";
	if (!has_flags(json_object_get(answer, "flags"), json_object_get(line, "flags")))
		return "the flags are not the same";
	if (received_us && !json_equal(json_object_get(line, "received_us"),
				   json_object_get(answer, "received_us")))
		return "the date is not the same";
	return NULL;
}

static struct error *verify_line(struct op *op, void *context, const json_t *line)
{
	struct verifying *v = context;
	struct ctl_reply reply = {0};
	struct slice folder = text_field(line, "folder");
	json_int_t uid = json_integer_value(json_object_get(line, "uid"));
	TRY(ctl_request(op, v->socket_path, "GET",
		arena_printf(&op->arena, "v1/users/%s/messages/%lld?mailbox=%s",
			ctl_encode(&op->arena, v->address), (long long)uid,
			ctl_encode(&op->arena, arena_cstr(&op->arena, folder))),
		NULL, &reply));
	const char *found = difference(line, &reply);
	v->verdict->messages++;
	v->verdict->differences += found != NULL;
	if (found)
		fprintf(stderr, "holdfastctl: UID %lld in " SLICE_FMT ": %s\n", (long long)uid,
			SLICE_ARG(folder), found);
	json_decref(reply.json);
	return NULL;
}

struct error *import_verify(struct op *op, const char *socket_path, const char *manifest_path,
	const char *address, struct import_verdict *ret_verdict)
{
	struct verifying v = {socket_path, address, ret_verdict};
	long whole;
	FILE *file = fopen(manifest_path, "re");
	*ret_verdict = (struct import_verdict){0};
	if (!file)
		return fail_manifest(op, "read", manifest_path);
	struct error *err = each_line(op, file, verify_line, &v, &whole);
	fclose(file);
	return err;
}
