/* Tasks on every engine, and what becomes of them when nodes are killed, lose their lease or do not
 * learn what their writes did. */

#include "task/task_private.h"

#include "base/byte_cache.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/scratch.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "engine/rocksdb_scratch.h"
#include "index/fts5/fts5.h"
#include "mailbox/mail_world.h"

/* RocksDB is not built with ThreadSanitizer, which then sees its memory and not its locks. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:librocksdb\nrace:libstdc++\nrace:rocks_\n";
}

#define ACCOUNTS 5
#define MESSAGES 3

struct world {
	struct mail_world mail;
	struct accounts *accounts;
	struct search *search; /* no thread of its own follows here */
	struct task_holder one, two;
};

static enum { MEMORY, ROCKSDB, FAULTY } engine_kind;

static struct engine *engine_new(void)
{
	bool is_rocksdb = engine_kind == ROCKSDB;
	return fault_engine_new(is_rocksdb ? rocksdb_scratch_new() : memory_engine_new(true), 1);
}

static struct task_holder holder(const char *name)
{
	return (struct task_holder){.node_id = uuid_random(),
		.node = slice_from_cstr(name),
		.born = uuid_v7(),
		.lease_us = 60 * US_PER_S,
		.keep_us = 3600 * US_PER_S};
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	log_set_level(LOG_LEVEL_ERROR + 1);
	mail_world_open(&w->mail, engine_new(), NULL, 0);
	w->accounts = accounts_new(w->mail.store);
	struct index *index;
	const struct fts5_options options = {
		.folder = scratch_path(&w->mail.op.arena), .open_files = 4, .rules = 1};
	assert_null(fts5_open(&w->mail.op, &options, &index));
	w->search = search_new(w->mail.store, index);
	w->one = holder("one");
	w->two = holder("two");
	if (engine_kind == FAULTY)
		fault_set_rates(w->mail.engine, &(struct fault_rates){.uncertain_cas = 200});
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	search_free(w->search);
	accounts_free(w->accounts);
	mail_world_close(&w->mail);
	free(w);
	return 0;
}

static struct uuid submit(struct world *w, const char *kind, const char *subject)
{
	struct uuid id;
	struct task_request request = {
		.kind = slice_from_cstr(kind), .subject = slice_from_cstr(subject)};
	assert_null(task_submit(&w->mail.op, w->mail.engine, &request, &id));
	return id;
}

static struct task get(struct world *w, struct uuid id)
{
	struct task_entry entry;
	assert_null(task_get(&w->mail.op, w->mail.engine, id, &entry));
	return entry.task;
}

static bool take(struct world *w, const struct task_holder *by, struct task_entry *ret_task)
{
	bool found;
	assert_null(task_take(&w->mail.op, w->mail.engine, by, ret_task, &found));
	return found;
}

/* Is the task still its own? */
static bool write_task(struct world *w, const struct task_holder *by, struct task_entry *entry)
{
	bool is_lost;
	assert_null(task_write(&w->mail.op, w->mail.engine, by, entry, &is_lost));
	return !is_lost;
}

/* ---- The list ---- */

static void a_task_is_taken_by_one_node_only(void **state)
{
	struct world *w = *state;
	struct task_entry first, second;
	struct uuid id = submit(w, "solve", "a@example.org");
	assert_true(take(w, &w->one, &first));
	assert_true(uuid_equal(first.id, id));
	assert_false(take(w, &w->two, &second));
	assert_int_equal(get(w, id).state, TASK_RUNNING);
	assert_int_equal(get(w, id).runs, 1);
	first.task.state = TASK_DONE;
	assert_true(write_task(w, &w->one, &first));
	assert_false(take(w, &w->two, &second));
	assert_int_equal(get(w, id).state, TASK_DONE);
}

static void two_of_one_kind_and_subject_run_one_after_the_other(void **state)
{
	struct world *w = *state;
	struct task_entry first, other, second;
	submit(w, "solve", "a@example.org");
	struct uuid waits = submit(w, "solve", "a@example.org");
	struct uuid apart = submit(w, "solve", "b@example.org");
	assert_true(take(w, &w->one, &first));
	assert_true(take(w, &w->two, &other));
	assert_true(uuid_equal(other.id, apart));
	assert_false(take(w, &w->two, &second));
	first.task.state = TASK_DONE;
	assert_true(write_task(w, &w->one, &first));
	assert_true(take(w, &w->two, &second));
	assert_true(uuid_equal(second.id, waits));
}

