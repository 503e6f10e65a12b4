#include <assert.h>

#include "account/account.h"
#include "format/imap_list_match.h"
#include "front/imap/imap_metadata.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_special_use.h"
#include "mailbox/mailbox.h"

static_assert(MAILBOX_PATH_MAX <= IMAP_LIST_NAME_MAX, "every name can match");

enum list_option {
	LIST_SELECT_SUBSCRIBED = 1 << 0,
	LIST_SELECT_SPECIAL_USE = 1 << 1,
	LIST_RECURSIVE_MATCH = 1 << 2,
	LIST_REMOTE = 1 << 3, /* there are none */
	LIST_RETURN_SUBSCRIBED = 1 << 4,
	LIST_RETURN_CHILDREN = 1 << 5,
	LIST_RETURN_SPECIAL_USE = 1 << 6,
	LIST_RETURN_STATUS = 1 << 7,
	LIST_IS_EXTENDED = 1 << 8,
	LIST_IS_LSUB = 1 << 9,
	LIST_RETURN_METADATA = 1 << 10,
	LIST_RETURN_MYRIGHTS = 1 << 11,
};

#define PATTERNS_MAX 100
/* Of all patterns together: each byte may cost a walk over each name. */
#define PATTERN_BYTES_MAX 4000

struct list_request {
	unsigned options;
	struct slice reference;
	struct slice patterns[PATTERNS_MAX];
	size_t pattern_count;
	size_t pattern_bytes;
	struct imap_status_items status;
	struct imap_words metadata_names;
	const struct metadata_list *metadata; /* of the user */
};

/* Accounts that share something with one user and are looked through for a list: nobody is asked
 * whether something may be shared with him. */
#define SHARERS_MAX 1000

/* A name that a list speaks of: a mailbox, or a subscription to what is not there. */
struct entry {
	struct slice path;
	const struct mailbox_status *mailbox; /* NULL: no such mailbox */
	const struct metadata_list *metadata; /* of its account; if it is asked for */
	unsigned rights;
	bool is_root; /* of a namespace, or of one user's part of it */
	bool has_children;
	bool is_subscribed;
	bool is_selected;          /* not shown for its children alone */
	bool has_subscribed_child; /* CHILDINFO */
};

struct entries {
	struct entry *items;
	size_t count;
};

struct option {
	struct slice name;
	unsigned bit;
};

static struct error *take_option(struct op *op, struct imap_args *args,
	const struct option *options, size_t count, struct list_request *request)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (size_t i = 0; i < count; i++) {
		if (!slice_equal_nocase(name, options[i].name))
			continue;
		request->options |= options[i].bit;
		if (options[i].bit == LIST_RETURN_STATUS) {
			TRY(imap_space(op, args));
			TRY(imap_status_items_parse(op, args, &request->status));
		}
		if (options[i].bit == LIST_RETURN_METADATA) {
			TRY(imap_space(op, args));
			TRY(imap_metadata_names(op, args, &request->metadata_names));
		}
		return NULL;
	}
	return imap_bad(op, args, "There is no such LIST option");
}

static struct error *take_options(struct op *op, struct imap_args *args,
	const struct option *options, size_t count, struct list_request *request)
{
	request->options |= LIST_IS_EXTENDED;
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "LIST options are a list");
	for (bool first = true; !imap_take_char(args, ')'); first = false) {
		if (!first)
			TRY(imap_space(op, args));
		TRY(take_option(op, args, options, count, request));
	}
	return NULL;
}

static const struct option select_options[] = {
	{SLICE_INIT("SUBSCRIBED"), LIST_SELECT_SUBSCRIBED | LIST_RETURN_SUBSCRIBED},
	{SLICE_INIT("SPECIAL-USE"), LIST_SELECT_SPECIAL_USE | LIST_RETURN_SPECIAL_USE},
	{SLICE_INIT("RECURSIVEMATCH"), LIST_RECURSIVE_MATCH},
	{SLICE_INIT("REMOTE"), LIST_REMOTE},
};

static const struct option return_options[] = {
	{SLICE_INIT("SUBSCRIBED"), LIST_RETURN_SUBSCRIBED},
	{SLICE_INIT("CHILDREN"), LIST_RETURN_CHILDREN},
	{SLICE_INIT("SPECIAL-USE"), LIST_RETURN_SPECIAL_USE},
	{SLICE_INIT("STATUS"), LIST_RETURN_STATUS},
	{SLICE_INIT("METADATA"), LIST_RETURN_METADATA},
	{SLICE_INIT("MYRIGHTS"), LIST_RETURN_MYRIGHTS},
};

