#pragma once

/* Inside import/ only. */

#include "base/hash_map.h"
#include "import/import.h"
#include "schema/tables.h"

struct import_limits {
	uint64_t message_bytes;
	uint64_t connect_ms;
	uint64_t idle_ms;
	uint64_t give_up_ms;
};
extern struct import_limits import_limits;

/* ---- names.c ---- */

struct source_mailbox {
	struct slice raw;  /* as the source writes it */
	struct slice name; /* in UTF-8 */
	struct slice own;  /* in our form, without what it goes under */
	struct slice path; /* here */
	uint32_t special_use;
	bool is_selectable;
	bool is_subscribed;
	const char *fault; /* why it cannot be taken; NULL: it can */
};

/* Fills in name, path, fault by `raw`. A personal namespace's prefix goes. */
void source_name(struct arena *arena, const struct import_request *request,
	const struct imap_namespaces *namespaces, char delimiter, struct source_mailbox *mailbox);

/* Is it chosen by the request's patterns? */
bool source_is_chosen(const struct import_request *request, const struct source_mailbox *mailbox);

/* Is it in a namespace of other users, or a shared one? */
bool source_is_foreign(const struct imap_namespaces *namespaces, struct slice raw);

/* ---- source.c ---- */

struct source_message {
	uint32_t uid;
	bool has_facts; /* what follows is told */
	struct slice *flags;
	size_t flag_count;
	struct slice date; /* as IMAP writes it */
	uint64_t size;
	bool has_content;
	struct slice content; /* ptr NULL: the source has none */
};

struct source {
	const struct import_request *request;
	struct imap_client_config config;
	struct imap_client *client;       /* NULL: not connected */
	struct arena arena;               /* of the list and the configuration */
	struct source_mailbox *mailboxes; /* ascending by raw */
	size_t count;
};

/* Connects and lists, unless that is done. */
MUST_CHECK struct error *source_open(struct op *op, struct source *source);
void source_close(struct source *source);

/* Overwrites it where it stands for the connection. */
void source_forget_password(struct source *source);

/* For reading alone. ERR_NOT_FOUND: the source says no. */
MUST_CHECK struct error *source_select(struct op *op, struct source *source,
	const struct source_mailbox *mailbox, uint32_t *ret_uidvalidity);

/* Ascending, in the operation's arena. */
MUST_CHECK struct error *source_uids(
	struct op *op, struct source *source, uint32_t **ret_uids, size_t *ret_count);

/* Flags, dates and sizes of messages, whose UIDs are set, ascending. What is no longer there is not
 * told. */
MUST_CHECK struct error *source_read_facts(
	struct op *op, struct source *source, struct source_message *messages, size_t count);

/* Their content, of at most `most` bytes in all and one literal more. */
MUST_CHECK struct error *source_read_content(struct op *op, struct source *source,
	struct source_message *messages, size_t count, size_t most);

/* ---- records.c ---- */

/* Where the record of a source mailbox is kept: made of host, user, mailbox and where it goes. */
struct uuid record_id(const struct import_request *request, struct slice raw);

MUST_CHECK struct error *record_find_source(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, bool *ret_found,
	struct imported_source *ret_source);
MUST_CHECK struct error *record_put_source(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, const struct imported_source *source);

struct record {
	uint32_t source_uidvalidity, source_uid;
	struct imported_message message;
};

MUST_CHECK struct error *record_find(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, uint32_t uidvalidity, uint32_t uid,
	bool *ret_found, struct imported_message *ret_message);
MUST_CHECK struct error *record_put(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, const struct record *records, size_t count);

/* Calls for each message of a source mailbox, ascending. */
typedef void (*record_visitor)(void *context, const struct record *record);
MUST_CHECK struct error *record_each(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, record_visitor visit, void *context);

/* Removes what was put by another UIDVALIDITY. */
MUST_CHECK struct error *record_drop_others(struct op *op, struct mail_store *store,
	struct account_id account, struct uuid id, uint32_t uidvalidity);

/* ---- take.c, compare.c ---- */

/* The mailbox that is being worked on. */
struct mailbox_work {
	const struct source_mailbox *from; /* NULL: none */
	struct uuid record;
	uint32_t uidvalidity;
	struct mailbox_id target;
	struct arena arena; /* of what follows */
	uint32_t *uids;     /* of the source, to be dealt with; ascending */
	size_t uid_count;
	size_t next;
	/* Put by another UIDVALIDITY, by SHA-256: lists of struct former. */
	struct hash_map former;
	bool has_former; /* there are rows of one */
};

struct importing {
	struct import_config config;
	struct import_request request; /* its texts are in the source's arena */
	struct source source;
	struct arena arena; /* of the request */
	struct mailbox_work work;
	bool one_by_one;           /* a batch had a message that is too large */
	uint64_t failing_since_ns; /* 0: the source answers */
};

/* Opens the target, and finds what is not there yet. Counts what is, above the UID `after`. */
MUST_CHECK struct error *take_begin(
	struct op *op, struct importing *importing, uint32_t after, struct import_report *report);

/* A batch of messages, whose content is there. */
MUST_CHECK struct error *take_batch(struct op *op, struct importing *importing,
	const struct source_message *messages, size_t count, struct import_report *report);
MUST_CHECK struct error *take_end(struct op *op, struct importing *importing);

MUST_CHECK struct error *compare_batch(struct op *op, struct importing *importing,
	const struct source_message *messages, size_t count, struct import_report *report);

/* A message that cannot be taken, or differs: counted and told. */
void import_tell(struct op *op, const struct importing *importing, struct import_report *report,
	enum import_count what, uint32_t uid, const char *why);

/* The date of a message in microseconds since 1970; false: it cannot be read. */
bool source_date(const struct source_message *message, uint64_t *ret_us);
