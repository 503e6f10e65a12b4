#pragma once

/* The administrator's door: REST with JSON, on a local socket that only the server's own user and
 * root may use, and over HTTP and HTTPS for who has a token. holdfastctl speaks to nothing but the
 * socket. */

#include "account/account.h"
#include "base/setting.h"
#include "consistency/ledger.h"

struct admin;
struct net;
struct search;
struct consumers;
struct checkpoints;
struct task_runner;
struct bus;

/* What the handlers work on; filled before admin_start, and outlives the admin. */
struct admin_context {
	struct accounts *accounts;
	struct mail_store *store;
	struct ledger *ledger;
	struct search *search; /* NULL: there is no index */
	struct consumers *consumers;
	struct checkpoints *checkpoints;
	struct task_runner *tasks;
	struct bus *bus;
	const char *version;
	const char *engine;
	bool has_levels; /* the store's engine is one of consistency/levels.h */
	bool (*is_ready)(void *context);
	void *ready_context;
	/* What an operator should mend in the stores, one sentence each, in the arena. */
	struct error *(*find_faults)(
		struct op *op, void *context, struct slice **ret_findings, size_t *ret_count);
	void *faults_context;
};

extern const struct setting admin_settings[];
extern const size_t admin_setting_count;

/* Binds the sockets and reads the token; serves nothing yet. `socket_path`: of the local socket. */
MUST_CHECK struct error *admin_bind(struct op *op, struct net *net, const char *socket_path,
	const struct admin_context *context, struct admin **ret_admin);

MUST_CHECK struct error *admin_start(struct op *op, struct admin *admin);

/* Finishes what is under way and closes; who connects from here on is turned away. NULL is fine. */
void admin_stop(struct admin *admin);

/* When the net is gone. NULL is fine. */
void admin_free(struct admin *admin);
