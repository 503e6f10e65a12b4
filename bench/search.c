/* What the search index gives, in one process over RocksDB:
 *     search FOLDER MESSAGES [SEARCHES [words]]
 * Makes that many mails of words of natural frequency (some 2 KiB each) in a new folder, indexes
 * them, and looks for texts that come seldom, sometimes and often, with the index and by reading
 * every message; makes the index anew beside itself; then delivers more of them, with the indexer
 * and without, and at a steady rate, to see how far the index lags. With `words` the index keeps
 * words too, and they are asked for by how near they come. Prints a line of JSON for each.
 */

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "blob/blob.h"
#include "engine/rocksdb.h"
#include "format/charset.h"
#include "format/find_text.h"
#include "format/mime.h"
#include "index/fts5/fts5.h"
#include "mailbox/store.h"
#include "search/search.h"

#define WORDS 20000
#define WORDS_OF_A_MAIL 300
#define PAGE 200
#define RUNS_MOST 10000

static const struct rocksdb_limits limits = {.write_buffer_bytes = MIB(64),
	.cache_bytes = MIB(256),
	.open_files = 500,
	.min_free_bytes = MIB(256)};

static struct mail_store *store;
static struct search *search;
static struct account_id account;
static struct mailbox_id inbox;
static uint64_t state = 88172645463325252; /* the same mails each time */

static void check(struct op *op, struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "search: %s\n", error_chain(&op->arena, err));
	exit(EXIT_FAILURE);
}

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Word n comes about half as often as word n/2. */
static size_t random_word(void)
{
	double even = (double)(next_random() >> 11) / (double)(UINT64_C(1) << 53);
	return (size_t)(pow(WORDS, even)) - 1;
}

/* Words of letters as they follow each other in many languages, the same for a number. */
static void print_word(struct buf *out, size_t number)
{
	static const char vowels[] = "aeiou", consonants[] = "bcdfghklmnprstvw";
	uint64_t bits = (number + 17) * UINT64_C(0x9e3779b97f4a7c15);
	for (size_t left = 1 + (bits >> 60) % 4 + (number > 100); left; left--) {
		buf_append_char(out, consonants[bits & 15]);
		buf_append_char(out, vowels[(bits >> 4) % 5]);
		if (bits & 0x100)
			buf_append_char(out, consonants[(bits >> 9) & 15]);
		bits = bits * UINT64_C(0xd1342543de82ef95) + 1;
		bits ^= bits >> 29;
	}
}

static struct slice make_mail(struct arena *arena, unsigned number)
{
	struct buf mail = buf_in(arena);
	buf_append(&mail, SLICE("From: "));
	print_word(&mail, next_random() % 500);
	buf_printf(&mail, " <sender%u@example.net>\r\nTo: alice@example.org\r\nSubject: ",
		(unsigned)(next_random() % 500));
	for (int i = 0; i < 5; i++) {
		print_word(&mail, random_word());
		buf_append_char(&mail, ' ');
	}
	buf_printf(&mail, "\r\nMessage-ID: <%u@example.net>\r\n\r\n", number);
	for (int i = 1; i <= WORDS_OF_A_MAIL; i++) {
		print_word(&mail, random_word());
		buf_append(&mail, i % 12 ? SLICE(" ") : SLICE("\r\n"));
	}
	return buf_as_slice(&mail);
}

static uint64_t fill(unsigned messages)
{
	uint64_t bytes = 0;
	for (unsigned i = 0; i < messages; i++) {
		AUTO_OP(op, "fill");
		struct append_result result;
		const struct append_request request = {
			.account = account, .mailbox = inbox, .content = make_mail(&op.arena, i)};
		bytes += request.content.len;
		check(&op, mailbox_append(&op, store, &request, &result));
	}
	return bytes;
}

