#include "front/imap/imap_view.h"

#include <stdlib.h>

struct imap_view *imap_view_new(struct snapshot *takes)
{
	struct imap_view *view = HEAP_NEW(struct imap_view);
	view->shown = takes;
	view->recent_from = snapshot_uidnext(takes);
	return view;
}

void imap_view_free(struct imap_view *view)
{
	if (!view)
		return;
	snapshot_unref(view->shown);
	free(view->saved);
	free(view);
}

void imap_view_move(struct imap_view *view, struct snapshot *takes)
{
	snapshot_unref(view->shown);
	view->shown = takes;
}

uint32_t imap_view_sequence(const struct imap_view *view, uint32_t uid)
{
	uint32_t position;
	struct snapshot_message message;
	return snapshot_find(view->shown, uid, &position, &message) ? position + 1 : 0;
}

/* Adds the UIDs of the messages at positions [first, last]. */
static void add_positions(
	struct uid_set *uids, const struct snapshot *snapshot, uint32_t first, uint32_t last)
{
	for (uint32_t position = first; position <= last; position++)
		uid_set_add(uids, snapshot_at(snapshot, position).uid);
}

static struct error *add_by_sequence(struct op *op, struct imap_args *args,
	const struct snapshot *snapshot, struct uid_range range, struct uid_set *uids)
{
	uint32_t count = snapshot_count(snapshot);
	uint32_t first = range.first ? range.first : count;
	uint32_t last = range.last ? range.last : count;
	if (first > last) {
		uint32_t other = first;
		first = last;
		last = other;
	}
	if (first == 0 || last > count)
		return imap_bad(op, args, "There is no message with this number");
	add_positions(uids, snapshot, first - 1, last - 1);
	return NULL;
}

static void add_by_uid(
	const struct snapshot *snapshot, struct uid_range range, struct uid_set *uids)
{
	uint32_t count = snapshot_count(snapshot);
	if (count == 0)
		return;
	/* `*` is the highest UID there is, even if the range's other end is above it. */
	uint32_t highest = snapshot_at(snapshot, count - 1).uid;
	uint32_t first = range.first ? range.first : highest;
	uint32_t last = range.last ? range.last : highest;
	uint32_t from = snapshot_lower_bound(snapshot, MIN_OF(first, last));
	uint32_t top = MAX_OF(first, last);
	uint32_t to = top == UINT32_MAX ? count : snapshot_lower_bound(snapshot, top + 1);
	if (from < to)
		add_positions(uids, snapshot, from, to - 1);
}

struct error *imap_view_uids(struct op *op, struct imap_args *args, const struct imap_view *view,
	const struct imap_sequence *sequence, bool by_uid, struct uid_set *ret_uids)
{
	struct uid_set uids;
	uid_set_init(&uids, &op->arena);
	for (size_t i = 0; sequence->is_saved && i < view->saved_count; i++)
		add_by_uid(view->shown, view->saved[i], &uids);
	for (size_t i = 0; i < sequence->count; i++) {
		if (by_uid)
			add_by_uid(view->shown, sequence->ranges[i], &uids);
		else
			TRY(add_by_sequence(op, args, view->shown, sequence->ranges[i], &uids));
	}
	*ret_uids = uids;
	return NULL;
}

void imap_view_save(struct imap_view *view, const struct uid_set *uids)
{
	view->saved = heap_realloc(view->saved, uids->count * sizeof(*view->saved));
	if (uids->count)
		memcpy(view->saved, uids->ranges, uids->count * sizeof(*view->saved));
	view->saved_count = uids->count;
}

bool uid_cursor_next(const struct uid_set *set, struct uid_cursor *cursor, uint32_t *ret_uid)
{
	if (cursor->range >= set->count)
		return false;
	const struct uid_range *range = &set->ranges[cursor->range];
	uint32_t uid = MAX_OF(cursor->next, range->first);
	*ret_uid = uid;
	if (uid == range->last)
		cursor->range++;
	cursor->next = uid == UINT32_MAX ? uid : uid + 1;
	return true;
}

void uid_set_intersect(struct arena *arena, const struct uid_set *a, const struct uid_set *b,
	struct uid_set *ret_both)
{
	uid_set_init(ret_both, arena);
	size_t i = 0, j = 0;
	while (i < a->count && j < b->count) {
		uint32_t first = MAX_OF(a->ranges[i].first, b->ranges[j].first);
		uint32_t last = MIN_OF(a->ranges[i].last, b->ranges[j].last);
		if (first <= last)
			uid_set_add_range(ret_both, first, last);
		if (a->ranges[i].last < b->ranges[j].last)
			i++;
		else
			j++;
	}
}

void uid_set_split(struct arena *arena, const struct uid_set *set, const struct snapshot *snapshot,
	struct uid_set *ret_there, struct uid_set *ret_gone)
{
	if (ret_there)
		uid_set_init(ret_there, arena);
	if (ret_gone)
		uid_set_init(ret_gone, arena);
	struct uid_cursor cursor = {0};
	uint32_t uid;
	while (uid_cursor_next(set, &cursor, &uid)) {
		uint32_t position;
		struct snapshot_message message;
		struct uid_set *target =
			snapshot_find(snapshot, uid, &position, &message) ? ret_there : ret_gone;
		if (target)
			uid_set_add(target, uid);
	}
}
