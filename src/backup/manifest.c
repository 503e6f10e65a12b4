#include "backup/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backup/file.h"
#include "base/buf.h"

#define FORMAT 1

void manifest_add(
	struct arena *arena, struct backup_manifest *manifest, const struct backup_file *file)
{
	if (manifest->count == manifest->capacity) {
		size_t capacity = manifest->capacity ? manifest->capacity * 2 : 64;
		manifest->files = arena_grow(arena, manifest->files,
			manifest->capacity * sizeof(*file), capacity * sizeof(*file));
		manifest->capacity = capacity;
	}
	manifest->files[manifest->count++] = *file;
	manifest->bytes += file->size;
}

/* ---- Writing ---- */

struct writer {
	FILE *out;
	struct sha256 *digest;
	bool has_failed;
};

/* Takes the object. */
static void write_line(struct writer *writer, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text || fprintf(writer->out, "%s\n", text) < 0) {
		writer->has_failed = true;
	} else {
		sha256_add(writer->digest, slice_from_cstr(text));
		sha256_add(writer->digest, SLICE("\n"));
	}
	free(text);
}

static void digest_end(struct sha256 *digest, char hex[static SHA256_HEX_SIZE + 1])
{
	uint8_t bytes[SHA256_SIZE];
	sha256_end(digest, bytes);
	sha256_hex(bytes, hex);
}

static void write_lines(struct writer *writer, const struct backup_manifest *manifest)
{
	char hex[SHA256_HEX_SIZE + 1];
	writer->digest = sha256_new();
	write_line(
		writer, json_pack("{s:i, s:s, s:I, s:s, s:s}", "holdfast_backup", FORMAT, "id",
				manifest->id, "taken_us", (json_int_t)manifest->taken_us, "version",
				manifest->version, "content_store", manifest->content_store));
	for (size_t i = 0; i < manifest->count; i++) {
		const struct backup_file *file = &manifest->files[i];
		write_line(writer,
			json_pack("{s:s%, s:I, s:I, s:I, s:s%}", "path", file->path.ptr,
				file->path.len, "size", (json_int_t)file->size, "mtime_ns",
				(json_int_t)file->mtime_ns, "inode", (json_int_t)file->inode,
				"sha256", file->sha256.ptr, file->sha256.len));
	}
	struct sha256 *digest = writer->digest;
	digest_end(digest, hex);
	writer->digest = sha256_new(); /* of the last line nobody asks */
	write_line(
		writer, json_pack("{s:I, s:I, s:I, s:s}", "files", (json_int_t)manifest->count,
				"copied_files", (json_int_t)manifest->copied_files, "copied_bytes",
				(json_int_t)manifest->copied_bytes, "sha256", hex));
	digest_end(writer->digest, hex);
}

static struct error *write_temporary(
	struct op *op, const struct backup_manifest *manifest, const char *temporary)
{
	int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct writer writer = {.out = file < 0 ? NULL : fdopen(file, "w")};
	if (!writer.out)
		return file_fail(op, "make", temporary);
	write_lines(&writer, manifest);
	bool is_written = !writer.has_failed && fflush(writer.out) == 0 && fsync(file) == 0;
	struct error *err = is_written ? NULL : file_fail(op, "write", temporary);
	if (fclose(writer.out) != 0 && !err)
		err = file_fail(op, "write", temporary);
	return err;
}

struct error *manifest_write(struct op *op, const struct backup_manifest *manifest,
	const char *temporary, const char *path)
{
	char *folder = arena_printf(&op->arena, "%s", path);
	char *slash = strrchr(folder, '/');
	TRY(write_temporary(op, manifest, temporary));
	if (rename(temporary, path) != 0)
		return file_fail(op, "name", path);
	*slash = '\0';
	return file_sync(op, folder);
}

/* ---- Reading ---- */

static struct error *fail_damaged(struct op *op, const char *how)
{
	return op_fail(op, ERR_CORRUPT, "the list of its files is damaged: %s", how);
}

static bool read_number(const json_t *object, const char *name, uint64_t *ret_number)
{
	const json_t *value = json_object_get(object, name);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_number = (uint64_t)json_integer_value(value);
	return true;
}

static bool read_text(struct op *op, const json_t *object, const char *name, struct slice *ret_text)
{
	json_t *value = json_object_get(object, name);
	*ret_text = arena_dup(
		&op->arena, slice_of(json_string_value(value), json_string_length(value)));
	return ret_text->len != 0;
}

