#include "backup/checkpoint.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/file.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sync.h"

#define CHECKPOINTS_MOST 8
/* Whoever copies renews it far more often, and may be stopped for a while. */
#define HELD_NS (600 * NS_PER_S)

#define FOLDER "checkpoints"

struct held {
	struct checkpoint point; /* without the texts of an arena */
	uint64_t until_ns;
	bool is_ready; /* it has been made */
};

struct checkpoints {
	struct checkpoints_options options;
	char *data; /* absolute */
	struct mutex lock;
	struct condition changed;
	struct held held[CHECKPOINTS_MOST]; /* the first `count` */
	size_t count;
	bool is_removing;
};

static const char *folder_of(struct arena *arena, const struct checkpoints *points, struct uuid id)
{
	return arena_printf(arena, "%s/" FOLDER "/%s", points->data, uuid_text(arena, id));
}

struct error *checkpoints_open(
	struct op *op, const struct checkpoints_options *options, struct checkpoints **ret_points)
{
	char data[PATH_MAX];
	if (!realpath(options->data, data))
		return op_fail(
			op, ERR_UNAVAILABLE, "cannot find %s: %s", options->data, strerror(errno));
	TRY(file_remove_tree(op, arena_printf(&op->arena, "%s/" FOLDER, data)));
	struct checkpoints *points = HEAP_NEW(struct checkpoints);
	points->options = *options;
	points->data = heap_cstr(slice_from_cstr(data));
	mutex_init(&points->lock);
	condition_init(&points->changed);
	*ret_points = points;
	return NULL;
}

void checkpoints_close(struct checkpoints *points)
{
	if (!points)
		return;
	AUTO_OP(op, "checkpoints");
	struct error *err =
		file_remove_tree(&op, arena_printf(&op.arena, "%s/" FOLDER, points->data));
	if (err)
		log_warn(&op, "checkpoints-left", FIELD_ERROR(&op, err));
	condition_done(&points->changed);
	mutex_done(&points->lock);
	free(points->data);
	free(points);
}

/* With the lock held, as the next ones. */
static struct held *find(struct checkpoints *points, struct uuid id)
{
	for (size_t i = 0; i < points->count; i++)
		if (uuid_equal(points->held[i].point.id, id))
			return &points->held[i];
	return NULL;
}

static void forget(struct checkpoints *points, struct uuid id)
{
	struct held *held = find(points, id);
	if (held)
		*held = points->held[--points->count];
}

/* Takes out one whose time has passed; false when there is none. */
static bool take_expired(struct checkpoints *points, struct uuid *ret_id)
{
	for (size_t i = 0; i < points->count; i++) {
		struct held *held = &points->held[i];
		if (!held->is_ready || held->until_ns > clock_boottime_ns())
			continue;
		*ret_id = held->point.id;
		forget(points, *ret_id);
		return true;
	}
	return false;
}

static void drop_expired(struct checkpoints *points)
{
	struct uuid id;
	for (;;) {
		mutex_lock(&points->lock);
		bool found = take_expired(points, &id);
		mutex_unlock(&points->lock);
		if (!found)
			return;
		AUTO_OP(op, "checkpoints");
		struct error *err = file_remove_tree(&op, folder_of(&op.arena, points, id));
		log_warn(&op, "checkpoint-expired", FIELD_ID("checkpoint", &op, id),
			FIELD_TEXT("error", err ? error_chain(&op.arena, err) : ""));
	}
}

static struct error *fail_unknown(struct op *op)
{
	return op_fail(op, ERR_NOT_FOUND, "there is no such checkpoint any more");
}

static void renew(struct held *held)
{
	held->until_ns = clock_boottime_ns() + HELD_NS;
	held->point.held_until_us = clock_realtime_us() + HELD_NS / 1000;
}

static struct checkpoint tell(
	struct op *op, const struct checkpoints *points, const struct held *held)
{
	struct checkpoint point = held->point;
	point.folder = folder_of(&op->arena, points, point.id);
	if (points->options.content)
		point.content =
			arena_printf(&op->arena, "%s/%s", points->data, points->options.content);
	point.content_store = points->options.content_store;
	return point;
}

