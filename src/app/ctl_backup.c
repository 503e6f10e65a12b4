#include "app/ctl_backup.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "app/ctl_client.h"
#include "app/ctl_restore.h"
#include "app/ctl_table.h"
#include "app/data_directory.h"
#include "base/clock.h"

const char *const ctl_backup_usage[] = {"backup FOLDER [--full]", "backup list FOLDER",
	"backup verify FOLDER [BACKUP]", "backup remove FOLDER BACKUP",
	"restore FOLDER DIRECTORY [BACKUP]", NULL};

const char *const ctl_backup_requests[] = {"POST /v1/checkpoints backup",
	"POST /v1/checkpoints/{checkpoint}/renew backup",
	"DELETE /v1/checkpoints/{checkpoint} backup", NULL};

#define RENEW_EVERY_NS (20 * NS_PER_S)
#define TELL_EVERY_NS (500 * NS_PER_MS)

struct backup_call {
	struct op *op;
	const char *socket_path;
	const char *config_path;
	bool wants_json;
	bool is_full;
	char **words; /* behind the verb */
	int word_count;
};

static int usage(void)
{
	for (size_t i = 0; ctl_backup_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_backup_usage[i]);
	return EX_USAGE;
}

/* ---- Progress ---- */

static volatile sig_atomic_t is_told_to_stop;

static void stop(int signal_number)
{
	(void)signal_number;
	is_told_to_stop = 1;
}

/* A checkpoint must not be left behind by a Ctrl-C. */
static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = stop};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

struct progress {
	const struct backup_call *call;
	const char *checkpoint; /* to be renewed; NULL: there is none */
	uint64_t bytes;
	uint64_t renew_ns;
	uint64_t tell_ns;
	bool has_told;
};

static struct error *ask(struct op *op, const struct backup_call *call, const char *method,
	const char *path, json_t **ret_json)
{
	struct ctl_reply reply = {0};
	TRY(ctl_request(op, call->socket_path, method, path, NULL, &reply));
	const char *fault = ctl_fault(&reply);
	struct error *err = fault ? op_fail(op, ERR_UNAVAILABLE, "%s", fault) : NULL;
	if (err)
		json_decref(reply.json);
	else
		*ret_json = reply.json;
	return err;
}

static struct error *renew(struct op *op, void *context)
{
	struct progress *progress = context;
	json_t *json = NULL;
	struct error *err = ask(op, progress->call, "POST",
		arena_printf(&op->arena, "v1/checkpoints/%s/renew", progress->checkpoint), &json);
	json_decref(json);
	if (err)
		return op_wrap(op, err, "the server holds the checkpoint no longer");
	progress->renew_ns = clock_monotonic_ns() + RENEW_EVERY_NS;
	return NULL;
}

static struct error *tick(struct op *op, void *context, uint64_t bytes)
{
	struct progress *progress = context;
	uint64_t now_ns = clock_monotonic_ns();
	progress->bytes += bytes;
	if (is_told_to_stop)
		return op_fail(op, ERR_CANCELLED, "it was stopped on the way");
	if (now_ns >= progress->tell_ns && isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%llu MiB ", (unsigned long long)(progress->bytes / MIB(1)));
		progress->tell_ns = now_ns + TELL_EVERY_NS;
		progress->has_told = true;
	}
	return progress->checkpoint && now_ns >= progress->renew_ns ? renew(op, progress) : NULL;
}

static void end_progress(const struct progress *progress)
{
	if (progress->has_told)
		fputc('\n', stderr);
}

/* ---- Answers ---- */

static int complain(struct op *op, const struct error *err)
{
	fprintf(stderr, "holdfastctl: %s\n", error_chain(&op->arena, err));
	return err->kind == ERR_INVALID ? EX_USAGE : EXIT_FAILURE;
}

/* Takes the object. */
static void print(const struct backup_call *call, json_t *json)
{
	if (call->wants_json)
		ctl_print_json(json);
	else
		ctl_print_fields(json);
	json_decref(json);
}

static json_t *manifest_json(const struct backup_manifest *manifest)
{
	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I}", "backup", manifest->id,
		"taken_us", (json_int_t)manifest->taken_us, "version", manifest->version,
		"content_store", manifest->content_store, "files", (json_int_t)manifest->count,
		"bytes", (json_int_t)manifest->bytes, "copied_files",
		(json_int_t)manifest->copied_files, "copied_bytes",
		(json_int_t)manifest->copied_bytes);
}

