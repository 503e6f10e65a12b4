#include "commit/commit_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "base/steps.h"
#include "base/world.h"

METRIC_COUNTER(groups_sent, "commits_total", "CASes sent to commit a group of changes");
METRIC_COUNTER(changes_done, "commit_changes_total", "Changes that became true");
METRIC_COUNTER(
	conflicts, "commit_conflicts_total", "CASes refused because the account had changed");
METRIC_COUNTER(
	uncertain_groups, "commit_uncertain_total", "CASes whose outcome had to be found out");
METRIC_COUNTER(
	changes_refused, "commit_busy_total", "Changes refused because too many were waiting");
METRIC_HISTOGRAM(commit_time, "commit_seconds", "From a change's arrival to its outcome");

#define ATTEMPTS 24
#define SURPRISES_MOST 5
#define LEDGER_MOST 10000
#define RETRY_FIRST_NS (2 * NS_PER_MS)
#define RETRY_MOST_NS (200 * NS_PER_MS)

struct commit_settings commit_settings = {
	.group_changes = 128,
	.group_bytes = 4 << 20,
	.tail_entries = 384,
	.tail_bytes = 192 << 10,
	.resolve_budget_ms = 800,
	.cached_accounts = 5000,
	.waiting_changes = 1024,
	.content_age_ms = 3600 * 1000,
};

/* One group on its way. */
struct sending {
	struct op *op; /* the leader's */
	struct commit *commit;
	struct commit_account *account;
	struct commit_change *group;
	struct commit_plan plan;
	struct mutations account_rows;
	struct mutations plain; /* with the CAS, on atomic engines */
	struct cas cas;
	uint64_t expected_modseq;
	bool head_is_behind; /* a plan found rows that are newer, or needs a fresh head */
	bool head_is_fresh;  /* it was read by this leader, for this group */
	int pauses;
	unsigned tries; /* CASes sent */
};

static void fail_group(struct commit_change *group, const struct error *err)
{
	for (struct commit_change *change = group; change; change = change->next)
		if (!change->is_settled) {
			change->err = op_error_copy(change->op, err);
			change->modseq = 0;
			change->is_settled = true;
		}
}

static struct error *load_head(struct sending *s)
{
	if (s->account->head.is_loaded)
		return NULL;
	s->head_is_fresh = true;
	return account_reload(s->op, s->commit, s->account, READ_SERIAL);
}

static bool content_is_too_old(const struct commit_change *change)
{
	return !is_planted(BUG_LATE_COMMIT) && change->content_put_ns &&
	       clock_boottime_ns() - change->content_put_ns >
		       commit_settings.content_age_ms * NS_PER_MS;
}

/* Asked right before a group is sent, since planning may have waited for long. */
static bool group_is_too_old(const struct sending *s)
{
	for (const struct commit_change *change = s->group; change; change = change->next)
		if (!change->is_settled && content_is_too_old(change))
			return true;
	return false;
}

/* Where other nodes write too, "there is nothing to do" and "that cannot be done" are said of a
 * head that was read since the change came. Rows that disagree with it again and again are damaged.
 */
static bool needs_fresh_head(const struct sending *s, struct commit_change *change)
{
	if (change->err && change->err->kind == ERR_CONFLICT) {
		if (++change->surprises < SURPRISES_MOST)
			return true;
		change->err->kind = ERR_CORRUPT;
		return false;
	}
	return s->commit->engine->is_shared && !s->head_is_fresh;
}

/* Planned on the head that the group is sent on: true as soon as that is. */
static bool waits_for_group(const struct sending *s, const struct commit_change *change)
{
	return change->is_promised && !change->err && s->commit->engine->is_shared;
}

/* Plans what is not done yet. False: nothing is left to be sent. */
static bool plan_group(struct sending *s)
{
	bool any = false;
	struct commit_change *idle = NULL;
	s->head_is_behind = false;
	plan_begin(&s->plan, s->op, s->commit, s->account);
	s->expected_modseq = s->plan.head->exists ? s->plan.head->state.modseq : 0;
	for (struct commit_change *change = s->group; change; change = change->next) {
		if (change->is_settled)
			continue;
		change->is_idle = false;
		if (content_is_too_old(change)) {
			change->err = op_fail(
				change->op, ERR_TIMEOUT, "the content was put too long ago");
			change->is_settled = true;
		} else if (plan_one(&s->plan, change)) {
			any = true;
		} else if (waits_for_group(s, change)) {
			change->is_idle = true;
			idle = change;
		} else if (needs_fresh_head(s, change)) {
			s->head_is_behind = true;
		} else {
			change->is_settled = true;
		}
	}
	if (idle && !any)
		plan_empty(&s->plan, idle);
	return any || idle || s->head_is_behind;
}

