/* holdfastctl: what an administrator types. It knows the admin interface and nothing else. */

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/ctl_backup.h"
#include "app/ctl_client.h"
#include "app/ctl_export.h"
#include "app/ctl_import.h"
#include "app/ctl_import_imap.h"
#include "app/ctl_letters.h"
#include "app/ctl_password.h"
#include "app/ctl_schema.h"
#include "app/ctl_table.h"
#include "app/ctl_vault.h"
#include "base/buf.h"
#include "base/clock.h"

struct ctl {
	struct op op;
	const char *socket_path;
	const char *config_path; /* of the server; NULL: the usual one */
	bool wants_json;
	char **arguments; /* behind the command's words */
	int argument_count;
};

struct ctl_command {
	const char *noun, *verb; /* verb NULL: the noun is the whole command */
	const char *usage;       /* of the arguments */
	int min, max;            /* how many there may be; max -1: any number */
	const char *method;
	const char *path;     /* as its route has it; "{…}": the next argument, encoded */
	const char *argument; /* sent behind '?' with what stands next, if there is any */
	json_t *(*body)(struct ctl *ctl);
	const char *list; /* the field that holds the list to print; NULL: print the fields. What
			   * comes page by page is read to its end. */
	const struct ctl_column *columns;
	bool awaits; /* asks again until the task has ended */
};

/* ---- bodies ---- */

static json_t *quota_body(struct ctl *ctl)
{
	uint64_t bytes;
	uint64_t count;
	if (!slice_parse_u64(slice_from_cstr(ctl->arguments[1]), &bytes) ||
		!slice_parse_u64(slice_from_cstr(ctl->arguments[2]), &count)) {
		fputs("holdfastctl: bytes and count are whole numbers, 0 for none\n", stderr);
		exit(EX_USAGE);
	}
	return json_pack("{s:I, s:I}", "bytes", (json_int_t)bytes, "count", (json_int_t)count);
}

static json_t *enable_body(struct ctl *ctl)
{
	return json_pack("{s:b}", "enabled", true);
}

static json_t *disable_body(struct ctl *ctl)
{
	return json_pack("{s:b}", "enabled", false);
}

static json_t *targets_body(struct ctl *ctl)
{
	json_t *targets = json_array();
	for (int i = 1; i < ctl->argument_count; i++)
		json_array_append_new(targets, json_string(ctl->arguments[i]));
	return json_pack("{s:o}", "targets", targets);
}

static json_t *path_body(struct ctl *ctl)
{
	return json_pack("{s:s}", "path", ctl->arguments[1]);
}

static json_t *name_body(struct ctl *ctl)
{
	return json_pack("{s:s}", "name", ctl->arguments[0]);
}

static json_t *level_body(struct ctl *ctl)
{
	return json_pack("{s:s}", "level", ctl->arguments[1]);
}

/* "0" days: it does not end. */
static json_t *token_body(struct ctl *ctl)
{
	json_t *body =
		json_pack("{s:s, s:s}", "name", ctl->arguments[0], "role", ctl->arguments[1]);
	uint64_t days = 0;
	if (ctl->argument_count > 2 &&
		!slice_parse_u64(slice_from_cstr(ctl->arguments[2]), &days)) {
		fputs("holdfastctl: days are a whole number, 0 for no end\n", stderr);
		exit(EX_USAGE);
	}
	if (days)
		json_object_set_new(body, "days", json_integer((json_int_t)days));
	if (ctl->argument_count > 3)
		json_object_set_new(body, "domain", json_string(ctl->arguments[3]));
	return body;
}

static json_t *task_body(struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "kind", ctl->arguments[0]);
	uint64_t rate;
	if (ctl->argument_count > 1 && strcmp(ctl->arguments[1], "all") != 0)
		json_object_set_new(body, "subject", json_string(ctl->arguments[1]));
	if (ctl->argument_count < 3)
		return body;
	if (!slice_parse_u64(slice_from_cstr(ctl->arguments[2]), &rate)) {
		fputs("holdfastctl: a rate is a whole number of rows in a second\n", stderr);
		exit(EX_USAGE);
	}
	json_object_set_new(body, "rate", json_integer((json_int_t)rate));
	return body;
}

