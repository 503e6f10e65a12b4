#pragma once

/* The server: every part built, each handed its neighbours. One per process. */

#include "app/config.h"

struct server;

/* Every setting there is. */
struct config *server_config_new(void);

/* Checks that need more than one setting, or the file system. ERR_INVALID with file:line. */
MUST_CHECK struct error *server_check(struct op *op, const struct config *config);

/* Binds, drops privileges, opens the data and serves. `fail` is called at most once, from any
 * thread, when the server must not go on. */
MUST_CHECK struct error *server_start(
	struct op *op, void (*fail)(const char *reason), struct server **ret_server);

/* Takes up reloaded settings. */
MUST_CHECK struct error *server_reload(struct op *op, struct server *server);

void server_stop(struct server *server);
