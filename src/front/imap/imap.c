#include "front/imap/imap.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "front/imap/imap_live.h"
#include "front/imap/imap_metadata.h"
#include "front/imap/imap_notify.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_sort_keys.h"
#include "session/watch.h"

METRIC_COUNTER(imap_commands, "imap_commands_total", "IMAP commands run");
METRIC_COUNTER(imap_failures, "imap_failures_total", "IMAP commands answered with NO or BAD");

/* The longest line a setting may allow, and room to see that it is too long. */
#define LINE_BYTES_MAX MIB(1)

static uint64_t idle_timeout_ms;
static uint64_t unknown_idle_timeout_ms;

const struct setting imap_settings[] = {
	{
		.name = "imap.max_line",
		.type = SETTING_BYTES,
		.target = &imap_limits.line_bytes,
		.default_value = "64 KiB",
		.min = KIB(8),
		.max = LINE_BYTES_MAX,
		.reloadable = true,
		.help = "Longest IMAP command, without the message of an APPEND.",
	},
	{
		.name = "imap.max_message",
		.type = SETTING_BYTES,
		.target = &imap_limits.message_bytes,
		.default_value = "50 MiB",
		.min = KIB(64),
		.max = MIB(1024),
		.reloadable = true,
		.help = "Largest message that APPEND takes (APPENDLIMIT).",
	},
	{
		.name = "imap.max_append",
		.type = SETTING_BYTES,
		.target = &imap_limits.append_bytes,
		.default_value = "100 MiB",
		.min = KIB(64),
		.max = MIB(4096),
		.reloadable = true,
		.help = "Most that one APPEND takes in all, of several messages or parts of one.",
	},
	{
		.name = "imap.progress_interval",
		.type = SETTING_DURATION,
		.target = &imap_progress_interval_ms,
		.default_value = "10 s",
		.min = 1,
		.max = 3600 * 1000,
		.reloadable = true,
		.help = "How often a SEARCH, SORT or THREAD that takes long says so (INPROGRESS).",
	},
	{
		.name = "imap.sort_cache",
		.type = SETTING_BYTES,
		.target = &sort_keys_cache_bytes,
		.default_value = "32 MiB",
		.min = 0,
		.max = MIB(1048576),
		.help = "Memory for what messages have been sorted and threaded by.",
	},
	{
		.name = "imap.metadata_value",
		.type = SETTING_BYTES,
		.target = &metadata_limits.value_bytes,
		.default_value = "8 KiB",
		.min = KIB(1),
		.max = KIB(64),
		.reloadable = true,
		.help = "Largest value of an entry of METADATA.",
	},
	{
		.name = "imap.metadata_entries",
		.type = SETTING_NUMBER,
		.target = &metadata_limits.entries,
		.default_value = "100",
		.min = 10,
		.max = 1000,
		.reloadable = true,
		.help = "Most entries of METADATA that a mailbox has, or an account beside its "
			"mailboxes.",
	},
	{
		.name = "imap.metadata_account",
		.type = SETTING_BYTES,
		.target = &metadata_limits.account_bytes,
		.default_value = "256 KiB",
		.min = KIB(16),
		.max = MIB(4),
		.reloadable = true,
		.help = "All METADATA of an account. It is in memory while the account is in use.",
	},
	{
		.name = "imap.admin_contact",
		.type = SETTING_TEXT,
		.target = &imap_server_admin,
		.default_value = "",
		.help = "How users reach the administrator, as a URI: METADATA's /shared/admin.",
	},
	{
		.name = "imap.comment",
		.type = SETTING_TEXT,
		.target = &imap_server_comment,
		.default_value = "",
		.help = "What the server says of itself: METADATA's /shared/comment.",
	},
	{
		.name = "imap.other_users",
		.type = SETTING_TEXT,
		.target = &imap_other_users,
		.default_value = "Other Users",
		.help = "Under which name users find what others share with them; empty: nobody "
			"shares anything (ACL).",
	},
	{
		.name = "imap.shared_account",
		.type = SETTING_TEXT,
		.target = &imap_shared_account,
		.default_value = "",
		.help = "The address of an account whose mailboxes have a namespace of their own, "
			"and may be shared with anyone.",
	},
	{
		.name = "imap.shared_name",
		.type = SETTING_TEXT,
		.target = &imap_shared_name,
		.default_value = "Shared",
		.help = "Under which name users find the mailboxes of imap.shared_account.",
	},
	{
		.name = "imap.acl_anyone",
		.type = SETTING_BOOL,
		.target = &imap_anyone_is_allowed,
		.default_value = "no",
		.help = "May every user share mailboxes with everybody (\"anyone\")?",
	},
	{
		.name = "imap.idle_timeout",
		.type = SETTING_DURATION,
		.target = &idle_timeout_ms,
		.default_value = "31 min",
		.min = 60 * 1000,
		.max = UINT64_C(24) * 3600 * 1000,
		.help = "Silence after which a signed-in IMAP client is dropped; RFC 9051 asks for "
			"30 minutes or more.",
	},
	{
		.name = "imap.unknown_idle_timeout",
		.type = SETTING_DURATION,
		.target = &unknown_idle_timeout_ms,
		.default_value = "1 min",
		.min = 1000,
		.max = UINT64_C(3600) * 1000,
		.help = "Silence after which an IMAP client that has not signed in is dropped.",
	},
};
const size_t imap_setting_count = ARRAY_SIZE(imap_settings);

