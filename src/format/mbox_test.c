#include "format/mbox.h"

#include "base/test.h"

struct world {
	struct arena arena;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	arena_init(&w->arena);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	arena_done(&w->arena);
	free(w);
	return 0;
}

#define ASSERT_SLICE(found, expected)                                                            \
	do {                                                                                     \
		struct slice found_ = (found);                                                   \
		struct slice expected_ = (expected);                                             \
		assert_int_equal(found_.len, expected_.len);                                     \
		assert_memory_equal(found_.ptr ? found_.ptr : "", expected_.ptr, expected_.len); \
	} while (0)

static void messages_are_cut_at_from_lines_behind_empty_ones(void **state)
{
	struct world *w = *state;
	struct mbox_message message;
	struct slice rest = SLICE("From a@b Sat Jan  3 01:05:34 1996\n"
				  "Subject: 1\n\nFrom here on\n\n\n"
				  "From - Wed, 1 Jan\n"
				  "Subject: 2\r\n\r\nx\0y\r\n>From z\r\n");
	assert_true(mbox_next(&rest, &message));
	/* A line of the body that begins so is a quoting that was left out: it ends the message. */
	ASSERT_SLICE(message.body, SLICE("Subject: 1\n"));
	assert_int_equal(message.received, 820631134);
	assert_true(mbox_next(&rest, &message));
	ASSERT_SLICE(message.from, SLICE("From here on"));
	ASSERT_SLICE(message.body, SLICE("\n"));
	assert_int_equal(message.received, 0);
	assert_true(mbox_next(&rest, &message));
	ASSERT_SLICE(mbox_content(&w->arena, message.body, MBOX_RD),
		SLICE("Subject: 2\r\n\r\nx\0y\r\nFrom z\r\n"));
	assert_false(mbox_next(&rest, &message));
	rest = SLICE("Subject: no mbox\n");
	assert_false(mbox_next(&rest, &message));
}

static void quoting_is_taken_off(void **state)
{
	struct world *w = *state;
	struct slice body = SLICE("a\n>From b\n>>From c\n> From d\n>Fromage\n\xff");
	ASSERT_SLICE(mbox_content(&w->arena, body, MBOX_RD),
		SLICE("a\r\nFrom b\r\n>From c\r\n> From d\r\n>Fromage\r\n\xff"));
	ASSERT_SLICE(mbox_content(&w->arena, body, MBOX_O),
		SLICE("a\r\nFrom b\r\n>>From c\r\n> From d\r\n>Fromage\r\n\xff"));
}

static void dates_of_from_lines_are_read(void **state)
{
	static const struct {
		const char *line;
		uint64_t received;
	} cases[] = {
		{"From a@b Sat Jan 03 01:05:34 1996\n", 820631134},
		{"From a b c Sat Jan 3 01:05:34 GMT 1996\n", 820631134},
		{"From - Sat Jan  3 01:05:34 1996 +0000\n", 820631134},
		{"From a@b Sat Xxx  3 01:05:34 1996\n", 0},
		{"From a@b\n", 0},
		{"From \n", 0},
		{"From a : : : : : : : : : : : : : : : : : :\n", 0},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mbox_message message;
		struct slice rest = slice_from_cstr(cases[i].line);
		assert_true(mbox_next(&rest, &message));
		assert_int_equal(message.received, cases[i].received);
	}
}

static void flags_stand_in_the_header(void **state)
{
	struct world *w = *state;
	ASSERT_SLICE(
		mbox_status(&w->arena,
			SLICE("Subject: x\r\nStatus: RO\r\nx-status: AF\r\n\r\nStatus: D\r\n")),
		SLICE("ROAF"));
	assert_int_equal(mbox_status(&w->arena, SLICE("Status")).len, 0);
}

static void names_of_maildirs_are_read(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *folder, *path; /* path NULL: it can be none */
	} folders[] = {
		{".Archive.2024", "Archive/2024"},
		{".Entw&APw-rfe", "Entw\xc3\xbcrfe"},
		{".Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe"},
		{".Entw\xfcrfe", NULL},
		{"..", NULL},
		{"...x", NULL},
		{".x.", NULL},
		{".", NULL},
		{"cur", NULL},
		{".a\nb", NULL},
	};
	struct maildir_name name = maildir_name_parse(SLICE("1.M2P3.host,S=5:2,FS,a=1"));
	ASSERT_SLICE(name.unique, SLICE("1.M2P3.host,S=5"));
	ASSERT_SLICE(name.flags, SLICE("FS"));
	name = maildir_name_parse(SLICE("1.host"));
	ASSERT_SLICE(name.unique, SLICE("1.host"));
	assert_int_equal(name.flags.len, 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		struct slice path;
		bool is_path =
			maildir_folder_parse(&w->arena, slice_from_cstr(folders[i].folder), &path);
		assert_int_equal(is_path, folders[i].path != NULL);
		if (is_path)
			ASSERT_SLICE(path, slice_from_cstr(folders[i].path));
	}
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(messages_are_cut_at_from_lines_behind_empty_ones),
		SCENARIO(quoting_is_taken_off),
		SCENARIO(dates_of_from_lines_are_read),
		SCENARIO(flags_stand_in_the_header),
		SCENARIO(names_of_maildirs_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
