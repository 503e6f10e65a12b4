#pragma once

/* What tests of mailboxes stand on: a store of mail over an engine of theirs, and an account in it.
 * Test code only. */

#include "base/test.h"
#include "mailbox/store_private.h"

struct mail_world {
	struct op op;
	struct engine *engine;
	struct ledger *ledger;
	struct blob_store *blobs;
	struct mail_store *store;
	struct account_id account; /* with the usual folders */
};

/* Takes both. `content` NULL: it is in the engine. Content up to `inline_max` is among the rows. */
void mail_world_open(struct mail_world *w, struct engine *engine, struct blob_store *content,
	uint64_t inline_max);
void mail_world_close(struct mail_world *w);

void mail_world_make_account(struct mail_world *w, struct slice address);

/* A restarted process knows what is stored, and nothing else. */
void mail_world_restart(struct mail_world *w);

/* What was applied before is said to be by such a commit. */
void mail_world_commit_nothing(struct mail_world *w);

/* It must be there. */
struct mailbox_status mail_world_status(struct mail_world *w, const char *path);
