#include "base/test.h"

#include "base/random.h"
#include "base/sync.h"
#include "blob/blob_cache.h"
#include "blob/contract.h"
#include "engine/memory.h"

/* A store that counts what it is asked for, over one in the memory engine. */
struct counting {
	struct blob_store store;
	struct blob_store *below;
	struct engine *engine;
	int reads;
};

static struct counting *self(struct blob_store *store)
{
	return (struct counting *)store;
}

static struct error *count_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	return blob_put(self(store)->below, op, id, content, sha256, staged);
}

static struct error *count_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	__atomic_fetch_add(&self(store)->reads, 1, __ATOMIC_RELAXED);
	return blob_read(self(store)->below, op, id, offset, length, ret_bytes);
}

static struct error *count_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	return blob_remove(self(store)->below, op, id);
}

static struct error *count_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	return blob_list(self(store)->below, op, after, limit, ret_ids, ret_count);
}

static void count_close(struct blob_store *store)
{
	blob_store_close(self(store)->below);
	engine_close(self(store)->engine);
	free(store);
}

static const struct blob_ops counting_ops = {
	.name = "counting",
	.put = count_put,
	.read = count_read,
	.remove = count_remove,
	.list = count_list,
	.close = count_close,
};

static struct counting *counting_new(void)
{
	struct counting *counting = HEAP_NEW(struct counting);
	counting->store.ops = &counting_ops;
	counting->engine = memory_engine_new(true);
	counting->below = blob_engine_new(counting->engine);
	return counting;
}

static struct blob_store *cached(struct op *op)
{
	return blob_cache_new(&counting_new()->store, MIB(8));
}

/* So small that nearly everything is dropped at once. */
static struct blob_store *hardly_cached(struct op *op)
{
	return blob_cache_new(&counting_new()->store, KIB(8));
}

