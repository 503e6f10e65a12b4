#include "mailbox/acl.h"

#include <stdlib.h>

#include "base/log.h"
#include "mailbox/store_private.h"

#define ACL_FORMAT 1

struct slice acl_encode(struct arena *arena, const struct acl *acl)
{
	struct buf bytes = buf_in(arena);
	if (!acl->count)
		return SLICE_NONE;
	buf_u8(&bytes, ACL_FORMAT);
	for (size_t i = 0; i < acl->count; i++) {
		buf_append(&bytes, ID_SLICE(acl->entries[i].account));
		buf_slice(&bytes, acl->entries[i].name);
		buf_u8(&bytes, acl->entries[i].is_negative);
		buf_varint(&bytes, acl->entries[i].rights);
	}
	return buf_as_slice(&bytes);
}

bool acl_decode(struct arena *arena, struct slice bytes, struct acl *ret_acl)
{
	struct reader reader = reader_of(bytes);
	size_t most = bytes.len / sizeof(struct uuid) + 1;
	*ret_acl = (struct acl){.entries = ARENA_ARRAY(arena, struct acl_entry, most)};
	if (!bytes.len)
		return true;
	if (reader_u8(&reader) != ACL_FORMAT)
		return false;
	while (reader.rest.len && !reader.failed) {
		struct acl_entry *entry = &ret_acl->entries[ret_acl->count++];
		struct slice id = reader_bytes(&reader, sizeof(struct uuid));
		*entry = (struct acl_entry){.name = reader_slice(&reader)};
		entry->is_negative = reader_u8(&reader) != 0;
		entry->rights = (unsigned)reader_varint(&reader) & RIGHTS_ALL;
		if (!uuid_from_slice(id, &entry->account.uuid))
			return false;
	}
	return ret_acl->count && reader_is_complete(&reader);
}

unsigned acl_rights_of(const struct acl *acl, struct account_id who)
{
	unsigned given = 0;
	unsigned taken = 0;
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *entry = &acl->entries[i];
		if (!ID_IS_NIL(entry->account) && !ID_EQUAL(entry->account, who))
			continue;
		if (entry->is_negative)
			taken |= entry->rights;
		else
			given |= entry->rights;
	}
	return given & ~taken;
}

static struct error *decode(struct op *op, struct slice bytes, struct acl *ret_acl)
{
	if (!acl_decode(&op->arena, bytes, ret_acl))
		return op_fail(op, ERR_CORRUPT, "the access list of a mailbox cannot be read");
	return NULL;
}

struct error *acl_rights(
	struct op *op, struct slice acl, struct account_id who, unsigned *ret_rights)
{
	struct acl list;
	TRY(decode(op, acl, &list));
	*ret_rights = acl_rights_of(&list, who);
	return NULL;
}

/* ---- Changing ---- */

static struct acl_entry *find_entry(struct acl *acl, const struct acl_entry *wanted)
{
	for (size_t i = 0; i < acl->count; i++)
		if (ID_EQUAL(acl->entries[i].account, wanted->account) &&
			acl->entries[i].is_negative == wanted->is_negative)
			return &acl->entries[i];
	return NULL;
}

static unsigned new_rights(unsigned old, const struct acl_change *change)
{
	switch (change->mode) {
	case ACL_ADD:
		return old | change->entry.rights;
	case ACL_REMOVE:
		return old & ~change->entry.rights;
	case ACL_REPLACE:
	default:
		return change->entry.rights;
	}
}

/* `acl` has room for one more. *ret_changed: there is something to be done. */
static struct error *edit(
	struct op *op, struct acl *acl, const struct acl_change *change, bool *ret_changed)
{
	struct acl_entry *entry = find_entry(acl, &change->entry);
	unsigned old = entry ? entry->rights : 0;
	unsigned rights = new_rights(old, change);
	*ret_changed = rights != old;
	if (rights == old)
		return NULL;
	if (!entry) {
		if (acl->count == ACL_ENTRIES_MAX)
			return op_fail(op, ERR_LIMIT, "an access list has at most %d names",
				ACL_ENTRIES_MAX);
		entry = &acl->entries[acl->count++];
	}
	*entry = change->entry;
	entry->rights = rights;
	if (!rights)
		*entry = acl->entries[--acl->count];
	return NULL;
}

