#include "search/search_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "mailbox/follow.h"

METRIC_COUNTER_LABELLED(
	narrowed, "search_texts_total", "Texts that were searched for", "path=\"index\"");
METRIC_COUNTER_LABELLED(
	scanned, "search_texts_total", "Texts that were searched for", "path=\"scan\"");
METRIC_COUNTER(doubted, "search_index_doubts_total",
	"Messages that searches read because an index had lost them, or others had altered them "
	"there");
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

static void tell_failure(struct op *op, const struct error *err)
{
	metric_add(&failures, 1);
	log_info(op, "search-without-index", FIELD_ERROR(op, err));
}

/* Is what it said about the mailbox of use? `err` is what asking ended in. */
static bool is_of_use(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, struct error *err, uint64_t cursor,
	const struct index_coverage *coverage)
{
	bool is_good = false;
	if (!err)
		err = look_at_cursor(op, search, account, cursor, &is_good);
	if (err)
		tell_failure(op, err);
	is_good &= !err && coverage->uidvalidity == snapshot_uidvalidity(snapshot);
	/* Nobody else may have said so: an index that never was, another node's mail. */
	if (!is_good || coverage->uidnext < snapshot_uidnext(snapshot))
		search_account_changed(search, account);
	return is_good;
}

/* ---- What an index has lost ---- */

#define LISTED_AT_ONCE 5000

/* UIDs come in ascending order, and the sum is of those: with as many places, and the same sum,
 * none of the snapshot's is missing that another does not stand for. */
