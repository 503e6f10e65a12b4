#include "account/auth.h"

#include <assert.h>
#include <stdlib.h>

#include <gsasl.h>

#include "base/digest.h"
#include "base/random.h"
#include "base/sync.h"
#include "format/encoding.h"

/* What one step may bring; SCRAM messages are far below. */
#define INPUT_MAX KIB(16)

/* A name that nobody has is asked for a password as any other is, with a salt that stays the same.
 */
#define UNKNOWN_SALT_SIZE 16
#define UNKNOWN_ITERATIONS "10000"

struct sasl_exchange {
	struct sasl_terms terms;
	uint8_t binding[64];
	Gsasl_session *native;
	struct account_id account;
	bool has_account;
	bool is_last_word; /* the mechanism is done; the client is to confirm with an empty answer
			    */
	bool began;
	const struct mechanism *mechanism; /* static */

	/* During a step: */
	struct op *op;
	struct error *error; /* of the store, met within the library's call */
	bool is_wrong;
};

static Gsasl *library;
static uint8_t unknown_secret[32];

/* ---- Looking up ---- */

/* *ret_found false: nobody, or nobody who may sign in. */
static struct error *find(struct op *op, const struct sasl_terms *terms, struct slice name,
	struct login *ret_login, bool *ret_found)
{
	struct error *err = terms->find_login(op, terms->accounts, name, ret_login);
	*ret_found = !err && ret_login->is_enabled;
	if (err &&
		(err->kind == ERR_NOT_FOUND || err->kind == ERR_INVALID || err->kind == ERR_DENIED))
		return NULL;
	return err;
}

struct error *sasl_login(struct op *op, const struct sasl_terms *terms, struct slice user_name,
	struct slice password, struct account_id *ret_account, enum sasl_outcome *ret_outcome)
{
	struct login login;
	bool found, matches = false;
	TRY(find(op, terms, user_name, &login, &found));
	TRY(password_check(op, found ? &login : NULL, password, &matches));
	if (found && matches)
		*ret_account = login.account;
	*ret_outcome = found && matches ? SASL_SIGNED_IN : SASL_WRONG;
	return NULL;
}

/* ---- What the library asks for ---- */

static int validate_simple(struct sasl_exchange *exchange, Gsasl_session *native)
{
	struct slice name = slice_from_cstr(gsasl_property_fast(native, GSASL_AUTHID));
	struct slice other = slice_from_cstr(gsasl_property_fast(native, GSASL_AUTHZID));
	struct slice password = slice_from_cstr(gsasl_property_fast(native, GSASL_PASSWORD));
	enum sasl_outcome outcome;
	exchange->error = sasl_login(
		exchange->op, &exchange->terms, name, password, &exchange->account, &outcome);
	if (exchange->error)
		return GSASL_AUTHENTICATION_ERROR;
	/* Nobody acts for somebody else. */
	bool is_self = !other.len || slice_equal_nocase(other, name);
	if (outcome == SASL_SIGNED_IN && is_self) {
		exchange->has_account = true;
		return GSASL_OK;
	}
	exchange->is_wrong = true;
	return GSASL_AUTHENTICATION_ERROR;
}

static void set_base64(
	struct op *op, Gsasl_session *native, Gsasl_property property, struct slice bytes)
{
	struct buf text = buf_in(&op->arena);
	base64_encode(&text, bytes);
	buf_append_char(&text, '\0');
	gsasl_property_set(native, property, text.ptr);
}

static void pretend_somebody(struct op *op, Gsasl_session *native, struct slice name)
{
	uint8_t digest[SHA256_SIZE], key[SHA256_SIZE];
	struct sha256 *hash = sha256_new();
	sha256_add(hash, slice_of(unknown_secret, sizeof(unknown_secret)));
	sha256_add(hash, name);
	sha256_end(hash, digest);
	random_bytes(key, sizeof(key));
	gsasl_property_set(native, GSASL_SCRAM_ITER, UNKNOWN_ITERATIONS);
	set_base64(op, native, GSASL_SCRAM_SALT, slice_of(digest, UNKNOWN_SALT_SIZE));
	set_base64(op, native, GSASL_SCRAM_STOREDKEY, slice_of(key, sizeof(key)));
	set_base64(op, native, GSASL_SCRAM_SERVERKEY, slice_of(key, sizeof(key)));
}

