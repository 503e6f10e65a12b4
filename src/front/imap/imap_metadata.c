#include "front/imap/imap_metadata.h"

#include "format/imap_string.h"
#include "front/imap/imap_notify.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_special_use.h"

const char *imap_server_admin = "";
const char *imap_server_comment = "";

/* RFC 6154 4: another way to see and set what a mailbox is for. */
static const struct slice special_use_entry = SLICE_INIT("/private/specialuse");

static bool is_shared(struct slice name)
{
	return slice_starts_with(name, SLICE("/shared"));
}

/* ---- Reading ---- */

/* What is told of one mailbox. */
struct telling {
	struct imap_session *session;
	const struct getmetadata *request;
	struct slice path;
	bool has_begun;
	uint64_t longest; /* of what is too large */
};

static void write_value(struct buf *out, struct slice value)
{
	if (memchr(value.ptr ? value.ptr : "", 0, value.len)) {
		buf_printf(out, "~{%zu}\r\n", value.len);
		buf_append(out, value);
		return;
	}
	imap_print_nstring(out, value);
}

/* `value` without a pointer: NIL. */
static void tell(struct op *op, struct telling *telling, struct slice name, struct slice value)
{
	struct buf *out = telling->session->out;
	if (telling->request->has_max_size && value.len > telling->request->max_size) {
		telling->longest = MAX_OF(telling->longest, value.len);
		return;
	}
	if (!telling->has_begun) {
		buf_append(out, SLICE("* METADATA "));
		imap_write_name(op, telling->session, telling->path);
	}
	buf_append(out, telling->has_begun ? SLICE(" ") : SLICE(" ("));
	telling->has_begun = true;
	imap_print_string(out, name);
	buf_append_char(out, ' ');
	write_value(out, value);
}

static void end_telling(struct telling *telling)
{
	if (telling->has_begun)
		buf_append(telling->session->out, SLICE(")\r\n"));
}

/* Is the name what was asked for, or so far below it? */
static bool is_meant(struct slice asked, enum metadata_depth depth, struct slice name)
{
	if (slice_equal(name, asked))
		return true;
	if (depth == METADATA_DEPTH_0 || name.len <= asked.len || name.ptr[asked.len] != '/' ||
		!slice_starts_with(name, asked))
		return false;
	struct slice below = slice_from(name, asked.len + 1);
	return depth == METADATA_DEPTH_INFINITY || slice_find_char(below, '/') == below.len;
}

static void tell_asked(struct op *op, struct telling *telling, const struct metadata_list *entries)
{
	const struct getmetadata *request = telling->request;
	for (size_t i = 0; i < request->names.count; i++) {
		bool is_there = false;
		for (size_t n = 0; n < entries->count; n++) {
			struct slice name = entries->items[n].name;
			if (!is_meant(request->names.items[i], request->depth, name))
				continue;
			is_there |= slice_equal(name, request->names.items[i]);
			struct slice value = entries->items[n].value;
			tell(op, telling, name, value.ptr ? value : SLICE(""));
		}
		if (!is_there && request->depth == METADATA_DEPTH_0)
			tell(op, telling, request->names.items[i], SLICE_NONE);
	}
}

static void add_entry(struct metadata_list *list, struct slice name, struct slice value)
{
	if (value.len)
		list->items[list->count++] = (struct metadata_entry){.name = name, .value = value};
}

static struct slice special_use_text(struct op *op, uint32_t use)
{
	struct buf text = buf_in(&op->arena);
	for (size_t i = 0; i < SPECIAL_USE_COUNT; i++)
		if (use & special_use_names[i].use)
			buf_printf(&text, "%s" SLICE_FMT, text.len ? " " : "",
				SLICE_ARG(special_use_names[i].name));
	return buf_as_slice(&text);
}

static void add_part(struct metadata_list *whole, const struct metadata_list *all,
	struct mailbox_id mailbox, bool wants_shared)
{
	struct metadata_list part = metadata_of(all, mailbox);
	for (size_t i = 0; i < part.count; i++)
		if (is_shared(part.items[i].name) == wants_shared)
			whole->items[whole->count++] = part.items[i];
}