static void who_lost_the_lease_writes_nothing(void **state)
{
	struct world *w = *state;
	struct task_entry slow, quick;
	struct uuid id = submit(w, "audit", "");
	w->one.lease_us = 0;
	assert_true(take(w, &w->one, &slow));
	slow.task.cursor = SLICE("one");
	assert_true(write_task(w, &w->one, &slow));
	assert_true(take(w, &w->two, &quick));
	assert_true(slice_equal(quick.task.cursor, SLICE("one")));
	assert_int_equal(quick.task.runs, 2);
	quick.task.cursor = SLICE("two");
	assert_true(write_task(w, &w->two, &quick));
	slow.task.cursor = SLICE("late");
	slow.task.state = TASK_DONE;
	assert_false(write_task(w, &w->one, &slow));
	assert_true(slice_equal(get(w, id).cursor, SLICE("two")));
	assert_int_equal(get(w, id).state, TASK_RUNNING);
	assert_null(task_renew(&w->mail.op, w->mail.engine, &w->one, id, slow.task.lease));
	assert_true(get(w, id).lease_until_us > clock_realtime_us());
}

static void a_node_takes_up_what_its_killed_process_had(void **state)
{
	struct world *w = *state;
	struct task_entry entry;
	submit(w, "audit", "");
	assert_true(take(w, &w->one, &entry));
	assert_false(take(w, &w->one, &entry));
	w->one.born = uuid_v7();
	assert_true(take(w, &w->one, &entry));
	assert_int_equal(entry.task.runs, 2);
}

static void a_task_that_waits_is_cancelled_at_once(void **state)
{
	struct world *w = *state;
	struct task_entry entry;
	struct uuid id = submit(w, "audit", "");
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	assert_int_equal(get(w, id).state, TASK_CANCELLED);
	assert_false(take(w, &w->one, &entry));
}

static void a_task_that_runs_is_told_to_stop(void **state)
{
	struct world *w = *state;
	struct task_entry entry;
	struct uuid id = submit(w, "audit", "");
	assert_true(take(w, &w->one, &entry));
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	assert_int_equal(get(w, id).state, TASK_RUNNING);
	assert_true(write_task(w, &w->one, &entry));
	assert_true(entry.task.is_cancelling);
	/* Given back instead, it is not taken again. */
	entry.task.state = TASK_QUEUED;
	assert_true(write_task(w, &w->one, &entry));
	assert_int_equal(get(w, id).state, TASK_CANCELLED);
	struct error *err = task_cancel(&w->mail.op, w->mail.engine, uuid_random());
	assert_int_equal(err->kind, ERR_NOT_FOUND);
}

static void a_cancelled_task_of_a_killed_node_ends(void **state)
{
	struct world *w = *state;
	struct task_entry entry;
	struct uuid id = submit(w, "audit", "");
	w->one.lease_us = 0;
	assert_true(take(w, &w->one, &entry));
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	assert_false(take(w, &w->two, &entry));
	assert_int_equal(get(w, id).state, TASK_CANCELLED);
}

static void what_has_ended_is_forgotten_after_a_time(void **state)
{
	struct world *w = *state;
	struct task_entry entry;
	struct task_entry *all;
	size_t count;
	struct uuid id = submit(w, "audit", "");
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	assert_false(take(w, &w->one, &entry));
	assert_null(task_list(&w->mail.op, w->mail.engine, &all, &count));
	assert_int_equal(count, 1);
	w->one.keep_us = 0;
	assert_false(take(w, &w->one, &entry));
	assert_null(task_list(&w->mail.op, w->mail.engine, &all, &count));
	assert_int_equal(count, 0);
}

static void the_list_is_bounded(void **state)
{
	struct world *w = *state;
	struct uuid id = submit(w, "audit", "");
	struct task_request request = {.kind = SLICE("audit")};
	for (int i = 1; i < TASKS_MOST; i++) {
		struct arena_mark mark = arena_mark(&w->mail.op.arena);
		submit(w, "audit", "");
		arena_release(&w->mail.op.arena, mark);
	}
	struct uuid more;
	struct error *err = task_submit(&w->mail.op, w->mail.engine, &request, &more);
	assert_int_equal(err->kind, ERR_LIMIT);
	assert_null(task_cancel(&w->mail.op, w->mail.engine, id));
	submit(w, "audit", "");
	struct task_entry entry;
	err = task_get(&w->mail.op, w->mail.engine, id, &entry);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
}

