/* The maildrop: what the INBOX held at sign-in, and what is to be deleted from it. */

#include <stdlib.h>

#include "front/pop3/pop3_private.h"

/* UIDs asked for at a time. */
#define PAGE 500

static uint64_t place(uint32_t uidvalidity, uint32_t uid)
{
	return (uint64_t)uidvalidity << 32 | uid;
}

static struct error *read_page(struct op *op, struct pop3 *pop3, const struct snapshot *snapshot,
	uint32_t first, uint32_t end)
{
	struct arena_mark mark = arena_mark(&op->arena);
	struct uid_set uids;
	uid_set_init(&uids, &op->arena);
	for (uint32_t i = first; i < end; i++)
		uid_set_add(&uids, snapshot_at(snapshot, i).uid);
	struct message *found;
	size_t count;
	TRY(mailbox_messages(op, pop3->service->store, pop3->account, pop3->maildrop.mailbox, &uids,
		&found, &count));
	for (size_t i = 0; i < count; i++)
		pop3->maildrop.messages[pop3->maildrop.count++] = (struct pop3_message){
			.uid = found[i].uid,
			.size = found[i].size,
			.first_place =
				found[i].first_uid
					? place(found[i].first_uidvalidity, found[i].first_uid)
					: place(snapshot_uidvalidity(snapshot), found[i].uid)};
	arena_release(&op->arena, mark);
	return NULL;
}

static int compare_places(const void *a, const void *b)
{
	const struct pop3_message *left = *(struct pop3_message *const *)a;
	const struct pop3_message *right = *(struct pop3_message *const *)b;
	if (left->first_place != right->first_place)
		return left->first_place < right->first_place ? -1 : 1;
	return left->uid < right->uid ? -1 : left->uid > right->uid;
}

/* Messages that came at the same place are copies of one. */
static void number_copies(struct pop3_maildrop *maildrop)
{
	struct pop3_message **sorted =
		heap_alloc((maildrop->count + 1) * sizeof(struct pop3_message *));
	for (size_t i = 0; i < maildrop->count; i++)
		sorted[i] = &maildrop->messages[i];
	qsort(sorted, maildrop->count, sizeof(struct pop3_message *), compare_places);
	for (size_t i = 1; i < maildrop->count; i++)
		if (sorted[i]->first_place == sorted[i - 1]->first_place)
			sorted[i]->copy = sorted[i - 1]->copy + 1;
	free(sorted);
}

static struct error *read_all(struct op *op, struct pop3 *pop3, const struct snapshot *snapshot)
{
	uint32_t count = snapshot_count(snapshot);
	struct pop3_maildrop *maildrop = &pop3->maildrop;
	maildrop->messages = heap_alloc((count + (size_t)1) * sizeof(*maildrop->messages));
	for (uint32_t first = 0; first < count; first += PAGE)
		TRY(read_page(op, pop3, snapshot, first, MIN_OF(first + PAGE, count)));
	number_copies(maildrop);
	return NULL;
}

struct error *pop3_maildrop_open(struct op *op, struct pop3 *pop3)
{
	struct mailbox_status inbox;
	TRY(mailbox_find(op, pop3->service->store, pop3->account, SLICE("INBOX"), &inbox));
	pop3->maildrop.mailbox = inbox.id;
	struct snapshot *snapshot;
	TRY(mailbox_snapshot(op, pop3->service->store, pop3->account, inbox.id, &snapshot));
	struct error *err = read_all(op, pop3, snapshot);
	snapshot_unref(snapshot);
	return err;
}

struct pop3_message *pop3_message_get(struct pop3 *pop3, struct slice number)
{
	uint32_t n = 0;
	bool is_number = slice_parse_u32(number, &n);
	struct pop3_message *message = is_number && n > 0 && n <= pop3->maildrop.count
					       ? &pop3->maildrop.messages[n - 1]
					       : NULL;
	if (!message || message->is_deleted) {
		pop3_reply(pop3, message ? "-ERR this message is deleted" : "-ERR no such message");
		return NULL;
	}
	return message;
}