static struct error *take_pattern(
	struct op *op, struct imap_args *args, struct list_request *request)
{
	if (request->pattern_count == PATTERNS_MAX)
		return imap_bad(op, args, "Too many patterns");
	struct slice pattern;
	TRY(imap_list_pattern(op, args, &pattern));
	/* The reference is a prefix (RFC 9051 6.3.9.1). */
	struct buf whole = buf_in(&op->arena);
	buf_append(&whole, request->reference);
	buf_append(&whole, pattern);
	request->pattern_bytes += whole.len;
	if (request->pattern_bytes > PATTERN_BYTES_MAX)
		return op_fail(op, ERR_LIMIT, "The patterns are too long");
	struct slice text = whole.len ? buf_as_slice(&whole) : SLICE("");
	/* INBOX in any case. */
	if (slice_starts_with_nocase(text, SLICE("INBOX")) &&
		(text.len == 5 || text.ptr[5] == '/' || text.ptr[5] == '*' || text.ptr[5] == '%'))
		memcpy(whole.ptr, "INBOX", 5);
	request->patterns[request->pattern_count++] = text;
	return NULL;
}

static struct error *take_patterns(
	struct op *op, struct imap_args *args, struct list_request *request)
{
	if (!imap_take_char(args, '('))
		return take_pattern(op, args, request);
	request->options |= LIST_IS_EXTENDED;
	do {
		TRY(take_pattern(op, args, request));
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return NULL;
}

static struct error *parse_list(
	struct op *op, struct imap_args *args, bool is_lsub, struct list_request *request)
{
	memset(request, 0, sizeof(*request));
	TRY(imap_space(op, args));
	if (!is_lsub && imap_next_is(args, '(')) {
		TRY(take_options(op, args, select_options, ARRAY_SIZE(select_options), request));
		TRY(imap_space(op, args));
	}
	TRY(imap_list_pattern(op, args, &request->reference));
	TRY(imap_space(op, args));
	TRY(take_patterns(op, args, request));
	if (!is_lsub && imap_take_char(args, ' ')) {
		if (!imap_take_word(args, SLICE("RETURN")))
			return imap_bad(op, args, "RETURN was expected");
		TRY(imap_space(op, args));
		TRY(take_options(op, args, return_options, ARRAY_SIZE(return_options), request));
	}
	TRY(imap_end(op, args));
	if ((request->options & LIST_RECURSIVE_MATCH) &&
		!(request->options & LIST_SELECT_SUBSCRIBED))
		return imap_bad(op, args, "RECURSIVEMATCH needs SUBSCRIBED");
	if (is_lsub)
		request->options |= LIST_IS_LSUB | LIST_SELECT_SUBSCRIBED;
	return NULL;
}

static struct entry *find_entry(struct entries *entries, struct slice path)
{
	for (size_t i = 0; i < entries->count; i++)
		if (slice_equal(entries->items[i].path, path))
			return &entries->items[i];
	return NULL;
}

/* Subscriptions to mailboxes that are gone, behind the mailboxes. */
static struct error *add_lost_subscriptions(
	struct op *op, struct imap_session *session, struct entries *entries)
{
	struct slice *names;
	size_t count;
	TRY(mailbox_subscriptions(op, session->store, session->account, &names, &count));
	size_t mailboxes = entries->count;
	entries->items = arena_grow(&op->arena, entries->items, mailboxes * sizeof(struct entry),
		(mailboxes + count) * sizeof(struct entry));
	for (size_t i = 0; i < count; i++) {
		struct entries known = {entries->items, mailboxes};
		struct entry *entry = find_entry(&known, names[i]);
		if (entry)
			entry->is_subscribed = true;
		else
			entries->items[entries->count++] =
				(struct entry){.path = names[i], .is_subscribed = true};
	}
	return NULL;
}

static bool is_below(struct slice path, struct slice parent)
{
	return path.len > parent.len && path.ptr[parent.len] == '/' &&
	       slice_starts_with(path, parent);
}

struct collecting {
	struct imap_session *session;
	struct list_request *request;
	struct entries entries;
	size_t capacity;
};

static struct entry *add_entry(struct op *op, struct collecting *c)
{
	struct entries *entries = &c->entries;
	if (entries->count == c->capacity) {
		size_t larger = c->capacity * 2 + 16;
		entries->items = arena_grow(&op->arena, entries->items,
			c->capacity * sizeof(struct entry), larger * sizeof(struct entry));
		c->capacity = larger;
	}
	entries->items[entries->count] = (struct entry){.rights = RIGHTS_ALL};
	return &entries->items[entries->count++];
}

static struct error *read_metadata(struct op *op, struct collecting *c, struct account_id account,
	const struct metadata_list **ret_list)
{
	struct metadata_list *list = ARENA_NEW(&op->arena, struct metadata_list);
	*ret_list = list;
	return c->request->options & LIST_RETURN_METADATA
		       ? mailbox_metadata(op, c->session->store, account, list)
		       : NULL;
}

/* Could a name that begins so match? Patterns are compared up to their first wildcard. */
static bool may_match_below(const struct list_request *request, struct slice prefix)
{
	for (size_t i = 0; i < request->pattern_count; i++) {
		struct slice pattern = request->patterns[i];
		size_t plain = MIN_OF(slice_find_char(pattern, '*'), slice_find_char(pattern, '%'));
		size_t common = MIN_OF(plain, prefix.len);
		if (slice_equal(slice_range(pattern, 0, common), slice_range(prefix, 0, common)))
			return true;
	}
	return false;
}

/* The last entry may be a child of one from `first` on. They come in the order of their paths, so
 * that a mailbox's first child stands behind it, but INBOX before all. */
static void note_child(struct entries *entries, size_t first)
{
	size_t last = entries->count - 1;
	const size_t candidates[] = {first, last ? last - 1 : first};
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		struct entry *above = &entries->items[candidates[i]];
		if (candidates[i] >= first && candidates[i] < last &&
			is_below(entries->items[last].path, above->path))
			above->has_children = true;
	}
}

