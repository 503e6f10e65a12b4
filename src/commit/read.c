#include "commit/commit_private.h"

#include "base/clock.h"

/* Reading an account's head: fresh, under its lock. */

#define ATTEMPTS 24
/* Operations may last long. */
#define LOOK_LASTS_NS NS_PER_S

static struct error *read_state(struct op *op, struct commit *commit, struct account_id account,
	enum read_level level, bool *ret_found, struct account_static *ret_state)
{
	struct engine_row row;
	*ret_state = (struct account_static){0};
	TRY(engine_get(commit->engine, op, &account_table, key_account(&op->arena, account, 0),
		SLICE_NONE, level, ret_found, &row));
	return *ret_found ? row_decode(op, &account_static_row, row.value, ret_state) : NULL;
}

struct error *commit_stored_modseq(
	struct op *op, struct commit *commit, struct account_id account, uint64_t *ret_modseq)
{
	bool found;
	struct account_static state;
	TRY(read_state(op, commit, account, READ_NORMAL, &found, &state));
	*ret_modseq = state.modseq;
	return NULL;
}

static struct error *poll_head(
	struct op *op, struct commit *commit, struct commit_account *account, bool *ret_is_fresh)
{
	bool found;
	struct account_static state;
	uint64_t now_ns = clock_monotonic_ns();
	TRY(read_state(op, commit, account->id, READ_NORMAL, &found, &state));
	mutex_lock(&account->lock);
	*ret_is_fresh = account->head.is_loaded && account->head.exists == found &&
			account->head.state.modseq >= state.modseq;
	if (*ret_is_fresh)
		account->looked_ns = MAX_OF(account->looked_ns, now_ns);
	mutex_unlock(&account->lock);
	return NULL;
}

/* Too few replicas are left to tell what is the latest. Where nothing is decided by it, a head in
 * memory goes on to be shown if those that the read fallback asks know of nothing newer; it is not
 * taken for fresh by anybody else. Anything newer, or nothing in memory: *ret_is_shown false. */
static struct error *show_head(
	struct op *op, struct commit *commit, struct commit_account *account, bool *ret_is_shown)
{
	bool found;
	struct account_static state;
	TRY(read_state(op, commit, account->id, READ_RELAXED, &found, &state));
	AUTO_LOCK(&account->lock);
	*ret_is_shown = account->head.is_loaded && account->head.exists && found &&
			account->head.state.modseq >= state.modseq;
	return NULL;
}

/* With the lock held. One look serves all that an operation reads: what it is told was true at some
 * moment since it began. */
static bool was_looked_at(const struct op *op, const struct commit_account *account)
{
	return account->looked_ns > op->begun_ns &&
	       clock_monotonic_ns() - account->looked_ns < LOOK_LASTS_NS;
}

static struct error *reload_serially(
	struct op *op, struct commit *commit, struct commit_account *account)
{
	mutex_lock(&account->lock);
	account_lead(account);
	mutex_unlock(&account->lock);
	struct error *err = account_reload(op, commit, account, READ_SERIAL);
	mutex_lock(&account->lock);
	account_follow(account);
	mutex_unlock(&account->lock);
	return err;
}

/* Loads the head if need be, and brings it up to date: where other nodes write too, asks them. */
static struct error *freshen(
	struct op *op, struct commit *commit, struct commit_account *account, bool as_known)
{
	mutex_lock(&account->lock);
	bool is_fresh = account->head.is_loaded;
	/* That there is no account is not known: another node may have made it. */
	bool is_known = as_known && account->head.exists;
	bool must_look = commit->engine->is_shared && !is_known && !was_looked_at(op, account);
	mutex_unlock(&account->lock);
	if (is_fresh && must_look) {
		struct error *err = poll_head(op, commit, account, &is_fresh);
		bool is_shown = false;
		if (engine_may_read_relaxed(op, err))
			TRY(show_head(op, commit, account, &is_shown));
		if (err)
			return is_shown ? NULL : err;
	}
	return is_fresh ? NULL : reload_serially(op, commit, account);
}

static struct error *read_head(struct op *op, struct commit *commit, struct commit_account *account,
	bool as_known, struct error *(*read)(struct op *op, const struct head *head, void *context),
	void *context)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		TRY(freshen(op, commit, account, as_known));
		AUTO_LOCK(&account->lock);
		if (!account->head.is_loaded)
			continue; /* forgotten meanwhile, by an uncertain commit */
		if (!account->head.exists)
			return op_fail(op, ERR_NOT_FOUND, "no such account");
		account->head.applied_here = account->applied_pending;
		return read(op, &account->head, context);
	}
	return op_fail(op, ERR_UNAVAILABLE, "the account cannot be read now");
}

struct error *commit_read(struct op *op, struct commit *commit, struct account_id id,
	struct error *(*read)(struct op *op, const struct head *head, void *context), void *context)
{
	struct commit_account *account = account_get(commit, id);
	struct error *err = read_head(op, commit, account, false, read, context);
	account_put(commit, account);
	return err;
}

struct error *commit_read_known(struct op *op, struct commit *commit, struct account_id id,
	struct error *(*read)(struct op *op, const struct head *head, void *context), void *context)
{
	struct commit_account *account = account_get(commit, id);
	struct error *err = read_head(op, commit, account, true, read, context);
	account_put(commit, account);
	return err;
}

struct error *commit_finish(struct op *op, struct commit *commit, struct account_id id)
{
	struct commit_account *account = account_get(commit, id);
	struct error *err = reload_serially(op, commit, account);
	account_put(commit, account);
	return err;
}
