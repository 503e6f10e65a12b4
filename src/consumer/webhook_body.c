#include <jansson.h>
#include <stdlib.h>

#include "consumer/webhook.h"
#include "mailbox/log_entry.h"

/* What a webhook is told of one commit. */

struct telling {
	struct op *op;
	const struct mailbox_list *mailboxes;
	unsigned wanted;
	bool has_moved; /* the entry takes messages out of a mailbox without deleting them */
	json_t *changes;
};

static json_t *text(struct slice text)
{
	json_t *json = json_stringn(text.ptr ? text.ptr : "", text.len);
	return json ? json : json_null();
}

/* As it is called now; null when it has gone. */
static json_t *path_of(const struct telling *telling, struct mailbox_id mailbox)
{
	for (size_t i = 0; i < telling->mailboxes->count; i++)
		if (ID_EQUAL(telling->mailboxes->items[i].id, mailbox))
			return text(telling->mailboxes->items[i].path);
	return json_null();
}

static void tell(struct telling *telling, enum webhook_event event, json_t *change)
{
	if (telling->wanted & event)
		json_array_append_new(telling->changes, change);
	else
		json_decref(change);
}

static void tell_append(struct telling *telling, const struct log_item *item)
{
	bool is_moved = telling->has_moved;
	tell(telling, is_moved ? WEBHOOK_MOVED : WEBHOOK_DELIVERED,
		json_pack("{s:s, s:o, s:I, s:I, s:s, s:I}", "event",
			is_moved ? "moved" : "delivered", "mailbox",
			path_of(telling, item->mailbox), "uidvalidity",
			(json_int_t)item->uidvalidity, "uid", (json_int_t)item->uid, "message",
			uuid_text(&telling->op->arena, item->row.message_id), "size",
			(json_int_t)item->row.size));
}

/* As IMAP writes them: 1:3,7. */
static json_t *uids_text(const struct telling *telling, const struct uid_set *uids)
{
	struct buf out = buf_in(&telling->op->arena);
	uid_set_print(uids, &out);
	return text(buf_as_slice(&out));
}

static void tell_flags(struct telling *telling, const struct log_item *item)
{
	tell(telling, WEBHOOK_FLAGGED,
		json_pack("{s:s, s:o, s:o}", "event", "flagged", "mailbox",
			path_of(telling, item->mailbox), "uids", uids_text(telling, &item->uids)));
}

static void tell_expunge(struct telling *telling, const struct log_item *item)
{
	struct uid_set uids;
	if (!item->is_deletion)
		return;
	uid_set_init(&uids, &telling->op->arena);
	for (size_t i = 0; i < item->expunged_count; i++)
		uid_set_add(&uids, item->expunged[i].uid);
	tell(telling, WEBHOOK_EXPUNGED,
		json_pack("{s:s, s:o, s:o}", "event", "expunged", "mailbox", text(item->path),
			"uids", uids_text(telling, &uids)));
}

static struct error *look_for_moves(struct telling *telling, struct slice entry)
{
	struct log_item item;
	struct log_reader log = log_entry_read(telling->op, entry);
	while (log_reader_next(&log, &item))
		telling->has_moved |= item.kind == LOG_EXPUNGE && !item.is_deletion;
	return log.err;
}

static struct error *tell_all(struct telling *telling, struct slice entry)
{
	struct log_item item;
	struct log_reader log = log_entry_read(telling->op, entry);
	while (log_reader_next(&log, &item)) {
		if (item.kind == LOG_APPEND)
			tell_append(telling, &item);
		else if (item.kind == LOG_FLAGS)
			tell_flags(telling, &item);
		else if (item.kind == LOG_EXPUNGE)
			tell_expunge(telling, &item);
	}
	return log.err;
}

static struct slice print(
	struct op *op, const struct consumer_event *event, const struct telling *telling)
{
	const char *account = uuid_text(&op->arena, event->account.uuid);
	json_t *body = json_pack("{s:s, s:o, s:I, s:s, s:O}", "id",
		arena_printf(&op->arena, "%s-%llu", account, (unsigned long long)event->modseq),
		"account", text(event->address), "modseq", (json_int_t)event->modseq, "operation",
		uuid_text(&op->arena, event->operation_id), "changes", telling->changes);
	char *printed = json_dumps(body, JSON_COMPACT);
	struct slice copy = arena_dup(&op->arena, slice_from_cstr(printed));
	free(printed);
	json_decref(body);
	return copy;
}

struct error *webhook_body(struct op *op, struct mail_store *store,
	const struct consumer_event *event, unsigned wanted, struct slice *ret_body)
{
	struct mailbox_list mailboxes = {0};
	struct telling telling = {.op = op, .mailboxes = &mailboxes, .wanted = wanted};
	*ret_body = SLICE_NONE;
	/* The account of a dead letter may have gone. */
	struct error *err = mailbox_list(op, store, event->account, &mailboxes);
	if (err && err->kind != ERR_NOT_FOUND)
		return err;
	TRY(look_for_moves(&telling, event->entry));
	telling.changes = json_array();
	err = tell_all(&telling, event->entry);
	if (!err && json_array_size(telling.changes))
		*ret_body = print(op, event, &telling);
	json_decref(telling.changes);
	return err;
}
