#pragma once

/* Everything below the front ends: the store of rows, the ledger, content, mailboxes, accounts, and
 * the thread that does their background work. */

#include "account/accounts.h"
#include "app/data_directory.h"
#include "base/sync.h"
#include "blob/blob.h"
#include "consistency/ledger.h"
#include "engine/rocksdb.h"
#include "mailbox/store.h"

struct cql_cluster;

struct storage {
	struct engine *engine;
	const char *datacenter; /* NULL: the engine knows none */
	struct ledger *ledger;
	struct blob_store *blobs;
	struct mail_store *mails;
	struct accounts *accounts;
	struct mutex lock;
	struct condition stopping;
	bool is_stopping;
	bool is_working;
	pthread_t worker;
	struct cql_cluster *cluster; /* the engine's; NULL: it is no cluster */
	pthread_t prober;
};

extern const struct setting storage_settings[];
extern const size_t storage_setting_count;

/* Are the settings of the chosen engine right? ERR_INVALID: *ret_setting is the one at fault. */
MUST_CHECK struct error *storage_check(struct op *op, const char **ret_setting);

/* What was opened before a failure is for storage_close. A cluster that does not answer is waited
 * for, until `is_told_to_stop` says so. */
MUST_CHECK struct error *storage_open(struct op *op, const struct data_directory *data,
	struct rocksdb_owner owner, bool (*is_told_to_stop)(void), struct storage *storage);

/* The data centre that this node is in; empty where the engine knows none. */
const char *storage_datacenter(const struct storage *storage);

/* Starts the background work. */
void storage_start(struct storage *storage);

/* Stops it, and closes in the order that nothing is used after it is gone. */
void storage_close(struct storage *storage);
