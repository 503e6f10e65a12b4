/* What webhooks are told to do, and what they say. The receiver is tests/test_webhooks.py's. */

#include "base/test.h"

#include <jansson.h>

#include "consumer/usage.h"
#include "consumer/webhook_private.h"
#include "engine/memory.h"
#include "mailbox/follow.h"
#include "mailbox/mail_world.h"

struct world {
	struct mail_world m;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->m, memory_engine_new(true), NULL, 0);
	mail_world_make_account(&w->m, SLICE("alice@example.org"));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	mail_world_close(&w->m);
	free(w);
	return 0;
}

static void check(struct world *w, struct error *err)
{
	if (err)
		fail_msg("%s", error_chain(&w->m.op.arena, err));
}

static void lines_are_read_and_wrong_ones_told(void **state)
{
	struct world *w = *state;
	struct webhook_options hooks[WEBHOOKS_MOST];
	size_t count;
	check(w, webhooks_parse(&w->m.op,
			 SLICE("# who\n\ncrm https://crm.example.org/mail?x=1 /etc/key delivered\n"
			       "  b-2\thttp://[::1]:8080  /k\tmoved,flagged,expunged \r\n"),
			 hooks, &count));
	assert_int_equal(count, 2);
	assert_true(slice_equal(hooks[0].url, SLICE("https://crm.example.org/mail?x=1")));
	assert_true(slice_equal(hooks[1].secret_file, SLICE("/k")));
	assert_int_equal(hooks[1].events, WEBHOOK_MOVED | WEBHOOK_FLAGGED | WEBHOOK_EXPUNGED);
	static const char *const wrong[] = {"a http://b /k", "a http://b /k delivered more",
		"A http://b /k delivered", "a ftp://b /k delivered", "a http:// /k delivered",
		"a http://me:word@b/ /k delivered", "a http://b /k eaten",
		"a http://b /k delivered,", "a http://b\x01 /k delivered",
		"a http://b /k delivered\na http://c /k moved"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct error *err =
			webhooks_parse(&w->m.op, slice_from_cstr(wrong[i]), hooks, &count);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
		assert_non_null(
			strstr(err->message, i + 1 < ARRAY_SIZE(wrong) ? "line 1" : "line 2"));
	}
	struct buf many = buf_in(&w->m.op.arena);
	for (int i = 0; i <= WEBHOOKS_MOST; i++)
		buf_printf(&many, "h%d http://b /k delivered\n", i);
	assert_non_null(webhooks_parse(&w->m.op, buf_as_slice(&many), hooks, &count));
}

/* As any other implementation has it: printf '%s' 1700000000.'{"a":1}' | openssl dgst -sha256 -hmac
 * secret */
