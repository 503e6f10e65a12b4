#include "base/clock.h"
#include "format/imap_string.h"
#include "front/imap/imap_private.h"

/* What a client can count on, in the state it is in. */
static const struct capability {
	struct slice name;
	unsigned states;
} capabilities[] = {
	{SLICE_INIT("IMAP4rev1"), IMAP_ANY},
	{SLICE_INIT("IMAP4rev2"), IMAP_ANY},
	{SLICE_INIT("LITERAL+"), IMAP_ANY},
	{SLICE_INIT("SASL-IR"), IMAP_ANY},
	{SLICE_INIT("ID"), IMAP_ANY},
	{SLICE_INIT("ENABLE"), IMAP_ANY},
	{SLICE_INIT("IDLE"), IMAP_SIGNED_IN},
	{SLICE_INIT("NAMESPACE"), IMAP_SIGNED_IN},
	{SLICE_INIT("UIDPLUS"), IMAP_SIGNED_IN},
	{SLICE_INIT("MOVE"), IMAP_SIGNED_IN},
	{SLICE_INIT("UNSELECT"), IMAP_SIGNED_IN},
	{SLICE_INIT("CHILDREN"), IMAP_SIGNED_IN},
	{SLICE_INIT("SPECIAL-USE"), IMAP_SIGNED_IN},
	{SLICE_INIT("CREATE-SPECIAL-USE"), IMAP_SIGNED_IN},
	{SLICE_INIT("LIST-EXTENDED"), IMAP_SIGNED_IN},
	{SLICE_INIT("LIST-STATUS"), IMAP_SIGNED_IN},
	{SLICE_INIT("STATUS=SIZE"), IMAP_SIGNED_IN},
	{SLICE_INIT("METADATA"), IMAP_SIGNED_IN},
	{SLICE_INIT("LIST-METADATA"), IMAP_SIGNED_IN},
	{SLICE_INIT("COMPRESS=DEFLATE"), IMAP_SIGNED_IN},
	{SLICE_INIT("UNAUTHENTICATE"), IMAP_SIGNED_IN},
	{SLICE_INIT("WITHIN"), IMAP_SIGNED_IN},
	{SLICE_INIT("SAVEDATE"), IMAP_SIGNED_IN},
	{SLICE_INIT("PREVIEW"), IMAP_SIGNED_IN},
	{SLICE_INIT("PARTIAL"), IMAP_SIGNED_IN},
	{SLICE_INIT("UIDONLY"), IMAP_SIGNED_IN},
	{SLICE_INIT("CONTEXT=SEARCH"), IMAP_SIGNED_IN},
	{SLICE_INIT("MULTIAPPEND"), IMAP_SIGNED_IN},
	{SLICE_INIT("NOTIFY"), IMAP_SIGNED_IN},
	{SLICE_INIT("CATENATE"), IMAP_SIGNED_IN},
	{SLICE_INIT("REPLACE"), IMAP_SIGNED_IN},
	{SLICE_INIT("UTF8=ACCEPT"), IMAP_SIGNED_IN},
	{SLICE_INIT("ESEARCH"), IMAP_SIGNED_IN},
	{SLICE_INIT("SEARCHRES"), IMAP_SIGNED_IN},
	{SLICE_INIT("SORT"), IMAP_SIGNED_IN},
	{SLICE_INIT("SORT=DISPLAY"), IMAP_SIGNED_IN},
	{SLICE_INIT("ESORT"), IMAP_SIGNED_IN},
	{SLICE_INIT("THREAD=ORDEREDSUBJECT"), IMAP_SIGNED_IN},
	{SLICE_INIT("THREAD=REFERENCES"), IMAP_SIGNED_IN},
	{SLICE_INIT("INPROGRESS"), IMAP_SIGNED_IN},
	{SLICE_INIT("BINARY"), IMAP_SIGNED_IN},
	{SLICE_INIT("CONDSTORE"), IMAP_SIGNED_IN},
	{SLICE_INIT("QRESYNC"), IMAP_SIGNED_IN},
	{SLICE_INIT("QUOTA"), IMAP_SIGNED_IN},
	{SLICE_INIT("QUOTA=RES-STORAGE"), IMAP_SIGNED_IN},
	{SLICE_INIT("QUOTA=RES-MESSAGE"), IMAP_SIGNED_IN},
	{SLICE_INIT("OBJECTID"), IMAP_SIGNED_IN},
};

