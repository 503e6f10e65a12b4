#include "base/test.h"

#include <stdlib.h>

#include "net/compression.h"

struct both {
	struct compression *here, *there;
	struct evbuffer *packed, *plain;
};

static int begin(void **state)
{
	static struct both both;
	both = (struct both){compression_new(), compression_new(), evbuffer_new(), evbuffer_new()};
	*state = &both;
	return 0;
}

static int end(void **state)
{
	struct both *both = *state;
	compression_free(both->here);
	compression_free(both->there);
	evbuffer_free(both->packed);
	evbuffer_free(both->plain);
	return 0;
}

static void what_is_packed_is_unpacked_at_once(void **state)
{
	struct both *both = *state;
	for (int i = 0; i < 3; i++) {
		compression_pack(both->here, SLICE("* OK hello\r\n"), both->packed);
		assert_int_equal(
			compression_unpack(both->there, both->packed, both->plain), UNPACKED_SOME);
		assert_int_equal(evbuffer_get_length(both->plain), 12);
		assert_memory_equal(evbuffer_pullup(both->plain, -1), "* OK hello\r\n", 12);
		evbuffer_drain(both->plain, 12);
	}
	assert_int_equal(
		compression_unpack(both->there, both->packed, both->plain), UNPACKED_NOTHING);
}

/* The last pieces are within the library when all input has been taken. */
static void much_comes_by_the_piece(void **state)
{
	struct both *both = *state;
	size_t len = MIB(3) + 5, got = 0;
	char *zeros = calloc(1, len);
	assert_non_null(zeros);
	compression_pack(both->here, slice_of(zeros, len), both->packed);
	assert_true(evbuffer_get_length(both->packed) < KIB(20));
	while (compression_unpack(both->there, both->packed, both->plain) == UNPACKED_SOME) {
		size_t piece = evbuffer_get_length(both->plain);
		assert_true(piece <= COMPRESSION_PIECE_BYTES);
		evbuffer_drain(both->plain, piece);
		got += piece;
	}
	assert_int_equal(got, len);
	free(zeros);
}

static void one_byte_after_the_other(void **state)
{
	struct both *both = *state;
	struct evbuffer *wire = evbuffer_new();
	compression_pack(both->here, SLICE("a1 NOOP\r\n"), wire);
	while (evbuffer_get_length(wire)) {
		char byte;
		evbuffer_remove(wire, &byte, 1);
		evbuffer_add(both->packed, &byte, 1);
		assert_int_not_equal(compression_unpack(both->there, both->packed, both->plain),
			UNPACKED_BROKEN);
	}
	assert_int_equal(evbuffer_get_length(both->plain), 9);
	evbuffer_free(wire);
}

static void rubbish_breaks_it_for_good(void **state)
{
	struct both *both = *state;
	evbuffer_add(both->packed, "a1 NOOP\r\na2 NOOP\r\n", 18);
	assert_int_equal(
		compression_unpack(both->there, both->packed, both->plain), UNPACKED_BROKEN);
	compression_pack(both->here, SLICE("a3 NOOP\r\n"), both->packed);
	assert_int_equal(
		compression_unpack(both->there, both->packed, both->plain), UNPACKED_BROKEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_packed_is_unpacked_at_once, begin, end),
		cmocka_unit_test_setup_teardown(much_comes_by_the_piece, begin, end),
		cmocka_unit_test_setup_teardown(one_byte_after_the_other, begin, end),
		cmocka_unit_test_setup_teardown(rubbish_breaks_it_for_good, begin, end),
	};
	return cmocka_run_group_tests_name("net/compression", tests, NULL, NULL);
}
