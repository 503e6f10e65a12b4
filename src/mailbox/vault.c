#include "mailbox/vault.h"
#include "mailbox/store_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/metric.h"
#include "format/charset.h"
#include "format/date.h"
#include "format/envelope_texts.h"
#include "format/find_text.h"
#include "format/header.h"

METRIC_COUNTER(restored, "vault_restored_total", "Deleted messages that were restored");
METRIC_COUNTER(purged, "vault_purged_total", "Deleted messages that were purged before their time");

/* ---- What is not applied yet ---- */

/* The changes that the log's tail means for single messages, chained by message. */
struct owed {
	struct row_changes changes;
	uint64_t modseq;      /* they, and what is applied, reach up to here */
	size_t *next;         /* the change of the same message before this one, + 1 */
	struct hash_map last; /* message_id -> its last change, + 1 */
};

static struct error *read_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(struct account_static *)context = head->state;
	return NULL;
}

static struct error *find_owed(struct op *op, struct mail_store *store, struct account_id account,
	const struct account_static *state, struct owed *owed)
{
	struct log_row *rows;
	size_t count;
	bool complete;
	row_changes_init(&owed->changes, &op->arena);
	TRY(commit_log_since(op, store->commit, account, state->applied, &rows, &count, &complete));
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to what is applied");
	owed->modseq = count ? MAX_OF(state->modseq, rows[count - 1].modseq) : state->modseq;
	for (size_t i = 0; i < count; i++)
		TRY(derive_projections(op, account, &rows[i], &owed->changes));
	owed->next = ARENA_ARRAY(&op->arena, size_t, owed->changes.count + 1);
	for (size_t i = 0; i < owed->changes.count; i++) {
		const struct row_change *change = &owed->changes.items[i];
		if (change->table != &message_table)
			continue;
		owed->next[i] = (size_t)hash_map_find(&owed->last, change->partition);
		hash_map_put(&owed->last, change->partition, (void *)(i + 1));
	}
	return NULL;
}

/* The changes of one message's rows, in order. */
static struct row_changes owed_by(struct op *op, const struct owed *owed, struct message_id id)
{
	struct row_changes changes;
	size_t count = 0;
	row_changes_init(&changes, &op->arena);
	size_t last = (size_t)hash_map_find(&owed->last, ID_SLICE(id));
	for (size_t at = last; at; at = owed->next[at - 1])
		count++;
	if (!count)
		return changes;
	changes.items = ARENA_ARRAY(&op->arena, struct row_change, count);
	changes.count = changes.capacity = count;
	for (size_t at = last; at; at = owed->next[at - 1])
		changes.items[--count] = owed->changes.items[at - 1];
	return changes;
}

/* ---- One message ---- */

struct message_rows {
	uint64_t modseq; /* of the account, which they tell of */
	bool has_summary;
	struct message_summary_columns summary;
	bool has_place;
	bool has_gone;
	uint64_t gone_version;
	struct message_gone gone;
};

/* A damaged row tells nothing, and hides nothing else. */
static struct error *take_if_whole(struct error *err, bool *ret_has)
{
	*ret_has = !err;
	return err && err->kind == ERR_CORRUPT ? NULL : err;
}

static struct error *take_row(
	struct op *op, const struct engine_row *row, struct message_rows *rows)
{
	switch (row->key.ptr[0]) {
	case MESSAGE_SUMMARY:
		rows->has_summary = true;
		return take_if_whole(
			row_decode(op, &message_summary_row, row->value, &rows->summary),
			&rows->has_summary);
	case MESSAGE_PLACE:
		rows->has_place = true;
		return NULL;
	case MESSAGE_GONE:
		rows->has_gone = true;
		rows->gone_version = row->version;
		return take_if_whole(row_decode(op, &message_gone_row, row->value, &rows->gone),
			&rows->has_gone);
	default:
		return NULL;
	}
}

static bool is_stored(const struct engine_rows *rows, struct slice key)
{
	for (size_t i = 0; i < rows->count; i++)
		if (slice_equal(rows->rows[i].key, key))
			return true;
	return false;
}

