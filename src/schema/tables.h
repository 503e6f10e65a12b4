#pragma once

/* The tables, declared once: the C structs, their columns, their keys. What each is for, and in
 * which order they are written, stands in docs/consistency.md. */

#include "schema/ids.h"
#include "schema/table.h"

/* ---- account: the commit point. Everything of one account that needs one order. ---- */

struct account_static {
	uint64_t modseq;  /* hybrid clock, microseconds: max(now, last + 1) */
	uint32_t epoch;   /* these two are what a CAS compares */
	uint64_t applied; /* every projection holds the log up to here */
	uint64_t trimmed; /* log rows up to here are in account_log only */
	uint64_t mapped;  /* mailbox_map holds the log up to here */
	uint64_t used_bytes;
	uint32_t used_count;
	uint32_t uidvalidity_last;
	uint32_t segment;         /* of account_log, where the next trim writes */
	uint32_t segment_entries; /* so many it holds */
	struct slice address;     /* whose account it is */
	uint64_t oldest_change;   /* changes up to here are no longer listed one by one */
	struct slice home;        /* the data centre that decides its changes; empty: any */
};

enum account_row_kind {
	ACCOUNT_MAILBOX = 1,
	ACCOUNT_LOG = 2,
	ACCOUNT_INTENT = 3,
	ACCOUNT_SUBSCRIPTION = 4,
	ACCOUNT_ANNOTATION = 5
};

struct account_mailbox {
	struct slice path; /* NFC, hierarchy delimiter '/' */
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t highest_modseq;
	uint32_t messages;
	uint32_t unseen;
	uint32_t deleted;
	uint64_t bytes;
	uint64_t deleted_bytes;
	struct slice keywords; /* varint-counted names; the place of a name is its bit, for ever */
	uint32_t special_use;
	uint64_t created_modseq;
	uint64_t deleted_modseq; /* not 0: removed; its contents are being cleaned up */
	struct slice acl;        /* what others may do: mailbox/acl.h */
};

struct account_log {
	struct uuid operation_id;
	uint64_t previous; /* the MODSEQ of the log row before this one: a hole is seen */
	struct slice once_key;
	struct slice entry; /* schema/log_entry.h */
};

struct account_intent {
	uint8_t kind;
	struct slice detail;
};

struct account_subscription {
	uint64_t modseq;
};

/* Metadata (RFC 5464) of a mailbox or, under the nil id, of the account. The mailbox may be another
 * account's: then it is what this one alone notes of it. */
struct account_annotation {
	uint64_t modseq;
	struct slice value;
};

extern const struct table account_table;
extern const struct row_type account_static_row, account_mailbox_row, account_log_row,
	account_intent_row, account_subscription_row, account_annotation_row;

/* The log rows trimmed from `account`, immutable. */
extern const struct table account_log_table;

/* ---- once: is this delivery done already? ---- */

struct once {
	struct uuid operation_id;
	uint8_t released; /* its sender has seen the answer: the same bytes again are meant again */
	uint64_t modseq;
	struct uuid mailbox_id;
	uint32_t uid;
	uint32_t uidvalidity;
	struct uuid message_id;
};

extern const struct table once_table;
extern const struct row_type once_row;

/* ---- messages in mailboxes ---- */

#define MAILBOX_MESSAGE_BUCKET_BITS 13

struct mailbox_message {
	uint64_t modseq;
	struct uuid message_id;
	struct uuid blob_id;
	uint16_t flags;
	struct slice keywords; /* bit n: the n-th keyword of the mailbox; little-endian bytes, no
				  trailing 0 */
	uint64_t internal_date_us;
	uint64_t save_date_us;
	uint64_t size;
	uint32_t header_length;
	/* Where in the account it came first, if it was copied or moved here; else 0. */
	uint32_t first_uidvalidity;
	uint32_t first_uid;
};

extern const struct table mailbox_message_table;
extern const struct row_type mailbox_message_row;

#define MAILBOX_MAP_CHUNK_BITS 16

struct mailbox_map {
	uint64_t as_of;
	struct slice chunk; /* mailbox/map.h */
};

extern const struct table mailbox_map_table;
extern const struct row_type mailbox_map_row;

/* ---- message: what never changes about it, and where it is ---- */

