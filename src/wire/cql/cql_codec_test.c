#include "base/test.h"

#include "base/random.h"
#include "wire/cql/cql_error.h"
#include "wire/cql/cql_frame.h"
#include "wire/cql/cql_message.h"
#include "wire/cql/cql_result.h"
#include "wire/cql/cql_segment.h"

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

/* ---- values ---- */

static void values_keep_what_they_were_made_of(void **state)
{
	struct op *op = *state;
	int64_t b;
	int32_t i;
	int16_t s;
	int8_t t;
	bool f;
	assert_true(cql_to_bigint(cql_from_bigint(&op->arena, INT64_MIN), &b) && b == INT64_MIN);
	assert_true(cql_to_int(cql_from_int(&op->arena, -2), &i) && i == -2);
	assert_true(cql_to_smallint(cql_from_smallint(&op->arena, -3), &s) && s == -3);
	assert_true(cql_to_tinyint(cql_from_tinyint(&op->arena, -4), &t) && t == -4);
	assert_true(cql_to_boolean(cql_from_boolean(true), &f) && f);
	struct uuid uuid = uuid_random(), back;
	assert_true(cql_to_uuid(cql_from_uuid(&uuid), &back) && uuid_equal(uuid, back));
	assert_memory_equal(cql_from_int(&op->arena, 0x01020304).ptr, "\1\2\3\4", 4);
}

static void values_of_another_length_are_none(void **state)
{
	struct op *op = *state;
	struct cql_value null = {.length = CQL_NULL}, four = cql_from_int(&op->arena, 1);
	int64_t b;
	int8_t t;
	bool f;
	struct uuid uuid;
	assert_false(cql_to_bigint(null, &b) || cql_to_bigint(four, &b));
	assert_false(cql_to_tinyint(four, &t) || cql_to_boolean(null, &f));
	assert_false(cql_to_uuid(four, &uuid));
	assert_null(cql_to_bytes(null).ptr);
	assert_non_null(cql_to_bytes((struct cql_value){.length = 0}).ptr);
}

static void a_routing_key_of_several_columns_is_composite(void **state)
{
	struct op *op = *state;
	const struct cql_value columns[] = {
		cql_from_bytes(SLICE("ab")), cql_from_tinyint(&op->arena, 7)};
	assert_true(slice_equal(cql_routing_key(&op->arena, columns, 1), SLICE("ab")));
	assert_true(
		slice_equal(cql_routing_key(&op->arena, columns, 2), SLICE("\0\2ab\0\0\1\7\0")));
}

/* ---- frames ---- */

static struct buf given_frame(struct op *op, struct slice body)
{
	struct buf frame = buf_in(&op->arena);
	cql_frame_begin(&frame);
	buf_append(&frame, body);
	cql_frame_end(&frame, 0x84, 0, 0x1234, CQL_OP_RESULT);
	return frame;
}

static void a_frame_is_found_when_it_is_whole(void **state)
{
	struct op *op = *state;
	struct slice bytes = buf_as_slice(&(struct buf[]){given_frame(op, SLICE("hello"))}[0]);
	struct cql_frame frame;
	size_t length;
	for (size_t cut = 0; cut < bytes.len; cut++)
		assert_int_equal(cql_frame_scan(slice_range(bytes, 0, cut), &frame, &length),
			CQL_SCAN_PARTIAL);
	assert_int_equal(cql_frame_scan(bytes, &frame, &length), CQL_SCAN_WHOLE);
	assert_int_equal(length, 14);
	assert_int_equal(frame.version, 4);
	assert_int_equal(frame.stream, 0x1234);
	assert_true(slice_equal(frame.body, SLICE("hello")));
}

static void what_no_server_sends_is_no_frame(void **state)
{
	(void)state;
	struct cql_frame frame;
	size_t length;
	assert_int_equal(cql_frame_scan(SLICE("\4"), &frame, &length), CQL_SCAN_BROKEN);
	assert_int_equal(cql_frame_scan(SLICE("HTTP/1.1 400"), &frame, &length), CQL_SCAN_BROKEN);
	assert_int_equal(cql_frame_scan(SLICE("\x84\0\0\1\x08\x10\0\0\1"), &frame, &length),
		CQL_SCAN_BROKEN);
}

