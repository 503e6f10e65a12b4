#include <assert.h>

#include "account/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* One who has SCRAM keys that nobody knows the password of. */
static struct error *find_login(
	struct op *op, struct accounts *accounts, struct slice name, struct login *ret_login)
{
	(void)accounts;
	if (!slice_starts_with(name, SLICE("a")))
		return op_fail(op, ERR_NOT_FOUND, "nobody");
	*ret_login = (struct login){.is_enabled = true,
		.scram_salt = SLICE("0123456789abcdef"),
		.scram_iterations = 4096,
		.scram_stored_key = SLICE("0123456789abcdef0123456789abcdef"),
		.scram_server_key = SLICE("0123456789abcdef0123456789abcdef")};
	return NULL;
}

/* The first byte chooses a mechanism, each line is one answer: nobody gets in. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	AUTO_OP(op, "fuzz");
	const struct sasl_terms terms = {.find_login = find_login,
		.is_private = true,
		.channel_binding = SLICE("0123456789abcdef0123456789abcdef")};
	const char *mechanism = sasl_mechanisms(&terms)[bytes[0] % 4];
	struct sasl_exchange *exchange;
	struct error *err = sasl_begin(&op, &terms, slice_from_cstr(mechanism), &exchange);
	assert(!err);
	struct slice rest = slice_of(bytes + 1, size - 1), line, output;
	enum sasl_outcome outcome = SASL_CONTINUE;
	while (!err && outcome == SASL_CONTINUE && slice_split(&rest, '\n', &line))
		err = sasl_step(&op, exchange, line, &output, &outcome);
	assert(outcome != SASL_SIGNED_IN);
	sasl_free(exchange);
	return 0;
}
