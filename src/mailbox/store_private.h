#pragma once

/* Inside mailbox/ only: the store and what its files share. */

#include "base/sync.h"
#include "blob/blob.h"
#include "mailbox/snapshot_private.h"
#include "mailbox/store.h"

#define SNAPSHOT_SHARDS 16

struct snapshot_shard {
	struct mutex lock;
	struct hash_map snapshots; /* mailbox_id -> struct cached_snapshot */
	struct cached_snapshot *newest;
	struct cached_snapshot *oldest;
	size_t bytes;
};

struct mail_helper {
	struct mail_store *store;
	unsigned part, parts;
	uint64_t next_resolve_ns;
	uint64_t resolve_pause_ns;
};

/* Mailboxes and accounts in which healing by reading has found nothing to put right, lately. */
#define VAIN_REPAIRS 64
struct vain_repair {
	struct uuid subject;
	uint64_t until_ns; /* it is not tried again before */
};

struct mail_store {
	struct mail_helper own_helper; /* does their work where there are no others */
	bool has_helpers;
	struct engine *engine;
	struct commit *commit;
	struct blob_store *blobs;
	struct byte_cache *summaries; /* rows, by message_id: those that clients are shown */
	quota_lookup quota;
	void *quota_context;
	struct snapshot_shard shards[SNAPSHOT_SHARDS];
	struct uuid instance;         /* of this process: whose intents are its own */
	struct mutex lock;            /* of what follows */
	struct hash_map copying;      /* account_id -> how many large COPYs are under way */
	struct hash_map owed_intents; /* account_id -> non-NULL: intents to be driven */
	/* Content that no commit took, in undo_append's terms: its candidates are to be noted. A
	 * crash forgets them, and the audit finds them. */
	struct slice *owed_undos; /* on the heap */
	size_t owed_undo_count;
	size_t owed_undo_capacity;
	struct vain_repair vain_repairs[VAIN_REPAIRS];
	uint64_t next_sweep_ns;
};

void snapshot_cache_init(struct mail_store *store);
void snapshot_cache_done(struct mail_store *store);

/* For plan functions: the mailbox as the earlier changes of the group leave it. */
MUST_CHECK struct error *plan_snapshot(struct op *op, struct mail_store *store,
	struct commit_plan *plan, struct mailbox_id mailbox, struct snapshot **ret_snapshot);

/* The summary as it is stored now; not found: missing, damaged or of no use. */
MUST_CHECK struct error *summary_find(struct op *op, struct mail_store *store,
	const struct message *message, bool *ret_found,
	struct message_summary_columns *ret_columns);

/* Size and length of the header, of a message of which no row is at hand. */
MUST_CHECK struct error *message_measure(
	struct op *op, struct mail_store *store, struct message *inout_message);

/* As mailbox_messages, within a plan (NULL: as of now). */
MUST_CHECK struct error *read_messages(struct op *op, struct mail_store *store,
	struct account_id account, struct commit_plan *plan, struct mailbox_id mailbox,
	const struct uid_set *uids, struct message **ret_messages, size_t *ret_count);

/* As read_messages, and no message that the plan's snapshot has may be missing or older: what is
 * counted by these rows becomes true. *ret_behind: that is why it failed. */
MUST_CHECK struct error *read_known(struct op *op, struct mail_store *store,
	struct commit_plan *plan, const struct snapshot *snapshot, const struct uid_set *uids,
	struct message **ret_messages, size_t *ret_count, bool *ret_behind);

/* Walks the accounts that are noted for the sweeper. Starts zeroed; what it reads stays in the
 * operation's arena. */
struct dirty_walk {
	struct slice *partitions;
	size_t partition_count, partition_at;
	struct engine_rows rows;
	size_t row_at;
	struct slice after;
};
MUST_CHECK struct error *dirty_next(struct op *op, struct mail_store *store,
	struct dirty_walk *walk, struct account_id *ret_account, bool *ret_more);

/* Content is to be left to reclaim by mail_store_work; `detail` is copied. */
void owe_undo(struct mail_store *store, struct slice detail);

/* Intents of the account are to be looked at by mail_store_work. */
void owe_intents(struct mail_store *store, struct account_id account);
void note_copying(struct mail_store *store, struct account_id account, int change);
bool is_copying(struct mail_store *store, struct account_id account);

/* A snapshot made of the map and the log alone, without the cache. */
MUST_CHECK struct error *snapshot_of_map(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, struct snapshot **ret_snapshot);

/* The snapshot that is in the cache, if any; the caller owns a reference. */
struct snapshot *snapshot_cached(struct mail_store *store, struct mailbox_id mailbox);

/* Puts message rows right by the log, as far back as that is whole. Tables besides them and the
 * places have lives of their own. */
MUST_CHECK struct error *repair_by_log(struct op *op, struct mail_store *store,
	struct account_id account, struct solve_report *inout_report);

/* Of some messages of one mailbox only, and not their places. */
MUST_CHECK struct error *repair_messages_by_log(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	struct solve_report *inout_report);

/* A commit of nothing, for the MODSEQ that a repair is written at. */
MUST_CHECK struct error *step_modseq(
	struct op *op, struct mail_store *store, struct account_id account, uint64_t *ret_modseq);

/* Holds the rows, the map and the counts of one mailbox against each other. */
MUST_CHECK struct error *solve_mailbox(struct op *op, struct mail_store *store,
	struct account_id account, struct slice path, const struct solve_scope *scope,
	struct solve_report *inout_report);