/* What one may look up of another's mailboxes. */
static struct error *add_shared(struct op *op, struct collecting *c, struct account_id owner,
	struct slice prefix, struct slice root)
{
	struct mailbox_list list;
	const struct metadata_list *metadata;
	size_t shown = 0;
	struct error *err = mailbox_list(op, c->session->store, owner, &list);
	/* Another's damage is not this user's. */
	if (err && (err->kind == ERR_NOT_FOUND || err->kind == ERR_CORRUPT))
		return NULL;
	TRY(err);
	TRY(read_metadata(op, c, owner, &metadata));
	for (size_t i = 0; i < list.count; i++) {
		struct mailbox_status *status = &list.items[i];
		unsigned rights;
		err = acl_rights(op, status->acl, c->session->account, &rights);
		if (err && err->kind != ERR_CORRUPT)
			return err;
		if (err || !(rights & RIGHT_LOOKUP))
			continue;
		struct buf name = buf_in(&op->arena);
		buf_append(&name, prefix);
		buf_append(&name, status->path);
		status->path = buf_as_slice(&name);
		status->special_use = 0;
		status->is_subscribed = false;
		if (!shown++) {
			struct entry *above = add_entry(op, c);
			above->path = root;
			above->is_root = true;
		}
		struct entry *entry = add_entry(op, c);
		entry->path = status->path;
		entry->mailbox = status;
		entry->metadata = metadata;
		entry->rights = rights;
		note_child(&c->entries, c->entries.count - shown);
	}
	return NULL;
}

/* The account of imap.shared_account; `prefix` is empty when its mailboxes are shown nowhere. */
static struct error *find_shared_account(
	struct op *op, const struct collecting *c, struct imap_place *ret_place)
{
	struct slice root = slice_from_cstr(imap_shared_name);
	*ret_place = (struct imap_place){0};
	if (!imap_shared_account || !root.len)
		return NULL;
	struct error *err = imap_place_of(op, c->session, root, ret_place);
	if (err && err->kind == ERR_NOT_FOUND) {
		*ret_place = (struct imap_place){0};
		return NULL;
	}
	return err;
}

