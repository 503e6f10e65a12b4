#include "index/opensearch/opensearch_private.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/secret_file.h"

/* Of one question; a larger answer is asked for in pieces. */
#define PAGE_MOST 10000
/* Of one search. What is above the last of them is looked at in the messages. */
#define FOUND_MOST 200000
#define HOSTS_MOST 16

static struct opensearch_view *view_of(struct index *index)
{
	return (struct opensearch_view *)index;
}

/* ---- Asking ---- */

struct error *opensearch_read_progress(struct op *op, const char *alias,
	const struct opensearch_view *view, struct account_id account,
	struct opensearch_progress *ret_progress)
{
	struct opensearch_call call = {.method = "GET",
		.path = arena_printf(&op->arena, "/%s/%s", alias,
			opensearch_progress_path(&op->arena, view, account))};
	*ret_progress = (struct opensearch_progress){0};
	TRY(opensearch_send(op, view->shared, &call));
	if (call.status == 404 && slice_find(call.answer, SLICE("\"found\"")) == call.answer.len) {
		/* There is no index yet, or no more. */
		view->shared->is_prepared = false;
		return NULL;
	}
	if (call.status != 200 && call.status != 404)
		return opensearch_refused(op, &call, "read an account's document");
	return opensearch_parse_progress(op, call.answer, ret_progress);
}

static struct error *search(struct op *op, struct opensearch *shared, const char *alias,
	struct account_id account, struct slice body, struct slice *ret_answer)
{
	struct opensearch_call call = {.method = "POST",
		.path = arena_printf(&op->arena,
			"/%s/_search?routing=%s&allow_partial_search_results=false", alias,
			uuid_text(&op->arena, account.uuid)),
		.body = body};
	TRY(opensearch_send(op, shared, &call));
	if (call.status != 200)
		return opensearch_refused(op, &call, "search");
	*ret_answer = call.answer;
	return NULL;
}

static struct error *search_places(struct op *op, const struct opensearch_view *view,
	const char *alias, struct account_id account, const struct opensearch_progress *progress,
	struct mailbox_id mailbox, enum opensearch_places places, const struct index_query *query,
	uint32_t from, size_t most, struct index_entry **ret_entries, size_t *ret_count)
{
	struct slice answer = SLICE_NONE;
	TRY(search(op, view->shared, alias, account,
		opensearch_query(&op->arena, account, progress->state.id, mailbox, places, query,
			from, most),
		&answer));
	return opensearch_parse_hits(op, answer, progress->seq_no, ret_entries, ret_count);
}

/* Counted after the hits, so that what they lack this lacks too. */
static struct error *count_held(struct op *op, const struct opensearch_view *view,
	const char *alias, struct account_id account, const struct opensearch_progress *progress,
	const struct index_coverage *coverage, uint32_t below, struct index_held *ret_held)
{
	struct slice answer = SLICE_NONE;
	if (!below)
		return NULL;
	TRY(search(op, view->shared, alias, account,
		opensearch_held_query(&op->arena, account, progress, coverage->mailbox,
			MIN_OF(below, coverage->uidnext)),
		&answer));
	return opensearch_parse_held(op, answer, ret_held);
}

/* Everything from 1 on, page by page. */
static struct error *find_all(struct op *op, const struct opensearch_view *view, const char *alias,
	struct account_id account, const struct opensearch_progress *progress,
	const struct index_query *query, struct index_found *found)
{
	struct buf uids = buf_in(&op->arena);
	size_t count = PAGE_MOST;
	for (uint32_t from = 1; count == PAGE_MOST;) {
		struct index_entry *entries;
		TRY(search_places(op, view, alias, account, progress, query->mailbox, PLACES_FOUND,
			query, from, PAGE_MOST, &entries, &count));
		for (size_t i = 0; i < count; i++)
			buf_append(&uids, slice_of(&entries[i].uid, sizeof(uint32_t)));
		found->count += count;
		from = count ? entries[count - 1].uid + 1 : from;
		if (count == PAGE_MOST && found->count >= FOUND_MOST) {
			found->coverage.uidnext = MIN_OF(found->coverage.uidnext, from);
			break;
		}
	}
	found->uids = ARENA_ARRAY(&op->arena, uint32_t, found->count + 1);
	if (uids.len)
		memcpy(found->uids, uids.ptr, uids.len);
	return NULL;
}

static void take_coverage(const struct index_state *state, struct mailbox_id mailbox,
	struct index_coverage *ret_coverage)
{
	*ret_coverage = (struct index_coverage){.mailbox = mailbox};
	for (size_t i = 0; i < state->covered_count; i++)
		if (ID_EQUAL(state->covered[i].mailbox, mailbox))
			*ret_coverage = state->covered[i];
}

