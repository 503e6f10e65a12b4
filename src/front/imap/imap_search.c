#include "front/imap/imap_search.h"

#include "base/clock.h"
#include "format/charset.h"
#include "format/imap_string.h"
#include "front/imap/imap_live.h"
#include "front/imap/imap_private.h"

#define PAGE_SIZE 200
#define SCORE_HIGHEST 100

/* Depth is bounded by the parser. */
static void set_instants(struct search_node *node, uint64_t now_us)
{
	uint64_t interval_us = node->number * US_PER_S;
	if (node->kind == SEARCH_OLDER || node->kind == SEARCH_YOUNGER)
		node->instant_us = now_us > interval_us ? now_us - interval_us : 0;
	for (struct search_node *child = node->first; child; child = child->next)
		set_instants(child, now_us);
}

void imap_search_set_instants(struct search_node *node)
{
	set_instants(node, clock_realtime_us());
}

/* Turns the sets in the tree into UIDs of the view. Depth is bounded by the parser. */
static struct error *resolve_sets(struct op *op, struct imap_session *session,
	struct imap_args *args, struct search_node *node)
{
	if (node->kind == SEARCH_SEQUENCE && !node->sequence.is_saved && session->has_uidonly)
		return imap_bad(op, args, "[UIDREQUIRED] UIDs alone are known here");
	if (node->kind == SEARCH_SEQUENCE || node->kind == SEARCH_UID)
		TRY(imap_view_uids(op, args, session->view, &node->sequence,
			node->kind == SEARCH_UID, &node->uids));
	for (struct search_node *child = node->first; child; child = child->next)
		TRY(resolve_sets(op, session, args, child));
	return NULL;
}

/* An index is asked for so many texts; the others are looked at in the messages. */
#define NARROWED_TEXTS_MAX 32

/* An empty text asks for a field by name, which is a text of the header. */
static struct slice needle_of(struct op *op, const struct search_node *node)
{
	if (node->kind != SEARCH_HEADER || node->text.len)
		return node->text;
	for (size_t i = 0; i < node->field.len; i++) {
		char c = node->field.ptr[i];
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-')
			return SLICE_NONE;
	}
	return utf8_fold(&op->arena, node->field);
}

/* RFC 9051 6.4.4: BODY and TEXT may match by more than the string. In attachments it is words. */
static void ask_for_attached(struct op *op, struct imap_session *session, struct search_node *node)
{
	struct search_words *words = ARENA_NEW(&op->arena, struct search_words);
	if (node->kind == SEARCH_HEADER || !search_attached_field(session->search, node->words))
		return;
	search_words_ask(&op->arena, node->text, words);
	if (words->count)
		node->attached = words;
}

static void narrow_one(struct op *op, struct imap_session *session, const struct snapshot *now,
	struct search_node *node)
{
	struct account_id account = session->mailbox_account;
	unsigned fields = imap_search_fields(node);
	if (node->words)
		search_rank(op, session->search, account, now,
			node->attached ? fields | INDEX_ATTACHED_FIELD : fields, node->words, false,
			&node->ranking);
	else if (node->attached)
		search_rank(op, session->search, account, now, INDEX_ATTACHED_FIELD, node->attached,
			true, &node->ranking);
	if (!node->words)
		search_narrow(op, session->search, account, now, fields, needle_of(op, node),
			&node->narrowing);
}

struct narrowing {
	size_t left;   /* texts that the index may be asked for */
	uint64_t owed; /* messages of the mailbox whose attachments are */
	bool sees_attached;
};

/* Asks the index for the texts in the tree. */
static void narrow(struct op *op, struct imap_session *session, const struct snapshot *now,
	struct search_node *node, struct narrowing *narrowing)
{
	if (node->cost == SEARCH_COSTS_CONTENT && !node->first) {
		ask_for_attached(op, session, node);
		narrowing->sees_attached |= node->attached != NULL;
		if (narrowing->left)
			narrow_one(op, session, now, node);
		narrowing->left -= narrowing->left > 0;
		narrowing->owed = MAX_OF(narrowing->owed, node->ranking.owed);
	}
	for (struct search_node *child = node->first; child; child = child->next)
		narrow(op, session, now, child, narrowing);
}