enum message_row_kind {
	MESSAGE_SUMMARY = 1,
	MESSAGE_PLACE = 2,
	MESSAGE_GONE = 3,
	/* The last one, so that reads of the others end before it. */
	MESSAGE_CONTENT = 4
};

struct message_summary_columns {
	struct uuid account_id;
	struct uuid blob_id;
	uint64_t size;
	uint32_t header_length;
	struct slice envelope;
	struct slice body;
	struct slice bodystructure;
	uint64_t sent_at; /* seconds since 1970, of the Date field; 0: none */
	struct slice sha256;
	struct slice smtp_envelope; /* delivery/smtp_envelope.h; empty: it came by APPEND */
	uint16_t format; /* SUMMARY_FORMAT when it was made; 0: from before there was one */
};

struct message_place {
	uint64_t modseq;
};

/* Where it was when it was last expunged. There may be other places. */
enum gone_state { GONE_KEPT = 0, GONE_RESTORED = 1, GONE_PURGED = 2 };

struct message_gone {
	uint64_t modseq; /* of the expunge: its time */
	struct uuid account_id;
	struct uuid blob_id;
	struct uuid mailbox_id;
	struct slice path; /* of the mailbox, as it was called then */
	uint64_t internal_date_us;
	uint16_t flags;
	uint8_t in_vault;      /* the vault was on */
	uint8_t state;         /* enum gone_state */
	uint64_t known_modseq; /* when purged, the account had come so far: no place was left */
};

/* The content of a small message whose blob_id says that it stands here: blob/blob_inline.h. */
struct message_content {
	struct slice sha256; /* of the bytes as they stand here */
	struct slice bytes;
};

extern const struct table message_table;
extern const struct row_type message_summary_row, message_place_row, message_gone_row,
	message_content_row;

/* Which messages of an account have a MESSAGE_GONE row. Partition: account, period. */
#define VAULT_PERIOD_US (30 * 86400 * UINT64_C(1000000))

struct vault {
	uint64_t modseq;
};

extern const struct table vault_table;
extern const struct row_type vault_row;

/* ---- shared_to: which mailboxes of others somebody may do something with, for listings alone: the
 * rights stand with the mailbox. Partition: the account; nil: anyone. ---- */

struct shared_to {
	uint64_t modseq;
};

extern const struct table shared_to_table;
extern const struct row_type shared_to_row;

/* ---- content ---- */

enum blob_row_kind { BLOB_INFO = 1, BLOB_CHUNK = 2 };

struct blob_info {
	uint64_t size;
	uint32_t chunks;
	struct slice sha256;
};

struct blob_chunk {
	struct slice bytes;
};

extern const struct table blob_table;
extern const struct row_type blob_info_row, blob_chunk_row;

/* Who shares this blob, besides the message of the same id, whose own it is. */
struct blob_ref {
	struct uuid account_id;
};

extern const struct table blob_ref_table;
extern const struct row_type blob_ref_row;

/* Messages whose last place may have gone; reclaim looks at nothing else. Partition: shard, day; on
 * day 0 stand those that an administrator has purged, which do not wait. */
#define CANDIDATE_DAY_PURGED 0

struct blob_candidate {
	struct uuid blob_id;
	struct uuid account_id;
};

extern const struct table blob_candidate_table;
extern const struct row_type blob_candidate_row;

struct blob_state {
	uint32_t revision;
	uint8_t condemned;
};

extern const struct table blob_state_table;
extern const struct row_type blob_state_row;

/* ---- work list: accounts that may hold unapplied log rows. Partition: shard, slice. ---- */

#define DIRTY_SLICE_US (300 * UINT64_C(1000000))
#define DIRTY_SHARDS 16

struct dirty {
	uint8_t epoch;
};

extern const struct table dirty_table;
extern const struct row_type dirty_row;

/* ---- people ---- */

struct user {
	uint32_t revision;
	struct uuid account_id;
	uint8_t state;         /* enum user_state */
	struct slice password; /* argon2id, PHC string */
	struct slice scram_salt;
	uint32_t scram_iterations;
	struct slice scram_stored_key;
	struct slice scram_server_key;
	uint64_t quota_bytes; /* 0: not set here */
	uint64_t quota_count;
	uint64_t created_us;
};

extern const struct table user_table;
extern const struct row_type user_row;

