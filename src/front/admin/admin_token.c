#include "front/admin/admin_token.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sync.h"

#define TOKENS_MOST 1000
#define SECRET_BYTES 32
#define SECRET_PREFIX "hf_"

/* What was read of the store is believed so long … */
#define FRESH_NS (5 * NS_PER_S)
/* … and so long while it cannot be read again. */
#define STALE_NS (300 * NS_PER_S)
/* How exactly it is known when a token was last used. */
#define USE_NOTED_EVERY_US (3600 * US_PER_S)

enum token_row { TOKEN_ROW, USE_ROW };

struct admin_tokens {
	struct engine *engine;
	struct mutex lock;
	/* Under lock */
	struct arena arena; /* of what was read */
	struct admin_token_info *infos;
	size_t count;
	uint64_t read_ns; /* 0: never */
	uint64_t changes; /* made by this node */
	struct {
		struct uuid id;
		uint64_t used_us, noted_us;
	} uses[TOKENS_MOST];
	size_t use_count;
};

struct admin_tokens *admin_tokens_new(struct engine *engine)
{
	struct admin_tokens *tokens = HEAP_NEW(struct admin_tokens);
	*tokens = (struct admin_tokens){.engine = engine};
	mutex_init(&tokens->lock);
	arena_init(&tokens->arena);
	return tokens;
}

void admin_tokens_free(struct admin_tokens *tokens)
{
	if (!tokens)
		return;
	arena_done(&tokens->arena);
	mutex_done(&tokens->lock);
	free(tokens);
}

static struct slice partition(struct arena *arena)
{
	return key_shard(arena, 0, 0);
}

/* ---- reading ---- */

static struct error *read_row(struct op *op, const struct engine_row *row,
	struct admin_token_info *infos, size_t *inout_count)
{
	struct uuid id;
	struct admin_token_use use;
	if (row->key.len != 1 + sizeof(id.bytes) || !uuid_from_slice(slice_from(row->key, 1), &id))
		return op_fail(op, ERR_CORRUPT, "a row of admin_token has a key of %zu bytes",
			row->key.len);
	if (row->key.ptr[0] == TOKEN_ROW) {
		struct admin_token_info *info = &infos[(*inout_count)++];
		*info = (struct admin_token_info){.id = id};
		return row_decode(op, &admin_token_row, row->value, &info->token);
	}
	TRY(row_decode(op, &admin_token_use_row, row->value, &use));
	/* Of a token that was revoked the other row may stay. */
	for (size_t i = 0; i < *inout_count; i++)
		if (uuid_equal(infos[i].id, id))
			infos[i].used_us = use.used_us;
	return NULL;
}

