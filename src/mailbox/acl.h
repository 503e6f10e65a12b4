#pragma once

/* Who may do what with a mailbox (RFC 4314). The account that it belongs to may do everything,
 * always; others what the mailbox's list says. Checks of rights are the front end's; that only who
 * may do so changes a list is seen to here, in the commit. */

#include "mailbox/mailbox.h"

enum right {
	RIGHT_LOOKUP = 1 << 0,      /* l */
	RIGHT_READ = 1 << 1,        /* r */
	RIGHT_SEEN = 1 << 2,        /* s */
	RIGHT_WRITE = 1 << 3,       /* w */
	RIGHT_INSERT = 1 << 4,      /* i */
	RIGHT_POST = 1 << 5,        /* p */
	RIGHT_CREATE = 1 << 6,      /* k */
	RIGHT_DELETE = 1 << 7,      /* x: the mailbox */
	RIGHT_DELETE_MAIL = 1 << 8, /* t: \\Deleted */
	RIGHT_EXPUNGE = 1 << 9,     /* e */
	RIGHT_ADMIN = 1 << 10,      /* a */
};
#define RIGHTS_ALL 0x7ffU
#define RIGHTS_OF_FLAGS (RIGHT_SEEN | RIGHT_WRITE | RIGHT_DELETE_MAIL)
/* RFC 5464 3.3: who has one of them, and may look the mailbox up, may read its entries. */
#define RIGHTS_OF_METADATA (RIGHT_READ | RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT | RIGHT_POST)

/* Names of one list, and its bytes: it is written with each change of its mailbox. */
#define ACL_ENTRIES_MAX 100
#define ACL_BYTES_MAX KIB(8)

struct acl_entry {
	struct account_id account; /* nil: anyone */
	struct slice name;         /* as it was called then */
	bool is_negative;          /* these rights are taken away */
	unsigned rights;
};

struct acl {
	struct acl_entry *entries;
	size_t count;
};

struct slice acl_encode(struct arena *arena, const struct acl *acl);
bool acl_decode(struct arena *arena, struct slice bytes, struct acl *ret_acl);

/* What is given to somebody by name and to anyone, without what is taken away by either. */
unsigned acl_rights_of(const struct acl *acl, struct account_id who);

/* The same of a list as it is stored. */
MUST_CHECK struct error *acl_rights(
	struct op *op, struct slice acl, struct account_id who, unsigned *ret_rights);

enum acl_mode { ACL_REPLACE, ACL_ADD, ACL_REMOVE };

struct acl_change {
	struct account_id by; /* the owner, or somebody who has the right "a" */
	struct mailbox_id mailbox;
	struct acl_entry entry;
	enum acl_mode mode; /* no rights left: the entry goes */
};

/* ERR_DENIED: `by` may not. */
MUST_CHECK struct error *mailbox_change_acl(struct op *op, struct mail_store *store,
	struct account_id owner, const struct acl_change *change);

/* What somebody may do with a mailbox now. ERR_NOT_FOUND: it is gone. */
MUST_CHECK struct error *mailbox_rights(struct op *op, struct mail_store *store,
	struct account_id owner, struct mailbox_id mailbox, struct account_id who,
	unsigned *ret_rights);

/* Accounts that have something for somebody (or, if `for_anyone`, for everybody), ascending, each
 * once. A listing: one that was added a moment ago may be missing, one that is told of may have
 * nothing any more. */
MUST_CHECK struct error *mailbox_sharers(struct op *op, struct mail_store *store,
	struct account_id who, bool for_anyone, struct account_id **ret_owners, size_t *ret_count);

/* COPY and MOVE to another account, or to where not every flag may be set. The content is stored
 * anew: it is the receiving account's, and counted there. COPY is all or nothing. MOVE is a COPY
 * and an EXPUNGE of each hundred: a crash between them leaves some in both, and none in neither. */
struct copy_across {
	struct account_id from_account, to_account;
	struct mailbox_id from, to;
	const struct uid_set *uids;
	uint16_t flags; /* that may be set there */
	bool keeps_keywords;
	bool is_move;
};
MUST_CHECK struct error *mailbox_copy_across(struct op *op, struct mail_store *store,
	const struct copy_across *copy, struct copy_result *ret_result);
