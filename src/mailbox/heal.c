#include "mailbox/store_private.h"

#include "base/clock.h"
#include "base/log.h"

/* Healing by whoever meets damage: a read that finds rows unlike their snapshot, a change that
 * cannot be planned on what is stored. */

/* What cannot be healed would be tried by every read of it. */
#define VAIN_FOR_NS (5 * NS_PER_S)

static struct vain_repair *vain_of(struct mail_store *store, struct uuid subject)
{
	return &store->vain_repairs[subject.bytes[15] % VAIN_REPAIRS];
}

static bool is_vain(struct mail_store *store, struct uuid subject)
{
	AUTO_LOCK(&store->lock);
	const struct vain_repair *vain = vain_of(store, subject);
	return uuid_equal(vain->subject, subject) && clock_monotonic_ns() < vain->until_ns;
}

static void note_vain(struct mail_store *store, struct uuid subject)
{
	AUTO_LOCK(&store->lock);
	*vain_of(store, subject) =
		(struct vain_repair){subject, clock_monotonic_ns() + VAIN_FOR_NS};
}

struct error *heal_messages(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, const struct uid_set *uids, bool *ret_healed)
{
	struct solve_report report = {0};
	*ret_healed = false;
	if (is_vain(store, mailbox.uuid))
		return NULL;
	TRY(repair_messages_by_log(op, store, account, mailbox, uids, &report));
	*ret_healed = report.rows.fixed != 0;
	if (*ret_healed)
		return NULL;
	note_vain(store, mailbox.uuid);
	log_error(op, "message-rows-damaged", FIELD_ID("mailbox", op, mailbox.uuid));
	return NULL;
}

static struct error *heal(struct op *op, struct mail_store *store, struct account_id account,
	unsigned parts, bool *ret_healed)
{
	struct solve_report report = {0};
	struct solve_scope scope = {.parts = parts};
	*ret_healed = false;
	if (is_vain(store, account.uuid))
		return NULL;
	TRY(mail_store_solve_parts(op, store, account, &scope, &report));
	*ret_healed = report.rows.fixed || report.maps_fixed;
	if (!*ret_healed)
		note_vain(store, account.uuid);
	return NULL;
}

struct error *heal_account(
	struct op *op, struct mail_store *store, struct account_id account, bool *ret_healed)
{
	return heal(op, store, account, SOLVE_ROWS | SOLVE_MAPS, ret_healed);
}

struct error *commit_healed(struct op *op, struct mail_store *store, struct account_id account,
	struct commit_change *change, const bool *rows_are_behind)
{
	bool is_healed;
	struct error *err = commit_run(op, store->commit, account, change);
	/* Where others write the same rows, what does not fit together is first taken for news of
	 * theirs, and in the end for a conflict. */
	bool may_be_rows = err && err->kind == ERR_CONFLICT && *rows_are_behind;
	if (!err || (err->kind != ERR_CORRUPT && !may_be_rows))
		return err;
	/* Nothing was written; if healing fails, what was wrong in the first place is told. */
	struct error *failure = heal(op, store, account,
		*rows_are_behind ? SOLVE_ROWS : SOLVE_ROWS | SOLVE_MAPS, &is_healed);
	return failure || !is_healed ? err : commit_run(op, store->commit, account, change);
}