static json_t *password_body(struct ctl *ctl)
{
	char password[CTL_PASSWORD_SIZE];
	if (!ctl_read_password(password))
		exit(EX_USAGE);
	json_t *body = json_pack("{s:s}", "password", password);
	explicit_bzero(password, sizeof(password));
	return body;
}

static json_t *new_user_body(struct ctl *ctl)
{
	json_t *body = password_body(ctl);
	json_object_set_new(body, "address", json_string(ctl->arguments[0]));
	return body;
}

/* ---- commands ---- */

static const struct ctl_column domain_columns[] = {{"DOMAIN", "name", CTL_TEXT},
	{"QUOTA", "quota.bytes", CTL_SIZE_LIMIT}, {"MAX MESSAGES", "quota.count", CTL_LIMIT}, {0}};
static const struct ctl_column user_columns[] = {{"USER", "address", CTL_TEXT},
	{"ENABLED", "enabled", CTL_TEXT}, {"QUOTA", "quota.bytes", CTL_SIZE_LIMIT},
	{"MAX MESSAGES", "quota.count", CTL_LIMIT}, {"SINCE", "created_us", CTL_DATE}, {0}};
static const struct ctl_column folder_columns[] = {{"FOLDER", "path", CTL_TEXT},
	{"MESSAGES", "messages", CTL_NUMBER}, {"UNSEEN", "unseen", CTL_NUMBER},
	{"SIZE", "bytes", CTL_SIZE}, {"SUBSCRIBED", "subscribed", CTL_TEXT}, {0}};
static const struct ctl_column alias_columns[] = {
	{"ALIAS", "address", CTL_TEXT}, {"TARGETS", "targets", CTL_TEXT}, {0}};
static const struct ctl_column uncertain_columns[] = {{"OPERATION", "operation", CTL_TEXT},
	{"ACCOUNT", "account", CTL_TEXT}, {"MODSEQ", "modseq", CTL_NUMBER},
	{"SINCE", "recorded_us", CTL_DATE}, {0}};

static const struct ctl_column level_columns[] = {{"KIND", "kind", CTL_TEXT},
	{"PRIMARY", "primary", CTL_TEXT}, {"FALLBACK", "fallback", CTL_TEXT},
	{"IN FORCE", "in_force", CTL_TEXT}, {"FOR (MS)", "in_force_ms", CTL_NUMBER},
	{"NEXT PROBE (MS)", "next_probe_ms", CTL_NUMBER}, {"PINNED", "pinned", CTL_TEXT},
	{"FAILURES", "failures", CTL_NUMBER}, {0}};
static const struct ctl_column node_columns[] = {{"NODE", "id", CTL_TEXT},
	{"NAME", "name", CTL_TEXT}, {"DATA CENTER", "data_center", CTL_TEXT},
	{"VERSION", "version", CTL_TEXT}, {"SINCE", "started_us", CTL_DATE},
	{"SILENT FOR (S)", "silent_s", CTL_NUMBER}, {0}};

static const struct ctl_column token_columns[] = {{"TOKEN", "id", CTL_TEXT},
	{"NAME", "name", CTL_TEXT}, {"ROLE", "role", CTL_TEXT}, {"DOMAIN", "domain", CTL_TEXT},
	{"SINCE", "created_us", CTL_DATE}, {"UNTIL", "expires_us", CTL_DATE},
	{"LAST USED", "used_us", CTL_DATE}, {0}};
static const struct ctl_column step_columns[] = {{"AT", "at_us", CTL_DATE},
	{"STEP", "step", CTL_TEXT}, {"OUTCOME", "outcome", CTL_TEXT},
	{"DETAIL", "detail", CTL_TEXT}, {0}};
static const struct ctl_column series_columns[] = {
	{"WHAT", "name", CTL_TEXT}, {"UNIT", "unit", CTL_TEXT}, {"LAST", "last", CTL_NUMBER}, {0}};