/* The rows of all projections that these log rows mean. */
static struct error *derive_rows(struct sending *s, struct mutations *out)
{
	struct row_changes changes;
	row_changes_init(&changes, &s->op->arena);
	for (size_t i = 0; i < s->plan.log_count; i++)
		TRY(s->commit->rules.derive(s->op, s->account->id, &s->plan.logs[i], &changes));
	return projection_rows(s->op, s->commit->engine, &changes, out);
}

/* Where one write can span partitions, content and projections go with the CAS; then nothing is
 * owed. */
static struct error *add_plain_rows(struct sending *s)
{
	bool nothing_owed =
		!s->plan.head->exists || s->plan.head->state.applied == s->plan.head->state.modseq;
	for (struct commit_change *change = s->group; change; change = change->next)
		if (!change->is_settled && change->content)
			for (size_t i = 0; i < change->content->count; i++) {
				const struct mutation *row = &change->content->items[i];
				mutations_put(&s->plain, row->table, row->partition, row->key,
					row->value, row->version);
			}
	if (!nothing_owed)
		return NULL;
	TRY(derive_rows(s, &s->plain));
	s->plan.state.applied = s->plan.state.modseq;
	return NULL;
}

/* So that a sweeper on any node finds what a kill leaves unapplied. */
static struct error *note_dirty(struct sending *s)
{
	uint64_t now_us = clock_realtime_us();
	uint32_t slice = (uint32_t)(now_us / DIRTY_SLICE_US);
	if (s->account->dirty_slice == slice)
		return NULL;
	struct arena *arena = &s->op->arena;
	struct dirty row = {0};
	struct mutations note;
	mutations_init(&note, arena);
	mutations_put(&note, &dirty_table, key_shard(arena, dirty_shard(s->account->id), slice),
		key_id_row(arena, 0, s->account->id.uuid), row_encode_in(arena, &dirty_row, &row),
		now_us);
	if (engine_is_atomic(s->commit->engine)) {
		/* Nothing is ever owed there but intents. */
		bool has_intents = s->plan.extras.count || s->plan.head->intents.count;
		if (has_intents)
			mutations_put(&s->plain, note.items[0].table, note.items[0].partition,
				note.items[0].key, note.items[0].value, now_us);
		return NULL;
	}
	struct error *err = engine_write(s->commit->engine, s->op, note.items, note.count, DURABLE);
	if (err) {
		/* A note too many does no harm: whatever became of it, no commit was sent. */
		err->kind = ERR_UNAVAILABLE;
		return op_wrap(s->op, err, "note the account for the sweeper");
	}
	s->account->dirty_slice = slice;
	return NULL;
}

static struct error *build_cas(struct sending *s)
{
	struct arena *arena = &s->op->arena;
	const struct head *head = s->plan.head;
	struct slice partition = key_account(arena, s->account->id, 0);
	mutations_init(&s->account_rows, arena);
	mutations_init(&s->plain, arena);
	if (head->exists) {
		mutex_lock(&s->account->lock);
		s->plan.state.applied = MAX_OF(s->plan.state.applied, s->account->applied_pending);
		s->plan.state.mapped = MAX_OF(s->plan.state.mapped, s->account->mapped_pending);
		mutex_unlock(&s->account->lock);
		TRY(trim_if_full(s->op, s->commit, &s->plan, &s->account_rows, &s->plain));
	}
	TRY(note_dirty(s));
	if (engine_is_atomic(s->commit->engine))
		TRY(add_plain_rows(s));
	plan_mutations(&s->plan, partition, &s->account_rows);
	mutations_put(&s->account_rows, &account_table, partition, SLICE_NONE,
		row_encode_in(arena, &account_static_row, &s->plan.state), 0);
	s->cas = (struct cas){.table = &account_table,
		.partition = partition,
		.expected = head->exists ? row_encode_in(arena, &account_static_row, &head->state)
					 : SLICE_NONE,
		.mutations = s->account_rows.items,
		.mutation_count = s->account_rows.count,
		.also = s->plain.items,
		.also_count = s->plain.count};
	if (head->exists && s->plan.state.trimmed > head->state.trimmed) {
		s->cas.cleared_from = key_account_log(arena, 0);
		s->cas.cleared_to = key_account_log(arena, s->plan.state.trimmed + 1);
	}
	return NULL;
}

