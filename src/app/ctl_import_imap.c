#include "app/ctl_import_imap.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "app/ctl_client.h"
#include "app/ctl_password.h"
#include "app/ctl_table.h"

/* Certificates of whoever signs: more is not one server's. */
#define CERTIFICATES_MOST KIB(16)

const char *const ctl_import_imap_usage[] = {
	"import imap HOST USER ADDRESS  (password on standard input)",
	"    [--port N] [--starttls | --clear] [--ca FILE] [--act-as USER]",
	"    [--into PATH] [--mailbox PATTERN]... [--compare] [--rate N]",
	"import manifest ADDRESS", NULL};

const char *const ctl_import_imap_requests[] = {"POST /v1/users/{address}/imports import imap",
	"GET /v1/users/{address}/imports import manifest", NULL};

static int usage(void)
{
	for (size_t i = 0; ctl_import_imap_usage[i]; i++)
		fprintf(stderr, "holdfastctl %s\n", ctl_import_imap_usage[i]);
	return EX_USAGE;
}

static bool set_certificates(json_t *body, const char *path)
{
	char pem[CERTIFICATES_MOST + 1];
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(pem, 1, sizeof(pem), file) : 0;
	bool is_read = file && !ferror(file) && len && len < sizeof(pem);
	if (!is_read)
		fprintf(stderr, "holdfastctl: cannot read %s: %s\n", path,
			file ? "it is empty or too large" : strerror(errno));
	else
		json_object_set_new(body, "certificates", json_stringn(pem, len));
	if (file)
		fclose(file);
	return is_read;
}

static bool set_number(json_t *body, const char *name, const char *text)
{
	uint64_t number;
	if (!slice_parse_u64(slice_from_cstr(text), &number))
		return false;
	json_object_set_new(body, name, json_integer((json_int_t)number));
	return true;
}

static void add_mailbox(json_t *body, const char *pattern)
{
	json_t *list = json_object_get(body, "mailboxes");
	if (!list) {
		list = json_array();
		json_object_set_new(body, "mailboxes", list);
	}
	json_array_append_new(list, json_string(pattern));
}

/* False: it cannot be so. */
static bool read_option(json_t *body, int option)
{
	switch (option) {
	case 'p':
		return set_number(body, "port", optarg);
	case 'r':
		return set_number(body, "rate", optarg);
	case 's':
		json_object_set_new(body, "security", json_string("starttls"));
		return true;
	case 'l':
		json_object_set_new(body, "security", json_string("clear"));
		return true;
	case 'c':
		return set_certificates(body, optarg);
	case 'a':
		json_object_set_new(body, "act_as", json_string(optarg));
		return true;
	case 'i':
		json_object_set_new(body, "into", json_string(optarg));
		return true;
	case 'm':
		add_mailbox(body, optarg);
		return true;
	case 'v':
		json_object_set_new(body, "compare", json_true());
		return true;
	default:
		return false;
	}
}

static bool read_options(json_t *body, int count, char **arguments)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'p'},
		{"starttls", no_argument, NULL, 's'},
		{"clear", no_argument, NULL, 'l'},
		{"ca", required_argument, NULL, 'c'},
		{"act-as", required_argument, NULL, 'a'},
		{"into", required_argument, NULL, 'i'},
		{"mailbox", required_argument, NULL, 'm'},
		{"compare", no_argument, NULL, 'v'},
		{"rate", required_argument, NULL, 'r'},
		{0},
	};
	optind = 0; /* begins anew, and takes options wherever they stand */
	for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;)
		if (!read_option(body, option))
			return false;
	return optind + 3 == count;
}

static int submit(
	struct op *op, const char *socket_path, bool wants_json, const char *address, json_t *body)
{
	char password[CTL_PASSWORD_SIZE];
	struct ctl_reply reply = {0};
	if (!ctl_read_password(password))
		return EX_USAGE;
	json_object_set_new(body, "password", json_string(password));
	explicit_bzero(password, sizeof(password));
	int code = ctl_ask(op, socket_path, "POST",
		arena_printf(&op->arena, "v1/users/%s/imports", ctl_encode(&op->arena, address)),
		body, &reply);
	if (!code && wants_json)
		ctl_print_json(reply.json);
	else if (!code)
		ctl_print_fields(reply.json);
	json_decref(reply.json);
	return code;
}

int ctl_import_imap(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments)
{
	json_t *body = json_object();
	int code;
	if (read_options(body, argument_count, arguments)) {
		json_object_set_new(body, "host", json_string(arguments[optind]));
		json_object_set_new(body, "user", json_string(arguments[optind + 1]));
		code = submit(op, socket_path, wants_json, arguments[optind + 2], body);
	} else {
		code = usage();
	}
	json_decref(body);
	return code;
}

/* ---- The manifest: in the form of app/import.h ---- */

static void print_line(const char *address, const json_t *item)
{
	json_t *line = json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "address",
		address, "source", json_object_get(item, "source"), "folder",
		json_object_get(item, "mailbox"), "sha256", json_object_get(item, "sha256"), "size",
		json_object_get(item, "bytes"), "flags", json_object_get(item, "flags"),
		"received_us", json_object_get(item, "received_us"), "uidvalidity",
		json_object_get(item, "uidvalidity"), "uid", json_object_get(item, "uid"));
	if (line)
		json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(line);
}

int ctl_import_manifest(
	struct op *op, const char *socket_path, int argument_count, char **arguments)
{
	char after[256] = "";
	if (argument_count != 2)
		return usage();
	do {
		struct arena_mark mark = arena_mark(&op->arena);
		struct ctl_reply reply = {0};
		int code = ctl_ask(op, socket_path, "GET",
			arena_printf(&op->arena, "v1/users/%s/imports%s%s",
				ctl_encode(&op->arena, arguments[1]), *after ? "?after=" : "",
				after),
			NULL, &reply);
		json_t *list = json_object_get(reply.json, "messages");
		for (size_t i = 0; !code && i < json_array_size(list); i++)
			print_line(arguments[1], json_array_get(list, i));
		const char *next = json_string_value(json_object_get(reply.json, "next"));
		snprintf(after, sizeof(after), "%s", next ? next : "");
		json_decref(reply.json);
		if (code)
			return code;
		arena_release(&op->arena, mark);
	} while (*after);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EX_IOERR;
}
