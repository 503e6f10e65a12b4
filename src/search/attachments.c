#include "search/search_private.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "format/charset.h"

METRIC_COUNTER(messages_read, "attachments_read_total",
	"Messages whose attachments were read and put into an index");
METRIC_COUNTER(messages_failed, "attachments_failed_total",
	"Times that attachments of a message were not read, and will be tried again");
METRIC_COUNTER(messages_given_up, "attachments_given_up_total",
	"Messages whose attachments will not be tried again");
METRIC_GAUGE(reader_away, "attachments_reader_away", "1 while nobody can read attachments");

/* Of one mailbox, at a time. */
#define PAGE_OWED 200
/* So that messages that come together are read together. */
#define DELAY_NS (100 * NS_PER_MS)
/* Then others have their turn. */
#define TURN_NS (2 * NS_PER_S)
#define AWAY_FIRST_NS NS_PER_S
#define AWAY_DOUBLINGS 6
/* An index that changes meanwhile is written to again. */
#define ATTEMPTS 5

const struct attachment_rules *attachment_rules(void)
{
	return &search_config.attached;
}

/* ---- One message ---- */

struct reading {
	struct op *op;
	struct search *search;
	struct buf text;     /* folded; on the heap: the arena is released between attachments */
	bool is_failed;      /* one of them */
	bool is_away;        /* the reader */
	const char *problem; /* of the last failure: what was said */
	char said[200];
};

static void note_problem(struct reading *reading, const char *problem)
{
	snprintf(reading->said, sizeof(reading->said), "%s", problem ? problem : "");
	reading->problem = reading->said;
}

static bool add_text(struct reading *reading, struct arena *arena, struct slice text)
{
	struct slice folded = utf8_fold(arena, text);
	size_t room =
		search_config.text_bytes - MIN_OF(reading->text.len, search_config.text_bytes);
	buf_append(&reading->text, slice_range(folded, 0, room));
	buf_append_char(&reading->text, '\n');
	return folded.len < room;
}

/* Behind one that failed the others are tried, if the reader has outlived it. */
static bool read_one(void *context, struct arena *arena, struct slice content)
{
	struct reading *reading = context;
	struct search *search = reading->search;
	struct slice text;
	const char *problem;
	enum tika_outcome outcome = tika_read(reading->op, search->tika, content, &text, &problem);
	if (outcome == TIKA_READ)
		return add_text(reading, arena, text);
	note_problem(reading, problem);
	reading->is_failed |= outcome == TIKA_FAILED;
	reading->is_away = outcome == TIKA_AWAY || !tika_answers(reading->op, search->tika);
	return !reading->is_away;
}

/* What an entry becomes. A failure while the reader was up is counted, since it may fall by this
 * very message; that the reader was not there at all is not. */
static unsigned state_behind(const struct reading *reading, unsigned before)
{
	if (!reading->is_failed)
		return INDEX_ATTACHED_WHOLE;
	return before >= search_config.tika_tries ? INDEX_ATTACHED_GIVEN_UP : before + 1;
}

static struct error *put(struct op *op, struct search *search, struct account_id account,
	uint64_t index_id, const struct index_add *add)
{
	struct error *err = NULL;
	const struct search_pace at_once = {0};
	bool owes;
	TRY(verify_altered(op, search->store, search->index, account, &at_once, &owes));
	if (owes)
		attachments_owed(search, account);
	for (int i = 0; i < ATTEMPTS; i++) {
		struct index_state now;
		TRY(index_get_state(search->index, op, account, &now));
		if (now.id != index_id)
			return NULL; /* The new one owes it too. */
		const struct index_batch batch = {.expected_cursor = now.cursor,
			.expected_id = index_id,
			.added = add,
			.added_count = 1};
		err = index_apply(search->index, op, account, &batch);
		if (!err || err->kind != ERR_CONFLICT)
			break;
	}
	return err;
}

