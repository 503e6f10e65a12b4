#include "front/imap/imap_append.h"

#include "front/imap/imap_framer.h"
#include "front/imap/imap_private.h"

/* Messages put together of parts are on the heap until they are appended. */
struct assembled {
	struct buf contents[APPEND_BATCH_MAX];
	size_t count;
};

/* The content of each message, and all together, within the limits. */
static struct error *assemble(struct op *op, struct imap_session *session, struct imap_args *args,
	const struct append_message *message, uint64_t *inout_left, struct assembled *assembled,
	struct slice *ret_content)
{
	if (!message->is_catenated) {
		*ret_content = message->parts->text;
	} else {
		struct buf *content = &assembled->contents[assembled->count++];
		*content = buf_heap();
		TRY(imap_catenate(op, session, args, message,
			MIN_OF(imap_limits.message_bytes, *inout_left), content));
		*ret_content = buf_as_slice(content);
	}
	if (ret_content->len == 0)
		return op_fail(op, ERR_INVALID, "The message is empty");
	*inout_left -= MIN_OF(*inout_left, ret_content->len);
	return NULL;
}

/* Where to. */
struct target {
	struct imap_place place;
	struct mailbox_id mailbox; /* nil: one's own, found by its path in the commit */
	unsigned rights;
};

static struct error *find_target(struct op *op, struct imap_session *session,
	struct imap_args *args, struct slice name, struct target *ret_target)
{
	struct imap_found found;
	*ret_target = (struct target){.rights = RIGHTS_ALL};
	struct error *err = imap_place_of(op, session, name, &ret_target->place);
	if (!err && !imap_is_own(session, ret_target->place.account)) {
		err = imap_find(op, session, name, RIGHT_INSERT, &found);
		if (!err) {
			ret_target->mailbox = found.status.id;
			ret_target->rights = found.rights;
		}
	}
	if (err && err->kind == ERR_NOT_FOUND)
		args->no_code = SLICE("TRYCREATE");
	return err;
}

static struct error *make_requests(struct op *op, struct imap_session *session,
	struct imap_args *args, const struct append_args *append, const struct target *target,
	struct assembled *assembled, struct append_request **ret_requests)
{
	struct append_request *requests =
		ARENA_ARRAY(&op->arena, struct append_request, append->count);
	uint64_t left = MAX_OF(imap_limits.append_bytes, imap_limits.message_bytes);
	for (size_t i = 0; i < append->count; i++) {
		const struct append_message *message = &append->messages[i];
		requests[i] = (struct append_request){.account = target->place.account,
			.path = target->place.path,
			.mailbox = target->mailbox,
			.flags = message->flags.flags & imap_flags_of_rights(target->rights),
			.keywords = message->flags.keywords,
			.keyword_count =
				target->rights & RIGHT_WRITE ? message->flags.keyword_count : 0,
			.internal_date_us = message->internal_date_us};
		TRY(assemble(op, session, args, message, &left, assembled, &requests[i].content));
	}
	*ret_requests = requests;
	return NULL;
}

/* "APPENDUID 38505 3955:3957" (RFC 4315 3) */
static struct slice uid_code(struct op *op, const struct append_result *results, size_t count)
{
	struct uid_set uids;
	struct buf code = buf_in(&op->arena);
	uid_set_init(&uids, &op->arena);
	for (size_t i = 0; i < count; i++)
		uid_set_add(&uids, results[i].uid);
	buf_printf(&code, "APPENDUID %u ", results->uidvalidity);
	uid_set_print(&uids, &code);
	return buf_as_slice(&code);
}

static struct error *run(struct op *op, struct imap_session *session, struct imap_args *args,
	const struct append_args *append, const struct target *target, struct append_batch *batch,
	struct assembled *assembled, struct slice *ret_code)
{
	struct append_request *requests;
	struct append_result *results =
		ARENA_ARRAY(&op->arena, struct append_result, append->count);
	TRY(make_requests(op, session, args, append, target, assembled, &requests));
	batch->requests = requests;
	batch->count = append->count;
	struct error *err = mailbox_append_batch(op, session->store, batch, results);
	if (err && err->kind == ERR_NOT_FOUND)
		args->no_code =
			batch->replaced_is_gone ? SLICE("EXPUNGEISSUED") : SLICE("TRYCREATE");
	else if (err && err->kind == ERR_LIMIT)
		args->no_code = SLICE("OVERQUOTA");
	TRY(err);
	/* RFC 4315 3: not to who may not select it. */
	*ret_code = target->rights & RIGHT_READ ? uid_code(op, results, append->count) : SLICE_NONE;
	return NULL;
}

static struct error *append_messages(struct op *op, struct imap_session *session,
	struct imap_args *args, const struct append_args *append, const struct target *target,
	struct append_batch *batch, struct slice *ret_code)
{
	struct assembled *assembled = ARENA_NEW(&op->arena, struct assembled);
	struct error *err = run(op, session, args, append, target, batch, assembled, ret_code);
	for (size_t i = 0; i < assembled->count; i++)
		buf_done(&assembled->contents[i]);
	return err;
}

/* APPEND (RFC 9051 6.3.12, RFC 3502, RFC 4469, RFC 4315): all messages or none. */
IMAP_HANDLER(imap_append)
{
	struct append_args append;
	struct append_batch batch = {0};
	struct target target;
	TRY(imap_append_parse(op, args, session->has_utf8, &append));
	TRY(find_target(op, session, args, append.path, &target));
	return append_messages(op, session, args, &append, &target, &batch, &args->ok_code);
}

/* REPLACE (RFC 8508): the new message and the end of the old one are one commit. */
IMAP_HANDLER(imap_replace)
{
	struct imap_sequence sequence;
	struct append_args append;
	struct uid_set uids;
	struct slice code;
	TRY(imap_space(op, args));
	TRY(imap_sequence(op, args, &sequence));
	TRY(imap_append_parse(op, args, session->has_utf8, &append));
	if (sequence.is_saved || sequence.count != 1 ||
		sequence.ranges->first != sequence.ranges->last || append.count != 1)
		return imap_bad(op, args, "REPLACE puts one message in place of one");
	TRY(imap_view_uids(op, args, session->view, &sequence, args->is_uid, &uids));
	if (session->is_read_only)
		return op_fail(op, ERR_DENIED, "The mailbox is open for reading only");
	if (uid_set_is_empty(&uids))
		return op_fail(op, ERR_NOT_FOUND, "There is no such message");
	struct target target;
	TRY(find_target(op, session, args, append.path, &target));
	/* RFC 8508 3.3: as APPEND, and the old one is deleted and expunged. */
	const unsigned needs = RIGHT_DELETE_MAIL | RIGHT_EXPUNGE;
	if ((session->rights & needs) != needs)
		return op_fail(op, ERR_DENIED, "You may not remove messages here");
	if (!ID_EQUAL(target.place.account, session->mailbox_account))
		return op_fail(op, ERR_INVALID, "A message is replaced within one account only");
	struct append_batch batch = {
		.replaced_mailbox = session->mailbox, .replaced_uid = uids.ranges->first};
	TRY(append_messages(op, session, args, &append, &target, &batch, &code));
	if (code.len)
		buf_printf(session->out, "* OK [" SLICE_FMT "] The replacement is there\r\n",
			SLICE_ARG(code));
	return NULL;
}
