#pragma once

/* One message to its recipients, each with an outcome of its own. A retry of the same delivery,
 * by a sender who cannot have seen our answer, is found by its once-key and gives one copy; equal
 * mail sent again on purpose gives two. */

#include "account/account.h"
#include "mailbox/mailbox.h"

struct delivery_service {
	struct accounts *accounts;
	struct mail_store *store;
};

struct delivery_mail {
	struct slice sender;            /* reverse path as given; empty for <> */
	struct slice sender_parameters; /* as given: part of what makes two deliveries the same */
	struct slice received_by_us;    /* our own Received field, with its line break */
	struct slice content;           /* every byte as received */
	bool has_received_id;           /* both by delivery_prepare() */
	uint8_t digest[32];             /* SHA-256 of the content */
	const char *protocol, *peer;    /* for the log */
};

struct delivery_recipient {
	struct slice address;    /* as given */
	struct slice parameters; /* as given */
	struct delivery_target *targets;
	size_t target_count;
};

/* A key to be given up once the sender has seen the answer. */
struct delivery_key {
	struct account_id account;
	uint8_t once_key[ONCE_KEY_SIZE];
};

/* Fills in what is made from the content. */
void delivery_prepare(struct delivery_mail *mail);

/* Who gets mail for this address. ERR_NOT_FOUND: nobody. ERR_DENIED: not our domain. */
MUST_CHECK struct error *delivery_resolve(struct op *op, const struct delivery_service *service,
	struct slice address, struct delivery_target **ret_targets, size_t *ret_count);

/* Delivers to one recipient. NULL: it is in every target's mailbox, now or since an earlier try.
 * ret_keys[target_count], in the arena: to be released when the sender has seen success; none if
 * *ret_key_count is 0. ERR_UNCERTAIN and the temporary kinds: the sender is to try again. */
MUST_CHECK struct error *deliver_message(struct op *op, const struct delivery_service *service,
	const struct delivery_mail *mail, const struct delivery_recipient *recipient,
	struct delivery_key **ret_keys, size_t *ret_key_count);

/* The sender has seen the answer. Failing keeps the key, which is safe: logged, not told. */
void delivery_release(struct op *op, const struct delivery_service *service,
	const struct delivery_key *keys, size_t count);