/* The newest index, or an older one while that one has more of the mailbox. Nothing is written to
 * an older one, but as far as it is complete it stays so: UIDs below that do not come any more. */
static struct error *locate(struct op *op, const struct opensearch_view *view,
	struct account_id account, struct mailbox_id mailbox, const char **ret_alias,
	struct opensearch_progress *ret_progress)
{
	struct opensearch_progress old;
	struct index_coverage covered, covered_by_old;
	*ret_alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, *ret_alias, view, account, ret_progress));
	if (view->is_beside || !view->shared->may_have_old)
		return NULL;
	TRY(opensearch_read_progress(op, view->shared->read_alias, view, account, &old));
	take_coverage(&ret_progress->state, mailbox, &covered);
	take_coverage(&old.state, mailbox, &covered_by_old);
	if (!old.found || (ret_progress->found && covered.uidnext >= covered_by_old.uidnext))
		return NULL;
	*ret_alias = view->shared->read_alias;
	*ret_progress = old;
	return NULL;
}

/* What it says is complete was so before it was asked; that it was not taken away meanwhile is
 * looked up afterwards. */
static struct error *find(struct index *index, struct op *op, struct account_id account,
	const struct index_query *query, struct index_found *ret_found)
{
	const struct opensearch_view *view = view_of(index);
	struct opensearch_progress before, after;
	const char *alias;
	TRY(locate(op, view, account, query->mailbox, &alias, &before));
	struct index_found found = {.cursor = before.state.cursor,
		.is_old = alias != view->shared->write_alias || !view->shared->is_prepared};
	if (!found.cursor)
		return NULL;
	take_coverage(&before.state, query->mailbox, &found.coverage);
	if (found.coverage.uidnext) {
		TRY(find_all(op, view, alias, account, &before, query, &found));
		TRY(count_held(op, view, alias, account, &before, &found.coverage, query->below,
			&found.held));
		TRY(opensearch_read_progress(op, alias, view, account, &after));
		if (!after.found || after.state.id != before.state.id)
			return NULL;
	}
	*ret_found = found;
	return NULL;
}

static struct error *rank_all(struct op *op, const struct opensearch_view *view,
	struct account_id account, uint64_t generation, const struct index_word_query *query,
	struct index_ranking *ranking)
{
	struct buf hits = buf_in(&op->arena);
	struct index_hit *page;
	size_t count = PAGE_MOST;
	for (uint32_t from = 1; count == PAGE_MOST;) {
		struct slice answer = SLICE_NONE;
		TRY(search(op, view->shared, view->shared->write_alias, account,
			opensearch_word_query(
				&op->arena, account, generation, query, from, PAGE_MOST),
			&answer));
		TRY(opensearch_parse_ranking(op, answer, query->words->count, &page, &count));
		if (count)
			buf_append(&hits, slice_of(page, count * sizeof(*page)));
		ranking->count += count;
		from = count ? page[count - 1].uid + 1 : from;
		if (count == PAGE_MOST && ranking->count >= FOUND_MOST) {
			ranking->coverage.uidnext = MIN_OF(ranking->coverage.uidnext, from);
			break;
		}
	}
	ranking->hits = ARENA_ARRAY(&op->arena, struct index_hit, ranking->count + 1);
	if (hits.len)
		memcpy(ranking->hits, hits.ptr, hits.len);
	return NULL;
}

/* As find; an index of an older mapping may have no words, so none of those is asked. */
static struct error *rank(struct index *index, struct op *op, struct account_id account,
	const struct index_word_query *query, struct index_ranking *ret_ranking)
{
	const struct opensearch_view *view = view_of(index);
	struct opensearch_progress before, after;
	const char *alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, alias, view, account, &before));
	struct index_ranking ranking = {.cursor = before.state.cursor};
	if (!ranking.cursor)
		return NULL;
	take_coverage(&before.state, query->mailbox, &ranking.coverage);
	if (ranking.coverage.uidnext) {
		TRY(rank_all(op, view, account, before.state.id, query, &ranking));
		TRY(count_held(op, view, alias, account, &before, &ranking.coverage, query->below,
			&ranking.held));
		TRY(opensearch_read_progress(op, alias, view, account, &after));
		if (!after.found || after.state.id != before.state.id)
			return NULL;
	}
	*ret_ranking = ranking;
	return NULL;
}

static struct error *state(struct index *index, struct op *op, struct account_id account,
	struct index_state *ret_state)
{
	struct opensearch_progress progress;
	const struct opensearch_view *view = view_of(index);
	TRY(opensearch_read_progress(op, view->shared->write_alias, view, account, &progress));
	*ret_state = progress.state;
	return NULL;
}