static void group_is_true(struct sending *s)
{
	int64_t count = 0;
	for (struct commit_change *change = s->group; change; change = change->next)
		if (!change->is_settled) {
			change->err = NULL;
			change->is_settled = true;
			count++;
		}
	metric_add(&changes_done, count);
	mutex_lock(&s->account->lock);
	s->account->unmapped += (uint64_t)count;
	s->account->last_commit_ns = clock_monotonic_ns();
	mutex_unlock(&s->account->lock);
	if (!engine_is_atomic(s->commit->engine) || s->plan.state.applied != s->plan.state.modseq)
		owe_projections(s->commit, s->account->id);
}

/* Its row is what tells whether the group has become true. */
static bool has_row(const struct commit_change *change)
{
	return !change->is_settled && change->modseq;
}

/* What the other data centres do not have yet stays uncertain to whoever made it, although it is
 * true here: the resolver brings it to them. */
static struct error *spread_group(struct sending *s)
{
	if (!s->commit->engine->has_remote_datacenters)
		return NULL;
	size_t count = 0;
	for (struct commit_change *change = s->group; change; change = change->next)
		count += has_row(change);
	struct uuid *operations = ARENA_ARRAY(&s->op->arena, struct uuid, count + 1);
	count = 0;
	for (struct commit_change *change = s->group; change; change = change->next)
		if (has_row(change))
			operations[count++] = change->operation.uuid;
	struct error *err =
		spread_log(s->op, s->commit, s->account->id, &s->account->head, operations, count);
	if (err)
		err->kind = ERR_UNCERTAIN;
	return err;
}

/* The head is what the CAS made of it, and so no older than the moment that it was sent. */
static void install(struct sending *s, uint64_t sent_ns)
{
	mutex_lock(&s->account->lock);
	s->account->looked_ns = MAX_OF(s->account->looked_ns, sent_ns);
	struct error *err = head_install(
		s->op, &s->account->head, s->account_rows.items, s->account_rows.count);
	if (err) {
		log_error(s->op, "head-install-failed", FIELD_ERROR(s->op, err));
		head_done(&s->account->head);
		head_init(&s->account->head);
	}
	mutex_unlock(&s->account->lock);
}

static void forget_head(struct sending *s)
{
	mutex_lock(&s->account->lock);
	head_done(&s->account->head);
	head_init(&s->account->head);
	mutex_unlock(&s->account->lock);
}

static void record_uncertain(struct sending *s, struct commit_change *change)
{
	struct ledger_entry entry = {.operation = change->operation,
		.account = s->account->id,
		.expected_modseq = s->expected_modseq,
		.modseq = change->modseq,
		.recorded_us = clock_realtime_us(),
		.once_key = change->once_key,
		.detail = change->ledger_detail};
	struct error *err = ledger_record(s->op, s->commit->ledger, &entry);
	if (err)
		log_error(s->op, "ledger-write-failed", FIELD_ERROR(s->op, err));
}

static void leave_uncertain(struct sending *s, const struct error *err)
{
	for (struct commit_change *change = s->group; change; change = change->next)
		if (has_row(change))
			record_uncertain(s, change);
	fail_group(s->group, err);
}

static void acknowledge_group(struct sending *s)
{
	struct error *err = spread_group(s);
	if (err)
		leave_uncertain(s, err);
	else
		group_is_true(s);
}

static struct uuid first_open_operation(const struct sending *s)
{
	for (struct commit_change *change = s->group; change; change = change->next)
		if (has_row(change))
			return change->operation.uuid;
	return (struct uuid){0};
}

static void pause_before(int attempt)
{
	uint64_t most = RETRY_FIRST_NS << MIN_OF(attempt, 7);
	clock_sleep_ns(random_below(MIN_OF(most, RETRY_MOST_NS)) + 1);
}

/* Finds out what became of the CAS just sent. Undecided as long as the account stands where it
 * stood: then the same CAS is sent again, on the same condition, so that at most one of them can
 * win. */
