#include "index/opensearch/opensearch_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

/* Documents of places first, and when they can be found, the account's document, which says so: by
 * a compare-and-set on what it was. What was written and is not covered is written again. */

static const struct opensearch_view *view_of(struct index *index)
{
	return (const struct opensearch_view *)index;
}

/* The index was removed, or never made: 404 with an exception, not for a document. */
static bool is_index_missing(const struct opensearch_call *call)
{
	struct slice said = SLICE("index_not_found_exception");
	struct slice alias = SLICE("require_alias");
	return call->status == 404 && (slice_find(call->answer, said) < call->answer.len ||
					      slice_find(call->answer, alias) < call->answer.len);
}

/* Sends a write into the index, which is made once more if it has gone. */
static struct error *write_into(
	struct op *op, struct opensearch *shared, struct opensearch_call *call)
{
	call->is_write = true;
	for (int tries = 0; tries < 2; tries++) {
		TRY(opensearch_prepare(op, shared));
		TRY(opensearch_send(op, shared, call));
		if (!is_index_missing(call))
			return NULL;
		shared->is_prepared = false;
	}
	return opensearch_refused(op, call, "write");
}

/* ---- Places ---- */

struct writing {
	struct op *op;
	const struct opensearch_view *view;
	struct account_id account;
	uint64_t generation;
	uint64_t version; /* of what comes: the MODSEQ that the account has come to */
	uint64_t last;    /* of what is final: newer than all that was written so far */
	struct buf body;
};

/* {"index":{"_id":…,"version":…}}: a place that comes late does not undo what is newer, and does
 * not write once more what another node has written at the same MODSEQ: that would look altered. A
 * MODSEQ is a time in microseconds; a UID that has gone never comes back. */
static void put_action(struct writing *w, const char *action, const struct index_place *place,
	uint64_t version, const char *version_type)
{
	buf_printf(&w->body, "{\"%s\":{\"_id\":\"%016llx-%s-%u\",", action,
		(unsigned long long)w->generation, uuid_text(&w->op->arena, place->mailbox.uuid),
		place->uid);
	buf_printf(&w->body, "\"version\":%llu,\"version_type\":\"%s\"}}\n",
		(unsigned long long)version, version_type);
}

static bool is_known(const struct index_add *add)
{
	static const struct message_id nil;
	return add->texts && !ID_EQUAL(add->message, nil);
}

/* No needle has a NUL, so anything may stand there. */
static void put_fields(struct writing *w, const struct search_texts *texts)
{
	for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
		if (!texts->fields[i].len)
			continue;
		buf_printf(&w->body, ",\"%s\":", opensearch_fields[i]);
		opensearch_put_text(&w->body, texts->fields[i]);
	}
}

static void put_words(struct writing *w, const struct search_texts *texts)
{
	struct arena *arena = &w->op->arena;
	for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
		if (!(SEARCH_WORDS_FIELDS & (1U << i)) || !texts->fields[i].len)
			continue;
		struct arena_mark mark = arena_mark(arena);
		buf_printf(&w->body, ",\"%s" OPENSEARCH_WORDS "\":", opensearch_fields[i]);
		opensearch_put_text(
			&w->body, search_words_make(arena, (enum text_field)i, texts->fields[i]));
		arena_release(arena, mark);
	}
}

static void put_attached(struct writing *w, const struct search_texts *texts)
{
	struct arena *arena = &w->op->arena;
	struct arena_mark mark = arena_mark(arena);
	if (texts->attached_state)
		buf_printf(&w->body, ",\"attached\":%u", texts->attached_state);
	if (texts->attached.len) {
		buf_append(&w->body, SLICE(",\"attached" OPENSEARCH_WORDS "\":"));
		opensearch_put_text(&w->body, search_words_make(arena, TEXT_BODY, texts->attached));
	}
	arena_release(arena, mark);
}

/* What is attached comes to the very document that was seen: one that has gone meanwhile has a
 * newer version, and stays away. */
static uint64_t version_of(const struct writing *w, const struct index_add *add)
{
	return add->is_attached ? add->version : add->replaces ? w->last : w->version;
}

static void put_place(struct writing *w, const struct index_add *add)
{
	put_action(w, "index", &add->place, version_of(w, add),
		add->is_attached ? "external_gte" : "external");
	buf_append(&w->body, SLICE("{\"account\":"));
	opensearch_put_uuid(&w->body, w->account.uuid);
	buf_printf(&w->body,
		",\"generation\":\"%016llx\",\"mailbox\":", (unsigned long long)w->generation);
	opensearch_put_uuid(&w->body, add->place.mailbox.uuid);
	buf_printf(&w->body, ",\"uid\":%u,\"whole\":%s", add->place.uid,
		is_known(add) && add->texts->is_whole ? "true" : "false");
	if (is_known(add)) {
		buf_append(&w->body, SLICE(",\"message\":"));
		opensearch_put_uuid(&w->body, add->message.uuid);
		buf_printf(&w->body, ",\"fingerprint\":%llu",
			(unsigned long long)search_texts_fingerprint(add->texts));
		put_fields(w, add->texts);
		if (w->view->index.has_words)
			put_words(w, add->texts);
		if (w->view->index.has_attached)
			put_attached(w, add->texts);
	}
	buf_append(&w->body, SLICE("}\n"));
}

