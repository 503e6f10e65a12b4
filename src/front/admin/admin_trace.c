/* What became of one mail, from acceptance to index. What was stored tells most of it, also of mail
 * of long ago and of other nodes; tries and their outcomes are in this node's memory, for a while.
 * What neither tells is said to be not known. */

#include "base/clock.h"
#include "base/steps.h"
#include "commit/commit.h"
#include "consistency/levels.h"
#include "format/charset.h"
#include "format/header.h"
#include "format/summary.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "search/search.h"

/* The whole of it ends in this time; what was not looked at until then is told. */
#define TRACE_NS (800 * NS_PER_MS)
#define PAGE_UIDS 256U
#define ACCOUNTS_MOST 16
#define FOUND_MOST 16
/* Between the id in an answer and the mail's place in a mailbox. */
#define DELIVERY_MOST_US (3600 * US_PER_S)

struct trace {
	struct admin_request *request;
	struct slice id;
	struct uuid operation; /* when the id is an answer's */
	bool is_operation;
	uint64_t name_hash; /* else: of the Message-ID */
	struct slice name;  /* without its brackets, if an envelope has it as it is; else empty */
	uint64_t until_ns;
	uint64_t looked_at;
	bool found_here; /* in this account, and it is this message */
	struct message_id message;
	bool is_cut; /* not everything was looked at */
	json_t *steps;
	size_t found;
};

/* ---- telling ---- */

static void tell(struct trace *trace, uint64_t at_us, const char *step, const char *outcome,
	const char *detail)
{
	json_array_append_new(trace->steps,
		json_pack("{s:o, s:s, s:s, s:o}", "at_us",
			at_us ? json_integer((json_int_t)at_us) : json_null(), "step", step,
			"outcome", outcome, "detail", admin_json_text(slice_from_cstr(detail))));
}

/* The time that a UUID of version 7 was made at, to a millisecond (RFC 9562 5.7). */
static uint64_t made_at_us(struct uuid id)
{
	uint64_t ms = 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | id.bytes[i];
	return ms * 1000;
}

static const char *address_text(struct trace *trace, struct uuid account)
{
	struct op *op = &trace->request->op;
	struct slice address;
	struct error *err = account_address(
		op, trace->request->context->accounts, (struct account_id){account}, &address);
	return err ? uuid_text(&op->arena, account) : arena_cstr(&op->arena, address);
}

static void tell_notes(struct trace *trace, const struct step_note *notes, size_t count)
{
	struct arena *arena = &trace->request->op.arena;
	for (size_t i = 0; i < count; i++) {
		const char *detail = address_text(trace, notes[i].account);
		if (notes[i].attempt)
			detail = arena_printf(arena, "%s, try %u", detail, notes[i].attempt);
		if (notes[i].modseq)
			detail = arena_printf(arena, "%s, MODSEQ %llu", detail,
				(unsigned long long)notes[i].modseq);
		if (notes[i].uid)
			detail = arena_printf(arena, "%s, UID %u", detail, notes[i].uid);
		tell(trace, notes[i].at_us, notes[i].step, notes[i].outcome, detail);
	}
	if (!count)
		tell(trace, 0, "tries", "not known",
			"this node does not remember it: it was another node, long ago, or before "
			"a "
			"restart");
}

/* Which levels the tries went out at is known when they are in force since before. */
static void tell_levels(struct trace *trace, uint64_t since_us)
{
	struct levels_status status[FALLBACK_KIND_COUNT];
	struct arena *arena = &trace->request->op.arena;
	if (!trace->request->context->has_levels)
		return;
	levels_get_status(mail_store_engine(trace->request->context->store), status);
	for (size_t i = 0; i < FALLBACK_KIND_COUNT; i++) {
		uint64_t from_us = clock_realtime_us() - status[i].in_force_ms * 1000;
		bool is_known = since_us && from_us <= since_us;
		tell(trace, from_us, "level", is_known ? "in force" : "not known",
			arena_printf(arena, "%ss at %s %s", status[i].kind,
				level_name(status[i].in_force),
				is_known ? "then and since"
					 : "now; then it may have been another"));
	}
}

/* ---- finding it among stored mail ---- */