static void a_compressed_frame_is_what_it_was(void **state)
{
	struct op *op = *state;
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	for (int i = 0; i < 1000; i++)
		buf_append(&frame, SLICE("again and "));
	cql_frame_end(&frame, 0x84, 0, 1, CQL_OP_RESULT);
	cql_frame_compress(&frame);
	assert_true(frame.len < 1000);
	struct cql_frame found;
	size_t length;
	assert_int_equal(cql_frame_scan(buf_as_slice(&frame), &found, &length), CQL_SCAN_WHOLE);
	assert_int_equal(found.flags, CQL_FRAME_COMPRESSED);
	struct slice plain;
	assert_null(cql_frame_decompress(op, found.body, &plain));
	assert_int_equal(plain.len, 10000);
	assert_true(slice_starts_with(plain, SLICE("again and again")));
	buf_done(&frame);
}

static void a_lying_compressed_frame_costs_no_memory(void **state)
{
	struct op *op = *state;
	struct slice plain;
	assert_non_null(cql_frame_decompress(op,
		SLICE("\x0f\xff\xff\xff"
		      "abc"),
		&plain));
	assert_non_null(cql_frame_decompress(op, SLICE("\0\0"), &plain));
	assert_non_null(cql_frame_decompress(op,
		SLICE("\0\0\0\x20"
		      "abcdefg"),
		&plain));
	assert_true(op->arena.used < KIB(64));
}

static void a_prelude_is_read_off(void **state)
{
	struct op *op = *state;
	struct reader body =
		reader_of(SLICE("0123456789abcdef\0\2\0\3one\0\0\0\1\0\1k\0\0\0\2vv rest"));
	struct cql_prelude prelude;
	assert_null(cql_frame_prelude(op,
		CQL_FRAME_TRACING | CQL_FRAME_WARNING | CQL_FRAME_CUSTOM_PAYLOAD, &body, &prelude));
	assert_true(prelude.has_tracing_id);
	assert_int_equal(prelude.warning_count, 2);
	assert_true(slice_equal(prelude.warnings[0], SLICE("one")));
	assert_true(slice_equal(body.rest, SLICE(" rest")));
	body = reader_of(SLICE("\xff\xff\0\1a"));
	assert_non_null(cql_frame_prelude(op, CQL_FRAME_WARNING, &body, &prelude));
}

/* ---- segments ---- */

static void then_segments_give_back(struct slice frame, bool compression)
{
	struct buf out = buf_heap(), frames = buf_heap();
	cql_segment_wrap(&out, frame, compression);
	struct slice rest = buf_as_slice(&out);
	size_t segments = 0;
	while (rest.len) {
		bool self_contained;
		size_t length;
		assert_int_equal(cql_segment_scan(slice_range(rest, 0, rest.len > 8 ? 8 : 1),
					 compression, &frames, &self_contained, &length),
			CQL_SCAN_PARTIAL);
		assert_int_equal(
			cql_segment_scan(rest, compression, &frames, &self_contained, &length),
			CQL_SCAN_WHOLE);
		assert_int_equal(self_contained, frame.len <= CQL_SEGMENT_PAYLOAD_MAX);
		rest = slice_from(rest, length);
		segments++;
	}
	assert_int_equal(
		segments, (frame.len + CQL_SEGMENT_PAYLOAD_MAX - 1) / CQL_SEGMENT_PAYLOAD_MAX);
	assert_true(slice_equal(buf_as_slice(&frames), frame));
	buf_done(&out);
	buf_done(&frames);
}

static void segments_carry_frames_of_any_size(void **state)
{
	struct op *op = *state;
	static const size_t sizes[] = {
		1, 9, 100, CQL_SEGMENT_PAYLOAD_MAX, CQL_SEGMENT_PAYLOAD_MAX + 1, 400000};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *bytes = arena_alloc(&op->arena, sizes[i]);
		for (int noise = 0; noise < 2; noise++) {
			if (noise)
				random_bytes(bytes, sizes[i]);
			then_segments_give_back(slice_of(bytes, sizes[i]), false);
			then_segments_give_back(slice_of(bytes, sizes[i]), true);
		}
	}
}

