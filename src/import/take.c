#include "base/digest.h"
#include "base/clock.h"
#include "import/import_private.h"

/* ---- Where it goes ---- */

static const struct mailbox_status *with_id(const struct mailbox_list *list, struct uuid id)
{
	for (size_t i = 0; i < list->count; i++)
		if (uuid_equal(list->items[i].id.uuid, id))
			return &list->items[i];
	return NULL;
}

/* What others call "Sent Items" is our "Sent". */
static const struct mailbox_status *with_use(const struct mailbox_list *list, uint32_t use)
{
	for (size_t i = 0; use && i < list->count; i++)
		if (list->items[i].special_use & use)
			return &list->items[i];
	return NULL;
}

static struct error *find_or_make(
	struct op *op, struct importing *importing, uint32_t special_use, struct mailbox_id *ret_id)
{
	const struct import_config *config = &importing->config;
	struct slice path = importing->work.from->path;
	struct mailbox_status status;
	struct error *err =
		mailbox_create(op, config->store, config->account, path, special_use, ret_id);
	if (!err || err->kind != ERR_EXISTS)
		return err;
	TRY(mailbox_find(op, config->store, config->account, path, &status));
	*ret_id = status.id;
	return NULL;
}

/* A mailbox that was renamed here since the last time is still where its mail goes. */
static struct error *find_target(struct op *op, struct importing *importing)
{
	struct mailbox_work *work = &importing->work;
	const struct import_config *config = &importing->config;
	const struct source_mailbox *from = work->from;
	struct imported_source known;
	struct mailbox_list list;
	bool is_known;
	/* Under a place of its own nothing is the account's Sent. */
	uint32_t use = importing->request.into.len ? 0 : from->special_use;
	TRY(record_find_source(
		op, config->store, config->account, work->record, &is_known, &known));
	TRY(mailbox_list(op, config->store, config->account, &list));
	const struct mailbox_status *target = is_known ? with_id(&list, known.mailbox_id) : NULL;
	if (!target)
		target = with_use(&list, use);
	if (target)
		work->target = target->id;
	else
		TRY(find_or_make(op, importing, use, &work->target));
	if (from->is_subscribed && !is_known)
		TRY(mailbox_subscribe(op, config->store, config->account,
			target ? target->path : from->path, true));
	if (target && is_known && known.uidvalidity == work->uidvalidity)
		return NULL;
	const struct import_request *request = &importing->request;
	const struct imported_source now = {.host = request->host,
		.user = request->act_as.len ? request->act_as : request->user,
		.mailbox = from->name,
		.uidvalidity = work->uidvalidity,
		.mailbox_id = work->target.uuid};
	return record_put_source(op, config->store, config->account, work->record, &now);
}

/* ---- What is there already ---- */

/* What was put by an earlier UIDVALIDITY of the source. */
struct former {
	struct imported_message message;
	struct former *next; /* with the same SHA-256 */
};

struct known {
	struct mailbox_work *work;
	struct uid_set uids;    /* put by this UIDVALIDITY */
	struct hash_map places; /* where those are here */
	bool has_former;
};

static struct slice place_of(const struct imported_message *message, char bytes[static 20])
{
	memcpy(bytes, message->mailbox_id.bytes, sizeof(message->mailbox_id.bytes));
	memcpy(bytes + sizeof(message->mailbox_id.bytes), &message->uid, sizeof(message->uid));
	return slice_of(bytes, 20);
}

static void note_known(void *context, const struct record *record)
{
	struct known *known = context;
	char place[20];
	if (record->source_uidvalidity != known->work->uidvalidity) {
		known->has_former = true;
		return;
	}
	uid_set_add(&known->uids, record->source_uid);
	hash_map_put(&known->places, place_of(&record->message, place), known);
}

static void note_former(void *context, const struct record *record)
{
	struct known *known = context;
	struct arena *arena = &known->work->arena;
	char place[20];
	/* One that was recognised already is not there a second time. */
	if (record->source_uidvalidity == known->work->uidvalidity ||
		hash_map_find(&known->places, place_of(&record->message, place)))
		return;
	struct former *former = ARENA_NEW(arena, struct former);
	former->message = record->message;
	former->message.sha256 = arena_dup(arena, record->message.sha256);
	former->message.flags = arena_dup(arena, record->message.flags);
	former->next = hash_map_find(&known->work->former, former->message.sha256);
	hash_map_put(&known->work->former, former->message.sha256, former);
}

static struct error *leave_out_known(struct op *op, struct importing *importing,
	struct known *known, uint32_t after, struct import_report *report)
{
	struct mailbox_work *work = &importing->work;
	const struct import_config *config = &importing->config;
	size_t kept = 0;
	TRY(record_each(op, config->store, config->account, work->record, note_known, known));
	if (known->has_former)
		TRY(record_each(
			op, config->store, config->account, work->record, note_former, known));
	for (size_t i = 0; i < work->uid_count; i++) {
		uint32_t uid = work->uids[i];
		if (!uid_set_contains(&known->uids, uid)) {
			work->uids[kept++] = uid;
		} else if (uid > after) {
			report->counts[IMPORT_THERE]++;
			report->counts[IMPORT_MESSAGES]++;
		}
	}
	work->uid_count = kept;
	return NULL;
}

struct error *take_begin(
	struct op *op, struct importing *importing, uint32_t after, struct import_report *report)
{
	struct known known = {.work = &importing->work};
	TRY(find_target(op, importing));
	uid_set_init(&known.uids, &importing->work.arena);
	hash_map_init(&known.places);
	struct error *err = leave_out_known(op, importing, &known, after, report);
	importing->work.has_former = known.has_former;
	hash_map_done(&known.places);
	return err;
}

