#include <stdlib.h>

#include "base/clock.h"
#include "format/date.h"
#include "import/import_private.h"

/* What one source may have: more is no mail server of a person. */
#define MAILBOXES_MOST 10000
#define UIDS_MOST 4000000

static struct error *broken(struct op *op, const struct source *source, const char *what)
{
	return op_fail(op, ERR_INVALID, SLICE_FMT " sent a broken %s",
		SLICE_ARG(source->request->host), what);
}

/* ---- Mailboxes ---- */

struct listing {
	struct source *source;
	struct imap_namespaces namespaces;
	struct slice capabilities;
	bool is_extended; /* subscriptions come with the list */
	size_t capacity;
};

static struct error *note_capability(
	struct op *op, void *context, const struct imap_response *response)
{
	struct listing *listing = context;
	if (slice_equal_nocase(response->name, SLICE("CAPABILITY")))
		listing->capabilities = arena_dup(&op->arena, response->rest);
	return NULL;
}

static struct error *note_namespaces(
	struct op *op, void *context, const struct imap_response *response)
{
	struct listing *listing = context;
	if (!slice_equal_nocase(response->name, SLICE("NAMESPACE")))
		return NULL;
	struct slice rest = arena_dup(&listing->source->arena, response->rest);
	if (!imap_namespaces_parse(&listing->source->arena, rest, &listing->namespaces))
		return broken(op, listing->source, "NAMESPACE");
	return NULL;
}

static bool has_attribute(const struct imap_listed *listed, struct slice name)
{
	for (size_t i = 0; i < listed->attribute_count; i++)
		if (slice_equal_nocase(listed->attributes[i], name))
			return true;
	return false;
}

/* \All and \Flagged show mail that stands elsewhere; nothing here does. */
static uint32_t special_use_of(const struct imap_listed *listed)
{
	static const struct {
		struct slice name;
		uint32_t use;
	} uses[] = {{SLICE_INIT("\\Archive"), SPECIAL_ARCHIVE},
		{SLICE_INIT("\\Drafts"), SPECIAL_DRAFTS}, {SLICE_INIT("\\Junk"), SPECIAL_JUNK},
		{SLICE_INIT("\\Sent"), SPECIAL_SENT}, {SLICE_INIT("\\Trash"), SPECIAL_TRASH}};
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		if (has_attribute(listed, uses[i].name))
			return uses[i].use;
	return 0;
}

static struct source_mailbox *find_raw(const struct source *source, struct slice raw)
{
	for (size_t i = 0; i < source->count; i++)
		if (slice_equal(source->mailboxes[i].raw, raw))
			return &source->mailboxes[i];
	return NULL;
}

static struct source_mailbox *add_mailbox(struct listing *listing)
{
	struct source *source = listing->source;
	if (source->count == listing->capacity) {
		size_t size = sizeof(*source->mailboxes);
		size_t capacity = listing->capacity ? listing->capacity * 2 : 64;
		source->mailboxes = arena_grow(&source->arena, source->mailboxes,
			listing->capacity * size, capacity * size);
		listing->capacity = capacity;
	}
	struct source_mailbox *mailbox = &source->mailboxes[source->count++];
	*mailbox = (struct source_mailbox){0};
	return mailbox;
}

static struct error *note_listed(struct op *op, void *context, const struct imap_response *response)
{
	struct listing *listing = context;
	struct source *source = listing->source;
	struct imap_listed listed;
	if (!slice_equal_nocase(response->name, SLICE("LIST")))
		return NULL;
	if (!imap_listed_parse(&op->arena, response->rest, &listed))
		return broken(op, source, "LIST");
	if (source->count == MAILBOXES_MOST)
		return op_fail(
			op, ERR_INVALID, "the source has more than %d mailboxes", MAILBOXES_MOST);
	if (source_is_foreign(&listing->namespaces, listed.name))
		return NULL;
	struct source_mailbox *mailbox = add_mailbox(listing);
	mailbox->raw = arena_dup(&source->arena, listed.name);
	mailbox->special_use = special_use_of(&listed);
	mailbox->is_subscribed = has_attribute(&listed, SLICE("\\Subscribed"));
	mailbox->is_selectable = !has_attribute(&listed, SLICE("\\Noselect")) &&
				 !has_attribute(&listed, SLICE("\\NonExistent"));
	source_name(
		&source->arena, source->request, &listing->namespaces, listed.delimiter, mailbox);
	return NULL;
}

static struct error *note_subscribed(
	struct op *op, void *context, const struct imap_response *response)
{
	struct listing *listing = context;
	struct imap_listed listed;
	if (!slice_equal_nocase(response->name, SLICE("LSUB")))
		return NULL;
	if (!imap_listed_parse(&op->arena, response->rest, &listed))
		return broken(op, listing->source, "LSUB");
	struct source_mailbox *mailbox = find_raw(listing->source, listed.name);
	if (mailbox && !has_attribute(&listed, SLICE("\\Noselect")))
		mailbox->is_subscribed = true;
	return NULL;
}

