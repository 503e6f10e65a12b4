#pragma once

/* The threads of a node that run tasks. */

#include "account/account.h"
#include "base/setting.h"
#include "consistency/nodes.h"

struct task_runner;
struct accounts;
struct search;

/* tasks.* */
extern const struct setting task_settings[];
extern const size_t task_setting_count;

/* Starts the threads; `node` is copied. Borrows the rest. `search` NULL: there is no index. */
struct task_runner *task_runner_start(struct mail_store *store, struct accounts *accounts,
	struct search *search, const struct node_info *node);

/* There may be something to do. NULL is fine. */
void task_runner_wake(struct task_runner *runner);

/* Tasks under way are left for others to go on with. NULL is fine. */
void task_runner_stop(struct task_runner *runner);