/* From here on no content is removed: rounds that do are waited for. */
static struct error *reserve(struct op *op, struct checkpoints *points, struct uuid *ret_id)
{
	AUTO_LOCK(&points->lock);
	if (points->count == CHECKPOINTS_MOST)
		return op_fail(op, ERR_EXISTS, "%d checkpoints are held already", CHECKPOINTS_MOST);
	*ret_id = uuid_v7();
	points->held[points->count++] = (struct held){.point = {.id = *ret_id}};
	while (points->is_removing)
		condition_wait(&points->changed, &points->lock);
	return NULL;
}

/* The ledger first: what it knows of must not be younger than the rows. */
static struct error *make(struct op *op, struct checkpoints *points, const char *folder)
{
	const char *parent = arena_printf(&op->arena, "%s/" FOLDER, points->data);
	TRY(file_make_folder(op, parent));
	TRY(file_make_folder(op, folder));
	for (const char *const *name = points->options.files; *name; name++) {
		struct error *err =
			file_copy(op, arena_printf(&op->arena, "%s/%s", points->data, *name),
				arena_printf(&op->arena, "%s/%s", folder, *name));
		if (err && err->kind != ERR_NOT_FOUND)
			return err;
	}
	return engine_checkpoint(points->options.engine, op,
		arena_printf(&op->arena, "%s/%s", folder, points->options.rows));
}

struct error *checkpoints_take(
	struct op *op, struct checkpoints *points, struct checkpoint *ret_point)
{
	struct uuid id;
	drop_expired(points);
	TRY(reserve(op, points, &id));
	const char *folder = folder_of(&op->arena, points, id);
	struct error *err = make(op, points, folder);
	if (err) {
		struct error *left = file_remove_tree(op, folder);
		if (left)
			log_warn(op, "checkpoints-left", FIELD_ERROR(op, left));
	}
	AUTO_LOCK(&points->lock);
	if (err) {
		forget(points, id);
		return err;
	}
	struct held *held = find(points, id);
	held->is_ready = true;
	held->point.taken_us = clock_realtime_us();
	renew(held);
	*ret_point = tell(op, points, held);
	return NULL;
}

struct error *checkpoints_renew(
	struct op *op, struct checkpoints *points, struct uuid id, struct checkpoint *ret_point)
{
	drop_expired(points);
	AUTO_LOCK(&points->lock);
	struct held *held = find(points, id);
	if (!held || !held->is_ready)
		return fail_unknown(op);
	renew(held);
	*ret_point = tell(op, points, held);
	return NULL;
}

struct error *checkpoints_drop(struct op *op, struct checkpoints *points, struct uuid id)
{
	mutex_lock(&points->lock);
	struct held *held = find(points, id);
	bool found = held && held->is_ready;
	if (found)
		forget(points, id);
	mutex_unlock(&points->lock);
	if (!found)
		return fail_unknown(op);
	return file_remove_tree(op, folder_of(&op->arena, points, id));
}

static int compare_points(const void *left, const void *right)
{
	return uuid_compare(
		((const struct checkpoint *)left)->id, ((const struct checkpoint *)right)->id);
}

void checkpoints_list(
	struct op *op, struct checkpoints *points, struct checkpoint **ret_list, size_t *ret_count)
{
	drop_expired(points);
	AUTO_LOCK(&points->lock);
	*ret_list = ARENA_ARRAY(&op->arena, struct checkpoint, points->count);
	*ret_count = 0;
	for (size_t i = 0; i < points->count; i++)
		if (points->held[i].is_ready)
			(*ret_list)[(*ret_count)++] = tell(op, points, &points->held[i]);
	if (*ret_count)
		qsort(*ret_list, *ret_count, sizeof(**ret_list), compare_points);
}

bool checkpoints_begin_removal(struct checkpoints *points)
{
	if (!points)
		return true;
	drop_expired(points);
	AUTO_LOCK(&points->lock);
	if (points->count || points->is_removing)
		return false;
	points->is_removing = true;
	return true;
}

void checkpoints_end_removal(struct checkpoints *points)
{
	if (!points)
		return;
	AUTO_LOCK(&points->lock);
	points->is_removing = false;
	condition_broadcast(&points->changed);
}
