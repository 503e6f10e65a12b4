#include <stdlib.h>
#include <unistd.h>

#include "base/metric.h"
#include "base/steps.h"
#include "base/test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash_map.h"
#include "base/op.h"
#include "base/secret_file.h"
#include "base/setting.h"
#include "base/uuid.h"

static void a_reader_reads_what_a_buf_wrote(void **state)
{
	(void)state;
	struct buf buf = buf_heap();
	buf_u8(&buf, 7);
	buf_u16(&buf, 0xabcd);
	buf_u32(&buf, 0xdeadbeef);
	buf_u64(&buf, UINT64_MAX);
	buf_varint(&buf, 0);
	buf_varint(&buf, 127);
	buf_varint(&buf, 128);
	buf_varint(&buf, UINT64_MAX);
	buf_slice(&buf, SLICE("holdfast"));

	struct reader reader = reader_of(buf_as_slice(&buf));
	assert_int_equal(reader_u8(&reader), 7);
	assert_int_equal(reader_u16(&reader), 0xabcd);
	assert_int_equal(reader_u32(&reader), 0xdeadbeef);
	assert_true(reader_u64(&reader) == UINT64_MAX);
	assert_int_equal(reader_varint(&reader), 0);
	assert_int_equal(reader_varint(&reader), 127);
	assert_int_equal(reader_varint(&reader), 128);
	assert_true(reader_varint(&reader) == UINT64_MAX);
	assert_true(slice_equal(reader_slice(&reader), SLICE("holdfast")));
	assert_true(reader_is_complete(&reader));
	buf_done(&buf);
}

static void a_reader_past_the_end_fails_and_stays_failed(void **state)
{
	(void)state;
	struct reader reader = reader_of(SLICE("\x05"
					       "ab"));
	assert_null(reader_slice(&reader).ptr);
	assert_true(reader.failed);
	assert_int_equal(reader_u8(&reader), 0);
	assert_false(reader_is_complete(&reader));

	struct reader endless = reader_of(SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
	reader_varint(&endless);
	assert_true(endless.failed);
}

static void an_arena_released_to_a_mark_gives_the_same_memory_again(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	arena_alloc(&arena, 100);
	struct arena_mark mark = arena_mark(&arena);
	char *first = arena_alloc(&arena, 10);
	arena_alloc(&arena, 100000);
	arena_release(&arena, mark);
	char *second = arena_alloc(&arena, 10);
	assert_ptr_equal(first, second);
	arena_done(&arena);
}

static void a_growing_buf_keeps_its_bytes(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct buf a = buf_in(&arena);
	struct buf b = buf_in(&arena);
	for (int i = 0; i < 5000; i++) {
		buf_append_char(&a, (char)('a' + i % 26));
		if (i % 7 == 0)
			buf_u32(&b, (uint32_t)i);
	}
	for (int i = 0; i < 5000; i++)
		assert_int_equal(a.ptr[i], 'a' + i % 26);
	struct reader reader = reader_of(buf_as_slice(&b));
	for (int i = 0; i < 5000; i += 7)
		assert_int_equal(reader_u32(&reader), i);
	arena_done(&arena);
}

static void a_buf_prints_whatever_room_is_left(void **state)
{
	(void)state;
	static const uint64_t numbers[] = {0, 7, 10, UINT32_MAX, UINT64_MAX};
	for (int length = 0; length < 200; length++) {
		struct buf buf = buf_heap();
		buf_append_char(&buf, '<');
		buf_printf(&buf, "%0*d>", length, 1);
		assert_int_equal(buf.len, MAX_OF(length, 1) + 2);
		assert_int_equal(buf.ptr[buf.len - 2], '1');
		assert_int_equal(buf.ptr[buf.len - 1], '>');
		buf_done(&buf);
	}
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct buf buf = buf_heap(), printed = buf_heap();
		buf_decimal(&buf, numbers[i]);
		buf_printf(&printed, "%llu", (unsigned long long)numbers[i]);
		assert_true(slice_equal(buf_as_slice(&buf), buf_as_slice(&printed)));
		buf_done(&buf);
		buf_done(&printed);
	}
}

