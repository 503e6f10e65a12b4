#include "front/admin/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "front/admin/admin_private.h"

#define UPLOAD_MAX MIB(1)

static struct {
	const char *listen;
	const char *token_file;
	uint64_t threads;
} admin_config;

/* clang-format off */
const struct setting admin_settings[] = {
	{"admin.listen", SETTING_TEXT, &admin_config.listen, "", 0, 0, NULL, false,
		"Address and port of the REST interface over HTTP, such as 127.0.0.1:8080; none if empty. The local socket is always there."},
	{"admin.token_file", SETTING_TEXT, &admin_config.token_file, "", 0, 0, NULL, false,
		"File with the bearer token that requests over HTTP must carry; without one there is no HTTP."},
	{"admin.threads", SETTING_NUMBER, &admin_config.threads, "4", 1, 64, NULL, false,
		"Administrative requests worked on at the same time."},
};
const size_t admin_setting_count = ARRAY_SIZE(admin_settings);
/* clang-format on */

/* One door: the local socket, or TCP. */
struct door {
	struct admin *admin;
	int listener;
	bool is_local;
	struct MHD_Daemon *daemon;
};

struct admin {
	const struct admin_context *context;
	char token[256];
	size_t token_len;
	char *socket_path;
	struct door local;
	struct door tcp;
};

static struct error *parse_listen(struct op *op, struct sockaddr_in *ret_address)
{
	struct slice text = slice_from_cstr(admin_config.listen);
	size_t colon = slice_find_char(text, ':');
	uint32_t port;
	*ret_address = (struct sockaddr_in){.sin_family = AF_INET};
	if (colon == text.len ||
		inet_pton(AF_INET, arena_cstr(&op->arena, slice_range(text, 0, colon)),
			&ret_address->sin_addr) != 1 ||
		!slice_parse_u32(slice_from(text, colon + 1), &port) || port > UINT16_MAX)
		return op_fail(op, ERR_INVALID,
			"\"%s\" is not an address and port such as 127.0.0.1:8080",
			admin_config.listen);
	ret_address->sin_port = htons((uint16_t)port);
	return NULL;
}

bool admin_listens_on_tcp(struct op *op, const char **ret_fault)
{
	struct sockaddr_in address;
	*ret_fault = NULL;
	if (!admin_config.listen)
		return false;
	struct error *err = parse_listen(op, &address);
	if (err)
		*ret_fault = err->message;
	else if (!admin_config.token_file)
		*ret_fault = "needs admin.token_file: nobody is let in without a token";
	return true;
}

/* ---- requests ---- */

