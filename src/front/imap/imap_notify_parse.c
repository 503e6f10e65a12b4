#include "front/imap/imap_notify.h"

#include "front/imap/imap_fetch.h"

static const struct {
	struct slice name;
	enum notify_filter filter;
} filters[] = {
	{SLICE_INIT("SELECTED"), NOTIFY_SELECTED},
	{SLICE_INIT("SELECTED-DELAYED"), NOTIFY_SELECTED_DELAYED},
	{SLICE_INIT("INBOXES"), NOTIFY_INBOXES},
	{SLICE_INIT("PERSONAL"), NOTIFY_PERSONAL},
	{SLICE_INIT("SUBSCRIBED"), NOTIFY_SUBSCRIBED},
	{SLICE_INIT("SUBTREE"), NOTIFY_SUBTREE},
	{SLICE_INIT("MAILBOXES"), NOTIFY_MAILBOXES},
};

static const struct {
	struct slice name;
	unsigned event;
} events[] = {
	{SLICE_INIT("MessageNew"), NOTIFY_MESSAGE_NEW},
	{SLICE_INIT("MessageExpunge"), NOTIFY_MESSAGE_EXPUNGE},
	{SLICE_INIT("FlagChange"), NOTIFY_FLAG_CHANGE},
	{SLICE_INIT("MailboxName"), NOTIFY_MAILBOX_NAME},
	{SLICE_INIT("SubscriptionChange"), NOTIFY_SUBSCRIPTION_CHANGE},
	{SLICE_INIT("MailboxMetadataChange"), NOTIFY_MAILBOX_METADATA},
	{SLICE_INIT("ServerMetadataChange"), NOTIFY_SERVER_METADATA},
};

static bool is_of_selected(const struct notify_group *group)
{
	return group->filter <= NOTIFY_SELECTED_DELAYED;
}

static struct error *take_name(struct op *op, struct imap_args *args,
	struct notify_request *request, struct notify_group *group)
{
	if (request->name_count++ == NOTIFY_NAMES_MAX)
		return imap_bad(op, args, "Too many mailboxes");
	size_t held = group->path_count * sizeof(struct slice);
	group->paths = arena_grow(&op->arena, group->paths, held, held + sizeof(struct slice));
	return imap_mailbox(op, args, &group->paths[group->path_count++]);
}

static struct error *take_names(struct op *op, struct imap_args *args,
	struct notify_request *request, struct notify_group *group)
{
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return take_name(op, args, request, group);
	do {
		TRY(take_name(op, args, request, group));
	} while (imap_take_char(args, ' '));
	return imap_take_char(args, ')') ? NULL : imap_bad(op, args, "A list is not closed");
}

static struct error *take_filter(struct op *op, struct imap_args *args,
	struct notify_request *request, struct notify_group *group)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		if (!slice_equal_nocase(name, filters[i].name))
			continue;
		group->filter = filters[i].filter;
		if (group->filter >= NOTIFY_SUBTREE)
			TRY(take_names(op, args, request, group));
		return NULL;
	}
	return imap_bad(op, args, "There is no such choice of mailboxes");
}

/* " (UID FLAGS)" behind MessageNew, kept as text: it is parsed anew for each use. */
static struct error *take_items(struct op *op, struct imap_args *args, struct notify_group *group)
{
	struct fetch_request fetch;
	if (!slice_starts_with(args->rest, SLICE(" (")))
		return NULL;
	if (!is_of_selected(group))
		return imap_bad(op, args, "Items of messages are for the selected mailbox");
	TRY(imap_space(op, args));
	const char *start = args->rest.ptr;
	TRY(imap_fetch_items(op, args, &fetch));
	group->items = slice_of(start, (size_t)(args->rest.ptr - start));
	return NULL;
}

/* RFC 5465 5: NO [BADEVENT (…)] with those there are. */
static struct error *bad_event(struct op *op, struct imap_args *args)
{
	args->no_code = SLICE("BADEVENT (MessageNew MessageExpunge FlagChange MailboxName "
			      "SubscriptionChange MailboxMetadataChange ServerMetadataChange)");
	return op_fail(op, ERR_INVALID, "Of such an event nothing is told");
}

static struct error *take_event(
	struct op *op, struct imap_args *args, struct notify_group *group, bool *is_unknown)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (!slice_equal_nocase(name, events[i].name))
			continue;
		group->events |= events[i].event;
		return events[i].event == NOTIFY_MESSAGE_NEW ? take_items(op, args, group) : NULL;
	}
	*is_unknown = true;
	return NULL;
}

/* RFC 5465 5.1 to 5.3: these are told together, or numbers would not fit. */
static bool fit_together(const struct notify_group *group)
{
	bool is_new = group->events & NOTIFY_MESSAGE_NEW;
	bool is_expunge = group->events & NOTIFY_MESSAGE_EXPUNGE;
	bool is_flags = group->events & NOTIFY_FLAG_CHANGE;
	bool is_tree = group->events & (NOTIFY_MAILBOX_NAME | NOTIFY_SUBSCRIPTION_CHANGE |
					       NOTIFY_MAILBOX_METADATA | NOTIFY_SERVER_METADATA);
	return is_new == is_expunge && (!is_flags || is_new) && !(is_tree && is_of_selected(group));
}

static struct error *take_events(
	struct op *op, struct imap_args *args, struct notify_group *group, bool *is_unknown)
{
	if (imap_take_word(args, SLICE("NONE")))
		return NULL;
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "Events are a list");
	do {
		TRY(take_event(op, args, group, is_unknown));
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return fit_together(group) ? NULL : imap_bad(op, args, "These events do not go together");
}

static struct error *take_group(
	struct op *op, struct imap_args *args, struct notify_request *request, bool *is_unknown)
{
	if (request->group_count == NOTIFY_GROUPS_MAX)
		return imap_bad(op, args, "Too many groups of events");
	struct notify_group *group = &request->groups[request->group_count];
	*group = (struct notify_group){0};
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "A group of events is a list");
	TRY(take_filter(op, args, request, group));
	for (size_t i = 0; i < request->group_count; i++)
		if (is_of_selected(group) && is_of_selected(&request->groups[i]))
			return imap_bad(op, args, "The selected mailbox is named twice");
	TRY(imap_space(op, args));
	TRY(take_events(op, args, group, is_unknown));
	request->group_count++;
	return imap_take_char(args, ')') ? NULL : imap_bad(op, args, "A list is not closed");
}

struct error *imap_notify_parse(
	struct op *op, struct imap_args *args, struct notify_request *ret_request)
{
	bool is_unknown = false;
	memset(ret_request, 0, sizeof(*ret_request));
	TRY(imap_space(op, args));
	if (imap_take_word(args, SLICE("NONE"))) {
		ret_request->is_none = true;
		return imap_end(op, args);
	}
	if (!imap_take_word(args, SLICE("SET")))
		return imap_bad(op, args, "SET or NONE was expected");
	TRY(imap_space(op, args));
	ret_request->wants_status = imap_take_word(args, SLICE("STATUS"));
	if (ret_request->wants_status)
		TRY(imap_space(op, args));
	do {
		TRY(take_group(op, args, ret_request, &is_unknown));
	} while (imap_take_char(args, ' '));
	TRY(imap_end(op, args));
	return is_unknown ? bad_event(op, args) : NULL;
}