static struct error *read_message(struct op *op, struct mail_store *store, const struct owed *owed,
	struct message_id id, struct message_rows *ret_rows)
{
	struct arena *arena = &op->arena;
	struct engine_rows rows;
	struct slice partition = key_id(arena, id.uuid);
	*ret_rows = (struct message_rows){0};
	TRY(engine_scan(store->engine, op, &message_table, partition,
		key_kind_row(arena, MESSAGE_SUMMARY), key_kind_row(arena, MESSAGE_GONE + 1),
		SIZE_MAX, false, READ_NORMAL, &rows));
	struct row_changes changes = owed_by(op, owed, id);
	for (size_t i = 0; i < rows.count; i++) {
		bool found = true;
		TRY(projection_overlay(op, &changes, &message_table, partition, rows.rows[i].key,
			&found, &rows.rows[i]));
		if (found)
			TRY(take_row(op, &rows.rows[i], ret_rows));
	}
	for (size_t i = 0; i < changes.count; i++) {
		struct engine_row row;
		bool found = false;
		if (is_stored(&rows, changes.items[i].key))
			continue;
		TRY(projection_overlay(op, &changes, &message_table, partition,
			changes.items[i].key, &found, &row));
		if (found)
			TRY(take_row(op, &row, ret_rows));
	}
	return NULL;
}

static bool is_in_vault(const struct message_rows *rows, struct account_id account)
{
	return rows->has_gone && rows->has_summary && !rows->has_place && rows->gone.in_vault &&
	       rows->gone.state == GONE_KEPT && uuid_equal(rows->gone.account_id, account.uuid);
}

static void fill(
	struct message_id id, const struct message_rows *rows, struct vault_message *message)
{
	*message = (struct vault_message){.id = id,
		.blob.uuid = rows->gone.blob_id,
		.deleted_us = rows->gone.modseq,
		.path = rows->gone.path,
		.internal_date_us = rows->gone.internal_date_us,
		.flags = rows->gone.flags,
		.size = rows->summary.size,
		.envelope = rows->summary.envelope,
		.smtp_envelope = rows->summary.smtp_envelope};
}

static struct error *not_there(struct op *op, struct message_id id)
{
	return op_fail(
		op, ERR_NOT_FOUND, "no message %s in the vault", uuid_text(&op->arena, id.uuid));
}

static struct error *get_rows(struct op *op, struct mail_store *store, struct account_id account,
	struct message_id id, struct message_rows *ret_rows)
{
	struct account_static state;
	struct owed owed = {0};
	TRY(commit_read(op, store->commit, account, read_state, &state));
	hash_map_init(&owed.last);
	struct error *err = find_owed(op, store, account, &state, &owed);
	if (!err)
		err = read_message(op, store, &owed, id, ret_rows);
	ret_rows->modseq = owed.modseq;
	hash_map_done(&owed.last);
	return err;
}

struct error *vault_get(struct op *op, struct mail_store *store, struct account_id account,
	struct message_id id, struct vault_message *ret_message)
{
	struct message_rows rows;
	TRY(get_rows(op, store, account, id, &rows));
	if (!is_in_vault(&rows, account))
		return not_there(op, id);
	fill(id, &rows, ret_message);
	return NULL;
}

struct error *vault_content(struct op *op, struct mail_store *store,
	const struct vault_message *message, struct slice *ret_bytes)
{
	return blob_read(store->blobs, op, message->blob, 0, UINT64_MAX, ret_bytes);
}

/* ---- Searching ---- */

struct vault_term vault_term_parse(struct arena *arena, struct slice text)
{
	static const struct {
		struct slice prefix;
		enum vault_field field;
	} fields[] = {{SLICE_INIT("subject:"), VAULT_SUBJECT}, {SLICE_INIT("from:"), VAULT_FROM},
		{SLICE_INIT("to:"), VAULT_TO}, {SLICE_INIT("date:"), VAULT_DATE},
		{SLICE_INIT("text:"), VAULT_TEXT}};
	struct vault_term term = {.field = VAULT_ANYWHERE};
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (slice_starts_with_nocase(text, fields[i].prefix)) {
			term.field = fields[i].field;
			text = slice_from(text, fields[i].prefix.len);
			break;
		}
	term.folded = utf8_fold(arena, text);
	return term;
}