static bool is_granted(const struct acl *acl, struct account_id account)
{
	const struct acl_entry wanted = {.account = account};
	return find_entry((struct acl *)acl, &wanted) != NULL;
}

struct acl_planned {
	const struct acl_change *change;
	struct log_grant grant; /* what came of it */
};

static struct error *plan_acl(struct op *op, struct commit_plan *plan, void *context)
{
	struct acl_planned *planned = context;
	const struct acl_change *change = planned->change;
	const struct account_mailbox *row;
	struct acl acl;
	bool has_changed;
	TRY(plan_live_mailbox(op, plan, change->mailbox, &row));
	TRY(decode(op, row->acl, &acl));
	if (!ID_EQUAL(change->by, plan_account(plan)) &&
		!(acl_rights_of(&acl, change->by) & RIGHT_ADMIN))
		return op_fail(op, ERR_DENIED, "you may not change who may do what here");
	acl.entries = arena_grow(&op->arena, acl.entries, acl.count * sizeof(struct acl_entry),
		(acl.count + 1) * sizeof(struct acl_entry));
	TRY(edit(op, &acl, change, &has_changed));
	if (!has_changed)
		return NULL;
	struct slice bytes = acl_encode(&op->arena, &acl);
	if (bytes.len > ACL_BYTES_MAX)
		return op_fail(op, ERR_LIMIT, "the access list is too long");
	plan_change_mailbox(plan, change->mailbox)->acl = bytes;
	planned->grant =
		(struct log_grant){change->entry.account, is_granted(&acl, change->entry.account)};
	struct buf entry = log_entry_begin(&op->arena);
	log_entry_mailbox(&entry, change->mailbox);
	log_entry_grants(&entry, change->mailbox, &planned->grant, 1);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

/* The row that the log owes, at once: whom something is given finds it by his next LIST. If this
 * fails, it comes as the others do. */
static void show_grant(struct op *op, struct mail_store *store, struct account_id owner,
	const struct acl_planned *planned, uint64_t modseq)
{
	struct arena *arena = &op->arena;
	struct shared_to row = {.modseq = modseq};
	struct mutations rows;
	struct slice partition = key_id(arena, planned->grant.account.uuid);
	struct slice key = key_shared_to(arena, owner, planned->change->mailbox);
	mutations_init(&rows, arena);
	mutations_put(&rows, &shared_to_table, partition, key,
		row_encode_in(arena, &shared_to_row, &row), modseq);
	struct error *err = engine_write(store->engine, op, rows.items, rows.count, RELAXED);
	if (err)
		log_debug(op, "grant-shown-later", FIELD_ERROR(op, err));
}

struct error *mailbox_change_acl(struct op *op, struct mail_store *store, struct account_id owner,
	const struct acl_change *change)
{
	struct acl_planned planned = {.change = change};
	struct commit_change commit = {.plan = plan_acl, .context = &planned, .is_promised = true};
	TRY(commit_run(op, store->commit, owner, &commit));
	if (commit.modseq && planned.grant.is_granted && !engine_is_atomic(store->engine))
		show_grant(op, store, owner, &planned, commit.modseq);
	return NULL;
}

/* The names of a list that cannot be read are not known: their rows stay, and show nothing. */
void log_acl(struct op *op, struct buf *entry, struct mailbox_id mailbox, struct slice acl,
	bool is_granted_now)
{
	struct acl list;
	size_t count = 0;
	if (!acl.len || !acl_decode(&op->arena, acl, &list))
		return;
	struct log_grant *grants = ARENA_ARRAY(&op->arena, struct log_grant, list.count + 1);
	for (size_t i = 0; i < list.count; i++)
		if (!list.entries[i].is_negative)
			grants[count++] =
				(struct log_grant){list.entries[i].account, is_granted_now};
	log_entry_grants(entry, mailbox, grants, count);
}

/* ---- Reading ---- */

struct rights_request {
	struct mailbox_id mailbox;
	struct account_id who;
	unsigned rights;
};

static struct error *read_rights(struct op *op, const struct head *head, void *context)
{
	struct rights_request *request = context;
	const struct head_mailbox *mailbox = head_mailbox(head, request->mailbox);
	if (!mailbox || mailbox->row.deleted_modseq)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	return acl_rights(op, mailbox->row.acl, request->who, &request->rights);
}

struct error *mailbox_rights(struct op *op, struct mail_store *store, struct account_id owner,
	struct mailbox_id mailbox, struct account_id who, unsigned *ret_rights)
{
	struct rights_request request = {mailbox, who, 0};
	TRY(commit_read(op, store->commit, owner, read_rights, &request));
	*ret_rights = request.rights;
	return NULL;
}

/* So many mailboxes that one user is named by are looked at: nobody asks him before. */
#define SHARED_ROWS_MAX 10000

static struct error *add_sharers(
	struct op *op, struct mail_store *store, struct account_id grantee, struct buf *owners)
{
	struct engine_rows rows;
	TRY(engine_scan(store->engine, op, &shared_to_table, key_id(&op->arena, grantee.uuid),
		SLICE_NONE, SLICE_NONE, SHARED_ROWS_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++)
		buf_append(owners, slice_range(rows.rows[i].key, 1, 1 + sizeof(struct account_id)));
	return NULL;
}

static int compare_accounts(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct account_id));
}

