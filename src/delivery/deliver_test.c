#include "base/test.h"

#include <stdlib.h>

#include "account/accounts.h"
#include "delivery/deliver.h"
#include "delivery/smtp_envelope.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

struct world {
	struct mail_world mail;
	struct delivery_service service;
};

static const char plain[] = "Subject: plain\r\n\r\nbody\r\n";
static const char passed_on[] = "Received: by b id x1; Mon\r\n\r\nbody\r\n";

static void given_user(struct world *w, const char *address)
{
	struct account_id account;
	const struct password_record none = {0};
	assert_null(user_create(
		&w->mail.op, w->service.accounts, slice_from_cstr(address), &none, &account));
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->mail, fault_engine_new(memory_engine_new(true), 1), NULL, 0);
	w->service.store = w->mail.store;
	w->service.accounts = accounts_new(w->service.store);
	assert_null(domain_create(&w->mail.op, w->service.accounts, SLICE("example.org")));
	given_user(w, "alice@example.org");
	given_user(w, "bob@example.org");
	const struct slice both[] = {SLICE("alice@example.org"), SLICE("bob@example.org")};
	assert_null(
		alias_set(&w->mail.op, w->service.accounts, SLICE("both@example.org"), both, 2));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	accounts_free(w->service.accounts);
	mail_world_close(&w->mail);
	free(w);
	return 0;
}

static struct delivery_key *keys;
static size_t key_count;

static struct error *when_delivered(struct world *w, const char *content, const char *address)
{
	struct delivery_mail mail = {.protocol = "smtp",
		.peer = "192.0.2.1",
		.sender = SLICE("sender@example.net"),
		.received_by_us = SLICE("Received: by us\r\n"),
		.content = slice_from_cstr(content)};
	struct delivery_recipient recipient = {.address = slice_from_cstr(address)};
	delivery_prepare(&mail);
	keys = NULL;
	key_count = 0;
	TRY(delivery_resolve(&w->mail.op, &w->service, recipient.address, &recipient.targets,
		&recipient.target_count));
	return deliver_message(&w->mail.op, &w->service, &mail, &recipient, &keys, &key_count);
}

static void then_inbox_holds(struct world *w, const char *address, uint32_t count)
{
	struct user_info user;
	struct mailbox_status inbox;
	assert_null(user_get(&w->mail.op, w->service.accounts, slice_from_cstr(address), &user));
	assert_null(
		mailbox_find(&w->mail.op, w->service.store, user.account, SLICE("INBOX"), &inbox));
	assert_int_equal(inbox.messages, count);
}

static void a_mail_reaches_everybody_behind_an_alias(void **state)
{
	struct world *w = *state;
	assert_null(when_delivered(w, plain, "both@example.org"));
	assert_int_equal(key_count, 2);
	then_inbox_holds(w, "alice@example.org", 1);
	then_inbox_holds(w, "bob@example.org", 1);
}

static void a_retry_gives_one_copy_until_the_answer_was_seen(void **state)
{
	struct world *w = *state;
	assert_null(when_delivered(w, plain, "alice@example.org"));
	assert_null(when_delivered(w, plain, "alice@example.org"));
	then_inbox_holds(w, "alice@example.org", 1);
	delivery_release(&w->mail.op, &w->service, keys, key_count);
	assert_null(when_delivered(w, plain, "alice@example.org"));
	then_inbox_holds(w, "alice@example.org", 2);
}

/* The newest mail of the INBOX. */
static void read_envelope(struct world *w, const char *address, struct smtp_envelope *ret_envelope)
{
	struct user_info user;
	struct mailbox_status inbox;
	struct message *messages;
	size_t count;
	assert_null(user_get(&w->mail.op, w->service.accounts, slice_from_cstr(address), &user));
	assert_null(
		mailbox_find(&w->mail.op, w->service.store, user.account, SLICE("INBOX"), &inbox));
	struct uid_set uids;
	uid_set_init(&uids, &w->mail.op.arena);
	uid_set_add(&uids, inbox.uidnext - 1);
	assert_null(mailbox_messages(
		&w->mail.op, w->service.store, user.account, inbox.id, &uids, &messages, &count));
	assert_int_equal(count, 1);
	struct slice bytes;
	assert_null(message_smtp_envelope_get(&w->mail.op, w->service.store, &messages[0], &bytes));
	assert_null(smtp_envelope_decode(&w->mail.op, bytes, ret_envelope));
}

