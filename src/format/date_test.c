#include "base/test.h"

#include "format/date.h"

static const struct date_case {
	struct slice text;
	int64_t seconds; /* -1: not a date */
	int32_t zone;
} rfc5322_cases[] = {
	{SLICE_INIT("Mon, 7 Feb 1994 21:52:25 -0800 (PST)"), 760686745, -480},
	{SLICE_INIT("7 Feb 94 21:52 PST"), 760686720, -480},
	{SLICE_INIT("Thu, 01 Jan 1970 00:00:00 +0000"), 0, 0},
	{SLICE_INIT("Thu,\r\n 29 Feb 2024 12:00:60 GMT"), 1709208060, 0},
	{SLICE_INIT("29 Feb 2023 12:00:00 GMT"), -1, 0},
	{SLICE_INIT("Mon, 31 Foo 1994 21:52:25 -0800"), -1, 0},
	{SLICE_INIT("1 Jan 2000 24:00:00 +0000"), -1, 0},
	{SLICE_INIT("1-Jan-2000 01:02:03 +0530"), 946668723, 330},
	{SLICE_INIT(""), -1, 0},
	{SLICE_INIT("yesterday"), -1, 0},
};

static void rfc5322_dates_are_read_leniently(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rfc5322_cases); i++) {
		const struct date_case *c = &rfc5322_cases[i];
		struct date date = {-1, 0};
		assert_int_equal(date_parse_rfc5322(c->text, &date), c->seconds != -1);
		assert_int_equal(date.seconds, c->seconds);
		assert_int_equal(date.zone_minutes, c->zone);
	}
}

static void imap_dates_go_there_and_back(void **state)
{
	(void)state;
	static const char *const texts[] = {"17-Jul-1996 02:44:25 -0700",
		"01-Jan-1970 00:00:00 +0000", "31-Dec-9999 23:59:59 +1400",
		"29-Feb-2000 00:00:00 -0030"};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct date date;
		assert_true(date_parse_imap(slice_from_cstr(texts[i]), &date));
		struct buf out = buf_heap();
		date_print_imap(&out, date);
		assert_true(slice_equal(buf_as_slice(&out), slice_from_cstr(texts[i])));
		buf_done(&out);
	}
	struct date date;
	assert_true(date_parse_imap(SLICE(" 7-Feb-1994 00:00:00 +0000"), &date));
	assert_false(date_parse_imap(SLICE("7-Feb-94 00:00:00 +0000"), &date));
	assert_false(date_parse_imap(SLICE("7-Feb-1994 00:00:00"), &date));
}

static void days_are_those_of_the_writers_calendar(void **state)
{
	(void)state;
	struct date date;
	int64_t day;
	assert_true(date_parse_rfc5322(SLICE("1 Jan 1970 01:00:00 +0200"), &date));
	assert_true(date.seconds < 0);
	assert_true(date_parse_imap_day(SLICE("1-Jan-1970"), &day));
	assert_int_equal(day, 0);
	assert_int_equal(date_local_day(date), 0);
	assert_false(date_parse_imap_day(SLICE("32-Jan-1970"), &day));
}

static void an_rfc5322_date_is_printed_with_its_weekday(void **state)
{
	(void)state;
	struct buf out = buf_heap();
	date_print_rfc5322(&out, (struct date){760686745, -480});
	assert_true(slice_equal(buf_as_slice(&out), SLICE("Mon, 7 Feb 1994 21:52:25 -0800")));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc5322_dates_are_read_leniently),
		cmocka_unit_test(imap_dates_go_there_and_back),
		cmocka_unit_test(days_are_those_of_the_writers_calendar),
		cmocka_unit_test(an_rfc5322_date_is_printed_with_its_weekday),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