/* With what is kept elsewhere. `status` NULL: the server's. */
static struct metadata_list whole_list(
	struct op *op, const struct imap_metadata_lists *lists, const struct mailbox_status *status)
{
	struct mailbox_id mailbox = {0};
	size_t most = lists->of_user->count + lists->of_owner->count + 2;
	struct metadata_list whole = {ARENA_ARRAY(&op->arena, struct metadata_entry, most), 0};
	if (status)
		mailbox = status->id;
	add_part(&whole, lists->of_user, mailbox, false);
	add_part(&whole, lists->of_owner, mailbox, true);
	if (status) {
		add_entry(&whole, special_use_entry, special_use_text(op, status->special_use));
		return whole;
	}
	add_entry(&whole, SLICE("/shared/admin"), slice_from_cstr(imap_server_admin));
	add_entry(&whole, SLICE("/shared/comment"), slice_from_cstr(imap_server_comment));
	return whole;
}

void imap_metadata_write(struct op *op, struct imap_session *session,
	const struct imap_metadata_lists *lists, const struct mailbox_status *status,
	const struct imap_words *names)
{
	struct getmetadata request = {.names = *names};
	struct telling telling = {.session = session, .request = &request, .path = status->path};
	struct metadata_list entries = whole_list(op, lists, status);
	tell_asked(op, &telling, &entries);
	end_telling(&telling);
}

/* The mailbox, or the server: then *ret_status is NULL. RFC 5464 3.3: who may not look up a
 * mailbox, nor do anything with its messages, has nothing to do with its entries. */
static struct error *find_subject(struct op *op, struct imap_session *session, struct slice name,
	struct imap_found *found, const struct mailbox_status **ret_status)
{
	*ret_status = NULL;
	found->place.account = session->account;
	if (!name.len)
		return NULL;
	TRY(imap_find(op, session, name, RIGHT_LOOKUP, found));
	*ret_status = &found->status;
	return found->rights & RIGHTS_OF_METADATA
		       ? NULL
		       : op_fail(op, ERR_DENIED, "You may not do that with this mailbox");
}

static struct error *read_lists(struct op *op, struct imap_session *session,
	struct account_id owner, struct imap_metadata_lists *ret_lists)
{
	struct metadata_list *lists = ARENA_ARRAY(&op->arena, struct metadata_list, 2);
	TRY(mailbox_metadata(op, session->store, session->account, &lists[0]));
	*ret_lists = (struct imap_metadata_lists){&lists[0], &lists[0]};
	if (imap_is_own(session, owner))
		return NULL;
	ret_lists->of_owner = &lists[1];
	return mailbox_metadata(op, session->store, owner, &lists[1]);
}

/* GETMETADATA (RFC 5464 4.2) */
IMAP_HANDLER(imap_getmetadata)
{
	struct getmetadata request;
	struct imap_found found;
	const struct mailbox_status *status;
	struct imap_metadata_lists lists;
	TRY(imap_getmetadata_parse(op, args, &request));
	TRY(find_subject(op, session, request.path, &found, &status));
	TRY(read_lists(op, session, found.place.account, &lists));
	struct metadata_list entries = whole_list(op, &lists, status);
	struct telling telling = {
		.session = session, .request = &request, .path = status ? status->path : SLICE("")};
	tell_asked(op, &telling, &entries);
	end_telling(&telling);
	if (telling.longest)
		args->ok_code = slice_from_cstr(arena_printf(&op->arena,
			"METADATA LONGENTRIES %llu", (unsigned long long)telling.longest));
	return NULL;
}

/* ---- Changing ---- */

static struct error *read_special_use(
	struct op *op, struct slice text, struct metadata_change *change)
{
	struct slice word;
	change->sets_special_use = true;
	change->special_use = 0;
	while (text.len && slice_split(&text, ' ', &word)) {
		uint32_t use =
			word.len && word.ptr[0] == '\\' ? special_use_find(slice_from(word, 1)) : 0;
		if (!use)
			return op_fail(op, ERR_INVALID, "There is no such special use here");
		change->special_use |= use;
	}
	return NULL;
}

/* Takes out of the entries what is kept elsewhere. */
static struct error *set_apart(
	struct op *op, struct setmetadata *request, struct metadata_change *change)
{
	bool is_server = !request->path.len;
	size_t kept = 0;
	for (size_t i = 0; i < request->count; i++) {
		struct metadata_entry *entry = &request->entries[i];
		if (is_server && is_shared(entry->name))
			return op_fail(op, ERR_DENIED,
				"Only an administrator sets what the server shares");
		if (!is_server && slice_equal(entry->name, special_use_entry))
			TRY(read_special_use(
				op, entry->is_absent ? SLICE_NONE : entry->value, change));
		else
			request->entries[kept++] = *entry;
	}
	request->count = kept;
	return NULL;
}

