#include "app/ctl_letters.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "app/ctl_client.h"
#include "app/ctl_table.h"
#include "base/buf.h"

const char *const ctl_letters_usage[] = {
	"dead-letter list [--consumer NAME] [--domain DOMAIN] [--address ADDRESS]",
	"dead-letter show LETTER",
	"dead-letter redeliver LETTER...|--all [--consumer NAME] [--domain DOMAIN] [--address "
	"ADDRESS]",
	"dead-letter delete LETTER...|--all [--consumer NAME] [--domain DOMAIN] [--address "
	"ADDRESS]",
	NULL};

const char *const ctl_letters_requests[] = {"GET /v1/dead-letters dead-letter list",
	"GET /v1/dead-letters/{letter} dead-letter show",
	"POST /v1/dead-letters/{letter}/redeliver dead-letter redeliver",
	"POST /v1/redeliver-dead-letters dead-letter redeliver",
	"DELETE /v1/dead-letters/{letter} dead-letter delete",
	"POST /v1/delete-dead-letters dead-letter delete", NULL};

struct letters_call {
	struct op *op;
	const char *socket_path;
	bool wants_json;
	bool all;
	const char *consumer, *domain, *address; /* NULL: any */
	char **letters;
	int letter_count;
};

static const struct ctl_column columns[] = {{"LETTER", "id", CTL_TEXT},
	{"ADDRESS", "address", CTL_TEXT}, {"ATTEMPTS", "attempts", CTL_NUMBER},
	{"FAILED FIRST", "first_failed_us", CTL_DATE}, {"LAST", "failed_us", CTL_DATE},
	{"ERROR", "error", CTL_TEXT}, {0}};

static int usage(void)
{
	for (size_t i = 0; ctl_letters_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_letters_usage[i]);
	return EX_USAGE;
}

static int ask(const struct letters_call *call, const char *method, const char *path, json_t *body,
	struct ctl_reply *ret_reply)
{
	return ctl_ask(call->op, call->socket_path, method, path, body, ret_reply);
}

static const char *path_of(const struct letters_call *call, const char *letter, const char *action)
{
	struct arena *arena = &call->op->arena;
	return arena_printf(arena, "v1/dead-letters/%s%s", ctl_encode(arena, letter), action);
}

static int list(struct letters_call *call)
{
	struct arena *arena = &call->op->arena;
	json_t *letters = json_array();
	int code = EXIT_SUCCESS;
	const char *after = NULL;
	if (call->letter_count || call->all)
		return usage();
	do {
		struct ctl_reply reply;
		struct buf path = buf_in(arena);
		buf_printf(&path, "v1/dead-letters?");
		ctl_add_argument(&path, arena, "consumer", call->consumer);
		ctl_add_argument(&path, arena, "domain", call->domain);
		ctl_add_argument(&path, arena, "address", call->address);
		ctl_add_argument(&path, arena, "after", after);
		code = ask(call, "GET", arena_cstr(arena, buf_as_slice(&path)), NULL, &reply);
		json_array_extend(letters, json_object_get(reply.json, "dead_letters"));
		const char *next = json_string_value(json_object_get(reply.json, "next"));
		after = next ? arena_printf(arena, "%s", next) : NULL;
		json_decref(reply.json);
	} while (!code && after);
	/* Half a list looks like a whole one. */
	if (!code && call->wants_json) {
		json_t *answer = json_pack("{s:O}", "dead_letters", letters);
		ctl_print_json(answer);
		json_decref(answer);
	} else if (!code) {
		ctl_print_table(letters, columns);
	}
	json_decref(letters);
	return code;
}

static int show(struct letters_call *call)
{
	struct ctl_reply reply;
	if (call->letter_count != 1 || call->all)
		return usage();
	int code = ask(call, "GET", path_of(call, call->letters[0], ""), NULL, &reply);
	if (!code && call->wants_json)
		ctl_print_json(reply.json);
	else if (!code)
		ctl_print_fields(reply.json);
	json_decref(reply.json);
	return code;
}

static json_int_t number(const struct ctl_reply *reply, const char *name)
{
	return json_integer_value(json_object_get(reply->json, name));
}

