#pragma once

/* The structure of a message (RFC 2045, 2046): one pass over its bytes gives a tree of parts with
 * exact byte ranges. Nothing is decoded and nothing copied; every slice borrows from the message or
 * lives in the arena. Lines may end in CRLF or LF. Broken mail gets the tree a lenient reader would
 * see. Pure, any thread. */

#include "base/setting.h"

#define MIME_DEPTH_MAX 100
#define MIME_PARTS_MAX 10000

/* What is looked at of a mail, at most the two above. Structure that was printed before a change of
 * them stays as it was printed. */
struct mime_limits {
	uint64_t depth;
	uint64_t parts;
};

extern struct mime_limits mime_limits;
extern const struct setting mime_settings[];
extern const size_t mime_setting_count;
#define MIME_PARAMETERS_MAX 64

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART, /* has at least one child */
	MIME_MESSAGE,   /* has exactly one child: the message within */
};

struct mime_parameter {
	struct slice name;
	struct slice value; /* unquoted; a name ending in `*` is encoded as RFC 2231 has it */
	struct mime_parameter *next;
};

struct mime_part {
	enum mime_kind kind;
	struct mime_part *parent, *first_child, *last_child, *next;
	uint32_t child_count;
	uint32_t depth;

	/* Offsets into the message; the header reaches up to and with its empty line. */
	size_t header_start, body_start, body_end;
	uint32_t lines; /* line breaks in the body */

	struct slice type, subtype;
	struct mime_parameter *parameters;
	struct slice id, description, encoding; /* unfolded; encoding "7BIT" when none is said */
	struct slice md5, language, location;
	struct slice disposition; /* the word alone; empty without the field */
	struct mime_parameter *disposition_parameters;

	/* The scanner's own. */
	struct slice boundary;
	bool closed; /* its last delimiter was seen, or it may have no more parts */
	uint64_t lines_before;
};

/* Never fails, never NULL. A container deeper than mime_limits.depth comes as a leaf of type
 * application/octet-stream; parts past mime_limits.parts belong to the last one's epilogue. */
struct mime_part *mime_scan(struct arena *arena, struct slice message);

static inline struct slice mime_header(const struct mime_part *part, struct slice message)
{
	return slice_range(message, part->header_start, part->body_start);
}

static inline struct slice mime_body(const struct mime_part *part, struct slice message)
{
	return slice_range(message, part->body_start, part->body_end);
}

/* NULL if absent. */
const struct mime_parameter *mime_parameter_find(
	const struct mime_parameter *first, struct slice name);

/* Depth first, parents before children; NULL after the last. */
const struct mime_part *mime_next(const struct mime_part *root, const struct mime_part *part);
