#include "front/imap/imap_append.h"

#include "format/imap_string.h"
#include "format/imap_url.h"
#include "front/imap/imap_fetch.h"
#include "front/imap/imap_private.h"

/* NO [BADURL "…"] (RFC 4469 4.2) */
static struct error *bad_url(struct op *op, struct imap_args *args, struct slice text)
{
	struct buf code = buf_in(&op->arena);
	buf_append(&code, SLICE("BADURL "));
	imap_print_string(&code, slice_range(text, 0, IMAP_URL_MAX));
	args->no_code = buf_as_slice(&code);
	return op_fail(op, ERR_INVALID, "The URL names nothing that is here");
}

static struct error *too_big(struct op *op, struct imap_args *args)
{
	args->no_code = SLICE("TOOBIG");
	return op_fail(op, ERR_LIMIT, "The message is too large");
}

/* *ret_found: the mailbox is there, and is the one that was meant. */
static struct error *find_mailbox(struct op *op, struct imap_session *session,
	const struct imap_url *url, struct account_id *ret_account, struct mailbox_id *ret_mailbox,
	bool *ret_found)
{
	struct imap_args name = {.has_utf8 = true};
	struct imap_found found;
	struct slice path;
	*ret_found = false;
	*ret_account = session->mailbox_account;
	*ret_mailbox = session->mailbox;
	if (!url->mailbox.len) {
		*ret_found = session->state == IMAP_SELECTED;
		return NULL;
	}
	struct error *err = imap_name_to_path(op, &name, url->mailbox, &path);
	if (err && err->kind == ERR_INVALID)
		return NULL;
	TRY(err);
	err = imap_find(op, session, path, RIGHT_READ, &found);
	if (err && (err->kind == ERR_NOT_FOUND || err->kind == ERR_DENIED))
		return NULL;
	TRY(err);
	*ret_account = found.place.account;
	*ret_mailbox = found.status.id;
	*ret_found = !url->uidvalidity || url->uidvalidity == found.status.uidvalidity;
	return NULL;
}

/* "1.2.MIME" of a URL, as FETCH would read it. */
static bool parse_section(struct op *op, struct slice text, struct section *ret_section)
{
	struct imap_args args = {0};
	args.line = args.rest =
		slice_from_cstr(arena_printf(&op->arena, SLICE_FMT "]", SLICE_ARG(text)));
	return !imap_section(op, &args, ret_section) && imap_at_end(&args);
}

static struct error *read_url(struct op *op, struct imap_session *session,
	const struct imap_url *url, struct slice *ret_bytes, bool *ret_found)
{
	struct section section = {0};
	struct account_id account;
	struct mailbox_id mailbox;
	struct uid_set uids;
	struct message *rows;
	size_t count;
	TRY(find_mailbox(op, session, url, &account, &mailbox, ret_found));
	*ret_found = *ret_found && (!url->section.len || parse_section(op, url->section, &section));
	if (!*ret_found)
		return NULL;
	uid_set_init(&uids, &op->arena);
	uid_set_add(&uids, url->uid);
	TRY(mailbox_messages(op, session->store, account, mailbox, &uids, &rows, &count));
	*ret_found = count == 1;
	if (!*ret_found)
		return NULL;
	TRY(message_content(op, session->store, &rows[0], 0, SIZE_MAX, ret_bytes));
	struct slice message = *ret_bytes;
	if (url->section.len)
		*ret_found = section_locate(
			&op->arena, message, mime_scan(&op->arena, message), &section, ret_bytes);
	if (*ret_found && url->has_partial)
		*ret_bytes = slice_range(*ret_bytes, url->offset,
			url->length ? (size_t)url->offset + url->length : SIZE_MAX);
	return NULL;
}

static struct error *append_url(struct op *op, struct imap_session *session, struct imap_args *args,
	struct slice text, uint64_t most, struct buf *out)
{
	struct imap_url url;
	struct slice bytes;
	bool found;
	if (!imap_url_parse(&op->arena, text, &url))
		return bad_url(op, args, text);
	TRY(read_url(op, session, &url, &bytes, &found));
	if (!found)
		return bad_url(op, args, text);
	if (out->len + bytes.len > most)
		return too_big(op, args);
	buf_append(out, bytes);
	return NULL;
}

struct error *imap_catenate(struct op *op, struct imap_session *session, struct imap_args *args,
	const struct append_message *message, uint64_t most, struct buf *out)
{
	for (size_t i = 0; i < message->part_count; i++) {
		const struct append_part *part = &message->parts[i];
		/* What one URL took is given back before the next is read. */
		struct arena_mark mark = arena_mark(&op->arena);
		if (part->is_url)
			TRY(append_url(op, session, args, part->text, most, out));
		else if (out->len + part->text.len > most)
			return too_big(op, args);
		else
			buf_append(out, part->text);
		arena_release(&op->arena, mark);
	}
	return NULL;
}
