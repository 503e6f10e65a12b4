#include "search/search_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "mailbox/follow.h"

METRIC_COUNTER(failures, "index_failures_total", "Turns of the indexer that failed");

/* So that messages that come together are indexed together. */
#define DELAY_NS (300 * NS_PER_MS)
/* Then others have their turn. */
#define TURN_NS (2 * NS_PER_S)
/* One failure may be chance. */
#define FAILURES_TO_TELL 3
#define TIKA_CONNECT_MS 2000

struct search_config search_config = {.rate = 1000, .text_bytes = MIB(1)};

static const char *const attached_choices[] = {
	[ATTACHED_IN_FUZZY] = "fuzzy", [ATTACHED_IN_TEXT] = "text", NULL};

/* clang-format off */
const struct setting search_settings[] = {
	{"search.rate", SETTING_NUMBER, &search_config.rate, "1000", 0, 1000000, NULL, true,
		"Messages that the indexer reads in a second at the most; 0: as fast as it goes."},
	{"search.text_limit", SETTING_BYTES, &search_config.text_bytes, "1 MiB", KIB(1), MIB(64), NULL, true,
		"Text of one message that is indexed; what is longer is looked at by every search."},
	{"search.tika", SETTING_TEXT, &search_config.tika, "", 0, 0, NULL, false,
		"Where a server of Apache Tika is that reads attachments: http://host:9998; none if empty. After a change from none indexes are made anew."},
	{"search.tika_timeout", SETTING_DURATION, &search_config.tika_timeout_ms, "30 s", 100, 600000, NULL, false,
		"How long Tika may take for one attachment."},
	{"search.tika_tries", SETTING_NUMBER, &search_config.tika_tries, "10", 1, 100, NULL, true,
		"How often the attachments of a message may make Tika fail until they are given up."},
	{"search.tika_size_limit", SETTING_BYTES, &search_config.attached.bytes, "20 MiB", KIB(1), MIB(1024), NULL, true,
		"Attachments that are larger, as they stand in the mail, are not read."},
	{"search.tika_text_limit", SETTING_BYTES, &search_config.tika_text_bytes, "256 KiB", KIB(1), MIB(64), NULL, false,
		"Text of one attachment that is indexed; of all of a message search.text_limit."},
	{"search.tika_types_left_out", SETTING_TEXT, &search_config.attached.left_out,
		"text/* image/* audio/* video/* application/pgp-signature application/pgp-encrypted application/pkcs7-signature application/pkcs7-mime", 0, 0, NULL, false,
		"Media types of attachments that are not read, with blanks between; type/* is all of a type. Texts are searched without it."},
	{"search.attachments", SETTING_CHOICE, &search_config.attached_in, "fuzzy", 0, 0, attached_choices, true,
		"Which keys find words in attachments: fuzzy: FUZZY TEXT and FUZZY BODY; text: TEXT and BODY too, if each word that is asked for begins a word of the attachment."},
};
const size_t search_setting_count = ARRAY_SIZE(search_settings);
/* clang-format on */

static bool is_behind(void *context, struct account_id account)
{
	struct search *search = context;
	return queue_has(&search->queue, account) ||
	       (search->tika && queue_has(&search->owed, account));
}

/* ---- Attachments ---- */

bool search_wants_attachments(void)
{
	return search_config.tika && *search_config.tika;
}

static struct error *open_tika(struct op *op, struct search *search, struct tika **ret_tika)
{
	const struct tika_options options = {.url = search_config.tika,
		.connect_ms = TIKA_CONNECT_MS,
		.timeout_ms = search_config.tika_timeout_ms,
		.text_bytes = search_config.tika_text_bytes,
		.is_stopping = search ? &search->is_stopping : NULL};
	return tika_open(op, &options, ret_tika);
}

struct error *search_check_attachments(struct op *op)
{
	struct tika *tika;
	if (!search_wants_attachments())
		return NULL;
	TRY(open_tika(op, NULL, &tika));
	tika_close(tika);
	return NULL;
}

struct error *search_read_attachments(struct op *op, struct search *search)
{
	return search->index->has_attached ? open_tika(op, search, &search->tika) : NULL;
}

struct search *search_new(struct mail_store *store, struct index *index)
{
	struct search *search = HEAP_NEW(struct search);
	search->store = store;
	search->index = index;
	queue_init(&search->queue);
	queue_init(&search->owed);
	search->owed.is_quiet = true;
	queue_remember(&search->owed, search->owed.forgotten);
	mail_store_follow(store, is_behind, search);
	return search;
}

