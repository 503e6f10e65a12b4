#include <assert.h>

#include "format/charset.h"
#include "format/html_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena arena;
	struct slice html = slice_of(bytes, size);
	arena_init(&arena);
	struct slice text = html_to_text(&arena, html);
	assert(text.len <= size * 4 + 4);
	/* Nothing is cut within a character. */
	assert(utf8_is_valid(text) || !utf8_is_valid(html));
	arena_done(&arena);
	return 0;
}