/* A message that is said to be here already: nothing is copied here, so that cannot be. */
static struct error *check_adds(struct op *op, const struct index_batch *batch)
{
	static const struct message_id nil;
	for (size_t i = 0; i < batch->added_count; i++)
		if (!batch->added[i].texts && !ID_EQUAL(batch->added[i].message, nil))
			return op_fail(op, ERR_CORRUPT, "a message is not in the index");
	return NULL;
}

static struct error *write_places(struct writing *w, const struct index_batch *batch)
{
	struct op *op = w->op;
	TRY(check_adds(op, batch));
	for (size_t i = 0; i < batch->removed_count; i++)
		put_action(w, "delete", &batch->removed[i], w->last, "external");
	for (size_t i = 0; i < batch->added_count; i++)
		put_place(w, &batch->added[i]);
	if (!w->body.len)
		return NULL;
	struct opensearch_call call = {.method = "POST",
		.path = arena_printf(&op->arena,
			"/%s/_bulk?routing=%s&require_alias=true&refresh=wait_for&filter_path="
			"errors,items.*.status,items.*.error.reason",
			w->view->shared->write_alias, uuid_text(&op->arena, w->account.uuid)),
		.body = buf_as_slice(&w->body),
		.is_bulk = true};
	TRY(write_into(op, w->view->shared, &call));
	if (call.status >= 300)
		return opensearch_refused(op, &call, "write places");
	return opensearch_parse_bulk(op, call.answer);
}

/* Documents that nothing leads to any more: what stays is no harm. */
static void remove_documents(struct op *op, const struct opensearch_view *view,
	struct account_id account, uint64_t generation, const struct mailbox_id *mailbox)
{
	struct buf body = buf_in(&op->arena);
	buf_append(&body, SLICE("{\"query\":{\"bool\":{\"filter\":["));
	opensearch_put_filters(&body, account, generation, mailbox);
	buf_append(&body, SLICE("]}}}"));
	struct opensearch_call call = {.method = "POST",
		.path = arena_printf(&op->arena,
			"/%s/_delete_by_query?routing=%s&conflicts=proceed&refresh=true",
			view->shared->write_alias, uuid_text(&op->arena, account.uuid)),
		.body = buf_as_slice(&body),
		.is_write = true};
	struct error *err = opensearch_send(op, view->shared, &call);
	if (!err && call.status >= 300)
		err = opensearch_refused(op, &call, "remove documents");
	if (err)
		log_info(op, "opensearch-documents-left", FIELD_ID("account", op, account.uuid),
			FIELD_ERROR(op, err));
}

/* ---- The account's document ---- */

static bool is_forgotten(const struct index_batch *batch, struct mailbox_id mailbox)
{
	for (size_t i = 0; i < batch->forgotten_count; i++)
		if (ID_EQUAL(batch->forgotten[i], mailbox))
			return true;
	return false;
}

static struct index_coverage *find_covered(struct index_state *state, struct mailbox_id mailbox)
{
	for (size_t i = 0; i < state->covered_count; i++)
		if (ID_EQUAL(state->covered[i].mailbox, mailbox))
			return &state->covered[i];
	return NULL;
}

static void change_state(struct op *op, const struct index_batch *batch, struct index_state *state)
{
	struct index_coverage *before = state->covered;
	size_t count = state->covered_count;
	state->covered =
		ARENA_ARRAY(&op->arena, struct index_coverage, count + batch->covered_count + 1);
	state->covered_count = 0;
	for (size_t i = 0; i < count; i++)
		if (!is_forgotten(batch, before[i].mailbox))
			state->covered[state->covered_count++] = before[i];
	for (size_t i = 0; i < batch->covered_count; i++) {
		struct index_coverage *known = find_covered(state, batch->covered[i].mailbox);
		*(known ? known : &state->covered[state->covered_count++]) = batch->covered[i];
	}
	if (batch->cursor)
		state->cursor = batch->cursor;
}

static struct slice progress_body(
	struct op *op, struct account_id account, const struct index_state *state)
{
	struct buf body = buf_in(&op->arena);
	buf_append(&body, SLICE("{\"account\":"));
	opensearch_put_uuid(&body, account.uuid);
	buf_printf(&body, ",\"generation\":\"%016llx\",\"cursor\":%llu,\"covered\":{",
		(unsigned long long)state->id, (unsigned long long)state->cursor);
	for (size_t i = 0; i < state->covered_count; i++) {
		buf_append(&body, i ? SLICE(",") : SLICE(""));
		opensearch_put_uuid(&body, state->covered[i].mailbox.uuid);
		buf_printf(&body, ":[%u,%u]", state->covered[i].uidvalidity,
			state->covered[i].uidnext);
	}
	buf_append(&body, SLICE("}}"));
	return buf_as_slice(&body);
}

