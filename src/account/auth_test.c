#include "base/test.h"

#include <stdlib.h>

#include <gsasl.h>

#include "account/auth.h"
#include "format/encoding.h"

static struct password_record stored;
static const uint8_t binding[32] = "the same on both ends of lines.";
static bool store_is_down;

static struct error *find_login(
	struct op *op, struct accounts *accounts, struct slice name, struct login *ret_login)
{
	(void)accounts;
	if (store_is_down)
		return op_fail(op, ERR_UNAVAILABLE, "no engine");
	if (!slice_equal_nocase(name, SLICE("alice@example.org")))
		return op_fail(op, ERR_NOT_FOUND, "nobody");
	*ret_login = (struct login){.account.uuid.bytes = {7},
		.is_enabled = true,
		.password = stored.password,
		.scram_salt = stored.scram_salt,
		.scram_iterations = stored.scram_iterations,
		.scram_stored_key = stored.scram_stored_key,
		.scram_server_key = stored.scram_server_key};
	return NULL;
}

static struct sasl_terms terms(bool is_private, bool is_bound)
{
	return (struct sasl_terms){.find_login = find_login,
		.is_private = is_private,
		.channel_binding = is_bound ? slice_of(binding, sizeof(binding)) : SLICE_NONE};
}

static int set_up(void **state)
{
	static struct op op;
	op_init(&op, "test");
	*state = &op;
	store_is_down = false;
	for (size_t i = 0; i < password_setting_count; i++)
		assert_null(setting_store(&op, &password_settings[i],
			slice_from_cstr(password_settings[i].default_value)));
	for (size_t i = 0; i < password_setting_count; i++)
		if (strcmp(password_settings[i].name, "password.memory") == 0)
			assert_null(setting_store(&op, &password_settings[i], SLICE("64 KiB")));
	assert_null(password_make(&op, SLICE("hold fast"), true, &stored));
	return 0;
}

static int tear_down(void **state)
{
	op_done(*state);
	return 0;
}

