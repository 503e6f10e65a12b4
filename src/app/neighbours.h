#pragma once

/* What a node has to do with the others that serve from the same rows: it says that it is there,
 * hears from them what they changed, and looks now and then whether they changed what its own
 * sessions are watching. */

#include "base/setting.h"
#include "base/sync.h"
#include "bus/bus.h"
#include "consistency/nodes.h"
#include "mailbox/store.h"

struct neighbours;

extern const struct setting neighbours_settings[];
extern const size_t neighbours_setting_count;

/* Starts the thread that does it. `node` is copied; the store and the bus are borrowed. To be
 * called before bus_start: it is the bus's watcher. */
struct neighbours *neighbours_start(
	struct mail_store *store, struct bus *bus, const struct node_info *node);

/* Stops and frees, when the bus calls no more; NULL is fine. */
void neighbours_stop(struct neighbours *neighbours);