static const struct ctl_column session_columns[] = {{"SESSION", "session", CTL_NUMBER},
	{"PROTOCOL", "protocol", CTL_TEXT}, {"PEER", "peer", CTL_TEXT}, {"TLS", "tls", CTL_TEXT},
	{"USER", "address", CTL_TEXT}, {"SINCE", "since_us", CTL_DATE}, {0}};

static const struct ctl_column task_columns[] = {{"TASK", "id", CTL_TEXT},
	{"KIND", "kind", CTL_TEXT}, {"SUBJECT", "subject", CTL_TEXT}, {"STATE", "state", CTL_TEXT},
	{"SINCE", "created_us", CTL_DATE}, {"NODE", "node", CTL_TEXT}, {"ERROR", "error", CTL_TEXT},
	{0}};
static const struct ctl_column kind_columns[] = {{"KIND", "kind", CTL_TEXT},
	{"OF AN ACCOUNT", "account", CTL_TEXT}, {"WHAT IT DOES", "help", CTL_TEXT}, {0}};

static const struct ctl_column consumer_columns[] = {{"CONSUMER", "name", CTL_TEXT},
	{"BEHIND WITH", "waiting", CTL_NUMBER}, {"RETRYING", "retrying", CTL_NUMBER},
	{"OLDEST (MS)", "oldest_ms", CTL_NUMBER}, {"DEAD LETTERS", "dead_letters", CTL_NUMBER},
	{"DONE", "done", CTL_NUMBER}, {"FAILURES", "failures", CTL_NUMBER},
	{"GAPS", "gaps", CTL_NUMBER}, {0}};
static const struct ctl_column usage_columns[] = {{"DOMAIN", "domain", CTL_TEXT},
	{"ACCOUNTS", "accounts", CTL_NUMBER}, {"MESSAGES", "messages", CTL_NUMBER},
	{"SIZE", "bytes", CTL_SIZE}, {0}};

static const struct ctl_column checkpoint_columns[] = {{"CHECKPOINT", "id", CTL_TEXT},
	{"TAKEN", "taken_us", CTL_DATE}, {"HELD UNTIL", "held_until_us", CTL_DATE},
	{"FOLDER", "folder", CTL_TEXT}, {0}};

