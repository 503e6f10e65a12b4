#include "wire/cql/cql_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct cql_tls {
	SSL_CTX *context;
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

static struct error *load_files(struct op *op, SSL_CTX *context, const struct cql_options *options)
{
	if (options->tls_ca_file) {
		if (SSL_CTX_load_verify_file(context, options->tls_ca_file) != 1)
			return tls_fail(
				op, "the certificates of authorities in", options->tls_ca_file);
	} else if (SSL_CTX_set_default_verify_paths(context) != 1) {
		return tls_fail(op, "the system's certificates", "of authorities");
	}
	if (!options->tls_certificate_file)
		return NULL;
	const char *key =
		options->tls_key_file ? options->tls_key_file : options->tls_certificate_file;
	if (SSL_CTX_use_certificate_chain_file(context, options->tls_certificate_file) != 1)
		return tls_fail(op, "the certificate in", options->tls_certificate_file);
	if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(context) != 1)
		return tls_fail(op, "the key in", key);
	return NULL;
}

struct error *cql_tls_open(
	struct op *op, const struct cql_options *options, struct cql_tls **ret_tls)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context)
		return tls_fail(op, "set up", "TLS");
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(
		context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	struct error *err = load_files(op, context, options);
	if (err) {
		SSL_CTX_free(context);
		return err;
	}
	struct cql_tls *tls = HEAP_NEW(struct cql_tls);
	tls->context = context;
	*ret_tls = tls;
	return NULL;
}

void cql_tls_free(struct cql_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

static bool is_address(const char *name)
{
	struct in6_addr bytes;
	return inet_pton(AF_INET, name, &bytes) == 1 || inet_pton(AF_INET6, name, &bytes) == 1;
}

static bool expect_name(SSL *ssl, const char *name)
{
	if (is_address(name))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *cql_tls_connect(struct cql_tls *tls, int fd, const char *server_name)
{
	SSL *ssl = SSL_new(tls->context);
	if (ssl && SSL_set_fd(ssl, fd) == 1 && (!server_name || expect_name(ssl, server_name))) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	SSL_free(ssl);
	return NULL;
}

const char *cql_tls_reason(SSL *ssl, char *ret_text, size_t size)
{
	long verdict = SSL_get_verify_result(ssl);
	unsigned long code = ERR_peek_last_error();
	if (verdict != X509_V_OK)
		snprintf(ret_text, size, "%s", X509_verify_cert_error_string(verdict));
	else if (code)
		ERR_error_string_n(code, ret_text, size);
	else
		snprintf(ret_text, size, "the connection broke");
	ERR_clear_error();
	return ret_text;
}
