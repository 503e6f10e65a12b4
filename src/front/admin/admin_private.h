#pragma once

/* What the parts of the admin front share. */

#include <jansson.h>
#include <microhttpd.h>

#include "base/buf.h"
#include "front/admin/admin.h"

#define ADMIN_PATH_PARTS_MAX 6

/* One request, from its first header to its answer. */
struct admin_request {
	struct op op;
	const struct admin_context *context;
	struct MHD_Connection *connection;
	const char *method;
	struct slice parts[ADMIN_PATH_PARTS_MAX]; /* decoded; '*' of the route or its own words */
	size_t part_count;
	struct buf upload;
	bool is_too_big;
	json_t *body; /* NULL: none */

	/* The answer: JSON, or text of a type. */
	json_t *answer;
	struct buf text;
	const char *content_type;
	unsigned status; /* 0: 200 */
};

typedef struct error *(*admin_handler)(struct admin_request *request);

struct admin_route {
	const char *method;
	const char *path; /* "v1/users/?/folders": '?' is any one part */
	admin_handler handler;
	bool is_open; /* needs no token */
};

extern const struct admin_route admin_account_routes[];
extern const size_t admin_account_route_count;
extern const struct admin_route admin_consistency_routes[];
extern const size_t admin_consistency_route_count;
extern const struct admin_route admin_status_routes[];
extern const size_t admin_status_route_count;
extern const struct admin_route admin_index_routes[];
extern const size_t admin_index_route_count;
extern const struct admin_route admin_task_routes[];
extern const size_t admin_task_route_count;
extern const struct admin_route admin_vault_routes[];
extern const size_t admin_vault_route_count;

/* ---- requests ---- */

/* The route of a request, or NULL; *ret_path_known: another method would have one. */
const struct admin_route *admin_route_find(
	const struct admin_request *request, bool *ret_path_known);

/* Splits and decodes; false for what is no path of ours. */
bool admin_path_parse(struct admin_request *request, const char *url);

/* Percent-encoding (RFC 3986); false when it is broken or holds a NUL. */
bool admin_decode(struct arena *arena, struct slice text, struct slice *ret_decoded);

/* Fields of the body. ERR_INVALID names the field. */
MUST_CHECK struct error *admin_text_field(
	struct admin_request *request, const char *name, struct slice *ret_text);
MUST_CHECK struct error *admin_number_field(
	struct admin_request *request, const char *name, uint64_t *ret_number);

/* An argument behind '?'; empty when it is not there. */
MUST_CHECK struct error *admin_argument(
	struct admin_request *request, const char *name, struct slice *ret_text);

/* Runs the request's route and leaves the answer in it. */
void admin_answer(struct admin_request *request, bool is_trusted);

json_t *admin_json_text(struct slice text);

/* ---- the guard: what libmicrohttpd lets through and must not be ---- */

/* Two parties that read these requests differently could be played against each other. NULL when
 * the headers are sound, else what is wrong. */
const char *admin_guard(struct MHD_Connection *connection);

bool admin_token_matches(struct MHD_Connection *connection, struct slice token);