/* ---- Putting ---- */

/* The same message of the same source in the same mailbox. */
static struct slice once_key(struct op *op, const struct importing *importing, uint32_t uid,
	const uint8_t digest[static SHA256_SIZE])
{
	const struct mailbox_work *work = &importing->work;
	struct buf text = buf_in(&op->arena);
	uint8_t *key = arena_alloc(&op->arena, SHA256_SIZE);
	buf_slice(&text, SLICE("import-imap"));
	buf_append(&text, ID_SLICE(importing->config.account));
	buf_append(&text, uuid_as_slice(&work->record));
	buf_u32(&text, work->uidvalidity);
	buf_u32(&text, uid);
	buf_append(&text, slice_of(digest, SHA256_SIZE));
	sha256_of(buf_as_slice(&text), key);
	return slice_of(key, SHA256_SIZE);
}

/* `flags`: the names of all that are taken. A name that is neither a flag of ours nor a keyword is
 * told of. */
static void take_flags(struct op *op, struct importing *importing,
	const struct source_message *message, struct append_request *append,
	struct slice *ret_names, struct import_report *report)
{
	struct slice *keywords = ARENA_ARRAY(&op->arena, struct slice, message->flag_count + 1);
	struct buf names = buf_in(&op->arena);
	for (size_t i = 0; i < message->flag_count; i++) {
		struct slice name = message->flags[i];
		uint16_t flag = message_flag_named(name);
		/* \Recent is the session's. */
		if (slice_equal_nocase(name, SLICE("\\Recent")))
			continue;
		if (!flag && !keyword_is_valid(name)) {
			report->tell(report->context,
				slice_from_cstr(arena_printf(&op->arena,
					SLICE_FMT " UID %u: without the flag " SLICE_FMT,
					SLICE_ARG(importing->work.from->name), message->uid,
					SLICE_ARG(slice_range(name, 0, 100)))));
			continue;
		}
		append->flags |= flag;
		if (!flag)
			keywords[append->keyword_count++] = name;
		if (names.len)
			buf_append_char(&names, ' ');
		buf_append(&names, name);
	}
	append->keywords = keywords;
	*ret_names = buf_as_slice(&names);
}

static bool take_former(
	struct mailbox_work *work, struct slice sha256, struct imported_message *ret_message)
{
	struct former *former = hash_map_find(&work->former, sha256);
	if (!former)
		return false;
	if (former->next)
		hash_map_put(&work->former, sha256, former->next);
	else
		hash_map_remove(&work->former, sha256);
	*ret_message = former->message;
	return true;
}

/* NULL: it can be put. */
static const char *fault_of(const struct source_message *message, uint64_t *ret_date_us)
{
	if (!message->has_content)
		return "the source does not give it";
	if (!message->content.len)
		return "it is empty";
	if (!source_date(message, ret_date_us))
		return "its date cannot be read";
	return NULL;
}

static struct error *put(struct op *op, struct importing *importing,
	const struct source_message *message, uint64_t date_us, struct record *record,
	struct import_report *report)
{
	const struct import_config *config = &importing->config;
	struct mailbox_work *work = &importing->work;
	struct append_request append = {.account = config->account,
		.mailbox = work->target,
		.content = message->content,
		.internal_date_us = date_us};
	struct append_result result;
	struct imported_message *row = &record->message;
	uint8_t *digest = arena_alloc(&op->arena, SHA256_SIZE);
	sha256_of(message->content, digest);
	record->source_uidvalidity = work->uidvalidity;
	record->source_uid = message->uid;
	if (take_former(work, slice_of(digest, SHA256_SIZE), row)) {
		report->counts[IMPORT_THERE]++;
		return NULL;
	}
	take_flags(op, importing, message, &append, &row->flags, report);
	append.once_key = once_key(op, importing, message->uid, digest);
	TRY(mailbox_append(op, config->store, &append, &result));
	row->mailbox_id = result.mailbox.uuid;
	row->uidvalidity = result.uidvalidity;
	row->uid = result.uid;
	row->sha256 = slice_of(digest, SHA256_SIZE);
	row->size = message->content.len;
	row->received_us = date_us;
	report->counts[result.was_done_before ? IMPORT_THERE : IMPORT_ADDED]++;
	report->counts[IMPORT_BYTES] += result.was_done_before ? 0 : row->size;
	return NULL;
}

/* The records are written in one go: between a message and its record the commit's own key keeps it
 * once. */
struct error *take_batch(struct op *op, struct importing *importing,
	const struct source_message *messages, size_t count, struct import_report *report)
{
	const struct import_config *config = &importing->config;
	struct record *records = ARENA_ARRAY(&op->arena, struct record, count + 1);
	size_t put_count = 0;
	struct error *err = NULL;
	for (size_t i = 0; i < count && !err; i++) {
		uint64_t date_us;
		const char *fault = fault_of(&messages[i], &date_us);
		if (fault) {
			import_tell(op, importing, report, IMPORT_FAILED, messages[i].uid, fault);
			continue;
		}
		err = put(op, importing, &messages[i], date_us, &records[put_count], report);
		put_count += !err;
	}
	struct error *unwritten = record_put(
		op, config->store, config->account, importing->work.record, records, put_count);
	return err ? err : unwritten;
}

struct error *take_end(struct op *op, struct importing *importing)
{
	const struct import_config *config = &importing->config;
	const struct mailbox_work *work = &importing->work;
	if (!work->has_former)
		return NULL;
	return record_drop_others(
		op, config->store, config->account, work->record, work->uidvalidity);
}
