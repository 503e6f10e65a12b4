#include "app/ctl_import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/ctl_import_imap.h"
#include "app/ctl_table.h"
#include "app/import.h"
#include "base/clock.h"
#include "base/digest.h"
#include "format/mbox.h"

const char *const ctl_import_usage[] = {
	"import maildir FOLDER ADDRESS --manifest FILE [--into PATH]",
	"import mbox FILE ADDRESS --manifest FILE [--into PATH] [--mboxo]",
	"import verify MANIFEST ADDRESS", NULL};

const char *const ctl_import_requests[] = {"POST /v1/users/{address}/messages import",
	"GET /v1/users/{address}/messages/{uid} import verify", NULL};

struct import_call {
	struct op *op;
	bool wants_json;
	const char *source;
	const char *into;
	enum mbox_quoting quoting;
	struct import import;
};

static int usage(void)
{
	for (size_t i = 0; ctl_import_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_import_usage[i]);
	return EX_USAGE;
}

static struct error *fail_io(struct op *op, const char *what, const char *path)
{
	return op_fail(op, ERR_UNAVAILABLE, "cannot %s %s: %s", what, path, strerror(errno));
}

/* Letters of Maildir and of mbox, and what IMAP calls them. */
static json_t *flags_of(struct slice letters, const char *const names[26])
{
	json_t *flags = json_array();
	bool has[26] = {false};
	for (size_t i = 0; i < letters.len; i++) {
		char letter = letters.ptr[i];
		if (letter < 'A' || letter > 'Z' || has[letter - 'A'] || !names[letter - 'A'])
			continue;
		has[letter - 'A'] = true;
		json_array_append_new(flags, json_string(names[letter - 'A']));
	}
	return flags;
}

static const char *const maildir_flags[26] = {['D' - 'A'] = "\\Draft",
	['F' - 'A'] = "\\Flagged",
	['P' - 'A'] = "$Forwarded",
	['R' - 'A'] = "\\Answered",
	['S' - 'A'] = "\\Seen",
	['T' - 'A'] = "\\Deleted"};
static const char *const mbox_flags[26] = {['A' - 'A'] = "\\Answered",
	['D' - 'A'] = "\\Deleted",
	['F' - 'A'] = "\\Flagged",
	['R' - 'A'] = "\\Seen",
	['T' - 'A'] = "\\Draft"};

/* A regular file's bytes, mapped; *ret_bytes.ptr NULL when it is empty. No link is followed at its
 * end. */
static struct error *map_file(
	struct op *op, const char *path, struct slice *ret_bytes, uint64_t *ret_mtime_us)
{
	struct stat status;
	struct error *err = NULL;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (file < 0)
		return fail_io(op, "read", path);
	*ret_bytes = SLICE_NONE;
	if (fstat(file, &status) != 0)
		err = fail_io(op, "read", path);
	else if (!S_ISREG(status.st_mode))
		err = op_fail(op, ERR_INVALID, "%s is no file", path);
	if (!err && status.st_size) {
		void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
		if (bytes == MAP_FAILED)
			err = fail_io(op, "read", path);
		else
			*ret_bytes = slice_of(bytes, (size_t)status.st_size);
	}
	if (!err)
		*ret_mtime_us = (uint64_t)status.st_mtim.tv_sec * US_PER_S +
				(uint64_t)status.st_mtim.tv_nsec / 1000;
	close(file);
	return err;
}

static void unmap_file(struct slice bytes)
{
	if (bytes.ptr)
		munmap((void *)(uintptr_t)bytes.ptr, bytes.len);
}

/* ---- Maildir ---- */

struct found {
	char *path;
	const char *name; /* in path */
	struct timespec mtime;
};

struct founds {
	struct found *items;
	size_t count, capacity;
};

static int compare_founds(const void *left, const void *right)
{
	const struct found *a = left;
	const struct found *b = right;
	if (a->mtime.tv_sec != b->mtime.tv_sec)
		return a->mtime.tv_sec < b->mtime.tv_sec ? -1 : 1;
	if (a->mtime.tv_nsec != b->mtime.tv_nsec)
		return a->mtime.tv_nsec < b->mtime.tv_nsec ? -1 : 1;
	return strcmp(a->name, b->name);
}

