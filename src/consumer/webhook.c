#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "consumer/webhook_private.h"
#include "wire/http/http.h"

/* What a receiver says is of no interest beyond its status. */
#define ANSWER_MOST KIB(16)
#define KEY_NAME_BYTES 4

struct webhook {
	struct mail_store *store;
	char *name, *url, *secret_file;
	unsigned events;
	struct http_client *client;
	atomic_bool is_stopping;
};

static void print_hex(struct buf *out, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%02x", bytes[i]);
}

const char *webhook_signature(
	struct arena *arena, struct slice key, uint64_t time_s, struct slice body)
{
	uint8_t digest[SHA256_SIZE], key_name[SHA256_SIZE];
	unsigned length = sizeof(digest);
	struct buf signed_text = buf_in(arena);
	struct buf out = buf_in(arena);
	buf_printf(&signed_text, "%llu.", (unsigned long long)time_s);
	buf_append(&signed_text, body);
	sha256_of(key, key_name);
	if (!HMAC(EVP_sha256(), key.ptr, (int)key.len, (const uint8_t *)signed_text.ptr,
		    signed_text.len, digest, &length))
		abort();
	buf_append(&out, SLICE("key="));
	print_hex(&out, key_name, KEY_NAME_BYTES);
	buf_printf(&out, ", time=%llu, sha256=", (unsigned long long)time_s);
	print_hex(&out, digest, sizeof(digest));
	return arena_cstr(arena, buf_as_slice(&out));
}

/* 2xx: taken. 410: the receiver never wants it. Whatever else it says may be otherwise next time.
 */
static void judge(
	struct op *op, const struct http_request *request, struct consumer_outcome *ret_outcome)
{
	struct consumer_outcome *outcome = ret_outcome;
	int status = request->status;
	/* It was taken, and then more was said than is listened to. */
	bool is_taken = (status >= 200 && status < 300) || request->is_too_large;
	*outcome = (struct consumer_outcome){.delivery = DELIVERY_FAILED};
	if (is_taken)
		outcome->delivery = DELIVERY_DONE;
	else if (!status)
		outcome->reason = request->problem;
	else
		outcome->reason = arena_printf(&op->arena, "the receiver answered %d", status);
	if (status == 410)
		outcome->delivery = DELIVERY_REFUSED;
	if (status == 429 || status == 503)
		outcome->retry_after_ms = request->retry_after_s * 1000;
}

static struct error *post(struct op *op, struct webhook *webhook,
	const struct consumer_event *event, struct slice body, struct slice key,
	struct consumer_outcome *ret_outcome)
{
	struct arena *arena = &op->arena;
	uint64_t now_s = clock_realtime_us() / US_PER_S;
	const char *const headers[] = {"Content-Type: application/json",
		arena_printf(arena, "Holdfast-Event: %s-%llu",
			uuid_text(arena, event->account.uuid), (unsigned long long)event->modseq),
		arena_printf(arena, "Holdfast-Signature: %s",
			webhook_signature(arena, key, now_s, body))};
	struct http_request request = {.method = "POST",
		.url = webhook->url,
		.headers = headers,
		.header_count = ARRAY_SIZE(headers),
		.body = body,
		.answer_max = ANSWER_MOST,
		.is_cancelled = &webhook->is_stopping};
	http_send(op, webhook->client, &request);
	judge(op, &request, ret_outcome);
	if (ret_outcome->delivery == DELIVERY_FAILED && webhook->is_stopping)
		return op_fail(op, ERR_CANCELLED, "the server is stopping");
	return NULL;
}

static struct error *take(struct op *op, void *context, const struct consumer_event *event,
	struct consumer_outcome *ret_outcome)
{
	struct webhook *webhook = context;
	struct slice body;
	const char *secret;
	TRY(webhook_body(op, webhook->store, event, webhook->events, &body));
	*ret_outcome = (struct consumer_outcome){.delivery = DELIVERY_NOTHING};
	if (!body.len)
		return NULL;
	/* Each time, so that a new key holds at once. */
	struct error *err = secret_file_read(op, webhook->secret_file, &secret);
	if (err) {
		log_warn(op, "webhook-unsigned", FIELD_TEXT("hook", webhook->name),
			FIELD_ERROR(op, err));
		return op_fail(op, ERR_UNAVAILABLE, "the key of %s cannot be read", webhook->name);
	}
	return post(op, webhook, event, body, slice_from_cstr(secret), ret_outcome);
}

static void stop(void *context)
{
	struct webhook *webhook = context;
	webhook->is_stopping = true;
}

static void free_webhook(void *context)
{
	struct webhook *webhook = context;
	http_client_free(webhook->client);
	free(webhook->name);
	free(webhook->url);
	free(webhook->secret_file);
	free(webhook);
}

void webhook_consumer(struct mail_store *store, const struct webhook_options *options,
	struct consumer *ret_consumer)
{
	struct webhook *webhook = HEAP_NEW(struct webhook);
	const char *ca_file = webhook_config.ca_file;
	webhook->store = store;
	webhook->url = heap_cstr(options->url);
	webhook->secret_file = heap_cstr(options->secret_file);
	webhook->events = options->events;
	webhook->client = http_client_new(
		&(struct http_config){.ca_file = ca_file && *ca_file ? ca_file : NULL,
			.connect_ms = webhook_config.connect_ms,
			.timeout_ms = webhook_config.timeout_ms});
	struct buf name = buf_heap();
	buf_printf(&name, "webhook-" SLICE_FMT, SLICE_ARG(options->name));
	webhook->name = heap_cstr(buf_as_slice(&name));
	buf_done(&name);
	*ret_consumer = (struct consumer){.name = webhook->name,
		.workers = (unsigned)webhook_config.workers,
		.take = take,
		.stop = stop,
		.free = free_webhook,
		.context = webhook};
}
