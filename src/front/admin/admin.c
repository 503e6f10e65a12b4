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

#include "base/clock.h"
#include "base/sync.h"
#include "front/admin/admin_private.h"
#include "front/admin/admin_token.h"
#include "mailbox/store.h"
#include "net/relay.h"

#define UPLOAD_MAX MIB(1)
/* On the local socket messages come too, in base64. */
#define LOCAL_UPLOAD_MAX (UPLOAD_MAX + admin_config.max_message_bytes / 3 * 4)

/* From a request's first header to its last byte. */
#define UPLOAD_NS (60 * NS_PER_S)
#define SILENCE_S 60
/* The first line and the headers of a request must have room in this. */
#define HEAD_BYTES KIB(96)
#define CONNECTIONS_MOST 256

static struct {
	const char *listen, *listen_tls;
	const char *token_file;
	uint64_t threads;
	uint64_t failure_delay_ms;
	uint64_t max_message_bytes;
} admin_config;

/* clang-format off */
const struct setting admin_settings[] = {
	{"admin.listen", SETTING_TEXT, &admin_config.listen, "", 0, 0, NULL, false,
		"Addresses of the REST interface and its page over HTTP without TLS, such as 127.0.0.1:8080, commas between; none if empty. For loopback: tokens go over it as they are."},
	{"admin.listen_tls", SETTING_TEXT, &admin_config.listen_tls, "", 0, 0, NULL, false,
		"Addresses of the REST interface and its page over HTTPS, commas between; none if empty."},
	{"admin.token_file", SETTING_TEXT, &admin_config.token_file, "", 0, 0, NULL, false,
		"File with a token that may do everything over HTTP, beside those that holdfastctl token makes; none if empty."},
	{"admin.max_message", SETTING_BYTES, &admin_config.max_message_bytes, "50 MiB", 1024, 1073741824, NULL, true,
		"The largest message that holdfastctl import puts into a mailbox."},
	{"admin.threads", SETTING_NUMBER, &admin_config.threads, "4", 1, 64, NULL, false,
		"Administrative requests worked on at the same time."},
	{"admin.failure_delay", SETTING_DURATION, &admin_config.failure_delay_ms, "250 ms", 0, 10000, NULL, true,
		"How long the answer to a wrong token is held back; doubled with each further one from that address, up to 64 times this."},
};
const size_t admin_setting_count = ARRAY_SIZE(admin_settings);
/* clang-format on */

/* One door: the local socket, or HTTP. */
struct door {
	struct admin *admin;
	bool is_local;
	struct MHD_Daemon *daemon;
};

struct admin {
	const struct admin_context *context;
	char token[256];
	size_t token_len;
	char *socket_path;
	int listener; /* of the local socket, until its daemon has it */
	struct relay relay;
	struct admin_tokens *tokens;
	struct admin_work *work;
	struct admin_history *history;
	struct door local;
	struct mutex lock;
	struct door http; /* its daemon: under lock */
};

uint64_t admin_max_message_bytes(void)
{
	return admin_config.max_message_bytes;
}

