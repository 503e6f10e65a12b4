#include "account/password.h"

#include <stdlib.h>

#include <argon2.h>
#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/digest.h"
#include "base/random.h"

#define PASSWORD_LENGTH_MAX 1024
#define ARGON_SALT_SIZE 16
#define ARGON_HASH_SIZE 32
#define SCRAM_SALT_SIZE 16

static struct password_config {
	uint64_t memory_bytes;
	uint64_t rounds;
	uint64_t scram_iterations;
	bool scram;
} config;

/* clang-format off */
const struct setting password_settings[] = {
	{"password.memory", SETTING_BYTES, &config.memory_bytes, "19 MiB", 8192, 4294967296, NULL, true,
		"Memory that hashing a new password takes (argon2id)."},
	{"password.rounds", SETTING_NUMBER, &config.rounds, "2", 1, 1000, NULL, true,
		"Passes over that memory."},
	{"password.scram", SETTING_BOOL, &config.scram, "yes", 0, 0, NULL, true,
		"Keep the keys for SCRAM-SHA-256 beside the hash of a new password."},
	{"password.scram_iterations", SETTING_NUMBER, &config.scram_iterations, "10000", 4096, 10000000, NULL, true,
		"Iterations of a new password's SCRAM keys; clients compute them at each sign-in."},
};
const size_t password_setting_count = ARRAY_SIZE(password_settings);
/* clang-format on */

bool password_wants_scram(void)
{
	return config.scram;
}

/* False: not a password that could have been stored. */
static bool prepare(struct op *op, struct slice password, char **ret_prepared)
{
	if (!password.len || password.len > PASSWORD_LENGTH_MAX ||
		slice_find_char(password, '\0') != password.len)
		return false;
	char *prepared;
	int rc = gsasl_saslprep(
		arena_cstr(&op->arena, password), GSASL_ALLOW_UNASSIGNED, &prepared, NULL);
	if (rc != GSASL_OK)
		return false;
	*ret_prepared = arena_cstr(&op->arena, slice_from_cstr(prepared));
	explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return **ret_prepared != '\0';
}

static struct error *hash(struct op *op, const char *prepared, struct slice *ret_text)
{
	uint8_t salt[ARGON_SALT_SIZE];
	random_bytes(salt, sizeof(salt));
	uint32_t memory_kib = (uint32_t)(config.memory_bytes / 1024);
	uint32_t rounds = (uint32_t)config.rounds;
	size_t size =
		argon2_encodedlen(rounds, memory_kib, 1, sizeof(salt), ARGON_HASH_SIZE, Argon2_id);
	char *text = arena_alloc(&op->arena, size);
	int rc = argon2id_hash_encoded(rounds, memory_kib, 1, prepared, strlen(prepared), salt,
		sizeof(salt), ARGON_HASH_SIZE, text, size);
	if (rc != ARGON2_OK)
		return op_fail(
			op, ERR_UNAVAILABLE, "hash a password: %s", argon2_error_message(rc));
	*ret_text = slice_from_cstr(text);
	return NULL;
}

static bool hmac(const uint8_t key[static SHA256_SIZE], const char *text,
	uint8_t ret_digest[static SHA256_SIZE])
{
	unsigned len = SHA256_SIZE;
	return HMAC(EVP_sha256(), key, SHA256_SIZE, (const unsigned char *)text, strlen(text),
		       ret_digest, &len) != NULL;
}

/* RFC 5802 3: StoredKey and ServerKey. */
static struct error *derive_scram(
	struct op *op, const char *prepared, struct password_record *record)
{
	uint8_t salted[SHA256_SIZE], client_key[SHA256_SIZE];
	uint8_t *salt = arena_alloc(&op->arena, SCRAM_SALT_SIZE);
	uint8_t *stored_key = arena_alloc(&op->arena, SHA256_SIZE);
	uint8_t *server_key = arena_alloc(&op->arena, SHA256_SIZE);
	random_bytes(salt, SCRAM_SALT_SIZE);
	bool good = PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt, SCRAM_SALT_SIZE,
			    (int)config.scram_iterations, EVP_sha256(), SHA256_SIZE, salted) == 1 &&
		    hmac(salted, "Client Key", client_key) &&
		    hmac(salted, "Server Key", server_key);
	sha256_of(slice_of(client_key, SHA256_SIZE), stored_key);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client_key, sizeof(client_key));
	if (!good)
		return op_fail(op, ERR_INTERNAL, "derive SCRAM keys");
	record->scram_salt = slice_of(salt, SCRAM_SALT_SIZE);
	record->scram_iterations = (uint32_t)config.scram_iterations;
	record->scram_stored_key = slice_of(stored_key, SHA256_SIZE);
	record->scram_server_key = slice_of(server_key, SHA256_SIZE);
	return NULL;
}

struct error *password_make(
	struct op *op, struct slice password, bool with_scram, struct password_record *ret_record)
{
	char *prepared;
	if (!prepare(op, password, &prepared))
		return op_fail(op, ERR_INVALID, "a password has 1 to %d bytes of printable UTF-8",
			PASSWORD_LENGTH_MAX);
	struct password_record record = {0};
	struct error *err = hash(op, prepared, &record.password);
	if (!err && with_scram)
		err = derive_scram(op, prepared, &record);
	explicit_bzero(prepared, strlen(prepared));
	if (!err)
		*ret_record = record;
	return err;
}

static struct error *verify(
	struct op *op, const char *text, const char *prepared, bool *ret_matches)
{
	int rc = argon2id_verify(text, prepared, strlen(prepared));
	if (rc != ARGON2_OK && rc != ARGON2_VERIFY_MISMATCH)
		return op_fail(op,
			rc == ARGON2_MEMORY_ALLOCATION_ERROR ? ERR_UNAVAILABLE : ERR_CORRUPT,
			"check a password: %s", argon2_error_message(rc));
	*ret_matches = rc == ARGON2_OK;
	return NULL;
}

struct error *password_check(
	struct op *op, const struct login *login, struct slice password, bool *ret_matches)
{
	char *prepared;
	bool is_possible = prepare(op, password, &prepared);
	if (!is_possible)
		prepared = arena_cstr(&op->arena, SLICE("no password"));
	struct slice unused;
	bool matches = false;
	struct error *err =
		login && login->password.len
			? verify(op, arena_cstr(&op->arena, login->password), prepared, &matches)
			: hash(op, prepared, &unused);
	explicit_bzero(prepared, strlen(prepared));
	if (!err)
		*ret_matches = matches && is_possible;
	return err;
}
