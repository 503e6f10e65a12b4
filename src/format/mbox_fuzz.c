#include <assert.h>

#include "format/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No byte is lost between the messages but their "From " lines and the empty lines behind them. */
static void check_mbox(struct arena *arena, struct slice rest)
{
	struct mbox_message message;
	while (mbox_next(&rest, &message)) {
		struct slice content = mbox_content(arena, message.body, MBOX_RD);
		assert(content.len <= 2 * message.body.len);
		assert(mbox_content(arena, message.body, MBOX_O).len >= content.len);
		mbox_status(arena, content);
		for (size_t i = 0; i < content.len; i++)
			assert(content.ptr[i] != '\n' || (i && content.ptr[i - 1] == '\r'));
	}
	assert(!rest.len || !slice_starts_with(rest, SLICE("From ")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct slice path;
	struct slice part;
	struct slice bytes = slice_of(data, size);
	arena_init(&arena);
	check_mbox(&arena, bytes);
	maildir_name_parse(bytes);
	if (maildir_folder_parse(&arena, bytes, &path))
		while (slice_split(&path, '/', &part))
			assert(part.len && !memchr(part.ptr, '\0', part.len));
	arena_done(&arena);
	return 0;
}