static int compare_raw(const void *left, const void *right)
{
	const struct source_mailbox *a = left;
	const struct source_mailbox *b = right;
	return slice_compare(a->raw, b->raw);
}

/* What the source refuses is asked for without it. */
static struct error *may_refuse(struct error *err)
{
	return err && err->kind == ERR_NOT_FOUND ? NULL : err;
}

static struct error *list_mailboxes(struct op *op, struct source *source)
{
	struct listing listing = {.source = source};
	struct imap_client *client = source->client;
	TRY(imap_client_command(op, client, SLICE("CAPABILITY"), note_capability, &listing));
	if (imap_has_word(listing.capabilities, SLICE("NAMESPACE")))
		TRY(may_refuse(imap_client_command(
			op, client, SLICE("NAMESPACE"), note_namespaces, &listing)));
	listing.is_extended = imap_has_word(listing.capabilities, SLICE("LIST-EXTENDED")) &&
			      imap_has_word(listing.capabilities, SLICE("SPECIAL-USE"));
	TRY(imap_client_command(op, client,
		listing.is_extended ? SLICE("LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)")
				    : SLICE("LIST \"\" \"*\""),
		note_listed, &listing));
	if (!listing.is_extended)
		TRY(may_refuse(imap_client_command(
			op, client, SLICE("LSUB \"\" \"*\""), note_subscribed, &listing)));
	if (source->count)
		qsort(source->mailboxes, source->count, sizeof(*source->mailboxes), compare_raw);
	return NULL;
}

/* ---- Opening ---- */

static void configure(struct source *source)
{
	const struct import_request *request = source->request;
	struct imap_client_config *config = &source->config;
	struct arena *arena = &source->arena;
	config->host = arena_cstr(arena, request->host);
	config->port = request->port;
	config->security = request->security;
	config->ca_pem = request->ca_pem.len ? arena_cstr(arena, request->ca_pem) : NULL;
	config->user = arena_cstr(arena, request->user);
	config->act_as = request->act_as.len ? arena_cstr(arena, request->act_as) : NULL;
	config->password = arena_cstr(arena, request->password);
	config->connect_ms = import_limits.connect_ms;
	config->idle_ms = import_limits.idle_ms;
	config->literal_bytes = (size_t)import_limits.message_bytes;
}

void source_forget_password(struct source *source)
{
	char *password = (char *)(uintptr_t)source->config.password;
	if (password)
		explicit_bzero(password, strlen(password));
	source->config.password = NULL;
}

struct error *source_open(struct op *op, struct source *source)
{
	if (source->client)
		return NULL;
	source_forget_password(source);
	arena_done(&source->arena);
	arena_init(&source->arena);
	source->mailboxes = NULL;
	source->count = 0;
	configure(source);
	TRY(imap_client_open(op, &source->config, &source->client));
	struct error *err = list_mailboxes(op, source);
	if (err && err->kind == ERR_NOT_FOUND)
		err = op_fail(op, ERR_INVALID, "%s", err->message);
	if (err)
		source_close(source);
	return err;
}

void source_close(struct source *source)
{
	imap_client_close(source->client);
	source->client = NULL;
}

/* ---- One mailbox ---- */

static struct error *note_uidvalidity(
	struct op *op, void *context, const struct imap_response *response)
{
	uint32_t *uidvalidity = context;
	if (response->status == IMAP_STATUS_OK)
		(void)imap_code_number(response->code, SLICE("UIDVALIDITY"), uidvalidity);
	return NULL;
}

struct error *source_select(struct op *op, struct source *source,
	const struct source_mailbox *mailbox, uint32_t *ret_uidvalidity)
{
	struct buf command = buf_in(&op->arena);
	uint32_t uidvalidity = 0;
	buf_append(&command, SLICE("EXAMINE \""));
	for (size_t i = 0; i < mailbox->raw.len; i++) {
		if (strchr("\"\\", mailbox->raw.ptr[i]))
			buf_append_char(&command, '\\');
		buf_append_char(&command, mailbox->raw.ptr[i]);
	}
	buf_append_char(&command, '"');
	TRY(imap_client_command(
		op, source->client, buf_as_slice(&command), note_uidvalidity, &uidvalidity));
	if (!uidvalidity)
		return op_fail(op, ERR_NOT_FOUND, "it has no UIDVALIDITY");
	*ret_uidvalidity = uidvalidity;
	return NULL;
}

struct found_uids {
	const struct source *source;
	uint32_t *items;
	size_t count, capacity;
};

static struct error *note_found(struct op *op, void *context, const struct imap_response *response)
{
	struct found_uids *found = context;
	struct slice rest = response->rest;
	uint32_t uid;
	if (!slice_equal_nocase(response->name, SLICE("SEARCH")))
		return NULL;
	while (imap_search_next(&rest, &uid)) {
		if (found->count == UIDS_MOST)
			return op_fail(
				op, ERR_INVALID, "a mailbox has more than %d messages", UIDS_MOST);
		if (found->count == found->capacity) {
			size_t capacity = found->capacity ? found->capacity * 2 : 1024;
			found->items = arena_grow(&op->arena, found->items,
				found->capacity * sizeof(uint32_t), capacity * sizeof(uint32_t));
			found->capacity = capacity;
		}
		found->items[found->count++] = uid;
	}
	return slice_trim(rest).len ? broken(op, found->source, "SEARCH") : NULL;
}