static void the_envelope_is_kept_with_its_dsn_parameters(void **state)
{
	struct world *w = *state;
	struct delivery_mail mail = {.sender = SLICE("sender@example.net"),
		.sender_parameters = SLICE("RET=HDRS ENVID=QQ314159"),
		.content = slice_from_cstr(plain)};
	struct delivery_recipient recipient = {.address = SLICE("both@example.org"),
		.parameters = SLICE("NOTIFY=SUCCESS ORCPT=rfc822;both@example.com")};
	delivery_prepare(&mail);
	assert_null(delivery_resolve(&w->mail.op, &w->service, recipient.address,
		&recipient.targets, &recipient.target_count));
	assert_null(
		deliver_message(&w->mail.op, &w->service, &mail, &recipient, &keys, &key_count));

	struct smtp_envelope envelope;
	read_envelope(w, "bob@example.org", &envelope);
	assert_true(slice_equal(envelope.sender, mail.sender));
	assert_true(slice_equal(envelope.sender_parameters, mail.sender_parameters));
	assert_true(slice_equal(envelope.recipient, recipient.address));
	assert_true(slice_equal(envelope.recipient_parameters, recipient.parameters));
}

static void a_torn_envelope_is_damage(void **state)
{
	struct world *w = *state;
	struct smtp_envelope envelope = {.sender = SLICE("a@example.net")};
	struct slice bytes = smtp_envelope_encode(&w->mail.op.arena, &envelope);
	bytes.len--;
	struct error *err = smtp_envelope_decode(&w->mail.op, bytes, &envelope);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_null(smtp_envelope_decode(&w->mail.op, SLICE_NONE, &envelope));
	assert_int_equal(envelope.sender.len, 0);
}

static void a_mail_with_an_id_keeps_its_key(void **state)
{
	struct world *w = *state;
	assert_null(when_delivered(w, passed_on, "alice@example.org"));
	assert_int_equal(key_count, 0);
	assert_null(when_delivered(w, passed_on, "alice@example.org"));
	then_inbox_holds(w, "alice@example.org", 1);
}

static void what_failed_for_one_is_tried_again_for_that_one_only(void **state)
{
	struct world *w = *state;
	fault_on_call(w->mail.engine, FAULT_CAS, 2, FAULT_REFUSED);
	struct error *err = when_delivered(w, plain, "both@example.org");
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	assert_int_equal(key_count, 0);
	then_inbox_holds(w, "alice@example.org", 1);
	then_inbox_holds(w, "bob@example.org", 0);
	assert_null(when_delivered(w, plain, "both@example.org"));
	then_inbox_holds(w, "alice@example.org", 1);
	then_inbox_holds(w, "bob@example.org", 1);
}

/* Whichever call fails, and however: once the sender is told OK there is one copy. */
static void any_fault_and_a_retry_give_one_copy(void **state)
{
	struct world *w = *state;
	static const enum fault faults[] = {
		FAULT_REFUSED, FAULT_UNCERTAIN_APPLIED, FAULT_UNCERTAIN_NOT_APPLIED};
	uint32_t mails = 0;
	for (size_t f = 0; f < ARRAY_SIZE(faults); f++)
		for (unsigned n = 1; n <= 12; n++) {
			const char *mail =
				arena_printf(&w->mail.op.arena, "X: %zu %u\r\n\r\nbody\r\n", f, n);
			fault_on_call(w->mail.engine, FAULT_READS | FAULT_WRITES | FAULT_CAS, n,
				faults[f]);
			struct error *err = when_delivered(w, mail, "alice@example.org");
			for (int tries = 0; err && tries < 20; tries++) {
				mail_store_work(&w->mail.op, w->service.store);
				err = when_delivered(w, mail, "alice@example.org");
			}
			assert_null(err);
			fault_on_call(w->mail.engine, 0, 0, FAULT_NONE);
			mails++;
			then_inbox_holds(w, "alice@example.org", mails);
		}
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(a_mail_reaches_everybody_behind_an_alias),
		IN_WORLD(a_retry_gives_one_copy_until_the_answer_was_seen),
		IN_WORLD(a_mail_with_an_id_keeps_its_key),
		IN_WORLD(the_envelope_is_kept_with_its_dsn_parameters),
		IN_WORLD(a_torn_envelope_is_damage),
		IN_WORLD(what_failed_for_one_is_tried_again_for_that_one_only),
		IN_WORLD(any_fault_and_a_retry_give_one_copy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
