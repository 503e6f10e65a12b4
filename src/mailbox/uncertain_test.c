/* The write path when the engine does not answer: what clients are told, what the ledger holds,
 * what becomes of content. */

#include "base/clock.h"
#include "base/world.h"
#include "blob/blob_inline.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

struct world {
	struct mail_world mail;
	struct error *err; /* of the last append */
	struct append_result result;
};

static uint64_t saved_budget_ms;
static bool content_is_inline;

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->mail, fault_engine_new(memory_engine_new(false), 1), NULL,
		content_is_inline ? BLOB_INLINE_MOST : 0);
	mail_world_make_account(&w->mail, SLICE("a@example.org"));
	saved_budget_ms = commit_settings.resolve_budget_ms;
	commit_settings.resolve_budget_ms = 30;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	commit_settings.resolve_budget_ms = saved_budget_ms;
	mail_world_close(&w->mail);
	free(w);
	return 0;
}

static void given_next_cas_is(struct world *w, enum fault fault)
{
	fault_on_call(w->mail.engine, FAULT_CAS, 1, fault);
}

/* Reads keep failing from the moment the CAS is answered. */
static void given_reads_fail(struct world *w)
{
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_reads = 1000});
}

static void given_a_head_in_memory(struct world *w)
{
	struct mailbox_status status;
	assert_null(
		mailbox_find(&w->mail.op, w->mail.store, w->mail.account, SLICE("INBOX"), &status));
}

static void when_appended(struct world *w, const char *once_key)
{
	struct append_request request = {.account = w->mail.account,
		.path = SLICE("INBOX"),
		.content = SLICE("Subject: x\r\n\r\nhello\r\n"),
		.once_key = slice_from_cstr(once_key)};
	w->err = mailbox_append(&w->mail.op, w->mail.store, &request, &w->result);
}

static void when_the_engine_recovers(struct world *w)
{
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
}

static void when_the_resolver_runs(struct world *w)
{
	assert_null(commit_resolve_owed(&w->mail.op, w->mail.store->commit, 0, 1));
}

static void then_the_mailbox_holds(struct world *w, uint32_t count)
{
	struct mailbox_status status;
	assert_null(
		mailbox_find(&w->mail.op, w->mail.store, w->mail.account, SLICE("INBOX"), &status));
	assert_int_equal(status.messages, count);
}

static size_t blobs_stored(struct world *w)
{
	struct blob_id *ids;
	size_t count;
	assert_null(blob_list(w->mail.blobs, &w->mail.op, SLICE_NONE, 100, &ids, &count));
	return count;
}

static void when_everything_is_reclaimed(struct world *w)
{
	size_t removed;
	for (int i = 0; i < 3; i++)
		mail_store_work(&w->mail.op, w->mail.store);
	mail_world_commit_nothing(&w->mail);
	assert_null(mail_store_reclaim(&w->mail.op, w->mail.store, 0, &removed));
}

static void an_uncertain_append_that_was_applied_is_ok(void **state)
{
	struct world *w = *state;
	given_next_cas_is(w, FAULT_UNCERTAIN_APPLIED);
	when_appended(w, NULL);
	assert_null(w->err);
	then_the_mailbox_holds(w, 1);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
}

static void an_uncertain_append_that_was_not_applied_is_sent_again(void **state)
{
	struct world *w = *state;
	given_next_cas_is(w, FAULT_UNCERTAIN_NOT_APPLIED);
	when_appended(w, NULL);
	assert_null(w->err);
	then_the_mailbox_holds(w, 1);
}

static void an_append_that_may_surface_later_is_there_once(void **state)
{
	struct world *w = *state;
	given_next_cas_is(w, FAULT_UNCERTAIN_LATER);
	when_appended(w, NULL);
	assert_null(w->err);
	fault_apply_late(w->mail.engine);
	then_the_mailbox_holds(w, 1);
}

