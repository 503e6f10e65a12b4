#include "app/ctl_vault.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "app/ctl_client.h"
#include "app/ctl_table.h"
#include "app/mbox_file.h"
#include "base/buf.h"
#include "base/clock.h"

#define LIST_LIMIT "1000"

const char *const ctl_vault_usage[] = {
	"vault list ACCOUNT [--since DATE] [--until DATE] [--mailbox PATH] [--limit N]",
	"vault search ACCOUNT TERM... [--since DATE] [--until DATE] [--mailbox PATH] [--limit N]",
	"vault restore ACCOUNT MESSAGE... [--mailbox PATH] [--to ADDRESS]",
	"vault export ACCOUNT FILE|- [--since DATE] [--until DATE] [--mailbox PATH]",
	"vault purge ACCOUNT MESSAGE...|--all", NULL};

const char *const ctl_vault_requests[] = {"GET /v1/users/{account}/vault vault list",
	"GET /v1/users/{account}/vault vault search",
	"GET /v1/users/{account}/vault/{message} vault export",
	"POST /v1/users/{account}/vault/{message}/restore vault restore",
	"DELETE /v1/users/{account}/vault/{message} vault purge", NULL};

struct vault_call {
	struct op *op;
	const char *socket_path;
	bool wants_json;
	const char *account;
	char **rest; /* behind the account */
	int rest_count;

	/* Options */
	const char *since, *until; /* microseconds since 1970, in decimal; NULL: none */
	const char *mailbox;
	const char *limit;
	const char *to;
	bool all;
};

static const struct ctl_column columns[] = {{"ID", "id", CTL_TEXT},
	{"DELETED", "deleted_us", CTL_DATE}, {"MAILBOX", "mailbox", CTL_TEXT},
	{"FROM", "from", CTL_TEXT}, {"SUBJECT", "subject", CTL_TEXT}, {"SIZE", "bytes", CTL_SIZE},
	{0}};

static int usage(void)
{
	for (size_t i = 0; ctl_vault_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_vault_usage[i]);
	return EX_USAGE;
}

static const char *path_of(const struct vault_call *call, const char *message, const char *action)
{
	struct arena *arena = &call->op->arena;
	return arena_printf(arena, "v1/users/%s/vault/%s%s", ctl_encode(arena, call->account),
		ctl_encode(arena, message), action);
}

static int ask(const struct vault_call *call, const char *method, const char *path, json_t *body,
	struct ctl_reply *ret_reply)
{
	return ctl_ask(call->op, call->socket_path, method, path, body, ret_reply);
}

static int fetch_list(const struct vault_call *call, const char *terms, struct ctl_reply *ret_reply)
{
	struct arena *arena = &call->op->arena;
	struct buf path = buf_in(arena);
	buf_printf(&path, "v1/users/%s/vault?", ctl_encode(arena, call->account));
	ctl_add_argument(&path, arena, "since_us", call->since);
	ctl_add_argument(&path, arena, "until_us", call->until);
	ctl_add_argument(&path, arena, "mailbox", call->mailbox);
	ctl_add_argument(&path, arena, "limit", call->limit);
	ctl_add_argument(&path, arena, "terms", terms);
	return ask(call, "GET", arena_cstr(arena, buf_as_slice(&path)), NULL, ret_reply);
}

static int print_list(struct vault_call *call, const char *terms)
{
	struct ctl_reply reply;
	call->limit = call->limit ? call->limit : LIST_LIMIT;
	int code = fetch_list(call, terms, &reply);
	if (!code && call->wants_json)
		printf(SLICE_FMT, SLICE_ARG(reply.text));
	else if (!code)
		ctl_print_table(json_object_get(reply.json, "messages"), columns);
	if (!code && json_is_true(json_object_get(reply.json, "has_more")))
		fprintf(stderr, "holdfastctl: there are more: --limit, --since and --until\n");
	json_decref(reply.json);
	return code;
}

static int list(struct vault_call *call)
{
	return call->rest_count ? usage() : print_list(call, NULL);
}

static int search(struct vault_call *call)
{
	struct buf terms = buf_in(&call->op->arena);
	if (!call->rest_count)
		return usage();
	for (int i = 0; i < call->rest_count; i++)
		buf_printf(&terms, "%s%s", i ? "\n" : "", call->rest[i]);
	return print_list(call, arena_cstr(&call->op->arena, buf_as_slice(&terms)));
}

static int restore(struct vault_call *call)
{
	int worst = EXIT_SUCCESS;
	if (!call->rest_count)
		return usage();
	for (int i = 0; i < call->rest_count; i++) {
		struct ctl_reply reply;
		json_t *body = json_pack(
			"{s:s}", "mailbox", call->mailbox ? call->mailbox : "Restored-Messages");
		if (call->to)
			json_object_set_new(body, "to", json_string(call->to));
		int code =
			ask(call, "POST", path_of(call, call->rest[i], "/restore"), body, &reply);
		if (!code && call->wants_json)
			printf(SLICE_FMT, SLICE_ARG(reply.text));
		else if (!code)
			printf("%s is UID %lld in %s\n", call->rest[i],
				(long long)json_integer_value(json_object_get(reply.json, "uid")),
				json_string_value(json_object_get(reply.json, "mailbox")));
		json_decref(body);
		json_decref(reply.json);
		worst = code ? code : worst;
	}
	return worst;
}