/* Messages of the view that may match, as far as can be said with nothing read. */
static void find_candidates(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct search_node *root, struct uid_set *ret_uids)
{
	const struct snapshot *shown = session->view->shown;
	uid_set_init(ret_uids, &op->arena);
	for (uint32_t i = 0; i < snapshot_count(shown); i++) {
		struct search_message message = {.snapshot = now};
		uint32_t position;
		if (snapshot_find(now, snapshot_at(shown, i).uid, &position, &message.at) &&
			imap_search_may_match(session, root, &message))
			uid_set_add(ret_uids, message.at.uid);
	}
}

/* Reads a page of candidates and sets `ret_scores` for those that match. */
static struct error *match_page(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct search_run *run, const struct uid_set *page,
	unsigned *ret_scores, uint32_t *ret_uids, size_t *ret_count)
{
	const struct search_node *root = run->request->root;
	struct message *rows;
	TRY(mailbox_messages(op, session->store, session->mailbox_account, session->mailbox, page,
		&rows, ret_count));
	for (size_t i = 0; i < *ret_count; i++) {
		struct search_message message = {.snapshot = now, .row = &rows[i]};
		uint32_t position;
		bool is_found = false;
		ret_uids[i] = rows[i].uid;
		ret_scores[i] = 0;
		if (!snapshot_find(now, rows[i].uid, &position, &message.at))
			continue;
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(imap_search_match(op, session, root, &message, &is_found));
		arena_release(&op->arena, mark);
		run->unread += message.has_unread;
		if (is_found)
			ret_scores[i] = message.score_count
						? message.score_sum / message.score_count
						: SCORE_HIGHEST;
		if (session_is_gone(session->session))
			return op_fail(op, ERR_CANCELLED, "The client is gone");
	}
	return NULL;
}

/* The next page of candidates; *ret_more is false behind the last. */
static struct error *match_next_page(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct search_run *run, bool *ret_more)
{
	unsigned scores[PAGE_SIZE] = {0};
	uint32_t uids[PAGE_SIZE] = {0};
	struct arena_mark mark = arena_mark(&op->arena);
	struct uid_set page;
	uint32_t uid = 0;
	size_t count = 0;
	uid_set_init(&page, &op->arena);
	while (count < PAGE_SIZE && uid_cursor_next(&run->candidates, &run->cursor, &uid)) {
		uid_set_add(&page, uid);
		count++;
	}
	run->read += count;
	*ret_more = count == PAGE_SIZE;
	if (count == 0)
		return NULL;
	TRY(match_page(op, session, now, run, &page, scores, uids, &count));
	arena_release(&op->arena, mark);
	for (size_t i = 0; i < count; i++) {
		const struct index_hit hit = {uids[i], (uint8_t)scores[i]};
		if (!hit.score)
			continue;
		uid_set_add(&run->found, hit.uid);
		if (run->request->has_fuzzy)
			buf_append(&run->scores, slice_of(&hit, sizeof(hit)));
	}
	return NULL;
}

unsigned imap_search_score(const struct search_run *run, uint32_t uid)
{
	size_t from = 0, to = run->scores.len / sizeof(struct index_hit);
	while (from < to) {
		struct index_hit hit;
		size_t middle = from + (to - from) / 2;
		memcpy(&hit, run->scores.ptr + middle * sizeof(hit), sizeof(hit));
		if (hit.uid == uid)
			return hit.score;
		if (hit.uid < uid)
			from = middle + 1;
		else
			to = middle;
	}
	return SCORE_HIGHEST;
}

/* As many pages as fit into one step; *ret_more when another is needed. */
static struct error *match_candidates(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct search_run *run, bool *ret_more)
{
	uint64_t until_ns = clock_monotonic_ns() + imap_progress_step_ns();
	do {
		TRY(match_next_page(op, session, now, run, ret_more));
	} while (*ret_more && clock_monotonic_ns() < until_ns);
	return NULL;
}

struct summary {
	uint32_t min, max; /* as the client counts */
	uint64_t count;
	uint64_t modseq;        /* the highest of what is told */
	struct uid_set uids;    /* what is told of: all, or MIN, MAX and the page */
	struct uid_set numbers; /* all or the page, as the client counts */
	struct buf scores;      /* of these, as they are told (RFC 6203 4) */
};

static uint64_t modseq_of(const struct snapshot *now, uint32_t uid)
{
	uint32_t position;
	struct snapshot_message message;
	return snapshot_find(now, uid, &position, &message) ? message.modseq : 0;
}

