#pragma once

/* What the parts of the admin front share. */

#include <jansson.h>
#include <microhttpd.h>

#include "base/buf.h"
#include "front/admin/admin.h"
#include "front/admin/admin_fields.h"
#include "front/admin/admin_work.h"
#include "net/peer.h"

#define ADMIN_PATH_PARTS_MAX 6
#define ADMIN_ARGUMENTS_MAX 16

/* What one may do. Each may do what those before it may. */
enum admin_role { ADMIN_OPEN, ADMIN_READ, ADMIN_OPERATE, ADMIN_ADMIN };

/* Where a route says which domain it is about: for those who may see but one. */
enum admin_scope {
	ADMIN_SERVER,       /* it is about more than one domain */
	ADMIN_PATH_DOMAIN,  /* the third part of the path is a domain or an address in it */
	ADMIN_QUERY_DOMAIN, /* the argument "domain"; theirs is filled in */
	ADMIN_BODY_DOMAIN,  /* the field "address" */
	ADMIN_SCOPE_IS_OWN, /* it tells nothing of anybody */
};

/* Who asks. */
struct admin_caller {
	struct slice name; /* for the log */
	enum admin_role role;
	struct slice domain; /* normalised; empty: of all */
};

struct admin_argument {
	struct slice name, value;
};

struct admin_route;
struct admin_history;
struct engine;
struct admin_tokens;

/* One request, from its first header to its answer. */
struct admin_request {
	struct op op;
	struct admin_job job;
	const struct admin_context *context;
	struct admin_tokens *tokens;
	struct admin_history *history;
	bool is_local;
	bool is_answered;         /* nothing is left to do but to send it */
	struct peer_address peer; /* over HTTP */
	uint64_t hold_ms;         /* to hold the answer back: a wrong token */
	struct MHD_Connection *connection;
	const struct admin_route *route; /* NULL: there is none */
	const char *method;
	struct slice parts[ADMIN_PATH_PARTS_MAX]; /* decoded; '*' of the route or its own words */
	size_t part_count;
	struct admin_argument arguments[ADMIN_ARGUMENTS_MAX]; /* behind '?', decoded */
	size_t argument_count;
	struct buf upload;
	bool is_too_big;
	json_t *body; /* NULL: none */
	struct admin_caller caller;

	/* The answer: JSON, or text of a type. */
	json_t *answer;
	struct buf text;
	const char *content_type;
	unsigned status;       /* 0: what the route says */
	const char *location;  /* of what was made; NULL: says nothing */
	const char *challenge; /* of 401 */
	const char *allow;     /* of 405 */
};

typedef struct error *(*admin_handler)(struct admin_request *request);

/* What can be asked. Dispatch, permissions, checks of what comes in, and the description that
 * /openapi.json serves are made from these rows alone. */
struct admin_route {
	const char *method;
	const char *path; /* "v1/users/{address}/folders" */
	enum admin_role role;
	enum admin_scope scope;
	unsigned status; /* when it was done: 200, 201, 204 */
	admin_handler handler;
	const char *summary;
	const struct admin_field *query;  /* NULL: none */
	const struct admin_field *body;   /* NULL: none */
	const struct admin_field *answer; /* NULL: none, or text of `content_type` */
	const char *content_type;         /* of the answer; NULL: JSON */
	bool is_paged;                    /* takes limit and after, answers with next */
};

struct admin_routes {
	const struct admin_route *rows;
	size_t count;
};

extern const struct admin_routes admin_account_routes;
extern const struct admin_routes admin_alias_routes;
extern const struct admin_routes admin_checkpoint_routes;
extern const struct admin_routes admin_consistency_routes;
extern const struct admin_routes admin_consumer_routes;
extern const struct admin_routes admin_history_routes;
extern const struct admin_routes admin_import_routes;
extern const struct admin_routes admin_index_routes;
extern const struct admin_routes admin_message_routes;
extern const struct admin_routes admin_overview_routes;
extern const struct admin_routes admin_session_routes;
extern const struct admin_routes admin_status_routes;
extern const struct admin_routes admin_task_routes;
extern const struct admin_routes admin_token_routes;
extern const struct admin_routes admin_trace_routes;
extern const struct admin_routes admin_vault_routes;

#define ADMIN_ROUTES(table)                                 \
	{                                                   \
		.rows = (table), .count = ARRAY_SIZE(table) \
	}

/* ---- routes ---- */

