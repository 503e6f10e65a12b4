#include "front/imap/imap_notify.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "front/imap/imap_fetch.h"
#include "front/imap/imap_private.h"
#include "session/watch.h"

METRIC_COUNTER(overflows, "imap_notify_overflows_total",
	"Times a client was told that it is not notified any more");

/* A mailbox as the client was told of it last. */
struct known {
	struct mailbox_id id;
	struct slice path;
	uint32_t uidnext, messages, unseen;
	uint64_t modseq;
	bool is_subscribed;
	unsigned events; /* that are told of it */
};

/* Everything is compared with what was told before: the sources are the account's mailboxes as they
 * are, so that no hint, lost or late, makes a difference. */
struct imap_notify {
	struct arena arena; /* what was asked for */
	struct notify_group groups[NOTIFY_GROUPS_MAX];
	size_t group_count;
	const struct notify_group *selected; /* one of them, or NULL */
	struct arena known_arena;
	struct known *known; /* ascending by id */
	size_t known_count;
};

void imap_notify_free(struct imap_notify *notify)
{
	if (!notify)
		return;
	arena_done(&notify->arena);
	arena_done(&notify->known_arena);
	free(notify);
}

void imap_notify_end(struct imap_session *session)
{
	if (session->notify && !session->is_idle)
		session_unwatch(session->session, ID_SLICE(session->account));
	imap_notify_free(session->notify);
	session->notify = NULL;
}

static struct imap_notify *notify_new(const struct notify_request *request)
{
	struct imap_notify *notify = HEAP_NEW(struct imap_notify);
	*notify = (struct imap_notify){.group_count = request->group_count};
	arena_init(&notify->arena);
	arena_init(&notify->known_arena);
	for (size_t i = 0; i < request->group_count; i++) {
		struct notify_group *group = &notify->groups[i];
		*group = request->groups[i];
		group->items = arena_dup(&notify->arena, group->items);
		group->paths = ARENA_ARRAY(&notify->arena, struct slice, group->path_count + 1);
		for (size_t n = 0; n < group->path_count; n++)
			group->paths[n] = arena_dup(&notify->arena, request->groups[i].paths[n]);
		if (group->filter <= NOTIFY_SELECTED_DELAYED)
			notify->selected = group;
	}
	return notify;
}

/* ---- The selected mailbox ---- */

bool imap_notify_tells_selected(const struct imap_session *session, bool *ret_may_expunge)
{
	const struct notify_group *selected = session->notify ? session->notify->selected : NULL;
	*ret_may_expunge = selected && selected->filter == NOTIFY_SELECTED;
	return selected && selected->events;
}

static struct error *write_added(struct op *op, struct imap_session *session,
	const struct snapshot *now, const struct uid_set *added)
{
	struct fetch_request request;
	struct imap_args args = {0};
	struct message *rows;
	size_t count;
	args.line = args.rest = session->notify->selected->items;
	/* So many at once the client fetches in its own time. */
	if (uid_set_size(added) > NOTIFY_ADDED_MAX)
		return NULL;
	TRY(imap_fetch_items(op, &args, &request));
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox, added,
		&rows, &count));
	for (size_t i = 0; i < count; i++) {
		struct fetch_message message = {.snapshot = now, .row = &rows[i]};
		uint32_t position;
		if (!snapshot_find(now, rows[i].uid, &position, &message.at))
			continue;
		message.sequence = position + 1;
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(imap_fetch_write(op, session, &request, &message));
		arena_release(&op->arena, mark);
		session_flush(session->session);
	}
	return NULL;
}

void imap_notify_added(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct uid_set *added)
{
	const struct notify_group *selected = session->notify ? session->notify->selected : NULL;
	if (!selected || !selected->items.len || uid_set_is_empty(added))
		return;
	/* EXISTS has been said: the client can fetch them itself. */
	struct error *err = write_added(op, session, now, added);
	if (err)
		log_warn(op, "imap-notify-fetch-failed", FIELD_ERROR(op, err));
}

/* ---- The others ---- */

static bool is_below(struct slice path, struct slice parent)
{
	return slice_equal(path, parent) || (path.len > parent.len && path.ptr[parent.len] == '/' &&
						    slice_starts_with(path, parent));
}

static bool is_meant(const struct notify_group *group, const struct mailbox_status *status)
{
	switch (group->filter) {
	case NOTIFY_PERSONAL:
		return true;
	case NOTIFY_INBOXES:
		return slice_equal(status->path, SLICE("INBOX"));
	case NOTIFY_SUBSCRIBED:
		return status->is_subscribed;
	case NOTIFY_SUBTREE:
	case NOTIFY_MAILBOXES:
		for (size_t i = 0; i < group->path_count; i++)
			if (group->filter == NOTIFY_SUBTREE
					? is_below(status->path, group->paths[i])
					: slice_equal(status->path, group->paths[i]))
				return true;
		return false;
	case NOTIFY_SELECTED:
	case NOTIFY_SELECTED_DELAYED:
	default:
		return false;
	}
}