static void what_cannot_be_done_is_refused(void **state)
{
	struct world *w = *state;
	struct uuid id;
	struct task_request request = {.kind = SLICE("dance")};
	struct error *err = task_submit(&w->mail.op, w->mail.engine, &request, &id);
	assert_int_equal(err->kind, ERR_INVALID);
	request = (struct task_request){.kind = SLICE("audit"), .subject = SLICE("a@example.org")};
	err = task_submit(&w->mail.op, w->mail.engine, &request, &id);
	assert_int_equal(err->kind, ERR_INVALID);
}

/* Planned: each kind of uncertainty, for each change of the list. */
static void an_uncertain_change_is_found_out(void **state)
{
	struct world *w = *state;
	const enum fault faults[] = {
		FAULT_UNCERTAIN_APPLIED, FAULT_UNCERTAIN_NOT_APPLIED, FAULT_UNCERTAIN_LATER};
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct task_entry entry, again;
		fault_on_call(w->mail.engine, FAULT_CAS, 1, faults[i]);
		struct uuid id = submit(w, "audit", "");
		fault_on_call(w->mail.engine, FAULT_CAS, 1, faults[i]);
		assert_true(take(w, &w->one, &entry));
		assert_true(uuid_equal(entry.id, id));
		assert_false(take(w, &w->two, &again));
		assert_int_equal(get(w, id).runs, 1);
		entry.task.state = TASK_DONE;
		fault_on_call(w->mail.engine, FAULT_CAS, 1, faults[i]);
		assert_true(write_task(w, &w->one, &entry));
		fault_apply_late(w->mail.engine);
		assert_int_equal(get(w, id).state, TASK_DONE);
	}
	struct task_entry *all;
	size_t count;
	assert_null(task_list(&w->mail.op, w->mail.engine, &all, &count));
	assert_int_equal(count, ARRAY_SIZE(faults));
}

static unsigned engine_steps;

static void fall_silent_after_the_cas(void *context)
{
	if (++engine_steps > 3) /* before and after the read, before the CAS */
		fault_set_down(context, true);
}

static void an_uncertain_change_stays_so_while_nobody_can_tell(void **state)
{
	struct world *w = *state;
	struct uuid id;
	struct task_request request = {.kind = SLICE("audit")};
	engine_steps = 0;
	fault_on_call(w->mail.engine, FAULT_CAS, 1, FAULT_UNCERTAIN_LATER);
	fault_on_step(w->mail.engine, fall_silent_after_the_cas, w->mail.engine);
	struct error *err = task_submit(&w->mail.op, w->mail.engine, &request, &id);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
	fault_on_step(w->mail.engine, NULL, NULL);
	fault_set_down(w->mail.engine, false);
}

/* ---- Runs ---- */

static const char *const addresses[ACCOUNTS] = {
	"u0@example.org", "u1@example.org", "u2@example.org", "u3@example.org", "u4@example.org"};

static void set(struct world *w, const char *name, const char *value)
{
	for (size_t i = 0; i < task_setting_count; i++)
		if (strcmp(task_settings[i].name, name) == 0)
			assert_null(setting_store(
				&w->mail.op, &task_settings[i], slice_from_cstr(value)));
}

static int set_up_mail(void **state)
{
	set_up(state);
	struct world *w = *state;
	const struct password_record nothing = {0};
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	assert_null(domain_create(&w->mail.op, w->accounts, SLICE("example.org")));
	for (int i = 0; i < ACCOUNTS; i++) {
		assert_null(user_create(&w->mail.op, w->accounts, slice_from_cstr(addresses[i]),
			&nothing, &w->mail.account));
		for (int j = 0; j < MESSAGES; j++) {
			struct append_result result;
			struct append_request request = {.account = w->mail.account,
				.path = SLICE("INBOX"),
				.content = SLICE("a\r\n")};
			assert_null(mailbox_append(&w->mail.op, w->mail.store, &request, &result));
		}
	}
	if (engine_kind == FAULTY)
		fault_set_rates(w->mail.engine, &(struct fault_rates){.uncertain_cas = 100});
	set(w, "tasks.poll_interval", "50 ms");
	set(w, "tasks.lease", "1 s");
	set(w, "tasks.rate", "0");
	return 0;
}

