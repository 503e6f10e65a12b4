#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

static uint64_t value_messages(const struct mailbox_status *status)
{
	return status->messages;
}

static uint64_t value_recent(const struct mailbox_status *status)
{
	/* \Recent is a session's own; a mailbox that is not selected has none. */
	(void)status;
	return 0;
}

static uint64_t value_uidnext(const struct mailbox_status *status)
{
	return status->uidnext;
}

static uint64_t value_uidvalidity(const struct mailbox_status *status)
{
	return status->uidvalidity;
}

static uint64_t value_unseen(const struct mailbox_status *status)
{
	return status->unseen;
}

static uint64_t value_deleted(const struct mailbox_status *status)
{
	return status->deleted;
}

static uint64_t value_size(const struct mailbox_status *status)
{
	return status->bytes;
}

static uint64_t value_deleted_storage(const struct mailbox_status *status)
{
	return status->deleted_bytes;
}

static uint64_t value_modseq(const struct mailbox_status *status)
{
	return status->highest_modseq;
}

static uint64_t value_appendlimit(const struct mailbox_status *status)
{
	(void)status;
	return imap_limits.message_bytes;
}

static const struct {
	struct slice name;
	uint64_t (*value)(const struct mailbox_status *status); /* NULL: MAILBOXID */
} items[] = {
	{SLICE_INIT("MESSAGES"), value_messages},
	{SLICE_INIT("RECENT"), value_recent},
	{SLICE_INIT("UIDNEXT"), value_uidnext},
	{SLICE_INIT("UIDVALIDITY"), value_uidvalidity},
	{SLICE_INIT("UNSEEN"), value_unseen},
	{SLICE_INIT("DELETED"), value_deleted},
	{SLICE_INIT("SIZE"), value_size},
	{SLICE_INIT("DELETED-STORAGE"), value_deleted_storage},
	{SLICE_INIT("HIGHESTMODSEQ"), value_modseq},
	{SLICE_INIT("APPENDLIMIT"), value_appendlimit},
	{SLICE_INIT("MAILBOXID"), NULL},
};

static struct error *take_item(struct op *op, struct imap_args *args, unsigned *bits)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		if (slice_equal_nocase(name, items[i].name)) {
			*bits |= 1U << i;
			return NULL;
		}
	}
	return imap_bad(op, args, "There is no such status item");
}

struct error *imap_status_items_parse(
	struct op *op, struct imap_args *args, struct imap_status_items *ret_items)
{
	unsigned bits = 0;
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "Status items are a list");
	do {
		TRY(take_item(op, args, &bits));
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	ret_items->bits = bits;
	return NULL;
}

struct imap_status_items imap_status_items_of(struct slice names)
{
	struct imap_status_items wanted = {0};
	struct slice name;
	while (slice_split(&names, ' ', &name))
		for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
			if (slice_equal(name, items[i].name))
				wanted.bits |= 1U << i;
	return wanted;
}

void imap_write_status(struct op *op, struct imap_session *session,
	const struct mailbox_status *status, struct imap_status_items wanted)
{
	struct buf *out = session->out;
	bool first = true;
	buf_append(out, SLICE("* STATUS "));
	imap_write_name(op, session, status->path);
	buf_append(out, SLICE(" ("));
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		if (!(wanted.bits & 1U << i))
			continue;
		buf_printf(out, "%s" SLICE_FMT " ", first ? "" : " ", SLICE_ARG(items[i].name));
		if (items[i].value)
			buf_printf(out, "%llu", (unsigned long long)items[i].value(status));
		else
			buf_printf(out, "(F%s)", uuid_text(&op->arena, status->id.uuid));
		first = false;
	}
	buf_append(out, SLICE(")\r\n"));
}

/* STATUS (RFC 9051 6.3.11) */
IMAP_HANDLER(imap_status)
{
	struct slice path;
	struct imap_status_items wanted;
	struct imap_found found;
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &path));
	TRY(imap_space(op, args));
	TRY(imap_status_items_parse(op, args, &wanted));
	TRY(imap_end(op, args));
	TRY(imap_find(op, session, path, RIGHT_READ, &found));
	/* RFC 7162 3.1: asking for it turns it on. */
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
		if ((wanted.bits & 1U << i) && items[i].value == value_modseq)
			imap_enable_condstore(session);
	imap_write_status(op, session, &found.status, wanted);
	return NULL;
}
