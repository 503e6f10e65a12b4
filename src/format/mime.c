#include "format/mime.h"

#include "format/mime_field.h"

/* RFC 2046 allows 70; broken senders write more. Beyond this a boundary never matches. */
#define BOUNDARY_MAX 1000

struct scan {
	struct arena *arena;
	struct slice message;
	struct mime_part *root;
	struct mime_part *current; /* innermost open part */
	size_t at;                 /* start of the line in hand */
	uint64_t lines;            /* line breaks before it */
	uint32_t part_count;
	bool in_header;
};

static struct mime_part *open_part(struct scan *scan, struct mime_part *parent, size_t start)
{
	struct mime_part *part = ARENA_NEW(scan->arena, struct mime_part);
	part->header_start = start;
	part->body_start = start;
	part->body_end = start;
	part->lines_before = scan->lines;
	part->parent = parent;
	if (parent) {
		part->depth = parent->depth + 1;
		if (parent->last_child)
			parent->last_child->next = part;
		else
			parent->first_child = part;
		parent->last_child = part;
		parent->child_count++;
	}
	scan->part_count++;
	scan->current = part;
	scan->in_header = true;
	return part;
}

static bool is_type(const struct mime_part *part, struct slice type, struct slice subtype)
{
	return slice_equal_nocase(part->type, type) &&
	       (subtype.len == 0 || slice_equal_nocase(part->subtype, subtype));
}

static bool is_identity(struct slice encoding)
{
	return slice_equal_nocase(encoding, SLICE("7BIT")) ||
	       slice_equal_nocase(encoding, SLICE("8BIT")) ||
	       slice_equal_nocase(encoding, SLICE("BINARY"));
}

static enum mime_kind kind_of(const struct mime_part *part)
{
	if (is_type(part, SLICE("multipart"), SLICE_NONE))
		return MIME_MULTIPART;
	if (is_type(part, SLICE("message"), SLICE("rfc822")) ||
		is_type(part, SLICE("message"), SLICE("global")))
		return MIME_MESSAGE;
	return MIME_LEAF;
}

/* What cannot be opened must not be called a container: its BODYSTRUCTURE would promise parts. */
static void make_opaque(struct mime_part *part)
{
	part->kind = MIME_LEAF;
	part->type = SLICE("application");
	part->subtype = SLICE("octet-stream");
}

static void set_boundary(struct scan *scan, struct mime_part *part)
{
	struct slice boundary =
		mime_parameter_bytes(scan->arena, part->parameters, SLICE("boundary"));
	/* The delimiter's trailing white space is padding, so the parameter's is too. */
	if (boundary.len <= BOUNDARY_MAX)
		part->boundary = slice_trim(boundary);
}

/* The header of the current part ended before `body`. */
static void end_header(struct scan *scan, size_t body)
{
	struct mime_part *part = scan->current;
	scan->in_header = false;
	part->body_start = body;
	part->body_end = body;
	part->lines_before = scan->lines;
	bool in_digest = part->parent && is_type(part->parent, SLICE("multipart"), SLICE("digest"));
	mime_read_fields(scan->arena, mime_header(part, scan->message), in_digest, part);
	part->kind = kind_of(part);
	if (part->kind == MIME_LEAF)
		return;
	/* One more is kept back for the child that every container has. */
	if (part->depth + 1 >= mime_limits.depth || scan->part_count >= mime_limits.parts ||
		(part->kind == MIME_MESSAGE && !is_identity(part->encoding)))
		make_opaque(part);
	else if (part->kind == MIME_MULTIPART)
		set_boundary(scan, part);
	else
		open_part(scan, part, body);
}

/* A multipart in which no delimiter was found: its text is the one part there is. */
static void add_implicit_child(struct scan *scan, struct mime_part *part)
{
	struct mime_part *child = open_part(scan, part, part->body_start);
	mime_read_fields(scan->arena, SLICE_NONE, false, child);
	child->body_end = part->body_end;
	child->lines = part->lines;
	scan->in_header = false;
}

/* Ends the open parts below `keep` (NULL: all) at `end`, which stands `breaks` line breaks before
 * the line in hand. */
