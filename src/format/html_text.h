#pragma once

/* The words of an HTML document, as a reader sees them, for searching: tags, comments, scripts and
 * styles dropped, character references decoded, white space collapsed, a line break where a block
 * begins or ends. What a reader may look for although it is not shown (the target of a link, the
 * description of a picture) stands behind the text. Broken HTML gives what can be made of it; time
 * and memory are linear. Pure, any thread. */

#include "base/arena.h"

/* UTF-8 to UTF-8; never longer than four times the document. */
struct slice html_to_text(struct arena *arena, struct slice html);
