#include "index/opensearch/opensearch_private.h"

/* What cannot be understood is an answer from something else than OpenSearch, or one that was cut:
 * the search reads the messages. */

static struct error *misunderstood(struct op *op, const char *what)
{
	return op_fail(op, ERR_UNAVAILABLE, "OpenSearch, %s cannot be understood", what);
}

static json_t *parse(struct slice answer)
{
	return json_loadb(answer.ptr ? answer.ptr : "", answer.len, JSON_REJECT_DUPLICATES, NULL);
}

static void put_back(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON(name) __attribute__((cleanup(put_back))) json_t *name

/* False unless it is a number that is not negative. */
static bool take_number(const json_t *json, uint64_t *ret_number)
{
	if (!json_is_integer(json) || json_integer_value(json) < 0)
		return false;
	*ret_number = (uint64_t)json_integer_value(json);
	return true;
}

static bool take_u32(const json_t *json, uint32_t *ret_number)
{
	uint64_t number;
	if (!take_number(json, &number) || number > UINT32_MAX)
		return false;
	*ret_number = (uint32_t)number;
	return true;
}

static bool take_uuid(const char *text, struct uuid *ret_id)
{
	return text && uuid_parse(slice_from_cstr(text), ret_id);
}

/* ---- The document of an account ---- */

static bool take_generation(const json_t *json, uint64_t *ret_generation)
{
	struct slice text = slice_from_cstr(json_string_value(json));
	uint64_t number = 0;
	if (!json_is_string(json) || text.len != 16)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
			return false;
		number = number << 4 | (unsigned)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret_generation = number;
	return number != 0;
}

static bool take_covered(struct arena *arena, json_t *covered, struct index_state *state)
{
	const char *mailbox;
	json_t *value;
	if (!json_is_object(covered))
		return false;
	state->covered = ARENA_ARRAY(arena, struct index_coverage, json_object_size(covered) + 1);
	json_object_foreach(covered, mailbox, value)
	{
		struct index_coverage *one = &state->covered[state->covered_count++];
		if (!take_uuid(mailbox, &one->mailbox.uuid) || json_array_size(value) != 2 ||
			!take_u32(json_array_get(value, 0), &one->uidvalidity) ||
			!take_u32(json_array_get(value, 1), &one->uidnext))
			return false;
	}
	return true;
}

struct error *opensearch_parse_progress(
	struct op *op, struct slice answer, struct opensearch_progress *ret_progress)
{
	AUTO_JSON(root) = parse(answer);
	const json_t *source = json_object_get(root, "_source");
	struct opensearch_progress progress = {.found = true};
	*ret_progress = (struct opensearch_progress){0};
	if (json_is_false(json_object_get(root, "found")))
		return NULL;
	if (!json_is_true(json_object_get(root, "found")) ||
		!take_number(json_object_get(root, "_seq_no"), &progress.seq_no) ||
		!take_number(json_object_get(root, "_primary_term"), &progress.primary_term) ||
		!take_number(json_object_get(source, "cursor"), &progress.state.cursor) ||
		!take_generation(json_object_get(source, "generation"), &progress.state.id) ||
		!take_covered(&op->arena, json_object_get(source, "covered"), &progress.state))
		return misunderstood(op, "an account's document");
	*ret_progress = progress;
	return NULL;
}

/* ---- Hits ---- */

/* What only some shards have told is not all of it. */
static struct error *check_search(struct op *op, const json_t *root)
{
	uint64_t failed;
	const json_t *shards = json_object_get(root, "_shards");
	const json_t *timed_out = json_object_get(root, "timed_out");
	if (!json_is_boolean(timed_out) || !take_number(json_object_get(shards, "failed"), &failed))
		return misunderstood(op, "the answer to a search");
	if (failed || json_is_true(timed_out))
		return op_fail(op, ERR_UNAVAILABLE, "OpenSearch did not search all of it");
	return NULL;
}

static const json_t *first_of(const json_t *fields, const char *name)
{
	return json_array_get(json_object_get(fields, name), 0);
}

/* Without a message: it is not known what is there. */
static bool take_entry(const json_t *hit, uint64_t last, struct index_entry *entry)
{
	uint64_t seq_no = 0;
	const json_t *written = json_object_get(hit, "_seq_no");
	const json_t *fields = json_object_get(hit, "fields");
	const json_t *message = first_of(fields, "message");
	const json_t *fingerprint = first_of(fields, "fingerprint");
	const json_t *attached = first_of(fields, "attached");
	const json_t *version = json_object_get(hit, "_version");
	if (written && !take_number(written, &seq_no))
		return false;
	*entry = (struct index_entry){.is_altered = seq_no > last};
	return take_u32(first_of(fields, "uid"), &entry->uid) &&
	       (!message || take_uuid(json_string_value(message), &entry->message.uuid)) &&
	       (!fingerprint || take_number(fingerprint, &entry->fingerprint)) &&
	       (!attached || take_u32(attached, &entry->attached)) &&
	       (!version || take_number(version, &entry->version));
}

/* Borrowed from `root`. */
static struct error *take_hits(struct op *op, const json_t *root, const json_t **ret_hits)
{
	TRY(check_search(op, root));
	*ret_hits = json_object_get(json_object_get(root, "hits"), "hits");
	return json_is_array(*ret_hits) ? NULL : misunderstood(op, "the answer to a search");
}

struct error *opensearch_parse_hits(struct op *op, struct slice answer, uint64_t last,
	struct index_entry **ret_entries, size_t *ret_count)
{
	AUTO_JSON(root) = parse(answer);
	const json_t *hits;
	TRY(take_hits(op, root, &hits));
	size_t count = json_array_size(hits);
	struct index_entry *entries = ARENA_ARRAY(&op->arena, struct index_entry, count + 1);
	for (size_t i = 0; i < count; i++)
		if (!take_entry(json_array_get(hits, i), last, &entries[i]) ||
			(i && entries[i].uid <= entries[i - 1].uid))
			return misunderstood(op, "a hit of a search");
	*ret_entries = entries;
	*ret_count = count;
	return NULL;
}

/* Of how much the words are alike there are steps, and what is over is BM25's: of a word that came
 * in every field very often it is a few hundred. */
static bool take_score(const json_t *json, size_t words, uint8_t *ret_score)
{
	double score = json_number_value(json);
	if (!json_is_number(json) || !(score >= 0) ||
		score >= (double)(words + 1) * WORD_IS_SAME * OPENSEARCH_SCORE_OF_PERCENT)
		return false;
	unsigned steps = (unsigned)(score / OPENSEARCH_SCORE_STEP);
	double weight = score - (double)steps * OPENSEARCH_SCORE_STEP;
	unsigned percent = steps * OPENSEARCH_SCORE_STEP / OPENSEARCH_SCORE_OF_PERCENT;
	*ret_score = percent ? index_score(percent / (unsigned)words, weight / (double)words) : 0;
	return true;
}

struct error *opensearch_parse_ranking(struct op *op, struct slice answer, size_t words,
	struct index_hit **ret_hits, size_t *ret_count)
{
	AUTO_JSON(root) = parse(answer);
	const json_t *hits;
	TRY(take_hits(op, root, &hits));
	size_t count = json_array_size(hits);
	struct index_hit *ranking = ARENA_ARRAY(&op->arena, struct index_hit, count + 1);
	for (size_t i = 0; i < count; i++) {
		const json_t *hit = json_array_get(hits, i);
		const json_t *uid = first_of(json_object_get(hit, "fields"), "uid");
		if (!take_u32(uid, &ranking[i].uid) ||
			!take_score(json_object_get(hit, "_score"), words, &ranking[i].score) ||
			(i && ranking[i].uid <= ranking[i - 1].uid))
			return misunderstood(op, "a hit of a search");
	}
	*ret_hits = ranking;
	*ret_count = count;
	return NULL;
}

struct error *opensearch_parse_total(struct op *op, struct slice answer, uint64_t *ret_total)
{
	AUTO_JSON(root) = parse(answer);
	const json_t *total = json_object_get(json_object_get(root, "hits"), "total");
	TRY(check_search(op, root));
	if (!take_number(json_object_get(total, "value"), ret_total))
		return misunderstood(op, "the count of a search");
	return NULL;
}

/* A sum of whole numbers, as a number with a point. */
static bool take_sum(const json_t *json, uint64_t *ret_sum)
{
	double sum = json_number_value(json);
	if (!json_is_number(json) || !(sum >= 0) || sum >= 0x1p63)
		return false;
	*ret_sum = (uint64_t)sum;
	return true;
}

struct error *opensearch_parse_held(struct op *op, struct slice answer, struct index_held *ret_held)
{
	struct index_held held;
	AUTO_JSON(root) = parse(answer);
	const json_t *told = json_object_get(root, "aggregations");
	const json_t *uids = json_object_get(told, "uids");
	TRY(check_search(op, root));
	if (!take_number(json_object_get(uids, "count"), &held.count) ||
		!take_sum(json_object_get(uids, "sum"), &held.uid_sum) ||
		!take_number(json_object_get(json_object_get(told, "altered"), "doc_count"),
			&held.altered))
		return misunderstood(op, "what an account holds");
	*ret_held = held;
	return NULL;
}

/* ---- Bulk ---- */

/* A conflict: a newer state of the place is there already. Not found: it has gone already. */
static bool is_done(int64_t status)
{
	return (status >= 200 && status < 300) || status == 409 || status == 404;
}

static struct error *check_item(struct op *op, json_t *item)
{
	const char *action;
	json_t *told;
	if (json_object_size(item) != 1)
		return misunderstood(op, "what became of a write");
	json_object_foreach(item, action, told)
	{
		const json_t *status = json_object_get(told, "status");
		const char *reason = json_string_value(
			json_object_get(json_object_get(told, "error"), "reason"));
		bool is_missing = json_integer_value(status) == 404 && reason;
		if (!json_is_integer(status))
			return misunderstood(op, "what became of a write");
		/* 400 is said of what is wrong with this document, whenever it comes. */
		enum error_kind kind =
			json_integer_value(status) == 400 ? ERR_INVALID : ERR_UNAVAILABLE;
		if (!is_done(json_integer_value(status)) || is_missing)
			return op_fail(op, kind, "OpenSearch, %s: %lld %.300s", action,
				(long long)json_integer_value(status), reason ? reason : "");
	}
	return NULL;
}

struct error *opensearch_parse_bulk(struct op *op, struct slice answer)
{
	AUTO_JSON(root) = parse(answer);
	const json_t *errors = json_object_get(root, "errors");
	const json_t *items = json_object_get(root, "items");
	if (json_is_false(errors))
		return NULL;
	if (!json_is_true(errors) || !json_is_array(items))
		return misunderstood(op, "the answer to a bulk");
	for (size_t i = 0; i < json_array_size(items); i++)
		TRY(check_item(op, json_array_get(items, i)));
	return NULL;
}