static enum verdict resolve_until(struct sending *s, uint64_t until)
{
	metric_add(&uncertain_groups, 1);
	for (int attempt = 0; clock_monotonic_ns() < until; attempt++) {
		enum verdict verdict = VERDICT_UNKNOWN;
		struct error *err = resolve_read(s->op, s->commit, s->account, s->expected_modseq,
			first_open_operation(s), &verdict);
		if (!err && verdict != VERDICT_UNKNOWN)
			return verdict;
		if (is_planted(BUG_GUESSED_OUTCOME))
			return VERDICT_NOT_APPLIED;
		if (!err && group_is_too_old(s))
			break;
		if (!err) {
			struct slice current;
			err = engine_cas(s->commit->engine, s->op, &s->cas, &current);
			/* Even now the read decides: it also brings the head up to date. */
			if (!err || err->kind == ERR_CONFLICT)
				continue;
		}
		pause_before(attempt);
	}
	return VERDICT_UNKNOWN;
}

/* Within the budget: what hangs is cut off there too. */
static enum verdict resolve_group(struct sending *s)
{
	uint64_t until = clock_monotonic_ns() + commit_settings.resolve_budget_ms * NS_PER_MS;
	s->op->deadline_ns = until;
	enum verdict verdict = resolve_until(s, until);
	s->op->deadline_ns = 0;
	return verdict;
}

/* What became of one try, for each change that it was for. */
static void note_try(const struct sending *s, const char *step, const char *outcome)
{
	for (const struct commit_change *change = s->group; change; change = change->next)
		if (!change->is_settled)
			steps_note(&(struct step_note){.op = change->op->id,
				.account = s->account->id.uuid,
				.step = step,
				.outcome = outcome,
				.attempt = s->tries,
				.modseq = change->modseq});
}

/* True when the group must be planned and sent again. */
static bool settle_uncertain(struct sending *s, const struct error *cause)
{
	switch (resolve_group(s)) {
	case VERDICT_APPLIED:
		note_try(s, "resolve", "applied");
		acknowledge_group(s);
		return false;
	case VERDICT_NOT_APPLIED:
		note_try(s, "resolve", "not applied");
		return true;
	case VERDICT_UNKNOWN:
		break;
	}
	note_try(s, "resolve", "not known yet");
	leave_uncertain(s, op_wrap(s->op, cause, "commit"));
	forget_head(s);
	return false;
}

/* An earlier attempt of this change turns out to be applied. */
static struct error *spread_change(struct sending *s, struct commit_change *change)
{
	if (!s->commit->engine->has_remote_datacenters)
		return NULL;
	struct error *err = spread_log(
		s->op, s->commit, s->account->id, &s->account->head, &change->operation.uuid, 1);
	if (!err)
		return NULL;
	err->kind = ERR_UNCERTAIN;
	record_uncertain(s, change);
	return op_error_copy(change->op, err);
}

/* The account has changed meanwhile: look for our own operations among what is new, then plan anew.
 * Whoever waits does so before the look, never between it and the next CAS: another node that
 * commits without a break would have been there again, each time. */
static struct error *settle_conflict(struct sending *s)
{
	metric_add(&conflicts, 1);
	pause_before(s->pauses++);
	TRY(account_reload(s->op, s->commit, s->account, READ_SERIAL));
	s->head_is_fresh = true;
	for (struct commit_change *change = s->group; change; change = change->next) {
		const struct log_row *row =
			head_find_operation(&s->account->head, change->operation.uuid);
		if (change->is_settled || !row)
			continue;
		change->err = spread_change(s, change);
		change->modseq = row->modseq;
		change->is_settled = true;
		owe_projections(s->commit, s->account->id);
	}
	return NULL;
}

static bool is_all_done(const struct commit_change *group)
{
	for (; group; group = group->next)
		if (!group->is_settled)
			return false;
	return true;
}

/* One attempt; NULL with work left over means: try again. */
static struct error *attempt_group(struct sending *s)
{
	TRY(load_head(s));
	if (!plan_group(s))
		return NULL;
	if (s->head_is_behind)
		return settle_conflict(s);
	TRY(build_cas(s));
	/* Planned anew, without what is too old. */
	if (group_is_too_old(s))
		return NULL;
	metric_add(&groups_sent, 1);
	struct slice current = SLICE_NONE;
	uint64_t sent_ns = clock_monotonic_ns();
	struct error *err = engine_cas(s->commit->engine, s->op, &s->cas, &current);
	s->tries++;
	note_try(s, "commit", err ? error_kind_name(err->kind) : "applied");
	if (!err) {
		install(s, sent_ns);
		acknowledge_group(s);
		return NULL;
	}
	if (err->kind == ERR_CONFLICT)
		return settle_conflict(s);
	if (err->kind == ERR_UNCERTAIN) {
		if (settle_uncertain(s, err))
			pause_before(s->pauses++);
		return NULL;
	}
	return op_wrap(s->op, err, "commit");
}