struct world {
	struct op op;
	struct counting *counting;
	struct blob_store *blobs;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->counting = counting_new();
	w->blobs = blob_cache_new(&w->counting->store, 16 * MIB(1));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	blob_store_close(w->blobs);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct slice content_of(struct world *w, size_t size)
{
	char *bytes = arena_alloc_raw(&w->op.arena, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 >> 3);
	return slice_of(bytes, size);
}

static struct blob_id put_into(struct world *w, struct blob_store *blobs, struct slice content)
{
	struct blob_id id = {uuid_v7()};
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	assert_null(blob_put(blobs, &w->op, id, content, slice_of(digest, sizeof(digest)), NULL));
	return id;
}

static void then_read_is(struct world *w, struct blob_id id, struct slice content, uint64_t offset,
	uint64_t length, int reads_below)
{
	struct slice bytes;
	int before = w->counting->reads;
	assert_null(blob_read(w->blobs, &w->op, id, offset, length, &bytes));
	assert_true(
		slice_equal(bytes, slice_range(content, offset,
					   length > content.len ? content.len : offset + length)));
	assert_int_equal(w->counting->reads - before, reads_below);
}

static void what_was_put_is_read_from_memory(void **state)
{
	struct world *w = *state;
	struct slice content = content_of(w, 5000);
	struct blob_id id = put_into(w, w->blobs, content);
	then_read_is(w, id, content, 0, UINT64_MAX, 0);
	then_read_is(w, id, content, 100, 50, 0);
}

static void who_asks_for_the_store_is_not_answered_from_memory(void **state)
{
	struct world *w = *state;
	struct slice content = content_of(w, 5000);
	struct blob_id id = put_into(w, w->blobs, content);
	w->op.asks_store = true;
	then_read_is(w, id, content, 0, UINT64_MAX, 1);
	then_read_is(w, id, content, 0, UINT64_MAX, 1);
}

static void what_was_read_is_kept_whole(void **state)
{
	struct world *w = *state;
	struct slice content = content_of(w, 5000);
	struct blob_id id = put_into(w, &w->counting->store, content);
	then_read_is(w, id, content, 100, 50, 1);
	then_read_is(w, id, content, 4000, 999, 0);
	then_read_is(w, id, content, 0, UINT64_MAX, 0);
}

static void the_limit_of_an_entry_is_exact(void **state)
{
	struct world *w = *state;
	struct slice content = content_of(w, BLOB_CACHE_ENTRY_MAX + 1);
	struct slice fits = slice_range(content, 0, BLOB_CACHE_ENTRY_MAX);
	struct blob_id id = put_into(w, &w->counting->store, fits);
	then_read_is(w, id, fits, 7, 9, 1);
	then_read_is(w, id, fits, 0, UINT64_MAX, 0);
	id = put_into(w, w->blobs, content);
	then_read_is(w, id, content, 7, 9, 1);
	then_read_is(w, id, content, 0, UINT64_MAX, 1);
	then_read_is(w, id, content, BLOB_CACHE_ENTRY_MAX, 1, 1);
}

static void a_part_far_behind_is_read_alone(void **state)
{
	struct world *w = *state;
	struct slice content = content_of(w, MIB(2));
	struct blob_id id = put_into(w, w->blobs, content);
	then_read_is(w, id, content, MIB(1) + 5, 100, 1);
	then_read_is(w, id, content, 10, MIB(1), 1);
}

static void the_least_used_makes_room(void **state)
{
	enum { COUNT = 400 };
	struct world *w = *state;
	struct slice content = content_of(w, KIB(100));
	struct blob_id first = put_into(w, w->blobs, content);
	struct blob_id ids[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		ids[i] = put_into(w, w->blobs, content);
		then_read_is(w, first, content, 0, 10, 0);
	}
	int before = w->counting->reads;
	for (size_t i = 0; i < COUNT; i++) {
		struct slice bytes;
		assert_null(blob_read(w->blobs, &w->op, ids[i], 0, 1, &bytes));
	}
	/* 16 MiB hold 163 of them, and reading them all in turn drops each before its turn. */
	assert_true(w->counting->reads - before > COUNT - 164);
}

static void what_was_removed_is_forgotten(void **state)
{
	struct world *w = *state;
	struct blob_id one = put_into(w, w->blobs, SLICE("one"));
	struct blob_id two = put_into(w, w->blobs, SLICE("two"));
	struct slice bytes;
	assert_null(blob_remove(w->blobs, &w->op, one));
	assert_null(blob_remove_many(w->blobs, &w->op, &two, 1));
	struct error *err = blob_read(w->blobs, &w->op, one, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	assert_non_null(blob_read(w->blobs, &w->op, two, 0, UINT64_MAX, &bytes));
}

enum { SHARED = 64 };

struct shared {
	struct blob_store *blobs;
	struct blob_id ids[SHARED];
};

/* Each content is its own id, many times over. */
static void *read_at_random(void *argument)
{
	struct shared *shared = argument;
	for (int i = 0; i < 3000; i++) {
		AUTO_OP(op, "reader");
		struct blob_id id = shared->ids[random_below(SHARED)];
		struct blob_part parts[2] = {
			{.id = id, .offset = 16, .length = 16}, {.id = id, .length = UINT64_MAX}};
		blob_read_many(shared->blobs, &op, parts, 2);
		for (int j = 0; j < 2; j++)
			if (parts[j].err ||
				!slice_equal(slice_range(parts[j].bytes, 0, 16), ID_SLICE(id)))
				return shared;
	}
	return NULL;
}

static void threads_read_what_was_put(void **state)
{
	struct world *w = *state;
	struct shared shared = {.blobs = blob_cache_new(&counting_new()->store, KIB(512))};
	pthread_t threads[4];
	for (int i = 0; i < SHARED; i++) {
		uint8_t digest[SHA256_SIZE];
		struct buf content = buf_in(&w->op.arena);
		shared.ids[i].uuid = uuid_v7();
		for (int j = 0; j < 1000; j++)
			buf_append(&content, ID_SLICE(shared.ids[i]));
		sha256_of(buf_as_slice(&content), digest);
		assert_null(blob_put(shared.blobs, &w->op, shared.ids[i], buf_as_slice(&content),
			slice_of(digest, sizeof(digest)), NULL));
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		thread_start(&threads[i], "reader", read_at_random, &shared);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	blob_store_close(shared.blobs);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_was_put_is_read_from_memory),
		CASE(who_asks_for_the_store_is_not_answered_from_memory),
		CASE(what_was_read_is_kept_whole),
		CASE(the_limit_of_an_entry_is_exact),
		CASE(a_part_far_behind_is_read_alone),
		CASE(the_least_used_makes_room),
		CASE(what_was_removed_is_forgotten),
		CASE(threads_read_what_was_put),
	};
	return blob_contract_run("blob behind a cache", cached) +
	       blob_contract_run("blob behind a small cache", hardly_cached) +
	       cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
