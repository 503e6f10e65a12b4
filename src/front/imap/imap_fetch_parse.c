#include "front/imap/imap_fetch.h"

struct item_name {
	struct slice name;
	enum fetch_kind kind;
	enum fetch_need need;
	enum { PLAIN, TAKES_SECTION } form;
	bool sets_seen;
	enum section_text text; /* RFC822.HEADER and RFC822.TEXT */
};

static const struct item_name item_names[] = {
	{SLICE_INIT("UID"), FETCH_UID, FETCH_NEEDS_SNAPSHOT, PLAIN},
	{SLICE_INIT("FLAGS"), FETCH_FLAGS, FETCH_NEEDS_SNAPSHOT, PLAIN},
	{SLICE_INIT("MODSEQ"), FETCH_MODSEQ, FETCH_NEEDS_SNAPSHOT, PLAIN},
	{SLICE_INIT("INTERNALDATE"), FETCH_INTERNALDATE, FETCH_NEEDS_ROW, PLAIN},
	{SLICE_INIT("SAVEDATE"), FETCH_SAVEDATE, FETCH_NEEDS_ROW, PLAIN},
	{SLICE_INIT("RFC822.SIZE"), FETCH_SIZE, FETCH_NEEDS_ROW, PLAIN},
	{SLICE_INIT("EMAILID"), FETCH_EMAILID, FETCH_NEEDS_ROW, PLAIN},
	{SLICE_INIT("THREADID"), FETCH_THREADID, FETCH_NEEDS_SNAPSHOT, PLAIN},
	{SLICE_INIT("ENVELOPE"), FETCH_ENVELOPE, FETCH_NEEDS_SUMMARY, PLAIN},
	{SLICE_INIT("BODYSTRUCTURE"), FETCH_BODYSTRUCTURE, FETCH_NEEDS_SUMMARY, PLAIN},
	{SLICE_INIT("BODY"), FETCH_BODY, FETCH_NEEDS_SUMMARY, PLAIN},
	{SLICE_INIT("BODY"), FETCH_SECTION, FETCH_NEEDS_CONTENT, TAKES_SECTION, true},
	{SLICE_INIT("BODY.PEEK"), FETCH_SECTION, FETCH_NEEDS_CONTENT, TAKES_SECTION, false},
	{SLICE_INIT("BINARY"), FETCH_BINARY, FETCH_NEEDS_CONTENT, TAKES_SECTION, true},
	{SLICE_INIT("BINARY.PEEK"), FETCH_BINARY, FETCH_NEEDS_CONTENT, TAKES_SECTION, false},
	{SLICE_INIT("BINARY.SIZE"), FETCH_BINARY_SIZE, FETCH_NEEDS_CONTENT, TAKES_SECTION, false},
	{SLICE_INIT("PREVIEW"), FETCH_PREVIEW, FETCH_NEEDS_CONTENT, PLAIN},
	{SLICE_INIT("RFC822"), FETCH_SECTION, FETCH_NEEDS_CONTENT, PLAIN, true, SECTION_ALL},
	{SLICE_INIT("RFC822.HEADER"), FETCH_SECTION, FETCH_NEEDS_CONTENT, PLAIN, false,
		SECTION_HEADER},
	{SLICE_INIT("RFC822.TEXT"), FETCH_SECTION, FETCH_NEEDS_CONTENT, PLAIN, true, SECTION_TEXT},
};

static const struct {
	struct slice name;
	const char *items;
} macros[] = {
	{SLICE_INIT("ALL"), "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE"},
	{SLICE_INIT("FAST"), "FLAGS INTERNALDATE RFC822.SIZE"},
	{SLICE_INIT("FULL"), "FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY"},
};

static const struct {
	struct slice name;
	enum section_text text;
} section_names[] = {
	{SLICE_INIT("HEADER.FIELDS.NOT"), SECTION_FIELDS_NOT},
	{SLICE_INIT("HEADER.FIELDS"), SECTION_FIELDS},
	{SLICE_INIT("HEADER"), SECTION_HEADER},
	{SLICE_INIT("TEXT"), SECTION_TEXT},
	{SLICE_INIT("MIME"), SECTION_MIME},
};