static void tell_given_up(struct op *op, struct account_id account, const struct index_entry *entry,
	const char *problem)
{
	log_warn(op, "attachments-given-up", FIELD_ID("account", op, account.uuid),
		FIELD_ID("message", op, entry->message.uuid),
		FIELD_TEXT("because", problem ? problem : ""));
	metric_add(&messages_given_up, 1);
}

struct owing {
	struct op *op;
	struct search *search;
	struct account_id account;
	uint64_t index_id;
	uint64_t until_ns;
	bool takes_failed; /* those that have been tried before */
	bool is_failed;    /* some were */
	bool is_away;
	size_t worked;
};

static struct error *put_read(struct owing *o, struct mailbox_id mailbox,
	const struct index_entry *entry, struct search_texts *texts, const struct reading *reading)
{
	texts->attached_state = state_behind(reading, entry->attached);
	bool is_final = texts->attached_state == INDEX_ATTACHED_WHOLE ||
			texts->attached_state == INDEX_ATTACHED_GIVEN_UP;
	texts->attached = is_final ? buf_as_slice(&reading->text) : SLICE_NONE;
	struct index_add add = {.place = {mailbox, entry->uid},
		.message = entry->message,
		.texts = texts,
		.is_attached = true,
		.version = entry->version};
	struct error *err = put(o->op, o->search, o->account, o->index_id, &add);
	if (err && err->kind == ERR_INVALID) {
		texts->attached = SLICE_NONE;
		texts->attached_state = INDEX_ATTACHED_GIVEN_UP;
		err = put(o->op, o->search, o->account, o->index_id, &add);
	}
	TRY(err);
	if (texts->attached_state == INDEX_ATTACHED_GIVEN_UP)
		tell_given_up(o->op, o->account, entry, reading->problem);
	else
		metric_add(is_final ? &messages_read : &messages_failed, 1);
	return NULL;
}

static struct error *read_message(struct owing *o, struct mailbox_id mailbox,
	const struct index_entry *entry, const struct message *row)
{
	struct op *op = o->op;
	struct slice content;
	struct search_texts texts;
	struct error *err = message_content(op, o->search->store, row, 0, UINT64_MAX, &content);
	if (err && err->kind == ERR_CORRUPT)
		return NULL; /* An audit of the index tells of it. */
	TRY(err);
	struct reading reading = {.op = op, .search = o->search, .text = buf_heap()};
	attachments_visit(&op->arena, content, attachment_rules(), read_one, &reading);
	o->is_away |= reading.is_away;
	o->is_failed |= reading.is_failed;
	if (!reading.is_away || reading.is_failed) {
		search_texts_make(
			&op->arena, content, row->header_length, search_config.text_bytes, &texts);
		err = put_read(o, mailbox, entry, &texts, &reading);
		o->worked++;
	}
	buf_done(&reading.text);
	return err;
}

/* A message that has gone is none of this thread's business: its place goes with the log. */
static struct error *read_entry(
	struct owing *o, struct mailbox_id mailbox, const struct index_entry *entry)
{
	struct op *op = o->op;
	struct arena_mark mark = arena_mark(&op->arena);
	struct uid_set uids;
	struct message *rows;
	size_t count;
	uid_set_init(&uids, &op->arena);
	uid_set_add(&uids, entry->uid);
	struct error *err =
		mailbox_messages(op, o->search->store, o->account, mailbox, &uids, &rows, &count);
	if (err)
		return err->kind == ERR_NOT_FOUND ? NULL : err;
	if (count && ID_EQUAL(rows[0].id, entry->message))
		TRY(read_message(o, mailbox, entry, &rows[0]));
	arena_release(&op->arena, mark);
	return NULL;
}

/* ---- One account ---- */

static bool is_over(const struct owing *o)
{
	return o->is_away || atomic_load(&o->search->is_stopping) ||
	       clock_monotonic_ns() >= o->until_ns;
}