static void a_damaged_segment_is_seen(void **state)
{
	(void)state;
	for (int compression = 0; compression < 2; compression++) {
		struct buf out = buf_heap(), frames = buf_heap();
		cql_segment_wrap(&out, SLICE("some bytes of a frame, again and again and again"),
			compression);
		for (size_t i = 0; i < out.len; i++) {
			bool self_contained;
			size_t length;
			out.ptr[i] ^= 0x10;
			assert_int_equal(cql_segment_scan(buf_as_slice(&out), compression, &frames,
						 &self_contained, &length),
				CQL_SCAN_BROKEN);
			out.ptr[i] ^= 0x10;
		}
		assert_int_equal(frames.len, 0);
		buf_done(&out);
		buf_done(&frames);
	}
}

/* ---- results ---- */

/* Two columns, a int and b list<text>, of ks.t; two rows. */
static const struct slice rows_body = SLICE_INIT("\0\0\0\2"
						 "\0\0\0\3\0\0\0\2\0\0\0\4page"
						 "\0\2ks\0\1t"
						 "\0\1a\0\x09"
						 "\0\1b\0\x20\0\x0d"
						 "\0\0\0\2"
						 "\0\0\0\4\0\0\0\7\xff\xff\xff\xff"
						 "\0\0\0\4\0\0\0\x8\0\0\0\0");

static void rows_are_decoded(void **state)
{
	struct op *op = *state;
	struct reader body = reader_of(rows_body);
	struct cql_decoded decoded;
	assert_null(cql_result_decode(op, &body, 4, NULL, &decoded));
	assert_int_equal(decoded.kind, CQL_RESULT_ROWS);
	assert_int_equal(decoded.metadata.column_count, 2);
	assert_true(slice_equal(decoded.metadata.paging_state, SLICE("page")));
	assert_true(slice_equal(decoded.metadata.columns[1].name, SLICE("b")));
	assert_int_equal(decoded.metadata.columns[1].type, CQL_TYPE_LIST);
	assert_int_equal(decoded.row_count, 2);
	int32_t number;
	assert_true(cql_to_int(decoded.values[2], &number) && number == 8);
	assert_int_equal(decoded.values[1].length, CQL_NULL);
	assert_int_equal(decoded.values[3].length, 0);
	assert_int_equal(body.rest.len, 0);
}

static void a_result_cut_anywhere_is_an_error(void **state)
{
	struct op *op = *state;
	for (size_t cut = 0; cut < rows_body.len; cut++) {
		struct reader body = reader_of(slice_range(rows_body, 0, cut));
		struct cql_decoded decoded;
		assert_non_null(cql_result_decode(op, &body, 4, NULL, &decoded));
	}
}

static void columns_not_repeated_are_those_known(void **state)
{
	struct op *op = *state;
	static const struct cql_column columns[] = {{SLICE_INIT("a"), CQL_TYPE_INT}};
	const struct cql_metadata known = {.column_count = 1, .columns = columns};
	struct slice bytes = SLICE("\0\0\0\2\0\0\0\4\0\0\0\1\0\0\0\1\0\0\0\1x");
	struct cql_decoded decoded;
	struct reader body = reader_of(bytes);
	assert_null(cql_result_decode(op, &body, 5, &known, &decoded));
	assert_ptr_equal(decoded.metadata.columns, columns);
	body = reader_of(bytes);
	assert_non_null(cql_result_decode(op, &body, 5, NULL, &decoded));
	body = reader_of(SLICE("\0\0\0\2\0\0\0\4\0\0\0\2\0\0\0\0"));
	assert_non_null(cql_result_decode(op, &body, 5, &known, &decoded));
}

