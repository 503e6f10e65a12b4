#include "front/imap/imap_live.h"

#include <stdlib.h>

#include "base/log.h"
#include "format/imap_string.h"
#include "front/imap/imap_private.h"

/* The keys are kept as they were written, and parsed anew for each update. */
struct live_search {
	struct live_search *next;
	struct arena arena; /* of what follows, but for `found` */
	struct slice tag, charset, keys;
	bool has_utf8, has_fuzzy, is_uid;
	struct arena found_arena;
	struct uid_set found; /* as the client was told */
};

static void live_free(struct live_search *live)
{
	arena_done(&live->arena);
	arena_done(&live->found_arena);
	free(live);
}

void imap_live_end(struct imap_session *session)
{
	while (session->live) {
		struct live_search *live = session->live;
		session->live = live->next;
		live_free(live);
	}
}

/* What was found, less `gone`, and `come`. */
static void keep(struct live_search *live, const struct uid_set *gone, const struct uid_set *come)
{
	struct arena arena;
	struct uid_set found;
	struct uid_cursor cursor = {0};
	uint32_t uid;
	arena_init(&arena);
	uid_set_init(&found, &arena);
	while (uid_cursor_next(&live->found, &cursor, &uid))
		if (!gone || !uid_set_contains(gone, uid))
			uid_set_add(&found, uid);
	if (come)
		uid_set_add_all(&found, come);
	arena_done(&live->found_arena);
	live->found_arena = arena;
	live->found = found;
	live->found.arena = &live->found_arena;
}

static void write_tag(struct imap_session *session, const char *before, struct slice tag)
{
	buf_append(session->out, slice_from_cstr(before));
	imap_print_string(session->out, tag);
}

/* RFC 5267 4.3.1: it is not followed, or not any more. */
static void write_noupdate(struct imap_session *session, struct slice tag)
{
	write_tag(session, "* NO [NOUPDATE ", tag);
	buf_append(session->out, SLICE("] The search is not kept up to date\r\n"));
}

/* Numbers stand still in no update: such keys are not followed. */
static bool names_messages(const struct search_node *node)
{
	if (node->kind == SEARCH_SEQUENCE || node->kind == SEARCH_UID)
		return true;
	for (const struct search_node *child = node->first; child; child = child->next)
		if (names_messages(child))
			return true;
	return false;
}

static size_t count_live(const struct imap_session *session)
{
	size_t count = 0;
	for (const struct live_search *live = session->live; live; live = live->next)
		count++;
	return count;
}

static struct live_search **find_live(struct imap_session *session, struct slice tag)
{
	struct live_search **link = &session->live;
	while (*link && !slice_equal((*link)->tag, tag))
		link = &(*link)->next;
	return link;
}

static void forget(struct live_search **link)
{
	struct live_search *live = *link;
	*link = live->next;
	live_free(live);
}

void imap_live_begin(struct imap_session *session, const struct imap_args *args,
	const struct search_request *request, const struct uid_set *uids)
{
	if (count_live(session) == LIVE_SEARCHES_MAX || request->keys.len > LIVE_KEYS_BYTES_MAX ||
		*find_live(session, args->tag) || names_messages(request->root) ||
		request->sees_attached) {
		write_noupdate(session, args->tag);
		return;
	}
	struct live_search *live = HEAP_NEW(struct live_search);
	*live = (struct live_search){
		.has_utf8 = args->has_utf8, .has_fuzzy = args->has_fuzzy, .is_uid = args->is_uid};
	arena_init(&live->arena);
	arena_init(&live->found_arena);
	uid_set_init(&live->found, &live->found_arena);
	live->tag = arena_dup(&live->arena, args->tag);
	live->charset = arena_dup(&live->arena, request->charset);
	live->keys = arena_dup(&live->arena, request->keys);
	keep(live, NULL, uids);
	live->next = session->live;
	session->live = live;
}

/* "* ESEARCH (TAG "B01") UID ADDTO (0 32768:32769)" (RFC 5267 4.3.3). `now` NULL: in the numbers
 * of the view. */
static void write_change(struct op *op, struct imap_session *session,
	const struct live_search *live, const struct snapshot *now, const char *what,
	const struct uid_set *uids)
{
	struct uid_set numbers;
	struct uid_cursor cursor = {0};
	uint32_t uid, position;
	struct snapshot_message message;
	if (uid_set_is_empty(uids))
		return;
	uid_set_init(&numbers, &op->arena);
	while (uid_cursor_next(uids, &cursor, &uid))
		if (live->is_uid)
			uid_set_add(&numbers, uid);
		else if (snapshot_find(now ? now : session->view->shown, uid, &position, &message))
			uid_set_add(&numbers, position + 1);
	write_tag(session, "* ESEARCH (TAG ", live->tag);
	buf_printf(session->out, "%s %s (0 ", live->is_uid ? ") UID" : ")", what);
	uid_set_print(&numbers, session->out);
	buf_append(session->out, SLICE(")\r\n"));
}