/* Our own Received field stands among the first; it names the operation. */
static bool names_operation(struct slice header, struct slice id)
{
	struct header_field field;
	while (header_next(&header, &field))
		if (slice_equal_nocase(field.name, SLICE("Received")))
			return slice_find(field.value, id) < field.value.len;
	return false;
}

static bool has_name(struct slice header, uint64_t name_hash)
{
	struct header_field field;
	return header_find(header, SLICE("Message-ID"), &field) &&
	       message_id_hash(field.value) == name_hash;
}

static bool may_be(const struct trace *trace, const struct message *message)
{
	uint64_t begun_us = made_at_us(trace->operation);
	if (!trace->is_operation)
		return true;
	return message->save_date_us + US_PER_S >= begun_us &&
	       message->save_date_us <= begun_us + DELIVERY_MOST_US;
}

static struct error *is_it(
	struct trace *trace, const struct message *message, bool *ret_is, struct slice *ret_header)
{
	TRY(message_content(&trace->request->op, trace->request->context->store, message, 0,
		message->header_length, ret_header));
	*ret_is = trace->is_operation ? names_operation(*ret_header, trace->id)
				      : has_name(*ret_header, trace->name_hash);
	return NULL;
}

struct place {
	struct account_id account;
	const struct mailbox_status *mailbox;
	const struct message *message;
	struct slice header;
};

static struct error *copy_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	struct account_static *state = context;
	*state = head->state;
	state->address = SLICE_NONE;
	return NULL;
}

static struct error *tell_projections(struct trace *trace, const struct place *place)
{
	struct op *op = &trace->request->op;
	struct account_static state;
	TRY(commit_read(op, mail_store_commit(trace->request->context->store), place->account,
		copy_state, &state));
	bool is_done = state.applied >= place->message->modseq;
	tell(trace, 0, "copies", is_done ? "written" : "owed",
		arena_printf(&op->arena, "written up to MODSEQ %llu of %llu",
			(unsigned long long)state.applied, (unsigned long long)state.modseq));
	return NULL;
}

static struct error *tell_index(struct trace *trace, const struct place *place)
{
	struct op *op = &trace->request->op;
	struct search *search = trace->request->context->search;
	struct search_status status;
	if (!search) {
		tell(trace, 0, "index", "none", "searches read the mail itself");
		return NULL;
	}
	TRY(search_status(op, search, place->account, &status));
	/* The cursor stays behind while what changed means nothing to the index. */
	bool is_whole = !status.is_waiting && status.indexed == status.messages;
	bool is_in = is_whole || status.cursor >= place->message->modseq;
	tell(trace, 0, "index", is_in ? "indexed" : "waits",
		arena_printf(&op->arena, "of this node: up to MODSEQ %llu of %llu",
			(unsigned long long)status.cursor, (unsigned long long)status.modseq));
	return NULL;
}

static void tell_uncertain(struct trace *trace, const struct place *place)
{
	struct op *op = &trace->request->op;
	struct ledger_entry *entries;
	size_t count;
	ledger_list(op, trace->request->context->ledger, &entries, &count);
	for (size_t i = 0; i < count; i++)
		if (uuid_equal(entries[i].account.uuid, place->account.uuid))
			tell(trace, entries[i].recorded_us, "ledger", "not known yet",
				arena_printf(&op->arena, "a change of the account: operation %s",
					uuid_text(&op->arena, entries[i].operation.uuid)));
}

static struct error *tell_place(struct trace *trace, const struct place *place)
{
	struct arena *arena = &trace->request->op.arena;
	const struct message *message = place->message;
	struct header_field field;
	struct slice rest = place->header;
	while (header_next(&rest, &field))
		if (slice_equal_nocase(field.name, SLICE("Received"))) {
			tell(trace, 0, "received", "so it says",
				arena_cstr(arena, header_unfold(arena, field.value)));
			break;
		}
	tell(trace, message->save_date_us, "content", "stored",
		arena_printf(arena, "%llu octets, id %s", (unsigned long long)message->size,
			uuid_text(arena, message->blob_id.uuid)));
	tell(trace, message->save_date_us, "mailbox", "there",
		arena_printf(arena, "%s, " SLICE_FMT ", UID %u, last changed at MODSEQ %llu",
			address_text(trace, place->account.uuid), SLICE_ARG(place->mailbox->path),
			message->uid, (unsigned long long)message->modseq));
	trace->found++;
	TRY(tell_projections(trace, place));
	TRY(tell_index(trace, place));
	tell_uncertain(trace, place);
	return NULL;
}