static bool has_all(const struct snapshot *snapshot, uint32_t below, const struct index_held *held)
{
	uint64_t sum = 0;
	uint32_t count = snapshot_lower_bound(snapshot, below);
	if (held->altered || held->count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		sum += snapshot_at(snapshot, i).uid;
	return sum == held->uid_sum;
}

/* Takes a page of what the index has; the snapshot's messages up to its end that are not in it, or
 * altered in it, are in doubt. */
static void doubt_page(const struct snapshot *snapshot, uint32_t end,
	const struct index_entry *entries, size_t count, uint32_t *inout_position,
	struct uid_set *doubts)
{
	size_t at = 0;
	for (; *inout_position < snapshot_count(snapshot); ++*inout_position) {
		uint32_t uid = snapshot_at(snapshot, *inout_position).uid;
		if (uid >= end)
			return;
		while (at < count && entries[at].uid < uid)
			at++;
		if (at == count || entries[at].uid != uid || entries[at].is_altered)
			uid_set_add(doubts, uid);
	}
}

static struct error *find_doubts(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, uint32_t below, struct uid_set *doubts)
{
	uint32_t position = 0;
	size_t count = LISTED_AT_ONCE;
	for (uint32_t from = 1; from < below && count == LISTED_AT_ONCE;) {
		struct index_entry *entries;
		TRY(index_list(search->index, op, account, snapshot_mailbox(snapshot), from,
			LISTED_AT_ONCE, &entries, &count));
		if (count == LISTED_AT_ONCE)
			from = MIN_OF(entries[count - 1].uid + 1, below);
		doubt_page(snapshot, count == LISTED_AT_ONCE ? from : below, entries, count,
			&position, doubts);
	}
	return NULL;
}

/* What the index said of the mailbox counts below *inout_below but for the doubts. What it had was
 * counted when it answered; the snapshot is from before, and newer messages are looked at anyway.
 */
static struct error *doubt(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, const struct index_held *held, uint32_t *inout_below,
	struct uid_set *doubts)
{
	uid_set_init(doubts, &op->arena);
	*inout_below = MIN_OF(*inout_below, snapshot_uidnext(snapshot));
	if (has_all(snapshot, *inout_below, held))
		return NULL;
	TRY(find_doubts(op, search, account, snapshot, *inout_below, doubts));
	if (uid_set_is_empty(doubts))
		return NULL;
	log_warn(op, "index-doubted", FIELD_ID("account", op, account.uuid),
		FIELD_ID("mailbox", op, snapshot_mailbox(snapshot).uuid),
		FIELD_U64("messages", uid_set_size(doubts)));
	metric_add(&doubted, (int64_t)uid_set_size(doubts));
	queue_put_doubted(&search->queue, account);
	return NULL;
}

/* Did it say what is of use, and what of that is in doubt? */
static bool is_known(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, struct error *err, uint64_t cursor,
	const struct index_coverage *coverage, const struct index_held *held, uint32_t *ret_below,
	struct uid_set *doubts)
{
	bool is_good = is_of_use(op, search, account, snapshot, err, cursor, coverage);
	*ret_below = coverage->uidnext;
	if (is_good)
		err = doubt(op, search, account, snapshot, held, ret_below, doubts);
	if (is_good && err)
		tell_failure(op, err);
	return is_good && !err;
}

void search_narrow(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, struct slice needle,
	struct search_narrowing *ret_narrowing)
{
	struct index_found found = {0};
	struct uid_set doubts;
	bool has_answer = false;
	*ret_narrowing = (struct search_narrowing){0};
	if (search && index_takes_needle(needle)) {
		const struct index_query query = {.mailbox = snapshot_mailbox(snapshot),
			.below = snapshot_uidnext(snapshot),
			.fields = fields,
			.needle = needle};
		struct error *err = index_find(search->index, op, account, &query, &found);
		has_answer = is_known(op, search, account, snapshot, err, found.cursor,
			&found.coverage, &found.held, &ret_narrowing->below, &doubts);
		if (found.is_old)
			search_account_changed(search, account);
	}
	metric_add(has_answer ? &narrowed : &scanned, 1);
	if (!has_answer) {
		*ret_narrowing = (struct search_narrowing){0};
		return;
	}
	uid_set_init(&ret_narrowing->maybe, &op->arena);
	for (size_t i = 0; i < found.count; i++)
		uid_set_add(&ret_narrowing->maybe, found.uids[i]);
	uid_set_add_all(&ret_narrowing->maybe, &doubts);
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

/* The hits, and the doubts as ones of which nothing is known. */
static void take_hits(struct arena *arena, const struct index_ranking *found,
	const struct uid_set *doubts, struct search_ranking *ranking)
{
	size_t at = 0;
	struct index_hit *hits =
		ARENA_ARRAY(arena, struct index_hit, found->count + uid_set_size(doubts) + 1);
	for (size_t i = 0; i < doubts->count; i++)
		for (uint64_t uid = doubts->ranges[i].first; uid <= doubts->ranges[i].last; uid++) {
			while (at < found->count && found->hits[at].uid < uid)
				hits[ranking->count++] = found->hits[at++];
			at += at < found->count && found->hits[at].uid == uid;
			hits[ranking->count++] = (struct index_hit){.uid = (uint32_t)uid};
		}
	while (at < found->count)
		hits[ranking->count++] = found->hits[at++];
	ranking->hits = hits;
}

void search_rank(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, const struct search_words *words,
	bool is_exact, struct search_ranking *ret_ranking)
{
	uint64_t owed = 0;
	struct index_ranking found = {0};
	struct uid_set doubts;
	uint32_t below = 0;
	bool has_answer = false;
	*ret_ranking = (struct search_ranking){0};
	if (search_has_words(search)) {
		const struct index_word_query query = {.mailbox = snapshot_mailbox(snapshot),
			.below = snapshot_uidnext(snapshot),
			.fields = fields,
			.words = words,
			.is_exact = is_exact};
		struct error *err =
			fields & INDEX_ATTACHED_FIELD
				? rank_with_attached(op, search, account, &query, &found, &owed)
				: index_rank(search->index, op, account, &query, &found);
		has_answer = is_known(op, search, account, snapshot, err, found.cursor,
			&found.coverage, &found.held, &below, &doubts);
	}
	metric_add(has_answer ? &narrowed : &scanned, 1);
	if (!has_answer)
		return;
	ret_ranking->below = below;
	ret_ranking->owed = owed;
	take_hits(&op->arena, &found, &doubts, ret_ranking);
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
