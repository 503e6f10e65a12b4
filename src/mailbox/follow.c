#include "mailbox/follow.h"

#include "mailbox/store_private.h"

#include <stdlib.h>

/* Commits between two reads are met so often at the most. */
#define ATTEMPTS 8

static struct error *read_modseq(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(uint64_t *)context = head->state.modseq;
	return NULL;
}

/* The log from a point of it on. *ret_complete is false when it has no such point, or begins later.
 */
static struct error *log_from(struct op *op, struct mail_store *store, struct account_id account,
	uint64_t since, struct log_row **ret_rows, size_t *ret_count, bool *ret_complete)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		uint64_t now;
		TRY(commit_log_since(
			op, store->commit, account, since, ret_rows, ret_count, ret_complete));
		*ret_complete =
			*ret_complete && (*ret_count == 0 || (*ret_rows)[0].row.previous == since);
		if (*ret_count)
			return NULL;
		TRY(commit_read(op, store->commit, account, read_modseq, &now));
		*ret_complete &= now == since;
		if (now <= since)
			return NULL;
	}
	return op_fail(op, ERR_UNAVAILABLE, "the account is too busy to be followed");
}

struct places {
	struct op *op;
	struct account_place *items;
	size_t count, capacity;
};

static void add_places(struct places *places, const struct log_item *item)
{
	for (size_t i = 0; i < item->expunged_count; i++) {
		if (places->count == places->capacity) {
			size_t capacity = places->capacity * 2 + 16;
			places->items = arena_grow(&places->op->arena, places->items,
				places->capacity * sizeof(*places->items),
				capacity * sizeof(*places->items));
			places->capacity = capacity;
		}
		places->items[places->count++] =
			(struct account_place){item->mailbox, item->expunged[i].uid};
	}
}

static struct error *collect_gone(
	struct op *op, const struct log_row *rows, size_t count, struct places *places)
{
	for (size_t i = 0; i < count; i++) {
		struct log_item item;
		if (!rows[i].row.entry.len)
			continue;
		struct log_reader log = log_entry_read(op, rows[i].row.entry);
		while (log_reader_next(&log, &item))
			if (item.kind == LOG_EXPUNGE)
				add_places(places, &item);
		if (log.err)
			return log.err;
	}
	return NULL;
}

struct error *account_news_since(struct op *op, struct mail_store *store, struct account_id account,
	uint64_t since, struct account_news *ret_news)
{
	struct log_row *rows;
	size_t count;
	struct places places = {.op = op};
	*ret_news = (struct account_news){.modseq = since, .is_complete = true};
	if (!since) {
		TRY(commit_read(op, store->commit, account, read_modseq, &ret_news->modseq));
		return mailbox_list(op, store, account, &ret_news->mailboxes);
	}
	TRY(log_from(op, store, account, since, &rows, &count, &ret_news->is_complete));
	if (!ret_news->is_complete)
		return NULL;
	if (count)
		ret_news->modseq = rows[count - 1].modseq;
	TRY(collect_gone(op, rows, count, &places));
	ret_news->gone = places.items;
	ret_news->gone_count = places.count;
	return mailbox_list(op, store, account, &ret_news->mailboxes);
}

struct point {
	uint64_t modseq;
	bool is_known; /* the head tells */
	bool has_stood;
};

static struct error *look_in_head(struct op *op, const struct head *head, void *context)
{
	(void)op;
	struct point *point = context;
	size_t after = head_tail_after(head, point->modseq);
	point->has_stood = point->modseq == head->state.modseq;
	if (!point->has_stood && after < head->tail_count)
		point->has_stood = head->tail[after].row.previous == point->modseq;
	point->is_known = point->has_stood || after > 0 || point->modseq > head->state.modseq;
	return NULL;
}

struct error *account_has_stood_at(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t modseq, bool *ret_has)
{
	struct log_row *rows;
	size_t count;
	struct point point = {.modseq = modseq};
	TRY(commit_read(op, store->commit, account, look_in_head, &point));
	*ret_has = point.has_stood;
	return point.is_known ? NULL : log_from(op, store, account, modseq, &rows, &count, ret_has);
}

/* ---- Row by row ---- */

struct facts_request {
	struct slice datacenter;
	struct account_facts *facts;
};