static bool is_over(struct trace *trace)
{
	trace->is_cut = trace->is_cut || trace->found >= FOUND_MOST ||
			clock_monotonic_ns() > trace->until_ns;
	return trace->is_cut;
}

/* An operation puts one message into an account; its copies are the same one. */
static bool is_another(const struct trace *trace, const struct message *message)
{
	return !may_be(trace, message) ||
	       (trace->is_operation && trace->found_here && !ID_EQUAL(message->id, trace->message));
}

static struct error *look_at(struct trace *trace, struct account_id account,
	const struct mailbox_status *mailbox, const struct message *message)
{
	struct place place = {account, mailbox, message, SLICE_NONE};
	bool is;
	trace->looked_at++;
	TRY(is_it(trace, message, &is, &place.header));
	if (!is)
		return NULL;
	trace->found_here = true;
	trace->message = message->id;
	return tell_place(trace, &place);
}

/* Envelopes are read together, contents one by one: so what has another Message-ID is not read. */
static struct error *look_at_page(struct trace *trace, struct account_id account,
	const struct mailbox_status *mailbox, const struct uid_set *uids)
{
	struct op *op = &trace->request->op;
	struct mail_store *store = trace->request->context->store;
	struct message *messages;
	struct slice *envelopes = NULL;
	size_t count;
	TRY(mailbox_messages(op, store, account, mailbox->id, uids, &messages, &count));
	if (trace->name.len)
		TRY(message_envelopes_get(op, store, messages, count, &envelopes));
	for (size_t i = 0; i < count && !is_over(trace); i++) {
		size_t at = trace->is_operation ? i : count - 1 - i;
		bool has_other_name = envelopes && envelopes[at].len &&
				      slice_find(envelopes[at], trace->name) == envelopes[at].len;
		if (has_other_name || is_another(trace, &messages[at]))
			continue;
		TRY(look_at(trace, account, mailbox, &messages[at]));
	}
	return NULL;
}

/* What comes soon after an operation began is most likely its own; by its Message-ID the latest is
 * looked for first. */
static struct error *look_at_all(struct trace *trace, struct account_id account,
	const struct mailbox_status *mailbox, const struct uid_set *uids)
{
	struct op *op = &trace->request->op;
	uint64_t count = uid_set_size(uids);
	uint32_t *all = ARENA_ARRAY(&op->arena, uint32_t, count + 1);
	size_t filled = 0;
	for (size_t i = 0; i < uids->count; i++)
		for (uint64_t uid = uids->ranges[i].first; uid <= uids->ranges[i].last; uid++)
			all[filled++] = (uint32_t)uid;
	for (uint64_t done = 0; done < count && !is_over(trace);) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct uid_set page;
		uint64_t many = MIN_OF(count - done, PAGE_UIDS);
		uint64_t from = trace->is_operation ? done : count - done - many;
		uid_set_init(&page, &op->arena);
		for (uint64_t i = from; i < from + many; i++)
			uid_set_add(&page, all[i]);
		TRY(look_at_page(trace, account, mailbox, &page));
		done += many;
		arena_release(&op->arena, mark);
	}
	return NULL;
}

/* What the index leaves out has not the id in its header. */
static void narrow(struct trace *trace, struct account_id account, const struct snapshot *snapshot,
	struct uid_set *uids)
{
	struct op *op = &trace->request->op;
	struct search_narrowing narrowing;
	unsigned fields =
		1U << text_field_of(trace->is_operation ? SLICE("Received") : SLICE("Message-ID"));
	search_narrow(op, trace->request->context->search, account, snapshot, fields,
		utf8_fold(&op->arena, trace->is_operation ? trace->id : trace->name), &narrowing);
	uid_set_init(uids, &op->arena);
	for (uint32_t i = 0; i < snapshot_count(snapshot); i++) {
		uint32_t uid = snapshot_at(snapshot, i).uid;
		if (!search_is_left_out(&narrowing, uid))
			uid_set_add(uids, uid);
	}
}

