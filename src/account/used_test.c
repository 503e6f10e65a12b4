/* What is used is listed, whatever became of the listing. */

#include "base/test.h"

#include "account/account_private.h"
#include "base/clock.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

#define DOMAIN SLICE("example.org")
#define ALICE SLICE("alice@example.org")
#define INFO SLICE("info@example.org")

struct world {
	struct mail_world mail;
	struct accounts *accounts;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->mail, memory_engine_new(true), NULL, 0);
	w->accounts = accounts_new(w->mail.store);
	struct op *op = &w->mail.op;
	const struct password_record password = {0};
	struct account_id account;
	assert_null(domain_create(op, w->accounts, DOMAIN));
	assert_null(user_create(op, w->accounts, ALICE, &password, &account));
	assert_null(alias_set(op, w->accounts, INFO, &ALICE, 1));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	accounts_free(w->accounts);
	mail_world_close(&w->mail);
	free(w);
	return 0;
}

static void lose(struct world *w, enum directory_kind kind, struct slice name)
{
	assert_null(directory_note(
		&w->mail.op, w->accounts, kind, name, (struct account_id){0}, false));
}

static bool is_listed(struct world *w, enum directory_kind kind)
{
	struct slice *names;
	size_t count;
	assert_null(directory_names(&w->mail.op, w->accounts, kind, &names, &count));
	assert_true(count <= 1);
	return count == 1;
}

static void hold(struct world *w)
{
	assert_null(accounts_hold_used(&w->mail.op, w->accounts));
}

static void who_signs_in_is_listed_again(void **state)
{
	struct world *w = *state;
	struct login login;
	lose(w, DIRECTORY_USER, ALICE);
	hold(w);
	assert_false(is_listed(w, DIRECTORY_USER));
	assert_null(account_find_login(&w->mail.op, w->accounts, ALICE, &login));
	hold(w);
	assert_true(is_listed(w, DIRECTORY_USER));
}

static void who_gets_mail_is_listed_again(void **state)
{
	struct world *w = *state;
	struct delivery_target *targets;
	size_t count;
	lose(w, DIRECTORY_DOMAIN, DOMAIN);
	lose(w, DIRECTORY_USER, ALICE);
	lose(w, DIRECTORY_ALIAS, INFO);
	assert_null(account_resolve(&w->mail.op, w->accounts, INFO, &targets, &count));
	assert_int_equal(count, 1);
	hold(w);
	assert_true(is_listed(w, DIRECTORY_DOMAIN));
	assert_true(is_listed(w, DIRECTORY_USER));
	assert_true(is_listed(w, DIRECTORY_ALIAS));
}

static void a_name_in_use_is_looked_at_now_and_then(void **state)
{
	struct world *w = *state;
	struct login login;
	assert_null(account_find_login(&w->mail.op, w->accounts, ALICE, &login));
	hold(w);
	lose(w, DIRECTORY_USER, ALICE);
	for (int i = 0; i < 1000; i++)
		assert_null(account_find_login(&w->mail.op, w->accounts, ALICE, &login));
	assert_int_equal(w->accounts->used.count, 0);
	/* As if half a minute had passed. */
	memset(w->accounts->used.looks, 0, sizeof(w->accounts->used.looks));
	assert_null(account_find_login(&w->mail.op, w->accounts, ALICE, &login));
	hold(w);
	assert_true(is_listed(w, DIRECTORY_USER));
}

static void however_many_are_used_few_wait(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 5000; i++)
		directory_used(w->accounts, DIRECTORY_USER,
			slice_from_cstr(arena_printf(&w->mail.op.arena, "u%d@example.org", i)));
	assert_true(w->accounts->used.count <= 16);
	hold(w);
	assert_int_equal(w->accounts->used.count, 0);
	assert_true(is_listed(w, DIRECTORY_USER));
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(who_signs_in_is_listed_again),
		SCENARIO(who_gets_mail_is_listed_again),
		SCENARIO(a_name_in_use_is_looked_at_now_and_then),
		SCENARIO(however_many_are_used_few_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
