#include "simulation/clients.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "mailbox/vault.h"

#define DAY_NS (86400 * NS_PER_S)

static bool works(struct sim_world *w, const char *when, const struct error *err)
{
	if (err)
		sim_fail(w, "%s: a read fails: %s (%s)", when, err->message,
			err->cause ? err->cause->message : "");
	return !err;
}

struct tally {
	uint64_t bytes;
	uint64_t count;
	unsigned places[MESSAGES_MAX]; /* boxes it was found in */
	int times[MESSAGES_MAX];
};

static int number_of(struct slice content)
{
	uint32_t number;
	struct slice rest = slice_from(content, slice_find(content, SLICE("message ")) + 8);
	return slice_parse_u32(slice_range(rest, 0, 8), &number) ? (int)number : -1;
}

static void check_message(struct sim_world *w, struct op *op, struct mail_store *store,
	const struct message *message, int box, struct tally *tally, const char *when)
{
	struct slice content;
	if (!works(w, when, message_content(op, store, message, 0, UINT64_MAX, &content)))
		return;
	int number = number_of(content);
	if (number < 0 || number >= w->message_count ||
		!slice_equal(content, slice_from_cstr(w->messages[number].content))) {
		sim_fail(w, "%s: a message has bytes that nobody delivered", when);
		return;
	}
	struct sim_message *m = &w->messages[number];
	bool has = !keyword_set_is_empty(&message->keywords);
	tally->places[number] |= 1u << box;
	tally->times[number]++;
	tally->bytes += message->size;
	tally->count++;
	if (!(m->kw_maybe & (has ? 2 : 1)))
		sim_fail(w, "%s: message %d has the keyword wrong", when, number);
	if (m->is_settled && m->places == 1u << box && m->uid != message->uid)
		sim_fail(w, "%s: message %d has UID %u, %u was acknowledged", when, number,
			message->uid, m->uid);
}

static void check_box(struct sim_world *w, struct op *op, struct mail_store *store, int box,
	struct tally *tally, const char *when)
{
	struct mailbox_status status;
	struct snapshot *snapshot;
	struct message *messages;
	size_t count;
	struct uid_set all = {.arena = &op->arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	if (!works(w, when, mailbox_find(op, store, w->account, w->boxes[box], &status)) ||
		!works(w, when, mailbox_snapshot(op, store, w->account, status.id, &snapshot)))
		return;
	if (works(w, when,
		    mailbox_messages(op, store, w->account, status.id, &all, &messages, &count))) {
		uint32_t last_uid = 0;
		uint64_t bytes = 0;
		if (count != status.messages || count != snapshot_count(snapshot))
			sim_fail(w, "%s: box %d counts %u, lists %zu, shows %u", when, box,
				status.messages, count, snapshot_count(snapshot));
		for (size_t i = 0; i < count && !w->failure[0]; i++) {
			struct snapshot_message seen = snapshot_at(snapshot, (uint32_t)i);
			if (messages[i].uid <= last_uid || messages[i].uid >= status.uidnext)
				sim_fail(w, "%s: box %d has UID %u after %u", when, box,
					messages[i].uid, last_uid);
			if (seen.uid != messages[i].uid || seen.modseq != messages[i].modseq ||
				seen.flags != messages[i].flags)
				sim_fail(w, "%s: box %d shows UID %u unlike its row", when, box,
					messages[i].uid);
			last_uid = messages[i].uid;
			bytes += messages[i].size;
			check_message(w, op, store, &messages[i], box, tally, when);
		}
		if (bytes != status.bytes)
			sim_fail(w, "%s: box %d counts its bytes wrong", when, box);
	}
	snapshot_unref(snapshot);
}

static void check_projections(
	struct sim_world *w, struct op *op, struct mail_store *store, const char *when)
{
	/* The stored rows themselves, without the overlay: what is applied must be there. */
	for (int box = 0; box < BOXES; box++) {
		struct mailbox_status status;
		struct engine_rows rows;
		if (!works(w, when, mailbox_find(op, store, w->account, w->boxes[box], &status)) ||
			!works(w, when,
				engine_scan(w->rows, op, &mailbox_message_table,
					key_message_bucket(&op->arena, status.id, 1), SLICE_NONE,
					SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows)))
			return;
		if (rows.count != status.messages)
			sim_fail(w, "%s: box %d has %zu rows for %u messages", when, box,
				rows.count, status.messages);
	}
}

/* What was deleted is listed with its bytes, and is in no mailbox; every second one is purged, so
 * that what reclaim then does without the grace period is seen too. */
void check_vault(struct sim_world *w, struct mail_store *store)
{
	AUTO_OP(op, "vault");
	struct vault_filter all = {.limit = SIZE_MAX};
	struct vault_message *messages;
	size_t count;
	size_t removed;
	bool has_more;
	if (!works(w, "vault",
		    vault_list(&op, store, w->account, &all, &messages, &count, &has_more)))
		return;
	for (size_t i = 0; i < count && !w->failure[0]; i++) {
		struct slice content;
		if (!works(w, "vault", vault_content(&op, store, &messages[i], &content)))
			return;
		int number = number_of(content);
		if (number < 0 || number >= w->message_count ||
			!slice_equal(content, slice_from_cstr(w->messages[number].content)))
			sim_fail(w, "the vault has bytes that nobody delivered");
		else if (!(w->messages[number].places & PLACE_NONE))
			sim_fail(w, "the vault lists message %d, which nobody expunged", number);
		else if (i % 2)
			works(w, "vault", vault_purge(&op, store, w->account, messages[i].id));
	}
	works(w, "purge", mail_store_reclaim(&op, store, DAY_NS / 1000, &removed));
	check_world(w, store, "after a purge");
}

/* Two days later, what nothing refers to is removed. */
void check_reclaim(struct sim_world *w, struct mail_store *store)
{
	AUTO_OP(op, "reclaim");
	size_t removed;
	clock_sleep_ns(2 * DAY_NS);
	works(w, "reclaim", mail_store_reclaim(&op, store, DAY_NS / 1000, &removed));
}

/* What is left is somebody's, but for what nobody could leave a note of (I8). That it is there and
 * whole is seen by reading it. */
void check_content(struct sim_world *w, struct mail_store *store)
{
	AUTO_OP(op, "audit");
	struct audit_report report;
	if (!works(w, "audit", mail_store_audit(&op, store, &report)))
		return;
	/* A note that could not be written for certain may be seen by one read and not by another.
	 */
	uint64_t explained = w->cut_off + content_left_behind_count();
	if (report.orphaned + report.waiting > explained)
		sim_fail(w, "%llu contents are nobody's, %llu wait for reclaim, %llu are explained",
			(unsigned long long)report.orphaned, (unsigned long long)report.waiting,
			(unsigned long long)explained);
	if (report.blobs != report.live + report.waiting + report.orphaned)
		sim_fail(w, "the audit does not add up");
}

/* The node that made the commits shows what another reads. */
static void check_subscriptions(
	struct sim_world *w, struct op *op, struct mail_store *store, const char *when)
{
	struct slice *names;
	size_t count;
	int now = 0;
	if (!works(w, when, mailbox_subscriptions(op, store, w->account, &names, &count)))
		return;
	for (size_t i = 0; i < count; i++)
		for (int box = 0; box < BOXES; box++)
			if (slice_equal(names[i], w->boxes[box]))
				now |= 1 << box;
	if (w->subscriptions >= 0 && now != w->subscriptions)
		sim_fail(w, "%s: other names are subscribed to than were shown before", when);
	w->subscriptions = now;
}

/* Rights are what was acknowledged, and who has some finds the mailbox listed. */
static void check_rights(
	struct sim_world *w, struct op *op, struct mail_store *store, const char *when)
{
	struct mailbox_status status;
	if (!works(w, when, mailbox_find(op, store, w->account, w->boxes[0], &status)))
		return;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		unsigned rights;
		struct engine_row row;
		bool is_listed;
		if (!works(w, when, acl_rights(op, status.acl, sim_grantee(i), &rights)) ||
			!works(w, when,
				engine_get(w->rows, op, &shared_to_table,
					key_id(&op->arena, sim_grantee(i).uuid),
					key_shared_to(&op->arena, w->account, status.id),
					READ_NORMAL, &is_listed, &row)))
			return;
		if (!((w->rights_may[i] ? w->rights_may[i] : 1) & 1u << rights))
			sim_fail(w, "%s: client %d has given the rights %x, may have given %x",
				when, i, rights, w->rights_may[i]);
		if (is_listed != (rights != 0))
			sim_fail(w, "%s: rights %x of client %d's are %s", when, rights, i,
				is_listed ? "listed" : "not listed");
	}
}

