#include "backup/checkpoint.h"
#include "front/admin/admin_private.h"

/* What is to be copied elsewhere, as it was at one moment: for backups. */

static const struct admin_field checkpoint_fields[] = {
	{"id", ADMIN_UUID, "The checkpoint"},
	{"folder", ADMIN_TEXT, "Where it is, on the server's machine"},
	{"content", ADMIN_TEXT, "Where content is, if that is in files", ADMIN_NULLABLE},
	{"content_store", ADMIN_TEXT, "What keeps content, as content.store names it"},
	{"version", ADMIN_TEXT, "Of the server"},
	{"taken_us", ADMIN_TIME, "When it was taken"},
	{"held_until_us", ADMIN_TIME, "How long it is kept unless it is renewed"},
	{0},
};
static const struct admin_field checkpoints_fields[] = {
	{"checkpoints", ADMIN_LIST, "The oldest first", .fields = checkpoint_fields}, {0}};

static json_t *checkpoint_json(struct admin_request *request, const struct checkpoint *point)
{
	return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:I, s:I}", "id",
		uuid_text(&request->op.arena, point->id), "folder", point->folder, "content",
		point->content, "content_store", point->content_store, "version",
		request->context->version, "taken_us", (json_int_t)point->taken_us, "held_until_us",
		(json_int_t)point->held_until_us);
}

static struct error *parse_id(struct admin_request *request, struct uuid *ret_id)
{
	if (uuid_parse(request->parts[2], ret_id))
		return NULL;
	return op_fail(&request->op, ERR_NOT_FOUND, "a checkpoint is named by its UUID");
}

static struct error *list_checkpoints(struct admin_request *request)
{
	struct checkpoint *points;
	size_t count;
	json_t *list = json_array();
	checkpoints_list(&request->op, request->context->checkpoints, &points, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, checkpoint_json(request, &points[i]));
	request->answer = json_pack("{s:o}", "checkpoints", list);
	return NULL;
}

static struct error *take_checkpoint(struct admin_request *request)
{
	struct checkpoint point;
	TRY(checkpoints_take(&request->op, request->context->checkpoints, &point));
	request->answer = checkpoint_json(request, &point);
	return NULL;
}

static struct error *renew_checkpoint(struct admin_request *request)
{
	struct uuid id;
	struct checkpoint point;
	TRY(parse_id(request, &id));
	TRY(checkpoints_renew(&request->op, request->context->checkpoints, id, &point));
	request->answer = checkpoint_json(request, &point);
	return NULL;
}

static struct error *drop_checkpoint(struct admin_request *request)
{
	struct uuid id;
	TRY(parse_id(request, &id));
	return checkpoints_drop(&request->op, request->context->checkpoints, id);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/checkpoints", ADMIN_READ, ADMIN_SERVER, 200, list_checkpoints, "What is held for whoever copies it", NULL, NULL, checkpoints_fields},
	{"POST", "v1/checkpoints", ADMIN_ADMIN, ADMIN_SERVER, 201, take_checkpoint, "All data as it is now, to be copied on the server's machine", NULL, NULL, checkpoint_fields},
	{"POST", "v1/checkpoints/{checkpoint}/renew", ADMIN_ADMIN, ADMIN_SERVER, 200, renew_checkpoint, "Holds it for longer", NULL, NULL, checkpoint_fields},
	{"DELETE", "v1/checkpoints/{checkpoint}", ADMIN_ADMIN, ADMIN_SERVER, 204, drop_checkpoint, "It is copied, or not wanted any more"},
};
/* clang-format on */
const struct admin_routes admin_checkpoint_routes = ADMIN_ROUTES(routes);
