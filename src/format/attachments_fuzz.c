/* A mail whose attachments are looked for. The first line says which media types are left out. */

#include <stdlib.h>

#include "format/attachments.h"
#include "format/charset.h"
#include "format/mime.h"
#include "format/search_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct seen {
	size_t count, bytes;
};

/* What something else makes of it is any bytes at all. */
static bool see(void *context, struct arena *arena, struct slice content)
{
	struct seen *seen = context;
	seen->count++;
	seen->bytes += content.len;
	search_words_make(arena, TEXT_BODY, utf8_fold(arena, content));
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena arena;
	struct seen seen = {0};
	struct slice message = slice_of(bytes, size);
	struct slice line = SLICE_NONE;
	arena_init(&arena);
	mime_limits = (struct mime_limits){20, 100};
	slice_split(&message, '\n', &line);
	const struct attachment_rules rules = {arena_cstr(&arena, line), 2000};
	attachments_visit(&arena, message, &rules, see, &seen);
	if (seen.count > ATTACHMENTS_MOST || seen.bytes > message.len ||
		(seen.count > 0) != attachments_are_there(&arena, message, &rules))
		abort();
	arena_done(&arena);
	return 0;
}
