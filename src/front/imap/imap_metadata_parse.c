#include "front/imap/imap_metadata.h"

/* RFC 5464 3.2: no wildcards, nothing but printable ASCII, no empty part. */
static bool is_entry_name(struct slice name)
{
	if (name.len > METADATA_NAME_MAX || slice_ends_with(name, SLICE("/")) ||
		slice_find(name, SLICE("//")) < name.len)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] < ' ' || name.ptr[i] >= 0x7f || name.ptr[i] == '*' ||
			name.ptr[i] == '%')
			return false;
	return slice_starts_with(name, SLICE("/private/")) ||
	       slice_starts_with(name, SLICE("/shared/")) || slice_equal(name, SLICE("/private")) ||
	       slice_equal(name, SLICE("/shared"));
}

/* What can hold a value: not the two roots, and vendors' names of four parts or more. */
static bool may_be_set(struct slice name)
{
	size_t parts = 0;
	for (size_t i = 0; i < name.len; i++)
		parts += name.ptr[i] == '/';
	bool is_vendor = slice_starts_with(name, SLICE("/private/vendor")) ||
			 slice_starts_with(name, SLICE("/shared/vendor"));
	return parts >= (is_vendor ? 4 : 2);
}

static struct error *take_name(struct op *op, struct imap_args *args, struct slice *ret_name)
{
	struct slice name;
	TRY(imap_astring(op, args, &name));
	char *lower = arena_alloc_raw(&op->arena, name.len + 1);
	for (size_t i = 0; i < name.len; i++)
		lower[i] = ascii_lower(name.ptr[i]);
	*ret_name = slice_of(lower, name.len);
	return is_entry_name(*ret_name) ? NULL : imap_bad(op, args, "That is no name of an entry");
}

static struct error *take_path(struct op *op, struct imap_args *args, struct slice *ret_path)
{
	TRY(imap_space(op, args));
	return imap_mailbox(op, args, ret_path);
}

struct error *imap_metadata_names(
	struct op *op, struct imap_args *args, struct imap_words *ret_names)
{
	struct imap_words names = {.items = ARENA_ARRAY(&op->arena, struct slice, 1)};
	size_t capacity = 1;
	bool is_list = imap_take_char(args, '(');
	do {
		if (names.count == METADATA_NAMES_MAX)
			return imap_bad(op, args, "Too many entries");
		if (names.count == capacity) {
			names.items =
				arena_grow(&op->arena, names.items, capacity * sizeof(struct slice),
					2 * capacity * sizeof(struct slice));
			capacity *= 2;
		}
		TRY(take_name(op, args, &names.items[names.count++]));
	} while (is_list && imap_take_char(args, ' '));
	if (is_list && !imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	*ret_names = names;
	return NULL;
}

static struct error *take_depth(struct op *op, struct imap_args *args, struct getmetadata *request)
{
	if (imap_take_word(args, SLICE("0")))
		request->depth = METADATA_DEPTH_0;
	else if (imap_take_word(args, SLICE("1")))
		request->depth = METADATA_DEPTH_1;
	else if (imap_take_word(args, SLICE("infinity")))
		request->depth = METADATA_DEPTH_INFINITY;
	else
		return imap_bad(op, args, "DEPTH is 0, 1 or infinity");
	return NULL;
}

/* "(MAXSIZE 1024 DEPTH 1)" */
static struct error *take_options(
	struct op *op, struct imap_args *args, struct getmetadata *request)
{
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "Options are a list");
	do {
		if (imap_take_word(args, SLICE("MAXSIZE"))) {
			request->has_max_size = true;
			TRY(imap_space(op, args));
			TRY(imap_u64(op, args, &request->max_size));
		} else if (imap_take_word(args, SLICE("DEPTH"))) {
			TRY(imap_space(op, args));
			TRY(take_depth(op, args, request));
		} else {
			return imap_bad(op, args, "There is no such option");
		}
	} while (imap_take_char(args, ' '));
	return imap_take_char(args, ')') ? NULL : imap_bad(op, args, "A list is not closed");
}

static bool options_follow(const struct imap_args *args)
{
	return slice_starts_with_nocase(args->rest, SLICE(" (MAXSIZE")) ||
	       slice_starts_with_nocase(args->rest, SLICE(" (DEPTH"));
}

/* The RFC's grammar has the options before the mailbox, its examples behind it: either is taken. */
struct error *imap_getmetadata_parse(
	struct op *op, struct imap_args *args, struct getmetadata *ret_request)
{
	*ret_request = (struct getmetadata){0};
	bool has_options = slice_starts_with(args->rest, SLICE(" ("));
	if (has_options) {
		TRY(imap_space(op, args));
		TRY(take_options(op, args, ret_request));
	}
	TRY(take_path(op, args, &ret_request->path));
	if (!has_options && options_follow(args)) {
		TRY(imap_space(op, args));
		TRY(take_options(op, args, ret_request));
	}
	TRY(imap_space(op, args));
	TRY(imap_metadata_names(op, args, &ret_request->names));
	return imap_end(op, args);
}

static struct error *take_entry(
	struct op *op, struct imap_args *args, struct metadata_entry *ret_entry)
{
	*ret_entry = (struct metadata_entry){0};
	TRY(take_name(op, args, &ret_entry->name));
	if (!may_be_set(ret_entry->name))
		return imap_bad(op, args, "Such an entry holds no value");
	TRY(imap_space(op, args));
	if (imap_take_word(args, SLICE("NIL"))) {
		ret_entry->is_absent = true;
		return NULL;
	}
	return imap_value(op, args, &ret_entry->value);
}

struct error *imap_setmetadata_parse(
	struct op *op, struct imap_args *args, struct setmetadata *ret_request)
{
	*ret_request = (struct setmetadata){0};
	size_t capacity = 0;
	TRY(take_path(op, args, &ret_request->path));
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "Entries are a list");
	do {
		if (ret_request->count == METADATA_NAMES_MAX)
			return imap_bad(op, args, "Too many entries");
		if (ret_request->count == capacity) {
			size_t larger = capacity * 2 + 4;
			ret_request->entries = arena_grow(&op->arena, ret_request->entries,
				capacity * sizeof(struct metadata_entry),
				larger * sizeof(struct metadata_entry));
			capacity = larger;
		}
		TRY(take_entry(op, args, &ret_request->entries[ret_request->count++]));
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return imap_end(op, args);
}
