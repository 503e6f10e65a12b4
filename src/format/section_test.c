#include "base/test.h"

#include "format/section.h"

/* The example of RFC 9051 6.4.5.1, in small. */
static const struct slice nested = SLICE_INIT(
	"Subject: outer\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"
	"--A\r\n\r\nfirst\r\n"
	"--A\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: inner\r\nX: y\r\nContent-Type: multipart/alternative; boundary=B\r\n\r\n"
	"--B\r\n\r\none\r\n"
	"--B\r\nContent-ID: <2>\r\n\r\ntwo\r\n"
	"--B--\r\n"
	"--A\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: plain\r\n\r\nwords\r\n"
	"--A--\r\n");

static const struct slice subject_only[] = {SLICE_INIT("SUBJECT")};

static const struct section_case {
	struct section section;
	const char *want; /* NULL: no such section */
} cases[] = {
	{{.parts = {1}, .part_count = 1}, "first"},
	{{.parts = {1}, .part_count = 1, .text = SECTION_MIME}, "\r\n"},
	{{.parts = {1, 1}, .part_count = 2}, NULL},
	{{.parts = {2, 1}, .part_count = 2}, "one"},
	{{.parts = {2, 2}, .part_count = 2}, "two"},
	{{.parts = {2, 2}, .part_count = 2, .text = SECTION_MIME}, "Content-ID: <2>\r\n\r\n"},
	{{.parts = {2, 2}, .part_count = 2, .text = SECTION_HEADER}, NULL},
	{{.parts = {2, 3}, .part_count = 2}, NULL},
	{{.parts = {2},
		 .part_count = 1,
		 .text = SECTION_FIELDS,
		 .fields = subject_only,
		 .field_count = 1},
		"Subject: inner\r\n\r\n"},
	{{.parts = {3}, .part_count = 1, .text = SECTION_TEXT}, "words"},
	{{.parts = {3, 1}, .part_count = 2}, "words"},
	{{.parts = {3, 1}, .part_count = 2, .text = SECTION_MIME}, "Subject: plain\r\n\r\n"},
	{{.parts = {3}, .part_count = 1, .text = SECTION_HEADER}, "Subject: plain\r\n\r\n"},
	{{.parts = {3},
		 .part_count = 1,
		 .text = SECTION_FIELDS_NOT,
		 .fields = subject_only,
		 .field_count = 1},
		"\r\n"},
	{{.parts = {4}, .part_count = 1}, NULL},
	{{.parts = {0}, .part_count = 1}, NULL},
	{{.text = SECTION_MIME}, NULL},
	{{.text = SECTION_FIELDS, .fields = subject_only, .field_count = 1},
		"Subject: outer\r\n\r\n"},
};

static void sections_are_found(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	const struct mime_part *root = mime_scan(&arena, nested);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice bytes;
		bool found = section_locate(&arena, nested, root, &cases[i].section, &bytes);
		assert_int_equal(found, cases[i].want != NULL);
		if (found)
			assert_string_equal(arena_cstr(&arena, bytes), cases[i].want);
	}
	arena_done(&arena);
}

static void part_one_of_a_plain_message_is_its_body(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct slice message = SLICE("A: b\n\nbody");
	const struct mime_part *root = mime_scan(&arena, message);
	struct slice bytes;
	struct section section = {.parts = {1}, .part_count = 1};
	assert_true(section_locate(&arena, message, root, &section, &bytes));
	assert_true(slice_equal(bytes, SLICE("body")));
	section = (struct section){.text = SECTION_HEADER};
	assert_true(section_locate(&arena, message, root, &section, &bytes));
	assert_true(slice_equal(bytes, SLICE("A: b\n\n")));
	section = (struct section){.text = SECTION_ALL};
	assert_true(section_locate(&arena, message, root, &section, &bytes));
	assert_true(slice_equal(bytes, message));
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_are_found),
		cmocka_unit_test(part_one_of_a_plain_message_is_its_body),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
