#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

struct copy_args {
	struct uid_set uids;
	struct slice path;
};

static struct error *parse_copy(struct op *op, struct imap_session *session, struct imap_args *args,
	struct copy_args *ret_copy)
{
	struct imap_sequence messages;
	TRY(imap_space(op, args));
	TRY(imap_sequence(op, args, &messages));
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &ret_copy->path));
	TRY(imap_end(op, args));
	return imap_view_uids(op, args, session->view, &messages, args->is_uid, &ret_copy->uids);
}

static void print_numbers(struct op *op, struct buf *out, const uint32_t *numbers, size_t count)
{
	struct uid_set set;
	uid_set_init(&set, &op->arena);
	for (size_t i = 0; i < count; i++)
		uid_set_add(&set, numbers[i]);
	uid_set_print(&set, out);
}

/* "COPYUID validity from to": both sets ascend, so the n-th of one is the n-th of the other. */
static struct slice copyuid(struct op *op, const struct copy_result *result)
{
	struct buf code = buf_in(&op->arena);
	buf_printf(&code, "COPYUID %u ", result->uidvalidity);
	print_numbers(op, &code, result->from, result->count);
	buf_append_char(&code, ' ');
	print_numbers(op, &code, result->to, result->count);
	return buf_as_slice(&code);
}

static struct error *find_target(struct op *op, struct imap_session *session,
	struct imap_args *args, struct slice path, struct imap_found *ret_target)
{
	struct error *err = imap_find(op, session, path, RIGHT_INSERT, ret_target);
	if (err && err->kind == ERR_NOT_FOUND)
		args->no_code = SLICE("TRYCREATE");
	return err;
}

/* RFC 4315 3: not who may not select it. */
static bool may_know_uids(const struct imap_found *target)
{
	return target->rights & RIGHT_READ;
}

static struct error *copy_or_move(struct op *op, struct imap_session *session,
	const struct uid_set *uids, const struct imap_found *target, bool is_move,
	struct copy_result *result)
{
	bool keeps_all = (target->rights & RIGHTS_OF_FLAGS) == RIGHTS_OF_FLAGS;
	if (keeps_all && ID_EQUAL(session->mailbox_account, target->place.account))
		return (is_move ? mailbox_move : mailbox_copy)(op, session->store,
			session->mailbox_account, session->mailbox, uids, target->status.id,
			result);
	struct copy_across across = {.from_account = session->mailbox_account,
		.to_account = target->place.account,
		.from = session->mailbox,
		.to = target->status.id,
		.uids = uids,
		.flags = imap_flags_of_rights(target->rights),
		.keeps_keywords = target->rights & RIGHT_WRITE,
		.is_move = is_move};
	return mailbox_copy_across(op, session->store, &across, result);
}

static struct error *note_quota(struct imap_args *args, struct error *err)
{
	if (err && err->kind == ERR_LIMIT)
		args->no_code = SLICE("OVERQUOTA");
	return err;
}

static struct error *check_all(
	struct op *op, struct imap_args *args, const struct copy_args *copy, size_t done)
{
	if (args->is_uid || done == uid_set_size(&copy->uids))
		return NULL;
	args->no_code = SLICE("EXPUNGEISSUED");
	return op_fail(op, ERR_NOT_FOUND, "Some of the messages are gone");
}

/* COPY (RFC 9051 6.4.7) */
IMAP_HANDLER(imap_copy)
{
	struct copy_args copy;
	struct imap_found target;
	struct copy_result result = {0};
	TRY(parse_copy(op, session, args, &copy));
	TRY(find_target(op, session, args, copy.path, &target));
	if (uid_set_is_empty(&copy.uids))
		return NULL;
	TRY(note_quota(args, copy_or_move(op, session, &copy.uids, &target, false, &result)));
	if (result.count && may_know_uids(&target))
		args->ok_code = copyuid(op, &result);
	return check_all(op, args, &copy, result.count);
}

/* MOVE (RFC 9051 6.4.8): COPYUID comes untagged, before the EXPUNGE lines (RFC 6851 4.3). */
IMAP_HANDLER(imap_move)
{
	struct copy_args copy;
	struct imap_found target;
	struct copy_result result = {0};
	TRY(parse_copy(op, session, args, &copy));
	if (session->is_read_only)
		return op_fail(op, ERR_DENIED, "The mailbox is open for reading only");
	const unsigned needs = RIGHT_DELETE_MAIL | RIGHT_EXPUNGE;
	if ((session->rights & needs) != needs)
		return op_fail(op, ERR_DENIED, "You may not remove messages here");
	TRY(find_target(op, session, args, copy.path, &target));
	if (uid_set_is_empty(&copy.uids))
		return NULL;
	struct error *err = copy_or_move(op, session, &copy.uids, &target, true, &result);
	/* What has moved has moved, even if the rest could not. */
	if (result.count && may_know_uids(&target)) {
		struct slice code = copyuid(op, &result);
		buf_printf(session->out, "* OK [" SLICE_FMT "] Moved\r\n", SLICE_ARG(code));
	}
	TRY(note_quota(args, err));
	return check_all(op, args, &copy, result.count);
}