static struct task_runner *run_as(struct world *w, const struct task_holder *by)
{
	struct node_info node = {.id = by->node_id, .name = by->node};
	return task_runner_start(w->mail.store, w->accounts, w->search, &node);
}

/* A read may fail where faults are injected. */
static struct task look(struct world *w, struct uuid id)
{
	struct task_entry entry;
	while (task_get(&w->mail.op, w->mail.engine, id, &entry))
		;
	return entry.task;
}

static struct task wait_for(struct world *w, struct uuid id, enum task_state state)
{
	uint64_t until_ns = clock_monotonic_ns() + 30 * NS_PER_S;
	struct task task;
	while ((task = look(w, id)).state != state) {
		assert_true(clock_monotonic_ns() < until_ns);
		clock_sleep_ns(2 * NS_PER_MS);
	}
	return task;
}

static uint64_t count_of(const struct task *task, const char *name)
{
	uint64_t counts[TASK_COUNTS_MOST];
	const struct task_kind *kind = task_kind_find(task->kind);
	task_counts(task, counts);
	for (size_t i = 0; kind->counts[i]; i++)
		if (strcmp(kind->counts[i], name) == 0)
			return counts[i];
	fail_msg("no count %s", name);
	return 0;
}

static struct task run_to_end(struct world *w, const char *kind, const char *subject)
{
	struct uuid id = submit(w, kind, subject);
	struct task_runner *runner = run_as(w, &w->two);
	struct task task = wait_for(w, id, TASK_DONE);
	task_runner_stop(runner);
	return task;
}

/* So many steps of a task, written; and then its process is no more. */
static void run_and_be_killed(struct world *w, struct uuid id, unsigned steps)
{
	struct task_entry entry;
	bool more;
	w->one.lease_us = 0;
	assert_true(take(w, &w->one, &entry));
	assert_true(uuid_equal(entry.id, id));
	struct task_run run = {.store = w->mail.store,
		.accounts = w->accounts,
		.search = w->search,
		.kind = task_kind_find(entry.task.kind),
		.task = &entry.task};
	for (unsigned i = 0; i < steps; i++)
		assert_null(run.kind->step(&w->mail.op, &run, &more));
	struct buf counts = buf_in(&w->mail.op.arena);
	for (size_t i = 0; i < TASK_COUNTS_MOST; i++)
		buf_varint(&counts, run.counts[i]);
	entry.task.cursor = buf_as_slice(&run.cursor);
	entry.task.counts = buf_as_slice(&counts);
	assert_true(write_task(w, &w->one, &entry));
	/* One more was under way. */
	assert_null(run.kind->step(&w->mail.op, &run, &more));
	buf_done(&run.cursor);
	buf_done(&run.findings);
}

static void a_run_that_was_killed_tells_what_one_without_a_kill_tells(void **state)
{
	struct world *w = *state;
	struct task whole = run_to_end(w, "solve", "");
	assert_int_equal(count_of(&whole, "accounts"), ACCOUNTS);
	assert_int_equal(count_of(&whole, "mailboxes"), ACCOUNTS * 6);
	assert_true(count_of(&whole, "checked") >= ACCOUNTS * MESSAGES * 2);
	assert_int_equal(whole.findings.len, 0);
	if (engine_kind != FAULTY) {
		struct uuid id = submit(w, "solve", "");
		run_and_be_killed(w, id, 2);
		struct task_runner *runner = run_as(w, &w->two);
		struct task resumed = wait_for(w, id, TASK_DONE);
		task_runner_stop(runner);
		assert_int_equal(resumed.runs, 2);
		assert_true(slice_equal(resumed.counts, whole.counts));
	}
}

static void lose_row(struct world *w, const char *address, uint32_t uid)
{
	struct user_info user;
	struct mailbox_status inbox;
	struct mutations rows;
	struct op *op = &w->mail.op;
	assert_null(user_get(op, w->accounts, slice_from_cstr(address), &user));
	assert_null(mailbox_find(op, w->mail.store, user.account, SLICE("INBOX"), &inbox));
	mutations_init(&rows, &op->arena);
	mutations_delete(&rows, &mailbox_message_table,
		key_message_bucket(&op->arena, inbox.id, uid), key_u32_row(&op->arena, uid),
		inbox.highest_modseq);
	assert_null(engine_write(w->mail.engine, op, rows.items, rows.count, DURABLE));
}