static bool peer_may_enter(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

static enum MHD_Result send_answer(
	struct MHD_Connection *connection, struct admin_request *request, bool closes)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		request->text.len, request->text.ptr, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	const struct {
		const char *name, *value;
	} headers[] = {
		{"Content-Type", request->content_type},
		{"Cache-Control", "no-store"},
		{"X-Content-Type-Options", "nosniff"},
		{"Location", request->location},
		{"WWW-Authenticate", request->challenge},
		{"Allow", request->allow},
		{"Connection", closes ? "close" : NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
		if (headers[i].value)
			MHD_add_response_header(response, headers[i].name, headers[i].value);
	enum MHD_Result result = MHD_queue_response(connection, request->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, struct admin_request *request,
	unsigned status, const char *why)
{
	admin_refuse(request, status, why);
	return send_answer(connection, request, true);
}

struct argument_reader {
	struct admin_request *request;
	bool is_broken;
};

static enum MHD_Result read_argument(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct argument_reader *reader = context;
	reader->is_broken = reader->is_broken || !admin_add_argument(reader->request, name, value);
	return MHD_YES;
}

static bool read_arguments(struct admin_request *request)
{
	struct argument_reader reader = {.request = request};
	MHD_get_connection_values(
		request->connection, MHD_GET_ARGUMENT_KIND, read_argument, &reader);
	return !reader.is_broken;
}

static void find_caller(struct door *door, struct admin_request *request)
{
	struct slice header = slice_from_cstr(
		MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Authorization"));
	if (door->is_local)
		request->caller =
			(struct admin_caller){.name = SLICE("socket"), .role = ADMIN_ADMIN};
	else if (admin_token_matches(header, slice_of(door->admin->token, door->admin->token_len)))
		request->caller = (struct admin_caller){
			.name = SLICE("admin.token_file"), .role = ADMIN_ADMIN};
}

static enum MHD_Result begin_request(struct door *door, struct MHD_Connection *connection,
	const char *url, const char *method, void **state)
{
	struct admin_request *request = HEAP_NEW(struct admin_request);
	*request = (struct admin_request){0};
	op_init(&request->op, "admin");
	request->context = door->admin->context;
	request->connection = connection;
	request->method = arena_cstr(&request->op.arena, slice_from_cstr(method));
	request->upload = buf_in(&request->op.arena);
	request->text = buf_in(&request->op.arena);
	*state = request;
	const char *fault = admin_guard(connection);
	if (fault)
		return refuse(connection, request, MHD_HTTP_BAD_REQUEST, fault);
	if (door->is_local && !peer_may_enter(connection))
		return refuse(connection, request, MHD_HTTP_FORBIDDEN, "not you");
	if (!admin_path_parse(request, url))
		return refuse(connection, request, MHD_HTTP_NOT_FOUND, "not a path");
	if (!read_arguments(request))
		return refuse(connection, request, MHD_HTTP_BAD_REQUEST,
			"an argument is broken, or there twice, or one too many");
	find_caller(door, request);
	return MHD_YES;
}

static enum MHD_Result take_request(void *context, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *upload,
	size_t *upload_len, void **state)
{
	struct door *door = context;
	if (!*state)
		return begin_request(door, connection, url, method, state);
	struct admin_request *request = *state;
	if (*upload_len) {
		request->is_too_big =
			request->is_too_big || request->upload.len + *upload_len > UPLOAD_MAX;
		if (!request->is_too_big)
			buf_append(&request->upload, slice_of(upload, *upload_len));
		*upload_len = 0;
		return MHD_YES;
	}
	admin_answer(request);
	return send_answer(connection, request, false);
}

static void end_request(void *context, struct MHD_Connection *connection, void **state,
	enum MHD_RequestTerminationCode code)
{
	struct admin_request *request = *state;
	if (!request)
		return;
	json_decref(request->body);
	json_decref(request->answer);
	op_done(&request->op);
	free(request);
	*state = NULL;
}

/* Paths and arguments are decoded by us: an encoded '/' is not a '/'. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

/* ---- doors ---- */

static struct error *bind_local(struct op *op, struct admin *admin, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return op_fail(op, ERR_INVALID, "the name of the socket %s is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	admin->socket_path = heap_cstr(slice_from_cstr(path));
	admin->local.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A socket that a killed server left behind; the data directory is locked by us. */
	unlink(path);
	mode_t before = umask(0177);
	int bound = bind(
		admin->local.listener, (struct sockaddr *)&address, (socklen_t)sizeof(address));
	umask(before);
	if (bound < 0 || listen(admin->local.listener, 16) < 0)
		return op_fail(
			op, ERR_UNAVAILABLE, "cannot listen on %s: %s", path, strerror(errno));
	return NULL;
}

static struct error *read_token(struct op *op, struct admin *admin)
{
	int file = open(admin_config.token_file, O_RDONLY | O_CLOEXEC);
	ssize_t len = file < 0 ? -1 : read(file, admin->token, sizeof(admin->token));
	if (file >= 0)
		close(file);
	if (len < 0)
		return op_fail(op, ERR_INVALID, "cannot read admin.token_file %s: %s",
			admin_config.token_file, strerror(errno));
	struct slice token = slice_trim(slice_of(admin->token, (size_t)len));
	if (token.len < 16)
		return op_fail(op, ERR_INVALID, "the token in %s is shorter than 16 characters",
			admin_config.token_file);
	memmove(admin->token, token.ptr, token.len);
	admin->token_len = token.len;
	return NULL;
}

static struct error *bind_tcp(struct op *op, struct admin *admin)
{
	struct sockaddr_in address;
	const int on = 1;
	TRY(read_token(op, admin));
	TRY(parse_listen(op, &address));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	admin->tcp.listener = listener;
	if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 64) < 0)
		return op_fail(op, ERR_UNAVAILABLE, "cannot listen on %s: %s", admin_config.listen,
			strerror(errno));
	return NULL;
}

struct error *admin_bind(struct op *op, const char *socket_path,
	const struct admin_context *context, struct admin **ret_admin)
{
	struct admin *admin = HEAP_NEW(struct admin);
	admin->context = context;
	admin->local = (struct door){.admin = admin, .listener = -1, .is_local = true};
	admin->tcp = (struct door){.admin = admin, .listener = -1};
	struct error *err = bind_local(op, admin, socket_path);
	if (!err && admin_config.listen)
		err = bind_tcp(op, admin);
	if (err) {
		admin_stop(admin);
		return err;
	}
	*ret_admin = admin;
	return NULL;
}

static struct error *open_door(struct op *op, struct door *door)
{
	if (door->listener < 0)
		return NULL;
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_LISTEN_SOCKET, door->listener, NULL},
		{MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)admin_config.threads, NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, 60, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, 256, NULL},
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		{MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_encoded, NULL},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)end_request, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	door->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, take_request,
		door, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	if (!door->daemon)
		return op_fail(op, ERR_UNAVAILABLE, "cannot start the admin interface");
	door->listener = -1; /* the daemon closes it */
	return NULL;
}

struct error *admin_start(struct op *op, struct admin *admin)
{
	TRY(open_door(op, &admin->local));
	return open_door(op, &admin->tcp);
}

static void close_door(struct door *door)
{
	if (door->daemon)
		MHD_stop_daemon(door->daemon);
	if (door->listener >= 0)
		close(door->listener);
}

void admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	close_door(&admin->local);
	close_door(&admin->tcp);
	if (admin->socket_path)
		unlink(admin->socket_path);
	free(admin->socket_path);
	OPENSSL_cleanse(admin->token, sizeof(admin->token));
	free(admin);
}