struct sum {
	json_int_t done, failed;
};

static void set_field(json_t *body, const char *name, const char *value)
{
	if (value)
		json_object_set_new(body, name, json_string(value));
}

/* The server does as much as it can in some seconds, and is asked to go on. */
static int run_many(struct letters_call *call, const char *path, const char *done, struct sum *sum)
{
	struct arena *arena = &call->op->arena;
	const char *after = NULL;
	int code;
	do {
		struct ctl_reply reply;
		json_t *body = json_object();
		set_field(body, "consumer", call->consumer);
		set_field(body, "domain", call->domain);
		set_field(body, "address", call->address);
		set_field(body, "after", after);
		code = ask(call, "POST", path, body, &reply);
		sum->done += number(&reply, done);
		sum->failed += number(&reply, "failed");
		const char *next = json_string_value(json_object_get(reply.json, "next"));
		after = next ? arena_printf(arena, "%s", next) : NULL;
		json_decref(body);
		json_decref(reply.json);
	} while (!code && after);
	return code;
}

static int tell(const struct letters_call *call, const char *done, const struct sum *sum)
{
	if (call->wants_json)
		printf("{\"%s\": %lld, \"failed\": %lld}\n", done, (long long)sum->done,
			(long long)sum->failed);
	else
		printf("%s: %lld, failed: %lld\n", done, (long long)sum->done,
			(long long)sum->failed);
	return sum->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int redeliver(struct letters_call *call)
{
	struct sum sum = {0};
	int worst = EXIT_SUCCESS;
	if (call->all == (call->letter_count > 0))
		return usage();
	if (call->all)
		worst = run_many(call, "v1/redeliver-dead-letters", "redelivered", &sum);
	for (int i = 0; i < call->letter_count; i++) {
		struct ctl_reply reply;
		int code = ask(
			call, "POST", path_of(call, call->letters[i], "/redeliver"), NULL, &reply);
		sum.done += number(&reply, "redelivered");
		sum.failed += number(&reply, "failed");
		worst = code ? code : worst;
		json_decref(reply.json);
	}
	int told = tell(call, "redelivered", &sum);
	return worst ? worst : told;
}

static int delete (struct letters_call *call)
{
	struct sum sum = {0};
	int worst = EXIT_SUCCESS;
	if (call->all == (call->letter_count > 0))
		return usage();
	if (call->all)
		worst = run_many(call, "v1/delete-dead-letters", "deleted", &sum);
	for (int i = 0; i < call->letter_count; i++) {
		struct ctl_reply reply;
		int code = ask(call, "DELETE", path_of(call, call->letters[i], ""), NULL, &reply);
		sum.done += !code;
		worst = code ? code : worst;
		json_decref(reply.json);
	}
	int told = tell(call, "deleted", &sum);
	return worst ? worst : told;
}

static bool read_options(struct letters_call *call, int count, char **arguments)
{
	static const struct option options[] = {
		{"consumer", required_argument, NULL, 'c'},
		{"domain", required_argument, NULL, 'd'},
		{"address", required_argument, NULL, 'a'},
		{"all", no_argument, NULL, 'A'},
		{0},
	};
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			call->consumer = optarg;
			break;
		case 'd':
			call->domain = optarg;
			break;
		case 'a':
			call->address = optarg;
			break;
		case 'A':
			call->all = true;
			break;
		default:
			return false;
		}
	}
	call->letters = arguments + optind;
	call->letter_count = count - optind;
	return true;
}

int ctl_letters(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments)
{
	static const struct {
		const char *verb;
		int (*run)(struct letters_call *call);
	} verbs[] = {{"list", list}, {"show", show}, {"redeliver", redeliver}, {"delete", delete}};
	struct letters_call call = {.op = op, .socket_path = socket_path, .wants_json = wants_json};
	for (size_t i = 0; argument_count > 0 && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(arguments[0], verbs[i].verb) == 0)
			return read_options(&call, argument_count, arguments) ? verbs[i].run(&call)
									      : usage();
	return usage();
}