static int compare_uids(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left;
	uint32_t b = *(const uint32_t *)right;
	return a < b ? -1 : a > b;
}

struct error *source_uids(
	struct op *op, struct source *source, uint32_t **ret_uids, size_t *ret_count)
{
	struct found_uids found = {.source = source};
	size_t kept = 0;
	TRY(imap_client_command(op, source->client, SLICE("UID SEARCH ALL"), note_found, &found));
	if (found.count)
		qsort(found.items, found.count, sizeof(uint32_t), compare_uids);
	for (size_t i = 0; i < found.count; i++)
		if (!kept || found.items[kept - 1] != found.items[i])
			found.items[kept++] = found.items[i];
	*ret_uids = found.items;
	*ret_count = kept;
	return NULL;
}

/* ---- Messages ---- */

struct reading {
	struct source *source;
	struct source_message *messages;
	size_t count;
	size_t left; /* bytes of content that may still come */
};

static struct source_message *find_message(const struct reading *reading, uint32_t uid)
{
	for (size_t i = 0; i < reading->count; i++)
		if (reading->messages[i].uid == uid)
			return &reading->messages[i];
	return NULL;
}

static struct error *parse_fetch(struct op *op, struct reading *reading,
	const struct imap_response *response, struct imap_fetched *ret_fetched,
	struct source_message **ret_message)
{
	*ret_message = NULL;
	if (!response->has_number || !slice_equal_nocase(response->name, SLICE("FETCH")))
		return NULL;
	if (!imap_fetched_parse(&op->arena, response->rest, ret_fetched))
		return broken(op, reading->source, "FETCH");
	*ret_message = find_message(reading, ret_fetched->uid);
	return NULL;
}

static struct error *note_facts(struct op *op, void *context, const struct imap_response *response)
{
	struct reading *reading = context;
	struct imap_fetched fetched;
	struct source_message *message;
	TRY(parse_fetch(op, reading, response, &fetched, &message));
	/* Of a message whose flags change meanwhile some facts come alone. */
	if (!message || !fetched.has_flags || !fetched.has_size)
		return NULL;
	message->has_facts = true;
	message->flag_count = fetched.flag_count;
	message->flags = ARENA_ARRAY(&op->arena, struct slice, fetched.flag_count + 1);
	for (size_t i = 0; i < fetched.flag_count; i++)
		message->flags[i] = arena_dup(&op->arena, fetched.flags[i]);
	message->date = arena_dup(&op->arena, fetched.internal_date);
	message->size = fetched.size;
	return NULL;
}

static struct error *note_content(
	struct op *op, void *context, const struct imap_response *response)
{
	struct reading *reading = context;
	struct imap_fetched fetched;
	struct source_message *message;
	TRY(parse_fetch(op, reading, response, &fetched, &message));
	if (!message || !fetched.has_body || message->has_content)
		return NULL;
	if (fetched.body.len > reading->left)
		return op_fail(op, ERR_LIMIT, "messages are larger than the source says");
	reading->left -= fetched.body.len;
	message->has_content = true;
	message->content = fetched.body.ptr ? arena_dup(&op->arena, fetched.body) : SLICE_NONE;
	return NULL;
}

static struct slice fetch_command(
	struct op *op, const struct source_message *messages, size_t count, const char *items)
{
	struct uid_set uids;
	struct buf command = buf_in(&op->arena);
	uid_set_init(&uids, &op->arena);
	for (size_t i = 0; i < count; i++)
		uid_set_add(&uids, messages[i].uid);
	buf_append(&command, SLICE("UID FETCH "));
	uid_set_print(&uids, &command);
	buf_printf(&command, " (%s)", items);
	return buf_as_slice(&command);
}

struct error *source_read_facts(
	struct op *op, struct source *source, struct source_message *messages, size_t count)
{
	struct reading reading = {.source = source, .messages = messages, .count = count};
	return imap_client_command(op, source->client,
		fetch_command(op, messages, count, "UID FLAGS INTERNALDATE RFC822.SIZE"),
		note_facts, &reading);
}

struct error *source_read_content(struct op *op, struct source *source,
	struct source_message *messages, size_t count, size_t most)
{
	struct reading reading = {.source = source,
		.messages = messages,
		.count = count,
		.left = most + source->config.literal_bytes};
	return imap_client_command(op, source->client,
		fetch_command(op, messages, count, "UID BODY.PEEK[]"), note_content, &reading);
}

bool source_date(const struct source_message *message, uint64_t *ret_us)
{
	struct date date;
	if (!date_parse_imap(message->date, &date))
		return false;
	/* None is before 1970 here; 0 would be now. */
	*ret_us = date.seconds > 0 ? (uint64_t)date.seconds * US_PER_S : 1;
	return true;
}