static struct error *add_other_users(struct op *op, struct collecting *c)
{
	struct imap_place shared = {0};
	struct account_id *owners;
	size_t count;
	struct slice root = slice_from_cstr(imap_other_users);
	if (!root.len || !may_match_below(c->request, root))
		return NULL;
	TRY(mailbox_sharers(op, c->session->store, c->session->account, imap_anyone_is_allowed,
		&owners, &count));
	count = MIN_OF(count, SHARERS_MAX);
	if (count)
		TRY(find_shared_account(op, c, &shared));
	size_t before = c->entries.count;
	struct entry *above = count ? add_entry(op, c) : NULL;
	if (above)
		*above = (struct entry){.path = root, .is_root = true};
	for (size_t i = 0; i < count; i++) {
		struct slice address;
		/* Its mailboxes have their names in the other namespace. */
		if (shared.prefix.len && ID_EQUAL(owners[i], shared.account))
			continue;
		struct error *err = account_address(op, c->session->accounts, owners[i], &address);
		if (err && err->kind == ERR_NOT_FOUND)
			continue;
		TRY(err);
		struct buf prefix = buf_in(&op->arena);
		buf_printf(&prefix, "%s/" SLICE_FMT "/", imap_other_users, SLICE_ARG(address));
		struct slice whole = buf_as_slice(&prefix);
		TRY(add_shared(op, c, owners[i], whole, slice_range(whole, 0, whole.len - 1)));
	}
	/* Nothing that may be shown: no root either. */
	if (c->entries.count == before + 1)
		c->entries.count = before;
	return NULL;
}

static struct error *add_shared_account(struct op *op, struct collecting *c)
{
	struct imap_place place;
	struct slice root = slice_from_cstr(imap_shared_name);
	if (!may_match_below(c->request, root))
		return NULL;
	TRY(find_shared_account(op, c, &place));
	return place.prefix.len ? add_shared(op, c, place.account, place.prefix, root) : NULL;
}

static struct error *note_subscribed(struct op *op, struct collecting *c, size_t from)
{
	struct slice *names;
	size_t count;
	if (from == c->entries.count)
		return NULL;
	TRY(mailbox_subscriptions(op, c->session->store, c->session->account, &names, &count));
	for (size_t i = 0; i < count; i++)
		for (size_t n = from; n < c->entries.count; n++)
			c->entries.items[n].is_subscribed |=
				slice_equal(names[i], c->entries.items[n].path);
	return NULL;
}

static struct error *collect(struct op *op, struct imap_session *session,
	struct list_request *request, struct entries *ret_entries)
{
	struct mailbox_list list;
	struct collecting c = {.session = session, .request = request};
	const struct metadata_list *metadata;
	TRY(mailbox_list(op, session->store, session->account, &list));
	TRY(read_metadata(op, &c, session->account, &metadata));
	request->metadata = metadata;
	for (size_t i = 0; i < list.count; i++) {
		struct entry *entry = add_entry(op, &c);
		entry->path = list.items[i].path;
		entry->mailbox = &list.items[i];
		entry->metadata = metadata;
		entry->is_subscribed = list.items[i].is_subscribed;
		entry->has_children = list.items[i].has_children;
	}
	TRY(add_other_users(op, &c));
	TRY(add_shared_account(op, &c));
	TRY(note_subscribed(op, &c, list.count));
	if (request->options & LIST_SELECT_SUBSCRIBED)
		TRY(add_lost_subscriptions(op, session, &c.entries));
	*ret_entries = c.entries;
	return NULL;
}

static bool is_matched(const struct list_request *request, struct slice path)
{
	for (size_t i = 0; i < request->pattern_count; i++)
		if (imap_list_match(request->patterns[i], path))
			return true;
	return false;
}

static bool has_subscribed_below(const struct entries *entries, struct slice path)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->items[i].is_subscribed && is_below(entries->items[i].path, path))
			return true;
	return false;
}

static bool is_selected(const struct list_request *request, const struct entry *entry)
{
	if ((request->options & LIST_SELECT_SUBSCRIBED) && !entry->is_subscribed)
		return false;
	if ((request->options & LIST_SELECT_SPECIAL_USE) &&
		!(entry->mailbox && entry->mailbox->special_use))
		return false;
	return true;
}

static void write_attribute(struct buf *out, struct slice name, bool *first)
{
	if (!*first)
		buf_append_char(out, ' ');
	*first = false;
	buf_append(out, name);
}

static void write_attributes(
	struct buf *out, const struct list_request *request, const struct entry *entry)
{
	bool first = true;
	unsigned options = request->options;
	if (entry->is_root)
		write_attribute(out, SLICE("\\Noselect \\HasChildren"), &first);
	else if (!entry->mailbox)
		write_attribute(out,
			options & LIST_IS_LSUB ? SLICE("\\Noselect") : SLICE("\\NonExistent"),
			&first);
	else if (!(options & LIST_IS_LSUB))
		write_attribute(out,
			entry->has_children ? SLICE("\\HasChildren") : SLICE("\\HasNoChildren"),
			&first);
	if ((options & LIST_RETURN_SUBSCRIBED) && entry->is_subscribed)
		write_attribute(out, SLICE("\\Subscribed"), &first);
	/* RFC 6154 2: a plain LIST may tell them too, and clients rely on it. */
	for (size_t i = 0; entry->mailbox && i < SPECIAL_USE_COUNT; i++)
		if (!(options & LIST_IS_LSUB) &&
			(entry->mailbox->special_use & special_use_names[i].use))
			write_attribute(out, special_use_names[i].name, &first);
}

