/* Who asks: the local socket, or a token. */

#include <openssl/crypto.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "front/admin/admin_private.h"
#include "front/admin/admin_token.h"

METRIC_COUNTER(refused, "admin_tokens_refused_total", "Requests over HTTP with a wrong token");

/* The wait before a wrong token's answer is doubled so often at the most. */
#define DOUBLINGS_MOST 6

static struct slice bearer(struct slice header)
{
	if (!slice_starts_with_nocase(header, SLICE("Bearer ")))
		return SLICE_NONE;
	return slice_trim(slice_from(header, strlen("Bearer ")));
}

static bool is_same(struct slice given, struct slice token)
{
	return token.len && given.len == token.len &&
	       CRYPTO_memcmp(given.ptr, token.ptr, token.len) == 0;
}

static struct admin_caller caller_of(const struct admin_token_info *info)
{
	return (struct admin_caller){.name = info->token.name,
		.role = (enum admin_role)MIN_OF(MAX_OF(info->token.role, ADMIN_READ), ADMIN_ADMIN),
		.domain = info->token.domain};
}

static void refuse(struct admin_request *request)
{
	metric_add(&refused, 1);
	uint64_t failures = peer_failed(&request->peer);
	request->hold_ms = admin_failure_delay_ms()
			   << MIN_OF(failures ? failures - 1 : 0, DOUBLINGS_MOST);
	log_info(&request->op, "admin-token-refused", FIELD_TEXT("peer", request->peer.text));
}

struct error *admin_find_caller(struct admin_request *request, struct slice file_token)
{
	struct admin_token_info info;
	struct slice given = bearer(slice_from_cstr(MHD_lookup_connection_value(
		request->connection, MHD_HEADER_KIND, "Authorization")));
	if (!given.len)
		return NULL;
	if (is_same(given, file_token)) {
		request->caller = (struct admin_caller){
			.name = SLICE("admin.token_file"), .role = ADMIN_ADMIN};
		return NULL;
	}
	struct error *err = admin_token_find(&request->op, request->tokens, given, &info);
	if (!err)
		request->caller = caller_of(&info);
	if (!err || err->kind != ERR_DENIED)
		return err;
	refuse(request);
	return NULL;
}
