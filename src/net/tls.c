#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "base/random.h"
#include "net/net_private.h"

#define CERTIFICATES_MAX 256

/* A self-made certificate is looked at by people who will replace it: ten years. */
#define SELF_SIGNED_SECONDS (3650L * 24 * 3600)

struct tls {
	SSL_CTX *contexts[CERTIFICATES_MAX]; /* [0] answers those who ask for no name we have */
	size_t count;
	unsigned references;
};

static struct error *tls_fail(struct op *op, const char *what, const char *path)
{
	char reason[256] = "no reason given";
	unsigned long code = ERR_peek_last_error();
	if (code)
		ERR_error_string_n(code, reason, sizeof(reason));
	ERR_clear_error();
	return op_fail(op, ERR_INVALID, "%s %s: %s", what, path, reason);
}

static int choose_certificate(SSL *ssl, int *alert, void *argument)
{
	(void)alert;
	struct tls *tls = argument;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (!name)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 0; i < tls->count; i++) {
		X509 *certificate = SSL_CTX_get0_certificate(tls->contexts[i]);
		if (certificate && X509_check_host(certificate, name, 0, 0, NULL) == 1) {
			SSL_set_SSL_CTX(ssl, tls->contexts[i]);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *context_new(struct tls *tls)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	assert(context);
	SSL_CTX_set_min_proto_version(
		context, net_config.tls_min_version == 1 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					     SSL_OP_CIPHER_SERVER_PREFERENCE |
					     SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* An idle connection keeps no record buffers. */
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"holdfast", 8);
	SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
	SSL_CTX_set_tlsext_servername_arg(context, tls);
	return context;
}

static struct error *tls_add(
	struct op *op, struct tls *tls, const char *certificate_path, const char *key_path)
{
	if (tls->count == CERTIFICATES_MAX)
		return op_fail(op, ERR_LIMIT, "more than %d certificates", CERTIFICATES_MAX);
	SSL_CTX *context = context_new(tls);
	tls->contexts[tls->count++] = context;
	if (SSL_CTX_use_certificate_chain_file(context, certificate_path) != 1)
		return tls_fail(op, "the certificate in", certificate_path);
	if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
		return tls_fail(op, "the key in", key_path);
	if (SSL_CTX_check_private_key(context) != 1)
		return tls_fail(op, "key and certificate do not belong together:", key_path);
	return NULL;
}

/* "cert.pem:key.pem, cert2.pem:key2.pem" */
static struct error *tls_add_more(struct op *op, struct tls *tls, const char *list)
{
	struct slice rest = slice_from_cstr(list), pair;
	while (slice_split(&rest, ',', &pair)) {
		pair = slice_trim(pair);
		if (!pair.len)
			continue;
		size_t colon = slice_find_char(pair, ':');
		if (colon == pair.len)
			return op_fail(op, ERR_INVALID,
				"tls.more_certificates: \"" SLICE_FMT "\" is not certificate:key",
				SLICE_ARG(pair));
		TRY(tls_add(op, tls, arena_cstr(&op->arena, slice_range(pair, 0, colon)),
			arena_cstr(&op->arena, slice_from(pair, colon + 1))));
	}
	return NULL;
}

static struct error *tls_fill(struct op *op, struct tls *tls)
{
	TRY(tls_add(op, tls, net_config.tls_certificate, net_config.tls_key));
	return tls_add_more(op, tls, net_config.tls_more_certificates);
}

struct error *tls_open(struct op *op, struct tls **ret_tls)
{
	if (!net_config.tls_certificate) {
		*ret_tls = NULL;
		return NULL;
	}
	if (!net_config.tls_key)
		return op_fail(op, ERR_INVALID, "tls.certificate is set, but tls.key is not");
	if (net_config.tls_self_sign && access(net_config.tls_certificate, F_OK) != 0 &&
		errno == ENOENT)
		TRY(tls_self_sign(
			op, net_config.tls_certificate, net_config.tls_key, net_server_name()));
	struct tls *tls = HEAP_NEW(struct tls);
	*tls = (struct tls){.references = 1};
	struct error *err = tls_fill(op, tls);
	if (err) {
		tls_unref(tls);
		return err;
	}
	*ret_tls = tls;
	return NULL;
}

struct tls *tls_ref(struct tls *tls)
{
	if (tls)
		__atomic_fetch_add(&tls->references, 1, __ATOMIC_RELAXED);
	return tls;
}

void tls_unref(struct tls *tls)
{
	if (!tls || __atomic_fetch_sub(&tls->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	for (size_t i = 0; i < tls->count; i++)
		SSL_CTX_free(tls->contexts[i]);
	free(tls);
}

SSL *tls_accept(struct tls *tls)
{
	return SSL_new(tls->contexts[0]);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension)
		return false;
	int added = X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return added == 1;
}

static bool certificate_fill(struct op *op, X509 *certificate, EVP_PKEY *key, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	const char *names =
		arena_printf(&op->arena, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", name);
	return X509_set_version(certificate, 2) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), random_u64() >> 1) ==
		       1 &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(certificate), SELF_SIGNED_SECONDS) &&
	       X509_NAME_add_entry_by_txt(
		       subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(certificate, subject) == 1 &&
	       X509_set_pubkey(certificate, key) == 1 &&
	       add_extension(certificate, NID_subject_alt_name, names) &&
	       add_extension(certificate, NID_basic_constraints, "CA:FALSE") &&
	       X509_sign(certificate, key, EVP_sha256()) > 0;
}

static FILE *create_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return NULL;
	FILE *file = fdopen(fd, "w");
	if (!file)
		close(fd);
	return file;
}

