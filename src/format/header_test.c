#include "base/test.h"

#include "format/header.h"

static const struct slice odd_header = SLICE_INIT("From x Mon Jan 1\r\n"
						  "Subject : two\r\n words\r\n"
						  "no field here\r\n"
						  "X-Empty:\r\n"
						  "To: a@b\n\tc\n"
						  "\r\nbody: not\r\n");

static void every_byte_of_a_header_belongs_to_some_field(void **state)
{
	(void)state;
	struct slice rest = odd_header;
	struct header_field field;
	size_t bytes = 0;
	size_t count = 0;
	while (header_next(&rest, &field)) {
		bytes += field.raw.len;
		count++;
	}
	assert_int_equal(count, 5);
	assert_int_equal(bytes + 2, header_length(odd_header));
}

static void fields_are_found_in_any_case_and_unfolded(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct header_field field;
	assert_true(header_find(odd_header, SLICE("SUBJECT"), &field));
	assert_true(slice_equal(header_unfold(&arena, field.value), SLICE("two words")));
	assert_true(header_find(odd_header, SLICE("x-empty"), &field));
	assert_int_equal(header_unfold(&arena, field.value).len, 0);
	assert_true(header_find(odd_header, SLICE("to"), &field));
	assert_true(slice_equal(header_unfold(&arena, field.value), SLICE("a@b\tc")));
	assert_false(header_find(odd_header, SLICE("body"), &field));
	arena_done(&arena);
}

static void a_message_without_an_empty_line_is_all_header(void **state)
{
	(void)state;
	assert_int_equal(header_length(SLICE("A: b\r\nC: d")), 10);
	assert_int_equal(header_length(SLICE("")), 0);
	assert_int_equal(header_length(SLICE("\nbody")), 1);
}

static void limits_count_fields_and_bytes(void **state)
{
	(void)state;
	struct slice header = SLICE("A: 1\r\nB: 2\r\n\r\n");
	assert_true(header_is_within(header, (struct header_limits){2, 14}));
	assert_false(header_is_within(header, (struct header_limits){1, 14}));
	assert_false(header_is_within(header, (struct header_limits){2, 13}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_a_header_belongs_to_some_field),
		cmocka_unit_test(fields_are_found_in_any_case_and_unfolded),
		cmocka_unit_test(a_message_without_an_empty_line_is_all_header),
		cmocka_unit_test(limits_count_fields_and_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
