#pragma once

/* Deleted mail, as long as its content is kept: the grace period made visible. A message is in the
 * vault when it was expunged while the vault was on, is in no mailbox any more, and has not been
 * restored, purged or reclaimed. Any thread; results live in the operation's arena. */

#include "mailbox/mailbox.h"

struct vault_message {
	struct message_id id;
	struct blob_id blob;
	uint64_t deleted_us; /* microseconds since 1970 */
	struct slice path;   /* of the mailbox it was in, as it was called then */
	uint64_t internal_date_us;
	uint16_t flags;
	uint64_t size; /* octets */
	struct slice envelope;
	struct slice smtp_envelope;
};

enum vault_field {
	VAULT_ANYWHERE,
	VAULT_SUBJECT,
	VAULT_FROM,
	VAULT_TO,   /* and Cc */
	VAULT_DATE, /* of the Date field, as it was written, and as 2026-01-31 */
	VAULT_TEXT, /* all header fields and texts of the message: its content is read */
};

struct vault_term {
	enum vault_field field;
	struct slice folded; /* by utf8_fold */
};

/* "subject:words", "from:", "to:", "date:", "text:", or words that may be anywhere. */
struct vault_term vault_term_parse(struct arena *arena, struct slice text);

struct vault_filter {
	uint64_t since_us; /* deleted then or later */
	uint64_t until_us; /* deleted before; 0: no such limit */
	struct slice path; /* of the mailbox it was in; empty: any */
	const struct vault_term
		*terms; /* all of them are found; upper and lower case are the same */
	size_t term_count;
	size_t limit;
};

/* The last deleted first. *ret_has_more: there are others beyond the limit. ERR_NOT_FOUND: no such
 * account. */
MUST_CHECK struct error *vault_list(struct op *op, struct mail_store *store,
	struct account_id account, const struct vault_filter *filter,
	struct vault_message **ret_messages, size_t *ret_count, bool *ret_has_more);

/* ERR_NOT_FOUND: it is not in this account's vault. */
MUST_CHECK struct error *vault_get(struct op *op, struct mail_store *store,
	struct account_id account, struct message_id id, struct vault_message *ret_message);

/* The whole message. ERR_NOT_FOUND: reclaim was faster. */
MUST_CHECK struct error *vault_content(struct op *op, struct mail_store *store,
	const struct vault_message *message, struct slice *ret_bytes);

/* Appends the message to a mailbox of `target`, made if it is not there, with its date and system
 * flags but \Deleted; the keywords are gone. Its bytes are stored anew, so that nothing depends on
 * content that may be condemned already. Repeating it after ERR_UNCERTAIN gives no second one.
 * ERR_NOT_FOUND, ERR_LIMIT: as vault_get, mailbox_append. */
MUST_CHECK struct error *vault_restore(struct op *op, struct mail_store *store,
	struct account_id account, struct message_id id, struct account_id target,
	struct slice path, struct append_result *ret_result);

/* The next round of reclaim removes the content, if it is nobody's then. ERR_NOT_FOUND: as
 * vault_get. */
MUST_CHECK struct error *vault_purge(
	struct op *op, struct mail_store *store, struct account_id account, struct message_id id);