static void damage_is_healed_and_a_second_run_finds_none(void **state)
{
	struct world *w = *state;
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	lose_row(w, addresses[1], 1);
	lose_row(w, addresses[3], 2);
	struct task counted = run_to_end(w, "recount", "");
	assert_int_equal(count_of(&counted, "counts_wrong"), 2);
	struct task one = run_to_end(w, "solve-rows", addresses[3]);
	assert_int_equal(count_of(&one, "accounts"), 1);
	assert_int_equal(count_of(&one, "fixed"), 1);
	struct task all = run_to_end(w, "solve", "");
	assert_int_equal(count_of(&all, "missing"), 1);
	assert_int_equal(count_of(&all, "fixed"), 1);
	assert_true(slice_equal(all.findings, SLICE("u1@example.org: missing 1 fixed 1\n")));
	all = run_to_end(w, "solve", "");
	assert_int_equal(count_of(&all, "fixed"), 0);
	assert_int_equal(all.findings.len, 0);
	counted = run_to_end(w, "recount", "");
	assert_int_equal(count_of(&counted, "counts_wrong"), 0);
	assert_int_equal(count_of(&counted, "mailboxes"), ACCOUNTS * 6);
}

static struct message first_message(struct world *w, const char *address)
{
	struct user_info user;
	struct mailbox_status inbox;
	struct uid_set uids = {.arena = &w->mail.op.arena};
	struct message *messages;
	size_t count;
	assert_null(user_get(&w->mail.op, w->accounts, slice_from_cstr(address), &user));
	assert_null(mailbox_find(&w->mail.op, w->mail.store, user.account, SLICE("INBOX"), &inbox));
	uid_set_add_range(&uids, 1, 1);
	assert_null(mailbox_messages(
		&w->mail.op, w->mail.store, user.account, inbox.id, &uids, &messages, &count));
	assert_int_equal(count, 1);
	return messages[0];
}

static void content_is_audited(void **state)
{
	struct world *w = *state;
	struct task task = run_to_end(w, "audit", "");
	assert_int_equal(count_of(&task, "blobs"), ACCOUNTS * MESSAGES);
	assert_int_equal(count_of(&task, "live"), ACCOUNTS * MESSAGES);
	task = run_to_end(w, "content", "");
	assert_int_equal(count_of(&task, "content_lost"), 0);
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	struct message message = first_message(w, addresses[0]);
	assert_null(blob_remove(w->mail.blobs, &w->mail.op, message.blob_id));
	task = run_to_end(w, "content", "");
	assert_int_equal(count_of(&task, "content_lost"), 1);
}

static void an_index_is_made_anew_and_held_against_the_messages(void **state)
{
	struct world *w = *state;
	struct task task = run_to_end(w, "index-audit", "");
	assert_int_equal(count_of(&task, "behind"), ACCOUNTS * MESSAGES);
	assert_int_equal(count_of(&task, "fixed"), 0);
	if (engine_kind != FAULTY) {
		struct uuid id = submit(w, "reindex", "");
		run_and_be_killed(w, id, 2);
		struct task_runner *runner = run_as(w, &w->two);
		task = wait_for(w, id, TASK_DONE);
		task_runner_stop(runner);
	} else {
		task = run_to_end(w, "reindex", "");
	}
	assert_int_equal(count_of(&task, "accounts"), ACCOUNTS);
	assert_int_equal(count_of(&task, "rebuilt"), ACCOUNTS);
	task = run_to_end(w, "index-audit", "");
	assert_int_equal(count_of(&task, "checked"), ACCOUNTS * MESSAGES);
	assert_int_equal(count_of(&task, "behind"), 0);
	assert_int_equal(count_of(&task, "missing"), 0);
	assert_int_equal(task.findings.len, 0);
	task = run_to_end(w, "reindex", "u1@example.org/INBOX;UID=2");
	assert_int_equal(count_of(&task, "checked"), 1);
	assert_int_equal(count_of(&task, "fixed"), 1);
	task = run_to_end(w, "reindex-failed", "u1@example.org/INBOX");
	assert_int_equal(count_of(&task, "checked"), 0);
	task = run_to_end(w, "reindex-stale", "u1@example.org");
	assert_int_equal(count_of(&task, "checked"), MESSAGES);
	assert_int_equal(count_of(&task, "fixed"), 0);
}