void imap_live_expunged(struct op *op, struct imap_session *session, const struct uid_set *expunged)
{
	for (struct live_search *live = session->live; live; live = live->next) {
		struct uid_set gone;
		uid_set_intersect(&op->arena, &live->found, expunged, &gone);
		write_change(op, session, live, NULL, "REMOVEFROM", &gone);
		if (!uid_set_is_empty(&gone))
			keep(live, &gone, NULL);
	}
}

/* ---- What is new or has changed ---- */

struct update {
	const struct snapshot *now;
	const struct search_node *root;
	struct uid_set touched, come, gone;
};

static struct error *match_one(struct op *op, struct imap_session *session,
	const struct live_search *live, struct update *update, const struct message *row,
	uint32_t uid)
{
	struct search_message message = {.snapshot = update->now, .row = row};
	uint32_t position;
	bool matches = false;
	struct arena_mark mark = arena_mark(&op->arena);
	if (snapshot_find(update->now, uid, &position, &message.at))
		TRY(imap_search_match(op, session, update->root, &message, &matches));
	arena_release(&op->arena, mark);
	bool matched = uid_set_contains(&live->found, uid);
	if (matches != matched)
		uid_set_add(matches ? &update->come : &update->gone, uid);
	return NULL;
}

static struct error *match_touched(struct op *op, struct imap_session *session,
	const struct live_search *live, struct update *update)
{
	struct uid_cursor cursor = {0};
	struct message *rows;
	size_t count;
	uint32_t uid;
	if (update->root->cost == SEARCH_COSTS_NOTHING) {
		while (uid_cursor_next(&update->touched, &cursor, &uid))
			TRY(match_one(op, session, live, update, NULL, uid));
		return NULL;
	}
	if (uid_set_size(&update->touched) > LIVE_READ_MAX)
		return op_fail(op, ERR_LIMIT, "too many messages have changed at once");
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox,
		&update->touched, &rows, &count));
	for (size_t i = 0; i < count; i++)
		TRY(match_one(op, session, live, update, &rows[i], rows[i].uid));
	return NULL;
}

static struct error *bring_up(struct op *op, struct imap_session *session, struct live_search *live,
	struct update *update)
{
	struct search_request request = {.charset = live->charset, .has_charset = true};
	struct imap_args args = {.line = live->keys,
		.rest = live->keys,
		.has_utf8 = live->has_utf8,
		.has_fuzzy = live->has_fuzzy};
	TRY(imap_search_parse_keys(op, &args, &request));
	imap_search_set_instants(request.root);
	update->root = request.root;
	uid_set_init(&update->come, &op->arena);
	uid_set_init(&update->gone, &op->arena);
	TRY(match_touched(op, session, live, update));
	write_change(op, session, live, update->now, "REMOVEFROM", &update->gone);
	write_change(op, session, live, update->now, "ADDTO", &update->come);
	if (!uid_set_is_empty(&update->come) || !uid_set_is_empty(&update->gone))
		keep(live, &update->gone, &update->come);
	return NULL;
}

void imap_live_changed(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct snapshot_difference *difference)
{
	struct update update = {.now = now};
	uid_set_init(&update.touched, &op->arena);
	uid_set_add_all(&update.touched, &difference->changed);
	uid_set_add_all(&update.touched, &difference->added);
	struct live_search **link = &session->live;
	while (*link && !uid_set_is_empty(&update.touched)) {
		struct error *err = bring_up(op, session, *link, &update);
		if (!err) {
			link = &(*link)->next;
			continue;
		}
		/* What cannot be known is not told of any more. */
		log_debug(op, "imap-search-not-followed", FIELD_ERROR(op, err));
		write_noupdate(session, (*link)->tag);
		forget(link);
	}
}

/* CANCELUPDATE (RFC 5267 4.4) */
IMAP_HANDLER(imap_cancelupdate)
{
	struct slice tags[LIVE_SEARCHES_MAX];
	size_t count = 0;
	do {
		if (count == LIVE_SEARCHES_MAX)
			return imap_bad(op, args, "There are not so many searches");
		TRY(imap_space(op, args));
		TRY(imap_string(op, args, &tags[count++]));
	} while (!imap_at_end(args));
	for (size_t i = 0; i < count; i++)
		if (!*find_live(session, tags[i]))
			return imap_bad(op, args, "There is no such search");
	for (size_t i = 0; i < count; i++) {
		struct live_search **link = find_live(session, tags[i]);
		if (*link)
			forget(link);
	}
	return NULL;
}