/* How many of the messages that may have it do. */
static size_t look(struct op *op, const struct search_narrowing *narrowing,
	const struct snapshot *snapshot, struct slice needle, size_t *ret_read)
{
	size_t hits = 0;
	uint32_t position = 0;
	*ret_read = 0;
	while (position < snapshot_count(snapshot)) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct uid_set uids;
		struct message *messages;
		size_t count = 0;
		uid_set_init(&uids, &op->arena);
		for (; position < snapshot_count(snapshot) && count < PAGE; position++) {
			uint32_t uid = snapshot_at(snapshot, position).uid;
			if (search_is_left_out(narrowing, uid))
				continue;
			uid_set_add(&uids, uid);
			count++;
		}
		check(op, mailbox_messages(op, store, account, inbox, &uids, &messages, &count));
		*ret_read += count;
		for (size_t i = 0; i < count; i++) {
			struct slice bytes;
			check(op, message_content(op, store, &messages[i], 0, UINT64_MAX, &bytes));
			hits += header_contains(&op->arena,
					slice_range(bytes, 0, messages[i].header_length), needle) ||
				body_contains(&op->arena, bytes, needle);
		}
		arena_release(&op->arena, mark);
	}
	return hits;
}

static uint64_t run_one(size_t word, bool by_index, size_t *ret_hits, size_t *ret_read)
{
	AUTO_OP(op, "search");
	struct snapshot *snapshot;
	struct search_narrowing narrowing = {0};
	struct buf text = buf_in(&op.arena);
	print_word(&text, word);
	struct slice needle = utf8_fold(&op.arena, buf_as_slice(&text));
	uint64_t begun_ns = clock_monotonic_ns();
	check(&op, mailbox_snapshot(&op, store, account, inbox, &snapshot));
	search_narrow(&op, by_index ? search : NULL, account, snapshot, INDEX_ALL_FIELDS, needle,
		&narrowing);
	*ret_hits = look(&op, &narrowing, snapshot, needle, ret_read);
	snapshot_unref(snapshot);
	return clock_monotonic_ns() - begun_ns;
}