/* A copy is made from the message. */
static struct error *has(struct index *index, struct op *op, struct account_id account,
	const struct message_id *messages, size_t count, bool *ret_has)
{
	for (size_t i = 0; i < count; i++)
		ret_has[i] = false;
	return NULL;
}

static struct error *list_places(struct op *op, const struct opensearch_view *view,
	struct account_id account, struct mailbox_id mailbox, enum opensearch_places places,
	uint32_t from, size_t most, struct index_entry **ret_entries, size_t *ret_count)
{
	struct opensearch_progress progress;
	const char *alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, alias, view, account, &progress));
	if (!progress.found)
		return NULL;
	return search_places(op, view, alias, account, &progress, mailbox, places, NULL, from,
		MIN_OF(most, PAGE_MOST), ret_entries, ret_count);
}

static struct error *list(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	return list_places(op, view_of(index), account, mailbox, PLACES_ALL, from, most,
		ret_entries, ret_count);
}

static struct error *owed(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	return list_places(op, view_of(index), account, mailbox, PLACES_OWED, from, most,
		ret_entries, ret_count);
}

static struct error *count_places(struct op *op, const struct opensearch_view *view,
	struct account_id account, uint64_t generation, enum opensearch_places places,
	uint64_t *ret_count)
{
	struct buf body = buf_in(&op->arena);
	struct slice answer = SLICE_NONE;
	buf_append(&body, SLICE("{\"size\":0,\"track_total_hits\":true,\"query\":{\"bool\":{"
				"\"filter\":["));
	opensearch_put_filters(&body, account, generation, NULL);
	opensearch_put_attached(&body, places);
	buf_append(&body, SLICE("]}}}"));
	TRY(search(op, view->shared, view->shared->write_alias, account, buf_as_slice(&body),
		&answer));
	return opensearch_parse_total(op, answer, ret_count);
}

/* Each document has a number in the order of writes to its shard, which is that of its account:
 * what is newer than the account's own document was not covered by it, or not written by us. */
static struct error *is_altered(
	struct index *index, struct op *op, struct account_id account, bool *ret_altered)
{
	const struct opensearch_view *view = view_of(index);
	struct opensearch_progress progress;
	struct slice answer = SLICE_NONE;
	uint64_t newer = 0;
	const char *alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, alias, view, account, &progress));
	if (!progress.found)
		return NULL;
	TRY(search(op, view->shared, alias, account,
		opensearch_newer_query(&op->arena, account, &progress), &answer));
	TRY(opensearch_parse_total(op, answer, &newer));
	*ret_altered = newer > 0;
	return NULL;
}

static struct error *size(
	struct index *index, struct op *op, struct account_id account, struct index_size *ret_size)
{
	const struct opensearch_view *view = view_of(index);
	struct opensearch_progress progress;
	const char *alias = view->shared->write_alias;
	TRY(opensearch_read_progress(op, alias, view, account, &progress));
	if (!progress.found)
		return NULL;
	uint64_t id = progress.state.id;
	TRY(count_places(op, view, account, id, PLACES_ALL, &ret_size->places));
	ret_size->documents = ret_size->places;
	if (!index->has_attached)
		return NULL;
	TRY(count_places(op, view, account, id, PLACES_OWED, &ret_size->owed));
	return count_places(op, view, account, id, PLACES_GIVEN_UP, &ret_size->given_up);
}

static struct index *beside_of(struct index *index)
{
	return &view_of(index)->shared->beside.index;
}

/* ---- Opening ---- */

static void close_index(struct index *index)
{
	struct opensearch *shared = view_of(index)->shared;
	http_client_free(shared->http);
	for (size_t i = 0; i < shared->host_count; i++)
		free(shared->hosts[i]);
	free((void *)shared->hosts);
	free(shared->read_alias);
	free(shared->write_alias);
	free(shared->index_name);
	free(shared->prefix);
	free(shared->definition);
	free(shared);
}

/* Until then the write alias may name an index of an older making. */
static struct error *prepare(struct index *index, struct op *op)
{
	return opensearch_prepare(op, view_of(index)->shared);
}

static const struct index_ops opensearch_ops = {.name = "opensearch",
	.is_shared = true,
	.prepare = prepare,
	.apply = opensearch_apply,
	.find = find,
	.rank = rank,
	.state = state,
	.has = has,
	.list = list,
	.owed = owed,
	.is_altered = is_altered,
	.size = size,
	.drop = opensearch_drop,
	.swap = opensearch_swap,
	.settle = opensearch_settle,
	.beside = beside_of,
	.close = close_index};

