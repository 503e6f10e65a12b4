#include "wire/s3/s3_private.h"

#include <time.h>

/* Each answer is walked once, and an element counts only where it belongs: one of the same name
 * elsewhere is not taken for it. A leaf's text may come in pieces. */

struct walk {
	struct xml xml;
	struct buf text;   /* of the element that is open */
	struct slice leaf; /* closed just now, with its text */
	struct slice value;
	enum xml_event event;
};

static void walk_begin(struct walk *walk, struct arena *arena, struct slice body)
{
	*walk = (struct walk){.text = buf_in(arena)};
	xml_init(&walk->xml, arena, body);
}

/* To the next element that opens or closes; false at the end. */
static bool walk_next(struct walk *walk)
{
	for (;;) {
		walk->event = xml_next(&walk->xml);
		switch (walk->event) {
		case XML_TEXT:
			buf_append(&walk->text, walk->xml.text);
			break;
		case XML_OPEN:
			walk->text = buf_in(walk->xml.arena);
			return true;
		case XML_CLOSE:
			walk->leaf = walk->xml.name;
			walk->value = buf_as_slice(&walk->text);
			walk->text = buf_in(walk->xml.arena);
			return true;
		case XML_END:
		case XML_BROKEN:
			return false;
		}
	}
}

/* The element just closed is `name`, right inside the root. */
static bool is_top(const struct walk *walk, struct slice name)
{
	return walk->event == XML_CLOSE && walk->xml.depth == 1 && slice_equal(walk->leaf, name);
}

/* The element just closed is `name`, inside a `parent` that is right inside the root. */
static bool is_within(const struct walk *walk, struct slice parent, struct slice name)
{
	return walk->event == XML_CLOSE && walk->xml.depth == 2 &&
	       slice_equal(walk->xml.open[1], parent) && slice_equal(walk->leaf, name);
}

static bool has_root(const struct walk *walk, struct slice name)
{
	return walk->event != XML_OPEN || walk->xml.depth != 1 || slice_equal(walk->xml.name, name);
}

bool s3_parse_listing(struct arena *arena, struct slice body, struct s3_listing *ret_listing)
{
	struct walk walk;
	struct s3_listing listing = {0};
	size_t room = 0;
	walk_begin(&walk, arena, body);
	while (walk_next(&walk)) {
		if (!has_root(&walk, SLICE("ListBucketResult")))
			return false;
		if (is_top(&walk, SLICE("IsTruncated")))
			listing.is_truncated = slice_equal_nocase(walk.value, SLICE("true"));
		if (!is_within(&walk, SLICE("Contents"), SLICE("Key")))
			continue;
		if (listing.count == room) {
			size_t more = room ? room * 2 : 64;
			listing.keys = arena_grow(arena, listing.keys, room * sizeof(struct slice),
				more * sizeof(struct slice));
			room = more;
		}
		listing.keys[listing.count++] = walk.value;
	}
	*ret_listing = listing;
	return walk.event == XML_END;
}

bool s3_parse_uploads(struct arena *arena, struct slice body, struct s3_uploads *ret_uploads)
{
	struct walk walk;
	struct s3_uploads uploads = {0};
	struct s3_upload upload = {0};
	size_t room = 0;
	walk_begin(&walk, arena, body);
	while (walk_next(&walk)) {
		if (!has_root(&walk, SLICE("ListMultipartUploadsResult")))
			return false;
		if (is_top(&walk, SLICE("IsTruncated")))
			uploads.is_truncated = slice_equal_nocase(walk.value, SLICE("true"));
		else if (is_top(&walk, SLICE("NextKeyMarker")))
			uploads.next_key = walk.value;
		else if (is_top(&walk, SLICE("NextUploadIdMarker")))
			uploads.next_upload_id = walk.value;
		else if (is_within(&walk, SLICE("Upload"), SLICE("Key")))
			upload.key = walk.value;
		else if (is_within(&walk, SLICE("Upload"), SLICE("UploadId")))
			upload.upload_id = walk.value;
		else if (is_within(&walk, SLICE("Upload"), SLICE("Initiated")) &&
			 !s3_parse_time(walk.value, &upload.begun_us))
			return false;
		if (!is_top(&walk, SLICE("Upload")))
			continue;
		if (!upload.key.len || !upload.upload_id.len || !upload.begun_us)
			return false;
		if (uploads.count == room) {
			size_t more = room ? room * 2 : 16;
			uploads.items = arena_grow(arena, uploads.items,
				room * sizeof(struct s3_upload), more * sizeof(struct s3_upload));
			room = more;
		}
		uploads.items[uploads.count++] = upload;
		upload = (struct s3_upload){0};
	}
	*ret_uploads = uploads;
	return walk.event == XML_END;
}

bool s3_parse_upload_id(struct arena *arena, struct slice body, struct slice *ret_upload_id)
{
	struct walk walk;
	struct slice found = SLICE_NONE;
	walk_begin(&walk, arena, body);
	while (walk_next(&walk)) {
		if (!has_root(&walk, SLICE("InitiateMultipartUploadResult")))
			return false;
		if (is_top(&walk, SLICE("UploadId")))
			found = walk.value;
	}
	*ret_upload_id = found;
	return walk.event == XML_END && found.len;
}

bool s3_parse_error(struct arena *arena, struct slice body, struct slice *ret_code)
{
	struct walk walk;
	bool is_error = false;
	walk_begin(&walk, arena, body);
	while (walk_next(&walk)) {
		if (walk.event == XML_OPEN && walk.xml.depth == 1)
			is_error = slice_equal(walk.xml.name, SLICE("Error"));
		bool is_code = (is_error && is_top(&walk, SLICE("Code"))) ||
			       is_within(&walk, SLICE("Error"), SLICE("Code"));
		if (is_code) {
			*ret_code = walk.value;
			return true;
		}
	}
	return false;
}

bool s3_parse_time(struct slice text, uint64_t *ret_us)
{
	char copy[40] = "";
	struct tm time = {0};
	if (text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &time);
	if (!rest)
		return false;
	/* Fractions of a second are of no matter here. */
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	time_t seconds = timegm(&time);
	if (strcmp(rest, "Z") != 0 || seconds <= 0)
		return false;
	*ret_us = (uint64_t)seconds * 1000000;
	return true;
}