/* clang-format off */
static const struct ctl_command commands[] = {
	{"status", NULL, "", 0, 0, "GET", "v1/status", NULL, NULL, NULL, NULL},
	{"alive", NULL, "", 0, 0, "GET", "health", NULL, NULL, NULL, NULL},
	{"openapi", NULL, "", 0, 0, "GET", "openapi.json", NULL, NULL, NULL, NULL},
	{"health", NULL, "", 0, 0, "GET", "v1/health", NULL, NULL, NULL, NULL},
	{"overview", NULL, "", 0, 0, "GET", "v1/overview", NULL, NULL, NULL, NULL},
	{"history", NULL, "[MINUTES]", 0, 1, "GET", "v1/history", "minutes", NULL, "series", series_columns},
	{"ready", NULL, "", 0, 0, "GET", "ready", NULL, NULL, NULL, NULL},
	{"metrics", NULL, "", 0, 0, "GET", "metrics", NULL, NULL, NULL, NULL},
	{"uncertain", "list", "", 0, 0, "GET", "v1/uncertain", NULL, NULL, "uncertain", uncertain_columns},
	{"uncertain", "show", "OPERATION", 1, 1, "GET", "v1/uncertain/{operation}", NULL, NULL, NULL, NULL},
	{"uncertain", "resolve", "OPERATION", 1, 1, "POST", "v1/uncertain/{operation}/resolve", NULL, NULL, NULL, NULL},
	{"consistency", "status", "", 0, 0, "GET", "v1/consistency", NULL, NULL, "levels", level_columns},
	{"consistency", "pin", "read|write|delete primary|fallback", 2, 2, "PUT", "v1/consistency/{kind}/pin", NULL, level_body, NULL, NULL},
	{"consistency", "release", "read|write|delete", 1, 1, "DELETE", "v1/consistency/{kind}/pin", NULL, NULL, NULL, NULL},
	{"nodes", NULL, "", 0, 0, "GET", "v1/nodes", NULL, NULL, "nodes", node_columns},
	{"blobs", "audit", "", 0, 0, "GET", "v1/blobs", NULL, NULL, NULL, NULL},
	{"blobs", "tidy", "", 0, 0, "POST", "v1/blobs/tidy", NULL, NULL, NULL, NULL},
	{"audit", NULL, "", 0, 0, "GET", "v1/blobs", NULL, NULL, NULL, NULL},
	{"domain", "list", "", 0, 0, "GET", "v1/domains", NULL, NULL, "domains", domain_columns},
	{"domain", "show", "DOMAIN", 1, 1, "GET", "v1/domains/{domain}", NULL, NULL, NULL, NULL},
	{"domain", "add", "DOMAIN", 1, 1, "POST", "v1/domains", NULL, name_body, NULL, NULL},
	{"domain", "remove", "DOMAIN", 1, 1, "DELETE", "v1/domains/{domain}", NULL, NULL, NULL, NULL},
	{"domain", "quota", "DOMAIN BYTES MESSAGES", 3, 3, "PUT", "v1/domains/{domain}/quota", NULL, quota_body, NULL, NULL},
	{"user", "list", "[DOMAIN]", 0, 1, "GET", "v1/users", "domain", NULL, "users", user_columns},
	{"user", "show", "ADDRESS", 1, 1, "GET", "v1/users/{address}", NULL, NULL, NULL, NULL},
	{"user", "add", "ADDRESS  (password on standard input)", 1, 1, "POST", "v1/users", NULL, new_user_body, NULL, NULL},
	{"user", "remove", "ADDRESS", 1, 1, "DELETE", "v1/users/{address}", NULL, NULL, NULL, NULL},
	{"user", "password", "ADDRESS  (password on standard input)", 1, 1, "PUT", "v1/users/{address}/password", NULL, password_body, NULL, NULL},
	{"user", "quota", "ADDRESS BYTES MESSAGES", 3, 3, "PUT", "v1/users/{address}/quota", NULL, quota_body, NULL, NULL},
	{"user", "solve", "ADDRESS", 1, 1, "POST", "v1/users/{address}/solve", NULL, NULL, NULL, NULL},
	{"user", "enable", "ADDRESS", 1, 1, "PUT", "v1/users/{address}/enabled", NULL, enable_body, NULL, NULL},
	{"user", "disable", "ADDRESS", 1, 1, "PUT", "v1/users/{address}/enabled", NULL, disable_body, NULL, NULL},
	{"folder", "list", "ADDRESS", 1, 1, "GET", "v1/users/{address}/folders", NULL, NULL, "folders", folder_columns},
	{"folder", "add", "ADDRESS PATH", 2, 2, "POST", "v1/users/{address}/folders", NULL, path_body, NULL, NULL},
	{"folder", "remove", "ADDRESS PATH", 2, 2, "DELETE", "v1/users/{address}/folders", "path", NULL, NULL, NULL},
	{"trace", NULL, "MESSAGE-ID [ADDRESS]", 1, 2, "GET", "v1/trace/{id}", "address", NULL, "steps", step_columns},
	{"token", "list", "", 0, 0, "GET", "v1/tokens", NULL, NULL, "tokens", token_columns},
	{"token", "create", "NAME read|operate|admin [DAYS [DOMAIN]]", 2, 4, "POST", "v1/tokens", NULL, token_body, NULL, NULL},
	{"token", "revoke", "TOKEN", 1, 1, "DELETE", "v1/tokens/{token}", NULL, NULL, NULL, NULL},
	{"session", "list", "[ADDRESS]", 0, 1, "GET", "v1/sessions", "address", NULL, "sessions", session_columns},
	{"session", "disconnect", "SESSION", 1, 1, "DELETE", "v1/sessions/{session}", NULL, NULL, NULL, NULL},
	{"index", "status", "ADDRESS", 1, 1, "GET", "v1/users/{address}/index", NULL, NULL, NULL, NULL},
	{"index", "rebuild", "ADDRESS", 1, 1, "POST", "v1/users/{address}/index/rebuild", NULL, NULL, NULL, NULL},
	{"import", "forget", "ADDRESS", 1, 1, "DELETE", "v1/users/{address}/imports", NULL, NULL, NULL, NULL},
	{"task", "kinds", "", 0, 0, "GET", "v1/task-kinds", NULL, NULL, "kinds", kind_columns},
	{"task", "submit", "KIND [SUBJECT|all [ROWS-IN-A-SECOND]]", 1, 3, "POST", "v1/tasks", NULL, task_body, NULL, NULL},
	{"task", "list", "", 0, 0, "GET", "v1/tasks", NULL, NULL, "tasks", task_columns},
	{"task", "show", "TASK", 1, 1, "GET", "v1/tasks/{task}", NULL, NULL, NULL, NULL},
	{"task", "await", "TASK", 1, 1, "GET", "v1/tasks/{task}", NULL, NULL, NULL, NULL, true},
	{"task", "cancel", "TASK", 1, 1, "POST", "v1/tasks/{task}/cancel", NULL, NULL, NULL, NULL},
	{"consumer", "list", "", 0, 0, "GET", "v1/consumers", NULL, NULL, "consumers", consumer_columns},
	{"usage", NULL, "[DOMAIN]", 0, 1, "GET", "v1/usage", "domain", NULL, "domains", usage_columns},
	{"checkpoint", "list", "", 0, 0, "GET", "v1/checkpoints", NULL, NULL, "checkpoints", checkpoint_columns},
	{"checkpoint", "take", "", 0, 0, "POST", "v1/checkpoints", NULL, NULL, NULL, NULL},
	{"checkpoint", "drop", "CHECKPOINT", 1, 1, "DELETE", "v1/checkpoints/{checkpoint}", NULL, NULL, NULL, NULL},
	{"bus", "status", "", 0, 0, "GET", "v1/bus", NULL, NULL, NULL, NULL},
	{"alias", "list", "[DOMAIN]", 0, 1, "GET", "v1/aliases", "domain", NULL, "aliases", alias_columns},
	{"alias", "show", "ADDRESS", 1, 1, "GET", "v1/aliases/{address}", NULL, NULL, NULL, NULL},
	{"alias", "set", "ADDRESS TARGET...", 2, -1, "PUT", "v1/aliases/{address}", NULL, targets_body, NULL, NULL},
	{"alias", "remove", "ADDRESS", 1, 1, "DELETE", "v1/aliases/{address}", NULL, NULL, NULL, NULL},
};
/* clang-format on */