static struct error *take_section_text(
	struct op *op, struct imap_args *args, struct section *section)
{
	struct imap_words words;
	for (size_t i = 0; i < ARRAY_SIZE(section_names); i++) {
		if (!imap_take_word(args, section_names[i].name))
			continue;
		section->text = section_names[i].text;
		if (section->text == SECTION_MIME && section->part_count == 0)
			return imap_bad(op, args, "MIME needs a part");
		if (section->text != SECTION_FIELDS && section->text != SECTION_FIELDS_NOT)
			return NULL;
		TRY(imap_space(op, args));
		TRY(imap_astring_list(op, args, &words));
		section->fields = words.items;
		section->field_count = words.count;
		return words.count ? NULL : imap_bad(op, args, "A list of fields is empty");
	}
	return imap_bad(op, args, "There is no such section");
}

/* Behind the `[`, up to and with the `]`. */
struct error *imap_section(struct op *op, struct imap_args *args, struct section *section)
{
	bool dotted = true;
	while (dotted && args->rest.len && ascii_is_digit(args->rest.ptr[0])) {
		uint32_t number;
		TRY(imap_u32(op, args, &number));
		if (number == 0 || section->part_count == MIME_DEPTH_MAX)
			return imap_bad(op, args, "There is no such part");
		section->parts[section->part_count++] = number;
		dotted = imap_take_char(args, '.');
	}
	if (imap_next_is(args, ']') && section->part_count && dotted)
		return imap_bad(op, args, "A part number ends in a dot");
	if (!imap_next_is(args, ']')) {
		if (!dotted)
			return imap_bad(op, args, "A dot is missing in a section");
		TRY(take_section_text(op, args, section));
	}
	if (!imap_take_char(args, ']'))
		return imap_bad(op, args, "A section is not closed");
	return NULL;
}

/* "<0.1024>" */
static struct error *take_partial(struct op *op, struct imap_args *args, struct fetch_item *item)
{
	if (!imap_take_char(args, '<'))
		return NULL;
	TRY(imap_u32(op, args, &item->offset));
	if (!imap_take_char(args, '.'))
		return imap_bad(op, args, "A partial fetch has two numbers");
	TRY(imap_u32(op, args, &item->length));
	if (item->length == 0 || !imap_take_char(args, '>'))
		return imap_bad(op, args, "A partial fetch cannot be read");
	item->has_partial = true;
	return NULL;
}

/* "BODY[…]" with the section as the client wrote it. */
static struct slice section_label(
	struct op *op, const struct item_name *name, struct slice section_text)
{
	const char *base = name->kind == FETCH_SECTION  ? "BODY["
			   : name->kind == FETCH_BINARY ? "BINARY["
							: "BINARY.SIZE[";
	struct buf label = buf_in(&op->arena);
	buf_append(&label, slice_from_cstr(base));
	buf_append(&label, section_text);
	return buf_as_slice(&label);
}

static struct slice take_name(struct imap_args *args)
{
	size_t len = 0;
	while (len < args->rest.len &&
		(ascii_is_alpha(args->rest.ptr[len]) || ascii_is_digit(args->rest.ptr[len]) ||
			args->rest.ptr[len] == '.'))
		len++;
	struct slice name = slice_range(args->rest, 0, len);
	args->rest = slice_from(args->rest, len);
	return name;
}

static void note_item(struct fetch_request *request, const struct item_name *name)
{
	request->need = MAX_OF(request->need, name->need);
	request->sets_seen |= name->sets_seen;
	request->wants_uid |= name->kind == FETCH_UID;
	request->wants_flags |= name->kind == FETCH_FLAGS;
	request->wants_modseq |= name->kind == FETCH_MODSEQ;
}

