#include <assert.h>
#include <stdlib.h>

#include "format/charset.h"
#include "format/envelope_texts.h"
#include "format/mime.h"
#include "format/preview.h"
#include "format/summary.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Any bytes are a message; its parts lie within it and within their parents. Its envelope is read
 * back, and so are the bytes themselves, as a row that is damaged would be. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	AUTO_OP(op, "fuzz");
	struct slice message = slice_of(bytes, size);
	struct message_summary summary;
	if (mime_summarise(&op, message, &summary))
		abort();
	struct envelope_texts texts;
	envelope_texts_read(&op.arena, summary.envelope, &texts);
	envelope_texts_read(&op.arena, message, &texts);
	struct slice preview = preview_make(&op.arena, message);
	assert(utf8_is_valid(preview) && preview.len <= PREVIEW_CHARACTERS_MAX * 4);
	const struct mime_part *root = mime_scan(&op.arena, message);
	for (const struct mime_part *part = root; part; part = mime_next(root, part)) {
		assert(part->header_start <= part->body_start);
		assert(part->body_start <= part->body_end && part->body_end <= size);
		assert(!part->parent || (part->header_start >= part->parent->body_start &&
						part->body_end <= part->parent->body_end));
		assert((part->kind == MIME_LEAF) == !part->first_child);
	}
	return 0;
}