static bool date_matches(
	struct arena *arena, const struct envelope_texts *texts, struct slice folded)
{
	struct buf day = buf_in(arena);
	if (texts->has_date)
		date_print_day(&day, texts->sent);
	return utf8_contains(arena, texts->date, folded) ||
	       utf8_contains(arena, buf_as_slice(&day), folded);
}

static bool envelope_matches(
	struct arena *arena, const struct envelope_texts *texts, const struct vault_term *term)
{
	bool is_any = term->field == VAULT_ANYWHERE;
	return ((is_any || term->field == VAULT_SUBJECT) &&
		       utf8_contains(arena, texts->subject, term->folded)) ||
	       ((is_any || term->field == VAULT_FROM) &&
		       utf8_contains(arena, texts->from, term->folded)) ||
	       ((is_any || term->field == VAULT_TO) &&
		       (utf8_contains(arena, texts->to, term->folded) ||
			       utf8_contains(arena, texts->cc, term->folded))) ||
	       ((is_any || term->field == VAULT_DATE) && date_matches(arena, texts, term->folded));
}

/* The content is read once, when the first term needs it. */
static struct error *matches_terms(struct op *op, struct mail_store *store,
	const struct vault_message *message, const struct vault_filter *filter, bool *ret_matches)
{
	struct envelope_texts texts;
	struct slice bytes = SLICE_NONE;
	*ret_matches = true;
	if (filter->term_count)
		envelope_texts_read(&op->arena, message->envelope, &texts);
	for (size_t i = 0; i < filter->term_count && *ret_matches; i++) {
		const struct vault_term *term = &filter->terms[i];
		*ret_matches = envelope_matches(&op->arena, &texts, term);
		if (*ret_matches || (term->field != VAULT_ANYWHERE && term->field != VAULT_TEXT))
			continue;
		if (!bytes.ptr) {
			struct error *err = vault_content(op, store, message, &bytes);
			if (err && err->kind == ERR_NOT_FOUND)
				return NULL;
			TRY(err);
		}
		*ret_matches = header_contains(&op->arena,
				       slice_range(bytes, 0, header_length(bytes)), term->folded) ||
			       body_contains(&op->arena, bytes, term->folded);
	}
	return NULL;
}

/* ---- Listing ---- */

struct entry {
	struct message_id id;
	uint64_t modseq;
};

struct listing {
	struct mail_store *store;
	struct account_id account;
	const struct vault_filter *filter;
	struct owed owed;
	struct entry *entries;
	size_t count;
	size_t capacity;
	struct vault_message *messages;
	size_t message_count;
	size_t message_capacity;
	bool has_more;
};

static struct error *add_entry(struct op *op, struct listing *l, struct slice key, uint64_t modseq)
{
	struct entry entry = {.modseq = modseq};
	const struct vault_filter *filter = l->filter;
	if (!uuid_from_slice(slice_from(key, 1), &entry.id.uuid))
		return op_fail(
			op, ERR_CORRUPT, "a row of the vault has a key of %zu bytes", key.len);
	if (modseq < filter->since_us || (filter->until_us && modseq >= filter->until_us))
		return NULL;
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		l->entries = arena_grow(&op->arena, l->entries, l->count * sizeof(struct entry),
			capacity * sizeof(struct entry));
		l->capacity = capacity;
	}
	l->entries[l->count++] = entry;
	return NULL;
}