static struct error *saved_at(struct trace *trace, struct account_id account,
	struct mailbox_id mailbox, uint32_t uid, uint64_t *ret_us)
{
	struct op *op = &trace->request->op;
	struct uid_set one;
	struct message *messages;
	size_t count;
	uid_set_init(&one, &op->arena);
	uid_set_add(&one, uid);
	TRY(mailbox_messages(
		op, trace->request->context->store, account, mailbox, &one, &messages, &count));
	*ret_us = count ? messages[0].save_date_us : 0;
	return NULL;
}

/* The first position whose message was saved at this time or later: they are saved in the order of
 * their UIDs. */
static struct error *first_saved(struct trace *trace, struct account_id account,
	const struct snapshot *snapshot, uint64_t us, uint32_t *ret_position)
{
	uint32_t from = 0, to = snapshot_count(snapshot);
	while (from < to) {
		uint64_t saved_us;
		uint32_t middle = from + (to - from) / 2;
		TRY(saved_at(trace, account, snapshot_mailbox(snapshot),
			snapshot_at(snapshot, middle).uid, &saved_us));
		if (saved_us < us)
			from = middle + 1;
		else
			to = middle;
	}
	*ret_position = from;
	return NULL;
}

/* An operation has a time. */
static struct error *narrow_by_time(struct trace *trace, struct account_id account,
	const struct snapshot *snapshot, struct uid_set *uids)
{
	uint32_t from, to;
	struct uid_set within;
	uint64_t begun_us = made_at_us(trace->operation);
	if (!trace->is_operation || uids->count == 0)
		return NULL;
	TRY(first_saved(trace, account, snapshot, begun_us - MIN_OF(begun_us, US_PER_S), &from));
	TRY(first_saved(trace, account, snapshot, begun_us + DELIVERY_MOST_US + 1, &to));
	uid_set_init(&within, &trace->request->op.arena);
	for (; from < to; from++)
		if (uid_set_contains(uids, snapshot_at(snapshot, from).uid))
			uid_set_add(&within, snapshot_at(snapshot, from).uid);
	*uids = within;
	return NULL;
}

static struct error *look_in_mailbox(
	struct trace *trace, struct account_id account, const struct mailbox_status *mailbox)
{
	struct snapshot *snapshot;
	struct uid_set uids;
	TRY(mailbox_snapshot(&trace->request->op, trace->request->context->store, account,
		mailbox->id, &snapshot));
	narrow(trace, account, snapshot, &uids);
	struct error *err = narrow_by_time(trace, account, snapshot, &uids);
	snapshot_unref(snapshot);
	TRY(err);
	return look_at_all(trace, account, mailbox, &uids);
}

static struct error *look_in_account(struct trace *trace, struct account_id account)
{
	struct mailbox_list list;
	trace->found_here = false;
	TRY(mailbox_list(&trace->request->op, trace->request->context->store, account, &list));
	for (size_t i = 0; i < list.count && !is_over(trace); i++)
		if (list.items[i].messages)
			TRY(look_in_mailbox(trace, account, &list.items[i]));
	return NULL;
}

/* ---- asking ---- */

static size_t accounts_of(
	const struct step_note *notes, size_t count, struct account_id ret_accounts[ACCOUNTS_MOST])
{
	size_t accounts = 0;
	for (size_t i = 0; i < count; i++) {
		size_t at = 0;
		while (at < accounts && !uuid_equal(ret_accounts[at].uuid, notes[i].account))
			at++;
		if (at == accounts && accounts < ACCOUNTS_MOST)
			ret_accounts[accounts++].uuid = notes[i].account;
	}
	return accounts;
}