static void counts_that_lie_are_refused(void **state)
{
	struct op *op = *state;
	static const struct slice bodies[] = {
		/* columns, rows, rows without columns, key columns, kinds, depth of types */
		SLICE_INIT("\0\0\0\2\0\0\0\1\x7f\xff\xff\xff\0\1k\0\1t"),
		SLICE_INIT("\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1a\0\x09\x7f\xff\xff\xff"),
		SLICE_INIT("\0\0\0\2\0\0\0\1\0\0\0\0\0\1k\0\1t\x7f\xff\xff\xff"),
		SLICE_INIT("\0\0\0\4\0\1i\0\0\0\1\0\0\0\1\x7f\xff\xff\xff"),
		SLICE_INIT("\0\0\0\x9"),
		SLICE_INIT("\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1a"
			   "\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20"
			   "\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20"
			   "\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20"
			   "\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x20\0\x9"
			   "\0\0\0\0"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct reader body = reader_of(bodies[i]);
		struct cql_decoded decoded;
		assert_non_null(cql_result_decode(op, &body, 4, NULL, &decoded));
	}
}

/* ---- errors ---- */

#define MESSAGE "\0\2no"

static void every_error_has_its_fields(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		uint8_t version;
		struct slice body;
		struct cql_failure wanted;
		enum error_kind kind;
	} cases[] = {
		{"server", 4, SLICE_INIT("\0\0\0\0" MESSAGE), {.code = CQL_SERVER_ERROR},
			ERR_TIMEOUT},
		{"protocol", 4, SLICE_INIT("\0\0\0\x0a" MESSAGE), {.code = CQL_PROTOCOL_ERROR},
			ERR_INTERNAL},
		{"unavailable", 4, SLICE_INIT("\0\0\x10\0" MESSAGE "\0\4\0\0\0\3\0\0\0\1"),
			{.code = CQL_UNAVAILABLE,
				.level = CQL_QUORUM,
				.required = 3,
				.received = 1},
			ERR_UNAVAILABLE},
		{"overloaded", 4, SLICE_INIT("\0\0\x10\1" MESSAGE), {.code = CQL_OVERLOADED},
			ERR_UNAVAILABLE},
		{"bootstrapping", 4, SLICE_INIT("\0\0\x10\2" MESSAGE), {.code = CQL_BOOTSTRAPPING},
			ERR_UNAVAILABLE},
		{"truncate", 4, SLICE_INIT("\0\0\x10\3" MESSAGE), {.code = CQL_TRUNCATE_ERROR},
			ERR_TIMEOUT},
		{"write timeout", 4,
			SLICE_INIT("\0\0\x11\0" MESSAGE "\0\6\0\0\0\1\0\0\0\2\0\x09"
				   "BATCH_LOG"),
			{.code = CQL_WRITE_TIMEOUT,
				.level = CQL_LOCAL_QUORUM,
				.received = 1,
				.required = 2,
				.write_type = CQL_WRITE_BATCH_LOG},
			ERR_TIMEOUT},
		{"write timeout of a CAS", 5,
			SLICE_INIT("\0\0\x11\0" MESSAGE "\0\x08\0\0\0\1\0\0\0\2\0\3CAS\0\5"),
			{.code = CQL_WRITE_TIMEOUT,
				.level = CQL_SERIAL,
				.received = 1,
				.required = 2,
				.write_type = CQL_WRITE_CAS,
				.contentions = 5},
			ERR_TIMEOUT},
		{"write timeout of a new type", 5,
			SLICE_INIT("\0\0\x11\0" MESSAGE "\0\x08\0\0\0\1\0\0\0\2\0\3NEW"),
			{.code = CQL_WRITE_TIMEOUT,
				.level = CQL_SERIAL,
				.received = 1,
				.required = 2,
				.write_type = CQL_WRITE_UNKNOWN},
			ERR_TIMEOUT},
		{"read timeout", 4, SLICE_INIT("\0\0\x12\0" MESSAGE "\0\1\0\0\0\0\0\0\0\1\1"),
			{.code = CQL_READ_TIMEOUT,
				.level = CQL_ONE,
				.required = 1,
				.data_present = true},
			ERR_TIMEOUT},
		{"read failure v4", 4,
			SLICE_INIT("\0\0\x13\0" MESSAGE "\0\1\0\0\0\0\0\0\0\1\0\0\0\2\1"),
			{.code = CQL_READ_FAILURE,
				.level = CQL_ONE,
				.required = 1,
				.failures = 2,
				.data_present = true},
			ERR_TIMEOUT},
		{"read failure v5", 5,
			SLICE_INIT("\0\0\x13\0" MESSAGE "\0\1\0\0\0\0\0\0\0\1\0\0\0\1\4\x7f\0\0\1"
				   "\0\2\1"),
			{.code = CQL_READ_FAILURE,
				.level = CQL_ONE,
				.required = 1,
				.failures = 1,
				.data_present = true},
			ERR_TIMEOUT},
		{"function", 4, SLICE_INIT("\0\0\x14\0" MESSAGE "\0\1k\0\1f\0\0"),
			{.code = CQL_FUNCTION_FAILURE}, ERR_INVALID},
		{"write failure", 4,
			SLICE_INIT("\0\0\x15\0" MESSAGE "\0\1\0\0\0\0\0\0\0\1\0\0\0\3\0\6"
				   "SIMPLE"),
			{.code = CQL_WRITE_FAILURE,
				.level = CQL_ONE,
				.required = 1,
				.failures = 3,
				.write_type = CQL_WRITE_SIMPLE},
			ERR_TIMEOUT},
		{"CDC", 4, SLICE_INIT("\0\0\x16\0" MESSAGE), {.code = CQL_CDC_WRITE_FAILURE},
			ERR_TIMEOUT},
		{"CAS unknown", 5, SLICE_INIT("\0\0\x17\0" MESSAGE "\0\x09\0\0\0\1\0\0\0\2"),
			{.code = CQL_CAS_WRITE_UNKNOWN,
				.level = CQL_LOCAL_SERIAL,
				.received = 1,
				.required = 2},
			ERR_TIMEOUT},
		{"syntax", 4, SLICE_INIT("\0\0\x20\0" MESSAGE), {.code = CQL_SYNTAX_ERROR},
			ERR_INVALID},
		{"unauthorized", 4, SLICE_INIT("\0\0\x21\0" MESSAGE), {.code = CQL_UNAUTHORIZED},
			ERR_INVALID},
		{"invalid", 4, SLICE_INIT("\0\0\x22\0" MESSAGE), {.code = CQL_INVALID},
			ERR_INVALID},
		{"config", 4, SLICE_INIT("\0\0\x23\0" MESSAGE), {.code = CQL_CONFIG_ERROR},
			ERR_INVALID},
		{"exists", 4, SLICE_INIT("\0\0\x24\0" MESSAGE "\0\1k\0\1t"),
			{.code = CQL_ALREADY_EXISTS}, ERR_INVALID},
		{"unprepared", 4, SLICE_INIT("\0\0\x25\0" MESSAGE "\0\2id"),
			{.code = CQL_UNPREPARED}, ERR_UNAVAILABLE},
		{"of the future", 5, SLICE_INIT("\0\1\x77\0" MESSAGE), {.code = 0x17700},
			ERR_TIMEOUT},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("%s\n", cases[i].name);
		struct reader body = reader_of(cases[i].body);
		struct cql_failure failure = {0};
		struct cql_server_error error;
		assert_true(cql_error_decode(&body, cases[i].version, &failure, &error));
		assert_true(slice_equal(error.message, SLICE("no")));
		assert_memory_equal(&failure, &cases[i].wanted, sizeof(failure));
		assert_int_equal(cql_error_kind(&failure), cases[i].kind);
	}
}

