#include "base/test.h"

#include "wire/s3/s3_private.h"

static int set_up(void **state)
{
	struct op *op = HEAP_NEW(struct op);
	op_init(op, "test");
	*state = op;
	return 0;
}

static int tear_down(void **state)
{
	op_done(*state);
	free(*state);
	return 0;
}

static void then_base_url_is(struct op *op, int style, const char *endpoint, const char *expected)
{
	const struct s3_config config = {.endpoint = endpoint, .bucket = "mail", .style = style};
	const char *url;
	assert_null(s3_base_url(op, &config, &url));
	assert_string_equal(url, expected);
}

static void the_bucket_is_in_the_path_or_in_the_host(void **state)
{
	then_base_url_is(*state, S3_PATH, "https://s3.example.org", "https://s3.example.org/mail");
	then_base_url_is(*state, S3_PATH, "http://127.0.0.1:9000/", "http://127.0.0.1:9000/mail");
	then_base_url_is(*state, S3_HOST, "https://s3.example.org", "https://mail.s3.example.org");
	then_base_url_is(*state, S3_HOST, "http://localhost:9000", "http://mail.localhost:9000");
}

static void an_endpoint_is_a_scheme_and_a_host(void **state)
{
	static const char *const wrong[] = {NULL, "", "s3.example.org", "ftp://s3.example.org",
		"https://", "https://host/path", "https://host?x", "https://user@host",
		"https://host name"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct s3_config config = {.endpoint = wrong[i], .bucket = "mail"};
		const char *url;
		struct error *err = s3_base_url(*state, &config, &url);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
	}
	const struct s3_config config = {.endpoint = "https://host", .bucket = "a/b"};
	const char *url;
	assert_non_null(s3_base_url(*state, &config, &url));
}

static void urls_are_written_as_they_are_signed(void **state)
{
	struct op *op = *state;
	const struct s3_parameter parameters[] = {{"key-marker", SLICE("a/b c+d&e=f")},
		{"prefix", SLICE("\xc3\xa4~-_.")}, {"uploads", SLICE("")}};
	assert_string_equal(
		s3_url(&op->arena, "https://h/b", SLICE("x y/z"), NULL, 0), "https://h/b/x%20y/z");
	assert_string_equal(s3_url(&op->arena, "https://h/b", SLICE(""), parameters, 3),
		"https://h/b/?key-marker=a%2Fb%20c%2Bd%26e%3Df&prefix=%C3%A4~-_.&uploads=");
}

static void a_listing_is_read_whatever_else_it_says(void **state)
{
	struct op *op = *state;
	struct s3_listing listing;
	assert_true(s3_parse_listing(&op->arena,
		SLICE("<?xml version=\"1.0\"?>\n<s3:ListBucketResult xmlns:s3='http://x/>'>"
		      "<Key>not this</Key><IsTruncated>true</IsTruncated><!-- <Key> -->"
		      "<Contents><Key>a&amp;b&#x2F;&#252;</Key><Owner><Key>nor this</Key></Owner>"
		      "</Contents><Contents><Size>1</Size><Key><![CDATA[<c>]]></Key></Contents>"
		      "<Contents><Key/></Contents></s3:ListBucketResult> "),
		&listing));
	assert_true(listing.is_truncated);
	assert_int_equal(listing.count, 3);
	assert_true(slice_equal(listing.keys[0], SLICE("a&b/\xc3\xbc")));
	assert_true(slice_equal(listing.keys[1], SLICE("<c>")));
	assert_int_equal(listing.keys[2].len, 0);
}

static void what_is_broken_is_no_listing(void **state)
{
	static const struct slice broken[] = {SLICE_INIT(""), SLICE_INIT("text"),
		SLICE_INIT("<html></html>"), SLICE_INIT("<ListBucketResult>"),
		SLICE_INIT("<ListBucketResult></Other>"),
		SLICE_INIT("<ListBucketResult/><ListBucketResult/>"),
		SLICE_INIT("<ListBucketResult/>text"),
		SLICE_INIT("<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>"),
		SLICE_INIT("<ListBucketResult>&a;</ListBucketResult>"),
		SLICE_INIT("<ListBucketResult>&#xD800;</ListBucketResult>"),
		SLICE_INIT("<ListBucketResult a='></ListBucketResult>"),
		SLICE_INIT("<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>"
			   "</a></a></a></a></a></a></a></a></a></a></a></a></a></a></a></a>"
			   "</ListBucketResult>")};
	struct op *op = *state;
	struct s3_listing listing;
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		assert_false(s3_parse_listing(&op->arena, broken[i], &listing));
	assert_true(s3_parse_listing(&op->arena, SLICE("<ListBucketResult/>"), &listing));
	assert_int_equal(listing.count, 0);
}

