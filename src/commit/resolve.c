#include "commit/commit_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/world.h"

/* Was an uncertain commit applied? Its operation id stands in the log or it does not; and where the
 * account has moved past the MODSEQ that it expected, it never will, because a MODSEQ does not come
 * back. While the account still stands there, nothing is decided. */

#define RESOLVE_ATTEMPTS 8
/* So many entries in a row without an answer: the engine is away. */
#define FAILURES_MOST 4

struct error *resolve_read(struct op *op, struct commit *commit, struct commit_account *account,
	uint64_t expected, struct uuid operation, enum verdict *ret_verdict)
{
	TRY(account_reload(op, commit, account, READ_SERIAL));
	const struct head *head = &account->head;
	*ret_verdict = VERDICT_UNKNOWN;
	if ((head->exists ? head->state.modseq : 0) == expected) {
		if (is_planted(BUG_HASTY_VERDICT))
			*ret_verdict = VERDICT_NOT_APPLIED;
		return NULL;
	}
	if (head_find_operation(head, operation)) {
		*ret_verdict = VERDICT_APPLIED;
		return NULL;
	}
	if (head->state.trimmed > expected) {
		struct log_walk walk;
		TRY(log_read_trimmed(op, commit, account->id, &head->state, expected, &walk));
		const struct log_row *rows = walk.rows;
		size_t count = walk.count;
		for (size_t i = 0; i < count; i++)
			if (uuid_equal(rows[i].row.operation_id, operation)) {
				*ret_verdict = VERDICT_APPLIED;
				return NULL;
			}
		/* Only an unbroken chain from `expected` on proves that it is not there. */
		if (!count || rows[0].row.previous > expected || !log_is_unbroken(rows, count) ||
			rows[count - 1].modseq != head->state.trimmed)
			return op_fail(op, ERR_UNCERTAIN, "the log above %llu is not whole",
				(unsigned long long)expected);
	}
	*ret_verdict = VERDICT_NOT_APPLIED;
	return NULL;
}

/* An empty commit on the same condition: it or the uncertain one wins, and then it is decided. */
static struct error *plan_nothing(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	(void)context;
	plan_log(plan, SLICE(""));
	return NULL;
}

static struct error *read_as_leader(struct op *op, struct commit *commit,
	struct commit_account *account, const struct ledger_entry *entry, enum verdict *ret_verdict,
	bool *ret_exists)
{
	mutex_lock(&account->lock);
	account_lead(account);
	mutex_unlock(&account->lock);
	struct error *err = resolve_read(
		op, commit, account, entry->expected_modseq, entry->operation.uuid, ret_verdict);
	mutex_lock(&account->lock);
	*ret_exists = account->head.exists;
	account_follow(account);
	mutex_unlock(&account->lock);
	return err;
}

static struct error *decide(struct op *op, struct commit *commit, struct commit_account *account,
	const struct ledger_entry *entry, enum verdict *ret_verdict)
{
	for (int attempt = 0; attempt < RESOLVE_ATTEMPTS; attempt++) {
		bool exists;
		TRY(read_as_leader(op, commit, account, entry, ret_verdict, &exists));
		if (*ret_verdict != VERDICT_UNKNOWN)
			return NULL;
		struct commit_change nothing = {
			.plan = plan_nothing, .makes_account = !exists, .is_resolving = true};
		struct error *err = commit_run(op, commit, entry->account, &nothing);
		if (err && err->kind != ERR_EXISTS && err->kind != ERR_NOT_FOUND)
			return err;
	}
	return op_fail(op, ERR_UNCERTAIN, "the outcome cannot be found out now");
}

static struct error *spread_resolved(struct op *op, struct commit *commit,
	struct commit_account *account, const struct ledger_entry *entry)
{
	mutex_lock(&account->lock);
	account_lead(account);
	mutex_unlock(&account->lock);
	struct error *err =
		spread_log(op, commit, account->id, &account->head, &entry->operation.uuid, 1);
	mutex_lock(&account->lock);
	account_follow(account);
	mutex_unlock(&account->lock);
	return err;
}

struct error *commit_resolve(
	struct op *op, struct commit *commit, const struct ledger_entry *entry, bool *ret_applied)
{
	struct commit_account *account = account_get(commit, entry->account);
	enum verdict verdict = VERDICT_UNKNOWN;
	struct error *err = decide(op, commit, account, entry, &verdict);
	if (!err && verdict == VERDICT_APPLIED && commit->engine->has_remote_datacenters)
		err = spread_resolved(op, commit, account, entry);
	account_put(commit, account);
	TRY(err);
	*ret_applied = verdict == VERDICT_APPLIED;
	if (!*ret_applied && entry->detail.len && commit->rules.undo)
		TRY(commit->rules.undo(op, commit->engine, entry->detail));
	TRY(ledger_settle(
		op, commit->ledger, entry->operation, *ret_applied ? "applied" : "not_applied"));
	log_info(op, "uncertain-commit-resolved", FIELD_ID("operation", op, entry->operation.uuid),
		FIELD_ID("account", op, entry->account.uuid),
		FIELD_TEXT("verdict", *ret_applied ? "applied" : "not_applied"));
	return NULL;
}

static bool is_of_part(const struct ledger_entry *entry, unsigned part, unsigned parts)
{
	/* By account: two threads in one would wait for each other. */
	return entry->account.uuid.bytes[15] % parts == part;
}

struct error *commit_resolve_owed(
	struct op *op, struct commit *commit, unsigned part, unsigned parts)
{
	struct ledger_entry *entries;
	size_t count;
	size_t failures = 0;
	struct error *first = NULL;
	ledger_list(op, commit->ledger, &entries, &count);
	/* Not always from the same one: what cannot be resolved must not bar the rest. */
	size_t first_at = count ? random_below(count) : 0;
	for (size_t i = 0; i < count && failures < FAILURES_MOST; i++) {
		const struct ledger_entry *entry = &entries[(first_at + i) % count];
		if (!is_of_part(entry, part, parts))
			continue;
		bool applied;
		struct arena_mark mark = arena_mark(&op->arena);
		struct error *err = commit_resolve(op, commit, entry, &applied);
		failures = err ? failures + 1 : 0;
		if (err && !first)
			first = err;
		if (!err)
			arena_release(&op->arena, mark);
	}
	return first;
}