static int purge_one(struct vault_call *call, const char *message)
{
	struct ctl_reply reply;
	int code = ask(call, "DELETE", path_of(call, message, ""), NULL, &reply);
	json_decref(reply.json);
	return code;
}

static int purge_all(struct vault_call *call)
{
	struct ctl_reply reply;
	size_t at;
	json_t *message;
	int worst = fetch_list(call, NULL, &reply);
	json_array_foreach(json_object_get(reply.json, "messages"), at, message)
	{
		int code = purge_one(call, json_string_value(json_object_get(message, "id")));
		worst = code ? code : worst;
	}
	json_decref(reply.json);
	return worst;
}

static int purge(struct vault_call *call)
{
	int worst = EXIT_SUCCESS;
	if (call->all == (call->rest_count != 0))
		return usage();
	if (call->all)
		return purge_all(call);
	for (int i = 0; i < call->rest_count; i++) {
		int code = purge_one(call, call->rest[i]);
		worst = code ? code : worst;
	}
	return worst;
}

static int export_one(struct vault_call *call, FILE *out, json_t *message)
{
	struct ctl_reply reply;
	struct arena_mark mark = arena_mark(&call->op->arena);
	json_int_t received_us = json_integer_value(json_object_get(message, "received_us"));
	int code = ask(call, "GET",
		path_of(call, json_string_value(json_object_get(message, "id")), ""), NULL, &reply);
	if (!code)
		mbox_file_write(out, reply.text, received_us / (json_int_t)US_PER_S);
	json_decref(reply.json);
	arena_release(&call->op->arena, mark);
	return code;
}

static int export_to(struct vault_call *call, FILE *out)
{
	struct ctl_reply reply;
	size_t at;
	json_t *message;
	int worst = fetch_list(call, NULL, &reply);
	json_array_foreach(json_object_get(reply.json, "messages"), at, message)
	{
		int code = export_one(call, out, message);
		worst = code ? code : worst;
	}
	json_decref(reply.json);
	return worst;
}

static int cannot_write(const char *name)
{
	fprintf(stderr, "holdfastctl: cannot write %s: %s\n", name, strerror(errno));
	return EX_CANTCREAT;
}

/* A file that is there already is left alone. */
static int export(struct vault_call *call)
{
	if (call->rest_count != 1)
		return usage();
	const char *name = call->rest[0];
	bool to_stdout = strcmp(name, "-") == 0;
	int file = to_stdout ? dup(STDOUT_FILENO)
			     : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = file < 0 ? NULL : fdopen(file, "w");
	if (!out)
		return cannot_write(name);
	int code = export_to(call, out);
	bool is_written = fflush(out) == 0 && !ferror(out) && (to_stdout || fsync(file) == 0);
	if (!is_written)
		code = cannot_write(name);
	if (fclose(out) != 0 && is_written)
		code = cannot_write(name);
	return code;
}

/* ---- Options ---- */

/* A day, or a day and a time, of the local calendar. NULL: neither. */
static const char *parse_date(struct op *op, const char *text)
{
	static const char *const formats[] = {
		"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"};
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm parts = {.tm_isdst = -1};
		const char *end = strptime(text, formats[i], &parts);
		if (!end || *end)
			continue;
		time_t seconds = mktime(&parts);
		if (seconds >= 0)
			return arena_printf(
				&op->arena, "%lld", (long long)seconds * (long long)US_PER_S);
	}
	fprintf(stderr, "holdfastctl: %s is no date such as 2026-01-31 or 2026-01-31 23:30\n",
		text);
	return NULL;
}

static bool read_options(struct vault_call *call, int count, char **arguments)
{
	static const struct option options[] = {
		{"since", required_argument, NULL, 's'},
		{"until", required_argument, NULL, 'u'},
		{"mailbox", required_argument, NULL, 'm'},
		{"limit", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'},
		{"all", no_argument, NULL, 'a'},
		{0},
	};
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
		switch (option) {
		case 's':
			call->since = parse_date(call->op, optarg);
			if (!call->since)
				return false;
			break;
		case 'u':
			call->until = parse_date(call->op, optarg);
			if (!call->until)
				return false;
			break;
		case 'm':
			call->mailbox = optarg;
			break;
		case 'l':
			call->limit = optarg;
			break;
		case 't':
			call->to = optarg;
			break;
		case 'a':
			call->all = true;
			break;
		default:
			return false;
		}
	}
	if (optind == count)
		return false;
	call->account = arguments[optind];
	call->rest = arguments + optind + 1;
	call->rest_count = count - optind - 1;
	return true;
}

int ctl_vault(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments)
{
	static const struct {
		const char *verb;
		int (*run)(struct vault_call *call);
	} verbs[] = {{"list", list}, {"search", search}, {"restore", restore}, {"export", export},
		{"purge", purge}};
	struct vault_call call = {.op = op, .socket_path = socket_path, .wants_json = wants_json};
	for (size_t i = 0; argument_count > 0 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(arguments[0], verbs[i].verb) == 0)
			return read_options(&call, argument_count, arguments) ? verbs[i].run(&call)
									      : usage();
	return usage();
}
