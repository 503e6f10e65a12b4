#include "app/server.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/app_settings.h"
#include "app/data_directory.h"
#include "app/event_bus.h"
#include "app/listeners.h"
#include "app/neighbours.h"
#include "app/privileges.h"
#include "app/search_index.h"
#include "app/storage.h"
#include "account/password.h"
#include "base/clock.h"
#include "blob/blob_s3.h"
#include "bus/rabbitmq/rabbitmq.h"
#include "consistency/levels.h"
#include "consumer/usage.h"
#include "consumer/webhook.h"
#include "engine/cassandra/cassandra.h"
#include "format/mime.h"
#include "front/admin/admin.h"
#include "index/opensearch/opensearch.h"
#include "net/net.h"
#include "session/lane.h"
#include "session/session.h"
#include "import/import.h"
#include "session/session_settings.h"
#include "task/runner.h"

struct server {
	void (*fail)(const char *reason);
	struct data_directory data;
	struct net *net;
	struct fronts fronts;
	struct admin_context admin_context;
	struct admin *admin;
	struct storage storage;
	struct bus *bus;
	struct neighbours *neighbours;
	struct task_runner *tasks;
	atomic_bool is_serving;
};

static const struct setting_group groups[] = {
	{app_settings, &app_setting_count},
	{net_settings, &net_setting_count},
	{session_settings, &session_setting_count},
	{account_settings, &account_setting_count},
	{password_settings, &password_setting_count},
	{mime_settings, &mime_setting_count},
	{smtp_settings, &smtp_setting_count},
	{listener_settings, &listener_setting_count},
	{imap_settings, &imap_setting_count},
	{pop3_settings, &pop3_setting_count},
	{admin_settings, &admin_setting_count},
	{storage_settings, &storage_setting_count},
	{neighbours_settings, &neighbours_setting_count},
	{event_bus_settings, &event_bus_setting_count},
	{rabbitmq_settings, &rabbitmq_setting_count},
	{search_index_settings, &search_index_setting_count},
	{search_settings, &search_setting_count},
	{opensearch_settings, &opensearch_setting_count},
	{task_settings, &task_setting_count},
	{import_settings, &import_setting_count},
	{consumer_settings, &consumer_setting_count},
	{usage_settings, &usage_setting_count},
	{webhook_settings, &webhook_setting_count},
	{rocksdb_settings, &rocksdb_setting_count},
	{levels_settings, &levels_setting_count},
	{cassandra_settings, &cassandra_setting_count},
	{blob_s3_settings, &blob_s3_setting_count},
};

struct config *server_config_new(void)
{
	return config_new(groups, ARRAY_SIZE(groups));
}

/* A file that a setting names must be there to be read. */
static struct error *check_file(struct op *op, const struct config *config, const char *setting)
{
	const char *path = config_value(config, setting);
	if (!*path || access(path, R_OK) == 0)
		return NULL;
	return config_fault(op, config, setting,
		arena_printf(&op->arena, "%s cannot be read: %s", path, strerror(errno)));
}

