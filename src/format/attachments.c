#include "format/attachments.h"

#include "format/encoding.h"
#include "format/mime.h"

bool media_type_is_listed(const char *list, struct slice type, struct slice subtype)
{
	struct slice rest = slice_from_cstr(list ? list : "");
	struct slice one;
	while (slice_split(&rest, ' ', &one)) {
		size_t slash = slice_find(one, SLICE("/"));
		struct slice wanted = slice_from(one, MIN_OF(slash + 1, one.len));
		if (slash < one.len && slice_equal_nocase(slice_range(one, 0, slash), type) &&
			(slice_equal(wanted, SLICE("*")) || slice_equal_nocase(wanted, subtype)))
			return true;
	}
	return false;
}

static bool is_attached(const struct mime_part *part, const struct attachment_rules *rules)
{
	size_t length = part->body_end - part->body_start;
	return part->kind == MIME_LEAF && length && length <= rules->bytes &&
	       !media_type_is_listed(rules->left_out, part->type, part->subtype);
}

static const struct mime_part *next_attached(const struct mime_part *root,
	const struct mime_part *part, const struct attachment_rules *rules)
{
	while (part && !is_attached(part, rules))
		part = mime_next(root, part);
	return part;
}

void attachments_visit(struct arena *arena, struct slice message,
	const struct attachment_rules *rules, attachment_visitor visit, void *context)
{
	struct arena_mark mark = arena_mark(arena);
	const struct mime_part *root = mime_scan(arena, message);
	const struct mime_part *part = next_attached(root, root, rules);
	bool goes_on = true;
	for (size_t i = 0; part && goes_on && i < ATTACHMENTS_MOST; i++) {
		struct arena_mark round = arena_mark(arena);
		goes_on = visit(context, arena,
			transfer_decode(arena, transfer_encoding_of(part->encoding),
				mime_body(part, message)));
		arena_release(arena, round);
		part = next_attached(root, mime_next(root, part), rules);
	}
	arena_release(arena, mark);
}

bool attachments_are_there(
	struct arena *arena, struct slice message, const struct attachment_rules *rules)
{
	struct arena_mark mark = arena_mark(arena);
	const struct mime_part *root = mime_scan(arena, message);
	bool are_there = next_attached(root, root, rules);
	arena_release(arena, mark);
	return are_there;
}