struct error *mailbox_sharers(struct op *op, struct mail_store *store, struct account_id who,
	bool for_anyone, struct account_id **ret_owners, size_t *ret_count)
{
	struct buf bytes = buf_in(&op->arena);
	TRY(add_sharers(op, store, who, &bytes));
	if (for_anyone)
		TRY(add_sharers(op, store, (struct account_id){0}, &bytes));
	size_t count = bytes.len / sizeof(struct account_id);
	struct account_id *owners = ARENA_ARRAY(&op->arena, struct account_id, count + 1);
	if (count)
		memcpy(owners, bytes.ptr, count * sizeof(*owners));
	qsort(owners, count, sizeof(*owners), compare_accounts);
	*ret_count = 0;
	for (size_t i = 0; i < count; i++)
		if (!ID_EQUAL(owners[i], who) && (!i || !ID_EQUAL(owners[i], owners[i - 1])))
			owners[(*ret_count)++] = owners[i];
	*ret_owners = owners;
	return NULL;
}

/* ---- Healing ---- */

static struct error *find_missing(struct op *op, struct mail_store *store,
	struct account_id account, const struct mailbox_status *status, struct mutations *missing,
	struct solve_report *report)
{
	struct acl acl;
	struct shared_to row = {.modseq = status->highest_modseq};
	if (!status->acl.len)
		return NULL;
	/* Whom it names is not known; the rest of the account is looked at. */
	if (!acl_decode(&op->arena, status->acl, &acl)) {
		log_warn(op, "access-list-unreadable", FIELD_ID("mailbox", op, status->id.uuid));
		return NULL;
	}
	for (size_t i = 0; i < acl.count; i++) {
		struct slice partition = key_id(&op->arena, acl.entries[i].account.uuid);
		struct slice key = key_shared_to(&op->arena, account, status->id);
		struct engine_row found_row;
		bool found;
		if (acl.entries[i].is_negative)
			continue;
		TRY(engine_get(store->engine, op, &shared_to_table, partition, key, READ_NORMAL,
			&found, &found_row));
		report->rows.checked++;
		if (!found)
			mutations_put(missing, &shared_to_table, partition, key,
				row_encode_in(&op->arena, &shared_to_row, &row), 0);
	}
	return NULL;
}

struct error *solve_grants(struct op *op, struct mail_store *store, struct account_id account,
	struct solve_report *inout_report)
{
	struct mailbox_list list;
	struct mutations missing;
	uint64_t version;
	mutations_init(&missing, &op->arena);
	TRY(mailbox_list(op, store, account, &list));
	for (size_t i = 0; i < list.count; i++)
		TRY(find_missing(op, store, account, &list.items[i], &missing, inout_report));
	if (!missing.count)
		return NULL;
	TRY(step_modseq(op, store, account, &version));
	for (size_t i = 0; i < missing.count; i++)
		missing.items[i].version = version;
	inout_report->rows.missing += missing.count;
	TRY(engine_write(store->engine, op, missing.items, missing.count, DURABLE));
	inout_report->rows.fixed += missing.count;
	return NULL;
}