static void write_details(struct op *op, struct imap_session *session,
	const struct list_request *request, const struct entry *entry)
{
	const struct imap_metadata_lists lists = {request->metadata, entry->metadata};
	if (request->options & LIST_RETURN_MYRIGHTS)
		imap_write_myrights(op, session, entry->path, entry->rights);
	/* RFC 5819 2, RFC 5464 3.3: as STATUS and GETMETADATA would be answered. */
	if ((request->options & LIST_RETURN_STATUS) && (entry->rights & RIGHT_READ))
		imap_write_status(op, session, entry->mailbox, request->status);
	if ((request->options & LIST_RETURN_METADATA) && (entry->rights & RIGHTS_OF_METADATA))
		imap_metadata_write(op, session, &lists, entry->mailbox, &request->metadata_names);
}

static void write_entry(struct op *op, struct imap_session *session,
	const struct list_request *request, const struct entry *entry)
{
	struct buf *out = session->out;
	buf_append(out, request->options & LIST_IS_LSUB ? SLICE("* LSUB (") : SLICE("* LIST ("));
	write_attributes(out, request, entry);
	buf_append(out, SLICE(") \"/\" "));
	imap_write_name(op, session, entry->path);
	if (entry->has_subscribed_child)
		buf_append(out, SLICE(" (\"CHILDINFO\" (\"SUBSCRIBED\"))"));
	buf_append(out, SLICE("\r\n"));
	/* RFC 5819 2, RFC 8440 4: not of what is shown for its children alone. */
	if (entry->mailbox && entry->is_selected)
		write_details(op, session, request, entry);
}

/* RFC 3501 6.3.9: LSUB "%" shows a parent whose child alone is subscribed, as \Noselect. */
static bool shows_lsub_parent(const struct list_request *request, const struct entries *entries,
	const struct entry *entry)
{
	if (!(request->options & LIST_IS_LSUB) || entry->is_subscribed ||
		!has_subscribed_below(entries, entry->path))
		return false;
	/* Only where the children themselves do not match. */
	for (size_t i = 0; i < entries->count; i++)
		if (entries->items[i].is_subscribed &&
			is_below(entries->items[i].path, entry->path) &&
			is_matched(request, entries->items[i].path))
			return false;
	return true;
}

static void write_matches(struct op *op, struct imap_session *session,
	const struct list_request *request, const struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++) {
		struct entry entry = entries->items[i];
		if (!is_matched(request, entry.path))
			continue;
		bool selected = is_selected(request, &entry);
		if (request->options & LIST_RECURSIVE_MATCH)
			entry.has_subscribed_child = has_subscribed_below(entries, entry.path);
		if (!selected && shows_lsub_parent(request, entries, &entry)) {
			entry.mailbox = NULL;
			selected = true;
		}
		entry.is_selected = selected;
		if (selected || entry.has_subscribed_child)
			write_entry(op, session, request, &entry);
	}
}

static struct error *run_list(
	struct op *op, struct imap_session *session, struct imap_args *args, bool is_lsub)
{
	struct list_request request;
	struct entries entries;
	TRY(parse_list(op, args, is_lsub, &request));
	if (request.pattern_count == 1 && request.patterns[0].len == 0 &&
		!(request.options & LIST_IS_EXTENDED)) {
		/* LIST "" "" asks for the delimiter. */
		buf_printf(session->out, "* %s (\\Noselect) \"/\" \"\"\r\n",
			is_lsub ? "LSUB" : "LIST");
		return NULL;
	}
	TRY(collect(op, session, &request, &entries));
	write_matches(op, session, &request, &entries);
	return NULL;
}

/* LIST (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 8440, RFC 9590) */
IMAP_HANDLER(imap_list)
{
	return run_list(op, session, args, false);
}

/* LSUB (RFC 3501 6.3.9) */
IMAP_HANDLER(imap_lsub)
{
	return run_list(op, session, args, true);
}