static void summaries_that_are_missing_are_filled_in(void **state)
{
	struct world *w = *state;
	struct op *op = &w->mail.op;
	struct message_summary before, after;
	struct mutations rows;
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	struct message message = first_message(w, addresses[2]);
	assert_null(message_summary_get(op, w->mail.store, &message, &before));
	mutations_init(&rows, &op->arena);
	mutations_delete(&rows, &message_table, key_id(&op->arena, message.id.uuid),
		key_kind_row(&op->arena, MESSAGE_SUMMARY), clock_realtime_us());
	assert_null(engine_write(w->mail.engine, op, rows.items, rows.count, DURABLE));
	struct task task = run_to_end(w, "summaries", "");
	assert_int_equal(count_of(&task, "checked"), ACCOUNTS * MESSAGES);
	assert_int_equal(count_of(&task, "missing"), 1);
	assert_int_equal(count_of(&task, "fixed"), 1);
	task = run_to_end(w, "summaries", addresses[2]);
	assert_int_equal(count_of(&task, "checked"), MESSAGES);
	assert_int_equal(count_of(&task, "missing"), 0);
	assert_null(message_summary_get(op, w->mail.store, &message, &after));
	assert_true(slice_equal(before.envelope, after.envelope));
	assert_true(slice_equal(before.bodystructure, after.bodystructure));
	assert_int_equal(before.header_length, after.header_length);
}

/* As one that was stored before there were formats. */
static void given_old_summary(
	struct world *w, const struct message *message, struct slice smtp_envelope)
{
	bool found;
	struct engine_row row;
	struct mutations rows;
	struct op *op = &w->mail.op;
	struct message_summary_columns columns;
	struct slice partition = key_id(&op->arena, message->id.uuid);
	struct slice key = key_kind_row(&op->arena, MESSAGE_SUMMARY);
	assert_null(engine_get(
		w->mail.engine, op, &message_table, partition, key, READ_NORMAL, &found, &row));
	assert_null(row_decode(op, &message_summary_row, row.value, &columns));
	columns.format = 0;
	columns.envelope = SLICE("(old)");
	columns.smtp_envelope = smtp_envelope;
	mutations_init(&rows, &op->arena);
	mutations_put(&rows, &message_table, partition, key,
		row_encode_in(&op->arena, &message_summary_row, &columns), clock_realtime_us());
	assert_null(engine_write(w->mail.engine, op, rows.items, rows.count, DURABLE));
	byte_cache_forget(w->mail.store->summaries, message->id.uuid);
}

static void a_summary_of_an_older_format_is_served_and_made_anew(void **state)
{
	struct world *w = *state;
	struct op *op = &w->mail.op;
	struct message_summary before, old, after;
	struct slice smtp_envelope;
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	struct message message = first_message(w, addresses[1]);
	assert_null(message_summary_get(op, w->mail.store, &message, &before));
	given_old_summary(w, &message, SLICE("how it came"));
	assert_null(message_summary_get(op, w->mail.store, &message, &old));
	assert_true(slice_equal(old.envelope, SLICE("(old)")));
	struct task task = run_to_end(w, "summaries", "");
	assert_int_equal(count_of(&task, "old"), 1);
	assert_int_equal(count_of(&task, "missing"), 0);
	assert_int_equal(count_of(&task, "fixed"), 1);
	assert_null(message_summary_get(op, w->mail.store, &message, &after));
	assert_true(slice_equal(before.envelope, after.envelope));
	assert_null(message_smtp_envelope_get(op, w->mail.store, &message, &smtp_envelope));
	assert_true(slice_equal(smtp_envelope, SLICE("how it came")));
	task = run_to_end(w, "summaries", "");
	assert_int_equal(count_of(&task, "old") + count_of(&task, "fixed"), 0);
}