void imap_write_capabilities(struct imap_session *session)
{
	struct buf *out = session->out;
	bool first = true;
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (!(capabilities[i].states & session->state))
			continue;
		if (!first)
			buf_append_char(out, ' ');
		first = false;
		buf_append(out, capabilities[i].name);
	}
	if (session->state != IMAP_NOT_AUTHED) {
		if (search_has_words(session->search))
			buf_append(out, SLICE(" SEARCH=FUZZY"));
		buf_printf(out, " APPENDLIMIT=%llu", (unsigned long long)imap_limits.message_bytes);
		if (imap_other_users)
			buf_append(out, SLICE(" ACL RIGHTS=texk LIST-MYRIGHTS"));
		return;
	}
	if (session_can_start_tls(session->session) && !session_is_tls(session->session))
		buf_append(out, SLICE(" STARTTLS"));
	imap_write_mechanisms(session);
}

IMAP_HANDLER(imap_capability)
{
	TRY(imap_end(op, args));
	buf_append(session->out, SLICE("* CAPABILITY "));
	imap_write_capabilities(session);
	buf_append(session->out, SLICE("\r\n"));
	return NULL;
}

static const struct {
	struct slice name;
	void (*enable)(struct imap_session *session);
} extensions[] = {
	{SLICE_INIT("CONDSTORE"), imap_enable_condstore},
	{SLICE_INIT("QRESYNC"), imap_enable_qresync},
	{SLICE_INIT("IMAP4rev2"), imap_enable_rev2},
	{SLICE_INIT("UTF8=ACCEPT"), imap_enable_utf8},
	{SLICE_INIT("UIDONLY"), imap_enable_uidonly},
	{SLICE_INIT("METADATA"), imap_enable_metadata},
};

void imap_enable_qresync(struct imap_session *session)
{
	session->has_qresync = true;
	imap_enable_condstore(session);
}

void imap_enable_rev2(struct imap_session *session)
{
	session->has_rev2 = true;
}

void imap_enable_utf8(struct imap_session *session)
{
	session->has_utf8 = true;
}

/* RFC 5464 4.1. A MODSEQ is a time: what is changed from now on is told. */
void imap_enable_metadata(struct imap_session *session)
{
	if (!session->has_metadata)
		session->metadata_told = MAX_OF(session->metadata_told, clock_realtime_us());
	session->has_metadata = true;
}

void imap_enable_uidonly(struct imap_session *session)
{
	session->has_uidonly = true;
}

/* ENABLE (RFC 5161): what is not known is passed over. */
IMAP_HANDLER(imap_enable)
{
	struct buf enabled = buf_in(&op->arena);
	do {
		struct slice name;
		TRY(imap_space(op, args));
		TRY(imap_atom(op, args, &name));
		for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
			if (!slice_equal_nocase(name, extensions[i].name))
				continue;
			extensions[i].enable(session);
			buf_printf(&enabled, " " SLICE_FMT, SLICE_ARG(extensions[i].name));
		}
	} while (!imap_at_end(args));
	buf_append(session->out, SLICE("* ENABLED"));
	buf_append(session->out, buf_as_slice(&enabled));
	buf_append(session->out, SLICE("\r\n"));
	return NULL;
}

static struct error *skip_id_parameters(struct op *op, struct imap_args *args)
{
	TRY(imap_space(op, args));
	if (imap_take_word(args, SLICE("NIL")))
		return imap_end(op, args);
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "ID takes a list or NIL");
	for (size_t i = 0; !imap_take_char(args, ')'); i++) {
		struct slice text;
		if (i)
			TRY(imap_space(op, args));
		if (!imap_take_word(args, SLICE("NIL")))
			TRY(imap_string(op, args, &text));
	}
	return imap_end(op, args);
}

/* ID (RFC 2971) */
IMAP_HANDLER(imap_id)
{
	TRY(skip_id_parameters(op, args));
	buf_append(session->out, SLICE("* ID (\"name\" \"Holdfast\")\r\n"));
	return NULL;
}

IMAP_HANDLER(imap_noop)
{
	return imap_end(op, args);
}

IMAP_HANDLER(imap_logout)
{
	TRY(imap_end(op, args));
	buf_append(session->out, SLICE("* BYE Good bye\r\n"));
	imap_leave_mailbox(session);
	session->next_step = STEP_CLOSE;
	return NULL;
}

static void write_namespace(struct imap_session *session, const char *name)
{
	buf_append_char(session->out, ' ');
	if (!name) {
		buf_append(session->out, SLICE("NIL"));
		return;
	}
	struct buf prefix = buf_heap();
	buf_printf(&prefix, "%s/", name);
	buf_append(session->out, SLICE("(("));
	imap_print_string(session->out, buf_as_slice(&prefix));
	buf_append(session->out, SLICE(" \"/\"))"));
	buf_done(&prefix);
}

/* NAMESPACE (RFC 2342) */
IMAP_HANDLER(imap_namespace)
{
	TRY(imap_end(op, args));
	buf_append(session->out, SLICE("* NAMESPACE ((\"\" \"/\"))"));
	write_namespace(session, imap_other_users);
	write_namespace(session, imap_shared_account ? imap_shared_name : NULL);
	buf_append(session->out, SLICE("\r\n"));
	return NULL;
}