static int by_number(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static void run_many(const char *name, size_t from, size_t to, unsigned runs, bool by_index)
{
	static uint64_t times[RUNS_MOST];
	size_t hits = 0, read = 0;
	for (unsigned i = 0; i < runs; i++) {
		size_t one_hits, one_read;
		times[i] = run_one(from + i * (to - from) / runs, by_index, &one_hits, &one_read);
		hits += one_hits;
		read += one_read;
	}
	qsort(times, runs, sizeof(*times), by_number);
	printf("{\"words\": \"%s\", \"by\": \"%s\", \"searches\": %u, \"hits\": %zu, \"read\": "
	       "%zu, \"p50_us\": %" PRIu64 ", \"p95_us\": %" PRIu64 "}\n",
		name, by_index ? "index" : "scan", runs, hits / runs, read / runs,
		times[runs / 2] / 1000, times[runs * 95 / 100] / 1000);
}

/* The first letters change places. */
static void rank_many(const char *name, size_t from, size_t to, unsigned runs)
{
	static uint64_t times[RUNS_MOST];
	size_t hits = 0;
	assert(runs > 0);
	for (unsigned i = 0; i < runs; i++) {
		AUTO_OP(op, "search");
		struct snapshot *snapshot;
		struct search_words words;
		struct search_ranking ranking;
		struct buf text = buf_in(&op.arena);
		print_word(&text, from + i * (to - from) / runs);
		char second = text.ptr[1];
		text.ptr[1] = text.ptr[text.len - 1];
		text.ptr[text.len - 1] = second;
		search_words_ask(&op.arena, buf_as_slice(&text), &words);
		uint64_t begun_ns = clock_monotonic_ns();
		check(&op, mailbox_snapshot(&op, store, account, inbox, &snapshot));
		search_rank(&op, search, account, snapshot, SEARCH_WORDS_FIELDS, &words, false,
			&ranking);
		snapshot_unref(snapshot);
		times[i] = clock_monotonic_ns() - begun_ns;
		hits += ranking.count;
	}
	qsort(times, runs, sizeof(*times), by_number);
	printf("{\"words\": \"%s\", \"by\": \"nearness\", \"searches\": %u, \"hits\": %zu, "
	       "\"p50_us\": %" PRIu64 ", \"p95_us\": %" PRIu64 "}\n",
		name, runs, hits / runs, times[runs / 2] / 1000, times[runs * 95 / 100] / 1000);
}

static void index_all(unsigned messages, uint64_t bytes)
{
	AUTO_OP(op, "index");
	struct search_status status;
	uint64_t begun_ns = clock_monotonic_ns();
	check(&op, search_catch_up(&op, search, account));
	double seconds = (double)(clock_monotonic_ns() - begun_ns) / (double)NS_PER_S;
	check(&op, search_status(&op, search, account, &status));
	printf("{\"documents\": %" PRIu64 ", \"per_second\": %.0f, \"mail_bytes\": %" PRIu64
	       ", \"index_bytes\": %" PRIu64 "}\n",
		status.size.documents, (double)messages / seconds, bytes, status.size.bytes);
}

/* ---- Indexing again ---- */

static double cpu_seconds(void)
{
	struct timespec spent;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (double)spent.tv_sec + (double)spent.tv_nsec / (double)NS_PER_S;
}

static void index_again(unsigned messages)
{
	const struct search_pace pace = {0};
	bool more = true;
	uint64_t begun_ns = clock_monotonic_ns();
	double begun_cpu = cpu_seconds();
	for (bool is_first = true; more; is_first = false) {
		AUTO_OP(op, "rebuild");
		check(&op, search_rebuild_step(&op, search, account, is_first, &pace, &more));
	}
	double cpu = cpu_seconds() - begun_cpu;
	double seconds = (double)(clock_monotonic_ns() - begun_ns) / (double)NS_PER_S;
	printf("{\"reindexed\": %u, \"per_second\": %.0f, \"per_cpu_second\": %.0f}\n", messages,
		(double)messages / seconds, (double)messages / cpu);
}

/* ---- Deliveries ---- */

#define DELIVERIES 2000
#define STEADY_RATE 200
/* How often it is looked what the index has, in deliveries. */
#define LOOK_EVERY 4

static void changed(void *context, struct account_id changed_account, uint64_t modseq)
{
	(void)modseq;
	search_account_changed(context, changed_account);
}

static void deliver_one(unsigned number)
{
	AUTO_OP(op, "deliver");
	struct append_result result;
	const struct append_request request = {
		.account = account, .mailbox = inbox, .content = make_mail(&op.arena, number)};
	check(&op, mailbox_append(&op, store, &request, &result));
}

static void deliver(const char *indexer)
{
	uint64_t begun_ns = clock_monotonic_ns();
	for (unsigned i = 0; i < DELIVERIES; i++)
		deliver_one(i);
	double seconds = (double)(clock_monotonic_ns() - begun_ns) / (double)NS_PER_S;
	printf("{\"delivered\": %d, \"indexer\": \"%s\", \"per_second\": %.0f}\n", DELIVERIES,
		indexer, (double)DELIVERIES / seconds);
}

static uint64_t indexed(void)
{
	AUTO_OP(op, "status");
	struct search_status status;
	check(&op, search_status(&op, search, account, &status));
	return status.indexed;
}

static void wait_until_indexed(uint64_t messages)
{
	while (indexed() < messages)
		clock_sleep_ns(20 * NS_PER_MS);
}

/* From a delivery's end until the index is seen to have it. */
static void measure_lag(uint64_t before)
{
	static uint64_t delivered_ns[DELIVERIES], lags_ns[DELIVERIES];
	uint64_t begun_ns = clock_monotonic_ns();
	unsigned seen = 0;
	for (unsigned i = 0; seen < DELIVERIES; i++) {
		uint64_t due_ns = begun_ns + i * (NS_PER_S / STEADY_RATE);
		uint64_t now_ns = clock_monotonic_ns();
		if (now_ns < due_ns)
			clock_sleep_ns(due_ns - now_ns);
		if (i < DELIVERIES) {
			deliver_one(i);
			delivered_ns[i] = clock_monotonic_ns();
		}
		if (i % LOOK_EVERY)
			continue;
		uint64_t has = indexed() - before;
		for (now_ns = clock_monotonic_ns(); seen < MIN_OF(has, DELIVERIES); seen++)
			lags_ns[seen] = now_ns - MIN_OF(now_ns, delivered_ns[seen]);
	}
	qsort(lags_ns, DELIVERIES, sizeof(*lags_ns), by_number);
	printf("{\"deliveries_a_second\": %d, \"lag_p50_ms\": %" PRIu64 ", \"lag_p99_ms\": %" PRIu64
	       "}\n",
		STEADY_RATE, lags_ns[DELIVERIES / 2] / NS_PER_MS,
		lags_ns[DELIVERIES * 99 / 100] / NS_PER_MS);
}

static void open_all(struct op *op, const char *folder, bool has_words, struct engine **ret_engine,
	struct ledger **ret_ledger, struct blob_store **ret_blobs)
{
	struct index *index;
	struct mailbox_status status;
	check(op, rocksdb_engine_open(op, arena_printf(&op->arena, "%s/rows", folder), &limits,
			  (struct rocksdb_owner){0}, ret_engine));
	check(op, ledger_open(op, NULL, ret_ledger));
	*ret_blobs = blob_engine_new(*ret_engine);
	store = mail_store_new(*ret_engine, *ret_ledger, *ret_blobs);
	const struct fts5_options options = {.folder = arena_printf(&op->arena, "%s/index", folder),
		.open_files = 4,
		.rules = search_texts_rules(),
		.has_words = has_words};
	check(op, fts5_open(op, &options, &index));
	search = search_new(store, index);
	account.uuid = uuid_v7();
	check(op, mail_store_make_account(op, store, account, SLICE("alice@example.org")));
	check(op, mailbox_find(op, store, account, SLICE("INBOX"), &status));
	inbox = status.id;
}

int main(int argc, char **argv)
{
	AUTO_OP(op, "search");
	struct engine *engine;
	struct ledger *ledger;
	struct blob_store *blobs;
	uint32_t messages, searches = 200;
	if (argc < 3 || !slice_parse_u32(slice_from_cstr(argv[2]), &messages) ||
		(argc > 3 && !slice_parse_u32(slice_from_cstr(argv[3]), &searches)) || !searches ||
		searches > RUNS_MOST) {
		fputs("search FOLDER MESSAGES [SEARCHES [words]]\n", stderr);
		return EXIT_FAILURE;
	}
	mime_limits = (struct mime_limits){MIME_DEPTH_MAX, MIME_PARTS_MAX};
	open_all(&op, argv[1], argc > 4, &engine, &ledger, &blobs);
	index_all(messages, fill(messages));
	run_many("seldom", WORDS / 2, WORDS, searches, true);
	run_many("sometimes", WORDS / 50, WORDS / 10, searches, true);
	run_many("often", 0, 20, MIN_OF(searches, 20), true);
	run_many("seldom", WORDS / 2, WORDS, MIN_OF(searches, 5), false);
	if (argc > 4) {
		rank_many("seldom", WORDS / 2, WORDS, searches);
		rank_many("often", 0, 20, MIN_OF(searches, 20));
	}
	index_again(messages);
	mail_store_listen(store, changed, search);
	deliver("off");
	search_start(search);
	wait_until_indexed(messages + DELIVERIES);
	deliver("on");
	wait_until_indexed(messages + UINT64_C(2) * DELIVERIES);
	measure_lag(messages + UINT64_C(2) * DELIVERIES);
	search_free(search);
	mail_store_free(store);
	blob_store_close(blobs);
	ledger_close(ledger);
	engine_close(engine);
	return EXIT_SUCCESS;
}