static void a_password_matches_itself_only(void **state)
{
	struct op *op = *state;
	struct login login;
	assert_null(find_login(op, NULL, SLICE("alice@example.org"), &login));
	static const struct {
		struct slice text;
		bool matches;
	} cases[] = {
		{SLICE_INIT("hold fast"), true},
		{SLICE_INIT("hold\xc2\xa0"
			    "fast"),
			true}, /* SASLprep: a no-break space is a space */
		{SLICE_INIT("hold fast "), false},
		{SLICE_INIT(""), false},
		{SLICE_INIT("hold fast\0more"), false},
		{SLICE_INIT("\xff"), false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool matches;
		assert_null(password_check(op, &login, cases[i].text, &matches));
		assert_int_equal(matches, cases[i].matches);
	}
	bool matches;
	assert_null(password_check(op, NULL, SLICE("hold fast"), &matches));
	assert_false(matches);
}

static enum sasl_outcome step(
	struct op *op, struct sasl_exchange *exchange, const char *input, struct slice *ret_output)
{
	enum sasl_outcome outcome;
	assert_null(sasl_step(op, exchange, slice_from_cstr(input), ret_output, &outcome));
	return outcome;
}

static void plain_and_login_take_name_and_password(void **state)
{
	struct op *op = *state;
	struct sasl_terms private = terms(true, false);
	struct sasl_exchange *exchange;
	struct slice output;

	assert_null(sasl_begin(op, &private, SLICE("plain"), &exchange));
	assert_int_equal(step(op, exchange, "", &output), SASL_CONTINUE);
	assert_int_equal(output.len, 0);
	/* NUL alice@example.org NUL hold fast */
	assert_int_equal(step(op, exchange, "AGFsaWNlQGV4YW1wbGUub3JnAGhvbGQgZmFzdA==", &output),
		SASL_SIGNED_IN);
	assert_int_equal(sasl_account(exchange).uuid.bytes[0], 7);
	sasl_free(exchange);

	assert_null(sasl_begin(op, &private, SLICE("LOGIN"), &exchange));
	assert_int_equal(step(op, exchange, "", &output), SASL_CONTINUE);
	assert_int_equal(step(op, exchange, "YWxpY2VAZXhhbXBsZS5vcmc=", &output), SASL_CONTINUE);
	assert_int_equal(step(op, exchange, "aG9sZCBmYXN0", &output), SASL_SIGNED_IN);
	sasl_free(exchange);
}

static void login_takes_the_name_as_an_initial_response(void **state)
{
	struct op *op = *state;
	struct sasl_terms private = terms(true, false);
	struct sasl_exchange *exchange;
	struct slice output;
	assert_null(sasl_begin(op, &private, SLICE("LOGIN"), &exchange));
	assert_int_equal(step(op, exchange, "YWxpY2VAZXhhbXBsZS5vcmc=", &output), SASL_CONTINUE);
	assert_true(slice_equal(output, SLICE("UGFzc3dvcmQ="))); /* Password */
	assert_int_equal(step(op, exchange, "aG9sZCBmYXN0", &output), SASL_SIGNED_IN);
	assert_int_equal(sasl_account(exchange).uuid.bytes[0], 7);
	sasl_free(exchange);
}

static void what_is_wrong_malformed_or_cancelled_is_told_apart(void **state)
{
	struct op *op = *state;
	struct sasl_terms private = terms(true, false);
	static const struct {
		const char *input;
		enum sasl_outcome outcome;
	} cases[] = {
		{"AGFsaWNlQGV4YW1wbGUub3JnAGhvbGQgc2xvdw==", SASL_WRONG},     /* hold slow */
		{"AGJvYkBleGFtcGxlLm9yZwBob2xkIGZhc3Q=", SASL_WRONG},         /* nobody */
		{"Ym9iAGFsaWNlQGV4YW1wbGUub3JnAGhvbGQgZmFzdA==", SASL_WRONG}, /* as bob */
		{"*", SASL_CANCELLED},
		{"!!!", SASL_MALFORMED},
		{"YWxpY2U=", SASL_MALFORMED},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sasl_exchange *exchange;
		struct slice output;
		assert_null(sasl_begin(op, &private, SLICE("PLAIN"), &exchange));
		assert_int_equal(step(op, exchange, cases[i].input, &output), cases[i].outcome);
		sasl_free(exchange);
	}
}

static void passwords_in_the_open_are_not_asked_for(void **state)
{
	struct op *op = *state;
	struct sasl_terms open = terms(false, false);
	struct sasl_exchange *exchange;
	assert_int_equal(sasl_begin(op, &open, SLICE("PLAIN"), &exchange)->kind, ERR_INVALID);
	assert_int_equal(sasl_begin(op, &open, SLICE("LOGIN"), &exchange)->kind, ERR_INVALID);
	assert_int_equal(
		sasl_begin(op, &open, SLICE("SCRAM-SHA-256-PLUS"), &exchange)->kind, ERR_INVALID);
	assert_int_equal(sasl_begin(op, &open, SLICE("CRAM-MD5"), &exchange)->kind, ERR_INVALID);
	assert_string_equal(sasl_mechanisms(&open)[0], "SCRAM-SHA-256");
	assert_null(sasl_mechanisms(&open)[1]);
}

static void a_store_that_is_down_is_no_wrong_password(void **state)
{
	struct op *op = *state;
	struct sasl_terms private = terms(true, false);
	struct sasl_exchange *exchange;
	assert_null(sasl_begin(op, &private, SLICE("PLAIN"), &exchange));
	store_is_down = true;
	struct slice output;
	enum sasl_outcome outcome;
	struct error *err = sasl_step(
		op, exchange, SLICE("AGFsaWNlQGV4YW1wbGUub3JnAGhvbGQgZmFzdA=="), &output, &outcome);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	sasl_free(exchange);
}

/* ---- SCRAM against the library's client ---- */

static int client_properties(Gsasl *context, Gsasl_session *client, Gsasl_property property)
{
	(void)context;
	const char *const *values = gsasl_session_hook_get(client);
	if (property == GSASL_AUTHID)
		gsasl_property_set(client, property, values[0]);
	else if (property == GSASL_PASSWORD)
		gsasl_property_set(client, property, values[1]);
	else if (property == GSASL_CB_TLS_EXPORTER && values[2])
		gsasl_property_set(client, property, values[2]);
	else
		return GSASL_NO_CALLBACK;
	return GSASL_OK;
}

static enum sasl_outcome talk(struct op *op, const struct sasl_terms *server_terms,
	const char *mechanism, const char *const values[3])
{
	Gsasl *context;
	Gsasl_session *client;
	assert_int_equal(gsasl_init(&context), GSASL_OK);
	gsasl_callback_set(context, client_properties);
	assert_int_equal(gsasl_client_start(context, mechanism, &client), GSASL_OK);
	gsasl_session_hook_set(client, (void *)(uintptr_t)values);
	if (values[2])
		gsasl_property_set(client, GSASL_CB_TLS_EXPORTER, values[2]);

	struct sasl_exchange *exchange;
	assert_null(sasl_begin(op, server_terms, slice_from_cstr(mechanism), &exchange));
	struct slice output = SLICE("");
	enum sasl_outcome outcome = SASL_CONTINUE;
	while (outcome == SASL_CONTINUE) {
		char *answer = NULL;
		int rc = gsasl_step64(client, arena_cstr(&op->arena, output), &answer);
		if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
			outcome = SASL_CANCELLED;
			gsasl_free(answer);
			break;
		}
		outcome = step(op, exchange, answer, &output);
		gsasl_free(answer);
	}
	sasl_free(exchange);
	gsasl_finish(client);
	gsasl_done(context);
	return outcome;
}

