#include "app/ctl_export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/ctl_client.h"
#include "app/ctl_table.h"
#include "app/mbox_file.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash_map.h"
#include "format/mbox.h"
#include "format/utf7.h"

const char *const ctl_export_usage[] = {"export maildir ADDRESS FOLDER [--mailbox PATH]",
	"export mbox ADDRESS FILE --mailbox PATH", NULL};

const char *const ctl_export_requests[] = {"GET /v1/users/{address}/messages export",
	"GET /v1/users/{address}/messages/{uid}/content export", NULL};

struct export_call {
	struct op *op;
	const char *socket_path;
	const char *address;
	const char *target;
	const char *mailbox; /* NULL: all */
	FILE *mbox;
	struct hash_map there; /* what is in the Maildir, by name without flags */
	uint64_t written, skipped, failed;
};

struct exported {
	uint32_t uidvalidity, uid;
	uint64_t received_us;
	const json_t *flags;
	struct slice content;
};

/* How one mailbox's messages are written; `place`: its folder in the Maildir, NULL in an mbox. */
typedef struct error *(*writer)(
	struct op *op, struct export_call *call, const char *place, const struct exported *message);

static int usage(void)
{
	for (size_t i = 0; ctl_export_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_export_usage[i]);
	return EX_USAGE;
}

static struct error *fail_io(struct op *op, const char *what, const char *path)
{
	return op_fail(op, ERR_UNAVAILABLE, "cannot %s %s: %s", what, path, strerror(errno));
}

static void tell(struct export_call *call, const char *what, const char *why)
{
	call->failed++;
	fprintf(stderr, "holdfastctl: %s: %s\n", what, why);
}

/* ERR_UNAVAILABLE: no server, or it says no. */
static struct error *ask(struct op *op, const struct export_call *call, const char *path,
	struct ctl_reply *ret_reply)
{
	*ret_reply = (struct ctl_reply){0};
	TRY(ctl_request(op, call->socket_path, "GET",
		arena_printf(
			&op->arena, "v1/users/%s/%s", ctl_encode(&op->arena, call->address), path),
		NULL, ret_reply));
	if (!ctl_fault(ret_reply))
		return NULL;
	struct error *err = op_fail(op, ERR_UNAVAILABLE, "%s", ctl_fault(ret_reply));
	json_decref(ret_reply->json);
	return err;
}

/* ---- Maildir ---- */

/* The letters, in the order of the alphabet as Maildir wants them. */
static const struct {
	char letter;
	const char *name;
} letters[] = {{'D', "\\Draft"}, {'F', "\\Flagged"}, {'P', "$Forwarded"}, {'R', "\\Answered"},
	{'S', "\\Seen"}, {'T', "\\Deleted"}};

static bool has_flag(const json_t *flags, const char *name)
{
	for (size_t i = 0; i < json_array_size(flags); i++)
		if (slice_equal_nocase(slice_from_cstr(json_string_value(json_array_get(flags, i))),
			    slice_from_cstr(name)))
			return true;
	return false;
}

static const char *flag_letters(struct arena *arena, const json_t *flags)
{
	struct buf text = buf_in(arena);
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (has_flag(flags, letters[i].name))
			buf_append_char(&text, letters[i].letter);
	return arena_cstr(arena, buf_as_slice(&text));
}

/* Programs that read Maildirs want LF; but only where that can be undone. */
static struct slice with_lf(struct arena *arena, struct slice content)
{
	struct buf out = buf_in(arena);
	struct slice rest = content;
	struct slice line;
	buf_reserve(&out, content.len + 1);
	while (slice_split(&rest, '\n', &line)) {
		if (rest.ptr && slice_ends_with(line, SLICE("\r")))
			line.len--;
		buf_append(&out, line);
		if (rest.ptr)
			buf_append_char(&out, '\n');
	}
	struct slice lines = buf_as_slice(&out);
	return slice_equal(lines_with_crlf(arena, lines), content) ? lines : content;
}

static struct error *write_bytes(
	struct op *op, const char *path, struct slice bytes, uint64_t received_us)
{
	/* In somebody's own Maildir it may be a link to anywhere. */
	if (unlink(path) != 0 && errno != ENOENT)
		return fail_io(op, "remove", path);
	FILE *file = fopen(path, "wxe");
	if (!file)
		return fail_io(op, "make", path);
	const struct timespec time = {.tv_sec = (time_t)(received_us / US_PER_S),
		.tv_nsec = (long)(received_us % US_PER_S) * 1000};
	const struct timespec times[] = {time, time};
	bool is_written = fwrite(bytes.ptr, 1, bytes.len, file) == bytes.len && fflush(file) == 0 &&
			  futimens(fileno(file), times) == 0 && fsync(fileno(file)) == 0;
	struct error *err = is_written ? NULL : fail_io(op, "write", path);
	if (fclose(file) != 0 && !err)
		err = fail_io(op, "write", path);
	return err;
}