static int load_scram(struct sasl_exchange *exchange, Gsasl_session *native)
{
	struct op *op = exchange->op;
	struct slice name = slice_from_cstr(gsasl_property_fast(native, GSASL_AUTHID));
	struct slice other = slice_from_cstr(gsasl_property_fast(native, GSASL_AUTHZID));
	struct login login;
	bool found;
	exchange->error = find(op, &exchange->terms, name, &login, &found);
	if (exchange->error)
		return GSASL_AUTHENTICATION_ERROR;
	bool is_self = !other.len || slice_equal_nocase(other, name);
	if (!found || !login.scram_stored_key.len || !is_self) {
		pretend_somebody(op, native, name);
		return GSASL_OK;
	}
	exchange->account = login.account;
	exchange->has_account = true;
	gsasl_property_set(native, GSASL_SCRAM_ITER,
		arena_printf(&op->arena, "%u", (unsigned)login.scram_iterations));
	set_base64(op, native, GSASL_SCRAM_SALT, login.scram_salt);
	set_base64(op, native, GSASL_SCRAM_STOREDKEY, login.scram_stored_key);
	set_base64(op, native, GSASL_SCRAM_SERVERKEY, login.scram_server_key);
	return GSASL_OK;
}

static bool is_scram_key(Gsasl_property property)
{
	return property == GSASL_SCRAM_ITER || property == GSASL_SCRAM_SALT ||
	       property == GSASL_SCRAM_STOREDKEY || property == GSASL_SCRAM_SERVERKEY;
}

static int answer_library(Gsasl *context, Gsasl_session *native, Gsasl_property property)
{
	(void)context;
	struct sasl_exchange *exchange = gsasl_session_hook_get(native);
	if (property == GSASL_VALIDATE_SIMPLE)
		return validate_simple(exchange, native);
	if (is_scram_key(property))
		return load_scram(exchange, native);
	if (property == GSASL_CB_TLS_EXPORTER && exchange->terms.channel_binding.len) {
		set_base64(exchange->op, native, property, exchange->terms.channel_binding);
		return GSASL_OK;
	}
	return GSASL_NO_CALLBACK;
}

/* ---- Mechanisms ---- */

struct mechanism {
	struct slice name;
	bool needs_privacy; /* the password itself goes over the line */
	bool needs_binding;
	bool asks_name; /* the first challenge asks for nothing but the name */
};

static const struct mechanism mechanisms[] = {
	{SLICE_INIT("SCRAM-SHA-256-PLUS"), false, true, false},
	{SLICE_INIT("SCRAM-SHA-256"), false, false, false},
	{SLICE_INIT("PLAIN"), true, false, false},
	{SLICE_INIT("LOGIN"), true, false, true},
};

const char *const *sasl_mechanisms(const struct sasl_terms *terms)
{
	static const char *const all[] = {
		"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", NULL};
	static const char *const unbound[] = {"SCRAM-SHA-256", "PLAIN", "LOGIN", NULL};
	static const char *const in_the_open[] = {"SCRAM-SHA-256", NULL};
	if (!terms->is_private)
		return in_the_open;
	return terms->channel_binding.len ? all : unbound;
}

static const struct mechanism *mechanism_find(const struct sasl_terms *terms, struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(mechanisms); i++) {
		const struct mechanism *mechanism = &mechanisms[i];
		if (!slice_equal_nocase(mechanism->name, name))
			continue;
		bool allowed = (terms->is_private || !mechanism->needs_privacy) &&
			       (terms->channel_binding.len || !mechanism->needs_binding);
		return allowed ? mechanism : NULL;
	}
	return NULL;
}

static void start_library(void)
{
	random_bytes(unknown_secret, sizeof(unknown_secret));
	int rc = gsasl_init(&library);
	assert(rc == GSASL_OK);
	gsasl_callback_set(library, answer_library);
}