static void scram_signs_in_with_the_stored_keys_alone(void **state)
{
	struct op *op = *state;
	stored.password = SLICE_NONE;
	struct sasl_terms open = terms(false, false);
	const char *const good[3] = {"alice@example.org", "hold fast", NULL};
	assert_int_equal(talk(op, &open, "SCRAM-SHA-256", good), SASL_SIGNED_IN);
	const char *const bad[3] = {"alice@example.org", "hold slow", NULL};
	assert_int_equal(talk(op, &open, "SCRAM-SHA-256", bad), SASL_WRONG);
	const char *const nobody[3] = {"mallory@example.org", "hold fast", NULL};
	assert_int_equal(talk(op, &open, "SCRAM-SHA-256", nobody), SASL_WRONG);
}

static void scram_plus_needs_the_same_line_on_both_ends(void **state)
{
	struct op *op = *state;
	struct sasl_terms bound = terms(true, true);
	struct buf same = buf_in(&op->arena);
	base64_encode(&same, slice_of(binding, sizeof(binding)));
	buf_append_char(&same, '\0');
	const char *const good[3] = {"alice@example.org", "hold fast", same.ptr};
	assert_int_equal(talk(op, &bound, "SCRAM-SHA-256-PLUS", good), SASL_SIGNED_IN);
	const char *const other[3] = {"alice@example.org", "hold fast", "b3RoZXI="};
	assert_int_not_equal(talk(op, &bound, "SCRAM-SHA-256-PLUS", other), SASL_SIGNED_IN);
}

#define PREPARED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PREPARED(a_password_matches_itself_only),
		PREPARED(plain_and_login_take_name_and_password),
		PREPARED(login_takes_the_name_as_an_initial_response),
		PREPARED(what_is_wrong_malformed_or_cancelled_is_told_apart),
		PREPARED(passwords_in_the_open_are_not_asked_for),
		PREPARED(a_store_that_is_down_is_no_wrong_password),
		PREPARED(scram_signs_in_with_the_stored_keys_alone),
		PREPARED(scram_plus_needs_the_same_line_on_both_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