bool imap_search_tells_of_all(unsigned returns)
{
	const unsigned some = SEARCH_RETURN_MIN | SEARCH_RETURN_MAX | SEARCH_RETURN_PARTIAL;
	return !(returns & some) || (returns & (SEARCH_RETURN_ALL | SEARCH_RETURN_COUNT));
}

static void summarise(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct search_run *run, bool by_uid, struct summary *summary)
{
	const struct search_request *request = run->request;
	const struct uid_set *found = run->result;
	bool has_scores = request->returns & SEARCH_RETURN_RELEVANCY;
	struct uid_cursor cursor = {0};
	uint64_t count = uid_set_size(found), from = 0, to = count;
	bool all = imap_search_tells_of_all(request->returns);
	uint32_t uid;
	if (request->page.is_wanted)
		imap_page_bounds(&request->page, count, &from, &to);
	uid_set_init(&summary->numbers, &op->arena);
	uid_set_init(&summary->uids, &op->arena);
	summary->scores = buf_in(&op->arena);
	for (uint64_t i = 0; uid_cursor_next(found, &cursor, &uid); i++) {
		uint32_t number = by_uid ? uid : imap_view_sequence(session->view, uid);
		bool on_page = i >= from && i < to;
		if (i == 0)
			summary->min = number;
		summary->max = number;
		if (on_page)
			uid_set_add(&summary->numbers, number);
		if (on_page && has_scores)
			buf_printf(&summary->scores, "%s%u", summary->scores.len ? " " : "",
				imap_search_score(run, uid));
		if (!all && !(request->page.is_wanted && on_page) &&
			!((request->returns & SEARCH_RETURN_MIN) && i == 0) &&
			!((request->returns & SEARCH_RETURN_MAX) && i + 1 == count))
			continue;
		summary->modseq = MAX_OF(summary->modseq, modseq_of(now, uid));
		uid_set_add(&summary->uids, uid);
	}
	summary->count = count;
}

/* "* SEARCH 2 84 882 (MODSEQ 917162500)" */
static void write_search(struct imap_session *session, const struct search_request *request,
	const struct summary *summary)
{
	struct uid_cursor cursor = {0};
	uint32_t number;
	buf_append(session->out, SLICE("* SEARCH"));
	while (uid_cursor_next(&summary->numbers, &cursor, &number)) {
		buf_append_char(session->out, ' ');
		buf_decimal(session->out, number);
	}
	if (request->uses_modseq && summary->count)
		buf_printf(session->out, " (MODSEQ %llu)", (unsigned long long)summary->modseq);
	buf_append(session->out, SLICE("\r\n"));
}

/* " PARTIAL (-1:-100 5,7)" (RFC 9394 3.1) */
static void write_page(
	struct buf *out, const struct search_request *request, const struct uid_set *numbers)
{
	buf_append(out, SLICE(" PARTIAL ("));
	imap_page_print(&request->page, out);
	buf_append_char(out, ' ');
	if (uid_set_is_empty(numbers))
		buf_append(out, SLICE("NIL"));
	else
		uid_set_print(numbers, out);
	buf_append_char(out, ')');
}

/* "* ESEARCH (TAG "A282") MIN 2 COUNT 3" (RFC 4731) */
static void write_esearch(struct imap_session *session, const struct imap_args *args,
	const struct search_request *request, const struct summary *summary)
{
	struct buf *out = session->out;
	unsigned returns = request->returns;
	bool any = summary->count > 0;
	buf_append(out, SLICE("* ESEARCH (TAG "));
	imap_print_string(out, args->tag);
	buf_append(out, args->is_uid ? SLICE(") UID") : SLICE(")"));
	if ((returns & SEARCH_RETURN_MIN) && any)
		buf_printf(out, " MIN %u", summary->min);
	if ((returns & SEARCH_RETURN_MAX) && any)
		buf_printf(out, " MAX %u", summary->max);
	if ((returns & SEARCH_RETURN_COUNT))
		buf_printf(out, " COUNT %llu", (unsigned long long)summary->count);
	if ((returns & SEARCH_RETURN_ALL) && any) {
		buf_append(out, SLICE(" ALL "));
		uid_set_print(&summary->numbers, out);
	}
	if (returns & SEARCH_RETURN_PARTIAL)
		write_page(out, request, &summary->numbers);
	if (summary->scores.len)
		buf_printf(out, " RELEVANCY (" SLICE_FMT ")",
			SLICE_ARG(buf_as_slice(&summary->scores)));
	if (request->uses_modseq && summary->modseq)
		buf_printf(out, " MODSEQ %llu", (unsigned long long)summary->modseq);
	buf_append(out, SLICE("\r\n"));
}