/* It goes into greetings, trace headers and a certificate: no place for a space or a line's end. */
static struct error *check_name(struct op *op, const struct config *config)
{
	for (const char *at = config_value(config, "server.name"); *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return config_fault(op, config, "server.name",
				"spaces and control characters have no place in a name");
	return NULL;
}

/* With tls.self_sign a certificate that is missing will be made; one that is there must do. */
static struct error *check_tls(struct op *op, const struct config *config)
{
	const char *certificate = config_value(config, "tls.certificate");
	bool has_certificate = *certificate != '\0';
	bool has_key = *config_value(config, "tls.key") != '\0';
	if (has_certificate && !has_key)
		return config_fault(op, config, "tls.certificate", "needs tls.key");
	if (has_key && !has_certificate)
		return config_fault(op, config, "tls.key", "needs tls.certificate");
	if (!has_certificate || (strcmp(config_value(config, "tls.self_sign"), "yes") == 0 &&
					access(certificate, F_OK) != 0 && errno == ENOENT))
		return NULL;
	TRY(check_file(op, config, "tls.certificate"));
	TRY(check_file(op, config, "tls.key"));
	struct error *err = net_check_certificates(op);
	return err ? config_fault(op, config, "tls.certificate", err->message) : NULL;
}

struct error *server_check(struct op *op, const struct config *config)
{
	struct error *err = privileges_check(op, app_config.user);
	if (err)
		return config_fault(op, config, "user", err->message);
	TRY(check_name(op, config));
	TRY(check_tls(op, config));
	TRY(check_file(op, config, "admin.token_file"));
	TRY(check_file(op, config, "s3.secret_file"));
	TRY(check_file(op, config, "s3.ca_file"));
	TRY(check_file(op, config, "content.key_file"));
	TRY(check_file(op, config, "bus.tls_ca"));
	TRY(check_file(op, config, "bus.tls_certificate"));
	TRY(check_file(op, config, "bus.tls_key"));
	TRY(check_file(op, config, "opensearch.password_file"));
	TRY(check_file(op, config, "opensearch.ca_file"));
	TRY(check_file(op, config, "webhook.ca_file"));
	TRY(listeners_check(op, config));
	const char *setting;
	err = storage_check(op, &setting);
	if (!err)
		err = event_bus_check(op, &setting);
	if (err)
		return config_fault(op, config, setting, err->message);
	return NULL;
}

static void engine_failed(void *context, const char *reason)
{
	struct server *server = context;
	server->fail(reason);
}

/* Before the server serves, nobody else takes signals from the queue. */
static bool is_told_to_stop(void)
{
	sigset_t waiting;
	return sigpending(&waiting) == 0 &&
	       (sigismember(&waiting, SIGTERM) || sigismember(&waiting, SIGINT));
}

static bool is_ready(void *context)
{
	struct server *server = context;
	return server->is_serving;
}

/* Everything that needs root comes first; then the data directory changes hands. */
static struct error *bind_and_drop(struct op *op, struct server *server)
{
	TRY(data_directory_open(op, app_config.data, &server->data));
	TRY(net_new(op, &server->net));
	TRY(listeners_bind(op, server->net, &server->fronts));
	TRY(admin_bind(op, server->net, data_directory_file(&op->arena, &server->data, "control"),
		&server->admin_context, &server->admin));
	TRY(privileges_give(op, app_config.user, app_config.data));
	return privileges_drop(op, app_config.user);
}

/* This node's own sessions need no bus; those of others do. */
static void account_changed(void *context, struct account_id account, uint64_t modseq)
{
	struct server *server = context;
	const struct bus_hint hint = {.account = account, .modseq = modseq};
	imap_account_changed(NULL, account);
	bus_publish(server->bus, &hint);
	/* While the bus does not carry hints, what this node does is indexed by itself. */
	if (!search_is_shared(server->storage.search) || !bus_is_live(server->bus))
		search_account_changed(server->storage.search, account);
	if (!server->bus->reaches_others || !bus_is_live(server->bus))
		consumers_account_changed(server->storage.consumers, account);
}

static struct error *find_faults(
	struct op *op, void *context, struct slice **ret_findings, size_t *ret_count)
{
	struct server *server = context;
	TRY(storage_find_faults(op, &server->storage, ret_findings, ret_count));
	const char *fault = event_bus_fault(server->bus, &op->arena);
	if (fault)
		(*ret_findings)[(*ret_count)++] = slice_from_cstr(fault);
	return NULL;
}

/* The doors are open by now, and nobody is served yet: whoever knocks waits. */
static struct error *open_storage(struct op *op, struct server *server)
{
	const struct rocksdb_owner owner = {.engine_failed = engine_failed, .context = server};
	TRY(event_bus_open(op, &server->bus));
	TRY(storage_open(op, &server->data, owner, is_told_to_stop, &server->storage));
	struct mail_store *mails = server->storage.mails;
	struct accounts *accounts = server->storage.accounts;
	server->fronts.imap = (struct imap_context){
		.store = mails, .accounts = accounts, .search = server->storage.search};
	server->fronts.smtp.delivery =
		(struct delivery_service){.store = mails, .accounts = accounts};
	server->fronts.pop3 = (struct pop3_service){.store = mails, .accounts = accounts};
	server->admin_context = (struct admin_context){.accounts = accounts,
		.store = mails,
		.ledger = server->storage.ledger,
		.search = server->storage.search,
		.checkpoints = server->storage.checkpoints,
		.consumers = server->storage.consumers,
		.version = HOLDFAST_VERSION,
		.engine = storage_engine_name(),
		.has_levels = server->storage.cluster != NULL,
		.is_ready = is_ready,
		.ready_context = server,
		.bus = server->bus,
		.find_faults = find_faults,
		.faults_context = server};
	mail_store_listen(mails, account_changed, server);
	if (search_is_shared(server->storage.search))
		search_join(server->storage.search, server->bus);
	if (server->bus->reaches_others)
		consumers_join(server->storage.consumers, server->bus);
	return NULL;
}

static struct error *meet_neighbours(struct op *op, struct server *server)
{
	struct node_info node = {.name = slice_from_cstr(net_server_name()),
		.datacenter = slice_from_cstr(storage_datacenter(&server->storage)),
		.version = SLICE(HOLDFAST_VERSION),
		.started_us = clock_realtime_us()};
	TRY(data_directory_node_id(op, &server->data, &node.id));
	server->neighbours = neighbours_start(server->storage.mails, server->bus, &node);
	server->tasks = task_runner_start(
		server->storage.mails, server->storage.accounts, server->storage.search, &node);
	server->admin_context.tasks = server->tasks;
	return NULL;
}

static struct error *begin_serving(struct op *op, struct server *server)
{
	TRY(meet_neighbours(op, server));
	bus_start(server->bus);
	storage_start(&server->storage);
	lanes_start(mail_store_engine(server->storage.mails)->is_shared);
	net_start(server->net);
	server->is_serving = true;
	return admin_start(op, server->admin);
}

struct error *server_start(
	struct op *op, void (*fail)(const char *reason), struct server **ret_server)
{
	struct server *server = HEAP_NEW(struct server);
	server->fail = fail;
	server->data.lock = -1;
	struct error *err = bind_and_drop(op, server);
	if (!err)
		err = open_storage(op, server);
	if (!err)
		err = begin_serving(op, server);
	if (err) {
		server_stop(server);
		return err;
	}
	*ret_server = server;
	return NULL;
}

struct error *server_reload(struct op *op, struct server *server)
{
	return net_reload_certificates(op, server->net);
}

static void stop_serving(struct server *server)
{
	net_stop_accepting(server->net);
	sessions_stop();
	/* Connections past their grace need a worker for their last step. */
	net_stop(server->net);
	lanes_stop();
}

void server_stop(struct server *server)
{
	bool was_serving = server->is_serving;
	server->is_serving = false;
	admin_stop(server->admin);
	if (was_serving)
		stop_serving(server);
	net_free(server->net);
	admin_free(server->admin);
	task_runner_stop(server->tasks);
	bus_stop(server->bus);
	neighbours_stop(server->neighbours);
	storage_close(&server->storage);
	bus_close(server->bus);
	data_directory_close(&server->data);
	free(server);
}
