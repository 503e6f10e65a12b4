#include <stdlib.h>

#include "base/clock.h"
#include "import/import_private.h"

/* Messages of one step, and bytes of them that are asked for at once. */
#define BATCH_MESSAGES 50
#define BATCH_BYTES MIB(4)

struct import_limits import_limits = {
	.message_bytes = MIB(50), .connect_ms = 30000, .idle_ms = 60000, .give_up_ms = 600000};

/* clang-format off */
const struct setting import_settings[] = {
	{"import.max_message", SETTING_BYTES, &import_limits.message_bytes, "50 MiB", 1024, 1073741824, NULL, true,
		"Largest message that an import takes from another IMAP server; larger ones are told of."},
	{"import.connect_timeout", SETTING_DURATION, &import_limits.connect_ms, "30 s", 100, 600000, NULL, true,
		"How long an import waits until the other server has let it in."},
	{"import.timeout", SETTING_DURATION, &import_limits.idle_ms, "60 s", 100, 3600000, NULL, true,
		"How long an import waits for the next byte of the other server."},
	{"import.give_up", SETTING_DURATION, &import_limits.give_up_ms, "10 min", 0, 604800000, NULL, true,
		"An import fails when the other server cannot be reached or breaks off for so long, and forgets the password."},
};
const size_t import_setting_count = ARRAY_SIZE(import_settings);
/* clang-format on */

struct importing *importing_new(
	const struct import_config *config, const struct import_request *request)
{
	struct importing *importing = HEAP_NEW(struct importing);
	importing->config = *config;
	arena_init(&importing->arena);
	arena_init(&importing->source.arena);
	arena_init(&importing->work.arena);
	hash_map_init(&importing->work.former);
	/* One copy of all texts. */
	if (!import_request_decode(&importing->arena,
		    import_request_encode(&importing->arena, request), &importing->request))
		abort();
	importing->source.request = &importing->request;
	importing->source.config.goes_on = config->goes_on;
	importing->source.config.context = config->context;
	return importing;
}

static void leave_mailbox(struct importing *importing)
{
	struct mailbox_work *work = &importing->work;
	hash_map_done(&work->former);
	arena_done(&work->arena);
	*work = (struct mailbox_work){0};
	arena_init(&work->arena);
	hash_map_init(&work->former);
}

/* It does not stay in memory that is given back. */
static void forget_password(struct importing *importing)
{
	struct slice password = importing->request.password;
	if (password.len)
		explicit_bzero((void *)(uintptr_t)password.ptr, password.len);
	source_forget_password(&importing->source);
}

void importing_free(struct importing *importing)
{
	if (!importing)
		return;
	source_close(&importing->source);
	forget_password(importing);
	hash_map_done(&importing->work.former);
	arena_done(&importing->work.arena);
	arena_done(&importing->source.arena);
	arena_done(&importing->arena);
	free(importing);
}

void import_tell(struct op *op, const struct importing *importing, struct import_report *report,
	enum import_count what, uint32_t uid, const char *why)
{
	const struct source_mailbox *from = importing->work.from;
	report->counts[what]++;
	const char *line =
		uid ? arena_printf(
			      &op->arena, SLICE_FMT " UID %u: %s", SLICE_ARG(from->name), uid, why)
		    : arena_printf(&op->arena, SLICE_FMT ": %s", SLICE_ARG(from->name), why);
	report->tell(report->context, slice_from_cstr(line));
}

/* ---- The source ---- */

/* A source that fails is asked again, for as long as the setting says. */
static struct error *source_failed(struct op *op, struct importing *importing, struct error *err)
{
	uint64_t now_ns = clock_monotonic_ns();
	source_close(&importing->source);
	leave_mailbox(importing);
	if (err->kind == ERR_NOT_FOUND)
		return op_fail(op, ERR_INVALID, "%s", err->message);
	if (err->kind != ERR_UNAVAILABLE)
		return err;
	if (!importing->failing_since_ns)
		importing->failing_since_ns = now_ns;
	if (now_ns - importing->failing_since_ns < import_limits.give_up_ms * NS_PER_MS)
		return err;
	return op_fail(op, ERR_INVALID, "given up after %llu s: %s",
		(unsigned long long)(import_limits.give_up_ms / 1000), err->message);
}

/* ---- Mailboxes ---- */

/* The cursor: the raw name of a mailbox, whether it is done, the last UID that was dealt with. */
struct position {
	struct slice raw;
	bool is_done;
	uint32_t uid;
};

