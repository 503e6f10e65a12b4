#include "base/test.h"

#include "search/tika.h"

static void what_tika_says_is_an_answer_a_failure_or_nothing(void **state)
{
	static const struct {
		int status;
		bool is_unreached;
		enum tika_outcome outcome;
	} cases[] = {
		{200, false, TIKA_READ},
		{204, false, TIKA_READ},
		{413, false, TIKA_READ},
		{415, false, TIKA_READ},
		{422, false, TIKA_READ},
		{500, false, TIKA_FAILED},
		{502, false, TIKA_FAILED},
		{0, false, TIKA_FAILED},
		{0, true, TIKA_AWAY},
		{429, false, TIKA_AWAY},
		{503, false, TIKA_AWAY},
		{302, false, TIKA_AWAY},
		{400, false, TIKA_AWAY},
		{404, false, TIKA_AWAY},
		{405, false, TIKA_AWAY},
	};
	(void)state;
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *problem;
		const struct http_request request = {.status = cases[i].status,
			.is_unreached = cases[i].is_unreached,
			.problem = "it is silent"};
		assert_int_equal(tika_judge(&op, &request, &problem), cases[i].outcome);
		assert_non_null(problem);
	}
}

static void only_an_origin_is_an_address(void **state)
{
	static const struct {
		const char *url;
		bool is_good;
	} cases[] = {
		{"http://127.0.0.1:9998", true},
		{"https://tika.example.org/", true},
		{"http://127.0.0.1:9998/tika", false},
		{"tika.example.org", false},
		{"ftp://tika.example.org", false},
	};
	(void)state;
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tika *tika = NULL;
		const struct tika_options options = {.url = cases[i].url};
		struct error *err = tika_open(&op, &options, &tika);
		assert_int_equal(!err, cases[i].is_good);
		assert_true(!err || err->kind == ERR_INVALID);
		tika_close(tika);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_tika_says_is_an_answer_a_failure_or_nothing),
		cmocka_unit_test(only_an_origin_is_an_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
