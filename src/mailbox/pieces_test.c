/* UID sets, snapshots and map chunks against plain arrays, with random changes. */

#include "base/test.h"

#include "base/random.h"
#include "mailbox/map.h"

#define UIDS 4000

static void a_uid_set_is_what_was_added(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	for (int round = 0; round < 50; round++) {
		static bool in[UIDS + 2];
		memset(in, 0, sizeof(in));
		struct uid_set set = {.arena = &op.arena};
		for (int i = 0; i < 60; i++) {
			uint32_t first = 1 + (uint32_t)random_below(UIDS);
			uint32_t last = first + (uint32_t)random_below(9);
			last = MIN_OF(last, (uint32_t)UIDS);
			uid_set_add_range(&set, i % 2 ? first : last, i % 2 ? last : first);
			for (uint32_t uid = first; uid <= last; uid++)
				in[uid] = true;
		}
		uint64_t count = 0;
		for (uint32_t uid = 0; uid <= UIDS; uid++) {
			assert_int_equal(uid_set_contains(&set, uid), in[uid]);
			count += in[uid];
		}
		assert_int_equal(uid_set_size(&set), count);
		for (size_t i = 1; i < set.count; i++)
			assert_true(set.ranges[i].first > set.ranges[i - 1].last + 1);
		struct buf bytes = buf_in(&op.arena);
		uid_set_encode(&set, &bytes);
		struct reader reader = reader_of(buf_as_slice(&bytes));
		struct uid_set again;
		assert_true(uid_set_decode(&op.arena, &reader, &again));
		assert_true(reader_is_complete(&reader));
		assert_int_equal(again.count, set.count);
	}
}

static void a_uid_set_prints_as_imap_wants_it(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct uid_set set = {.arena = &op.arena};
	struct buf text = buf_in(&op.arena);
	uid_set_add_range(&set, 7, 9);
	uid_set_add(&set, 1);
	uid_set_add(&set, 3);
	uid_set_add(&set, 2);
	uid_set_add(&set, 5);
	uid_set_add(&set, UINT32_MAX);
	uid_set_print(&set, &text);
	assert_true(slice_equal(buf_as_slice(&text), SLICE("1:3,5,7:9,4294967295")));
}

struct model {
	bool exists;
	uint16_t flags;
	struct keyword_set keywords;
	uint64_t modseq;
};

static struct model model[UIDS + 1];

static void change_at_random(struct snapshot_builder *builder, uint64_t modseq)
{
	uint32_t uid = 1 + (uint32_t)random_below(UIDS);
	if (random_below(4) == 0) {
		builder_remove(builder, uid);
		model[uid].exists = false;
		return;
	}
	model[uid] = (struct model){
		.exists = true, .flags = (uint16_t)random_below(32), .modseq = modseq};
	if (random_below(3) == 0)
		keyword_set_add(&model[uid].keywords, (unsigned)random_below(KEYWORDS_MAX));
	builder_put(builder, uid, model[uid].flags, &model[uid].keywords, modseq);
}

static void compare(const struct snapshot *snapshot)
{
	uint32_t position = 0;
	for (uint32_t uid = 1; uid <= UIDS; uid++) {
		struct snapshot_message message;
		uint32_t found;
		assert_int_equal(snapshot_find(snapshot, uid, &found, &message), model[uid].exists);
		if (!model[uid].exists)
			continue;
		assert_int_equal(found, position);
		assert_int_equal(message.flags, model[uid].flags);
		assert_true(message.modseq == model[uid].modseq);
		assert_true(keyword_set_equal(
			snapshot_keywords(snapshot, &message), &model[uid].keywords));
		assert_int_equal(snapshot_at(snapshot, position).uid, uid);
		position++;
	}
	assert_int_equal(snapshot_count(snapshot), position);
}

static struct snapshot *finish(struct op *op, struct snapshot_builder *builder)
{
	struct account_mailbox row = {.uidvalidity = 1, .uidnext = UIDS + 1};
	struct snapshot *snapshot;
	assert_null(builder_finish(op, builder, (struct mailbox_id){0}, &row, 1, &snapshot));
	return snapshot;
}

static void a_chain_of_snapshots_holds_what_was_changed(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct snapshot_builder builder;
	memset(model, 0, sizeof(model));
	builder_begin(&builder, NULL);
	struct snapshot *last = finish(&op, &builder);
	for (uint64_t round = 1; round <= 40; round++) {
		static struct model before[UIDS + 1];
		memcpy(before, model, sizeof(model));
		builder_begin(&builder, last);
		for (int i = 0; i < 200; i++)
			change_at_random(&builder, round * 1000 + (uint64_t)i);
		struct snapshot *next = finish(&op, &builder);
		compare(next);
		struct snapshot_difference difference;
		snapshot_diff(&op.arena, last, next, &difference);
		for (uint32_t uid = 1; uid <= UIDS; uid++) {
			bool stayed = before[uid].exists && model[uid].exists;
			assert_int_equal(uid_set_contains(&difference.expunged, uid),
				before[uid].exists && !model[uid].exists);
			assert_int_equal(uid_set_contains(&difference.added, uid),
				!before[uid].exists && model[uid].exists);
			assert_int_equal(uid_set_contains(&difference.changed, uid),
				stayed && before[uid].modseq != model[uid].modseq);
		}
		snapshot_unref(last);
		last = next;
	}
	snapshot_unref(last);
}

static void a_map_chunk_comes_back_as_it_was(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct snapshot_builder builder;
	struct snapshot_builder again;
	memset(model, 0, sizeof(model));
	builder_begin(&builder, NULL);
	for (int i = 0; i < 6000; i++)
		change_at_random(&builder, 1700000000000000 + random_below(1000000));
	struct slice bytes = map_encode_chunk(&op, &builder, 0);
	builder_begin(&again, NULL);
	assert_null(map_decode_chunk(&op, bytes, 0, &again));
	struct snapshot *snapshot = finish(&op, &again);
	compare(snapshot);
	snapshot_unref(snapshot);
	builder_drop(&builder);
}

static void a_million_messages_take_sixteen_bytes_each(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	const struct keyword_set none = {0};
	struct snapshot_builder builder;
	builder_begin(&builder, NULL);
	for (uint32_t uid = 1; uid <= 1000000; uid++)
		builder_put(&builder, uid, 0, &none, uid);
	struct snapshot *snapshot = finish(&op, &builder);
	assert_int_equal(snapshot_count(snapshot), 1000000);
	assert_true(snapshot_memory(snapshot) <= (size_t)16 * 1000000);
	snapshot_unref(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uid_set_is_what_was_added),
		cmocka_unit_test(a_uid_set_prints_as_imap_wants_it),
		cmocka_unit_test(a_chain_of_snapshots_holds_what_was_changed),
		cmocka_unit_test(a_map_chunk_comes_back_as_it_was),
		cmocka_unit_test(a_million_messages_take_sixteen_bytes_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