void search_account_changed(struct search *search, struct account_id account)
{
	if (search)
		queue_put(&search->queue, account, DELAY_NS);
}

/* ---- A work group ---- */

bool search_is_shared(const struct search *search)
{
	return search && search->index->ops->is_shared;
}

static void take_work(void *context, const struct bus_hint *hint, struct bus_work work)
{
	struct search *search = context;
	queue_put_work(&search->queue, hint->account, DELAY_NS, work);
}

static void look_for_missed(void *context)
{
	struct search *search = context;
	queue_forget(&search->queue);
}

void search_join(struct search *search, struct bus *bus)
{
	search->queue.bus = bus;
	bus_join(bus, (struct bus_worker){"index", take_work, look_for_missed, search});
}

/* ---- The thread ---- */

static struct error *take_unsettled(struct op *op, struct search *search)
{
	struct account_id *accounts;
	size_t count;
	TRY(mail_store_unsettled(op, search->store, &accounts, &count));
	for (size_t i = 0; i < count; i++) {
		queue_put(&search->queue, accounts[i], 0);
		attachments_owed(search, accounts[i]);
	}
	return NULL;
}

static void find_unsettled(struct search *search, uint64_t forgotten)
{
	AUTO_OP(op, "index");
	struct error *err = take_unsettled(&op, search);
	if (!err) {
		queue_remember(&search->queue, forgotten);
		return;
	}
	log_warn(&op, "index-notes-unread", FIELD_ERROR(&op, err));
	queue_pause(&search->queue, clock_monotonic_ns() + NS_PER_S);
}

static bool pace(void *context, size_t messages)
{
	struct search *search = context;
	uint64_t now_ns = clock_monotonic_ns();
	if (search_config.rate) {
		search->pace_ns =
			MAX_OF(search->pace_ns, now_ns) + messages * NS_PER_S / search_config.rate;
		queue_pause(&search->queue, search->pace_ns);
	}
	return !queue_is_stopping(&search->queue);
}

/* Tried again as long as it fails, and by the next search that misses something. */
static struct error *mend_doubted(struct op *op, struct search *search, struct account_id account)
{
	const struct search_pace own = {pace, search};
	bool owes;
	if (!queue_end_doubted(&search->queue, account))
		return NULL;
	struct error *err = verify_doubts(op, search->store, search->index, account, &own, &owes);
	if (err)
		queue_put_doubted(&search->queue, account);
	if (owes)
		attachments_owed(search, account);
	return err;
}

/* What is asked comes first; what is made anew beside it then. */
static struct error *run_turn(
	struct op *op, struct search *search, struct catch_up *work, bool *ret_more)
{
	TRY(mend_doubted(op, search, work->account));
	TRY(catch_up_run(op, work, ret_more));
	if (*ret_more)
		return NULL;
	if (work->is_worn && !queue_is_rebuilt(&search->queue, work->account)) {
		TRY(rebuild_begin(op, work));
		queue_put_rebuilt(&search->queue, work->account);
	}
	if (!queue_is_rebuilt(&search->queue, work->account))
		return NULL;
	TRY(rebuild_run(op, work, ret_more));
	if (*ret_more)
		return NULL;
	queue_end_rebuilt(&search->queue, work->account);
	/* What was in the old one is owed again. */
	*work->owes = true;
	return NULL;
}

static enum turn work_on(struct search *search, struct account_id account)
{
	AUTO_OP(op, "index");
	bool more, owes = false;
	struct catch_up work = {.store = search->store,
		.index = search->index,
		.account = account,
		.until_ns = clock_monotonic_ns() + TURN_NS,
		.pace = pace,
		.pace_context = search,
		.owes = &owes};
	struct error *err = run_turn(&op, search, &work, &more);
	if (owes)
		attachments_owed(search, account);
	if (!err) {
		search->failures = 0;
		return more ? TURN_MORE : TURN_DONE;
	}
	metric_add(&failures, 1);
	bool is_expected = err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT;
	if (search->failures++ && is_expected)
		log_debug(&op, "index-behind", FIELD_ID("account", &op, account.uuid),
			FIELD_ERROR(&op, err));
	else
		log_warn(&op, "index-behind", FIELD_ID("account", &op, account.uuid),
			FIELD_ERROR(&op, err));
	return TURN_FAILED;
}