static struct error *read_cursor(
	struct op *op, const struct buf *cursor, struct position *ret_position)
{
	*ret_position = (struct position){0};
	if (!cursor->len)
		return NULL;
	struct reader reader = reader_of(arena_dup(&op->arena, buf_as_slice(cursor)));
	ret_position->raw = reader_slice(&reader);
	ret_position->is_done = reader_u8(&reader);
	ret_position->uid = reader_u32(&reader);
	return reader_is_complete(&reader)
		       ? NULL
		       : op_fail(op, ERR_CORRUPT, "the cursor is none of an import");
}

static void write_cursor(struct buf *cursor, const struct position *position)
{
	cursor->len = 0;
	buf_slice(cursor, position->raw);
	buf_u8(cursor, position->is_done);
	buf_u32(cursor, position->uid);
}

static const struct source_mailbox *next_mailbox(
	const struct source *source, const struct position *position)
{
	for (size_t i = 0; i < source->count; i++) {
		int order = slice_compare(source->mailboxes[i].raw, position->raw);
		if (order > 0 || (order == 0 && !position->is_done && position->raw.len))
			return &source->mailboxes[i];
	}
	return NULL;
}

static struct error *open_mailbox(
	struct op *op, struct importing *importing, const struct source_mailbox *mailbox)
{
	struct mailbox_work *work = &importing->work;
	size_t count;
	uint32_t *uids;
	leave_mailbox(importing);
	work->from = mailbox;
	struct error *err = source_select(op, &importing->source, mailbox, &work->uidvalidity);
	if (!err)
		err = source_uids(op, &importing->source, &uids, &count);
	if (err)
		return err;
	work->uids = ARENA_ARRAY(&work->arena, uint32_t, count + 1);
	if (count)
		memcpy(work->uids, uids, count * sizeof(uint32_t));
	work->uid_count = count;
	work->record = record_id(&importing->request, mailbox->raw);
	return NULL;
}

static void skip_to(struct mailbox_work *work, uint32_t uid)
{
	while (work->next < work->uid_count && work->uids[work->next] <= uid)
		work->next++;
}

/* ---- Batches ---- */

static struct error *deal_with(struct op *op, struct importing *importing,
	const struct source_message *messages, size_t count, struct import_report *report)
{
	if (importing->config.only_compares)
		return compare_batch(op, importing, messages, count, report);
	return take_batch(op, importing, messages, count, report);
}

/* How many of them are asked for at once: those that are too large not at all. */
static size_t group(const struct source_message *messages, size_t count, bool one_by_one)
{
	size_t bytes = 0;
	size_t taken = 0;
	while (taken < count && messages[taken].has_facts &&
		messages[taken].size <= import_limits.message_bytes) {
		bytes += (size_t)messages[taken].size;
		if (taken && (bytes > BATCH_BYTES || one_by_one))
			break;
		taken++;
	}
	return taken;
}

/* Reads the content of the first of them, and deals with them; *ret_count: how many. */
static struct error *read_group(struct op *op, struct importing *importing,
	struct source_message *messages, size_t count, struct import_report *report,
	size_t *ret_count, bool *ret_of_source)
{
	*ret_count = group(messages, count, importing->one_by_one);
	if (*ret_count) {
		struct error *err = source_read_content(
			op, &importing->source, messages, *ret_count, BATCH_BYTES);
		*ret_of_source = err != NULL;
		if (err && err->kind == ERR_LIMIT) {
			/* The connection is in the middle of it. */
			bool was_alone = *ret_count == 1;
			source_close(&importing->source);
			if (was_alone)
				import_tell(op, importing, report, IMPORT_FAILED, messages->uid,
					"it is larger than import.max_message");
			*ret_of_source = false;
			importing->one_by_one = !was_alone;
			*ret_count = was_alone;
			return NULL;
		}
		TRY(err);
		return deal_with(op, importing, messages, *ret_count, report);
	}
	*ret_count = 1;
	import_tell(op, importing, report, IMPORT_FAILED, messages->uid,
		messages->has_facts ? "it is larger than import.max_message"
				    : "the source does not give it");
	return NULL;
}