static void an_uncertain_append_keeps_its_blob_until_the_truth_is_known(void **state)
{
	struct world *w = *state;
	given_a_head_in_memory(w);
	given_next_cas_is(w, FAULT_UNCERTAIN_APPLIED);
	given_reads_fail(w);
	when_appended(w, NULL);
	assert_non_null(w->err);
	assert_int_equal(w->err->kind, ERR_UNCERTAIN);
	assert_int_equal(ledger_length(w->mail.ledger), 1);

	when_the_engine_recovers(w);
	assert_int_equal(blobs_stored(w), 1);
	when_the_resolver_runs(w);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
	then_the_mailbox_holds(w, 1);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 1);
}

static void an_uncertain_append_that_was_not_applied_leaks_nothing(void **state)
{
	struct world *w = *state;
	given_a_head_in_memory(w);
	given_next_cas_is(w, FAULT_UNCERTAIN_NOT_APPLIED);
	given_reads_fail(w);
	when_appended(w, NULL);
	assert_non_null(w->err);
	assert_int_equal(w->err->kind, ERR_UNCERTAIN);

	when_the_engine_recovers(w);
	when_the_resolver_runs(w);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
	then_the_mailbox_holds(w, 0);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 0);
}

/* The same delivery by its once-key; 32 characters. */
#define KEY "0123456789abcdef0123456789abcdef"

static void the_retry_of_an_uncertain_delivery_is_no_duplicate(void **state)
{
	struct world *w = *state;
	given_a_head_in_memory(w);
	given_next_cas_is(w, FAULT_UNCERTAIN_APPLIED);
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	/* The once row is read before the commit; reads fail behind it. */
	commit_settings.resolve_budget_ms = 0;
	when_appended(w, KEY);
	assert_non_null(w->err);
	assert_int_equal(ledger_length(w->mail.ledger), 1);

	commit_settings.resolve_budget_ms = 30;
	when_appended(w, KEY);
	assert_null(w->err);
	assert_true(w->result.was_done_before);
	then_the_mailbox_holds(w, 1);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
}

static void the_retry_of_a_lost_delivery_delivers(void **state)
{
	struct world *w = *state;
	given_a_head_in_memory(w);
	given_next_cas_is(w, FAULT_UNCERTAIN_NOT_APPLIED);
	commit_settings.resolve_budget_ms = 0;
	when_appended(w, KEY);
	assert_non_null(w->err);
	commit_settings.resolve_budget_ms = 30;
	when_appended(w, KEY);
	assert_null(w->err);
	assert_false(w->result.was_done_before);
	then_the_mailbox_holds(w, 1);
}

static void a_refused_append_is_certain(void **state)
{
	struct world *w = *state;
	given_a_head_in_memory(w);
	given_next_cas_is(w, FAULT_REFUSED);
	when_appended(w, NULL);
	assert_non_null(w->err);
	assert_int_equal(w->err->kind, ERR_UNAVAILABLE);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 0);
}

/* No commit was sent: whatever became of the content, the mail is certainly not there. */
static void content_whose_put_is_uncertain_is_left_to_reclaim(void **state)
{
	struct world *w = *state;
	static const enum fault faults[] = {
		FAULT_UNCERTAIN_APPLIED, FAULT_UNCERTAIN_NOT_APPLIED, FAULT_REFUSED};
	uint64_t left_behind = content_left_behind_count();
	given_a_head_in_memory(w);
	/* The first write is the content with what refers to it. */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct audit_report report;
		fault_on_call(w->mail.engine, FAULT_WRITES, 1, faults[i]);
		when_appended(w, NULL);
		assert_int_equal(w->err->kind, ERR_UNAVAILABLE);
		assert_null(mail_store_audit(&w->mail.op, w->mail.store, &report));
		assert_int_equal(report.orphaned, 0);
		when_everything_is_reclaimed(w);
		assert_int_equal(blobs_stored(w), 0);
	}
	then_the_mailbox_holds(w, 0);
	assert_int_equal(ledger_length(w->mail.ledger), 0);
	assert_int_equal(content_left_behind_count(), left_behind);
}