static void unfinished_uploads_are_read_with_their_age(void **state)
{
	struct op *op = *state;
	struct s3_uploads uploads;
	assert_true(s3_parse_uploads(&op->arena,
		SLICE("<ListMultipartUploadsResult><NextKeyMarker>k</NextKeyMarker>"
		      "<NextUploadIdMarker>u</NextUploadIdMarker><IsTruncated>true</IsTruncated>"
		      "<Upload><Key>one</Key><UploadId>1</UploadId>"
		      "<Initiated>2026-11-25T03:45:11.123Z</Initiated></Upload>"
		      "</ListMultipartUploadsResult>"),
		&uploads));
	assert_int_equal(uploads.count, 1);
	assert_true(uploads.is_truncated);
	assert_true(slice_equal(uploads.next_key, SLICE("k")));
	assert_true(slice_equal(uploads.next_upload_id, SLICE("u")));
	assert_true(slice_equal(uploads.items[0].key, SLICE("one")));
	assert_true(slice_equal(uploads.items[0].upload_id, SLICE("1")));
	assert_true(uploads.items[0].begun_us == UINT64_C(1795578311000000));
	/* Without an age it must not be given up. */
	assert_false(s3_parse_uploads(&op->arena,
		SLICE("<ListMultipartUploadsResult><Upload><Key>one</Key><UploadId>1</UploadId>"
		      "</Upload></ListMultipartUploadsResult>"),
		&uploads));
}

static void the_code_of_an_error_is_found_where_it_belongs(void **state)
{
	struct op *op = *state;
	struct slice code;
	assert_true(s3_parse_error(
		&op->arena, SLICE("<Error><Code>NoSuchKey</Code><Key>x</Key></Error>"), &code));
	assert_true(slice_equal(code, SLICE("NoSuchKey")));
	assert_true(s3_parse_error(&op->arena,
		SLICE("<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key>"
		      "<Code>AccessDenied</Code></Error></DeleteResult>"),
		&code));
	assert_true(slice_equal(code, SLICE("AccessDenied")));
	assert_false(s3_parse_error(
		&op->arena, SLICE("<Result><Code>NoSuchKey</Code></Result>"), &code));
	assert_false(s3_parse_error(&op->arena, SLICE("404 not found"), &code));
}

static void times_are_read_or_refused(void **state)
{
	uint64_t us;
	assert_true(s3_parse_time(SLICE("2024-02-29T23:59:59Z"), &us));
	assert_true(us == UINT64_C(1709251199000000));
	static const struct slice wrong[] = {SLICE_INIT(""), SLICE_INIT("2024-02-29"),
		SLICE_INIT("2024-02-29T23:59:59"), SLICE_INIT("2024-02-29T23:59:59.5"),
		SLICE_INIT("1960-01-01T00:00:00Z"), SLICE_INIT("2024-13-01T00:00:00Z"),
		SLICE_INIT("2024-02-29T23:59:59Z and more than anybody would write")};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_false(s3_parse_time(wrong[i], &us));
}

static void what_is_escaped_is_read_back(void **state)
{
	struct op *op = *state;
	struct buf out = buf_in(&op->arena);
	struct xml xml;
	buf_append(&out, SLICE("<a>"));
	xml_escape(&out, SLICE("x<&>\"y"));
	buf_append(&out, SLICE("</a>"));
	xml_init(&xml, &op->arena, buf_as_slice(&out));
	assert_int_equal(xml_next(&xml), XML_OPEN);
	assert_int_equal(xml_next(&xml), XML_TEXT);
	assert_true(slice_equal(xml.text, SLICE("x<&>\"y")));
	assert_int_equal(xml_next(&xml), XML_CLOSE);
	assert_int_equal(xml_next(&xml), XML_END);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(the_bucket_is_in_the_path_or_in_the_host),
		CASE(an_endpoint_is_a_scheme_and_a_host),
		CASE(urls_are_written_as_they_are_signed),
		CASE(a_listing_is_read_whatever_else_it_says),
		CASE(what_is_broken_is_no_listing),
		CASE(unfinished_uploads_are_read_with_their_age),
		CASE(the_code_of_an_error_is_found_where_it_belongs),
		CASE(times_are_read_or_refused),
		CASE(what_is_escaped_is_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