static void write_result(struct op *op, struct imap_session *session, const struct imap_args *args,
	const struct search_run *run, const struct snapshot *now)
{
	struct summary summary = {0};
	const struct search_request *request = run->request;
	summarise(op, session, now, run, args->is_uid, &summary);
	if (request->returns & SEARCH_RETURN_SAVE)
		imap_view_save(session->view, &summary.uids);
	/* SAVE alone saves and says nothing (RFC 5182 2.1). */
	if ((request->returns & ~(SEARCH_RETURN_UPDATE | SEARCH_RETURN_CONTEXT)) ==
		SEARCH_RETURN_SAVE)
		return;
	if (request->is_extended || session->has_rev2)
		write_esearch(session, args, request, &summary);
	else
		write_search(session, request, &summary);
}

struct error *imap_search_begin(struct op *op, struct imap_session *session, struct imap_args *args,
	struct search_request *request, struct search_run *ret_run)
{
	struct snapshot *now;
	struct narrowing narrowing = {.left = NARROWED_TEXTS_MAX};
	*ret_run = (struct search_run){.request = request};
	imap_progress_begin(&ret_run->progress);
	TRY(resolve_sets(op, session, args, request->root));
	imap_search_set_instants(request->root);
	if (request->uses_modseq)
		imap_enable_condstore(session);
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	narrow(op, session, now, request->root, &narrowing);
	request->sees_attached = narrowing.sees_attached;
	ret_run->unread = narrowing.owed;
	find_candidates(op, session, now, request->root, &ret_run->candidates);
	snapshot_unref(now);
	uid_set_init(&ret_run->found, &op->arena);
	ret_run->scores = buf_in(&op->arena);
	return NULL;
}

struct error *imap_search_run(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct search_run *run, bool *ret_more)
{
	bool reads = run->request->root->cost > SEARCH_COSTS_NOTHING;
	*ret_more = false;
	run->result = reads ? &run->found : &run->candidates;
	if (reads)
		TRY(match_candidates(op, session, now, run, ret_more));
	if (!*ret_more && run->unread)
		buf_printf(session->out,
			"* NO [UNAVAILABLE] The attachments of %llu messages have not been read "
			"yet\r\n",
			(unsigned long long)run->unread);
	return NULL;
}

struct search {
	struct search_request request;
	struct search_run run;
};

static struct error *begin(
	struct op *op, struct imap_session *session, struct imap_args *args, struct search *search)
{
	TRY(imap_search_parse(op, args, &search->request));
	/* RFC 9755 3 */
	if (session->has_utf8 && search->request.has_charset)
		return imap_bad(op, args, "With UTF8=ACCEPT a search has no CHARSET");
	return imap_search_begin(op, session, args, &search->request, &search->run);
}

static void end(struct op *op, struct imap_session *session, const struct imap_args *args,
	const struct search *search, const struct snapshot *now)
{
	write_result(op, session, args, &search->run, now);
	if (search->request.returns & SEARCH_RETURN_UPDATE)
		imap_live_begin(session, args, &search->request, search->run.result);
}

static struct error *step(
	struct op *op, struct imap_session *session, struct imap_args *args, struct search *search)
{
	struct snapshot *now;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	struct error *err = imap_search_run(op, session, now, &search->run, &args->wants_more);
	if (!err && !args->wants_more)
		end(op, session, args, search, now);
	if (!err && args->wants_more)
		imap_progress_tell(session, args, &search->run.progress, search->run.read,
			uid_set_size(&search->run.candidates));
	snapshot_unref(now);
	return err;
}

/* SEARCH (RFC 9051 6.4.4) */
IMAP_HANDLER(imap_search)
{
	struct search *search = args->cursor;
	struct error *err = NULL;
	if (!search) {
		search = ARENA_NEW(&op->arena, struct search);
		err = begin(op, session, args, search);
	}
	args->cursor = search;
	if (!err)
		err = step(op, session, args, search);
	/* A search that fails saves nothing, and what was saved is gone (RFC 5182 2.1). */
	if (err && !args->is_bad && (search->request.returns & SEARCH_RETURN_SAVE)) {
		struct uid_set none;
		uid_set_init(&none, &op->arena);
		imap_view_save(session->view, &none);
	}
	return err;
}