static void an_error_that_ends_early_keeps_its_code(void **state)
{
	(void)state;
	struct cql_failure failure = {0};
	struct cql_server_error error;
	struct reader body = reader_of(SLICE("\0\0\x11\0" MESSAGE "\0\6\0\0"));
	assert_false(cql_error_decode(&body, 4, &failure, &error));
	assert_int_equal(failure.code, CQL_WRITE_TIMEOUT);
	body = reader_of(SLICE("\0\0\x11"));
	assert_false(cql_error_decode(&body, 4, &failure, &error));
	assert_int_equal(failure.code, CQL_PROTOCOL_ERROR);
}

static void silence_is_certain_only_when_nothing_was_sent(void **state)
{
	(void)state;
	struct cql_failure failure = {.code = CQL_CONNECTION_LOST};
	assert_int_equal(cql_error_kind(&failure), ERR_UNAVAILABLE);
	failure.may_have_been_sent = true;
	assert_int_equal(cql_error_kind(&failure), ERR_TIMEOUT);
}

/* ---- requests ---- */

static void then_request_is(struct op *op, const struct cql_request *request, uint8_t version,
	enum cql_opcode opcode, struct slice wanted)
{
	static const struct cql_statement_id ids[2] = {
		{SLICE_INIT("I1"), SLICE_INIT("R1")}, {SLICE_INIT("I2"), SLICE_INIT("R2")}};
	struct buf out = buf_in(&op->arena);
	assert_int_equal(cql_put_request(&out, version, request, ids, version >= 5), opcode);
	assert_int_equal(out.len, wanted.len);
	assert_memory_equal(out.ptr, wanted.ptr, wanted.len);
}