/* ---- Taking one ---- */

/* When it was taken, in UTC and to the microsecond: ids come in the order of time. */
static const char *id_of(struct arena *arena, uint64_t taken_us)
{
	time_t seconds = (time_t)(taken_us / US_PER_S);
	struct tm parts;
	char text[32];
	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%S", &parts);
	return arena_printf(arena, "%s.%06uZ", text, (unsigned)(taken_us % US_PER_S));
}

static const char *text_of(struct op *op, const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));
	return text ? arena_printf(&op->arena, "%s", text) : NULL;
}

static struct error *copy_checkpoint(struct op *op, const struct backup_call *call,
	const struct backup_folder *folder, const json_t *point,
	struct backup_manifest *ret_manifest)
{
	struct progress progress = {.call = call,
		.checkpoint = text_of(op, point, "id"),
		.renew_ns = clock_monotonic_ns() + RENEW_EVERY_NS};
	/* While it was held no content was removed. */
	const struct file_watch watch = {.tick = tick, .confirm = renew, .context = &progress};
	const struct backup_source sources[] = {
		{.folder = text_of(op, point, "folder"), .prefix = ""},
		{.folder = text_of(op, point, "content"), .prefix = DATA_CONTENT}};
	uint64_t taken_us = (uint64_t)json_integer_value(json_object_get(point, "taken_us"));
	*ret_manifest = (struct backup_manifest){.id = id_of(&op->arena, taken_us),
		.taken_us = taken_us,
		.version = text_of(op, point, "version"),
		.content_store = text_of(op, point, "content_store")};
	if (!progress.checkpoint || !sources[0].folder || !ret_manifest->version ||
		!ret_manifest->content_store)
		return op_fail(op, ERR_UNAVAILABLE, "the server's answer is not understood");
	struct error *err = backup_take(op, folder, sources, sources[1].folder ? 2 : 1,
		call->is_full, &watch, ret_manifest);
	end_progress(&progress);
	return err;
}

static struct error *take(
	struct op *op, const struct backup_call *call, struct backup_manifest *ret_manifest)
{
	struct backup_folder folder;
	json_t *point = NULL;
	json_t *gone = NULL;
	TRY(backup_folder_open(op, call->words[0], BACKUP_WRITES, &folder));
	struct error *err = ask(op, call, "POST", "v1/checkpoints", &point);
	if (!err) {
		const char *id = text_of(op, point, "id");
		err = copy_checkpoint(op, call, &folder, point, ret_manifest);
		/* What is left is dropped by the server when its time has passed. */
		struct error *left = ask(op, call, "DELETE",
			arena_printf(&op->arena, "v1/checkpoints/%s", id ? id : ""), &gone);
		if (left)
			fprintf(stderr, "holdfastctl: the checkpoint is left behind: %s\n",
				error_chain(&op->arena, left));
	}
	json_decref(gone);
	json_decref(point);
	backup_folder_close(&folder);
	return err;
}

static int take_backup(struct backup_call *call)
{
	struct backup_manifest manifest = {0};
	if (call->word_count != 1)
		return usage();
	catch_signals();
	struct error *err = take(call->op, call, &manifest);
	if (err)
		return complain(call->op, err);
	print(call, manifest_json(&manifest));
	return EXIT_SUCCESS;
}

/* ---- What is in a folder ---- */

static const struct ctl_column columns[] = {{"BACKUP", "backup", CTL_TEXT},
	{"TAKEN", "taken_us", CTL_DATE}, {"VERSION", "version", CTL_TEXT},
	{"CONTENT", "content_store", CTL_TEXT}, {"FILES", "files", CTL_NUMBER},
	{"SIZE", "bytes", CTL_SIZE}, {"OF IT NEW", "copied_bytes", CTL_SIZE}, {0}};

