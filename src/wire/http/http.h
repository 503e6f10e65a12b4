#pragma once

/* A client of services that speak HTTP and answer in one piece, on libcurl: one try of one request
 * at a time, over connections that are kept open. Any thread; as many requests are under way as
 * threads ask. Redirects are not followed, and what the environment says of proxies is not heard.
 */

#include <stdatomic.h>

#include "base/buf.h"
#include "base/op.h"

struct http_client;

struct http_config {
	const char *ca_file; /* NULL: the system's certificates */
	const char *user;    /* NULL: no authentication; else Basic */
	const char *password;
	uint64_t connect_ms; /* for a connection to be made */
	uint64_t timeout_ms; /* for the whole request, less if the operation has less time left */
};

/* Copies the configuration. */
struct http_client *http_client_new(const struct http_config *config);
void http_client_free(struct http_client *client);

struct http_request {
	const char *method;
	const char *url;
	const char *const *headers; /* "name: value" */
	size_t header_count;
	struct slice body; /* no pointer: none */
	uint64_t answer_max;
	bool takes_beginning; /* of a larger answer: no failure then */
	uint64_t timeout_ms;  /* 0: the client's */
	bool is_once; /* over a connection of its own: else libcurl sends again what one that was
		       * kept open has swallowed */
	const atomic_bool *is_cancelled; /* looked at each second or so; NULL: never is */

	/* Answer */
	int status; /* 0: none came whole */
	struct slice answer;
	uint64_t retry_after_s; /* as the answer asks for (RFC 9110 10.2.3); 0: it does not */
	bool is_too_large;
	bool is_unreached;   /* nobody has heard of it */
	bool is_late;        /* given up because of the time */
	const char *problem; /* why no answer came */
};

/* Fills in the answer, in the operation's arena. */
void http_send(struct op *op, struct http_client *client, struct http_request *request);

/* "http://host:port" or "https://host", with or without one slash behind it, without a user, a path
 * or anything else. */
bool http_is_origin(struct slice url);