MUST_CHECK struct error *solve_keep_pace(
	struct op *op, const struct solve_scope *scope, size_t rows);

/* Healing by those who meet damage. *ret_healed: something was put right, and what failed is to be
 * tried again. What cannot be healed is not tried again by each of many. */
MUST_CHECK struct error *heal_messages(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	bool *ret_healed);
MUST_CHECK struct error *heal_account(
	struct op *op, struct mail_store *store, struct account_id account, bool *ret_healed);

/* commit_run; a change that could not be planned because of damage is planned again when that was
 * healed. *rows_are_behind: the plan's last read_known said so. */
MUST_CHECK struct error *commit_healed(struct op *op, struct mail_store *store,
	struct account_id account, struct commit_change *change, const bool *rows_are_behind);

/* commit_rules.derive and .undo */
MUST_CHECK struct error *derive_projections(struct op *op, struct account_id account,
	const struct log_row *log, struct row_changes *out);
MUST_CHECK struct error *undo_append(struct op *op, struct engine *engine, struct slice detail);

/* The live mailbox row of a plan; ERR_NOT_FOUND. */
MUST_CHECK struct error *plan_live_mailbox(struct op *op, struct commit_plan *plan,
	struct mailbox_id mailbox, const struct account_mailbox **ret_row);

/* Who is named by an ACL may do something with the mailbox now, or may no more. */
void log_acl(struct op *op, struct buf *entry, struct mailbox_id mailbox, struct slice acl,
	bool is_granted);

/* The rows that list what is shared are there: adds to the report. */
MUST_CHECK struct error *solve_grants(struct op *op, struct mail_store *store,
	struct account_id account, struct solve_report *inout_report);

/* A COPY in several commits: an intent in the account of the target says what has been copied so
 * far, so that a crash leaves nothing of it. The last commit removes it. */
struct copy_pieces {
	struct uuid intent; /* nil: none yet */
	uint64_t begun_us;
	struct uid_set copied; /* UIDs in the target, by earlier commits */
	bool is_last;
};

/* ERR_UNAVAILABLE: it was given up. */
MUST_CHECK struct error *check_pieces(
	struct op *op, struct commit_plan *plan, const struct copy_pieces *pieces);
/* This commit copies `count` more, to UIDs from `first_uid`. */
void plan_pieces(struct op *op, const struct mail_store *store, struct commit_plan *plan,
	const struct copy_pieces *pieces, struct mailbox_id to, uint32_t first_uid, size_t count);

/* Gives a new mailbox these entries, or, where there is no room for all of them, none. */
void plan_copied_metadata(struct op *op, struct commit_plan *plan, struct buf *entry,
	const struct metadata_list *metadata, struct mailbox_id to);

/* The annotations of a mailbox go with it; NULL: all of the account. */
void plan_forget_metadata(
	struct op *op, struct commit_plan *plan, const struct mailbox_id *mailbox);

/* Bits for keyword names in a mailbox that is being changed; new names are added to it. ERR_LIMIT
 * when the list is full (the message keeps no keyword then, if `may_drop`). */
MUST_CHECK struct error *plan_keywords(struct op *op, struct account_mailbox *row,
	const struct slice *names, size_t count, bool may_drop, struct keyword_set *ret_keywords);

/* These messages of the plan's snapshot are deleted: counts, quota, and the log item in `entry`. */
MUST_CHECK struct error *plan_deletion(struct op *op, struct mail_store *store,
	struct commit_plan *plan, const struct snapshot *snapshot, const struct uid_set *uids,
	struct buf *entry);

/* ERR_LIMIT when the account would go over its quota. */
MUST_CHECK struct error *plan_take_quota(struct op *op, struct mail_store *store,
	struct commit_plan *plan, uint64_t bytes, uint64_t count);

/* Counts a message in (+1) or out (-1) of a mailbox row. */
void count_message(struct account_mailbox *row, uint16_t flags, uint64_t size, int direction);

struct slice message_row_encode(struct arena *arena, const struct message *message);
MUST_CHECK struct error *message_row_decode(
	struct op *op, uint32_t uid, struct slice value, struct message *ret_message);
void message_to_row(
	struct arena *arena, const struct message *message, struct mailbox_message *ret_row);

/* Drives what a crash or an error left half-done in an account: the clean-up of removed mailboxes,
 * a large COPY that could not be finished. */
MUST_CHECK struct error *drive_intents(
	struct op *op, struct mail_store *store, struct account_id account);

/* Expunges what a COPY that did not get to its end has put into `target`; `rest` is the intent's
 * detail behind the target. Does nothing to one that may still be under way. */
MUST_CHECK struct error *undo_copy(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid intent, struct mailbox_id target,
	struct reader *rest);

/* As mailbox_expunge, each commit only as long as the intent stands. */
MUST_CHECK struct error *expunge_for_intent(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	struct uuid intent);

/* Has the account anything in its log that is not in its projections yet? No account owes nothing.
 */
MUST_CHECK struct error *account_owes(
	struct op *op, struct mail_store *store, struct account_id account, bool *ret_owes);

enum intent_kind { INTENT_REMOVE_MAILBOX = 1, INTENT_UNDO_COPY = 2 };

/* Entries of one commit: so many messages at the most. */
#define CHUNK_OF_MESSAGES 1000