/* The first group that means a mailbox says what is told of it. */
static unsigned events_of(const struct imap_notify *notify, const struct mailbox_status *status)
{
	for (size_t i = 0; i < notify->group_count; i++)
		if (is_meant(&notify->groups[i], status))
			return notify->groups[i].events;
	return 0;
}

static unsigned all_events(const struct imap_notify *notify)
{
	unsigned events = 0;
	for (size_t i = 0; notify && i < notify->group_count; i++)
		events |= notify->groups[i].events;
	return events;
}

bool imap_notify_wants_metadata(const struct imap_session *session)
{
	return all_events(session->notify) & (NOTIFY_MAILBOX_METADATA | NOTIFY_SERVER_METADATA);
}

bool imap_notify_means_metadata(
	const struct imap_session *session, const struct mailbox_status *status)
{
	if (!session->notify)
		return false;
	return status ? events_of(session->notify, status) & NOTIFY_MAILBOX_METADATA
		      : all_events(session->notify) & NOTIFY_SERVER_METADATA;
}

static int compare_known(const void *left, const void *right)
{
	const struct known *a = left;
	const struct known *b = right;
	return memcmp(&a->id, &b->id, sizeof(a->id));
}

static const struct known *find_known(const struct known *known, size_t count, struct mailbox_id id)
{
	const struct known wanted = {.id = id};
	return count ? bsearch(&wanted, known, count, sizeof(*known), compare_known) : NULL;
}

static struct known known_of(const struct imap_notify *notify, const struct mailbox_status *status)
{
	return (struct known){.id = status->id,
		.path = status->path,
		.uidnext = status->uidnext,
		.messages = status->messages,
		.unseen = status->unseen,
		.modseq = status->highest_modseq,
		.is_subscribed = status->is_subscribed,
		.events = events_of(notify, status)};
}

/* "* LIST (\Subscribed) "/" new ("OLDNAME" ("old"))" (RFC 5465 5.4, RFC 9051 6.3.9.7) */
static void write_list(struct op *op, struct imap_session *session, struct slice attributes,
	struct slice path, struct slice old)
{
	struct buf *out = session->out;
	buf_printf(out, "* LIST (" SLICE_FMT ") \"/\" ", SLICE_ARG(attributes));
	imap_write_name(op, session, path);
	if (old.len) {
		buf_append(out, SLICE(" (\"OLDNAME\" ("));
		imap_write_name(op, session, old);
		buf_append(out, SLICE("))"));
	}
	buf_append(out, SLICE("\r\n"));
}

static void write_status(struct op *op, struct imap_session *session,
	const struct mailbox_status *status, bool has_counts)
{
	struct imap_status_items items =
		imap_status_items_of(has_counts ? SLICE("MESSAGES UIDNEXT UIDVALIDITY UNSEEN")
						: SLICE("UIDVALIDITY UNSEEN"));
	if (session->has_condstore)
		items.bits |= imap_status_items_of(SLICE("HIGHESTMODSEQ")).bits;
	imap_write_status(op, session, status, items);
}

static bool is_selected(const struct imap_session *session, struct mailbox_id id)
{
	return session->state == IMAP_SELECTED && ID_EQUAL(id, session->mailbox);
}

static void tell_messages(struct op *op, struct imap_session *session, const struct known *old,
	const struct known *new, const struct mailbox_status *status)
{
	static const struct known none = {.uidnext = 1};
	old = old ? old : &none;
	if (is_selected(session, new->id))
		return;
	bool has_counts = old->messages != new->messages || old->uidnext != new->uidnext;
	if (has_counts && (new->events &NOTIFY_MESSAGE_NEW))
		write_status(op, session, status, true);
	else if (!has_counts && old != &none && old->modseq != new->modseq &&
		 (new->events &NOTIFY_FLAG_CHANGE))
		write_status(op, session, status, false);
}

static void tell_one(struct op *op, struct imap_session *session, const struct known *old,
	const struct known *new, const struct mailbox_status *status)
{
	struct slice subscribed = new->is_subscribed ? SLICE("\\Subscribed") : SLICE("");
	bool is_renamed = old && !slice_equal(old->path, new->path);
	if ((new->events &NOTIFY_MAILBOX_NAME) && (!old || is_renamed))
		write_list(op, session, subscribed, new->path, old ? old->path : SLICE_NONE);
	else if ((new->events &NOTIFY_SUBSCRIPTION_CHANGE) &&
		 new->is_subscribed != (old && old->is_subscribed))
		write_list(op, session, subscribed, new->path, SLICE_NONE);
	tell_messages(op, session, old, new, status);
}