static void content_that_cannot_be_left_to_reclaim_is_counted_and_tried_again(void **state)
{
	struct world *w = *state;
	struct audit_report report;
	given_a_head_in_memory(w);
	/* The content with what refers to it, and then the note that it is nobody's. */
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_cas = 1000});
	fault_on_call(w->mail.engine, FAULT_WRITES, 2, FAULT_REFUSED);
	when_appended(w, NULL);
	assert_int_equal(w->err->kind, ERR_UNAVAILABLE);
	assert_int_equal(content_left_behind_count(), 1);
	assert_null(mail_store_audit(&w->mail.op, w->mail.store, &report));
	assert_int_equal(report.orphaned, 1);
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 0);
}

/* What a crash left that nobody has a note of: once it is old enough, and nobody can own it. */
static void content_that_is_nobodys_is_tidied_away(void **state)
{
	struct world *w = *state;
	struct audit_report report;
	given_a_head_in_memory(w);
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_cas = 1000});
	fault_on_call(w->mail.engine, FAULT_WRITES, 2, FAULT_REFUSED);
	when_appended(w, NULL);
	assert_non_null(w->err);
	mail_world_restart(&w->mail);
	when_the_engine_recovers(w);
	when_appended(w, NULL);
	assert_null(w->err);
	assert_int_equal(blobs_stored(w), 2);

	assert_null(mail_store_tidy(&w->mail.op, w->mail.store, 3600 * US_PER_S, &report));
	assert_int_equal(report.left, 0);
	clock_sleep_ns(3 * NS_PER_MS);
	/* The account owes rows: a commit may have taken what has no place yet. */
	assert_null(mail_store_tidy(&w->mail.op, w->mail.store, 1, &report));
	assert_int_equal(report.left, 0);
	clock_sleep_ns(1200 * NS_PER_MS); /* quiet enough for `applied` to be moved by itself */
	for (int i = 0; i < 3; i++)
		commit_apply_owed(&w->mail.op, w->mail.store->commit);
	assert_null(mail_store_tidy(&w->mail.op, w->mail.store, 1, &report));
	assert_int_equal(report.orphaned, 1);
	assert_int_equal(report.left, 1);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 1);
	then_the_mailbox_holds(w, 1);
}

static void content_given_up_in_the_microsecond_of_a_commit_is_reclaimed(void **state)
{
	struct world *w = *state;
	struct op *op = &w->mail.op;
	struct mutations rows;
	uint8_t digest[SHA256_SIZE];
	when_appended(w, NULL);
	assert_null(w->err);
	struct slice content = SLICE("nobody's");
	struct blob_id blob = blob_new_id(w->mail.store->blobs, content.len);
	struct message_id message = {.uuid = blob.uuid};
	struct blob_candidate candidate = {
		.blob_id = blob.uuid, .account_id = w->mail.account.uuid};
	sha256_of(content, digest);
	mutations_init(&rows, &op->arena);
	assert_null(blob_put(
		w->mail.store->blobs, op, blob, content, slice_of(digest, SHA256_SIZE), NULL));
	mutations_put(&rows, &blob_candidate_table,
		key_candidates(&op->arena, message, w->result.modseq),
		key_id_row(&op->arena, 0, message.uuid),
		row_encode_in(&op->arena, &blob_candidate_row, &candidate), w->result.modseq);
	assert_null(engine_write(w->mail.store->engine, op, rows.items, rows.count, DURABLE));
	assert_int_equal(blobs_stored(w), 2);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 1);
	then_the_mailbox_holds(w, 1);
}

static void a_commit_is_not_sent_long_after_its_content_was_put(void **state)
{
	struct world *w = *state;
	uint64_t saved_ms = commit_settings.content_age_ms;
	commit_settings.content_age_ms = 0;
	when_appended(w, NULL);
	commit_settings.content_age_ms = saved_ms;
	assert_int_equal(w->err->kind, ERR_TIMEOUT);
	then_the_mailbox_holds(w, 0);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 0);
}

