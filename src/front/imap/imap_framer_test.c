#include "base/test.h"

#include "base/buf.h"
#include "front/imap/imap_framer.h"

/* Runs the framer over bytes given in pieces of `step` and writes down what it made of them:
 * "T<text>", "B<body>", "E", "S", "C<text>" with the flags that matter. */
static struct slice framed(struct arena *arena, struct slice input, size_t step, unsigned mode)
{
	struct imap_framer framer = {0};
	struct buf text = buf_in(arena), body = buf_in(arena), out = buf_in(arena);
	size_t at = 0, seen = 0;
	while (at < input.len || seen < input.len) {
		seen = MIN_OF(seen + step, input.len);
		for (;;) {
			struct frame frame =
				imap_framer_feed(&framer, mode, slice_range(input, at, seen));
			at += frame.taken;
			if (frame.kind == FRAME_TEXT || frame.kind == FRAME_COMMAND)
				buf_append(&text, frame.bytes);
			if (frame.kind == FRAME_BODY)
				buf_append(&body, frame.bytes);
			if (frame.kind == FRAME_SAY)
				buf_append_char(&out, 'S');
			if (frame.kind == FRAME_END_BODY) {
				buf_append(&out, SLICE("B["));
				buf_append(&out, buf_as_slice(&body));
				buf_append(&out, SLICE("]"));
				body.len = 0;
			}
			if (frame.kind == FRAME_COMMAND) {
				buf_append(&out, SLICE("C["));
				buf_append(&out, buf_as_slice(&text));
				buf_printf(&out, "]%s%s%s%s ", frame.row ? "" : "?",
					frame.flags & COMMAND_TOO_BIG ? "!" : "",
					frame.flags & COMMAND_ENDS_PIPELINE ? "|" : "",
					frame.flags & IMAP_COMMAND_IS_UID ? "u" : "");
				text.len = 0;
			}
			if (frame.kind == FRAME_MORE && frame.taken == 0)
				break;
		}
		if (seen == input.len)
			break;
	}
	return buf_as_slice(&out);
}

static const struct framer_case {
	struct slice input;
	const char *want;
} cases[] = {
	{SLICE_INIT("a NOOP\r\nb NOOP\n"), "C[a NOOP\r\n] C[b NOOP\n] "},
	{SLICE_INIT("a WHAT\r\n"), "C[a WHAT\r\n]? "},
	{SLICE_INIT("a UID FETCH 1 FLAGS\r\n"), "C[a UID FETCH 1 FLAGS\r\n]u "},
	{SLICE_INIT("a UID NOOP\r\n"), "C[a UID NOOP\r\n]?u "},
	{SLICE_INIT("a LOGIN {1}\r\nu {2+}\r\npw\r\n"), "SC[a LOGIN {1}\r\nu {2+}\r\npw\r\n]| "},
	{SLICE_INIT("a LOGIN {0}\r\n {0+}\r\n\r\n"), "SC[a LOGIN {0}\r\n {0+}\r\n\r\n]| "},
	{SLICE_INIT("l LOGIN u p\r\na APPEND box {4}\r\nA\r\nB\r\n"),
		"C[l LOGIN u p\r\n]| SB[A\r\nB]C[a APPEND box {4}\r\n\r\n] "},
	{SLICE_INIT("l LOGIN u p\r\na APPEND {3}\r\nbox (\\Seen) {2+}\r\nhi\r\nb NOOP\r\n"),
		"C[l LOGIN u p\r\n]| SB[hi]C[a APPEND {3}\r\nbox (\\Seen) {2+}\r\n\r\n] "
		"C[b NOOP\r\n] "},
	{SLICE_INIT("l LOGIN u p\r\na APPEND x {0+}\r\n\r\n"),
		"C[l LOGIN u p\r\n]| B[]C[a APPEND x {0+}\r\n\r\n] "},
	/* Before anybody tried to sign in, nothing is spooled. */
	{SLICE_INIT("a APPEND box {4}\r\nb NOOP\r\n"), "C[a APPEND box {4}\r\n]! C[b NOOP\r\n] "},
	{SLICE_INIT("a APPEND box {4+}\r\nb NO\r\nb NOOP\r\n"),
		"C[a APPEND box {4+}\r\n]! C[b NOOP\r\n] "},
	{SLICE_INIT("a LOGIN {99999999999999999999}\r\n"),
		"C[a LOGIN {99999999999999999999}\r\n]| "},
	{SLICE_INIT("a LOGIN {99999999}\r\nb NOOP\r\n"),
		"C[a LOGIN {99999999}\r\n]!| C[b NOOP\r\n] "},
};

static void commands_are_cut_alike_however_the_bytes_arrive(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t step = 1; step < 40; step++) {
			struct slice got = framed(&arena, cases[i].input, step, IMAP_MODE_COMMAND);
			if (!slice_equal(got, slice_from_cstr(cases[i].want)))
				fail_msg("in steps of %zu:\n" SLICE_FMT "\nnot\n%s", step,
					SLICE_ARG(got), cases[i].want);
		}
	}
	arena_done(&arena);
}

static void a_line_past_the_limit_keeps_its_tag_and_is_passed_over(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct buf input = buf_in(&arena);
	buf_append(&input, SLICE("tag1 NOOP "));
	for (size_t i = 0; i < 200000; i++)
		buf_append_char(&input, 'x');
	buf_append(&input, SLICE("\r\nb NOOP\r\n"));
	static const size_t steps[] = {1000, 65536, 300000};
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct slice got =
			framed(&arena, buf_as_slice(&input), steps[i], IMAP_MODE_COMMAND);
		assert_true(slice_starts_with(got, SLICE("C[tag1 NOOP xxx")));
		assert_true(slice_ends_with(got, SLICE("]! C[b NOOP\r\n] ")));
		assert_true(got.len < KIB(70));
	}
	arena_done(&arena);
}

static void a_dialog_takes_any_line(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct slice got = framed(&arena, SLICE("DONE\r\nAGx{4}\r\n"), 3, IMAP_MODE_LINE);
	assert_true(slice_equal(got, SLICE("C[DONE\r\n]? C[AGx{4}\r\n]? ")));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_cut_alike_however_the_bytes_arrive),
		cmocka_unit_test(a_line_past_the_limit_keeps_its_tag_and_is_passed_over),
		cmocka_unit_test(a_dialog_takes_any_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
