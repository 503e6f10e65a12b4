#pragma once

/* Consumers that tell other systems of changes by HTTP POST: JSON, signed with HMAC-SHA256. Each is
 * a consumer of its own, `webhook-NAME`, so that a receiver that is down holds up no other. */

#include "base/setting.h"
#include "consumer/consumer.h"

/* webhook.* */
extern const struct setting webhook_settings[];
extern const size_t webhook_setting_count;

#define WEBHOOKS_MOST 16

enum webhook_event {
	WEBHOOK_DELIVERED = 1, /* a message has come: delivered, appended or copied */
	WEBHOOK_MOVED = 2,     /* one has come from another mailbox of the account */
	WEBHOOK_FLAGGED = 4,
	WEBHOOK_EXPUNGED = 8,
};

struct webhook_options {
	struct slice name;
	struct slice url;
	struct slice secret_file; /* its first line is the key */
	unsigned events;          /* enum webhook_event */
};

/* Reads lines of "name url secret-file event,event…"; empty ones and those with '#' are passed
 * over. Borrows the text. ERR_INVALID names the line. */
MUST_CHECK struct error *webhooks_parse(struct op *op, struct slice text,
	struct webhook_options ret_options[static WEBHOOKS_MOST], size_t *ret_count);

/* The file that webhook.hooks names, and its secrets; none when it names none. ERR_INVALID. */
MUST_CHECK struct error *webhooks_read(
	struct op *op, struct webhook_options ret_options[static WEBHOOKS_MOST], size_t *ret_count);

/* Borrows the store. The consumer owns what it makes. */
void webhook_consumer(struct mail_store *store, const struct webhook_options *options,
	struct consumer *ret_consumer);

/* What is sent; empty when nothing of the event is wanted. */
MUST_CHECK struct error *webhook_body(struct op *op, struct mail_store *store,
	const struct consumer_event *event, unsigned wanted, struct slice *ret_body);

/* "key=…, time=…, sha256=…": over the time in seconds, a dot, and the body. The key's name is the
 * beginning of its own SHA-256. */
const char *webhook_signature(
	struct arena *arena, struct slice key, uint64_t time_s, struct slice body);