/* What was told of and is not any more: deleted, renamed away, unsubscribed from. */
static void tell_lost(struct op *op, struct imap_session *session, const struct known *old,
	const struct mailbox_status *now)
{
	if (!now && (old->events & NOTIFY_MAILBOX_NAME))
		write_list(op, session, SLICE("\\NonExistent"), old->path, SLICE_NONE);
	else if (now && !slice_equal(now->path, old->path) && (old->events & NOTIFY_MAILBOX_NAME))
		write_list(op, session, SLICE(""), now->path, old->path);
	else if (now && old->is_subscribed && !now->is_subscribed &&
		 (old->events & NOTIFY_SUBSCRIPTION_CHANGE))
		write_list(op, session, SLICE(""), old->path, SLICE_NONE);
}

static const struct mailbox_status *find_status(
	const struct mailbox_list *list, struct mailbox_id id)
{
	for (size_t i = 0; i < list->count; i++)
		if (ID_EQUAL(list->items[i].id, id))
			return &list->items[i];
	return NULL;
}

/* RFC 5465 5.8 */
static void overflow(struct imap_session *session)
{
	metric_add(&overflows, 1);
	buf_append(session->out, SLICE("* OK [NOTIFICATIONOVERFLOW] Too many mailboxes: nothing is "
				       "told any more\r\n"));
	imap_notify_end(session);
}

/* How the mailboxes stand that something is told of. *ret_fits false: there are too many, and
 * nothing is told any more. */
static struct error *look(struct op *op, struct imap_session *session, struct imap_notify *notify,
	struct mailbox_list *ret_list, struct known **ret_known, size_t *ret_count, bool *ret_fits)
{
	TRY(mailbox_list(op, session->store, session->account, ret_list));
	size_t count = 0;
	struct known *known = ARENA_ARRAY(&op->arena, struct known, ret_list->count + 1);
	for (size_t i = 0; i < ret_list->count; i++) {
		known[count] = known_of(notify, &ret_list->items[i]);
		count += known[count].events != 0;
	}
	qsort(known, count, sizeof(*known), compare_known);
	*ret_known = known;
	*ret_count = count;
	*ret_fits = count <= NOTIFY_MAILBOXES_MAX;
	if (!*ret_fits)
		overflow(session);
	return NULL;
}

static void keep(struct imap_notify *notify, const struct known *known, size_t count)
{
	struct arena arena;
	arena_init(&arena);
	struct known *kept = ARENA_ARRAY(&arena, struct known, count + 1);
	for (size_t i = 0; i < count; i++) {
		kept[i] = known[i];
		kept[i].path = arena_dup(&arena, known[i].path);
	}
	arena_done(&notify->known_arena);
	notify->known_arena = arena;
	notify->known = kept;
	notify->known_count = count;
}

struct error *imap_notify_tell(struct op *op, struct imap_session *session)
{
	struct imap_notify *notify = session->notify;
	struct mailbox_list list;
	struct known *known;
	size_t count;
	bool fits;
	TRY(look(op, session, notify, &list, &known, &count, &fits));
	if (!fits)
		return NULL;
	for (size_t i = 0; i < notify->known_count; i++)
		if (!find_known(known, count, notify->known[i].id))
			tell_lost(op, session, &notify->known[i],
				find_status(&list, notify->known[i].id));
	for (size_t i = 0; i < list.count; i++) {
		const struct known *new = find_known(known, count, list.items[i].id);
		if (new)
			tell_one(op, session,
				find_known(notify->known, notify->known_count, new->id), new,
				&list.items[i]);
	}
	keep(notify, known, count);
	return NULL;
}

/* Where things stand at the beginning; told only if STATUS was said. */
static struct error *begin(
	struct op *op, struct imap_session *session, struct imap_notify *notify, bool wants_status)
{
	const unsigned of_messages =
		NOTIFY_MESSAGE_NEW | NOTIFY_MESSAGE_EXPUNGE | NOTIFY_FLAG_CHANGE;
	struct mailbox_list list;
	struct known *known;
	size_t count;
	bool fits;
	TRY(look(op, session, notify, &list, &known, &count, &fits));
	if (!fits)
		return NULL;
	for (size_t i = 0; wants_status && i < list.count; i++)
		if (!is_selected(session, list.items[i].id) &&
			(events_of(notify, &list.items[i]) & of_messages))
			write_status(op, session, &list.items[i], true);
	keep(notify, known, count);
	return NULL;
}

/* NOTIFY (RFC 5465 3.1) */
IMAP_HANDLER(imap_notify)
{
	struct notify_request *request = ARENA_NEW(&op->arena, struct notify_request);
	TRY(imap_notify_parse(op, args, request));
	imap_notify_end(session);
	if (request->is_none)
		return NULL;
	session->notify = notify_new(request);
	if (!session->has_metadata)
		session->metadata_told = MAX_OF(session->metadata_told, clock_realtime_us());
	/* Watching first: what changes behind the look below wakes us. */
	session_watch(session->session, ID_SLICE(session->account));
	struct error *err = begin(op, session, session->notify, request->wants_status);
	if (err)
		imap_notify_end(session);
	return err;
}