static void requests_are_laid_out_as_the_protocol_says(void **state)
{
	struct op *op = *state;
	struct cql_statement *prepared = (struct cql_statement *)op; /* never looked into */
	const struct cql_value values[] = {
		cql_from_bytes(SLICE("v")), {.length = CQL_NULL}, {.length = CQL_UNSET}};
	const struct cql_bound text = {.text = "SELECT"};
	const struct cql_bound bound[] = {
		{.statement = prepared, .values = values, .value_count = 3}, {.text = "X"}};

	struct cql_request request = {.statements = &text, .count = 1, .level = CQL_QUORUM};
	then_request_is(op, &request, 4, CQL_OP_QUERY, SLICE("\0\0\0\6SELECT\0\4\0"));
	then_request_is(op, &request, 5, CQL_OP_QUERY, SLICE("\0\0\0\6SELECT\0\4\0\0\0\0"));

	request = (struct cql_request){.statements = bound,
		.count = 1,
		.level = CQL_ONE,
		.serial_level = CQL_LOCAL_SERIAL,
		.has_timestamp = true,
		.timestamp_us = 258,
		.page_rows = 10,
		.paging_state = SLICE("P")};
	then_request_is(op, &request, 4, CQL_OP_EXECUTE,
		SLICE("\0\2I1\0\1\x3d\0\3\0\0\0\1v\xff\xff\xff\xff\xff\xff\xff\xfe"
		      "\0\0\0\x0a\0\0\0\1P\0\x09\0\0\0\0\0\0\1\2"));
	then_request_is(op, &request, 5, CQL_OP_EXECUTE,
		SLICE("\0\2I1\0\2R1\0\1\0\0\0\x3f\0\3\0\0\0\1v\xff\xff\xff\xff\xff\xff\xff\xfe"
		      "\0\0\0\x0a\0\0\0\1P\0\x09\0\0\0\0\0\0\1\2"));

	request = (struct cql_request){.statements = bound,
		.count = 2,
		.batch = CQL_BATCH_UNLOGGED,
		.level = CQL_EACH_QUORUM,
		.serial_level = CQL_SERIAL};
	then_request_is(op, &request, 4, CQL_OP_BATCH,
		SLICE("\1\0\2\1\0\2I1\0\3\0\0\0\1v\xff\xff\xff\xff\xff\xff\xff\xfe"
		      "\0\0\0\0\1X\0\0\0\7\x10\0\x08"));
	request.batch = CQL_BATCH_LOGGED;
	request.serial_level = CQL_ANY;
	request.statements = bound + 1;
	request.count = 1;
	then_request_is(op, &request, 5, CQL_OP_BATCH, SLICE("\0\0\1\0\0\0\0\1X\0\0\0\7\0\0\0\0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_keep_what_they_were_made_of),
		TEST(values_of_another_length_are_none),
		TEST(a_routing_key_of_several_columns_is_composite),
		TEST(a_frame_is_found_when_it_is_whole),
		TEST(what_no_server_sends_is_no_frame),
		TEST(a_compressed_frame_is_what_it_was),
		TEST(a_lying_compressed_frame_costs_no_memory),
		TEST(a_prelude_is_read_off),
		TEST(segments_carry_frames_of_any_size),
		TEST(a_damaged_segment_is_seen),
		TEST(rows_are_decoded),
		TEST(a_result_cut_anywhere_is_an_error),
		TEST(columns_not_repeated_are_those_known),
		TEST(counts_that_lie_are_refused),
		TEST(every_error_has_its_fields),
		TEST(an_error_that_ends_early_keeps_its_code),
		TEST(silence_is_certain_only_when_nothing_was_sent),
		TEST(requests_are_laid_out_as_the_protocol_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