static void a_signature_is_what_others_compute(void **state)
{
	struct world *w = *state;
	assert_string_equal(
		webhook_signature(&w->m.op.arena, SLICE("secret"), 1700000000, SLICE("{\"a\":1}")),
		"key=2bb80d53, time=1700000000, sha256="
		"49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
}

static struct account_log_part log_of(struct world *w)
{
	struct account_log_part part;
	check(w, account_log_since(&w->m.op, w->m.store, w->m.account, 0, false, &part));
	return part;
}

/* What is told of the latest commit; NULL: nothing. */
static json_t *told(struct world *w, unsigned wanted)
{
	struct slice body;
	json_error_t fault;
	struct account_log_part part = log_of(w);
	const struct log_row *row = &part.rows[part.count - 1];
	const struct consumer_event event = {.account = w->m.account,
		.address = part.facts.address,
		.modseq = row->modseq,
		.operation_id = row->row.operation_id,
		.entry = row->row.entry};
	check(w, webhook_body(&w->m.op, w->m.store, &event, wanted, &body));
	json_t *json = body.len ? json_loadb(body.ptr, body.len, 0, &fault) : NULL;
	assert_true(!body.len || json);
	return json;
}

static void then_told(struct world *w, unsigned wanted, const char *name, const char *mailbox,
	const char *field, json_int_t value)
{
	assert_null(told(w, ~wanted));
	json_t *json = told(w, wanted);
	assert_non_null(json);
	assert_string_equal(
		json_string_value(json_object_get(json, "account")), "alice@example.org");
	json_t *changes = json_object_get(json, "changes");
	assert_int_equal(json_array_size(changes), 1);
	json_t *change = json_array_get(changes, 0);
	assert_string_equal(json_string_value(json_object_get(change, "event")), name);
	assert_string_equal(json_string_value(json_object_get(change, "mailbox")), mailbox);
	json_t *found = json_object_get(change, field);
	if (json_is_string(found))
		assert_string_equal(json_string_value(found),
			arena_printf(&w->m.op.arena, "%lld", (long long)value));
	else
		assert_int_equal(json_integer_value(found), value);
	json_decref(json);
}

static void given_a_message(struct world *w)
{
	struct append_result result;
	struct append_request request = {.account = w->m.account,
		.path = SLICE("INBOX"),
		.content = SLICE("Subject: a\r\n\r\nb\r\n")};
	check(w, mailbox_append(&w->m.op, w->m.store, &request, &result));
}

static void each_change_is_told_to_who_wants_it(void **state)
{
	struct world *w = *state;
	struct uid_set one;
	struct flag_result flagged;
	struct copy_result copied;
	struct expunge_result expunged;
	const struct flag_change seen = {.mode = FLAGS_ADD, .flags = FLAG_SEEN};
	uid_set_init(&one, &w->m.op.arena);
	uid_set_add(&one, 1);
	struct mailbox_id inbox = mail_world_status(&w->m, "INBOX").id;
	struct mailbox_id archive = mail_world_status(&w->m, "Archive").id;
	assert_null(told(w, ~0U)); /* that the account was made is nobody's */
	given_a_message(w);
	then_told(w, WEBHOOK_DELIVERED, "delivered", "INBOX", "size", 17);
	check(w, mailbox_change_flags(
			 &w->m.op, w->m.store, w->m.account, inbox, &one, &seen, &flagged));
	then_told(w, WEBHOOK_FLAGGED, "flagged", "INBOX", "uids", 1);
	check(w, mailbox_copy(&w->m.op, w->m.store, w->m.account, inbox, &one, archive, &copied));
	then_told(w, WEBHOOK_DELIVERED, "delivered", "Archive", "uid", 1);
	check(w, mailbox_move(&w->m.op, w->m.store, w->m.account, inbox, &one, archive, &copied));
	then_told(w, WEBHOOK_MOVED, "moved", "Archive", "uid", 2);
	check(w, mailbox_expunge(
			 &w->m.op, w->m.store, w->m.account, archive, &one, false, &expunged));
	then_told(w, WEBHOOK_EXPUNGED, "expunged", "Archive", "uids", 1);
}

/* What was told of a mailbox that has gone since is told still. */
static void a_mailbox_that_has_gone_has_no_path(void **state)
{
	struct world *w = *state;
	given_a_message(w);
	struct slice body;
	struct account_log_part part = log_of(w);
	const struct log_row *row = &part.rows[part.count - 1];
	const struct consumer_event event = {.account = {uuid_v7()},
		.address = SLICE("gone@example.org"),
		.modseq = row->modseq,
		.entry = row->row.entry};
	check(w, webhook_body(&w->m.op, w->m.store, &event, WEBHOOK_DELIVERED, &body));
	assert_true(slice_find(body, SLICE("\"mailbox\":null")) < body.len);
}

/* ---- Usage ---- */

static struct usage_total usage(struct world *w)
{
	struct usage_total total;
	check(w, usage_of_domain(&w->m.op, w->m.store, SLICE("example.org"), &total));
	return total;
}

static void usage_counts_each_account_once_however_often_it_is_told(void **state)
{
	struct world *w = *state;
	struct account_id first = w->m.account;
	for (int i = 0; i < 3; i++)
		given_a_message(w);
	mail_world_make_account(&w->m, SLICE("bob@example.org"));
	given_a_message(w);
	for (int i = 0; i < 2; i++) {
		check(w, usage_note(&w->m.op, w->m.store, first));
		check(w, usage_note(&w->m.op, w->m.store, w->m.account));
	}
	check(w, usage_note(&w->m.op, w->m.store, (struct account_id){uuid_v7()}));
	/* What comes late is older, and loses. */
	bool found;
	struct engine_row row;
	check(w, engine_get(w->m.engine, &w->m.op, &usage_table,
			 key_usage(&w->m.op.arena, first, SLICE("example.org")),
			 key_id_row(&w->m.op.arena, 0, first.uuid), READ_NORMAL, &found, &row));
	struct account_facts facts = {0};
	check(w, account_facts_get(&w->m.op, w->m.store, first, &facts));
	assert_true(found && row.version == facts.modseq);
	assert_int_equal(usage(w).accounts, 2);
	assert_int_equal(usage(w).messages, 4);
	assert_int_equal(usage(w).bytes, 4 * 17);
	check(w, mail_store_empty_account(&w->m.op, w->m.store, w->m.account));
	check(w, usage_note(&w->m.op, w->m.store, w->m.account));
	assert_int_equal(usage(w).accounts, 1);
	assert_int_equal(usage(w).messages, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lines_are_read_and_wrong_ones_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_signature_is_what_others_compute, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			each_change_is_told_to_who_wants_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_mailbox_that_has_gone_has_no_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			usage_counts_each_account_once_however_often_it_is_told, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("webhooks and usage", tests, NULL, NULL);
}