static void uuids_ascend_and_survive_their_text(void **state)
{
	(void)state;
	struct uuid last = uuid_v7();
	for (int i = 0; i < 10000; i++) {
		struct uuid next = uuid_v7();
		assert_true(uuid_compare(last, next) < 0);
		last = next;
	}
	assert_int_equal(uuid_version(last), 7);
	struct uuid eight = uuid_v8();
	assert_int_equal(uuid_version(eight), 8);
	struct uuid after_it = uuid_v8();
	assert_true(uuid_compare(eight, after_it) < 0);
	char text[UUID_TEXT_LENGTH + 1];
	uuid_format(&last, text);
	struct uuid parsed;
	assert_true(uuid_parse(slice_from_cstr(text), &parsed));
	assert_true(uuid_equal(parsed, last));
	assert_false(uuid_parse(SLICE("0190-"), &parsed));
	assert_false(uuid_parse(SLICE("x1900000-0000-7000-8000-000000000000"), &parsed));
}

static void a_hash_map_finds_replaces_and_forgets(void **state)
{
	(void)state;
	struct hash_map map;
	hash_map_init(&map);
	int values[1000];
	for (int i = 0; i < 1000; i++)
		assert_null(hash_map_put(&map, slice_of(&i, sizeof(i)), &values[i]));
	for (int i = 0; i < 1000; i += 2)
		assert_ptr_equal(hash_map_remove(&map, slice_of(&i, sizeof(i))), &values[i]);
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(
			hash_map_find(&map, slice_of(&i, sizeof(i))), i % 2 ? &values[i] : NULL);
	size_t seen = 0;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&map, &cursor, NULL, NULL))
		seen++;
	assert_int_equal(seen, 500);
	hash_map_done(&map);
}

static void numbers_are_digits_and_nothing_else(void **state)
{
	(void)state;
	uint64_t value;
	assert_true(slice_parse_u64(SLICE("18446744073709551615"), &value));
	assert_true(value == UINT64_MAX);
	assert_false(slice_parse_u64(SLICE("18446744073709551616"), &value));
	assert_false(slice_parse_u64(SLICE("-1"), &value));
	assert_false(slice_parse_u64(SLICE(" 1"), &value));
	assert_false(slice_parse_u64(SLICE(""), &value));
}

static void a_setting_says_what_it_expected(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	uint64_t bytes = 0;
	const struct setting size = {.name = "imap.max_literal",
		.type = SETTING_BYTES,
		.target = &bytes,
		.min = 1024,
		.max = 1 << 30};
	assert_null(setting_store(&op, &size, SLICE("64 KiB")));
	assert_int_equal(bytes, 65536);
	struct error *err = setting_store(&op, &size, SLICE("64 kb"));
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_INVALID);
	assert_non_null(strstr(err->message, "imap.max_literal"));
	assert_non_null(setting_store(&op, &size, SLICE("3")));
	assert_int_equal(bytes, 65536);
}

static void a_wrapped_error_keeps_its_kind(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct error *inner = op_fail(&op, ERR_UNCERTAIN, "no answer from %s", "the engine");
	struct error *outer = op_wrap(&op, inner, "append");
	assert_int_equal(outer->kind, ERR_UNCERTAIN);
	assert_string_equal(error_chain(&op.arena, outer), "append: no answer from the engine");
	assert_false(error_nothing_written(outer));
}

static void a_skewed_clock_is_off_by_that_and_deadlines_are_not(void **state)
{
	(void)state;
	const int64_t skew_us = 600 * (int64_t)US_PER_S;
	uint64_t monotonic_ns = clock_monotonic_ns(), now_us = clock_realtime_us();
	clock_set_skew_us(skew_us);
	assert_in_range(clock_realtime_us() - now_us, skew_us, skew_us + 60 * US_PER_S);
	clock_set_skew_us(-skew_us);
	assert_in_range(now_us - clock_realtime_us(), skew_us - 60 * US_PER_S, skew_us);
	clock_set_skew_us(0);
	assert_in_range(clock_monotonic_ns() - monotonic_ns, 0, 60 * NS_PER_S);
}