struct domain {
	uint32_t revision;
	uint8_t state;
	uint64_t quota_bytes; /* of each account in it; 0: not set here */
	uint64_t quota_count;
	uint64_t created_us;
};

extern const struct table domain_table;
extern const struct row_type domain_row;

struct alias {
	uint32_t revision;
	uint8_t state;
	struct slice targets; /* varint-counted addresses */
};

extern const struct table alias_table;
extern const struct row_type alias_row;

/* Names for listing: a projection of the three above. Partition: kind, shard; key: the name. */
enum directory_kind { DIRECTORY_DOMAIN = 1, DIRECTORY_USER = 2, DIRECTORY_ALIAS = 3 };
#define DIRECTORY_SHARDS 16

struct directory {
	struct uuid account_id;
};

extern const struct table directory_table;
extern const struct row_type directory_row;

/* The operation that a ledger or a probe writes to show the engine takes writes. */
struct probe {
	uint64_t at_us;
};

extern const struct table probe_table;
extern const struct row_type probe_row;

/* The nodes that serve from these tables. Partition: 0, 0. */
struct node {
	struct slice name;
	struct slice datacenter;
	struct slice version;
	uint64_t started_us;
	uint64_t seen_us;
};

extern const struct table node_table;
extern const struct row_type node_row;

/* ---- tokens of administrators. Partition: 0, 0; kind 0: a token, kind 1: when it was last
 * used ---- */

struct admin_token {
	struct slice hash; /* SHA-256 of what its holder knows */
	struct slice name;
	uint8_t role;
	struct slice domain; /* empty: of all */
	uint64_t created_us;
	uint64_t expires_us; /* 0: never */
};

struct admin_token_use {
	uint64_t used_us;
};

extern const struct table admin_token_table;
extern const struct row_type admin_token_row;
extern const struct row_type admin_token_use_row;

/* ---- tasks of the administrator: all of a data centre in one partition, changed by CAS on its
 * revision. Partition: 0, data centre. ---- */

struct task_list {
	uint64_t revision;
};

enum task_state {
	TASK_QUEUED = 0,
	TASK_RUNNING = 1,
	TASK_DONE = 2,
	TASK_FAILED = 3,
	TASK_CANCELLED = 4
};

struct task {
	struct slice kind;
	struct slice subject; /* an address; empty: everything */
	uint32_t rate;        /* rows in a second; 0: the setting's */
	uint8_t state;        /* enum task_state */
	uint8_t is_cancelling;
	uint64_t created_us;
	uint64_t started_us; /* the first time */
	uint64_t ended_us;
	uint32_t runs;       /* how often it was taken up */
	struct uuid node_id; /* who has it, or had it last */
	struct slice node;   /* its name */
	struct uuid lease;   /* another one each time it is taken up */
	uint64_t lease_until_us;
	struct slice cursor;   /* the kind's */
	struct slice counts;   /* the kind's: varints */
	struct slice findings; /* lines of text */
	uint32_t findings_left_out;
	struct slice error;  /* why it failed, or was tried again */
	struct slice source; /* where it reads from, for people; empty: here */
	/* What it needs besides, the kind's, passwords among it: gone when it has ended, and shown
	 * to nobody. */
	struct slice input;
};

extern const struct table task_table;
extern const struct row_type task_list_row, task_row;

/* ---- followers of accounts' logs (consumer/). Partition: the account; of the nil account the
 * cursor is where the consumer begins with accounts that it has no cursor of. ---- */

enum cursor_row_kind { CURSOR_AT = 0, CURSOR_RETRY = 1 };

struct cursor {
	uint64_t modseq; /* everything up to here has had its effect */
};

/* The event that comes next has failed. Of no meaning once the cursor has reached it. */
struct cursor_retry {
	uint64_t modseq; /* of the event */
	uint32_t attempts;
	uint64_t next_try_us;
	uint64_t first_failed_us;
	struct slice last_error;
};

extern const struct table cursor_table;
extern const struct row_type cursor_row, cursor_retry_row;

/* An event that was given up on. Partition: the day of its MODSEQ, the consumer. */
#define DEAD_LETTER_DAY_US (86400 * UINT64_C(1000000))