static void lead_group(
	struct commit *commit, struct commit_account *account, struct commit_change *group)
{
	AUTO_OP(op, "commit");
	struct sending s = {.op = &op, .commit = commit, .account = account, .group = group};
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		struct error *err = attempt_group(&s);
		if (err)
			fail_group(group, err);
		if (is_all_done(group))
			return;
	}
	fail_group(
		group, op_fail(&op, ERR_UNAVAILABLE,
			       "the account changed %d times while a change was tried", ATTEMPTS));
}

static size_t change_bytes(const struct commit_change *change)
{
	size_t bytes = 0;
	for (size_t i = 0; change->content && i < change->content->count; i++)
		bytes += change->content->items[i].value.len;
	return bytes;
}

/* Takes the first changes off the queue; at least one. A change that makes the account goes alone.
 */
static struct commit_change *take_group(struct commit_account *account)
{
	struct commit_change *first = account->queue;
	struct commit_change *last = first;
	size_t count = 1;
	size_t bytes = change_bytes(first);
	while (last->next && count < commit_settings.group_changes && !first->makes_account &&
		!last->next->makes_account) {
		bytes += change_bytes(last->next);
		if (bytes > commit_settings.group_bytes)
			break;
		last = last->next;
		count++;
	}
	account->queue = last->next;
	if (!account->queue)
		account->queue_end = &account->queue;
	last->next = NULL;
	account->waiting -= count;
	return first;
}

static struct error *enqueue(struct op *op, struct commit *commit, struct commit_account *account,
	struct commit_change *change)
{
	/* What cannot be remembered must not be begun. */
	if (!change->is_resolving && ledger_length(commit->ledger) >= LEDGER_MOST)
		return op_fail(op, ERR_UNAVAILABLE, "too many outcomes are unknown already");
	if (account->waiting >= commit_settings.waiting_changes) {
		metric_add(&changes_refused, 1);
		return op_fail(op, ERR_UNAVAILABLE, "too many changes of the account are waiting");
	}
	change->next = NULL;
	*account->queue_end = change;
	account->queue_end = &change->next;
	account->waiting++;
	return NULL;
}

/* Only now, all at once: a change that knows it is done takes its memory with it. */
static void tell_group(struct commit_change *group)
{
	while (group) {
		struct commit_change *next = group->next;
		if (group->is_idle)
			group->modseq = 0;
		group->is_done = true;
		condition_signal(&group->wake);
		group = next;
	}
}

/* Leads a group of its own account for as long as its change is not done, with the lock held. */
static void lead_while_needed(
	struct commit *commit, struct commit_account *account, struct commit_change *change)
{
	while (!change->is_done) {
		if (account->is_led) {
			condition_wait(&change->wake, &account->lock);
			continue;
		}
		account->is_led = true;
		struct commit_change *group = take_group(account);
		mutex_unlock(&account->lock);
		lead_group(commit, account, group);
		mutex_lock(&account->lock);
		tell_group(group);
		account_follow(account);
	}
}

struct error *commit_run(
	struct op *op, struct commit *commit, struct account_id id, struct commit_change *change)
{
	uint64_t begun = clock_monotonic_ns();
	change->op = op;
	change->surprises = 0;
	change->operation.uuid = uuid_random();
	change->err = NULL;
	change->modseq = 0;
	change->is_settled = false;
	change->is_done = false;
	condition_init(&change->wake);
	struct commit_account *account = account_get(commit, id);
	mutex_lock(&account->lock);
	struct error *err = enqueue(op, commit, account, change);
	if (!err) {
		lead_while_needed(commit, account, change);
		err = change->err;
	}
	mutex_unlock(&account->lock);
	account_put(commit, account);
	condition_done(&change->wake);
	metric_observe_ns(&commit_time, clock_monotonic_ns() - begun);
	if (!err && change->modseq && commit->listener)
		commit->listener(commit->listener_context, id, change->modseq);
	return err;
}
