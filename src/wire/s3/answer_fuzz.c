#include <assert.h>

#include "wire/s3/s3_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_escaping(struct arena *arena, struct slice text)
{
	struct buf out = buf_in(arena);
	struct buf again = buf_in(arena);
	struct xml xml;
	enum xml_event event;
	buf_append(&out, SLICE("<a>"));
	xml_escape(&out, text);
	buf_append(&out, SLICE("</a>"));
	xml_init(&xml, arena, buf_as_slice(&out));
	while ((event = xml_next(&xml)) != XML_END) {
		assert(event != XML_BROKEN);
		if (event == XML_TEXT)
			buf_append(&again, xml.text);
	}
	assert(slice_equal(buf_as_slice(&again), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena arena;
	struct slice text = slice_of(bytes, size);
	struct slice name;
	struct s3_listing listing;
	struct s3_uploads uploads;
	uint64_t us;
	arena_init(&arena);
	if (s3_parse_listing(&arena, text, &listing))
		assert(listing.count <= size);
	if (s3_parse_uploads(&arena, text, &uploads))
		for (size_t i = 0; i < uploads.count; i++)
			assert(uploads.items[i].upload_id.len && uploads.items[i].begun_us);
	if (s3_parse_upload_id(&arena, text, &name))
		assert(name.len);
	(void)s3_parse_error(&arena, text, &name);
	(void)s3_parse_time(text, &us);
	check_escaping(&arena, text);
	arena_done(&arena);
	return 0;
}