static struct error *name_fault(
	struct op *op, struct imap_args *args, const struct metadata_change *change)
{
	if (change->fault == METADATA_TOO_MANY)
		args->no_code = SLICE("METADATA TOOMANY");
	if (change->fault == METADATA_TOO_LARGE)
		args->no_code = slice_from_cstr(arena_printf(&op->arena, "METADATA MAXSIZE %llu",
			(unsigned long long)metadata_limits.value_bytes));
	return NULL;
}

/* The entries of one command are one commit, in one account. */
static struct error *choose_account(struct op *op, struct imap_session *session,
	const struct setmetadata *request, const struct imap_found *found,
	struct metadata_change *change, struct account_id *ret_account)
{
	size_t shared = 0;
	*ret_account = session->account;
	if (imap_is_own(session, found->place.account))
		return NULL;
	for (size_t i = 0; i < request->count; i++)
		shared += is_shared(request->entries[i].name);
	change->is_elsewhere = !shared;
	if (shared)
		*ret_account = found->place.account;
	if (change->sets_special_use || (shared && !(found->rights & RIGHT_WRITE)))
		return op_fail(op, ERR_DENIED, "You may not do that with this mailbox");
	if (shared && shared != request->count)
		return op_fail(op, ERR_INVALID,
			"Of another's mailbox, private and shared entries are set one after the "
			"other");
	return NULL;
}

/* SETMETADATA (RFC 5464 4.3): all of it or nothing. */
IMAP_HANDLER(imap_setmetadata)
{
	struct setmetadata request;
	struct imap_found found;
	const struct mailbox_status *status;
	struct metadata_change change = {0};
	struct account_id account;
	TRY(imap_setmetadata_parse(op, args, &request));
	TRY(find_subject(op, session, request.path, &found, &status));
	TRY(set_apart(op, &request, &change));
	TRY(choose_account(op, session, &request, &found, &change, &account));
	if (status)
		change.mailbox = status->id;
	change.entries = request.entries;
	change.count = request.count;
	struct error *err = mailbox_change_metadata(op, session->store, account, &change);
	if (err)
		TRY(name_fault(op, args, &change));
	session->metadata_own = change.modseq;
	return err;
}

/* ---- News ---- */

static void write_names(struct op *op, struct imap_session *session, struct slice path,
	const struct metadata_change_seen *change)
{
	struct reader reader = reader_of(change->names);
	buf_append(session->out, SLICE("* METADATA "));
	imap_write_name(op, session, path);
	while (reader.rest.len && !reader.failed) {
		buf_append_char(session->out, ' ');
		imap_print_string(session->out, reader_slice(&reader));
	}
	buf_append(session->out, SLICE("\r\n"));
}

static const struct mailbox_status *find_status(
	const struct mailbox_list *list, struct mailbox_id id)
{
	for (size_t i = 0; i < list->count; i++)
		if (ID_EQUAL(list->items[i].id, id))
			return &list->items[i];
	return NULL;
}

static void tell_change(struct op *op, struct imap_session *session,
	const struct mailbox_list *list, const struct metadata_change_seen *change)
{
	bool is_server = uuid_is_nil(change->mailbox.uuid);
	const struct mailbox_status *status = find_status(list, change->mailbox);
	if (!is_server && !status)
		return;
	if (session->has_metadata || imap_notify_means_metadata(session, status))
		write_names(op, session, is_server ? SLICE("") : status->path, change);
}

struct error *imap_metadata_tell(struct op *op, struct imap_session *session)
{
	struct metadata_news news;
	struct mailbox_list list;
	if (!session->has_metadata && !imap_notify_wants_metadata(session))
		return NULL;
	TRY(mailbox_metadata_since(
		op, session->store, session->account, session->metadata_told, &news));
	session->metadata_told = MAX_OF(session->metadata_told, news.modseq);
	if (!news.count)
		return NULL;
	TRY(mailbox_list(op, session->store, session->account, &list));
	for (size_t i = 0; i < news.count; i++)
		if (news.items[i].modseq != session->metadata_own)
			tell_change(op, session, &list, &news.items[i]);
	return NULL;
}
