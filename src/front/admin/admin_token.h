#pragma once

/* Tokens that let in over HTTP: 256 random bits each, of which the store has but the hash. Each
 * node remembers the tokens for some moments; a token that another node has revoked is refused
 * here when those are over. While the store cannot be read, what was last read of it holds, for a
 * bounded time: administration is needed most then. Any thread. */

#include "engine/engine.h"
#include "schema/tables.h"

struct admin_tokens;

struct admin_token_info {
	struct uuid id;
	struct admin_token token;
	uint64_t used_us; /* about; 0: never, as far as is known */
};

/* Borrows the engine. */
struct admin_tokens *admin_tokens_new(struct engine *engine);
void admin_tokens_free(struct admin_tokens *tokens);

/* The token behind "Authorization: Bearer …"; ERR_DENIED: there is none, or it has expired. */
MUST_CHECK struct error *admin_token_find(struct op *op, struct admin_tokens *tokens,
	struct slice secret, struct admin_token_info *ret_info);

/* By id. */
MUST_CHECK struct error *admin_token_list(struct op *op, struct admin_tokens *tokens,
	struct admin_token_info **ret_infos, size_t *ret_count);

/* Fills in the hash and when it was made. *ret_secret is not to be had again. ERR_LIMIT. */
MUST_CHECK struct error *admin_token_create(struct op *op, struct admin_tokens *tokens,
	struct admin_token *token, struct uuid *ret_id, struct slice *ret_secret);

/* ERR_NOT_FOUND */
MUST_CHECK struct error *admin_token_revoke(
	struct op *op, struct admin_tokens *tokens, struct uuid id);
