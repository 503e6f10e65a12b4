#pragma once

/* A bus over RabbitMQ. Hints go to one topic exchange, with the account's slot as their key. Each
 * node has a queue of its own, which lives as long as its connection and is bound to the slots that
 * it watches; each work group has a durable quorum queue, which all its nodes consume. */

#include "base/setting.h"
#include "bus/bus.h"

struct rabbitmq_host {
	const char *name;
	uint16_t port;
};

struct rabbitmq_options {
	const struct rabbitmq_host *hosts;
	size_t host_count;
	const char *user;
	const char *password;
	const char *vhost;
	const char *prefix; /* of the names of exchange and queues */
	bool tls;
	const char *tls_ca;          /* NULL: the system's */
	const char *tls_certificate; /* NULL: none */
	const char *tls_key;
	uint64_t waiting;      /* hints that wait to be sent, at the most */
	uint64_t prefetch;     /* of a work group: hints whose work is not done */
	uint64_t timeout_ms;   /* to connect, and of each request to the broker */
	uint64_t heartbeat_ms; /* whole seconds */
	uint64_t reconnect_max_ms;
};

extern const struct setting rabbitmq_settings[];
extern const size_t rabbitmq_setting_count;

/* Names any host? */
bool rabbitmq_is_configured(void);

/* What bus.* says, in op's arena. ERR_INVALID: *ret_setting is at fault. */
MUST_CHECK struct error *rabbitmq_read_settings(
	struct op *op, struct rabbitmq_options *ret_options, const char **ret_setting);

/* Copies the options; connects after bus_start. */
struct bus *bus_rabbitmq_new(const struct rabbitmq_options *options);