static void reads_are_right_while_no_projection_can_be_written(void **state)
{
	struct world *w = *state;
	struct message *messages;
	size_t count;
	struct mailbox_status status;
	struct uid_set all = {.arena = &w->mail.op.arena};
	when_appended(w, NULL);
	when_appended(w, NULL);
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_writes = 1000});
	assert_int_not_equal(commit_apply_owed(&w->mail.op, w->mail.store->commit), 0);
	uid_set_add_range(&all, 1, UINT32_MAX);
	assert_null(
		mailbox_find(&w->mail.op, w->mail.store, w->mail.account, SLICE("INBOX"), &status));
	assert_null(mailbox_messages(
		&w->mail.op, w->mail.store, w->mail.account, status.id, &all, &messages, &count));
	assert_int_equal(count, 2);
	when_the_engine_recovers(w);
	clock_sleep_ns(1200 * NS_PER_MS); /* quiet enough for `applied` to be moved by itself */
	for (int i = 0; i < 4; i++)
		commit_apply_owed(&w->mail.op, w->mail.store->commit);
	assert_int_equal(commit_apply_owed(&w->mail.op, w->mail.store->commit), 0);
}

static struct error *copy_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(struct account_static *)context = head->state;
	return NULL;
}

static struct account_static state_of_account(struct world *w)
{
	struct account_static state;
	assert_null(commit_read(
		&w->mail.op, w->mail.store->commit, w->mail.account, copy_state, &state));
	return state;
}

static void what_was_copied_ahead_is_trimmed_without_a_write(void **state)
{
	struct world *w = *state;
	struct commit_settings saved = commit_settings;
	struct log_row *rows;
	size_t count;
	bool complete;
	commit_settings.tail_entries = 12;
	when_appended(w, NULL);
	for (int i = 0; i < 7; i++)
		mail_world_commit_nothing(&w->mail);
	commit_apply_owed(&w->mail.op, w->mail.store->commit);
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_writes = 1000});
	for (int i = 0; i < 5; i++)
		mail_world_commit_nothing(&w->mail);
	commit_settings = saved;
	assert_true(state_of_account(w).trimmed != 0);
	assert_null(commit_log_since(
		&w->mail.op, w->mail.store->commit, w->mail.account, 0, &rows, &count, &complete));
	assert_true(complete);
	assert_true(count >= 13);
}

static void the_map_follows_once_an_account_is_quiet(void **state)
{
	struct world *w = *state;
	struct commit_settings saved = commit_settings;
	commit_settings.tail_entries = 6;
	for (int i = 0; i < 4; i++)
		when_appended(w, NULL);
	uint64_t last = w->result.modseq;
	commit_apply_owed(&w->mail.op, w->mail.store->commit);
	mail_world_commit_nothing(&w->mail);
	assert_true(state_of_account(w).mapped == 0);
	clock_sleep_ns(1200 * NS_PER_MS);
	commit_apply_owed(&w->mail.op, w->mail.store->commit);
	/* It goes into the next commit. */
	mail_world_commit_nothing(&w->mail);
	commit_settings = saved;
	assert_true(state_of_account(w).mapped >= last);
	mail_world_restart(&w->mail);
	then_the_mailbox_holds(w, 4);
}

/* ---- Too few replicas for all but relaxed reads ---- */

static void then_status_is(struct world *w, bool only_shows, enum error_kind wanted)
{
	AUTO_OP(op, "reader");
	struct mailbox_status status;
	op.only_shows = only_shows;
	struct error *err =
		mailbox_find(&op, w->mail.store, w->mail.account, SLICE("INBOX"), &status);
	if (wanted == ERR_KIND_COUNT) {
		assert_null(err);
		assert_int_equal(status.messages, 1);
	} else {
		assert_non_null(err);
		assert_int_equal(err->kind, wanted);
	}
}

static void what_is_in_memory_is_shown_and_decides_nothing(void **state)
{
	struct world *w = *state;
	w->mail.engine->is_shared = true;
	when_appended(w, NULL);
	assert_null(w->err);
	fault_set_short_sighted(w->mail.engine, true);
	then_status_is(w, false, ERR_UNAVAILABLE);
	then_status_is(w, true, ERR_KIND_COUNT);
	then_status_is(w, false, ERR_UNAVAILABLE);
}

