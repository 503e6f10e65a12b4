#include "commit/head.h"

#include <stdlib.h>

#include "base/world.h"

void head_init(struct head *head)
{
	*head = (struct head){0};
	hash_map_init(&head->mailboxes);
	hash_map_init(&head->paths);
	hash_map_init(&head->subscriptions);
	hash_map_init(&head->intents);
	hash_map_init(&head->annotations);
}

static void free_mailbox(struct head_mailbox *mailbox)
{
	if (!mailbox)
		return;
	free(mailbox->bytes);
	free(mailbox);
}

static void free_intent(struct head_intent *intent)
{
	if (!intent)
		return;
	free(intent->bytes);
	free(intent);
}

static void free_annotation(struct head_annotation *annotation)
{
	if (!annotation)
		return;
	free(annotation->bytes);
	free(annotation);
}

void head_done(struct head *head)
{
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&head->mailboxes, &cursor, NULL, &value))
		free_mailbox(value);
	cursor = (struct hash_cursor){0};
	while (hash_map_next(&head->intents, &cursor, NULL, &value))
		free_intent(value);
	cursor = (struct hash_cursor){0};
	while (hash_map_next(&head->annotations, &cursor, NULL, &value))
		free_annotation(value);
	hash_map_done(&head->annotations);
	hash_map_done(&head->mailboxes);
	hash_map_done(&head->paths);
	hash_map_done(&head->subscriptions);
	hash_map_done(&head->intents);
	for (size_t i = 0; i < head->tail_count; i++)
		free(head->tail[i].bytes);
	free(head->tail);
	free(head->static_bytes);
	*head = (struct head){0};
}

/* Decodes a row whose slices are to outlive the operation: the bytes are copied first. */
static struct error *decode_kept(struct op *op, const struct row_type *type, struct slice value,
	void *ret_row, char **ret_bytes)
{
	char *bytes = heap_cstr(value);
	struct error *err = row_decode(op, type, slice_of(bytes, value.len), ret_row);
	if (err) {
		free(bytes);
		return err;
	}
	*ret_bytes = bytes;
	return NULL;
}

static struct error *install_static(struct op *op, struct head *head, struct slice value)
{
	struct account_static state;
	char *bytes;
	TRY(decode_kept(op, &account_static_row, value, &state, &bytes));
	free(head->static_bytes);
	head->static_bytes = bytes;
	head->state = state;
	head->exists = true;
	return NULL;
}

static void forget_path(struct head *head, const struct head_mailbox *mailbox)
{
	if (hash_map_find(&head->paths, mailbox->row.path) == mailbox)
		hash_map_remove(&head->paths, mailbox->row.path);
}

static struct error *install_mailbox(
	struct op *op, struct head *head, struct slice id, struct slice value, bool is_delete)
{
	struct head_mailbox *old = hash_map_find(&head->mailboxes, id);
	if (is_delete) {
		if (old) {
			forget_path(head, old);
			free_mailbox(hash_map_remove(&head->mailboxes, id));
		}
		return NULL;
	}
	struct head_mailbox *mailbox = HEAP_NEW(struct head_mailbox);
	struct error *err =
		decode_kept(op, &account_mailbox_row, value, &mailbox->row, &mailbox->bytes);
	if (!err && !uuid_from_slice(id, &mailbox->id.uuid))
		err = op_fail(op, ERR_CORRUPT, "a mailbox row has a key of %zu bytes", id.len);
	if (err) {
		free_mailbox(mailbox);
		return err;
	}
	if (old)
		forget_path(head, old);
	free_mailbox(hash_map_put(&head->mailboxes, id, mailbox));
	if (!mailbox->row.deleted_modseq)
		hash_map_put(&head->paths, mailbox->row.path, mailbox);
	return NULL;
}

