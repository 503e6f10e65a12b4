#pragma once

/* Takes the mail of another IMAP server into an account, step by step, each message once; and
 * compares what is there with what is here. One thread at a time for each `importing`. */

#include "base/setting.h"
#include "mailbox/store.h"
#include "wire/imap/client.h"

#define IMPORT_PATTERNS_MOST 64
#define IMPORT_CA_MOST KIB(16)

/* import.* */
extern const struct setting import_settings[];
extern const size_t import_setting_count;

/* ---- What is asked for ---- */

struct import_request {
	struct slice host;
	uint16_t port;
	enum imap_security security;
	struct slice ca_pem; /* empty: the system's */
	struct slice user;
	struct slice act_as; /* empty: the user's own mail */
	struct slice password;
	struct slice into; /* a path that all goes under; empty: none */
	/* Of mailboxes as they are called here, without `into`; '*' and '%' as in LIST. Those with
	 * '!' in front are left out. None: all. */
	struct slice *patterns;
	size_t pattern_count;
};

/* With the password: for a task's input alone. */
struct slice import_request_encode(struct arena *arena, const struct import_request *request);
bool import_request_decode(
	struct arena *arena, struct slice bytes, struct import_request *ret_request);

/* "imaps://user@host:993", without anything secret. */
struct slice import_request_source(struct arena *arena, const struct import_request *request);

/* ERR_INVALID: it cannot be asked for so. */
MUST_CHECK struct error *import_request_check(struct op *op, const struct import_request *request);

/* ---- Doing it ---- */

enum import_count {
	IMPORT_MAILBOXES,
	IMPORT_MESSAGES, /* of the source that were dealt with */
	IMPORT_ADDED,
	IMPORT_THERE, /* from an earlier time */
	IMPORT_FAILED,
	IMPORT_BYTES, /* of what was added */
	IMPORT_DIFFERENCES,
	IMPORT_COUNTS
};

struct import_report {
	uint64_t counts[IMPORT_COUNTS];
	void (*tell)(void *context, struct slice line); /* what people should know */
	void *context;
};

struct import_config {
	struct mail_store *store;
	struct account_id account;
	bool only_compares;
	bool (*goes_on)(void *context); /* asked while the source is waited for */
	bool (*pace)(void *context, size_t messages);
	void *context;
};

struct importing;

/* Copies both. Connects with the first step. */
struct importing *importing_new(
	const struct import_config *config, const struct import_request *request);

/* NULL is fine. */
void importing_free(struct importing *importing);

/* From a cursor, heap, empty at first, to the next; *ret_more false: it was the last. Adds to the
 * report. After an error the cursor is as before, and the step can be tried again;
 * ERR_UNAVAILABLE, ERR_TIMEOUT: it will help to wait. */
MUST_CHECK struct error *importing_step(struct op *op, struct importing *importing,
	struct buf *inout_cursor, struct import_report *report, bool *ret_more);

/* ---- What was put ---- */

struct import_record {
	struct slice host, user;
	struct slice mailbox; /* in the source, UTF-8 */
	uint32_t source_uidvalidity, source_uid;
	struct mailbox_id target;
	uint32_t uidvalidity, uid; /* here */
	struct slice sha256;
	uint64_t size;
	struct slice flags; /* names with a space between them */
	uint64_t received_us;
	struct slice cursor; /* what is after it comes next */
};

/* At most `limit` records behind a cursor (empty: from the first); *ret_count below it: these were
 * the last. */
MUST_CHECK struct error *import_records(struct op *op, struct mail_store *store,
	struct account_id account, struct slice after, size_t limit,
	struct import_record **ret_records, size_t *ret_count);

/* All of an account: what is imported afterwards may be there twice. */
MUST_CHECK struct error *import_forget(
	struct op *op, struct mail_store *store, struct account_id account);