uint64_t admin_failure_delay_ms(void)
{
	return admin_config.failure_delay_ms;
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

static void find_peer(struct admin_request *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	if (info && info->client_addr)
		peer_address_from(info->client_addr, &request->peer);
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

static enum MHD_Result send_file(
	struct MHD_Connection *connection, const struct admin_page_file *file)
{
	/* Nothing but what comes from here, and no script or style within the page itself. */
	static const char policy[] =
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
		"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
	struct MHD_Response *response = MHD_create_response_from_buffer(
		file->len, (void *)(uintptr_t)file->bytes, MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", file->content_type);
	MHD_add_response_header(response, "Content-Security-Policy", policy);
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Cache-Control", "no-cache");
	enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
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

static enum MHD_Result begin_request(struct door *door, struct MHD_Connection *connection,
	const char *url, const char *method, void **state)
{
	struct admin_request *request = HEAP_NEW(struct admin_request);
	*request = (struct admin_request){0};
	op_init(&request->op, "admin");
	request->context = door->admin->context;
	request->tokens = door->admin->tokens;
	request->history = door->admin->history;
	request->connection = connection;
	request->is_local = door->is_local;
	request->method = arena_cstr(&request->op.arena, slice_from_cstr(method));
	request->upload = buf_in(&request->op.arena);
	request->text = buf_in(&request->op.arena);
	*state = request;
	const char *fault = admin_guard(connection);
	if (fault)
		return refuse(connection, request, MHD_HTTP_BAD_REQUEST, fault);
	const struct admin_page_file *file = admin_page_find(method, url);
	if (file)
		return send_file(connection, file);
	if (door->is_local && !peer_may_enter(connection))
		return refuse(connection, request, MHD_HTTP_FORBIDDEN, "not you");
	if (!admin_path_parse(request, url))
		return refuse(connection, request, MHD_HTTP_NOT_FOUND, "not a path");
	if (!read_arguments(request))
		return refuse(connection, request, MHD_HTTP_BAD_REQUEST,
			"an argument is broken, or there twice, or one too many");
	if (door->is_local)
		request->caller =
			(struct admin_caller){.name = SLICE("socket"), .role = ADMIN_ADMIN};
	else
		find_peer(request);
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
		if (clock_monotonic_ns() - request->op.begun_ns > UPLOAD_NS)
			return MHD_NO;
		uint64_t most = door->is_local ? LOCAL_UPLOAD_MAX : UPLOAD_MAX;
		request->is_too_big =
			request->is_too_big || request->upload.len + *upload_len > most;
		if (!request->is_too_big)
			buf_append(&request->upload, slice_of(upload, *upload_len));
		*upload_len = 0;
		return MHD_YES;
	}
	if (request->is_answered)
		return send_answer(connection, request, false);
	if (!admin_work_begin(door->admin->work))
		return refuse(connection, request, MHD_HTTP_SERVICE_UNAVAILABLE,
			"the server is stopping");
	MHD_suspend_connection(connection);
	admin_work_add(door->admin->work, &request->job, 0);
	return MHD_YES;
}

/* On a worker's thread. What a job has resumed is not its own any more. */
static void work_on(void *context, struct admin_job *job)
{
	struct admin *admin = context;
	struct admin_request *request =
		(struct admin_request *)((char *)job - offsetof(struct admin_request, job));
	if (!request->is_answered) {
		struct error *err = request->is_local
					    ? NULL
					    : admin_find_caller(request,
						      slice_of(admin->token, admin->token_len));
		if (err)
			admin_answer_error(request, err);
		else
			admin_answer(request);
		request->is_answered = true;
		if (request->hold_ms) {
			admin_work_add(admin->work, job,
				clock_monotonic_ns() + request->hold_ms * NS_PER_MS);
			return;
		}
	}
	MHD_resume_connection(request->connection);
	admin_work_end(admin->work);
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
	admin->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A socket that a killed server left behind; the data directory is locked by us. */
	unlink(path);
	mode_t before = umask(0177);
	int bound = bind(admin->listener, (struct sockaddr *)&address, (socklen_t)sizeof(address));
	umask(before);
	if (bound < 0 || listen(admin->listener, 16) < 0)
		return op_fail(
			op, ERR_UNAVAILABLE, "cannot listen on %s: %s", path, strerror(errno));
	return NULL;
}

static struct error *read_token(struct op *op, struct admin *admin)
{
	if (!admin_config.token_file)
		return NULL;
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

/* The peer's address as libmicrohttpd wants it; of what it is told to be, nothing is missing. */
static socklen_t address_of(const struct peer_address *peer, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
	*ret_address = (struct sockaddr_storage){0};
	if (inet_pton(AF_INET, peer->text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(peer->port);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(peer->port);
	(void)inet_pton(AF_INET6, peer->text, &v6->sin6_addr);
	return sizeof(*v6);
}

static bool take_client(void *context, int fd, const struct peer_address *peer)
{
	struct admin *admin = context;
	struct sockaddr_storage address;
	socklen_t len = address_of(peer, &address);
	AUTO_LOCK(&admin->lock);
	/* Whether it takes it or not, the descriptor is the library's then. */
	if (!admin->http.daemon)
		return false;
	(void)MHD_add_connection(admin->http.daemon, fd, (struct sockaddr *)&address, len);
	return true;
}

static struct error *bind_http(struct op *op, struct admin *admin, struct net *net)
{
	TRY(read_token(op, admin));
	TRY(relay_listen(op, net, admin_config.listen, false, &admin->relay));
	return relay_listen(op, net, admin_config.listen_tls, true, &admin->relay);
}

struct error *admin_bind(struct op *op, struct net *net, const char *socket_path,
	const struct admin_context *context, struct admin **ret_admin)
{
	struct admin *admin = HEAP_NEW(struct admin);
	*admin = (struct admin){.context = context, .listener = -1};
	mutex_init(&admin->lock);
	admin->relay = (struct relay){.take = take_client, .context = admin};
	admin->local = (struct door){.admin = admin, .is_local = true};
	admin->http = (struct door){.admin = admin};
	struct error *err = bind_local(op, admin, socket_path);
	if (!err)
		err = bind_http(op, admin, net);
	if (err) {
		admin_stop(admin);
		admin_free(admin);
		return err;
	}
	*ret_admin = admin;
	return NULL;
}

static struct error *open_door(
	struct op *op, struct door *door, int listener, struct MHD_Daemon **ret_daemon)
{
	struct MHD_OptionItem options[] = {
		{MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES, NULL},
		{MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
		{MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_encoded, NULL},
		{MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)end_request, NULL},
		{listener < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, listener, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
	if (listener < 0)
		flags |= MHD_USE_NO_LISTEN_SOCKET;
	*ret_daemon = MHD_start_daemon(flags, 0, NULL, NULL, take_request, door, MHD_OPTION_ARRAY,
		options, MHD_OPTION_END);
	return *ret_daemon ? NULL
			   : op_fail(op, ERR_UNAVAILABLE, "cannot start the admin interface");
}

struct error *admin_start(struct op *op, struct admin *admin)
{
	struct MHD_Daemon *http;
	admin->tokens = admin_tokens_new(mail_store_engine(admin->context->store));
	admin->history = admin_history_start();
	admin->work = admin_work_new((unsigned)admin_config.threads, work_on, admin);
	TRY(open_door(op, &admin->local, admin->listener, &admin->local.daemon));
	admin->listener = -1; /* the daemon closes it */
	TRY(open_door(op, &admin->http, -1, &http));
	AUTO_LOCK(&admin->lock);
	admin->http.daemon = http;
	return NULL;
}

void admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	mutex_lock(&admin->lock);
	struct MHD_Daemon *http = admin->http.daemon;
	admin->http.daemon = NULL;
	mutex_unlock(&admin->lock);
	/* A daemon ends only when none of its connections is suspended. */
	if (admin->work)
		admin_work_finish(admin->work);
	if (admin->local.daemon)
		MHD_stop_daemon(admin->local.daemon);
	if (http)
		MHD_stop_daemon(http);
	admin->local.daemon = NULL;
	if (admin->listener >= 0)
		close(admin->listener);
	admin->listener = -1;
	if (admin->socket_path)
		unlink(admin->socket_path);
}

void admin_free(struct admin *admin)
{
	if (!admin)
		return;
	admin_work_free(admin->work);
	admin_history_stop(admin->history);
	admin_tokens_free(admin->tokens);
	free(admin->socket_path);
	OPENSSL_cleanse(admin->token, sizeof(admin->token));
	mutex_done(&admin->lock);
	free(admin);
}