static NORETURN void print_usage(FILE *out, int code)
{
	fputs("holdfastctl [--data DIR | --socket PATH] [--json] COMMAND\n", out);
	fputs("holdfastctl [--config FILE] schema create|check|upgrade\n", out);
	fputs("holdfastctl requests\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %s%s%s %s\n", commands[i].noun, commands[i].verb ? " " : "",
			commands[i].verb ? commands[i].verb : "", commands[i].usage);
	for (size_t i = 0; ctl_vault_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_vault_usage[i]);
	for (size_t i = 0; ctl_letters_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_letters_usage[i]);
	for (size_t i = 0; ctl_backup_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_backup_usage[i]);
	for (size_t i = 0; ctl_import_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_import_usage[i]);
	for (size_t i = 0; ctl_import_imap_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_import_imap_usage[i]);
	for (size_t i = 0; ctl_export_usage[i]; i++)
		fprintf(out, "  %s\n", ctl_export_usage[i]);
	exit(code);
}

static const struct ctl_command *find_command(char **words, int count)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct ctl_command *command = &commands[i];
		int word_count = command->verb ? 2 : 1;
		int given = count - word_count;
		if (given >= command->min && (command->max < 0 || given <= command->max) &&
			strcmp(words[0], command->noun) == 0 &&
			(!command->verb || strcmp(words[1], command->verb) == 0))
			return command;
	}
	print_usage(stderr, EX_USAGE);
}