static struct error *take_item(struct op *op, struct imap_args *args, struct fetch_request *request)
{
	struct slice text = take_name(args);
	bool has_section = imap_next_is(args, '[');
	for (size_t i = 0; i < ARRAY_SIZE(item_names); i++) {
		const struct item_name *name = &item_names[i];
		if (!slice_equal_nocase(text, name->name) ||
			has_section != (name->form == TAKES_SECTION))
			continue;
		if (request->item_count == FETCH_ITEMS_MAX)
			return imap_bad(op, args, "Too many items");
		struct fetch_item *item = &request->items[request->item_count++];
		*item = (struct fetch_item){.kind = name->kind, .label = name->name};
		item->section.text = name->text;
		note_item(request, name);
		/* RFC 8970 3.1; any other list behind it is the command's modifiers. */
		if (name->kind == FETCH_PREVIEW)
			item->is_lazy = imap_take_word(args, SLICE(" (LAZY)"));
		if (!has_section)
			return NULL;
		imap_take_char(args, '[');
		const char *start = args->rest.ptr;
		TRY(imap_section(op, args, &item->section));
		if (name->kind != FETCH_SECTION && item->section.text != SECTION_ALL)
			return imap_bad(op, args, "BINARY takes part numbers only");
		item->label =
			section_label(op, name, slice_of(start, (size_t)(args->rest.ptr - start)));
		return name->kind == FETCH_BINARY_SIZE ? NULL : take_partial(op, args, item);
	}
	return imap_bad(op, args, "There is no such item");
}

static struct error *take_items(
	struct op *op, struct imap_args *args, struct fetch_request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(macros); i++) {
		if (!imap_take_word(args, macros[i].name))
			continue;
		struct imap_args inner = *args;
		inner.rest = slice_from_cstr(macros[i].items);
		do {
			TRY(take_item(op, &inner, request));
		} while (imap_take_char(&inner, ' '));
		return NULL;
	}
	if (!imap_take_char(args, '('))
		return take_item(op, args, request);
	do {
		TRY(take_item(op, args, request));
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return NULL;
}

/* "(CHANGEDSINCE 12345 VANISHED PARTIAL 1:50)" (RFC 7162 3.1.4 and 3.2.6, RFC 9394 3.3) */
static struct error *take_modifiers(
	struct op *op, struct imap_args *args, struct fetch_request *request)
{
	if (!imap_take_char(args, ' '))
		return NULL;
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "FETCH modifiers are a list");
	do {
		if (imap_take_word(args, SLICE("CHANGEDSINCE"))) {
			TRY(imap_space(op, args));
			TRY(imap_u64(op, args, &request->changed_since));
			request->has_changed_since = true;
		} else if (imap_take_word(args, SLICE("VANISHED"))) {
			request->wants_vanished = true;
		} else if (imap_take_word(args, SLICE("PARTIAL"))) {
			TRY(imap_space(op, args));
			TRY(imap_page_range(op, args, &request->page));
		} else {
			return imap_bad(op, args, "There is no such FETCH modifier");
		}
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	if (request->page.is_wanted && !args->is_uid)
		return imap_bad(op, args, "PARTIAL is for UID FETCH");
	if (request->wants_vanished && !(request->has_changed_since && args->is_uid))
		return imap_bad(op, args, "VANISHED is for UID FETCH with CHANGEDSINCE");
	return NULL;
}

struct error *imap_fetch_items(
	struct op *op, struct imap_args *args, struct fetch_request *ret_request)
{
	*ret_request = (struct fetch_request){
		.items = ARENA_ARRAY(&op->arena, struct fetch_item, FETCH_ITEMS_MAX)};
	return take_items(op, args, ret_request);
}

struct error *imap_fetch_parse(
	struct op *op, struct imap_args *args, struct fetch_request *ret_request)
{
	*ret_request = (struct fetch_request){
		.items = ARENA_ARRAY(&op->arena, struct fetch_item, FETCH_ITEMS_MAX),
		.by_uid = args->is_uid};
	TRY(imap_space(op, args));
	TRY(imap_sequence(op, args, &ret_request->messages));
	TRY(imap_space(op, args));
	TRY(take_items(op, args, ret_request));
	TRY(take_modifiers(op, args, ret_request));
	return imap_end(op, args);
}