static void *run(void *argument)
{
	struct search *search = argument;
	struct account_id account;
	uint64_t forgotten;
	thread_be_nice(SEARCH_NICENESS);
	while (!queue_is_stopping(&search->queue)) {
		if (queue_take(&search->queue, &account, &forgotten))
			queue_give_back(&search->queue, account, work_on(search, account));
		else if (forgotten)
			find_unsettled(search, forgotten);
	}
	return NULL;
}

void search_start(struct search *search)
{
	if (!search)
		return;
	search->is_started = true;
	thread_start(&search->thread, "index", run, search);
	if (search->tika)
		attachments_start(search);
}

void search_free(struct search *search)
{
	if (!search)
		return;
	atomic_store(&search->is_stopping, true);
	queue_stop(&search->queue);
	queue_stop(&search->owed);
	if (search->is_started)
		thread_join(search->thread);
	if (search->is_started && search->tika)
		thread_join(search->owed_thread);
	mail_store_follow(search->store, NULL, search);
	index_close(search->index);
	queue_done(&search->queue);
	queue_done(&search->owed);
	tika_close(search->tika);
	free(search);
}

/* ---- For the administrator ---- */

bool search_is_failing(const struct search *search)
{
	return search && search->failures >= FAILURES_TO_TELL;
}

struct error *search_catch_up(struct op *op, struct search *search, struct account_id account)
{
	bool owes = false;
	struct catch_up work = {.store = search->store,
		.index = search->index,
		.account = account,
		.until_ns = UINT64_MAX,
		.owes = &owes};
	bool more = true;
	while (more)
		TRY(catch_up_run(op, &work, &more));
	if (work.is_worn)
		TRY(rebuild_begin(op, &work));
	for (more = work.is_worn; more;)
		TRY(rebuild_run(op, &work, &more));
	if (owes)
		attachments_owed(search, account);
	return NULL;
}

struct error *search_rebuild(struct op *op, struct search *search, struct account_id account)
{
	const struct catch_up work = {.index = search->index, .account = account};
	TRY(rebuild_begin(op, &work));
	return queue_put_rebuilt(&search->queue, account)
		       ? NULL
		       : op_fail(op, ERR_LIMIT, "too many accounts wait for the indexer");
}

struct error *search_rebuild_step(struct op *op, struct search *search, struct account_id account,
	bool is_first, const struct search_pace *pace, bool *ret_more)
{
	const struct catch_up work = {.store = search->store,
		.index = search->index,
		.account = account,
		.until_ns = clock_monotonic_ns() + TURN_NS,
		.pace = pace->pace,
		.pace_context = pace->context};
	if (is_first)
		TRY(rebuild_begin(op, &work));
	TRY(rebuild_run(op, &work, ret_more));
	/* What was in the old one is owed again. */
	if (!*ret_more)
		attachments_owed(search, account);
	return NULL;
}

struct error *search_rebuild_drop(struct op *op, struct search *search, struct account_id account)
{
	return index_drop(index_beside(search->index), op, account);
}

struct error *search_settle(struct op *op, struct search *search)
{
	return index_settle(search->index, op);
}

static uint64_t count_indexed(const struct snapshot *snapshot, const struct index_state *state)
{
	const struct index_coverage *covered = find_coverage(state, snapshot_mailbox(snapshot));
	return covered ? snapshot_lower_bound(snapshot, covered->uidnext) : 0;
}

struct error *search_status(struct op *op, struct search *search, struct account_id account,
	struct search_status *ret_status)
{
	struct account_news now;
	struct index_state state;
	*ret_status = (struct search_status){0};
	TRY(index_get_state(search->index, op, account, &state));
	TRY(account_news_since(op, search->store, account, 0, &now));
	for (size_t i = 0; i < now.mailboxes.count; i++) {
		struct snapshot *snapshot;
		TRY(mailbox_snapshot(
			op, search->store, account, now.mailboxes.items[i].id, &snapshot));
		ret_status->messages += snapshot_count(snapshot);
		ret_status->indexed += count_indexed(snapshot, &state);
		snapshot_unref(snapshot);
	}
	ret_status->modseq = now.modseq;
	ret_status->cursor = state.cursor;
	ret_status->is_waiting = queue_has(&search->queue, account);
	return index_measure(search->index, op, account, &ret_status->size);
}