/* On the condition that it is still what was read. */
static struct error *change_progress(struct op *op, const struct opensearch_view *view,
	struct account_id account, const struct opensearch_progress *was, const char *method,
	struct slice body)
{
	const char *path = opensearch_progress_path(&op->arena, view, account);
	const char *condition =
		was->found ? arena_printf(&op->arena, "if_seq_no=%llu&if_primary_term=%llu",
				     (unsigned long long)was->seq_no,
				     (unsigned long long)was->primary_term)
			   : "op_type=create";
	struct opensearch_call call = {.method = method,
		.path = arena_printf(&op->arena, "/%s/%s&%s%s", view->shared->write_alias, path,
			condition, body.ptr ? "&require_alias=true" : ""),
		.body = body};
	TRY(write_into(op, view->shared, &call));
	if (call.status == 409 || (call.status == 404 && !body.ptr))
		return op_fail(op, ERR_CONFLICT, "the index is not where it was");
	return call.status < 300 ? NULL
				 : opensearch_refused(op, &call, "write an account's document");
}

static uint64_t new_generation(void)
{
	return random_below(INT64_MAX) + 1;
}

struct error *opensearch_apply(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch)
{
	const struct opensearch_view *view = view_of(index);
	struct opensearch_progress was;
	TRY(opensearch_read_progress(op, view->shared->write_alias, view, account, &was));
	struct index_state state = was.state;
	bool is_another = batch->expected_id && batch->expected_id != state.id;
	if (state.cursor != batch->expected_cursor || is_another)
		return op_fail(op, ERR_CONFLICT, "the index is not where it was");
	if (!was.found)
		state.id = new_generation();
	struct writing w = {.op = op,
		.view = view,
		.account = account,
		.generation = state.id,
		.version = MAX_OF(MAX_OF(batch->cursor, batch->expected_cursor), 1),
		.last = clock_realtime_us(),
		.body = buf_heap()};
	w.last = MAX_OF(w.last, w.version);
	struct error *err = write_places(&w, batch);
	buf_done(&w.body);
	TRY(err);
	change_state(op, batch, &state);
	TRY(change_progress(op, view, account, &was, "PUT", progress_body(op, account, &state)));
	for (size_t i = 0; i < batch->forgotten_count; i++)
		remove_documents(op, view, account, state.id, &batch->forgotten[i]);
	return NULL;
}

/* A swap that was cut off leaves both documents with one generation: what either names stays. */
static void remove_generation(
	struct op *op, struct opensearch *shared, struct account_id account, uint64_t generation)
{
	const struct opensearch_view *const views[] = {&shared->live, &shared->beside};
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		struct opensearch_progress now;
		struct error *err =
			opensearch_read_progress(op, shared->write_alias, views[i], account, &now);
		if (err)
			log_info(op, "opensearch-documents-left",
				FIELD_ID("account", op, account.uuid), FIELD_ERROR(op, err));
		if (err || (now.found && now.state.id == generation))
			return;
	}
	remove_documents(op, &shared->live, account, generation, NULL);
}

static struct error *drop_view(
	struct op *op, const struct opensearch_view *view, struct account_id account)
{
	struct opensearch_progress was;
	TRY(opensearch_read_progress(op, view->shared->write_alias, view, account, &was));
	if (!was.found)
		return NULL;
	TRY(change_progress(op, view, account, &was, "DELETE", SLICE_NONE));
	remove_generation(op, view->shared, account, was.state.id);
	return NULL;
}

struct error *opensearch_drop(struct index *index, struct op *op, struct account_id account)
{
	const struct opensearch_view *view = view_of(index);
	if (!view->is_beside)
		TRY(drop_view(op, &view->shared->beside, account));
	return drop_view(op, view, account);
}

/* The account's document leads to what was made beside, from one moment to the next. */
struct error *opensearch_swap(struct index *index, struct op *op, struct account_id account)
{
	const struct opensearch_view *view = view_of(index);
	const struct opensearch_view *beside = &view->shared->beside;
	struct opensearch_progress was, made;
	const char *alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, alias, view, account, &was));
	TRY(opensearch_read_progress(op, alias, beside, account, &made));
	if (!made.found)
		return op_fail(op, ERR_NOT_FOUND, "nothing was made beside the index");
	TRY(change_progress(
		op, view, account, &was, "PUT", progress_body(op, account, &made.state)));
	TRY(change_progress(op, beside, account, &made, "DELETE", SLICE_NONE));
	if (was.found)
		remove_generation(op, view->shared, account, was.state.id);
	return NULL;
}