static bool read_cstr(struct op *op, const json_t *object, const char *name, const char **ret_text)
{
	struct slice text;
	bool found = read_text(op, object, name, &text);
	*ret_text = arena_cstr(&op->arena, text);
	return found;
}

/* What goes into a path must lead nowhere else. */
static bool is_path(struct slice path)
{
	struct slice part;
	if (memchr(path.ptr, '\0', path.len))
		return false;
	while (slice_split(&path, '/', &part))
		if (!part.len || slice_equal(part, SLICE(".")) || slice_equal(part, SLICE("..")))
			return false;
	return true;
}

static bool is_hex(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]) && (text.ptr[i] < 'a' || text.ptr[i] > 'f'))
			return false;
	return text.len == SHA256_HEX_SIZE;
}

static bool read_head(struct op *op, const json_t *object, struct backup_manifest *manifest)
{
	uint64_t format;
	return read_number(object, "holdfast_backup", &format) && format == FORMAT &&
	       read_cstr(op, object, "id", &manifest->id) &&
	       read_number(object, "taken_us", &manifest->taken_us) &&
	       read_cstr(op, object, "version", &manifest->version) &&
	       read_cstr(op, object, "content_store", &manifest->content_store);
}

static bool read_file(struct op *op, const json_t *object, struct backup_file *file)
{
	return read_text(op, object, "path", &file->path) && is_path(file->path) &&
	       read_number(object, "size", &file->size) &&
	       read_number(object, "mtime_ns", &file->mtime_ns) &&
	       read_number(object, "inode", &file->inode) &&
	       read_text(op, object, "sha256", &file->sha256) && is_hex(file->sha256);
}

static bool read_end(
	struct op *op, const json_t *object, struct slice covered, struct backup_manifest *manifest)
{
	uint64_t count;
	struct slice given;
	char hex[SHA256_HEX_SIZE + 1];
	struct sha256 *digest = sha256_new();
	sha256_add(digest, covered);
	digest_end(digest, hex);
	return read_number(object, "files", &count) && count == manifest->count &&
	       read_number(object, "copied_files", &manifest->copied_files) &&
	       read_number(object, "copied_bytes", &manifest->copied_bytes) &&
	       read_text(op, object, "sha256", &given) &&
	       slice_equal(given, slice_of(hex, SHA256_HEX_SIZE));
}

struct reading {
	struct slice text, rest; /* of the whole */
	struct backup_manifest manifest;
	bool has_head, has_end;
};

static bool take_line(struct op *op, struct reading *r, struct slice line)
{
	struct backup_file file;
	json_t *object = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	bool is_good = object != NULL && !r->has_end;
	if (is_good && !r->has_head) {
		is_good = r->has_head = read_head(op, object, &r->manifest);
	} else if (is_good && json_object_get(object, "path")) {
		is_good = read_file(op, object, &file);
		if (is_good)
			manifest_add(&op->arena, &r->manifest, &file);
	} else if (is_good) {
		is_good = r->has_end = read_end(op, object,
			slice_of(r->text.ptr, (size_t)(line.ptr - r->text.ptr)), &r->manifest);
	}
	json_decref(object);
	return is_good;
}

struct error *manifest_parse(struct op *op, struct slice text, struct backup_manifest *ret_manifest)
{
	struct reading r = {.text = text, .rest = text};
	struct slice line;
	size_t number = 0;
	while (slice_split(&r.rest, '\n', &line) && (line.len || r.rest.ptr)) {
		number++;
		if (!take_line(op, &r, line))
			return fail_damaged(op, arena_printf(&op->arena, "line %zu", number));
	}
	if (!r.has_end)
		return fail_damaged(op, "it has no end");
	*ret_manifest = r.manifest;
	return NULL;
}

struct error *manifest_read(struct op *op, const char *path, struct backup_manifest *ret_manifest)
{
	struct buf text = buf_in(&op->arena);
	FILE *file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return op_fail(op, ERR_NOT_FOUND, "there is no %s", path);
	if (!file)
		return file_fail(op, "read", path);
	for (size_t got = 1; got;) {
		char *room = buf_reserve(&text, KIB(64));
		got = fread(room, 1, KIB(64), file);
		text.len += got;
	}
	bool is_read = !ferror(file);
	fclose(file);
	if (!is_read)
		return file_fail(op, "read", path);
	return manifest_parse(op, buf_as_slice(&text), ret_manifest);
}