static struct error *find_files(struct op *op, const char *folder, struct founds *founds)
{
	struct dirent *entry;
	DIR *files = opendir(folder);
	if (!files && errno == ENOENT)
		return NULL;
	if (!files)
		return fail_io(op, "list", folder);
	while (errno = 0, (entry = readdir(files))) {
		struct stat status;
		char *path = NULL;
		/* Names with a dot in front are no mail. */
		if (entry->d_name[0] == '.' || asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
			continue;
		if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) {
			free(path);
			continue;
		}
		if (founds->count == founds->capacity) {
			founds->capacity = founds->capacity ? founds->capacity * 2 : 256;
			founds->items = heap_realloc(
				founds->items, founds->capacity * sizeof(*founds->items));
		}
		founds->items[founds->count++] =
			(struct found){path, path + strlen(folder) + 1, status.st_mtim};
	}
	struct error *err = errno ? fail_io(op, "list", folder) : NULL;
	closedir(files);
	return err;
}

static struct error *import_file(
	struct op *op, struct import_call *call, const struct found *found, const char *folder)
{
	struct slice bytes;
	uint64_t mtime_us;
	struct maildir_name name = maildir_name_parse(slice_from_cstr(found->name));
	struct error *err = map_file(op, found->path, &bytes, &mtime_us);
	/* It was moved, from new to cur, or away. */
	if (err) {
		import_failed(&call->import, slice_from_cstr(found->path), err->message);
		return NULL;
	}
	const struct import_message message = {.source = name.unique,
		.folder = folder,
		.content = lines_with_crlf(&op->arena, bytes),
		.flags = flags_of(name.flags, maildir_flags),
		.received_us = mtime_us};
	err = import_add(op, &call->import, &message);
	json_decref(message.flags);
	unmap_file(bytes);
	return err;
}

/* The oldest first: UIDs come in the order of time. */
static struct error *import_maildir(
	struct op *op, struct import_call *call, const char *maildir, const char *folder)
{
	struct founds founds = {0};
	/* A program that reads it moves from new to cur: in this order nothing escapes. */
	struct error *err = find_files(op, arena_printf(&op->arena, "%s/new", maildir), &founds);
	if (!err)
		err = find_files(op, arena_printf(&op->arena, "%s/cur", maildir), &founds);
	if (founds.count)
		qsort(founds.items, founds.count, sizeof(*founds.items), compare_founds);
	for (size_t i = 0; i < founds.count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		if (!err)
			err = import_file(op, call, &founds.items[i], folder);
		if (!err)
			arena_release(&op->arena, mark);
		free(founds.items[i].path);
	}
	free(founds.items);
	return err;
}

static const char *folder_in(struct op *op, const struct import_call *call, struct slice path)
{
	if (!call->into)
		return arena_cstr(&op->arena, path);
	return arena_printf(&op->arena, "%s/" SLICE_FMT, call->into, SLICE_ARG(path));
}

static struct error *import_folders(struct op *op, struct import_call *call, DIR *root)
{
	struct dirent *entry;
	while (errno = 0, (entry = readdir(root))) {
		struct stat status;
		struct slice path;
		struct slice name = slice_from_cstr(entry->d_name);
		const char *maildir =
			arena_printf(&op->arena, "%s/%s", call->source, entry->d_name);
		if (name.ptr[0] != '.' || slice_equal(name, SLICE(".")) ||
			slice_equal(name, SLICE("..")) || lstat(maildir, &status) != 0 ||
			!S_ISDIR(status.st_mode))
			continue;
		if (maildir_folder_parse(&op->arena, name, &path))
			TRY(import_maildir(op, call, maildir, folder_in(op, call, path)));
		else
			import_failed(&call->import, name, "the folder's name can be no path");
	}
	return errno ? fail_io(op, "list", call->source) : NULL;
}

static struct error *run_maildir(struct op *op, struct import_call *call)
{
	struct stat status;
	if (stat(arena_printf(&op->arena, "%s/cur", call->source), &status) != 0)
		return op_fail(op, ERR_INVALID, "%s is no Maildir: it has no cur", call->source);
	TRY(import_maildir(op, call, call->source, call->into ? call->into : "INBOX"));
	DIR *root = opendir(call->source);
	if (!root)
		return fail_io(op, "list", call->source);
	struct error *err = import_folders(op, call, root);
	closedir(root);
	return err;
}

/* ---- mbox ---- */

/* Messages of an mbox have no names: the n-th of these bytes. */
static struct slice nth_of(struct op *op, struct hash_map *seen, struct slice content)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	struct slice key = slice_of(digest, sizeof(digest));
	uintptr_t before = (uintptr_t)hash_map_find(seen, key);
	hash_map_put(seen, key, (void *)(before + 1));
	return slice_from_cstr(arena_printf(&op->arena, "%lu", (unsigned long)before + 1));
}