size_t head_tail_after(const struct head *head, uint64_t modseq)
{
	size_t low = 0;
	size_t high = head->tail_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (head->tail[middle].modseq <= modseq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void remove_log(struct head *head, uint64_t modseq)
{
	size_t at = head_tail_after(head, modseq);
	if (!at || head->tail[at - 1].modseq != modseq)
		return;
	head->tail_bytes -= head->tail[at - 1].size;
	free(head->tail[at - 1].bytes);
	memmove(&head->tail[at - 1], &head->tail[at],
		(head->tail_count - at) * sizeof(struct log_row));
	head->tail_count--;
}

static struct error *install_log(
	struct op *op, struct head *head, struct slice key, struct slice value, bool is_delete)
{
	struct reader reader = reader_of(key);
	uint64_t modseq = reader_u64(&reader);
	if (!reader_is_complete(&reader))
		return op_fail(op, ERR_CORRUPT, "a log row has a key of %zu bytes", key.len);
	if (is_delete) {
		remove_log(head, modseq);
		return NULL;
	}
	struct log_row row = {.modseq = modseq, .size = value.len};
	TRY(decode_kept(op, &account_log_row, value, &row.row, &row.bytes));
	if (head->tail_count == head->tail_capacity) {
		head->tail_capacity = head->tail_capacity ? head->tail_capacity * 2 : 16;
		head->tail = heap_realloc(head->tail, head->tail_capacity * sizeof(struct log_row));
	}
	size_t at = head_tail_after(head, modseq);
	memmove(&head->tail[at + 1], &head->tail[at],
		(head->tail_count - at) * sizeof(struct log_row));
	head->tail[at] = row;
	head->tail_count++;
	head->tail_bytes += value.len;
	return NULL;
}

static struct error *install_intent(
	struct op *op, struct head *head, struct slice id, struct slice value, bool is_delete)
{
	if (is_delete) {
		free_intent(hash_map_remove(&head->intents, id));
		return NULL;
	}
	struct head_intent *intent = HEAP_NEW(struct head_intent);
	struct error *err =
		decode_kept(op, &account_intent_row, value, &intent->row, &intent->bytes);
	if (!err && !uuid_from_slice(id, &intent->operation_id))
		err = op_fail(op, ERR_CORRUPT, "an intent row has a key of %zu bytes", id.len);
	if (err) {
		free_intent(intent);
		return err;
	}
	free_intent(hash_map_put(&head->intents, id, intent));
	return NULL;
}

static struct error *install_annotation(
	struct op *op, struct head *head, struct slice id, struct slice value, bool is_delete)
{
	if (is_delete) {
		free_annotation(hash_map_remove(&head->annotations, id));
		return NULL;
	}
	if (id.len < sizeof(struct uuid))
		return op_fail(op, ERR_CORRUPT, "an annotation has a key of %zu bytes", id.len);
	struct head_annotation *annotation = HEAP_NEW(struct head_annotation);
	/* The key behind the value, in one piece of memory. */
	annotation->bytes = heap_realloc(NULL, value.len + id.len);
	memcpy(annotation->bytes, value.ptr, value.len);
	memcpy(annotation->bytes + value.len, id.ptr, id.len);
	annotation->key = slice_of(annotation->bytes + value.len, id.len);
	struct error *err = row_decode(op, &account_annotation_row,
		slice_of(annotation->bytes, value.len), &annotation->row);
	if (err) {
		free_annotation(annotation);
		return err;
	}
	free_annotation(hash_map_put(&head->annotations, id, annotation));
	return NULL;
}

static struct error *install_row(
	struct op *op, struct head *head, struct slice key, struct slice value, bool is_delete)
{
	if (!key.len)
		return install_static(op, head, value);
	struct slice id = slice_from(key, 1);
	switch ((enum account_row_kind)key.ptr[0]) {
	case ACCOUNT_MAILBOX:
		return install_mailbox(op, head, id, value, is_delete);
	case ACCOUNT_LOG:
		return install_log(op, head, id, value, is_delete);
	case ACCOUNT_INTENT:
		return install_intent(op, head, id, value, is_delete);
	case ACCOUNT_SUBSCRIPTION:
		if (is_delete)
			hash_map_remove(&head->subscriptions, id);
		else
			hash_map_put(&head->subscriptions, id, head);
		return NULL;
	case ACCOUNT_ANNOTATION:
		return install_annotation(op, head, id, value, is_delete);
	}
	return op_fail(op, ERR_CORRUPT, "an account has a row of kind %d", key.ptr[0]);
}

/* A poll that found a new MODSEQ without its rows, or a log with a hole, is no head. */
static struct error *check_whole(struct op *op, const struct head *head)
{
	if (!head->exists || is_planted(BUG_TORN_HEAD))
		return NULL;
	const struct account_static *state = &head->state;
	uint64_t newest = head->tail_count ? head->tail[head->tail_count - 1].modseq : 0;
	if (newest != state->modseq)
		return op_fail(op, ERR_CORRUPT, "the log ends at %llu, the account stands at %llu",
			(unsigned long long)newest, (unsigned long long)state->modseq);
	size_t first = head_tail_after(head, state->trimmed);
	if (first < head->tail_count && head->tail[first].row.previous > state->trimmed)
		return op_fail(op, ERR_CORRUPT, "the log has a hole before %llu",
			(unsigned long long)head->tail[first].modseq);
	for (size_t i = first + 1; i < head->tail_count; i++)
		if (head->tail[i].row.previous != head->tail[i - 1].modseq)
			return op_fail(op, ERR_CORRUPT, "the log has a hole before %llu",
				(unsigned long long)head->tail[i].modseq);
	return NULL;
}

struct error *head_load(struct op *op, struct engine *engine, struct slice partition,
	enum read_level level, struct head *head)
{
	struct engine_rows rows;
	TRY(engine_scan(engine, op, &account_table, partition, SLICE_NONE, SLICE_NONE, SIZE_MAX,
		false, level, &rows));
	head_done(head);
	head_init(head);
	struct error *err = NULL;
	for (size_t i = 0; i < rows.count && !err; i++)
		err = install_row(op, head, rows.rows[i].key, rows.rows[i].value, false);
	if (!err)
		err = check_whole(op, head);
	if (err) {
		head_done(head);
		head_init(head);
		return err;
	}
	/* Rows below `trimmed` may come back from the dead; they are not part of the tail. */
	while (head->tail_count && head->tail[0].modseq <= head->state.trimmed)
		remove_log(head, head->tail[0].modseq);
	head->is_loaded = true;
	return NULL;
}

struct error *head_install(
	struct op *op, struct head *head, const struct mutation *mutations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		TRY(install_row(
			op, head, mutations[i].key, mutations[i].value, mutations[i].is_delete));
	head->is_loaded = true;
	return NULL;
}

const struct head_mailbox *head_mailbox(const struct head *head, struct mailbox_id id)
{
	return hash_map_find(&head->mailboxes, ID_SLICE(id));
}

const struct head_mailbox *head_mailbox_at(const struct head *head, struct slice path)
{
	return hash_map_find(&head->paths, path);
}

const struct log_row *head_find_operation(const struct head *head, struct uuid operation_id)
{
	for (size_t i = head->tail_count; i-- > 0;)
		if (uuid_equal(head->tail[i].row.operation_id, operation_id))
			return &head->tail[i];
	return NULL;
}
