#include "mailbox/follow.h"

#include "mailbox/store_private.h"

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

struct error *mail_store_unsettled(struct op *op, struct mail_store *store,
	struct account_id **ret_accounts, size_t *ret_count)
{
	struct buf ids = buf_in(&op->arena);
	struct dirty_walk walk = {0};
	struct account_id account;
	bool more = !store->engine->is_shared;
	while (more) {
		TRY(dirty_next(op, store, &walk, &account, &more));
		if (more)
			buf_append(&ids, ID_SLICE(account));
	}
	*ret_count = ids.len / sizeof(struct account_id);
	*ret_accounts = ARENA_ARRAY(&op->arena, struct account_id, *ret_count + 1);
	if (ids.len)
		memcpy(*ret_accounts, ids.ptr, ids.len);
	return NULL;
}

void mail_store_follow(struct mail_store *store,
	bool (*is_behind)(void *context, struct account_id account), void *context)
{
	commit_follow(store->commit, is_behind, context);
}
