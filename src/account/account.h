#pragma once

/* Who there is: domains, users, aliases, their passwords and quotas. Addresses are UTF-8; the local
 * part is folded to lower case, the domain to its lower-case ASCII form (IDNA). */

#include "base/op.h"
#include "mailbox/mailbox.h"
#include "schema/ids.h"

struct accounts;

struct address {
	struct slice local;  /* folded, without its detail */
	struct slice detail; /* after '+', or empty */
	struct slice domain;
	struct slice text; /* local@domain */
};

/* ERR_INVALID for what is no address. */
MUST_CHECK struct error *address_normalise(
	struct op *op, struct accounts *accounts, struct slice text, struct address *ret_address);

/* ---- For logins ---- */

struct login {
	struct account_id account;
	struct slice address;
	bool is_enabled;
	struct slice password; /* PHC string, argon2id */
	struct slice scram_salt;
	uint32_t scram_iterations;
	struct slice scram_stored_key; /* empty: SCRAM is not possible */
	struct slice scram_server_key;
};

/* ERR_NOT_FOUND: no such user. */
MUST_CHECK struct error *account_find_login(
	struct op *op, struct accounts *accounts, struct slice user_name, struct login *ret_login);

/* ---- For mail ---- */

struct delivery_target {
	struct account_id account;
	struct slice address; /* of the account */
};

/* The accounts behind a recipient, through aliases (several levels, each account once).
 * ERR_NOT_FOUND: no such user here. ERR_DENIED: not one of our domains. */
MUST_CHECK struct error *account_resolve(struct op *op, struct accounts *accounts,
	struct slice recipient, struct delivery_target **ret_targets, size_t *ret_count);

/* May this account send as this address: its own, or an alias that leads to it? */
MUST_CHECK struct error *account_may_send_as(struct op *op, struct accounts *accounts,
	struct account_id account, struct slice address, bool *ret_may);

/* The address of an account; ERR_NOT_FOUND. */
MUST_CHECK struct error *account_address(struct op *op, struct accounts *accounts,
	struct account_id account, struct slice *ret_address);

/* ---- Administration: each ERR_EXISTS, ERR_NOT_FOUND, ERR_INVALID as one expects ---- */

struct quota_limits {
	uint64_t bytes; /* 0: not set here */
	uint64_t count;
};

struct domain_info {
	struct slice name;
	struct quota_limits quota;
};

struct user_info {
	struct slice address;
	struct account_id account;
	bool is_enabled;
	struct quota_limits quota;
	uint64_t created_us;
};

struct alias_info {
	struct slice address;
	struct slice *targets;
	size_t target_count;
};

/* A part of a listing, which is ascending by name. */
struct list_part {
	struct slice domain;   /* of this one alone; empty: of all */
	struct slice contains; /* those with this in their name (ASCII case is the same) */
	struct slice after;    /* those behind this name */
	size_t limit;
	bool has_more;     /* out: there are others behind these */
	struct slice last; /* out: what to go on after */
};

/* What a user's password becomes: made by account/password.h. */
struct password_record {
	struct slice password;
	struct slice scram_salt;
	uint32_t scram_iterations;
	struct slice scram_stored_key;
	struct slice scram_server_key;
};

MUST_CHECK struct error *domain_create(struct op *op, struct accounts *accounts, struct slice name);
/* ERR_INVALID while it has users or aliases. */
MUST_CHECK struct error *domain_delete(struct op *op, struct accounts *accounts, struct slice name);
MUST_CHECK struct error *domain_get(struct op *op, struct accounts *accounts, struct slice name,
	struct domain_info *ret_domain);
MUST_CHECK struct error *domain_list(struct op *op, struct accounts *accounts,
	struct domain_info **ret_domains, size_t *ret_count);
MUST_CHECK struct error *domain_set_quota(
	struct op *op, struct accounts *accounts, struct slice name, struct quota_limits quota);

/* Makes the account too, with INBOX, Drafts, Sent, Junk, Trash and Archive. */
MUST_CHECK struct error *user_create(struct op *op, struct accounts *accounts, struct slice address,
	const struct password_record *password, struct account_id *ret_account);
/* The mail goes with the user; content after the grace period. */
MUST_CHECK struct error *user_delete(
	struct op *op, struct accounts *accounts, struct slice address);
MUST_CHECK struct error *user_get(
	struct op *op, struct accounts *accounts, struct slice address, struct user_info *ret_user);
MUST_CHECK struct error *user_list(struct op *op, struct accounts *accounts, struct list_part *part,
	struct user_info **ret_users, size_t *ret_count);
MUST_CHECK struct error *user_set_password(struct op *op, struct accounts *accounts,
	struct slice address, const struct password_record *password);
MUST_CHECK struct error *user_set_quota(
	struct op *op, struct accounts *accounts, struct slice address, struct quota_limits quota);
MUST_CHECK struct error *user_set_enabled(
	struct op *op, struct accounts *accounts, struct slice address, bool enabled);

/* Replaces the targets; they need not exist yet. */
MUST_CHECK struct error *alias_set(struct op *op, struct accounts *accounts, struct slice address,
	const struct slice *targets, size_t target_count);
MUST_CHECK struct error *alias_delete(
	struct op *op, struct accounts *accounts, struct slice address);
MUST_CHECK struct error *alias_get(struct op *op, struct accounts *accounts, struct slice address,
	struct alias_info *ret_alias);
MUST_CHECK struct error *alias_list(struct op *op, struct accounts *accounts,
	struct list_part *part, struct alias_info **ret_aliases, size_t *ret_count);