struct error *sasl_begin(struct op *op, const struct sasl_terms *terms, struct slice name,
	struct sasl_exchange **ret_exchange)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, start_library);
	const struct mechanism *mechanism = mechanism_find(terms, name);
	if (!mechanism)
		return op_fail(op, ERR_INVALID, "this mechanism is not offered here");
	struct sasl_exchange *exchange = HEAP_NEW(struct sasl_exchange);
	*exchange = (struct sasl_exchange){.terms = *terms, .mechanism = mechanism};
	assert(terms->channel_binding.len <= sizeof(exchange->binding));
	if (terms->channel_binding.len) {
		memcpy(exchange->binding, terms->channel_binding.ptr, terms->channel_binding.len);
		exchange->terms.channel_binding.ptr = (const char *)exchange->binding;
	}
	/* The library asks for the channel binding while it starts. */
	exchange->op = op;
	int rc = gsasl_server_start(
		library, arena_cstr(&op->arena, mechanism->name), &exchange->native);
	if (rc != GSASL_OK) {
		free(exchange);
		return op_fail(op, ERR_INTERNAL, "begin " SLICE_FMT ": %s",
			SLICE_ARG(mechanism->name), gsasl_strerror(rc));
	}
	gsasl_session_hook_set(exchange->native, exchange);
	if (terms->channel_binding.len)
		set_base64(op, exchange->native, GSASL_CB_TLS_EXPORTER, terms->channel_binding);
	*ret_exchange = exchange;
	return NULL;
}

void sasl_free(struct sasl_exchange *exchange)
{
	if (!exchange)
		return;
	gsasl_finish(exchange->native);
	free(exchange);
}

struct account_id sasl_account(const struct sasl_exchange *exchange)
{
	assert(exchange->has_account);
	return exchange->account;
}

struct slice sasl_mechanism(const struct sasl_exchange *exchange)
{
	return exchange->mechanism->name;
}

struct slice sasl_user_name(const struct sasl_exchange *exchange)
{
	const char *name = gsasl_property_fast(exchange->native, GSASL_AUTHID);
	return name ? slice_from_cstr(name) : SLICE("");
}

/* ---- Steps ---- */

static struct error *outcome_of(struct op *op, struct sasl_exchange *exchange, int rc,
	struct slice output, enum sasl_outcome *ret_outcome)
{
	if (exchange->error)
		return op_wrap(op, exchange->error, "sign in");
	/* Done, but with words left to say: the server's signature, which the client checks. */
	exchange->is_last_word = rc == GSASL_OK && output.len;
	if (rc == GSASL_NEEDS_MORE || exchange->is_last_word)
		*ret_outcome = SASL_CONTINUE;
	else if (rc == GSASL_OK)
		*ret_outcome = exchange->has_account ? SASL_SIGNED_IN : SASL_WRONG;
	else if (rc == GSASL_AUTHENTICATION_ERROR || exchange->is_wrong)
		*ret_outcome = SASL_WRONG;
	else
		*ret_outcome = SASL_MALFORMED;
	return NULL;
}

static struct error *step_library(struct op *op, struct sasl_exchange *exchange, struct slice input,
	struct slice *ret_output, enum sasl_outcome *ret_outcome)
{
	char *output = NULL;
	size_t len = 0;
	exchange->op = op;
	exchange->error = NULL;
	int rc = gsasl_step(exchange->native, input.ptr, input.len, &output, &len);
	struct buf text = buf_in(&op->arena);
	if (rc == GSASL_OK || rc == GSASL_NEEDS_MORE)
		base64_encode(&text, slice_of(output, len));
	gsasl_free(output);
	*ret_output = buf_as_slice(&text);
	return outcome_of(op, exchange, rc, *ret_output, ret_outcome);
}

struct error *sasl_step(struct op *op, struct sasl_exchange *exchange, struct slice input,
	struct slice *ret_output, enum sasl_outcome *ret_outcome)
{
	bool is_first = !exchange->began;
	exchange->began = true;
	*ret_output = SLICE_NONE;
	struct slice bytes = SLICE("");
	if (slice_equal(input, SLICE("*"))) {
		*ret_outcome = SASL_CANCELLED;
		return NULL;
	}
	bool is_empty = !input.len || (is_first && slice_equal(input, SLICE("=")));
	if (input.len > INPUT_MAX || (!is_empty && !base64_decode(&op->arena, input, &bytes))) {
		*ret_outcome = SASL_MALFORMED;
		return NULL;
	}
	if (exchange->is_last_word) {
		*ret_outcome = !bytes.len && exchange->has_account ? SASL_SIGNED_IN : SASL_WRONG;
		return NULL;
	}
	/* An initial response is the name: it answers the challenge that is not sent then. */
	if (is_first && exchange->mechanism->asks_name && bytes.len) {
		TRY(step_library(op, exchange, SLICE(""), ret_output, ret_outcome));
		if (*ret_outcome != SASL_CONTINUE)
			return NULL;
	}
	return step_library(op, exchange, bytes, ret_output, ret_outcome);
}