static struct error *list_to(
	struct op *op, const struct backup_folder *folder, json_t *list, bool *ret_damaged)
{
	const char **ids;
	size_t count;
	TRY(backup_folder_list(op, folder, &ids, &count));
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct backup_manifest manifest;
		struct error *err = backup_folder_manifest(op, folder, ids[i], &manifest);
		if (err && err->kind != ERR_CORRUPT)
			return err;
		if (err)
			fprintf(stderr, "holdfastctl: %s\n", error_chain(&op->arena, err));
		else
			json_array_append_new(list, manifest_json(&manifest));
		*ret_damaged = *ret_damaged || err;
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static int list(struct backup_call *call, const struct backup_folder *folder)
{
	bool is_damaged = false;
	json_t *backups = json_array();
	struct error *err = list_to(call->op, folder, backups, &is_damaged);
	if (!err && call->wants_json) {
		json_t *answer = json_pack("{s:O}", "backups", backups);
		ctl_print_json(answer);
		json_decref(answer);
	} else if (!err) {
		ctl_print_table(backups, columns);
	}
	json_decref(backups);
	if (err)
		return complain(call->op, err);
	return is_damaged ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void tell_fault(const char *fault)
{
	fprintf(stderr, "holdfastctl: %s\n", fault);
}

static int verify(struct backup_call *call, const struct backup_folder *folder)
{
	struct backup_verdict verdict;
	const char *id = call->word_count > 1 ? call->words[1] : NULL;
	struct error *err = backup_verify(call->op, folder, id, tell_fault, &verdict);
	if (err)
		return complain(call->op, err);
	print(call, json_pack("{s:I, s:I, s:I, s:I, s:I}", "backups", (json_int_t)verdict.backups,
			    "files", (json_int_t)verdict.files, "bytes", (json_int_t)verdict.bytes,
			    "damaged", (json_int_t)verdict.damaged, "missing",
			    (json_int_t)verdict.missing));
	return verdict.damaged || verdict.missing ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int remove_one(struct backup_call *call, const struct backup_folder *folder)
{
	uint64_t bytes;
	struct error *err = backup_remove(call->op, folder, call->words[1], &bytes);
	if (err)
		return complain(call->op, err);
	print(call, json_pack("{s:I}", "freed_bytes", (json_int_t)bytes));
	return EXIT_SUCCESS;
}

static int restore(struct backup_call *call, const struct backup_folder *folder)
{
	struct progress progress = {.call = call};
	const struct file_watch watch = {.tick = tick, .context = &progress};
	json_t *told = NULL;
	catch_signals();
	struct error *err = ctl_restore(call->op, call->config_path, folder,
		call->word_count > 2 ? call->words[2] : NULL, call->words[1], &watch, &told);
	end_progress(&progress);
	if (told)
		print(call, told);
	return err ? complain(call->op, err) : EXIT_SUCCESS;
}

static int with_folder(struct backup_call *call, int min, int max, enum backup_use use,
	int (*work)(struct backup_call *call, const struct backup_folder *folder))
{
	struct backup_folder folder;
	if (call->word_count < min || call->word_count > max)
		return usage();
	struct error *err = backup_folder_open(call->op, call->words[0], use, &folder);
	if (err)
		return complain(call->op, err);
	int code = work(call, &folder);
	backup_folder_close(&folder);
	return code;
}

static int run(struct backup_call *call, const char *noun, const char *verb)
{
	if (strcmp(noun, "restore") == 0)
		return with_folder(call, 2, 3, BACKUP_READS, restore);
	bool is_verb = strcmp(verb, "list") == 0 || strcmp(verb, "verify") == 0 ||
		       strcmp(verb, "remove") == 0;
	if (call->word_count < 2)
		return is_verb ? usage() : take_backup(call);
	call->words++;
	call->word_count--;
	if (strcmp(verb, "list") == 0)
		return with_folder(call, 1, 1, BACKUP_READS, list);
	if (strcmp(verb, "verify") == 0)
		return with_folder(call, 1, 2, BACKUP_READS, verify);
	if (strcmp(verb, "remove") == 0)
		return with_folder(call, 2, 2, BACKUP_WRITES, remove_one);
	return usage();
}

int ctl_backup(struct op *op, const char *socket_path, const char *config_path, bool wants_json,
	int argument_count, char **arguments)
{
	static const struct option options[] = {{"full", no_argument, NULL, 'f'}, {0}};
	struct backup_call call = {.op = op,
		.socket_path = socket_path,
		.config_path = config_path,
		.wants_json = wants_json};
	const char *noun = arguments[0];
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option;
		(option = getopt_long(argument_count, arguments, "", options, NULL)) != -1;) {
		if (option != 'f')
			return usage();
		call.is_full = true;
	}
	call.words = arguments + optind;
	call.word_count = argument_count - optind;
	return call.word_count ? run(&call, noun, call.words[0]) : usage();
}
