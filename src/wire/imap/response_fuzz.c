#include "base/op.h"
#include "wire/imap/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct imap_limits_of_source limits = {
	.text_bytes = 4000, .literal_bytes = 2000, .literals = 4};

static void read_data(struct op *op, const struct imap_response *response)
{
	struct imap_fetched fetched;
	struct imap_listed listed;
	struct imap_namespaces namespaces;
	struct slice rest = response->rest;
	uint32_t number;
	if (imap_fetched_parse(&op->arena, rest, &fetched) && fetched.flag_count > IMAP_FLAGS_MOST)
		__builtin_trap();
	if (imap_listed_parse(&op->arena, rest, &listed) && !listed.name.len)
		__builtin_trap();
	(void)imap_namespaces_parse(&op->arena, rest, &namespaces);
	while (imap_search_next(&rest, &number))
		if (!number)
			__builtin_trap();
}

/* All at once and byte by byte the same is cut off. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_OP(op, "fuzz");
	struct slice rest = slice_of(data, size);
	while (rest.len) {
		struct imap_cutter cutter = {0};
		struct imap_cutter slow = {0};
		struct imap_response response;
		size_t len = 0;
		size_t slow_len = 0;
		enum imap_cut slow_cut = IMAP_CUT_MORE;
		enum imap_cut cut = imap_cut(&cutter, &limits, rest, &len);
		for (size_t i = 1; i <= rest.len && slow_cut == IMAP_CUT_MORE; i++)
			slow_cut = imap_cut(&slow, &limits, slice_range(rest, 0, i), &slow_len);
		if (cut != slow_cut || len != slow_len)
			__builtin_trap();
		if (cut != IMAP_CUT_WHOLE)
			break;
		if (!len || len > rest.len)
			__builtin_trap();
		if (imap_response_parse(slice_range(rest, 0, len), &response))
			read_data(&op, &response);
		rest = slice_from(rest, len);
	}
	return 0;
}
