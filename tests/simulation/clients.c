#include "simulation/clients.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "simulation/fibers.h"

void sim_fail(struct sim_world *w, const char *format, ...)
{
	if (w->failure[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(w->failure, sizeof(w->failure), format, args);
	va_end(args);
}

/* What the client learns: nothing from a node that has crashed meanwhile. */
enum answer { ANSWER_YES, ANSWER_NO, ANSWER_UNKNOWN };

static enum answer heard(struct client *c, int crashes_before, const struct error *err)
{
	struct sim_node *node = &c->world->nodes[c->node];
	if (node->is_down || node->crashes != crashes_before)
		return ANSWER_UNKNOWN;
	if (!err)
		return ANSWER_YES;
	if (err->kind == ERR_CORRUPT || err->kind == ERR_INTERNAL)
		sim_fail(c->world, "client %d was told: %s (%s)", c->number, err->message,
			err->cause ? err->cause->message : "");
	return error_nothing_written(err) ? ANSWER_NO : ANSWER_UNKNOWN;
}

static void wait_for_node(struct client *c)
{
	struct sim_node *node = &c->world->nodes[c->node];
	node->busy--;
	while (node->is_down)
		clock_sleep_ns(5 * NS_PER_MS);
	node->busy++;
}

/* The next command may reach another node: what one has acknowledged every other must know. */
static void maybe_change_node(struct client *c)
{
	struct sim_world *w = c->world;
	if (!w->clients_roam)
		return;
	w->nodes[c->node].busy--;
	c->node = (int)sim_below((unsigned)w->node_count);
	w->nodes[c->node].busy++;
}

static struct mail_store *store_of(struct client *c)
{
	return c->world->nodes[c->node].store;
}

static bool find_box(struct client *c, struct op *op, int box, struct mailbox_id *ret_id)
{
	struct mailbox_status status;
	struct error *err =
		mailbox_find(op, store_of(c), c->world->account, c->world->boxes[box], &status);
	if (!err)
		*ret_id = status.id;
	return !err;
}

static void make_once_key(const struct sim_message *m, char key[ONCE_KEY_SIZE])
{
	memset(key, 'k', ONCE_KEY_SIZE);
	size_t len = strlen(m->content);
	memcpy(key, m->content + len - MIN_OF(len, (size_t)24), MIN_OF(len, (size_t)24));
}

/* On its way to a box. NULL: there are enough. */
static struct sim_message *new_message(struct client *c, int box)
{
	struct sim_world *w = c->world;
	if (w->message_count == MESSAGES_MAX)
		return NULL;
	int number = w->message_count++;
	struct sim_message *m = &w->messages[number];
	snprintf(m->content, sizeof(m->content), "Subject: m%d\r\n\r\n%s message %08d of %02d\r\n",
		number, sim_below(2) ? "short" : "somewhat longer", number, c->number);
	m->owner = c->number;
	m->kw_maybe = 1;
	m->places = PLACE_NONE | 1u << box; /* while it is under way */
	return m;
}

/* NULL: there are enough. */
static struct sim_message *append_message(struct client *c, bool with_once_key)
{
	struct sim_world *w = c->world;
	int box = (int)sim_below(BOXES);
	struct sim_message *m = new_message(c, box);
	if (!m)
		return NULL;
	for (int attempt = 0; attempt < 40; attempt++) {
		AUTO_OP(op, "append");
		char key[ONCE_KEY_SIZE];
		struct append_result result;
		struct append_request request = {.account = w->account,
			.path = w->boxes[box],
			.content = slice_from_cstr(m->content)};
		make_once_key(m, key);
		if (with_once_key)
			request.once_key = slice_of(key, sizeof(key));
		wait_for_node(c);
		int crashes = w->nodes[c->node].crashes;
		switch (heard(c, crashes, mailbox_append(&op, store_of(c), &request, &result))) {
		case ANSWER_YES:
			m->places = 1u << box;
			m->uid = result.uid;
			m->is_settled = true;
			return m;
		case ANSWER_NO:
			if (attempt == 0 || !with_once_key) {
				m->places = PLACE_NONE;
				return m;
			}
			break;
		case ANSWER_UNKNOWN:
			if (!with_once_key)
				return m;
			break;
		}
		/* A sender with an id in its mail tries again until it knows. */
		clock_sleep_ns(20 * NS_PER_MS);
	}
	return m;
}

static void settle(struct sim_message *m, unsigned places, uint32_t uid)
{
	m->places = places;
	m->uid = uid;
	m->is_settled = true;
	m->together = m->instead = 0; /* what becomes of it now is its own */
}

/* All or none of several (RFC 3502). */
static void append_several(struct client *c)
{
	enum { SEVERAL = 3 };
	struct sim_world *w = c->world;
	struct append_request requests[SEVERAL];
	struct append_result results[SEVERAL];
	int first = w->message_count, box = (int)sim_below(BOXES);
	if (first + SEVERAL > MESSAGES_MAX)
		return;
	for (int i = 0; i < SEVERAL; i++) {
		struct sim_message *m = new_message(c, box);
		m->together = first + 1;
		requests[i] = (struct append_request){.account = w->account,
			.path = w->boxes[box],
			.content = slice_from_cstr(m->content)};
	}
	AUTO_OP(op, "append several");
	struct append_batch batch = {.requests = requests, .count = SEVERAL};
	struct sim_node *node = &w->nodes[c->node];
	int crashes = node->crashes;
	node->contents_besides += SEVERAL - 1;
	enum answer answer =
		heard(c, crashes, mailbox_append_batch(&op, store_of(c), &batch, results));
	node->contents_besides -= SEVERAL - 1;
	for (int i = 0; i < SEVERAL && answer != ANSWER_UNKNOWN; i++)
		settle(&w->messages[first + i], answer == ANSWER_YES ? 1u << box : PLACE_NONE,
			answer == ANSWER_YES ? results[i].uid : 0);
}

static struct sim_message *own_message(struct client *c)
{
	struct sim_world *w = c->world;
	for (int tries = 0; tries < 10 && w->message_count; tries++) {
		struct sim_message *m = &w->messages[sim_below((unsigned)w->message_count)];
		if (m->owner == c->number && m->is_settled && m->uid && m->places != PLACE_NONE)
			return m;
	}
	return NULL;
}

static int box_of(const struct sim_message *m)
{
	return __builtin_ctz(m->places);
}

static void store_flags(struct client *c)
{
	struct sim_world *w = c->world;
	struct sim_message *m = own_message(c);
	struct mailbox_id box;
	AUTO_OP(op, "store");
	if (!m || !find_box(c, &op, box_of(m), &box))
		return;
	struct uid_set uids = {.arena = &op.arena};
	struct slice keyword = SLICE("mark");
	struct flag_change change = {.mode = sim_below(2) ? FLAGS_ADD : FLAGS_REMOVE,
		.keywords = &keyword,
		.keyword_count = 1,
		.flags = sim_below(3) == 0 ? FLAG_SEEN : 0};
	struct flag_result result;
	unsigned after = change.mode == FLAGS_ADD ? 2 : 1;
	int crashes = w->nodes[c->node].crashes;
	uid_set_add(&uids, m->uid);
	m->is_settled = false;
	unsigned before = m->kw_maybe;
	m->kw_maybe |= after;
	switch (heard(c, crashes,
		mailbox_change_flags(&op, store_of(c), w->account, box, &uids, &change, &result))) {
	case ANSWER_YES:
		m->kw_maybe = after;
		m->is_settled = true;
		break;
	case ANSWER_NO:
		m->kw_maybe = before;
		m->is_settled = true;
		break;
	case ANSWER_UNKNOWN:
		break;
	}
}

static void expunge_message(struct client *c)
{
	struct sim_world *w = c->world;
	struct sim_message *m = own_message(c);
	struct mailbox_id box;
	AUTO_OP(op, "expunge");
	if (!m || !find_box(c, &op, box_of(m), &box))
		return;
	struct uid_set uids = {.arena = &op.arena};
	struct expunge_result result;
	unsigned before = m->places;
	int crashes = w->nodes[c->node].crashes;
	uid_set_add(&uids, m->uid);
	m->is_settled = false;
	m->places |= PLACE_NONE;
	switch (heard(c, crashes,
		mailbox_expunge(&op, store_of(c), w->account, box, &uids, false, &result))) {
	case ANSWER_YES:
		if (!uid_set_contains(&result.expunged, m->uid))
			sim_fail(w, "EXPUNGE of UID %u found nothing", m->uid);
		m->places = PLACE_NONE;
		break;
	case ANSWER_NO:
		m->places = before;
		m->is_settled = true;
		break;
	case ANSWER_UNKNOWN:
		break;
	}
}

/* One message in place of another (RFC 8508). */
static void replace_message(struct client *c)
{
	struct sim_world *w = c->world;
	struct sim_message *old = own_message(c);
	struct mailbox_id from;
	AUTO_OP(op, "replace");
	if (!old || !find_box(c, &op, box_of(old), &from))
		return;
	int box = (int)sim_below(BOXES);
	struct sim_message *m = new_message(c, box);
	if (!m)
		return;
	struct append_request request = {.account = w->account,
		.path = w->boxes[box],
		.content = slice_from_cstr(m->content)};
	struct append_batch batch = {.requests = &request,
		.count = 1,
		.replaced_mailbox = from,
		.replaced_uid = old->uid};
	struct append_result result;
	unsigned before = old->places;
	int crashes = w->nodes[c->node].crashes;
	m->instead = (int)(old - w->messages) + 1;
	old->is_settled = false;
	old->places |= PLACE_NONE;
	switch (heard(c, crashes, mailbox_append_batch(&op, store_of(c), &batch, &result))) {
	case ANSWER_YES:
		settle(m, 1u << box, result.uid);
		old->places = PLACE_NONE;
		break;
	case ANSWER_NO:
		settle(m, PLACE_NONE, 0);
		settle(old, before, old->uid);
		break;
	case ANSWER_UNKNOWN:
		break;
	}
}

static void move_message(struct client *c)
{
	struct sim_world *w = c->world;
	struct sim_message *m = own_message(c);
	struct mailbox_id from;
	struct mailbox_id to;
	AUTO_OP(op, "move");
	if (!m)
		return;
	int source = box_of(m);
	int target = (source + 1 + (int)sim_below(BOXES - 1)) % BOXES;
	if (!find_box(c, &op, source, &from) || !find_box(c, &op, target, &to))
		return;
	struct uid_set uids = {.arena = &op.arena};
	struct copy_result result;
	unsigned before = m->places;
	int crashes = w->nodes[c->node].crashes;
	uid_set_add(&uids, m->uid);
	m->is_settled = false;
	m->places |= 1u << target;
	switch (heard(
		c, crashes, mailbox_move(&op, store_of(c), w->account, from, &uids, to, &result))) {
	case ANSWER_YES:
		if (result.count != 1)
			sim_fail(w, "MOVE of UID %u moved %zu messages", m->uid, result.count);
		m->places = 1u << target;
		m->uid = result.count ? result.to[0] : 0;
		m->is_settled = true;
		break;
	case ANSWER_NO:
		m->places = before;
		m->is_settled = true;
		break;
	case ANSWER_UNKNOWN:
		break;
	}
}

/* A reader who applies deltas only must know what a fresh one sees (I4), and HIGHESTMODSEQ and
 * UIDNEXT never go back (I3, I4). */
static void follow_deltas(struct client *c, struct op *kept)
{
	struct sim_world *w = c->world;
	struct mailbox_id box;
	struct snapshot *snapshot;
	struct mailbox_changes changes;
	AUTO_OP(op, "read");
	int crashes = w->nodes[c->node].crashes;
	if (!find_box(c, &op, 0, &box))
		return;
	struct error *err = mailbox_snapshot(&op, store_of(c), w->account, box, &snapshot);
	if (heard(c, crashes, err) != ANSWER_YES) {
		if (!err)
			snapshot_unref(snapshot);
		return;
	}
	err = mailbox_changes_since(
		&op, store_of(c), w->account, snapshot, c->known_modseq, &changes);
	if (heard(c, crashes, err) == ANSWER_YES) {
		if (snapshot_highest_modseq(snapshot) < c->last_highest)
			sim_fail(w, "HIGHESTMODSEQ went back");
		if (snapshot_uidnext(snapshot) < c->known_uidnext)
			sim_fail(w, "UIDNEXT went back");
		c->last_highest = snapshot_highest_modseq(snapshot);
		struct uid_set now = {.arena = &kept->arena};
		for (size_t i = 0; i < c->known.count; i++)
			for (uint32_t uid = c->known.ranges[i].first;
				uid <= c->known.ranges[i].last; uid++)
				if (!uid_set_contains(&changes.vanished, uid))
					uid_set_add(&now, uid);
		for (size_t i = 0; i < changes.changed.count; i++) {
			struct uid_range range = changes.changed.ranges[i];
			for (uint32_t uid = range.first; uid <= range.last; uid++) {
				if (uid >= c->known_uidnext || uid_set_contains(&c->known, uid))
					uid_set_add(&now, uid);
				else
					sim_fail(w, "UID %u appeared below UIDNEXT", uid);
			}
		}
		if (uid_set_size(&now) != snapshot_count(snapshot))
			sim_fail(w, "deltas give %llu messages, a fresh look %u",
				(unsigned long long)uid_set_size(&now), snapshot_count(snapshot));
		c->known = now;
		c->known_modseq = snapshot_highest_modseq(snapshot);
		c->known_uidnext = snapshot_uidnext(snapshot);
	}
	snapshot_unref(snapshot);
}

/* Settled messages must be where they are, as they are, at any moment (I1, I5, I6, I9). */
static void look_at(struct client *c, struct sim_message *m)
{
	struct sim_world *w = c->world;
	struct mailbox_id box;
	AUTO_OP(op, "look");
	if (!m || !find_box(c, &op, box_of(m), &box))
		return;
	struct uid_set uids = {.arena = &op.arena};
	struct message *messages;
	size_t count;
	struct slice content;
	int crashes = w->nodes[c->node].crashes;
	uid_set_add(&uids, m->uid);
	struct error *err =
		mailbox_messages(&op, store_of(c), w->account, box, &uids, &messages, &count);
	if (heard(c, crashes, err) != ANSWER_YES)
		return;
	if (count != 1) {
		sim_fail(w, "an acknowledged message is not there: UID %u", m->uid);
		return;
	}
	bool has = !keyword_set_is_empty(&messages[0].keywords);
	if (!(m->kw_maybe & (has ? 2 : 1)))
		sim_fail(w, "the keyword of UID %u is not what was acknowledged", m->uid);
	err = message_content(&op, store_of(c), &messages[0], 0, UINT64_MAX, &content);
	if (heard(c, crashes, err) == ANSWER_YES &&
		!slice_equal(content, slice_from_cstr(m->content)))
		sim_fail(w, "UID %u has other bytes than were delivered", m->uid);
}

/* Everybody subscribes to everything: what becomes of it in one group is the last that was said. */
static void subscribe(struct client *c)
{
	struct sim_world *w = c->world;
	AUTO_OP(op, "subscribe");
	int crashes = w->nodes[c->node].crashes;
	heard(c, crashes,
		mailbox_subscribe(
			&op, store_of(c), w->account, w->boxes[sim_below(BOXES)], sim_below(2)));
}

struct account_id sim_grantee(int client)
{
	struct account_id grantee = {0};
	grantee.uuid.bytes[0] = 1;
	grantee.uuid.bytes[15] = (uint8_t)client;
	return grantee;
}

/* Each has a name of its own in a list that all share: nobody's change undoes another's. */
static void change_rights(struct client *c)
{
	struct sim_world *w = c->world;
	struct mailbox_id box;
	AUTO_OP(op, "rights");
	if (!find_box(c, &op, 0, &box))
		return;
	unsigned rights = (unsigned)sim_below(RIGHTS_MAX);
	unsigned *may = &w->rights_may[c->number];
	unsigned before = *may ? *may : 1; /* none at first */
	int crashes = w->nodes[c->node].crashes;
	struct acl_change change = {.by = w->account,
		.mailbox = box,
		.entry = {.account = sim_grantee(c->number),
			.name = slice_from_cstr(arena_printf(&op.arena, "client %d", c->number)),
			.rights = rights}};
	*may = before | 1u << rights;
	switch (heard(c, crashes, mailbox_change_acl(&op, store_of(c), w->account, &change))) {
	case ANSWER_YES:
		*may = 1u << rights;
		break;
	case ANSWER_NO:
		*may = before;
		break;
	case ANSWER_UNKNOWN:
		break;
	}
}

static void append_and_look(struct client *c, bool with_once_key)
{
	struct sim_message *m = append_message(c, with_once_key);
	if (!m || !m->is_settled || m->places == PLACE_NONE || sim_below(2))
		return;
	maybe_change_node(c);
	wait_for_node(c);
	look_at(c, m);
}

static void one_step(struct client *c, struct op *kept)
{
	switch (sim_below(17)) {
	case 0:
	case 1:
	case 2:
		append_and_look(c, false);
		return;
	case 3:
	case 4:
		append_and_look(c, true);
		return;
	case 5:
	case 6:
		store_flags(c);
		return;
	case 7:
		expunge_message(c);
		return;
	case 8:
		move_message(c);
		return;
	case 12:
		append_several(c);
		return;
	case 13:
		replace_message(c);
		return;
	case 9:
		follow_deltas(c, kept);
		return;
	case 10:
	case 11:
		subscribe(c);
		return;
	case 16:
		change_rights(c);
		return;
	default:
		look_at(c, own_message(c));
	}
}

void client_run(void *argument)
{
	struct client *c = argument;
	AUTO_OP(kept, "client");
	c->known_uidnext = 1;
	c->world->nodes[c->node].busy++;
	for (int i = 0; i < c->operations && !c->world->failure[0]; i++) {
		maybe_change_node(c);
		wait_for_node(c);
		one_step(c, &kept);
		fiber_yield();
	}
	c->world->nodes[c->node].busy--;
	c->world->clients_left--;
}
