#include "front/imap/imap_acl.h"

const struct right_letter right_letters[RIGHT_LETTERS] = {
	{'l', RIGHT_LOOKUP},
	{'r', RIGHT_READ},
	{'s', RIGHT_SEEN},
	{'w', RIGHT_WRITE},
	{'i', RIGHT_INSERT},
	{'p', RIGHT_POST},
	{'k', RIGHT_CREATE},
	{'x', RIGHT_DELETE},
	{'t', RIGHT_DELETE_MAIL},
	{'e', RIGHT_EXPUNGE},
	{'a', RIGHT_ADMIN},
	/* RFC 4314 2.1.1: what they were once. */
	{'c', RIGHT_CREATE | RIGHT_DELETE},
	{'d', RIGHT_DELETE_MAIL | RIGHT_EXPUNGE},
};

static struct error *take_identifier(
	struct op *op, struct imap_args *args, struct acl_args *ret_acl)
{
	*ret_acl = (struct acl_args){.mode = ACL_REPLACE};
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &ret_acl->mailbox));
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &ret_acl->identifier));
	ret_acl->is_negative = slice_starts_with(ret_acl->identifier, SLICE("-"));
	ret_acl->name = slice_from(ret_acl->identifier, ret_acl->is_negative);
	return ret_acl->name.len ? NULL : imap_bad(op, args, "The identifier is empty");
}

static unsigned right_of(char letter)
{
	for (size_t i = 0; i < RIGHT_LETTERS; i++)
		if (right_letters[i].letter == letter)
			return right_letters[i].right;
	return 0;
}

struct error *imap_identifier_parse(struct op *op, struct imap_args *args, struct acl_args *ret_acl)
{
	TRY(take_identifier(op, args, ret_acl));
	return imap_end(op, args);
}

struct error *imap_setacl_parse(struct op *op, struct imap_args *args, struct acl_args *ret_acl)
{
	struct slice text;
	TRY(take_identifier(op, args, ret_acl));
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &text));
	if (slice_starts_with(text, SLICE("+")))
		ret_acl->mode = ACL_ADD;
	else if (slice_starts_with(text, SLICE("-")))
		ret_acl->mode = ACL_REMOVE;
	for (size_t i = ret_acl->mode != ACL_REPLACE; i < text.len; i++) {
		unsigned right = right_of(text.ptr[i]);
		if (!right)
			return imap_bad(op, args, "There is no such right");
		ret_acl->rights |= right;
	}
	return imap_end(op, args);
}