static void given_a_commit_by_a_node_that_is_killed(struct world *w)
{
	struct mail_store *here = w->mail.store;
	w->mail.store = mail_store_new(w->mail.engine, w->mail.ledger, w->mail.blobs);
	when_appended(w, NULL);
	assert_null(w->err);
	mail_store_free(w->mail.store);
	w->mail.store = here;
}

static void what_is_known_to_be_old_is_not_shown(void **state)
{
	struct world *w = *state;
	w->mail.engine->is_shared = true;
	when_appended(w, NULL);
	given_a_commit_by_a_node_that_is_killed(w);
	fault_set_short_sighted(w->mail.engine, true);
	then_status_is(w, true, ERR_UNAVAILABLE);
}

/* ---- A commit that is decided and that few replicas have ---- */

static const struct engine_ops *whole_ops;
static struct engine_row seen_row; /* of the account, by reads below the serial level */
static bool is_finished;
static unsigned account_commits;

static struct error *get_of_few(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	bool is_account = table == &account_table && !key.len;
	is_finished |= is_account && level == READ_SERIAL;
	TRY(whole_ops->get(engine, op, table, partition, key, level, ret_found, ret_row));
	if (is_account && !is_finished)
		*ret_row = seen_row;
	return NULL;
}

static struct error *scan_of_few(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	is_finished |= table == &account_table && level == READ_SERIAL;
	return whole_ops->scan(
		engine, op, table, partition, from, to, limit, backwards, level, ret_rows);
}

static struct error *cas_of_few(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	is_finished |= cas->table == &account_table;
	account_commits += cas->table == &account_table;
	return whole_ops->cas(engine, op, cas, ret_current);
}

static void remember_the_account(struct world *w)
{
	bool found;
	assert_null(engine_get(w->mail.engine, &w->mail.op, &account_table,
		key_account(&w->mail.op.arena, w->mail.account, 0), SLICE_NONE, READ_SERIAL, &found,
		&seen_row));
	assert_true(found);
}

/* Nothing is owed, and the account says so. */
static void given_an_account_at_rest(struct world *w)
{
	struct commit *commit = w->mail.store->commit;
	commit_apply_owed(&w->mail.op, commit);
	mail_world_commit_nothing(&w->mail);
	while (commit_apply_owed(&w->mail.op, commit))
		;
}

static void given_a_note_so_old_that_it_is_cleared(struct world *w)
{
	struct arena *arena = &w->mail.op.arena;
	struct mutations note;
	uint64_t then_us = clock_realtime_us() - 4 * 3600 * US_PER_S;
	mutations_init(&note, arena);
	mutations_put(&note, &dirty_table,
		key_shard(
			arena, dirty_shard(w->mail.account), (uint32_t)(then_us / DIRTY_SLICE_US)),
		key_id_row(arena, 0, w->mail.account.uuid),
		row_encode_in(arena, &dirty_row, &(struct dirty){0}), then_us);
	assert_null(engine_write(w->mail.engine, &w->mail.op, note.items, note.count, DURABLE));
}

static void given_few_replicas(struct world *w)
{
	static struct engine_ops few;
	whole_ops = w->mail.engine->ops;
	few = *whole_ops;
	few.get = get_of_few;
	few.scan = scan_of_few;
	few.cas = cas_of_few;
	is_finished = false;
	account_commits = 0;
	w->mail.engine->ops = &few;
}

static void content_that_such_a_commit_took_is_not_tidied_away(void **state)
{
	struct world *w = *state;
	struct audit_report report;
	w->mail.engine->is_shared = true;
	given_an_account_at_rest(w);
	remember_the_account(w);
	given_a_commit_by_a_node_that_is_killed(w);
	clock_sleep_ns(3 * NS_PER_MS);
	given_few_replicas(w);
	assert_null(mail_store_tidy(&w->mail.op, w->mail.store, 1, &report));
	w->mail.engine->ops = whole_ops;
	assert_int_equal(report.left, 0);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 1);
	then_the_mailbox_holds(w, 1);
}