static const char *request_path(struct ctl *ctl, const struct ctl_command *command)
{
	struct arena *arena = &ctl->op.arena;
	struct buf path = buf_in(arena);
	int next = 0;
	for (const char *at = command->path; *at; at++) {
		if (*at == '{') {
			buf_printf(&path, "%s", ctl_encode(arena, ctl->arguments[next++]));
			at = strchr(at, '}');
		} else {
			buf_append_char(&path, *at);
		}
	}
	if (command->argument && next < ctl->argument_count)
		buf_printf(&path, "?%s=%s", command->argument,
			ctl_encode(arena, ctl->arguments[next]));
	return arena_cstr(arena, buf_as_slice(&path));
}

static void print_reply(
	struct ctl *ctl, const struct ctl_command *command, const struct ctl_reply *reply)
{
	if (!reply->json || (ctl->wants_json && !command->list))
		printf(SLICE_FMT, SLICE_ARG(reply->text));
	else if (ctl->wants_json || strcmp(command->noun, "openapi") == 0)
		ctl_print_json(reply->json);
	else if (command->list)
		ctl_print_table(json_object_get(reply->json, command->list), command->columns);
	else if (json_object_size(reply->json))
		ctl_print_fields(reply->json);
}

static bool is_in_state(const struct ctl_reply *reply, const char *state)
{
	const char *now = json_string_value(json_object_get(reply->json, "state"));
	return now && strcmp(now, state) == 0;
}

#define AWAIT_EVERY_NS (200 * NS_PER_MS)

static struct error *ask(struct ctl *ctl, const struct ctl_command *command, json_t *body,
	struct ctl_reply *ret_reply)
{
	const char *path = request_path(ctl, command);
	for (;;) {
		struct arena_mark mark = arena_mark(&ctl->op.arena);
		*ret_reply = (struct ctl_reply){0};
		TRY(ctl_request(
			&ctl->op, ctl->socket_path, command->method, path, body, ret_reply));
		if (!command->awaits ||
			!(is_in_state(ret_reply, "queued") || is_in_state(ret_reply, "running")))
			return NULL;
		json_decref(ret_reply->json);
		arena_release(&ctl->op.arena, mark);
		clock_sleep_ns(AWAIT_EVERY_NS);
	}
}

/* Adds the pages behind the first one to its list. */
static struct error *read_on(
	struct ctl *ctl, const struct ctl_command *command, struct ctl_reply *reply)
{
	const char *path = request_path(ctl, command);
	json_t *next;
	while (json_is_string(next = json_object_get(reply->json, "next"))) {
		struct ctl_reply more = {0};
		TRY(ctl_request(&ctl->op, ctl->socket_path, command->method,
			arena_printf(&ctl->op.arena, "%s%cafter=%s", path,
				strchr(path, '?') ? '&' : '?',
				ctl_encode(&ctl->op.arena, json_string_value(next))),
			NULL, &more));
		/* Half a list looks like a whole one. */
		const char *fault = ctl_fault(&more);
		if (fault || !json_object_get(more.json, "next")) {
			struct error *err = op_fail(&ctl->op, ERR_UNAVAILABLE,
				"the list broke off: %s", fault ? fault : "no page came");
			json_decref(more.json);
			return err;
		}
		json_array_extend(json_object_get(reply->json, command->list),
			json_object_get(more.json, command->list));
		json_object_set(reply->json, "next", json_object_get(more.json, "next"));
		json_decref(more.json);
	}
	return NULL;
}

