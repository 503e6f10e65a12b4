#pragma once

/* Arguments of the commands about rights (RFC 4314). Included only inside front/imap. */

#include "front/imap/imap_parser.h"
#include "mailbox/acl.h"

/* In the order in which they are told; the last two are what some were once (RFC 4314 2.1.1). */
#define RIGHT_LETTERS 13
struct right_letter {
	char letter;
	unsigned right;
};
extern const struct right_letter right_letters[RIGHT_LETTERS];

struct acl_args {
	struct slice mailbox;
	struct slice identifier; /* as it was given */
	struct slice name;       /* without its dash */
	bool is_negative;
	enum acl_mode mode;
	unsigned rights;
};

/* From the space before the mailbox to the end: DELETEACL and LISTRIGHTS, which leave no rights. */
MUST_CHECK struct error *imap_identifier_parse(
	struct op *op, struct imap_args *args, struct acl_args *ret_acl);
MUST_CHECK struct error *imap_setacl_parse(
	struct op *op, struct imap_args *args, struct acl_args *ret_acl);