/* Of an operation whose outcome nobody was told: all of it, or nothing. */
static void check_fate(struct sim_world *w, const struct tally *tally, int number, const char *when)
{
	const struct sim_message *m = &w->messages[number];
	bool is_there = tally->times[number];
	if (m->together && is_there != (tally->times[m->together - 1] > 0))
		sim_fail(w, "%s: of messages %d and %d, appended together, one is there", when,
			m->together - 1, number);
	if (m->instead && is_there == (tally->times[m->instead - 1] > 0))
		sim_fail(w, "%s: message %d and what it replaces, %d, are both %s", when, number,
			m->instead - 1, is_there ? "there" : "gone");
}

void check_world(struct sim_world *w, struct mail_store *store, const char *when)
{
	AUTO_OP(op, "check");
	struct tally tally = {0};
	struct quota quota;
	/* First, since reading repairs. */
	check_projections(w, &op, store, when);
	if (projection_repair_count())
		sim_fail(w, "%s: %llu rows were repaired that nobody had damaged", when,
			(unsigned long long)projection_repair_count());
	check_subscriptions(w, &op, store, when);
	check_rights(w, &op, store, when);
	for (int box = 0; box < BOXES && !w->failure[0]; box++)
		check_box(w, &op, store, box, &tally, when);
	for (int i = 0; i < w->message_count && !w->failure[0]; i++) {
		struct sim_message *m = &w->messages[i];
		unsigned found = tally.times[i] ? tally.places[i] : PLACE_NONE;
		if (tally.times[i] > 1)
			sim_fail(w, "%s: message %d is there %d times", when, i, tally.times[i]);
		else if (!(m->places & found))
			sim_fail(w, "%s: message %d is in %x, may be in %x", when, i, found,
				m->places);
		else if (!m->is_settled)
			check_fate(w, &tally, i, when);
	}
	if (!w->failure[0] && works(w, when, mailbox_quota(&op, store, w->account, &quota)) &&
		(quota.used_bytes != tally.bytes || quota.used_count != tally.count))
		sim_fail(w, "%s: the quota says %llu messages, %llu are there", when,
			(unsigned long long)quota.used_count, (unsigned long long)tally.count);
}