static int run(struct ctl *ctl, const struct ctl_command *command)
{
	struct ctl_reply reply = {0};
	json_t *body = command->body ? command->body(ctl) : NULL;
	struct error *err = ask(ctl, command, body, &reply);
	json_decref(body);
	if (!err && command->list)
		err = read_on(ctl, command, &reply);
	if (err) {
		json_decref(reply.json);
		fprintf(stderr, "holdfastctl: %s\n", error_chain(&ctl->op.arena, err));
		return EX_UNAVAILABLE;
	}
	const char *fault = ctl_fault(&reply);
	if (fault && !ctl->wants_json)
		fprintf(stderr, "holdfastctl: %s\n", fault);
	else
		print_reply(ctl, command, &reply);
	bool is_good = reply.status < 300 && (!command->awaits || is_in_state(&reply, "done"));
	json_decref(reply.json);
	return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What each command asks for, one a line: for whoever compares it with the interface. */
static int print_requests(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("%s /%s %s%s%s\n", commands[i].method, commands[i].path, commands[i].noun,
			commands[i].verb ? " " : "", commands[i].verb ? commands[i].verb : "");
	for (size_t i = 0; ctl_vault_requests[i]; i++)
		printf("%s\n", ctl_vault_requests[i]);
	for (size_t i = 0; ctl_letters_requests[i]; i++)
		printf("%s\n", ctl_letters_requests[i]);
	for (size_t i = 0; ctl_backup_requests[i]; i++)
		printf("%s\n", ctl_backup_requests[i]);
	for (size_t i = 0; ctl_import_requests[i]; i++)
		printf("%s\n", ctl_import_requests[i]);
	for (size_t i = 0; ctl_import_imap_requests[i]; i++)
		printf("%s\n", ctl_import_imap_requests[i]);
	for (size_t i = 0; ctl_export_requests[i]; i++)
		printf("%s\n", ctl_export_requests[i]);
	return EXIT_SUCCESS;
}

static void read_options(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"data", required_argument, NULL, 'd'},
		{"socket", required_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	ctl->socket_path = "/var/lib/holdfast/control";
	for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		switch (option) {
		case 'd':
			ctl->socket_path = arena_printf(&ctl->op.arena, "%s/control", optarg);
			break;
		case 's':
			ctl->socket_path = optarg;
			break;
		case 'c':
			ctl->config_path = optarg;
			break;
		case 'j':
			ctl->wants_json = true;
			break;
		case 'h':
			print_usage(stdout, EXIT_SUCCESS);
		default:
			exit(EX_USAGE);
		}
	}
}

int main(int argc, char **argv)
{
	struct ctl ctl = {0};
	/* Without it the tables print everything beyond ASCII as \x… */
	setlocale(LC_ALL, "");
	op_init(&ctl.op, "holdfastctl");
	read_options(&ctl, argc, argv);
	if (optind == argc)
		print_usage(stderr, EX_USAGE);
	if (strcmp(argv[optind], "requests") == 0 && argc - optind == 1)
		return print_requests();
	if (strcmp(argv[optind], "schema") == 0 && argc - optind == 2) {
		int code = ctl_schema(&ctl.op, ctl.config_path, argv[optind + 1]);
		op_done(&ctl.op);
		return code;
	}
	if (strcmp(argv[optind], "vault") == 0) {
		int code = ctl_vault(&ctl.op, ctl.socket_path, ctl.wants_json, argc - optind - 1,
			argv + optind + 1);
		op_done(&ctl.op);
		return code;
	}
	if (strcmp(argv[optind], "dead-letter") == 0) {
		int code = ctl_letters(&ctl.op, ctl.socket_path, ctl.wants_json, argc - optind - 1,
			argv + optind + 1);
		op_done(&ctl.op);
		return code;
	}
	if (strcmp(argv[optind], "backup") == 0 || strcmp(argv[optind], "restore") == 0) {
		int code = ctl_backup(&ctl.op, ctl.socket_path, ctl.config_path, ctl.wants_json,
			argc - optind, argv + optind);
		op_done(&ctl.op);
		return code;
	}
	if (strcmp(argv[optind], "import") == 0 &&
		(argc - optind < 2 || strcmp(argv[optind + 1], "forget") != 0)) {
		int code = ctl_import(&ctl.op, ctl.socket_path, ctl.wants_json, argc - optind - 1,
			argv + optind + 1);
		op_done(&ctl.op);
		return code;
	}
	if (strcmp(argv[optind], "export") == 0) {
		int code = ctl_export(&ctl.op, ctl.socket_path, ctl.wants_json, argc - optind - 1,
			argv + optind + 1);
		op_done(&ctl.op);
		return code;
	}
	const struct ctl_command *command = find_command(argv + optind, argc - optind);
	int words = command->verb ? 2 : 1;
	ctl.arguments = argv + optind + words;
	ctl.argument_count = argc - optind - words;
	int code = run(&ctl, command);
	op_done(&ctl.op);
	return code;
}