static struct error *take_hosts(struct op *op, const char *text, struct opensearch *shared)
{
	struct slice rest = slice_from_cstr(text ? text : "");
	struct slice host;
	shared->hosts = heap_alloc(HOSTS_MOST * sizeof(char *));
	while (slice_split(&rest, ' ', &host)) {
		if (!host.len)
			continue;
		if (!http_is_origin(host) || shared->host_count == HOSTS_MOST)
			return op_fail(op, ERR_INVALID,
				"opensearch.hosts has what is no https://host:port, or too many");
		if (host.ptr[host.len - 1] == '/')
			host.len--;
		shared->hosts[shared->host_count++] = heap_cstr(host);
	}
	return shared->host_count ? NULL : op_fail(op, ERR_INVALID, "opensearch.hosts is empty");
}

static struct error *check_name(struct op *op, const char *name)
{
	struct slice text = slice_from_cstr(name);
	bool is_good = text.len && text.len <= 64;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		is_good &= ascii_is_digit(c) || (c >= 'a' && c <= 'z') || (i && c == '-');
	}
	return is_good ? NULL
		       : op_fail(op, ERR_INVALID,
				 "opensearch.name has small letters, digits and '-' only");
}

/* @SHARDS@ and the like become what the settings say. */
static struct slice make_definition(struct op *op, const struct opensearch_options *options)
{
	const struct {
		struct slice mark;
		uint64_t value;
	} marks[] = {{SLICE("@SHARDS@"), options->shards}, {SLICE("@REPLICAS@"), options->replicas},
		{SLICE("@REFRESH_MS@"), options->refresh_ms}};
	struct buf out = buf_in(&op->arena);
	struct slice rest = slice_from_cstr(opensearch_mapping);
	while (rest.len) {
		size_t taken = 1;
		for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
			if (slice_starts_with(rest, marks[i].mark)) {
				buf_printf(&out, "%llu", (unsigned long long)marks[i].value);
				taken = marks[i].mark.len;
			}
		if (taken == 1)
			buf_append_char(&out, rest.ptr[0]);
		rest = slice_from(rest, taken);
	}
	return buf_as_slice(&out);
}

/* Of what a mapping is and whether documents have words, and of what, not of how many shards hold
 * it. */
static uint32_t mapping_id(const struct opensearch_options *options)
{
	struct slice mapping = slice_from_cstr(opensearch_mapping);
	uint64_t words = options->has_words ? SEARCH_WORDS_VERSION : 0;
	uint64_t attached = options->has_words && options->has_attached;
	return (uint32_t)XXH64(
		mapping.ptr, mapping.len, OPENSEARCH_FORMAT | words << 32 | attached << 48);
}

static void name_indexes(
	struct op *op, const struct opensearch_options *options, struct opensearch *shared)
{
	struct arena *arena = &op->arena;
	const char *name = options->name;
	const char *index = arena_printf(arena, "%s-%08x", name, mapping_id(options));
	shared->prefix = heap_cstr(slice_from_cstr(name));
	shared->index_name = heap_cstr(slice_from_cstr(index));
	shared->read_alias = heap_cstr(slice_from_cstr(arena_printf(arena, "%s-read", name)));
	shared->write_alias = heap_cstr(slice_from_cstr(arena_printf(arena, "%s-write", name)));
}

struct error *opensearch_open(
	struct op *op, const struct opensearch_options *options, struct index **ret_index)
{
	struct http_config http = {.ca_file = options->ca_file,
		.user = options->user,
		.connect_ms = options->connect_ms,
		.timeout_ms = options->write_ms};
	TRY(check_name(op, options->name));
	if (options->password_file)
		TRY(secret_file_read(op, options->password_file, &http.password));
	if (options->user && !http.password)
		return op_fail(op, ERR_INVALID, "opensearch.user needs opensearch.password_file");
	struct opensearch *shared = HEAP_NEW(struct opensearch);
	const struct index index = {.ops = &opensearch_ops,
		.has_words = options->has_words,
		.has_attached = options->has_words && options->has_attached};
	shared->live = (struct opensearch_view){.index = index, .shared = shared};
	shared->beside =
		(struct opensearch_view){.index = index, .shared = shared, .is_beside = true};
	shared->may_have_old = true;
	shared->search_ms = options->search_ms;
	shared->write_ms = options->write_ms;
	shared->rules = options->rules;
	shared->http = http_client_new(&http);
	shared->definition = heap_cstr(make_definition(op, options));
	name_indexes(op, options, shared);
	struct error *err = take_hosts(op, options->hosts, shared);
	if (err) {
		close_index(&shared->live.index);
		return err;
	}
	*ret_index = &shared->live.index;
	return NULL;
}