void imap_account_changed(void *context, struct account_id account)
{
	(void)context;
	watch_wake(ID_SLICE(account));
}

static struct imap_session *begin_step(struct session *session)
{
	struct imap_session *imap = session_state(session);
	imap->session = session;
	imap->out = session_output(session);
	imap->next_step = STEP_DONE;
	return imap;
}

static enum step greet(struct op *op, struct session *session)
{
	(void)op;
	struct imap_session *imap = begin_step(session);
	struct imap_context *context = session_context(session);
	imap->store = context->store;
	imap->accounts = context->accounts;
	imap->search = context->search;
	imap->state = IMAP_NOT_AUTHED;
	buf_append(imap->out, SLICE("* OK [CAPABILITY "));
	imap_write_capabilities(imap);
	buf_append(imap->out, SLICE("] Holdfast ready\r\n"));
	return STEP_DONE;
}

/* Why a command cannot be run now; NULL if it can. */
static const char *refusal(
	const struct imap_session *imap, const struct imap_command *row, unsigned flags)
{
	if (!row)
		return "There is no such command";
	if (flags & COMMAND_TOO_BIG)
		return "The command is too long";
	if (row->states & imap->state)
		return NULL;
	switch (imap->state) {
	case IMAP_NOT_AUTHED:
		return "Sign in first";
	case IMAP_AUTHED:
		return row->states == IMAP_NOT_AUTHED ? "Already signed in"
						      : "Select a mailbox first";
	case IMAP_SELECTED:
	default:
		return row->states == IMAP_NOT_AUTHED ? "Already signed in"
						      : "Not while a mailbox is selected";
	}
}

/* What others did becomes known behind a command's own data, before its tagged answer. */
static struct error *finish(
	struct op *op, struct imap_session *imap, const struct imap_command *row, bool is_uid)
{
	if (row->flags & IMAP_NO_UPDATE || imap->state == IMAP_NOT_AUTHED)
		return NULL;
	TRY(imap_metadata_tell(op, imap));
	if (imap->state != IMAP_SELECTED)
		return NULL;
	bool may_expunge = is_uid || !(row->flags & IMAP_KEEPS_SEQUENCE);
	return imap_sync(op, imap, may_expunge);
}

static void answer(struct op *op, struct imap_session *imap, const struct imap_command *row,
	struct imap_args *args, struct error *err)
{
	bool leaves = row->flags & IMAP_ENDS_BY_ITSELF;
	struct error *sync_err = args->is_bad ? NULL : finish(op, imap, row, args->is_uid);
	if (sync_err) {
		log_warn(op, "imap-sync-failed", FIELD_ERROR(op, sync_err));
		/* An IDLE has begun all the same; it answers when it ends. */
		if (!err && !leaves)
			err = sync_err;
	}
	if (err) {
		metric_add(&imap_failures, 1);
		imap_write_error(op, imap, args, err);
	} else if (!leaves) {
		imap_write_ok(imap, args, row->name);
	}
}

static enum step run(struct op *op, struct imap_session *imap, struct command *command,
	const struct imap_command *row, struct imap_args *args)
{
	args->wants_more = false;
	op->only_shows = row->flags & IMAP_ONLY_SHOWS;
	struct error *err = row->handler(op, imap, args);
	if (!err && args->wants_more) {
		command->cursor = args;
		return STEP_MORE;
	}
	answer(op, imap, row, args, err);
	return imap->next_step;
}

static void refuse(
	struct imap_session *imap, const struct imap_args *args, unsigned flags, const char *reason)
{
	metric_add(&imap_failures, 1);
	if (flags & IMAP_COMMAND_MESSAGE_TOO_BIG && imap->state != IMAP_NOT_AUTHED) {
		buf_append(imap->out, args->tag);
		buf_append(imap->out, SLICE(" NO [TOOBIG] The message is too large\r\n"));
		return;
	}
	imap_write_bad(imap, args->tag, reason);
}