static struct error *import_messages(
	struct op *op, struct import_call *call, struct slice rest, struct hash_map *seen)
{
	struct mbox_message found;
	while (mbox_next(&rest, &found)) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct slice content = mbox_content(&op->arena, found.body, call->quoting);
		const struct import_message message = {.source = nth_of(op, seen, content),
			.folder = call->into ? call->into : "INBOX",
			.content = content,
			.flags = flags_of(mbox_status(&op->arena, content), mbox_flags),
			.received_us = found.received * US_PER_S};
		struct error *err = import_add(op, &call->import, &message);
		json_decref(message.flags);
		TRY(err);
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static struct error *run_mbox(struct op *op, struct import_call *call)
{
	struct slice bytes;
	uint64_t mtime_us;
	struct hash_map seen;
	TRY(map_file(op, call->source, &bytes, &mtime_us));
	if (bytes.len && !slice_starts_with(bytes, SLICE("From "))) {
		unmap_file(bytes);
		return op_fail(op, ERR_INVALID, "%s is no mbox: it does not begin with \"From \"",
			call->source);
	}
	hash_map_init(&seen);
	struct error *err = import_messages(op, call, bytes, &seen);
	hash_map_done(&seen);
	unmap_file(bytes);
	return err;
}

/* ---- Commands ---- */

static int complain(struct op *op, const struct error *err)
{
	fprintf(stderr, "holdfastctl: %s\n", error_chain(&op->arena, err));
	return err->kind == ERR_INVALID ? EX_USAGE : EX_UNAVAILABLE;
}

/* Takes the object. */
static void print(const struct import_call *call, json_t *json)
{
	if (call->wants_json)
		ctl_print_json(json);
	else
		ctl_print_fields(json);
	json_decref(json);
}

static int run(
	struct import_call *call, struct error *(*import)(struct op *op, struct import_call *call))
{
	struct error *err = import_open(call->op, &call->import);
	if (!err)
		err = import(call->op, call);
	struct error *left = import_close(call->op, &call->import);
	err = err ? err : left;
	/* Also of what was cut off: it has been put. */
	print(call, json_pack("{s:I, s:I, s:I}", "added", (json_int_t)call->import.added,
			    "there_already", (json_int_t)call->import.there, "failed",
			    (json_int_t)call->import.failed));
	if (err)
		return complain(call->op, err);
	return call->import.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int verify(struct import_call *call, const char *manifest, const char *address)
{
	struct import_verdict verdict = {0};
	struct error *err =
		import_verify(call->op, call->import.socket_path, manifest, address, &verdict);
	if (err)
		return complain(call->op, err);
	print(call, json_pack("{s:I, s:I}", "messages", (json_int_t)verdict.messages, "differences",
			    (json_int_t)verdict.differences));
	return verdict.differences ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool read_options(struct import_call *call, int count, char **arguments)
{
	static const struct option options[] = {
		{"manifest", required_argument, NULL, 'm'},
		{"into", required_argument, NULL, 'i'},
		{"mboxo", no_argument, NULL, 'o'},
		{0},
	};
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
		switch (option) {
		case 'm':
			call->import.manifest_path = optarg;
			break;
		case 'i':
			call->into = optarg;
			break;
		case 'o':
			call->quoting = MBOX_O;
			break;
		default:
			return false;
		}
	}
	return optind + 2 == count;
}

int ctl_import(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments)
{
	static const struct {
		const char *kind;
		struct error *(*import)(struct op *op, struct import_call *call);
	} kinds[] = {{"maildir", run_maildir}, {"mbox", run_mbox}};
	struct import_call call = {
		.op = op, .wants_json = wants_json, .import = {.socket_path = socket_path}};
	const char *kind = argument_count ? arguments[0] : "";
	if (strcmp(kind, "imap") == 0)
		return ctl_import_imap(op, socket_path, wants_json, argument_count, arguments);
	if (strcmp(kind, "manifest") == 0)
		return ctl_import_manifest(op, socket_path, argument_count, arguments);
	if (!argument_count || !read_options(&call, argument_count, arguments))
		return usage();
	call.source = arguments[optind];
	call.import.address = arguments[optind + 1];
	if (strcmp(kind, "verify") == 0)
		return verify(&call, call.source, call.import.address);
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && call.import.manifest_path; i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			return run(&call, kinds[i].import);
	return usage();
}