static struct error *look(struct trace *trace, const struct step_note *notes, size_t count)
{
	struct account_id accounts[ACCOUNTS_MOST];
	struct user_info user;
	struct admin_request *request = trace->request;
	struct slice address = admin_argument(request, "address");
	size_t account_count = accounts_of(notes, count, accounts);
	if (address.len) {
		TRY(user_get(&request->op, request->context->accounts, address, &user));
		accounts[0] = user.account;
		account_count = 1;
	}
	if (!account_count)
		return op_fail(&request->op, ERR_NOT_FOUND,
			"this node does not remember such a mail: say whose it is, by its address");
	for (size_t i = 0; i < account_count; i++)
		TRY(look_in_account(trace, accounts[i]));
	/* There may be more than there is room for. */
	trace->is_cut = trace->is_cut || account_count == ACCOUNTS_MOST;
	return NULL;
}

static void tell_end(struct trace *trace)
{
	struct arena *arena = &trace->request->op.arena;
	if (trace->is_cut)
		tell(trace, 0, "search", "cut short",
			arena_printf(arena,
				"%llu messages were looked at, and there may be more places",
				(unsigned long long)trace->looked_at));
	else if (!trace->found)
		tell(trace, 0, "mailbox", "not there",
			"it is in no mailbox of the account: deleted, moved to another account, or "
			"never put there (holdfastctl vault list shows what was deleted)");
}

/* What stands in an envelope as it is: printable, and nothing that is quoted there. */
static struct slice bare_name(struct slice id)
{
	id = slice_trim(id);
	size_t open = slice_find_char(id, '<');
	size_t close = slice_find_char(id, '>');
	if (open < close && close < id.len)
		id = slice_range(id, open + 1, close);
	for (size_t i = 0; i < id.len; i++)
		if (id.ptr[i] <= ' ' || id.ptr[i] > '~' || id.ptr[i] == '"' || id.ptr[i] == '\\')
			return SLICE_NONE;
	return id;
}

static struct error *get_trace(struct admin_request *request)
{
	struct step_note *notes;
	struct trace trace = {.request = request,
		.id = request->parts[2],
		.until_ns = clock_monotonic_ns() + TRACE_NS,
		.steps = json_array()};
	trace.is_operation = uuid_parse(trace.id, &trace.operation);
	trace.name_hash = message_id_hash(trace.id);
	trace.name = trace.is_operation ? SLICE_NONE : bare_name(trace.id);
	size_t count = steps_find(&request->op.arena, trace.is_operation ? &trace.operation : NULL,
		trace.name_hash, &notes);
	if (trace.is_operation)
		tell(&trace, made_at_us(trace.operation), "accepted", "begun",
			"the id itself says when");
	tell_notes(&trace, notes, count);
	tell_levels(&trace,
		count ? notes[0].at_us : (trace.is_operation ? made_at_us(trace.operation) : 0));
	struct error *err = look(&trace, notes, count);
	if (!err)
		tell_end(&trace);
	request->answer = json_pack("{s:o, s:I, s:I, s:b, s:o}", "id", admin_json_text(trace.id),
		"places", (json_int_t)trace.found, "read", (json_int_t)trace.looked_at, "complete",
		!trace.is_cut, "steps", trace.steps);
	return err;
}

static const struct admin_field query_fields[] = {
	{"address", ADMIN_TEXT, "Whose mail it is; needed when this node does not remember it",
		ADMIN_OPTIONAL, 1, 320},
	{0}};
static const struct admin_field step_fields[] = {
	{"at_us", ADMIN_TIME, "When; null: how it is now, or not known", ADMIN_NULLABLE},
	{"step", ADMIN_TEXT, "What was done"},
	{"outcome", ADMIN_TEXT, "What came of it"},
	{"detail", ADMIN_TEXT, "Where, which try, which numbers"},
	{0},
};
static const struct admin_field trace_fields[] = {
	{"id", ADMIN_TEXT, "What was asked for"},
	{"places", ADMIN_NUMBER, "Places in mailboxes that were found"},
	{"read", ADMIN_NUMBER, "Messages whose header was read to find them"},
	{"complete", ADMIN_BOOL,
		"Everything was looked at; else time was over, or there were too many"},
	{"steps", ADMIN_LIST, "In the order that is known", .fields = step_fields},
	{0},
};

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/trace/{id}", ADMIN_READ, ADMIN_SERVER, 200, get_trace, "What became of one mail, step by step", query_fields, NULL, trace_fields},
};
/* clang-format on */
const struct admin_routes admin_trace_routes = ADMIN_ROUTES(routes);
