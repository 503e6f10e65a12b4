#include "base/test.h"

#include "base/buf.h"
#include "base/op.h"
#include "base/random.h"
#include "format/base_subject.h"
#include "format/thread.h"

static void what_replies_and_forwards_add_is_taken_away(void **state)
{
	static const struct {
		const char *subject, *base;
		bool is_reply;
	} cases[] = {
		{"", "", false},
		{"hello", "hello", false},
		{"Re: hello", "hello", true},
		{"re:hello", "hello", true},
		{"RE : hello", "hello", true},
		{"Fw: hello", "hello", true},
		{"Fwd: hello (fwd) ", "hello", true},
		{"Re: [list] hello", "hello", true},
		{"[list] Re: hello", "hello", true},
		{"[list] hello", "hello", false},
		{"Re[2]: hello", "hello", true},
		{"Re: fwd: Re: hello", "hello", true},
		{"[a] [b] hello", "hello", false},
		{"[a]", "[a]", false},
		{"[a] [b]", "[b]", false},
		{"[fwd: hello]", "hello", true},
		{"[Fwd: Re: hello]", "hello", true},
		{"[fwd: [fwd: hello]]", "hello", true},
		{"re", "re", false},
		{"regarding: x", "regarding: x", false},
		{"a  \t b", "a b", false},
		{"(fwd)", "", true},
		{"[open", "[open", false},
		{"re[open: x", "re[open: x", false},
		{"[[a]] b", "[[a]] b", false},
		{"Re: ", "", true},
		{"[fwd:]", "", true},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_reply;
		struct slice base =
			base_subject(&op.arena, slice_from_cstr(cases[i].subject), &is_reply);
		if (!slice_equal(base, slice_from_cstr(cases[i].base)) ||
			is_reply != cases[i].is_reply)
			fail_msg("\"%s\" became \"" SLICE_FMT "\" %d", cases[i].subject,
				SLICE_ARG(base), is_reply);
	}
}

/* Anybody may send it: what is looked at once for each of the others never ends. */
static void a_subject_of_many_blobs_is_read_in_one_go(void **state)
{
	AUTO_OP(op, "test");
	bool is_reply;
	struct buf subject = buf_in(&op.arena);
	for (int i = 0; i < 300000; i++)
		buf_append(&subject, SLICE("[a]"));
	buf_append(&subject, SLICE("x"));
	assert_true(slice_equal(
		base_subject(&op.arena, buf_as_slice(&subject), &is_reply), SLICE("x")));
	assert_false(is_reply);
}

static void ids_are_read_from_what_stands_between_brackets(void **state)
{
	static const struct {
		const char *value, *ids;
	} cases[] = {{"<a@b>", "a@b "}, {"<a@b> <c@d>", "a@b c@d "}, {"<a@b><c@d>", "a@b c@d "},
		{"your mail of <a@b> (x)", "a@b "}, {"<a@b", ""}, {"<>", ""}, {"", ""},
		{"<a <b@c>", "b@c "}, {"<1><2><3><4>", "2 3 4 "}};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice *ids;
		size_t count;
		struct buf out = buf_in(&op.arena);
		message_ids_read(&op.arena, slice_from_cstr(cases[i].value), 3, &ids, &count);
		for (size_t j = 0; j < count; j++)
			buf_printf(&out, SLICE_FMT " ", SLICE_ARG(ids[j]));
		if (!slice_equal(buf_as_slice(&out), slice_from_cstr(cases[i].ids)))
			fail_msg("%s: " SLICE_FMT, cases[i].value, SLICE_ARG(buf_as_slice(&out)));
	}
}

/* ---- Threads, as tables: "id subject date references" ---- */

#define MESSAGES_MOST 16

struct row {
	const char *id;
	const char *subject;
	int date;
	const char *references;
};

static void then_threaded(const struct row *rows, bool by_references, const char *expected)
{
	AUTO_OP(op, "test");
	struct thread_message messages[MESSAGES_MOST];
	struct buf out = buf_in(&op.arena);
	size_t count = 0;
	for (; rows[count].subject; count++) {
		struct slice *references;
		struct thread_message *message = &messages[count];
		*message = (struct thread_message){.number = (uint32_t)count + 1,
			.sent_at = rows[count].date,
			.message_id = slice_from_cstr(rows[count].id)};
		message->subject = base_subject(
			&op.arena, slice_from_cstr(rows[count].subject), &message->is_reply);
		message_ids_read(&op.arena, slice_from_cstr(rows[count].references), 100,
			&references, &message->reference_count);
		message->references = references;
	}
	if (by_references)
		thread_by_references(&op.arena, messages, count, &out);
	else
		thread_by_subject(&op.arena, messages, count, &out);
	if (!slice_equal(buf_as_slice(&out), slice_from_cstr(expected)))
		fail_msg("expected %s, got " SLICE_FMT, expected, SLICE_ARG(buf_as_slice(&out)));
}