static const char *name_of(struct arena *arena, const struct exported *message)
{
	return arena_printf(arena, "%llu.V%uU%u.holdfast",
		(unsigned long long)(message->received_us / US_PER_S), message->uidvalidity,
		message->uid);
}

/* Written under tmp, then named: it is there whole or not at all. */
static struct error *write_to_maildir(
	struct op *op, struct export_call *call, const char *place, const struct exported *message)
{
	const char *name = name_of(&op->arena, message);
	const char *temporary = arena_printf(&op->arena, "%s/tmp/%s", place, name);
	const char *path = arena_printf(&op->arena, "%s/cur/%s:2,%s", place, name,
		flag_letters(&op->arena, message->flags));
	TRY(write_bytes(
		op, temporary, with_lf(&op->arena, message->content), message->received_us));
	if (rename(temporary, path) != 0)
		return fail_io(op, "name", path);
	return NULL;
}

static struct error *note_names(struct op *op, struct export_call *call, const char *folder)
{
	struct dirent *entry;
	DIR *files = opendir(folder);
	if (!files)
		return fail_io(op, "list", folder);
	while (errno = 0, (entry = readdir(files)))
		hash_map_put(&call->there,
			maildir_name_parse(slice_from_cstr(entry->d_name)).unique, call);
	struct error *err = errno ? fail_io(op, "list", folder) : NULL;
	closedir(files);
	return err;
}

static struct error *open_maildir(struct op *op, struct export_call *call, const char *place)
{
	const char *const folders[] = {place, arena_printf(&op->arena, "%s/tmp", place),
		arena_printf(&op->arena, "%s/new", place),
		arena_printf(&op->arena, "%s/cur", place)};
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0700) != 0 && errno != EEXIST)
			return fail_io(op, "make", folders[i]);
	hash_map_done(&call->there);
	hash_map_init(&call->there);
	TRY(note_names(op, call, folders[2]));
	return note_names(op, call, folders[3]);
}

/* INBOX, or the one that was asked for, is the Maildir itself. NULL: its names cannot be said with
 * dots between them. */
static const char *place_of(struct op *op, const struct export_call *call, struct slice path)
{
	struct buf name = buf_in(&op->arena);
	if (call->mailbox || slice_equal(path, SLICE("INBOX")))
		return call->target;
	if (slice_find_char(path, '.') != path.len)
		return NULL;
	utf7_print(&name, path);
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == '/')
			name.ptr[i] = '.';
	return arena_printf(
		&op->arena, "%s/." SLICE_FMT, call->target, SLICE_ARG(buf_as_slice(&name)));
}

/* ---- mbox ---- */

static struct error *write_to_mbox(
	struct op *op, struct export_call *call, const char *place, const struct exported *message)
{
	(void)place;
	mbox_file_write(call->mbox, message->content, (int64_t)(message->received_us / US_PER_S));
	return ferror(call->mbox) ? fail_io(op, "write", call->target) : NULL;
}

/* ---- Reading ---- */

static struct error *export_message(struct op *op, struct export_call *call, const char *path,
	const char *place, const json_t *item, writer write)
{
	struct ctl_reply reply;
	struct exported message = {
		.uidvalidity = (uint32_t)json_integer_value(json_object_get(item, "uidvalidity")),
		.uid = (uint32_t)json_integer_value(json_object_get(item, "uid")),
		.received_us = (uint64_t)json_integer_value(json_object_get(item, "received_us")),
		.flags = json_object_get(item, "flags")};
	if (place && hash_map_find(&call->there, slice_from_cstr(name_of(&op->arena, &message)))) {
		call->skipped++;
		return NULL;
	}
	struct error *err = ask(op, call,
		arena_printf(&op->arena, "messages/%u/content?mailbox=%s", message.uid,
			ctl_encode(&op->arena, path)),
		&reply);
	if (err) {
		tell(call, arena_printf(&op->arena, "UID %u in %s", message.uid, path),
			err->message);
		return NULL;
	}
	message.content = reply.text;
	json_decref(reply.json);
	TRY(write(op, call, place, &message));
	call->written++;
	return NULL;
}