static struct error *read_mailbox(struct owing *o, struct mailbox_id mailbox)
{
	struct index_entry *entries;
	size_t count = PAGE_OWED;
	for (uint32_t from = 1; count == PAGE_OWED && !is_over(o);) {
		TRY(index_owed(o->search->index, o->op, o->account, mailbox, from, PAGE_OWED,
			&entries, &count));
		for (size_t i = 0; i < count && !is_over(o); i++) {
			from = entries[i].uid + 1;
			if ((entries[i].attached > INDEX_ATTACHED_OWED) == o->takes_failed)
				TRY(read_entry(o, mailbox, &entries[i]));
		}
	}
	return NULL;
}

/* Those that nobody has tried come first: one that fails holds up none of them. */
static struct error *read_account(struct owing *o)
{
	struct index_state state;
	TRY(index_get_state(o->search->index, o->op, o->account, &state));
	o->index_id = state.id;
	for (int pass = 0; pass < 2 && !o->worked; pass++) {
		o->takes_failed = pass;
		for (size_t i = 0; i < state.covered_count && !is_over(o); i++)
			TRY(read_mailbox(o, state.covered[i].mailbox));
	}
	return NULL;
}

static enum turn take_turn(struct search *search, struct account_id account, bool *ret_away)
{
	AUTO_OP(op, "attachments");
	struct owing o = {.op = &op,
		.search = search,
		.account = account,
		.until_ns = clock_monotonic_ns() + TURN_NS};
	struct error *err = read_account(&o);
	*ret_away = o.is_away;
	if (err) {
		log_info(&op, "attachments-behind", FIELD_ID("account", &op, account.uuid),
			FIELD_ERROR(&op, err));
		return TURN_FAILED;
	}
	if (o.is_failed)
		return TURN_FAILED;
	return o.worked || o.is_away ? TURN_MORE : TURN_DONE;
}

/* ---- The thread ---- */

/* Nobody is charged with it; it is asked who it is until it says so. */
static void wait_for_reader(struct search *search)
{
	AUTO_OP(op, "attachments");
	bool is_back = false;
	log_warn(&op, "attachments-reader-away", FIELD_TEXT("url", search_config.tika));
	metric_set(&reader_away, 1);
	while (!is_back && !queue_is_stopping(&search->owed)) {
		uint64_t doublings = MIN_OF(search->times_away, AWAY_DOUBLINGS);
		search->times_away++;
		queue_pause(&search->owed, clock_monotonic_ns() + (AWAY_FIRST_NS << doublings));
		is_back = !queue_is_stopping(&search->owed) && tika_answers(&op, search->tika);
	}
	metric_set(&reader_away, 0);
	if (is_back)
		log_info(&op, "attachments-reader-back", FIELD_TEXT("url", search_config.tika));
}

static void *run(void *argument)
{
	struct search *search = argument;
	struct account_id account;
	uint64_t forgotten;
	thread_be_nice(SEARCH_NICENESS);
	while (!queue_is_stopping(&search->owed)) {
		bool is_away = false;
		if (queue_take(&search->owed, &account, &forgotten)) {
			enum turn turn = take_turn(search, account, &is_away);
			queue_give_back(&search->owed, account, turn);
		} else if (forgotten) {
			/* The indexer reads the notes again, and says who they are. */
			queue_forget(&search->queue);
			queue_remember(&search->owed, forgotten);
		}
		if (is_away)
			wait_for_reader(search);
		else
			search->times_away = 0;
	}
	return NULL;
}

void attachments_start(struct search *search)
{
	thread_start(&search->owed_thread, "attachments", run, search);
}

/* One that waits because it has failed waits on: each search in it says so again. */
void attachments_owed(struct search *search, struct account_id account)
{
	if (search->tika)
		queue_put(&search->owed, account, DELAY_NS);
}

struct error *attachments_catch_up(struct op *op, struct search *search, struct account_id account)
{
	struct owing o = {.op = op, .search = search, .account = account, .until_ns = UINT64_MAX};
	return read_account(&o);
}