/* The n-th route of all, NULL past the last. */
const struct admin_route *admin_route_at(size_t n);

/* The route of a request, or NULL; *ret_allow: the methods that would have one, NULL when none
 * would. */
const struct admin_route *admin_route_find(struct admin_request *request, const char **ret_allow);

/* What may stand for "{name}" in a path. */
const struct admin_field *admin_path_field(struct slice name);

/* Checks what stands in the path for its names, and what stands behind '?'. ERR_INVALID. */
MUST_CHECK struct error *admin_check_path(struct admin_request *request);
MUST_CHECK struct error *admin_check_query(struct admin_request *request);

extern const struct admin_field admin_page_fields[];

/* Of the levels in force; {"levels": […]}, as GET v1/consistency answers. */
extern const struct admin_field admin_levels_fields[];
json_t *admin_levels_json(struct engine *engine);

/* GET openapi.json */
MUST_CHECK struct error *admin_openapi(struct admin_request *request);

/* ---- requests ---- */

/* Splits and decodes; false for what is no path of ours. */
bool admin_path_parse(struct admin_request *request, const char *url);

/* Takes one argument; false when it is broken, there twice, or one too many. */
bool admin_add_argument(struct admin_request *request, const char *name, const char *value);

/* What a field of the body holds. It was checked: of a field that must be there the answer is
 * what it must be; of one that need not, nothing when it is not there. */
struct slice admin_text_field(struct admin_request *request, const char *name);
uint64_t admin_number_field(struct admin_request *request, const char *name);

/* An argument behind '?'; empty, 0, when it is not there. */
struct slice admin_argument(struct admin_request *request, const char *name);
uint64_t admin_number_argument(struct admin_request *request, const char *name);

/* May the caller see what belongs to this address or domain? ERR_DENIED. */
MUST_CHECK struct error *admin_may_see(struct admin_request *request, struct slice name);

/* Finds request->caller by the token that it carries. No token, or a wrong one, is no error: nobody
 * is the caller then, and a wrong one is to be held back. */
MUST_CHECK struct error *admin_find_caller(struct admin_request *request, struct slice file_token);

/* The largest message that is taken. */
uint64_t admin_max_message_bytes(void);

/* How long the answer to the first wrong token is held back. */
uint64_t admin_failure_delay_ms(void);

/* Runs the request's route, as its caller may, and leaves the answer in it. */
void admin_answer(struct admin_request *request);

/* Leaves an error as the answer. */
void admin_answer_error(struct admin_request *request, const struct error *err);

/* The answer to what did not come so far, in the form of RFC 9457. */
void admin_refuse(struct admin_request *request, unsigned status, const char *detail);

/* One item's own address, for a 201: "/v1/users/" and its name. */
void admin_made(struct admin_request *request, const char *collection, struct slice name);

/* ---- lists that are read page by page ---- */

struct admin_page {
	struct slice after;
	size_t limit;
	json_t *items;
	struct slice last;
	bool has_more;
};

/* What a listing of addresses is asked for by "domain", "contains" and the page. */
struct list_part admin_list_part(struct admin_request *request, const struct admin_page *page);

/* What an operator should mend, a sentence each; owned by the caller. */
json_t *admin_findings_json(struct admin_request *request);

struct admin_page admin_page_begin(struct admin_request *request);

/* Is the item of this name on the page? Items come ascending by name. */
bool admin_page_wants(struct admin_page *page, struct slice name);
void admin_page_add(struct admin_page *page, struct slice name, json_t *item);

/* Answers {name: items, "next": …}. */
void admin_page_end(struct admin_request *request, struct admin_page *page, const char *name);

json_t *admin_json_text(struct slice text);

/* ---- history: samples of some metrics, in memory ---- */

struct admin_history *admin_history_start(void);
void admin_history_stop(struct admin_history *history);

/* ---- the page ---- */

struct admin_page_file {
	const char *path; /* "/app.js" */
	const char *content_type;
	const char *bytes;
	size_t len;
};

/* Out of the folder `page`, at build time; ends without a path. */
extern const struct admin_page_file admin_page_files[];

/* The file of the page that a GET asks for; NULL: none. */
const struct admin_page_file *admin_page_find(const char *method, const char *url);

/* ---- the guard: what libmicrohttpd lets through and must not be ---- */

/* Two parties that read these requests differently could be played against each other. NULL when
 * the headers are sound, else what is wrong. */
const char *admin_guard(struct MHD_Connection *connection);