static struct error *run_batch(struct op *op, struct importing *importing,
	struct import_report *report, bool *ret_of_source)
{
	struct mailbox_work *work = &importing->work;
	size_t count = MIN_OF(work->uid_count - work->next, BATCH_MESSAGES);
	struct source_message *messages = ARENA_ARRAY(&op->arena, struct source_message, count + 1);
	size_t done = 0;
	for (size_t i = 0; i < count; i++)
		messages[i].uid = work->uids[work->next + i];
	struct error *err = source_read_facts(op, &importing->source, messages, count);
	*ret_of_source = err != NULL;
	TRY(err);
	/* What was done before an error is done again, and found to be there. */
	while (done < count && importing->source.client) {
		size_t dealt;
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(read_group(op, importing, messages + done, count - done, report, &dealt,
			ret_of_source));
		arena_release(&op->arena, mark);
		done += dealt;
	}
	work->next += done;
	report->counts[IMPORT_MESSAGES] += done;
	/* Told to stop: whoever runs the step sees it after it. */
	if (importing->config.pace)
		(void)importing->config.pace(importing->config.context, done);
	return NULL;
}

/* ---- Steps ---- */

/* What cannot be opened is told, and the others come. */
static struct error *enter(struct op *op, struct importing *importing,
	const struct source_mailbox *mailbox, uint32_t after, struct import_report *report,
	bool *ret_is_open, bool *ret_of_source)
{
	*ret_is_open = false;
	importing->work.from = mailbox;
	if (!mailbox->is_selectable)
		return NULL;
	if (mailbox->fault) {
		import_tell(op, importing, report, IMPORT_FAILED, 0, mailbox->fault);
		return NULL;
	}
	if (!source_is_chosen(&importing->request, mailbox))
		return NULL;
	struct error *err = open_mailbox(op, importing, mailbox);
	if (err && err->kind == ERR_NOT_FOUND) {
		import_tell(op, importing, report, IMPORT_FAILED, 0, err->message);
		return NULL;
	}
	*ret_of_source = err != NULL;
	TRY(err);
	if (!importing->config.only_compares) {
		err = take_begin(op, importing, after, report);
		if (err && err->kind == ERR_INVALID) {
			import_tell(op, importing, report, IMPORT_FAILED, 0, err->message);
			return NULL;
		}
		TRY(err);
	}
	*ret_is_open = true;
	return NULL;
}

static struct error *finish(struct op *op, struct importing *importing,
	struct import_report *report, struct position *position)
{
	if (!importing->config.only_compares)
		TRY(take_end(op, importing));
	report->counts[IMPORT_MAILBOXES]++;
	position->is_done = true;
	leave_mailbox(importing);
	importing->one_by_one = false;
	return NULL;
}

static struct error *step(struct op *op, struct importing *importing, struct position *position,
	struct import_report *report, bool *ret_more, bool *ret_of_source)
{
	bool is_open = true;
	*ret_of_source = true;
	if (!importing->source.client)
		leave_mailbox(importing);
	TRY(source_open(op, &importing->source));
	*ret_of_source = false;
	const struct source_mailbox *mailbox = next_mailbox(&importing->source, position);
	*ret_more = mailbox != NULL;
	if (!mailbox)
		return NULL;
	bool is_same = slice_equal(mailbox->raw, position->raw);
	if (importing->work.from != mailbox) {
		uint32_t after = is_same ? position->uid : 0;
		TRY(enter(op, importing, mailbox, after, report, &is_open, ret_of_source));
		skip_to(&importing->work, after);
	}
	*position = (struct position){
		.raw = arena_dup(&op->arena, mailbox->raw), .uid = is_same ? position->uid : 0};
	if (!is_open) {
		position->is_done = true;
		leave_mailbox(importing);
		return NULL;
	}
	struct mailbox_work *work = &importing->work;
	if (work->next == work->uid_count)
		return finish(op, importing, report, position);
	TRY(run_batch(op, importing, report, ret_of_source));
	if (work->next)
		position->uid = work->uids[work->next - 1];
	return NULL;
}

struct error *importing_step(struct op *op, struct importing *importing, struct buf *inout_cursor,
	struct import_report *report, bool *ret_more)
{
	struct position position;
	struct import_report before = *report;
	bool of_source = false;
	TRY(read_cursor(op, inout_cursor, &position));
	struct error *err = step(op, importing, &position, report, ret_more, &of_source);
	if (err) {
		memcpy(report->counts, before.counts, sizeof(before.counts));
		if (of_source)
			return source_failed(op, importing, err);
		/* The store failed: the mailbox is opened anew. */
		leave_mailbox(importing);
		return err;
	}
	importing->failing_since_ns = 0;
	write_cursor(inout_cursor, &position);
	return NULL;
}