/* What an earlier change that few replicas have would undo. */
static void what_is_so_already_is_said_behind_a_commit(void **state)
{
	struct world *w = *state;
	struct mail_world *mail = &w->mail;
	w->mail.engine->is_shared = true;
	assert_null(
		mailbox_subscribe(&mail->op, mail->store, mail->account, SLICE("INBOX"), false));
	given_an_account_at_rest(w);
	remember_the_account(w);
	given_few_replicas(w);
	assert_null(
		mailbox_subscribe(&mail->op, mail->store, mail->account, SLICE("INBOX"), false));
	w->mail.engine->ops = whole_ops;
	assert_int_equal(account_commits, 1);
}

static void a_commit_that_few_replicas_have_is_found_before_the_last_note_of_it_goes(void **state)
{
	struct world *w = *state;
	uint64_t saved_delay_ms = commit_settings.projection_delay_ms;
	commit_settings.projection_delay_ms = 0;
	w->mail.engine->is_shared = true;
	given_an_account_at_rest(w);
	remember_the_account(w);
	given_a_commit_by_a_node_that_is_killed(w);
	given_a_note_so_old_that_it_is_cleared(w);

	given_few_replicas(w);
	struct error *err = commit_sweep(&w->mail.op, w->mail.store->commit);
	size_t owed = commit_apply_owed(&w->mail.op, w->mail.store->commit);
	w->mail.engine->ops = whole_ops;
	commit_settings.projection_delay_ms = saved_delay_ms;

	assert_null(err);
	assert_int_equal(owed, 1);
	struct engine_rows rows;
	assert_null(engine_scan(w->mail.engine, &w->mail.op, &mailbox_message_table,
		key_message_bucket(&w->mail.op.arena, mail_world_status(&w->mail, "INBOX").id, 1),
		SLICE_NONE, SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	assert_int_equal(rows.count, 1);
}

/* ---- Another node that commits whenever this one waits ---- */

static struct world *racing;
static struct mail_store *elsewhere;
static uint64_t now_ns = NS_PER_S;

static uint64_t racing_monotonic_ns(void)
{
	return now_ns += NS_PER_MS;
}

static uint64_t racing_realtime_us(void)
{
	return now_ns / 1000;
}

static void racing_random(void *bytes, size_t len)
{
	static uint8_t next;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = ++next;
}

static void commit_elsewhere(void)
{
	struct mail_store *here = racing->mail.store;
	struct append_result result = racing->result;
	racing->mail.store = elsewhere;
	when_appended(racing, NULL);
	assert_null(racing->err);
	racing->mail.store = here;
	racing->result = result;
}

static void racing_sleep(uint64_t monotonic_ns)
{
	now_ns = monotonic_ns;
	commit_elsewhere();
}

static void racing_yield(void)
{
	fail();
}

static void a_change_gets_its_turn_beside_a_busy_node(void **state)
{
	static const struct world_hooks hooks = {.monotonic_ns = racing_monotonic_ns,
		.realtime_us = racing_realtime_us,
		.random_bytes = racing_random,
		.yield = racing_yield,
		.sleep_until = racing_sleep};
	struct world *w = racing = *state;
	w->mail.engine->is_shared = true;
	elsewhere = mail_store_new(w->mail.engine, w->mail.ledger, w->mail.blobs);
	world_hooks = &hooks;
	when_appended(w, NULL);
	struct error *first = w->err;
	commit_elsewhere();
	when_appended(w, NULL);
	world_hooks = NULL;
	assert_null(first);
	assert_null(w->err);
	mail_store_free(elsewhere);
}

static struct error *look(struct op *op, const struct head *head, void *context)
{
	(void)op;
	(void)head;
	(void)context;
	return NULL;
}

static void an_account_that_another_node_has_made_is_found_by_a_delivery(void **state)
{
	struct world *w = *state;
	struct mail_world other = w->mail;
	w->mail.engine->is_shared = true;
	other.account = w->mail.account = (struct account_id){uuid_v7()};
	/* This node has looked too early. */
	assert_non_null(
		commit_read(&w->mail.op, w->mail.store->commit, w->mail.account, look, NULL));
	other.store = mail_store_new(w->mail.engine, w->mail.ledger, w->mail.blobs);
	assert_null(mail_store_make_account(
		&w->mail.op, other.store, other.account, SLICE("b@example.org")));
	w->mail.op.begun_ns = clock_monotonic_ns(); /* an operation of its own */
	when_appended(w, "key");
	assert_null(w->err);
	mail_store_free(other.store);
}

static void a_log_with_a_hole_is_no_verdict(void **state)
{
	struct world *w = *state;
	struct commit_settings saved = commit_settings;
	struct ledger_entry entry = {.operation.uuid = uuid_v7(), .account = w->mail.account};
	struct log_row *rows;
	size_t count;
	bool complete, applied;
	entry.expected_modseq = state_of_account(w).modseq;
	commit_settings.tail_entries = 6;
	for (int i = 0; i < 12; i++)
		mail_world_commit_nothing(&w->mail);
	commit_settings = saved;
	struct account_static at = state_of_account(w);
	assert_null(commit_log_since(&w->mail.op, w->mail.store->commit, w->mail.account,
		entry.expected_modseq, &rows, &count, &complete));
	assert_true(count > 3 && rows[2].modseq < at.trimmed);
	struct mutations lost;
	mutations_init(&lost, &w->mail.op.arena);
	mutations_delete(&lost, &account_log_table,
		key_log_segment(&w->mail.op.arena, w->mail.account, at.segment),
		key_u64_row(&w->mail.op.arena, rows[1].modseq), rows[1].modseq + 1);
	assert_null(engine_write(w->mail.engine, &w->mail.op, lost.items, lost.count, DURABLE));
	struct error *err = commit_resolve(&w->mail.op, w->mail.store->commit, &entry, &applied);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
}

/* ---- A node that stops between two rows of one commit ---- */

static const struct engine_ops *full_ops;
static bool deletions_arrive;

/* Of what is written, only the candidates for reclaim arrive, and maybe what is deleted. */
static struct error *write_some(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability)
{
	struct mutations arrive;
	mutations_init(&arrive, &op->arena);
	for (size_t i = 0; i < count; i++) {
		const struct mutation *m = &mutations[i];
		if (m->table == &blob_candidate_table)
			mutations_put(
				&arrive, m->table, m->partition, m->key, m->value, m->version);
		else if (deletions_arrive && !m->value.ptr)
			mutations_delete(&arrive, m->table, m->partition, m->key, m->version);
	}
	TRY(full_ops->write(engine, op, arrive.items, arrive.count, durability));
	return arrive.count == count ? NULL : op_fail(op, ERR_UNAVAILABLE, "the rest is late");
}

/* Applies what is owed as far as that goes, and reclaims; then the rest arrives. */
static void when_reclaimed_amidst_a_commit(struct world *w, bool with_deletions)
{
	struct engine *engine = w->mail.engine;
	struct engine_ops some_ops = *engine->ops;
	full_ops = engine->ops;
	some_ops.write = write_some;
	engine->ops = &some_ops;
	deletions_arrive = with_deletions;
	commit_apply_owed(&w->mail.op, w->mail.store->commit);
	engine->ops = full_ops;
	size_t removed;
	assert_null(mail_store_reclaim(&w->mail.op, w->mail.store, 0, &removed));
	assert_int_equal(removed, 0);
	clock_sleep_ns(200 * NS_PER_MS); /* past the pause of the retry */
}

static struct mailbox_id mailbox_named(struct world *w, const char *path)
{
	return mail_world_status(&w->mail, path).id;
}

static void a_half_applied_move_is_not_reclaimed(void **state)
{
	struct world *w = *state;
	struct uid_set uids = {.arena = &w->mail.op.arena};
	struct copy_result moved;
	struct message *messages;
	struct slice content;
	size_t count;
	when_appended(w, NULL);
	while (commit_apply_owed(&w->mail.op, w->mail.store->commit))
		clock_sleep_ns(100 * NS_PER_MS);
	uid_set_add(&uids, w->result.uid);
	assert_null(mailbox_move(&w->mail.op, w->mail.store, w->mail.account,
		mailbox_named(w, "INBOX"), &uids, mailbox_named(w, "Archive"), &moved));
	when_reclaimed_amidst_a_commit(w, true);
	when_everything_is_reclaimed(w);
	uid_set_add(&uids, moved.to[0]);
	assert_null(mailbox_messages(&w->mail.op, w->mail.store, w->mail.account,
		mailbox_named(w, "Archive"), &uids, &messages, &count));
	assert_int_equal(count, 1);
	assert_null(
		message_content(&w->mail.op, w->mail.store, &messages[0], 0, UINT64_MAX, &content));
}

static void a_half_applied_expunge_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct uid_set uids = {.arena = &w->mail.op.arena};
	struct expunge_result expunged;
	when_appended(w, NULL);
	while (commit_apply_owed(&w->mail.op, w->mail.store->commit))
		clock_sleep_ns(100 * NS_PER_MS);
	uid_set_add(&uids, w->result.uid);
	assert_null(mailbox_expunge(&w->mail.op, w->mail.store, w->mail.account,
		mailbox_named(w, "INBOX"), &uids, false, &expunged));
	when_reclaimed_amidst_a_commit(w, false);
	when_everything_is_reclaimed(w);
	assert_int_equal(blobs_stored(w), 0);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(an_uncertain_append_that_was_applied_is_ok),
		SCENARIO(an_uncertain_append_that_was_not_applied_is_sent_again),
		SCENARIO(an_append_that_may_surface_later_is_there_once),
		SCENARIO(an_uncertain_append_keeps_its_blob_until_the_truth_is_known),
		SCENARIO(an_uncertain_append_that_was_not_applied_leaks_nothing),
		SCENARIO(the_retry_of_an_uncertain_delivery_is_no_duplicate),
		SCENARIO(the_retry_of_a_lost_delivery_delivers),
		SCENARIO(a_refused_append_is_certain),
		SCENARIO(content_whose_put_is_uncertain_is_left_to_reclaim),
		SCENARIO(content_that_cannot_be_left_to_reclaim_is_counted_and_tried_again),
		SCENARIO(content_that_is_nobodys_is_tidied_away),
		SCENARIO(content_given_up_in_the_microsecond_of_a_commit_is_reclaimed),
		SCENARIO(a_commit_is_not_sent_long_after_its_content_was_put),
		SCENARIO(reads_are_right_while_no_projection_can_be_written),
		SCENARIO(what_was_copied_ahead_is_trimmed_without_a_write),
		SCENARIO(the_map_follows_once_an_account_is_quiet),
		SCENARIO(what_is_in_memory_is_shown_and_decides_nothing),
		SCENARIO(what_is_known_to_be_old_is_not_shown),
		SCENARIO(a_change_gets_its_turn_beside_a_busy_node),
		SCENARIO(an_account_that_another_node_has_made_is_found_by_a_delivery),
		SCENARIO(a_log_with_a_hole_is_no_verdict),
		SCENARIO(a_half_applied_move_is_not_reclaimed),
		SCENARIO(a_half_applied_expunge_leaves_nothing),
		SCENARIO(content_that_such_a_commit_took_is_not_tidied_away),
		SCENARIO(what_is_so_already_is_said_behind_a_commit),
		SCENARIO(a_commit_that_few_replicas_have_is_found_before_the_last_note_of_it_goes),
	};
	const struct CMUnitTest about_content[] = {
		SCENARIO(an_uncertain_append_keeps_its_blob_until_the_truth_is_known),
		SCENARIO(an_uncertain_append_that_was_not_applied_leaks_nothing),
		SCENARIO(a_refused_append_is_certain),
		SCENARIO(content_whose_put_is_uncertain_is_left_to_reclaim),
		SCENARIO(content_that_is_nobodys_is_tidied_away),
	};
	int failed = cmocka_run_group_tests_name("uncertain", tests, NULL, NULL);
	content_is_inline = true;
	return failed + cmocka_run_group_tests_name("uncertain, inline", about_content, NULL, NULL);
}