static struct error *write_key(struct op *op, const char *path, EVP_PKEY *key)
{
	FILE *file = create_file(path, 0600);
	if (!file)
		return op_fail(op, ERR_UNAVAILABLE, "create %s: %s", path, strerror(errno));
	bool good = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (fclose(file) != 0 || !good)
		return tls_fail(op, "write", path);
	return NULL;
}

static struct error *write_certificate(struct op *op, const char *path, X509 *certificate)
{
	FILE *file = create_file(path, 0644);
	if (!file)
		return op_fail(op, ERR_UNAVAILABLE, "create %s: %s", path, strerror(errno));
	bool good = PEM_write_X509(file, certificate) == 1;
	if (fclose(file) != 0 || !good)
		return tls_fail(op, "write", path);
	return NULL;
}

/* An existing key is used, never replaced: it may be the operator's, with its certificate mislaid.
 */
static struct error *key_get(struct op *op, const char *path, EVP_PKEY **ret_key)
{
	FILE *file = fopen(path, "re");
	if (file) {
		*ret_key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
		fclose(file);
		return *ret_key ? NULL : tls_fail(op, "the key in", path);
	}
	EVP_PKEY *key = EVP_EC_gen("P-256");
	if (!key)
		return tls_fail(op, "make a key for", path);
	struct error *err = write_key(op, path, key);
	if (err) {
		EVP_PKEY_free(key);
		return err;
	}
	*ret_key = key;
	return NULL;
}

struct error *tls_self_sign(
	struct op *op, const char *certificate_path, const char *key_path, const char *name)
{
	EVP_PKEY *key = NULL;
	TRY(key_get(op, key_path, &key));
	X509 *certificate = X509_new();
	assert(certificate);
	struct error *err = certificate_fill(op, certificate, key, name)
				    ? write_certificate(op, certificate_path, certificate)
				    : tls_fail(op, "make a certificate for", name);
	X509_free(certificate);
	EVP_PKEY_free(key);
	if (!err)
		log_info(op, "certificate-made", FIELD_TEXT("name", name),
			FIELD_TEXT("file", certificate_path));
	return err;
}