/* RFC 9586 3: what names messages names them by UID. EXPUNGE names none. */
static bool needs_uids(const struct imap_session *imap, const struct imap_command *row,
	const struct imap_args *args)
{
	return imap->has_uidonly && !args->is_uid && (row->flags & IMAP_HAS_UID_FORM) &&
	       row->handler != imap_expunge;
}

static enum step execute(struct op *op, struct session *session, struct command *command)
{
	struct imap_session *imap = begin_step(session);
	const struct imap_command *row = command->row;
	if (command->cursor) {
		/* It may have run for long. */
		struct error *err = imap_refresh_rights(op, imap);
		if (imap->next_step == STEP_CLOSE)
			return STEP_CLOSE;
		if (!err)
			return run(op, imap, command, row, command->cursor);
		imap_write_error(op, imap, command->cursor, err);
		return STEP_DONE;
	}

	metric_add(&imap_commands, 1);
	struct imap_args *args = ARENA_NEW(&op->arena, struct imap_args);
	struct slice name;
	if (!imap_args_begin(command->line, args, &name)) {
		imap_write_bad(imap, args->tag, "A command is a tag, a space and a name");
		return STEP_DONE;
	}
	args->bodies = command->bodies;
	args->body_count = command->body_count;
	args->has_utf8 = imap_speaks_utf8(imap);
	args->has_fuzzy = search_has_words(imap->search);
	const char *reason = refusal(imap, row, command->flags);
	if (!reason && needs_uids(imap, row, args))
		reason = "[UIDREQUIRED] UIDs alone are known here";
	if (reason) {
		refuse(imap, args, command->flags, reason);
		return STEP_DONE;
	}
	op->name = arena_printf(&op->arena, "imap " SLICE_FMT, SLICE_ARG(row->name));
	/* Who leaves the mailbox need not be told that he has to; CLOSE expunges. */
	bool leaves = (row->flags & IMAP_NO_UPDATE) && row->handler != imap_close;
	struct error *err = leaves ? NULL : imap_refresh_rights(op, imap);
	if (imap->next_step == STEP_CLOSE)
		return STEP_CLOSE;
	if (err) {
		imap_write_error(op, imap, args, err);
		return STEP_DONE;
	}
	return run(op, imap, command, row, args);
}

/* Somebody changed the account. A client that idles, or has asked for it (NOTIFY), hears of it at
 * once; the others learn at their next command. */
static enum step woken(struct op *op, struct session *session)
{
	struct imap_session *imap = begin_step(session);
	bool may_expunge;
	struct error *err = NULL;
	bool tells_selected = imap_notify_tells_selected(imap, &may_expunge) || imap->is_idle;
	if (tells_selected && imap->state == IMAP_SELECTED)
		err = imap_sync(op, imap, may_expunge || imap->is_idle);
	if (!err && imap->notify)
		err = imap_notify_tell(op, imap);
	if (!err)
		err = imap_metadata_tell(op, imap);
	if (err)
		log_warn(op, "imap-idle-sync-failed", FIELD_ERROR(op, err));
	return imap->next_step;
}

static void closed(struct op *op, struct session *session)
{
	(void)op;
	struct imap_session *imap = session_state(session);
	imap_live_end(imap);
	imap_view_free(imap->view);
	imap->view = NULL;
	imap_free_dialog(imap);
	imap_notify_free(imap->notify);
	imap->notify = NULL;
}

const struct protocol imap_protocol = {
	.name = "imap",
	.framer_size = sizeof(struct imap_framer),
	.state_size = sizeof(struct imap_session),
	.feed = imap_framer_feed,
	.max_input = LINE_BYTES_MAX + KIB(64),
	.greet = greet,
	.greet_lane = LANE_QUICK,
	.execute = execute,
	.woken = woken,
	.woken_lane = LANE_STORE,
	.closed = closed,
	.say_busy = SLICE_INIT("* BYE [UNAVAILABLE] Too many connections\r\n"),
	.say_idle = SLICE_INIT("* BYE Silent for too long\r\n"),
	.say_shutdown = SLICE_INIT("* BYE [UNAVAILABLE] The server is stopping\r\n"),
	.say_disconnected = SLICE_INIT("* BYE The administrator has ended this session\r\n"),
	.say_too_big = SLICE_INIT("* BYE The line is too long\r\n"),
	.idle_timeout_ms = &idle_timeout_ms,
	.unknown_idle_timeout_ms = &unknown_idle_timeout_ms,
};
