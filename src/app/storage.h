#pragma once

/* Everything below the front ends: the store of rows, the ledger, content, mailboxes, accounts, and
 * the thread that does their background work. */

#include "account/accounts.h"
#include "app/data_directory.h"
#include "backup/checkpoint.h"
#include "base/sync.h"
#include "blob/blob.h"
#include "consistency/ledger.h"
#include "consumer/consumer.h"
#include "engine/cassandra/cassandra.h"
#include "engine/rocksdb.h"
#include "mailbox/store.h"
#include "search/search.h"

#define STORAGE_HELPERS 4

struct storage_helper {
	struct storage *storage;
	struct mail_helper *helper;
	pthread_t thread;
};

struct storage {
	struct engine *engine;
	const char *datacenter; /* NULL: the engine knows none */
	struct ledger *ledger;
	struct blob_store *blobs;
	struct mail_store *mails;
	struct accounts *accounts;
	struct search *search; /* NULL: there is no index */
	struct consumers *consumers;
	struct checkpoints *checkpoints;
	struct mutex lock;
	struct condition stopping;
	bool is_stopping;
	bool is_working;
	pthread_t worker;
	pthread_t reclaimer;
	struct cql_cluster *cluster; /* the engine's; NULL: it is no cluster */
	struct cassandra_options cassandra;
	pthread_t prober;
	struct storage_helper helpers[STORAGE_HELPERS];
};

extern const struct setting storage_settings[];
extern const size_t storage_setting_count;

/* Are the settings of the chosen stores right? ERR_INVALID: *ret_setting is the one at fault. */
MUST_CHECK struct error *storage_check(struct op *op, const char **ret_setting);

/* What was opened before a failure is for storage_close. A cluster that does not answer is waited
 * for, until `is_told_to_stop` says so. */
MUST_CHECK struct error *storage_open(struct op *op, const struct data_directory *data,
	struct rocksdb_owner owner, bool (*is_told_to_stop)(void), struct storage *storage);

/* Opens a directory that was restored, to be looked at: rows of the embedded engine, content where
 * `content_store` says, as content.store names it. Nothing works in it, nothing follows it. */
MUST_CHECK struct error *storage_open_copy(struct op *op, const struct data_directory *data,
	const char *content_store, struct storage *storage);

/* "rocksdb" or "cassandra": as the setting names it. */
const char *storage_engine_name(void);

/* The data centre that this node is in; empty where the engine knows none. */
const char *storage_datacenter(const struct storage *storage);

/* What an operator should mend, one sentence each, in the arena, with room for one more. */
MUST_CHECK struct error *storage_find_faults(
	struct op *op, void *storage, struct slice **ret_findings, size_t *ret_count);

/* Starts the background work. */
void storage_start(struct storage *storage);

/* Stops it, and closes in the order that nothing is used after it is gone. */
void storage_close(struct storage *storage);