static struct error *copy_facts(struct op *op, const struct head *head, void *context)
{
	struct facts_request *request = context;
	const struct account_static *state = &head->state;
	*request->facts = (struct account_facts){.modseq = state->modseq,
		.address = arena_dup(&op->arena, state->address),
		.used_bytes = state->used_bytes,
		.used_count = state->used_count,
		.is_here = !state->home.len || !request->datacenter.len ||
			   slice_equal(state->home, request->datacenter)};
	return NULL;
}

struct error *account_facts_get(struct op *op, struct mail_store *store, struct account_id account,
	struct account_facts *ret_facts)
{
	struct facts_request request = {store->engine->datacenter, ret_facts};
	return commit_read(op, store->commit, account, copy_facts, &request);
}

struct error *account_log_since(struct op *op, struct mail_store *store, struct account_id account,
	uint64_t since, bool is_point, struct account_log_part *ret_part)
{
	struct account_log_part *part = ret_part;
	TRY(account_facts_get(op, store, account, &part->facts));
	if (!is_point)
		return commit_log_since(op, store->commit, account, since, &part->rows,
			&part->count, &part->is_complete);
	TRY(log_from(op, store, account, since, &part->rows, &part->count, &part->is_complete));
	bool begins_later = part->count && part->rows[0].row.previous > since;
	bool is_whole;
	return part->is_complete || begins_later ? NULL
						 : commit_log_since(op, store->commit, account, 0,
							   &part->rows, &part->count, &is_whole);
}

/* ---- Notes ---- */

#define DIRTY_PAGE 256

static struct error *next_partition(
	struct op *op, struct mail_store *store, struct dirty_walk *walk, bool *ret_more)
{
	if (walk->partition_at == walk->partition_count) {
		TRY(engine_partitions(store->engine, op, &dirty_table, walk->after, DIRTY_PAGE,
			&walk->partitions, &walk->partition_count));
		walk->partition_at = 0;
		if (walk->partition_count)
			walk->after = walk->partitions[walk->partition_count - 1];
	}
	*ret_more = walk->partition_count > 0;
	walk->row_at = 0;
	return *ret_more ? engine_scan(store->engine, op, &dirty_table,
				   walk->partitions[walk->partition_at++], SLICE_NONE, SLICE_NONE,
				   SIZE_MAX, false, READ_NORMAL, &walk->rows)
			 : NULL;
}

struct error *dirty_next(struct op *op, struct mail_store *store, struct dirty_walk *walk,
	struct account_id *ret_account, bool *ret_more)
{
	for (;;) {
		while (walk->row_at < walk->rows.count) {
			struct slice key = walk->rows.rows[walk->row_at++].key;
			*ret_more = true;
			if (uuid_from_slice(slice_from(key, 1), &ret_account->uuid))
				return NULL;
		}
		TRY(next_partition(op, store, walk, ret_more));
		if (!*ret_more)
			return NULL;
	}
}

static int compare_accounts(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct account_id));
}

struct error *mail_store_noted(struct op *op, struct mail_store *store,
	struct account_id **ret_accounts, size_t *ret_count)
{
	struct buf ids = buf_in(&op->arena);
	struct dirty_walk walk = {0};
	struct account_id account;
	for (bool more = true; more;) {
		TRY(dirty_next(op, store, &walk, &account, &more));
		if (more)
			buf_append(&ids, ID_SLICE(account));
	}
	size_t count = ids.len / sizeof(account);
	struct account_id *accounts = ARENA_ARRAY(&op->arena, struct account_id, count + 1);
	if (count)
		memcpy(accounts, ids.ptr, ids.len);
	qsort(accounts, count, sizeof(account), compare_accounts);
	*ret_count = 0;
	for (size_t i = 0; i < count; i++)
		if (!i || !ID_EQUAL(accounts[i], accounts[i - 1]))
			accounts[(*ret_count)++] = accounts[i];
	*ret_accounts = accounts;
	return NULL;
}

struct error *mail_store_unsettled(struct op *op, struct mail_store *store,
	struct account_id **ret_accounts, size_t *ret_count)
{
	*ret_accounts = NULL;
	*ret_count = 0;
	return store->engine->is_shared ? NULL
					: mail_store_noted(op, store, ret_accounts, ret_count);
}

void mail_store_follow(struct mail_store *store,
	bool (*is_behind)(void *context, struct account_id account), void *context)
{
	commit_follow(store->commit, is_behind, context);
}