static void steps_are_found_by_operation_and_by_name_until_they_are_overwritten(void **state)
{
	struct uuid mine = uuid_v7();
	struct uuid other = uuid_v7();
	struct step_note *notes;
	AUTO_OP(op, "test");
	steps_note(&(struct step_note){.op = mine, .step = "first"});
	steps_note(&(struct step_note){.op = other, .step = "of another"});
	steps_note(&(struct step_note){.op = mine, .step = "second", .name_hash = 7});
	assert_int_equal(steps_find(&op.arena, &mine, 0, &notes), 2);
	assert_string_equal(notes[0].step, "first");
	assert_string_equal(notes[1].step, "second");
	assert_true(notes[0].at_us && notes[0].at_us <= notes[1].at_us);
	/* By its name all steps of the operation are found. */
	assert_int_equal(steps_find(&op.arena, NULL, 7, &notes), 2);
	assert_int_equal(steps_find(&op.arena, NULL, 0, &notes), 0);
	for (size_t i = 0; i < STEPS_HELD - 1; i++)
		steps_note(&(struct step_note){.op = other, .step = "of another"});
	assert_int_equal(steps_find(&op.arena, &mine, 0, &notes), 1);
	assert_string_equal(notes[0].step, "second");
	steps_note(&(struct step_note){.op = other, .step = "of another"});
	assert_int_equal(steps_find(&op.arena, &mine, 0, &notes), 0);
}

static void a_quantile_is_the_bound_of_its_bucket(void **state)
{
	uint64_t buckets[METRIC_BUCKETS] = {0};
	assert_int_equal(metric_quantile_us(buckets, 0.5), 0);
	buckets[2] = 98;
	buckets[5] = 2;
	assert_int_equal(metric_quantile_us(buckets, 0.5), 16 << 2);
	assert_int_equal(metric_quantile_us(buckets, 0.99), 16 << 5);
}

static void a_secret_is_a_file_s_first_line(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int repeats;
		const char *secret; /* NULL: refused */
	} cases[] = {{"a secret\nmore\n", 1, "a secret"}, {"x\r\n", 1, "x"}, {"x", 1, "x"},
		{"", 1, NULL}, {"\nx", 1, NULL}, {"0123456789abcdef", 64, NULL}};
	char path[] = "/tmp/holdfast-secret-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		const char *secret;
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		for (int n = 0; n < cases[i].repeats; n++)
			assert_true(write(fd, cases[i].text, strlen(cases[i].text)) >= 0);
		struct error *err = secret_file_read(&op, path, &secret);
		assert_int_equal(!err, cases[i].secret != NULL);
		if (err)
			assert_int_equal(err->kind, ERR_INVALID);
		else
			assert_string_equal(secret, cases[i].secret);
	}
	close(fd);
	unlink(path);
	AUTO_OP(op, "test");
	const char *secret;
	assert_non_null(secret_file_read(&op, path, &secret));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_a_file_s_first_line),
		cmocka_unit_test(a_reader_reads_what_a_buf_wrote),
		cmocka_unit_test(a_reader_past_the_end_fails_and_stays_failed),
		cmocka_unit_test(an_arena_released_to_a_mark_gives_the_same_memory_again),
		cmocka_unit_test(a_growing_buf_keeps_its_bytes),
		cmocka_unit_test(a_buf_prints_whatever_room_is_left),
		cmocka_unit_test(uuids_ascend_and_survive_their_text),
		cmocka_unit_test(a_hash_map_finds_replaces_and_forgets),
		cmocka_unit_test(numbers_are_digits_and_nothing_else),
		cmocka_unit_test(a_setting_says_what_it_expected),
		cmocka_unit_test(a_wrapped_error_keeps_its_kind),
		cmocka_unit_test(a_skewed_clock_is_off_by_that_and_deadlines_are_not),
		cmocka_unit_test(
			steps_are_found_by_operation_and_by_name_until_they_are_overwritten),
		cmocka_unit_test(a_quantile_is_the_bound_of_its_bucket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
