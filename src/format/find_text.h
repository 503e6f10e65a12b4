#pragma once

/* The texts of a message as people see them (encoded words and transfer encodings decoded,
 * charsets made equal, HTML without its tags), and whether one of them holds a needle. What is
 * indexed is made of the same texts (format/search_texts.h), so the two agree. Needles are folded
 * (utf8_fold). Pure, any thread. */

#include "base/arena.h"
#include "format/mime.h"

/* Takes one text, UTF-8, that lives as long as the call; false: no more are wanted. */
typedef bool (*text_visitor)(void *context, struct arena *arena, struct slice text);

/* The text of a leaf of type text, UTF-8; of at most its first `most` encoded bytes. */
struct slice part_text(
	struct arena *arena, struct slice message, const struct mime_part *part, size_t most);

/* Each text of the body: text parts, the fields of messages within it, names of attachments; not
 * what is attached as something else. What was allocated is released after each part: a visitor
 * that keeps anything takes it from elsewhere. */
void body_texts_visit(struct arena *arena, struct slice message, text_visitor visit, void *context);

/* Some field of the header holds it, its name included. */
bool header_contains(struct arena *arena, struct slice header, struct slice folded);

/* Some text of the body holds it. */
bool body_contains(struct arena *arena, struct slice message, struct slice folded);