static void change_name(struct world *w, const char *name, uint64_t version, bool exists)
{
	struct op *op = &w->mail.op;
	struct directory row = {0};
	struct mutations rows;
	struct slice text = slice_from_cstr(name);
	struct slice partition = key_directory(&op->arena, DIRECTORY_USER, text);
	struct slice key = key_text_row(&op->arena, text);
	mutations_init(&rows, &op->arena);
	if (exists)
		mutations_put(&rows, &directory_table, partition, key,
			row_encode_in(&op->arena, &directory_row, &row), version);
	else
		mutations_delete(&rows, &directory_table, partition, key, version);
	assert_null(engine_write(w->mail.engine, op, rows.items, rows.count, DURABLE));
}

static void names_for_listing_are_held_against_the_records(void **state)
{
	struct world *w = *state;
	uint64_t now_us = clock_realtime_us();
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	change_name(w, addresses[1], now_us, false);
	change_name(w, addresses[2], now_us, true); /* of no account */
	change_name(w, "ghost@example.org", now_us - 2 * 3600 * US_PER_S, true);
	change_name(w, "being-made@example.org", now_us, true);
	struct task task = run_to_end(w, "directory", "");
	assert_int_equal(count_of(&task, "checked"), ACCOUNTS + 1);
	assert_int_equal(count_of(&task, "missing"), 1);
	assert_int_equal(count_of(&task, "stale"), 1);
	assert_int_equal(count_of(&task, "orphaned"), 1);
	assert_int_equal(count_of(&task, "fixed"), 3);
	task = run_to_end(w, "directory", "");
	assert_int_equal(count_of(&task, "fixed"), 0);
}

static void a_subject_is_an_account_a_mailbox_or_a_message(void **state)
{
	static const struct {
		const char *text, *address, *path;
		uint32_t uid;
	} cases[] = {{"a@example.org", "a@example.org", "", 0},
		{"a/b@example.org", "a/b@example.org", "", 0},
		{"a@example.org/INBOX", "a@example.org", "INBOX", 0},
		{"a@example.org/x@y/z", "a@example.org", "x@y/z", 0},
		{"a@example.org/INBOX;UID=17", "a@example.org", "INBOX", 17},
		{"a@example.org/a;UID=1;UID=2", "a@example.org", "a;UID=1", 2},
		{"a@example.org/a;UID=x", "a@example.org", "a;UID=x", 0},
		{"a@example.org/a;UID=0", "a@example.org", "a;UID=0", 0},
		{"a@example.org/a;UID=4294967296", "a@example.org", "a;UID=4294967296", 0},
		{"nobody", "nobody", "", 0}, {"", "", "", 0}};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice text = slice_from_cstr(cases[i].text);
		struct task_subject subject = task_subject_parse(text);
		assert_true(slice_equal(subject.address, slice_from_cstr(cases[i].address)));
		assert_true(slice_equal(subject.path, slice_from_cstr(cases[i].path)));
		assert_int_equal(subject.uid, cases[i].uid);
		assert_true(slice_equal(task_subject_print(&w->mail.op.arena, &subject), text));
	}
	struct uuid id;
	struct task_request request = {
		.kind = SLICE("solve"), .subject = SLICE("a@example.org/INBOX")};
	struct error *err = task_submit(&w->mail.op, w->mail.engine, &request, &id);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_INVALID);
}

static void what_runs_is_cancelled_soon(void **state)
{
	struct world *w = *state;
	set(w, "tasks.rate", "1");
	struct uuid id = submit(w, "solve", "");
	struct task_runner *runner = run_as(w, &w->one);
	wait_for(w, id, TASK_RUNNING);
	while (task_cancel(&w->mail.op, w->mail.engine, id))
		;
	uint64_t begun_ns = clock_monotonic_ns();
	struct task task = wait_for(w, id, TASK_CANCELLED);
	assert_true(clock_monotonic_ns() - begun_ns < 10 * NS_PER_S);
	assert_true(task.ended_us);
	assert_int_equal(count_of(&task, "accounts"), 0);
	task_runner_stop(runner);
}

static void a_node_that_stops_leaves_its_tasks_to_others(void **state)
{
	struct world *w = *state;
	set(w, "tasks.rate", "1");
	struct uuid id = submit(w, "solve", "");
	struct task_runner *runner = run_as(w, &w->one);
	wait_for(w, id, TASK_RUNNING);
	task_runner_stop(runner);
	set(w, "tasks.rate", "0");
	runner = run_as(w, &w->two);
	struct task task = wait_for(w, id, TASK_DONE);
	task_runner_stop(runner);
	assert_int_equal(task.runs, 2);
	assert_true(uuid_equal(task.node_id, w->two.node_id));
	assert_int_equal(count_of(&task, "accounts"), ACCOUNTS);
}

