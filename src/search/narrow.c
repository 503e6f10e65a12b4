#include "search/search_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "mailbox/follow.h"

METRIC_COUNTER_LABELLED(
	narrowed, "search_texts_total", "Texts that were searched for", "path=\"index\"");
METRIC_COUNTER_LABELLED(
	scanned, "search_texts_total", "Texts that were searched for", "path=\"scan\"");
METRIC_COUNTER(failures, "search_index_failures_total",
	"Questions that an index could not answer: the search read the messages instead");

/* More are not counted. */
#define OWED_MOST 10000

/* An index whose cursor is no point of the account's log belongs to other mail: data that was
 * restored from an older copy, say. */
static struct error *look_at_cursor(struct op *op, struct search *search, struct account_id account,
	uint64_t cursor, bool *ret_is_of_use)
{
	*ret_is_of_use = false;
	return cursor ? account_has_stood_at(op, search->store, account, cursor, ret_is_of_use)
		      : NULL;
}

/* Is what it said about the mailbox of use? `err` is what asking ended in. */
static bool is_of_use(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, struct error *err, uint64_t cursor,
	const struct index_coverage *coverage)
{
	bool is_good = false;
	if (!err)
		err = look_at_cursor(op, search, account, cursor, &is_good);
	if (err) {
		metric_add(&failures, 1);
		log_info(op, "search-without-index", FIELD_ERROR(op, err));
	}
	is_good &= !err && coverage->uidvalidity == snapshot_uidvalidity(snapshot);
	/* Nobody else may have said so: an index that never was, another node's mail. */
	if (!is_good || coverage->uidnext < snapshot_uidnext(snapshot))
		search_account_changed(search, account);
	return is_good;
}

void search_narrow(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, struct slice needle,
	struct search_narrowing *ret_narrowing)
{
	struct index_found found = {0};
	bool is_known = false;
	*ret_narrowing = (struct search_narrowing){0};
	if (search && index_takes_needle(needle)) {
		const struct index_query query = {
			.mailbox = snapshot_mailbox(snapshot), .fields = fields, .needle = needle};
		struct error *err = index_find(search->index, op, account, &query, &found);
		is_known = is_of_use(
			op, search, account, snapshot, err, found.cursor, &found.coverage);
		if (found.is_old)
			search_account_changed(search, account);
	}
	metric_add(is_known ? &narrowed : &scanned, 1);
	if (!is_known)
		return;
	ret_narrowing->below = found.coverage.uidnext;
	uid_set_init(&ret_narrowing->maybe, &op->arena);
	for (size_t i = 0; i < found.count; i++)
		uid_set_add(&ret_narrowing->maybe, found.uids[i]);
}

/* ---- Words ---- */

bool search_has_words(const struct search *search)
{
	return search && search->index->has_words;
}

struct asked {
	uint64_t id, owed;
	uint32_t below;
};

/* Before words are asked for. A message that is covered by now is owed by now, or read: then it is
 * found. What is covered later may be either. */
static struct error *ask_what_is_owed(struct op *op, struct search *search,
	struct account_id account, struct mailbox_id mailbox, struct asked *ret_asked)
{
	struct index_state state;
	struct index_entry *entries;
	size_t count;
	TRY(index_get_state(search->index, op, account, &state));
	const struct index_coverage *covered = find_coverage(&state, mailbox);
	TRY(index_owed(search->index, op, account, mailbox, 1, OWED_MOST, &entries, &count));
	if (count)
		attachments_owed(search, account);
	*ret_asked = (struct asked){state.id, count, covered ? covered->uidnext : 0};
	return NULL;
}

/* And if it is another index by now, nothing of that is true. */
static struct error *rank_with_attached(struct op *op, struct search *search,
	struct account_id account, const struct index_word_query *query,
	struct index_ranking *ret_found, uint64_t *ret_owed)
{
	struct asked asked;
	struct index_state now;
	TRY(ask_what_is_owed(op, search, account, query->mailbox, &asked));
	TRY(index_rank(search->index, op, account, query, ret_found));
	TRY(index_get_state(search->index, op, account, &now));
	if (now.id != asked.id)
		return op_fail(op, ERR_CONFLICT, "the index was replaced meanwhile");
	ret_found->coverage.uidnext = MIN_OF(ret_found->coverage.uidnext, asked.below);
	*ret_owed = asked.owed;
	return NULL;
}

void search_rank(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, const struct search_words *words,
	bool is_exact, struct search_ranking *ret_ranking)
{
	uint64_t owed = 0;
	struct index_ranking found = {0};
	bool is_known = false;
	*ret_ranking = (struct search_ranking){0};
	if (search_has_words(search)) {
		const struct index_word_query query = {.mailbox = snapshot_mailbox(snapshot),
			.fields = fields,
			.words = words,
			.is_exact = is_exact};
		struct error *err =
			fields & INDEX_ATTACHED_FIELD
				? rank_with_attached(op, search, account, &query, &found, &owed)
				: index_rank(search->index, op, account, &query, &found);
		is_known = is_of_use(
			op, search, account, snapshot, err, found.cursor, &found.coverage);
	}
	metric_add(is_known ? &narrowed : &scanned, 1);
	if (is_known)
		*ret_ranking = (struct search_ranking){
			found.coverage.uidnext, found.hits, found.count, owed};
}

unsigned search_attached_field(const struct search *search, bool is_fuzzy)
{
	bool is_asked = is_fuzzy || search_config.attached_in == ATTACHED_IN_TEXT;
	return search && search->index->has_attached && is_asked ? INDEX_ATTACHED_FIELD : 0;
}

bool search_may_owe(struct op *op, const struct search *search, struct slice content)
{
	return search && search->index->has_attached &&
	       attachments_are_there(&op->arena, content, attachment_rules());
}

bool search_ranking_score(const struct search_ranking *ranking, uint32_t uid, unsigned *ret_score)
{
	size_t from = 0, to = ranking->count;
	*ret_score = 0;
	if (uid >= ranking->below)
		return false;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (ranking->hits[middle].uid < uid)
			from = middle + 1;
		else
			to = middle;
	}
	if (from == ranking->count || ranking->hits[from].uid != uid)
		return true;
	*ret_score = ranking->hits[from].score;
	return *ret_score > 0;
}

unsigned search_score_message(struct op *op, struct slice content, size_t header_length,
	unsigned fields, const struct search_words *words)
{
	struct search_texts texts;
	struct buf all = buf_in(&op->arena);
	search_texts_make(&op->arena, content, header_length, search_config.text_bytes, &texts);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		if (fields & SEARCH_WORDS_FIELDS & (1U << i)) {
			buf_append(&all,
				search_words_make(&op->arena, (enum text_field)i, texts.fields[i]));
			buf_append_char(&all, ' ');
		}
	unsigned likeness = search_words_likeness(words, buf_as_slice(&all));
	return likeness ? index_score(likeness, INDEX_WEIGHT_COMMON) : 0;
}