static struct error *export_mailbox(
	struct op *op, struct export_call *call, const char *path, const char *place, writer write)
{
	char after[32] = "";
	do {
		struct arena_mark mark = arena_mark(&op->arena);
		struct ctl_reply reply;
		struct error *err = NULL;
		TRY(ask(op, call,
			arena_printf(&op->arena, "messages?mailbox=%s%s%s",
				ctl_encode(&op->arena, path), *after ? "&after=" : "", after),
			&reply));
		json_t *list = json_object_get(reply.json, "messages");
		for (size_t i = 0; !err && i < json_array_size(list); i++) {
			struct arena_mark inner = arena_mark(&op->arena);
			err = export_message(op, call, path, place, json_array_get(list, i), write);
			if (!err)
				arena_release(&op->arena, inner);
		}
		const char *next = json_string_value(json_object_get(reply.json, "next"));
		snprintf(after, sizeof(after), "%s", next ? next : "");
		json_decref(reply.json);
		TRY(err);
		arena_release(&op->arena, mark);
	} while (*after);
	return NULL;
}

static struct error *export_to_maildir(struct op *op, struct export_call *call, const char *path)
{
	const char *place = place_of(op, call, slice_from_cstr(path));
	if (!place) {
		tell(call, path,
			"a dot in its name cannot be in a Maildir: give it one of its own by "
			"--mailbox");
		return NULL;
	}
	TRY(open_maildir(op, call, place));
	TRY(export_mailbox(op, call, path, place, write_to_maildir));
	int cur =
		open(arena_printf(&op->arena, "%s/cur", place), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error *err = cur >= 0 && fsync(cur) == 0 ? NULL : fail_io(op, "sync", place);
	if (cur >= 0)
		close(cur);
	return err;
}

static struct error *run_maildir(struct op *op, struct export_call *call)
{
	struct ctl_reply reply;
	struct error *err = NULL;
	if (call->mailbox)
		return export_to_maildir(op, call, call->mailbox);
	if (mkdir(call->target, 0700) != 0 && errno != EEXIST)
		return fail_io(op, "make", call->target);
	TRY(ask(op, call, "folders", &reply));
	json_t *list = json_object_get(reply.json, "folders");
	for (size_t i = 0; !err && i < json_array_size(list); i++)
		err = export_to_maildir(op, call,
			json_string_value(json_object_get(json_array_get(list, i), "path")));
	json_decref(reply.json);
	return err;
}

/* A file that is there already is left alone; one that is not whole is taken away. */
static struct error *run_mbox(struct op *op, struct export_call *call)
{
	int file = open(call->target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	call->mbox = file < 0 ? NULL : fdopen(file, "w");
	if (!call->mbox)
		return fail_io(op, "make", call->target);
	struct error *err = export_mailbox(op, call, call->mailbox, NULL, write_to_mbox);
	if (!err && (fflush(call->mbox) != 0 || fsync(file) != 0))
		err = fail_io(op, "write", call->target);
	if (fclose(call->mbox) != 0 && !err)
		err = fail_io(op, "write", call->target);
	if (err)
		unlink(call->target);
	return err;
}

static bool read_options(struct export_call *call, int count, char **arguments)
{
	static const struct option options[] = {{"mailbox", required_argument, NULL, 'm'}, {0}};
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
		if (option != 'm')
			return false;
		call->mailbox = optarg;
	}
	return optind + 2 == count;
}

static int end(struct export_call *call, bool wants_json, const struct error *err)
{
	json_t *json = json_pack("{s:I, s:I, s:I}", "written", (json_int_t)call->written,
		"there_already", (json_int_t)call->skipped, "failed", (json_int_t)call->failed);
	if (wants_json)
		ctl_print_json(json);
	else
		ctl_print_fields(json);
	json_decref(json);
	if (!err)
		return call->failed ? EXIT_FAILURE : EXIT_SUCCESS;
	fprintf(stderr, "holdfastctl: %s\n", error_chain(&call->op->arena, err));
	return EXIT_FAILURE;
}

int ctl_export(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments)
{
	struct export_call call = {.op = op, .socket_path = socket_path};
	struct error *err = NULL;
	if (!argument_count || !read_options(&call, argument_count, arguments))
		return usage();
	const char *kind = arguments[0];
	call.address = arguments[optind];
	call.target = arguments[optind + 1];
	hash_map_init(&call.there);
	if (strcmp(kind, "maildir") == 0)
		err = run_maildir(op, &call);
	else if (strcmp(kind, "mbox") == 0 && call.mailbox)
		err = run_mbox(op, &call);
	else
		return usage();
	hash_map_done(&call.there);
	return end(&call, wants_json, err);
}
