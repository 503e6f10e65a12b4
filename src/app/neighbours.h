#pragma once

/* What a node has to do with the others that serve from the same rows: it says that it is there,
 * and looks now and then whether they changed what its own sessions are watching. */

#include "base/setting.h"
#include "base/sync.h"
#include "consistency/nodes.h"
#include "mailbox/store.h"

struct neighbours;

extern const struct setting neighbours_settings[];
extern const size_t neighbours_setting_count;

/* Starts the thread that does it. `node` is copied; the store is borrowed. */
struct neighbours *neighbours_start(struct mail_store *store, const struct node_info *node);

/* Stops and frees; NULL is fine. */
void neighbours_stop(struct neighbours *neighbours);