static void threads_follow_references(void **state)
{
	static const struct {
		struct row rows[MESSAGES_MOST];
		const char *threads;
	} cases[] = {
		{{{0}}, ""},
		{{{"a", "x", 1, ""}}, "(1)"},
		{{{"a", "x", 1, ""}, {"b", "y", 2, ""}}, "(1)(2)"},
		{{{"a", "x", 1, ""}, {"b", "re: x", 2, "<a>"}, {"c", "re: x", 3, "<a><b>"}},
			"(1 2 3)"},
		{{{"a", "x", 1, ""}, {"b", "re: x", 2, "<a>"}, {"c", "re: x", 3, "<a>"}},
			"(1 (2)(3))"},
		/* One that is not there joins those that answer it. */
		{{{"b", "re: x", 2, "<a>"}, {"c", "re: x", 3, "<a>"}}, "((1)(2))"},
		{{{"b", "y", 2, "<a>"}}, "(1)"},
		/* In between, its children take its place. */
		{{{"a", "x", 1, ""}, {"c", "re: x", 2, "<a><b>"}, {"d", "re: x", 3, "<a><b>"}},
			"(1 (2)(3))"},
		/* By subject alone. */
		{{{"a", "x", 1, ""}, {"b", "re: x", 2, ""}}, "(1 2)"},
		{{{"a", "x", 1, ""}, {"b", "x", 2, ""}}, "((1)(2))"},
		{{{"a", "re: x", 1, ""}, {"b", "x", 2, ""}}, "(2 1)"},
		/* Circles, and what refers to itself. */
		{{{"a", "x", 1, "<b>"}, {"b", "y", 2, "<a>"}}, "(2 1)"},
		{{{"a", "x", 1, "<a>"}}, "(1)"},
		/* The same id twice. */
		{{{"a", "x", 1, ""}, {"a", "y", 2, ""}, {"b", "z", 3, "<a>"}}, "(1 3)(2)"},
		/* Nobody has an id. */
		{{{"", "x", 2, ""}, {"", "y", 1, ""}}, "(2)(1)"},
		{{{"a", "x", 1, ""}, {"b", "re: x", 2, "<a>"}, {"c", "re: x", 3, "<a><b>"},
			 {"d", "re: x", 4, "<a><b>"}, {"e", "re: x", 5, "<a>"}},
			"(1 (2 (3)(4))(5))"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		then_threaded(cases[i].rows, true, cases[i].threads);
}

static void threads_by_subject_have_one_level(void **state)
{
	static const struct {
		struct row rows[MESSAGES_MOST];
		const char *threads;
	} cases[] = {
		{{{"a", "x", 2, ""}, {"b", "re: x", 1, ""}, {"c", "y", 3, ""}}, "(2 1)(3)"},
		{{{"a", "x", 1, ""}, {"b", "re: x", 2, "<z>"}, {"c", "x", 3, ""}}, "(1 (2)(3))"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		then_threaded(cases[i].rows, false, cases[i].threads);
}

/* Whatever refers to whatever, each message is told once, and parentheses are balanced. */
static void every_message_is_in_one_thread(void **state)
{
	enum { ROUNDS = 300, COUNT = 30 };
	for (int round = 0; round < ROUNDS; round++) {
		AUTO_OP(op, "test");
		struct thread_message messages[COUNT];
		bool seen[COUNT] = {false};
		struct buf out = buf_in(&op.arena);
		for (uint32_t i = 0; i < COUNT; i++) {
			struct slice *references = ARENA_ARRAY(&op.arena, struct slice, 4);
			size_t count = random_below(4);
			for (size_t j = 0; j < count; j++)
				references[j] = slice_from_cstr(arena_printf(
					&op.arena, "id%d", (int)random_below(COUNT + 5)));
			messages[i] = (struct thread_message){.number = i + 1,
				.sent_at = (int64_t)random_below(10),
				.is_reply = random_below(2),
				.subject = slice_from_cstr(
					arena_printf(&op.arena, "%d", (int)random_below(COUNT))),
				.message_id = slice_from_cstr(
					arena_printf(&op.arena, "id%d", (int)random_below(COUNT))),
				.references = references,
				.reference_count = count};
		}
		if (round % 2)
			thread_by_references(&op.arena, messages, COUNT, &out);
		else
			thread_by_subject(&op.arena, messages, COUNT, &out);
		int depth = 0;
		size_t told = 0;
		for (size_t i = 0; i < out.len;) {
			char c = out.ptr[i];
			depth += (c == '(') - (c == ')');
			assert_true(depth >= 0);
			uint32_t number = 0;
			for (; i < out.len && ascii_is_digit(out.ptr[i]); i++)
				number = number * 10 + (uint32_t)(out.ptr[i] - '0');
			if (!number) {
				i++;
				continue;
			}
			assert_true(number <= COUNT && !seen[number - 1]);
			seen[number - 1] = true;
			told++;
		}
		assert_int_equal(depth, 0);
		assert_int_equal(told, COUNT);
	}
}

/* In a chain, and all at one: neither costs the square. */
static void large_mailboxes_are_threaded(void **state)
{
	enum { COUNT = 50000 };
	AUTO_OP(op, "test");
	for (int shape = 0; shape < 3; shape++) {
		struct buf out = buf_in(&op.arena);
		struct thread_message *messages =
			ARENA_ARRAY(&op.arena, struct thread_message, COUNT);
		for (uint32_t i = 0; i < COUNT; i++) {
			struct slice *reference = ARENA_NEW(&op.arena, struct slice);
			uint32_t to = shape == 0 ? i : shape == 1 ? 0 : COUNT + i;
			*reference = slice_from_cstr(arena_printf(&op.arena, "m%u", to));
			messages[i] = (struct thread_message){.number = i + 1,
				.sent_at = i,
				.message_id =
					slice_from_cstr(arena_printf(&op.arena, "m%u", i + 1)),
				.references = reference,
				.reference_count = 1};
		}
		thread_by_references(&op.arena, messages, COUNT, &out);
		assert_true(out.len > COUNT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_replies_and_forwards_add_is_taken_away),
		cmocka_unit_test(a_subject_of_many_blobs_is_read_in_one_go),
		cmocka_unit_test(ids_are_read_from_what_stands_between_brackets),
		cmocka_unit_test(threads_follow_references),
		cmocka_unit_test(threads_by_subject_have_one_level),
		cmocka_unit_test(every_message_is_in_one_thread),
		cmocka_unit_test(large_mailboxes_are_threaded),
	};
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