/* Reclaim may be late, and a clock ahead: one period more than the grace period on both sides. */
static struct error *find_entries(struct op *op, struct listing *l)
{
	uint64_t now_us = clock_realtime_us();
	uint64_t back_us = mail_settings.grace_ms * 1000 + VAULT_PERIOD_US;
	uint64_t from_us = now_us > back_us ? now_us - back_us : 0;
	from_us = MAX_OF(from_us, l->filter->since_us);
	for (uint64_t at = from_us / VAULT_PERIOD_US; at <= now_us / VAULT_PERIOD_US + 1; at++) {
		struct engine_rows rows;
		TRY(engine_scan(l->store->engine, op, &vault_table,
			key_vault(&op->arena, l->account, at * VAULT_PERIOD_US), SLICE_NONE,
			SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
		for (size_t i = 0; i < rows.count; i++) {
			struct vault row;
			struct error *err = row_decode(op, &vault_row, rows.rows[i].value, &row);
			/* A damaged one does not hide the others. */
			if (err && err->kind == ERR_CORRUPT)
				continue;
			TRY(err);
			TRY(add_entry(op, l, rows.rows[i].key, row.modseq));
		}
	}
	return NULL;
}

static struct error *add_owed_entries(struct op *op, struct listing *l)
{
	for (size_t i = 0; i < l->owed.changes.count; i++) {
		const struct row_change *change = &l->owed.changes.items[i];
		if (change->table == &vault_table)
			TRY(add_entry(op, l, change->key, change->modseq));
	}
	return NULL;
}

static int newest_first(const void *a, const void *b)
{
	const struct entry *left = a;
	const struct entry *right = b;
	if (left->modseq != right->modseq)
		return left->modseq < right->modseq ? 1 : -1;
	return -uuid_compare(left->id.uuid, right->id.uuid);
}

static void add_message(struct op *op, struct listing *l, const struct vault_message *message)
{
	if (l->message_count == l->message_capacity) {
		size_t capacity = l->message_capacity ? l->message_capacity * 2 : 16;
		l->messages = arena_grow(&op->arena, l->messages,
			l->message_count * sizeof(*message), capacity * sizeof(*message));
		l->message_capacity = capacity;
	}
	l->messages[l->message_count++] = *message;
}

/* An entry that is not its message's latest is passed over: that comes, or came, by another. */
static struct error *look_at(struct op *op, struct listing *l, const struct entry *entry)
{
	struct message_rows rows;
	struct vault_message message;
	bool matches;
	TRY(read_message(op, l->store, &l->owed, entry->id, &rows));
	if (!is_in_vault(&rows, l->account) || rows.gone.modseq != entry->modseq)
		return NULL;
	if (l->filter->path.len && !slice_equal(l->filter->path, rows.gone.path))
		return NULL;
	fill(entry->id, &rows, &message);
	TRY(matches_terms(op, l->store, &message, l->filter, &matches));
	if (!matches)
		return NULL;
	l->has_more = l->message_count == l->filter->limit;
	if (!l->has_more)
		add_message(op, l, &message);
	return NULL;
}

static struct error *list(struct op *op, struct listing *l)
{
	struct account_static state;
	/* What is applied is read before the rows are, so that nothing falls between. */
	TRY(commit_read(op, l->store->commit, l->account, read_state, &state));
	TRY(find_entries(op, l));
	TRY(find_owed(op, l->store, l->account, &state, &l->owed));
	TRY(add_owed_entries(op, l));
	if (l->count)
		qsort(l->entries, l->count, sizeof(struct entry), newest_first);
	for (size_t i = 0; i < l->count && !l->has_more; i++) {
		bool is_seen = i && ID_EQUAL(l->entries[i].id, l->entries[i - 1].id) &&
			       l->entries[i].modseq == l->entries[i - 1].modseq;
		if (!is_seen)
			TRY(look_at(op, l, &l->entries[i]));
	}
	return NULL;
}

struct error *vault_list(struct op *op, struct mail_store *store, struct account_id account,
	const struct vault_filter *filter, struct vault_message **ret_messages, size_t *ret_count,
	bool *ret_has_more)
{
	struct listing l = {.store = store, .account = account, .filter = filter};
	hash_map_init(&l.owed.last);
	struct error *err = list(op, &l);
	hash_map_done(&l.owed.last);
	TRY(err);
	*ret_messages = l.messages;
	*ret_count = l.message_count;
	*ret_has_more = l.has_more;
	return NULL;
}

/* ---- Restoring and purging ---- */

/* The mark is newer than the row that the expunge makes, so that it stays although the row is
 * written again; what the rows say goes along. */
static void mark(struct op *op, struct message_id id, const struct message_rows *rows,
	enum gone_state state, struct mutations *out)
{
	struct message_gone gone = rows->gone;
	gone.state = (uint8_t)state;
	gone.known_modseq = rows->modseq;
	mutations_put(out, &message_table, key_id(&op->arena, id.uuid),
		key_kind_row(&op->arena, MESSAGE_GONE),
		row_encode_in(&op->arena, &message_gone_row, &gone),
		MAX_OF(clock_realtime_us(), rows->gone_version + 1));
}

/* One deletion is restored once, whatever is repeated. */
static struct slice once_key_of(struct op *op, struct message_id id, uint64_t modseq)
{
	struct buf text = buf_in(&op->arena);
	uint8_t *digest = arena_alloc(&op->arena, SHA256_SIZE);
	buf_append(&text, SLICE("vault"));
	buf_append(&text, ID_SLICE(id));
	buf_u64(&text, modseq);
	sha256_of(buf_as_slice(&text), digest);
	return slice_of(digest, SHA256_SIZE);
}

static struct error *make_mailbox(
	struct op *op, struct mail_store *store, struct account_id account, struct slice path)
{
	struct mailbox_id id;
	struct mailbox_status status;
	struct error *err = mailbox_find(op, store, account, path, &status);
	if (!err || err->kind != ERR_NOT_FOUND)
		return err;
	err = mailbox_create(op, store, account, path, 0, &id);
	return err && err->kind == ERR_EXISTS ? NULL : err;
}

struct error *vault_restore(struct op *op, struct mail_store *store, struct account_id account,
	struct message_id id, struct account_id target, struct slice path,
	struct append_result *ret_result)
{
	struct message_rows rows;
	struct vault_message message;
	struct slice content;
	struct mutations marked;
	TRY(get_rows(op, store, account, id, &rows));
	if (!is_in_vault(&rows, account))
		return not_there(op, id);
	fill(id, &rows, &message);
	TRY(vault_content(op, store, &message, &content));
	TRY(make_mailbox(op, store, target, path));
	struct append_request request = {.account = target,
		.path = path,
		.content = content,
		.flags = message.flags & (uint16_t)~FLAG_DELETED,
		.internal_date_us = message.internal_date_us,
		.once_key = once_key_of(op, id, message.deleted_us),
		.smtp_envelope = message.smtp_envelope};
	TRY(mailbox_append(op, store, &request, ret_result));
	metric_add(&restored, 1);
	mutations_init(&marked, &op->arena);
	mark(op, id, &rows, GONE_RESTORED, &marked);
	/* The mail is back; a mark that cannot be set leaves it listed, and does no harm. */
	struct error *err = engine_write(store->engine, op, marked.items, marked.count, DURABLE);
	if (err)
		log_warn(op, "vault-mark-failed", FIELD_ID("message", op, id.uuid),
			FIELD_ERROR(op, err));
	return NULL;
}

struct error *vault_purge(
	struct op *op, struct mail_store *store, struct account_id account, struct message_id id)
{
	struct message_rows rows;
	struct mutations marked;
	TRY(get_rows(op, store, account, id, &rows));
	/* Repeated, in case the first try did only a part. */
	bool was_purged = rows.gone.state == GONE_PURGED;
	if (was_purged)
		rows.gone.state = GONE_KEPT;
	if (!is_in_vault(&rows, account))
		return not_there(op, id);
	struct blob_candidate candidate = {
		.blob_id = rows.gone.blob_id, .account_id = account.uuid};
	mutations_init(&marked, &op->arena);
	mark(op, id, &rows, GONE_PURGED, &marked);
	mutations_put(&marked, &blob_candidate_table,
		key_shard(&op->arena, candidate_shard(id), CANDIDATE_DAY_PURGED),
		key_id_row(&op->arena, 0, id.uuid),
		row_encode_in(&op->arena, &blob_candidate_row, &candidate), clock_realtime_us());
	TRY(engine_write(store->engine, op, marked.items, marked.count, DURABLE));
	metric_add(&purged, !was_purged);
	return NULL;
}