enum step pop3_stat(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	uint64_t count = 0, bytes = 0;
	for (size_t i = 0; i < pop3->maildrop.count; i++) {
		const struct pop3_message *message = &pop3->maildrop.messages[i];
		count += !message->is_deleted;
		bytes += message->is_deleted ? 0 : message->size;
	}
	pop3_reply(pop3, "+OK %llu %llu", (unsigned long long)count, (unsigned long long)bytes);
	return STEP_DONE;
}

/* ---- LIST and UIDL: one line for one message, or for each ---- */

typedef void (*line_writer)(struct pop3 *pop3, const char *before, size_t index);

static void write_size(struct pop3 *pop3, const char *before, size_t index)
{
	pop3_reply(pop3, "%s%zu %llu", before, index + 1,
		(unsigned long long)pop3->maildrop.messages[index].size);
}

static void write_uid(struct pop3 *pop3, const char *before, size_t index)
{
	const struct pop3_message *message = &pop3->maildrop.messages[index];
	unsigned uidvalidity = (unsigned)(message->first_place >> 32);
	unsigned uid = (unsigned)message->first_place;
	if (message->copy)
		pop3_reply(pop3, "%s%zu %u.%u.%u", before, index + 1, uidvalidity, uid,
			(unsigned)message->copy + 1);
	else
		pop3_reply(pop3, "%s%zu %u.%u", before, index + 1, uidvalidity, uid);
}

static enum step list_all(
	struct op *op, struct pop3 *pop3, struct command *command, line_writer write)
{
	if (!command->cursor) {
		command->cursor = ARENA_NEW(&op->arena, size_t);
		pop3_reply(pop3, "+OK");
	}
	size_t *index = command->cursor;
	for (; *index < pop3->maildrop.count; ++*index) {
		if (*index % 64 == 0 && session_output_is_full(pop3->session))
			return STEP_MORE;
		if (!pop3->maildrop.messages[*index].is_deleted)
			write(pop3, "", *index);
	}
	pop3_reply(pop3, ".");
	return STEP_DONE;
}

static enum step list(struct op *op, struct pop3 *pop3, struct command *command, struct slice args,
	line_writer write)
{
	struct slice number = slice_trim(args);
	if (!number.len)
		return list_all(op, pop3, command, write);
	const struct pop3_message *message = pop3_message_get(pop3, number);
	if (message)
		write(pop3, "+OK ", (size_t)(message - pop3->maildrop.messages));
	return STEP_DONE;
}

enum step pop3_list(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	return list(op, pop3, command, args, write_size);
}

enum step pop3_uidl(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	return list(op, pop3, command, args, write_uid);
}

/* ---- Deleting ---- */

enum step pop3_dele(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	struct pop3_message *message = pop3_message_get(pop3, slice_trim(args));
	if (!message)
		return STEP_DONE;
	message->is_deleted = true;
	pop3_reply(pop3, "+OK goes at QUIT");
	return STEP_DONE;
}

enum step pop3_rset(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	for (size_t i = 0; i < pop3->maildrop.count; i++)
		pop3->maildrop.messages[i].is_deleted = false;
	pop3_reply(pop3, "+OK nothing is deleted");
	return STEP_DONE;
}

static struct error *delete_marked(struct op *op, struct pop3 *pop3)
{
	struct uid_set uids;
	uid_set_init(&uids, &op->arena);
	for (size_t i = 0; i < pop3->maildrop.count; i++)
		if (pop3->maildrop.messages[i].is_deleted)
			uid_set_add(&uids, pop3->maildrop.messages[i].uid);
	if (uid_set_is_empty(&uids))
		return NULL;
	struct expunge_result result;
	return mailbox_expunge(op, pop3->service->store, pop3->account, pop3->maildrop.mailbox,
		&uids, false, &result);
}

enum step pop3_quit(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)command;
	(void)args;
	struct error *err = pop3->is_open ? delete_marked(op, pop3) : NULL;
	if (err)
		pop3_answer_error(op, pop3, err);
	else
		pop3_reply(pop3, "+OK goodbye");
	return STEP_CLOSE;
}