struct dead_letter {
	uint32_t attempts;
	uint64_t first_failed_us;
	uint64_t failed_us; /* the last time */
	struct slice last_error;
	struct slice address; /* of the account, as it was called then */
	struct uuid operation_id;
	struct slice payload; /* the entry of the log, whatever the log still keeps */
};

extern const struct table dead_letter_table;
extern const struct row_type dead_letter_row;

/* What each account was last seen to hold, for reports alone. Partition: shard, domain. */
#define USAGE_SHARDS 16

struct usage {
	uint64_t modseq; /* as of here */
	uint64_t bytes;
	uint64_t messages;
};

extern const struct table usage_table;
extern const struct row_type usage_row;

/* ---- what was imported from other servers (import/). Partition: the account, and the source
 * mailbox; of the nil source: the source mailboxes. ---- */

enum imported_row_kind { IMPORTED_SOURCE = 0, IMPORTED_MESSAGE = 1 };

struct imported_source {
	struct slice host;
	struct slice user;      /* whose mail it is there */
	struct slice mailbox;   /* as the source has it, in UTF-8 */
	uint32_t uidvalidity;   /* of the source */
	struct uuid mailbox_id; /* where it goes to */
};

/* A message that was put, by UIDVALIDITY and UID of its source: as it came. */
struct imported_message {
	struct uuid mailbox_id; /* where it was put */
	uint32_t uidvalidity;
	uint32_t uid;
	struct slice sha256;
	uint64_t size;
	struct slice flags; /* names with a space between them */
	uint64_t received_us;
};

extern const struct table imported_table;
extern const struct row_type imported_source_row, imported_message_row;

/* ---- keys: each in the arena ---- */

struct slice key_account(struct arena *arena, struct account_id account, uint32_t epoch);
struct slice key_account_row(struct arena *arena, enum account_row_kind kind, struct slice id);
struct slice key_annotation(struct arena *arena, struct mailbox_id mailbox, struct slice name);
struct slice key_account_log(struct arena *arena, uint64_t modseq);
struct slice key_log_segment(struct arena *arena, struct account_id account, uint32_t segment);
struct slice key_once(struct arena *arena, struct account_id account, struct slice once_key);
struct slice key_message_bucket(struct arena *arena, struct mailbox_id mailbox, uint32_t uid);
struct slice key_u32_row(struct arena *arena, uint32_t value);
struct slice key_u64_row(struct arena *arena, uint64_t value);
struct slice key_id(struct arena *arena, struct uuid id);
struct slice key_id_row(struct arena *arena, uint8_t kind, struct uuid id);
struct slice key_kind_row(struct arena *arena, uint8_t kind);
struct slice key_place(struct arena *arena, struct mailbox_id mailbox, uint32_t uid);
struct slice key_shared_to(struct arena *arena, struct account_id owner, struct mailbox_id mailbox);
struct slice key_blob_chunk(struct arena *arena, uint32_t chunk);
struct slice key_vault(struct arena *arena, struct account_id account, uint64_t modseq);
struct slice key_candidates(struct arena *arena, struct message_id message, uint64_t modseq);
struct slice key_shard(struct arena *arena, uint8_t shard, uint32_t number);
struct slice key_directory(struct arena *arena, enum directory_kind kind, struct slice name);
struct slice key_directory_shard(struct arena *arena, enum directory_kind kind, uint8_t shard);
struct slice key_tasks(struct arena *arena, struct slice datacenter);
struct slice key_text_row(struct arena *arena, struct slice text);
struct slice key_cursor_row(struct arena *arena, enum cursor_row_kind kind, struct slice consumer);
struct slice key_dead_letters(struct arena *arena, struct slice consumer, uint64_t modseq);
struct slice key_dead_letter(struct arena *arena, struct account_id account, uint64_t modseq);
struct slice key_imported(struct arena *arena, struct account_id account, struct uuid source);
struct slice key_imported_message(struct arena *arena, uint32_t uidvalidity, uint32_t uid);
struct slice key_usage_shard(struct arena *arena, uint8_t shard, struct slice domain);
struct slice key_usage(struct arena *arena, struct account_id account, struct slice domain);

/* Which of the DIRTY_SHARDS an account belongs to. */
uint8_t dirty_shard(struct account_id account);

/* Which of the DIRTY_SHARDS of a day a reclaim candidate belongs to. */
uint8_t candidate_shard(struct message_id message);
