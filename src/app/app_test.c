#include <sys/stat.h>
#include <unistd.h>

#include "app/config.h"
#include "app/data_directory.h"
#include "app/reference.h"
#include "base/test.h"

static uint64_t most;
static bool loud;
static const char *name;
static const struct setting rows[] = {
	{"name", SETTING_TEXT, &name, "nobody", 0, 0, NULL, false, "A name."},
	{"mail.most", SETTING_NUMBER, &most, "7", 1, 100, NULL, true, "So many_things at most."},
	{"mail.loud", SETTING_BOOL, &loud, "no", 0, 0, NULL, true, "Loud or not."},
};
static const size_t row_count = ARRAY_SIZE(rows);
static const struct setting_group groups[] = {{rows, &row_count}};

struct world {
	struct op op;
	struct config *config;
	char directory[64];
	char file[80];
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->config = config_new(groups, ARRAY_SIZE(groups));
	snprintf(w->directory, sizeof(w->directory), "/tmp/holdfast-app-test-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->file, sizeof(w->file), "%s/conf", w->directory);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	static const char *const files[] = {"conf", "LOCK", "FORMAT"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(arena_printf(&w->op.arena, "%s/%s", w->directory, files[i]));
	assert_int_equal(rmdir(w->directory), 0);
	config_free(w->config);
	op_done(&w->op);
	free(w);
	return 0;
}

static void given_file(struct world *w, const char *file, const char *text)
{
	FILE *out = fopen(arena_printf(&w->op.arena, "%s/%s", w->directory, file), "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void the_file_and_the_defaults_fill_every_setting(void **state)
{
	struct world *w = *state;
	given_file(w, "conf", "# a comment\nmail:\n  most: 9\n  loud: yes\n");
	assert_null(config_load(&w->op, w->config, w->file));
	assert_int_equal(most, 9);
	assert_true(loud);
	assert_string_equal(name, "nobody");
}

static void each_fault_is_told_with_its_line(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"mail:\n  mots: 3\n", ":2: there is no setting \"mail.mots\""},
		{"post:\n  most: 3\n", ":1: there is no section \"post\""},
		{"mail:\n  most: 3\n  most: 4\n", ":3: \"mail.most\" stands here a second time"},
		{"mail:\n  most: 0\n", ":2: mail.most: 0 is outside 1 to 100"},
		{"mail:\n  most: few\n", ":2: mail.most: \"few\" is not a whole number"},
		{"mail:\n  most: &a 3\n", ":2: anchors and tags are not understood here"},
		{"mail:\n  most: *a\n", ":2: anchors and tags are not understood here"},
		{"mail:\n  most: [1, 2]\n", ":2: a list is not expected here; write \"a, b, c\""},
		{"just text\n", ":1: settings are expected: \"name: value\""},
		{"name: a\n---\nname: b\n", ":2: a second document is not expected here"},
		{"name: \"a\n", NULL},
		{"mail:\n  most:\n    more: 1\n", ":3: a value is expected here, not a section"},
	};
	struct world *w = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		given_file(w, "conf", cases[i].text);
		struct error *err = config_load(&w->op, w->config, w->file);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
		if (cases[i].message)
			assert_string_equal(err->message,
				arena_printf(&w->op.arena, "%s%s", w->file, cases[i].message));
	}
	assert_non_null(config_load(&w->op, w->config, "/nonexistent"));
}

static void sections_without_contents_and_empty_files_are_fine(void **state)
{
	struct world *w = *state;
	given_file(w, "conf", "mail:\n  # most: 3\n");
	assert_null(config_load(&w->op, w->config, w->file));
	assert_int_equal(most, 7);
}

static void a_reload_stores_what_may_change_and_names_the_rest(void **state)
{
	struct world *w = *state;
	given_file(w, "conf", "name: first\nmail:\n  most: 9\n");
	assert_null(config_load(&w->op, w->config, w->file));
	given_file(w, "conf", "name: second\nmail:\n  most: 10\n");
	const char *waiting;
	assert_null(config_reload(&w->op, w->config, &waiting));
	assert_int_equal(most, 10);
	assert_string_equal(name, "first");
	assert_string_equal(waiting, "name");

	given_file(w, "conf", "mail:\n  most: 11\n  loud: perhaps\n");
	assert_non_null(config_reload(&w->op, w->config, &waiting));
	assert_int_equal(most, 10);
}

static void the_sample_is_a_file_of_defaults(void **state)
{
	struct world *w = *state;
	FILE *out = fopen(w->file, "w");
	assert_non_null(out);
	reference_print_sample(w->config, out);
	assert_int_equal(fclose(out), 0);
	assert_null(config_load(&w->op, w->config, w->file));
	assert_int_equal(most, 7);
}

static void a_data_directory_is_held_by_one_at_a_time(void **state)
{
	struct world *w = *state;
	struct data_directory first;
	struct data_directory second;
	assert_null(data_directory_open(&w->op, w->directory, &first));
	struct error *err = data_directory_open(&w->op, w->directory, &second);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_EXISTS);
	data_directory_close(&first);
	assert_null(data_directory_open(&w->op, w->directory, &second));
	data_directory_close(&second);
}

static void a_newer_or_unreadable_format_is_refused(void **state)
{
	struct world *w = *state;
	static const char *const formats[] = {"4\n", "0\n", "", "one\n"};
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		given_file(w, "FORMAT", formats[i]);
		struct data_directory directory;
		struct error *err = data_directory_open(&w->op, w->directory, &directory);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
	}
}

static void then_file_holds(struct world *w, const char *file, const char *text)
{
	char found[64] = "";
	FILE *in = fopen(arena_printf(&w->op.arena, "%s/%s", w->directory, file), "r");
	assert_non_null(in);
	assert_true(fread(found, 1, sizeof(found) - 1, in) > 0);
	fclose(in);
	assert_string_equal(found, text);
}

/* An older program may go on with a directory until something is used that it does not know. */
static void the_format_is_raised_by_what_needs_it(void **state)
{
	struct world *w = *state;
	struct data_directory directory;
	assert_null(data_directory_open(&w->op, w->directory, &directory));
	then_file_holds(w, "FORMAT", "1\n");
	assert_null(data_directory_need_format(&w->op, &directory, DATA_FORMAT_INLINE));
	then_file_holds(w, "FORMAT", "2\n");
	data_directory_close(&directory);
	assert_null(data_directory_open(&w->op, w->directory, &directory));
	assert_null(data_directory_need_format(&w->op, &directory, DATA_FORMAT_FIRST));
	then_file_holds(w, "FORMAT", "2\n");
	data_directory_close(&directory);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(the_file_and_the_defaults_fill_every_setting),
		TEST(each_fault_is_told_with_its_line),
		TEST(sections_without_contents_and_empty_files_are_fine),
		TEST(a_reload_stores_what_may_change_and_names_the_rest),
		TEST(the_sample_is_a_file_of_defaults),
		TEST(a_data_directory_is_held_by_one_at_a_time),
		TEST(a_newer_or_unreadable_format_is_refused),
		TEST(the_format_is_raised_by_what_needs_it),
	};
	return cmocka_run_group_tests_name("app", tests, NULL, NULL);
}
