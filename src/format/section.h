#pragma once

/* What FETCH BODY[...] names (RFC 9051 6.4.5.1), found in a scanned message. Pure, any thread. */

#include "base/buf.h"
#include "format/mime.h"

enum section_text {
	SECTION_ALL, /* the whole message or the part's body */
	SECTION_HEADER,
	SECTION_FIELDS,
	SECTION_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME,
};

struct section {
	uint32_t parts[MIME_DEPTH_MAX];
	size_t part_count;
	enum section_text text;
	const struct slice *fields; /* names, for SECTION_FIELDS and SECTION_FIELDS_NOT */
	size_t field_count;
};

/* The part a number path leads to; NULL if there is none. The empty path is the message. */
const struct mime_part *section_part(
	const struct mime_part *root, const uint32_t *parts, size_t part_count);

/* False if the message has no such section. Borrows from the message unless fields were picked. */
bool section_locate(struct arena *arena, struct slice message, const struct mime_part *root,
	const struct section *section, struct slice *ret_bytes);

/* The fields picked from a header, with the empty line that ends them. */
struct slice section_pick_fields(
	struct arena *arena, struct slice header, const struct section *section);