static void two_runners_share_the_work_and_none_is_done_twice(void **state)
{
	struct world *w = *state;
	struct uuid ids[2 * ACCOUNTS];
	set(w, "tasks.lease", "60 s");
	for (int i = 0; i < ACCOUNTS; i++) {
		ids[2 * i] = submit(w, "solve", addresses[i]);
		ids[2 * i + 1] = submit(w, "recount", addresses[i]);
	}
	struct task_runner *one = run_as(w, &w->one);
	struct task_runner *two = run_as(w, &w->two);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct task task = wait_for(w, ids[i], TASK_DONE);
		assert_int_equal(task.runs, 1);
		assert_int_equal(count_of(&task, "accounts"), 1);
		assert_int_equal(count_of(&task, "failed"), 0);
	}
	task_runner_stop(one);
	task_runner_stop(two);
}

static void a_subject_that_is_not_there_fails_the_task(void **state)
{
	struct world *w = *state;
	struct uuid id = submit(w, "solve", "nobody@example.org");
	struct task_runner *runner = run_as(w, &w->one);
	struct task task = wait_for(w, id, TASK_FAILED);
	task_runner_stop(runner);
	assert_true(slice_equal(task.error, SLICE("no user nobody@example.org")));
}

static void a_store_that_is_away_is_waited_for(void **state)
{
	struct world *w = *state;
	struct uuid id = submit(w, "solve", "");
	fault_set_rates(w->mail.engine, &(struct fault_rates){.refused_reads = 300});
	struct task_runner *runner = run_as(w, &w->one);
	wait_for(w, id, TASK_RUNNING);
	fault_set_rates(w->mail.engine, &(struct fault_rates){0});
	struct task task = wait_for(w, id, TASK_DONE);
	task_runner_stop(runner);
	assert_int_equal(count_of(&task, "accounts"), ACCOUNTS);
	assert_int_equal(count_of(&task, "failed"), 0);
	assert_int_equal(task.error.len, 0);
}

int main(void)
{
#define LIST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define RUN(test) cmocka_unit_test_setup_teardown(test, set_up_mail, tear_down)
	const struct CMUnitTest tests[] = {
		LIST(a_task_is_taken_by_one_node_only),
		LIST(two_of_one_kind_and_subject_run_one_after_the_other),
		LIST(who_lost_the_lease_writes_nothing),
		LIST(a_node_takes_up_what_its_killed_process_had),
		LIST(a_task_that_waits_is_cancelled_at_once),
		LIST(a_task_that_runs_is_told_to_stop),
		LIST(a_cancelled_task_of_a_killed_node_ends),
		LIST(what_has_ended_is_forgotten_after_a_time),
		LIST(what_cannot_be_done_is_refused),
		LIST(a_subject_is_an_account_a_mailbox_or_a_message),
		LIST(an_uncertain_change_is_found_out),
		LIST(an_uncertain_change_stays_so_while_nobody_can_tell),
		RUN(a_run_that_was_killed_tells_what_one_without_a_kill_tells),
		RUN(damage_is_healed_and_a_second_run_finds_none),
		RUN(content_is_audited),
		RUN(an_index_is_made_anew_and_held_against_the_messages),
		RUN(summaries_that_are_missing_are_filled_in),
		RUN(a_summary_of_an_older_format_is_served_and_made_anew),
		RUN(names_for_listing_are_held_against_the_records),
		RUN(what_runs_is_cancelled_soon),
		RUN(a_node_that_stops_leaves_its_tasks_to_others),
		RUN(two_runners_share_the_work_and_none_is_done_twice),
		RUN(a_subject_that_is_not_there_fails_the_task),
		RUN(a_store_that_is_away_is_waited_for),
	};
	const struct CMUnitTest slow_tests[] = {LIST(the_list_is_bounded)};
	int failures = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
	failures += cmocka_run_group_tests_name("bounds", slow_tests, NULL, NULL);
	engine_kind = FAULTY;
	failures += cmocka_run_group_tests_name("faulty", tests, NULL, NULL);
	engine_kind = ROCKSDB;
	failures += cmocka_run_group_tests_name("rocksdb", tests, NULL, NULL);
	return failures + scratch_remove();
}