/* The rows of tokens come before those of their use. */
static struct error *read_all(struct op *op, struct admin_tokens *tokens,
	struct admin_token_info **ret_infos, size_t *ret_count)
{
	struct engine_rows rows;
	*ret_count = 0;
	TRY(engine_scan(tokens->engine, op, &admin_token_table, partition(&op->arena), SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	*ret_infos = ARENA_ARRAY(&op->arena, struct admin_token_info, rows.count + 1);
	for (size_t i = 0; i < rows.count; i++)
		TRY(read_row(op, &rows.rows[i], *ret_infos, ret_count));
	return NULL;
}

static struct admin_token_info copy(struct arena *arena, const struct admin_token_info *info)
{
	struct admin_token_info copied = *info;
	copied.token.hash = arena_dup(arena, info->token.hash);
	copied.token.name = arena_dup(arena, info->token.name);
	copied.token.domain = arena_dup(arena, info->token.domain);
	return copied;
}

/* With the lock held. */
static void remember(
	struct admin_tokens *tokens, const struct admin_token_info *infos, size_t count)
{
	arena_done(&tokens->arena);
	arena_init(&tokens->arena);
	tokens->infos = ARENA_ARRAY(&tokens->arena, struct admin_token_info, count + 1);
	for (size_t i = 0; i < count; i++)
		tokens->infos[i] = copy(&tokens->arena, &infos[i]);
	tokens->count = count;
	tokens->read_ns = clock_monotonic_ns();
}

static uint64_t age_ns(struct admin_tokens *tokens, uint64_t *ret_changes)
{
	AUTO_LOCK(&tokens->lock);
	*ret_changes = tokens->changes;
	return tokens->read_ns ? clock_monotonic_ns() - tokens->read_ns : UINT64_MAX;
}

/* False: a change was made here since, and what was read may not know of it. */
static bool remember_as_of(struct admin_tokens *tokens, uint64_t changes,
	const struct admin_token_info *infos, size_t count)
{
	AUTO_LOCK(&tokens->lock);
	if (changes != tokens->changes)
		return false;
	remember(tokens, infos, count);
	return true;
}

static struct error *refresh(struct op *op, struct admin_tokens *tokens)
{
	struct admin_token_info *infos;
	size_t count;
	uint64_t changes;
	do {
		uint64_t age = age_ns(tokens, &changes);
		if (age < FRESH_NS)
			return NULL;
		struct error *err = read_all(op, tokens, &infos, &count);
		if (err && age < STALE_NS) {
			log_warn(op, "admin-tokens-not-read", FIELD_ERROR(op, err));
			return NULL;
		}
		TRY(err);
	} while (!remember_as_of(tokens, changes, infos, count));
	return NULL;
}

static void forget(struct admin_tokens *tokens)
{
	AUTO_LOCK(&tokens->lock);
	tokens->read_ns = 0;
	tokens->changes++;
}

/* ---- when a token was last used ---- */

/* With the lock held: true when that is to be written down. */
static bool note_use(
	struct admin_tokens *tokens, struct uuid id, uint64_t stored_us, uint64_t now_us)
{
	size_t at = 0;
	while (at < tokens->use_count && !uuid_equal(tokens->uses[at].id, id))
		at++;
	/* Many of them are of tokens that have gone; the others come again. */
	if (at == TOKENS_MOST)
		tokens->use_count = at = 0;
	if (at == tokens->use_count) {
		tokens->uses[tokens->use_count++].id = id;
		tokens->uses[at].noted_us = stored_us;
	}
	tokens->uses[at].used_us = now_us;
	if (now_us < tokens->uses[at].noted_us + USE_NOTED_EVERY_US)
		return false;
	tokens->uses[at].noted_us = now_us;
	return true;
}

static void write_use(struct op *op, struct admin_tokens *tokens, struct uuid id, uint64_t now_us)
{
	struct mutations rows;
	struct admin_token_use use = {.used_us = now_us};
	mutations_init(&rows, &op->arena);
	mutations_put(&rows, &admin_token_table, partition(&op->arena),
		key_id_row(&op->arena, USE_ROW, id),
		row_encode_in(&op->arena, &admin_token_use_row, &use), now_us);
	struct error *err = engine_write(tokens->engine, op, rows.items, rows.count, RELAXED);
	/* Whoever is let in does not wait for this to be known. */
	if (err)
		log_debug(op, "admin-token-use-not-written", FIELD_ERROR(op, err));
}

static uint64_t last_use(struct admin_tokens *tokens, const struct admin_token_info *info)
{
	AUTO_LOCK(&tokens->lock);
	for (size_t i = 0; i < tokens->use_count; i++)
		if (uuid_equal(tokens->uses[i].id, info->id))
			return MAX_OF(tokens->uses[i].used_us, info->used_us);
	return info->used_us;
}

/* ---- what the others call ---- */

static bool find_hash(struct op *op, struct admin_tokens *tokens, const uint8_t *hash,
	struct admin_token_info *ret_info)
{
	AUTO_LOCK(&tokens->lock);
	for (size_t i = 0; i < tokens->count; i++) {
		const struct admin_token_info *info = &tokens->infos[i];
		if (info->token.hash.len == SHA256_SIZE &&
			CRYPTO_memcmp(info->token.hash.ptr, hash, SHA256_SIZE) == 0) {
			*ret_info = copy(&op->arena, info);
			return true;
		}
	}
	return false;
}

struct error *admin_token_find(struct op *op, struct admin_tokens *tokens, struct slice secret,
	struct admin_token_info *ret_info)
{
	uint8_t hash[SHA256_SIZE];
	uint64_t now_us = clock_realtime_us();
	bool is_due;
	sha256_of(secret, hash);
	TRY(refresh(op, tokens));
	if (!find_hash(op, tokens, hash, ret_info))
		return op_fail(op, ERR_DENIED, "no such token");
	if (ret_info->token.expires_us && now_us >= ret_info->token.expires_us)
		return op_fail(op, ERR_DENIED, "the token has expired");
	{
		AUTO_LOCK(&tokens->lock);
		is_due = note_use(tokens, ret_info->id, ret_info->used_us, now_us);
	}
	if (is_due)
		write_use(op, tokens, ret_info->id, now_us);
	return NULL;
}

struct error *admin_token_list(struct op *op, struct admin_tokens *tokens,
	struct admin_token_info **ret_infos, size_t *ret_count)
{
	TRY(read_all(op, tokens, ret_infos, ret_count));
	for (size_t i = 0; i < *ret_count; i++)
		(*ret_infos)[i].used_us = last_use(tokens, &(*ret_infos)[i]);
	return NULL;
}

static struct slice make_secret(struct arena *arena)
{
	uint8_t bytes[SECRET_BYTES];
	struct buf text = buf_in(arena);
	random_bytes(bytes, sizeof(bytes));
	buf_printf(&text, "%s", SECRET_PREFIX);
	for (size_t i = 0; i < sizeof(bytes); i++)
		buf_printf(&text, "%02x", bytes[i]);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return buf_as_slice(&text);
}

struct error *admin_token_create(struct op *op, struct admin_tokens *tokens,
	struct admin_token *token, struct uuid *ret_id, struct slice *ret_secret)
{
	struct admin_token_info *infos;
	size_t count;
	struct mutations rows;
	uint8_t *hash = arena_alloc(&op->arena, SHA256_SIZE);
	struct slice secret = make_secret(&op->arena);
	TRY(read_all(op, tokens, &infos, &count));
	if (count >= TOKENS_MOST)
		return op_fail(op, ERR_LIMIT, "there are %d tokens already", TOKENS_MOST);
	sha256_of(secret, hash);
	token->hash = slice_of(hash, SHA256_SIZE);
	token->created_us = clock_realtime_us();
	struct uuid id = uuid_v7();
	mutations_init(&rows, &op->arena);
	mutations_put(&rows, &admin_token_table, partition(&op->arena),
		key_id_row(&op->arena, TOKEN_ROW, id),
		row_encode_in(&op->arena, &admin_token_row, token), token->created_us);
	TRY(engine_write(tokens->engine, op, rows.items, rows.count, DURABLE));
	forget(tokens);
	*ret_id = id;
	*ret_secret = secret;
	return NULL;
}

static struct error *delete_rows(
	struct op *op, struct admin_tokens *tokens, const struct admin_token_info *info)
{
	struct mutations rows;
	/* Its maker's clock may have been ahead of ours. */
	uint64_t version = MAX_OF(clock_realtime_us(), info->token.created_us + 1);
	mutations_init(&rows, &op->arena);
	const uint8_t kinds[] = {TOKEN_ROW, USE_ROW};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		mutations_delete(&rows, &admin_token_table, partition(&op->arena),
			key_id_row(&op->arena, kinds[i], info->id), version);
	return engine_write(tokens->engine, op, rows.items, rows.count, DURABLE);
}

struct error *admin_token_revoke(struct op *op, struct admin_tokens *tokens, struct uuid id)
{
	struct admin_token_info *infos;
	size_t count;
	TRY(read_all(op, tokens, &infos, &count));
	for (size_t i = 0; i < count; i++) {
		if (!uuid_equal(infos[i].id, id))
			continue;
		TRY(delete_rows(op, tokens, &infos[i]));
		forget(tokens);
		return NULL;
	}
	return op_fail(op, ERR_NOT_FOUND, "there is no such token");
}