static void close_parts(struct scan *scan, struct mime_part *keep, size_t end, unsigned breaks)
{
	if (scan->in_header) {
		/* May open the message within; then that one's header ends here as well. */
		while (scan->in_header)
			end_header(scan, MAX_OF(end, scan->current->header_start));
	}
	struct mime_part *part = scan->current;
	while (part != keep) {
		struct mime_part *parent = part->parent;
		if (end > part->body_start) {
			part->body_end = end;
			part->lines = (uint32_t)(scan->lines - part->lines_before - breaks);
		}
		if (part->kind == MIME_MULTIPART && !part->first_child)
			add_implicit_child(scan, part);
		/* An empty body begins behind the line break that the delimiter claims: what holds
		 * the part then reaches as far. */
		if (part->body_end > end) {
			end = part->body_end;
			breaks = 0;
		}
		part = parent;
	}
	scan->current = keep;
}

enum delimiter { DELIMITER_NONE, DELIMITER_OPEN, DELIMITER_CLOSE };

/* `line` is without its `--` and line break. */
static enum delimiter match_delimiter(struct slice line, struct slice boundary)
{
	if (boundary.len == 0 || !slice_starts_with(line, boundary))
		return DELIMITER_NONE;
	struct slice rest = slice_from(line, boundary.len);
	if (slice_starts_with(rest, SLICE("--")))
		return DELIMITER_CLOSE;
	/* Anything but padding means another, longer boundary. */
	return slice_trim(rest).len == 0 ? DELIMITER_OPEN : DELIMITER_NONE;
}

/* Offset of the line break before the line in hand: it belongs to the delimiter. */
static size_t before_line_break(const struct scan *scan, unsigned *ret_breaks)
{
	size_t end = scan->at;
	*ret_breaks = 0;
	if (end && scan->message.ptr[end - 1] == '\n') {
		end--;
		*ret_breaks = 1;
		if (end && scan->message.ptr[end - 1] == '\r')
			end--;
	}
	return end;
}

/* True if the line was a delimiter. An outer multipart's delimiter ends the inner ones too. */
static bool handle_delimiter(struct scan *scan, struct slice line, size_t next)
{
	struct slice text = slice_trim(slice_from(line, 2));
	for (struct mime_part *part = scan->current; part; part = part->parent) {
		if (part->closed)
			continue;
		enum delimiter found = match_delimiter(text, part->boundary);
		if (found == DELIMITER_NONE)
			continue;
		unsigned breaks;
		size_t end = before_line_break(scan, &breaks);
		close_parts(scan, part, end, breaks);
		scan->lines += next > scan->at && scan->message.ptr[next - 1] == '\n';
		if (found == DELIMITER_OPEN && scan->part_count < mime_limits.parts)
			open_part(scan, part, next);
		else
			part->closed = true;
		return true;
	}
	return false;
}

static bool is_empty_line(struct slice line)
{
	return slice_equal(line, SLICE("\n")) || slice_equal(line, SLICE("\r\n"));
}

struct mime_part *mime_scan(struct arena *arena, struct slice message)
{
	struct scan scan = {.arena = arena, .message = message};
	scan.root = open_part(&scan, NULL, 0);
	while (scan.at < message.len) {
		struct slice rest = slice_from(message, scan.at);
		size_t length = MIN_OF(slice_find_char(rest, '\n') + 1, rest.len);
		struct slice line = slice_range(rest, 0, length);
		size_t next = scan.at + length;
		bool delimits = length > 2 && line.ptr[0] == '-' && line.ptr[1] == '-' &&
				handle_delimiter(&scan, line, next);
		if (!delimits) {
			scan.lines += line.ptr[length - 1] == '\n';
			if (scan.in_header && is_empty_line(line))
				end_header(&scan, next);
		}
		scan.at = next;
	}
	close_parts(&scan, NULL, message.len, 0);
	return scan.root;
}

const struct mime_parameter *mime_parameter_find(
	const struct mime_parameter *first, struct slice name)
{
	for (const struct mime_parameter *p = first; p; p = p->next)
		if (slice_equal_nocase(p->name, name))
			return p;
	return NULL;
}

const struct mime_part *mime_next(const struct mime_part *root, const struct mime_part *part)
{
	if (part->first_child)
		return part->first_child;
	while (part != root) {
		if (part->next)
			return part->next;
		part = part->parent;
	}
	return NULL;
}
