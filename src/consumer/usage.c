#include "consumer/usage.h"

#include "mailbox/follow.h"
#include "mailbox/store.h"

static struct {
	bool is_on;
	uint64_t delay_ms;
} config = {.is_on = true, .delay_ms = 5000};

/* clang-format off */
const struct setting usage_settings[] = {
	{"usage.count", SETTING_BOOL, &config.is_on, "yes", 0, 0, NULL, false,
		"How much mail each account holds is written down for holdfastctl usage."},
	{"usage.delay", SETTING_DURATION, &config.delay_ms, "5 s", 0, 3600000, NULL, false,
		"How long after a change, so that many changes are written down together."},
};
const size_t usage_setting_count = ARRAY_SIZE(usage_settings);
/* clang-format on */

#define PAGE 1000

bool usage_is_wanted(void)
{
	return config.is_on;
}

struct error *usage_note(struct op *op, struct mail_store *store, struct account_id account)
{
	struct account_facts facts = {0};
	struct mutations list;
	struct error *err = account_facts_get(op, store, account, &facts);
	if (err)
		return err->kind == ERR_NOT_FOUND ? NULL : err;
	const struct usage row = {
		.modseq = facts.modseq, .bytes = facts.used_bytes, .messages = facts.used_count};
	struct slice domain = slice_from(facts.address, slice_find_char(facts.address, '@') + 1);
	mutations_init(&list, &op->arena);
	mutations_put(&list, &usage_table, key_usage(&op->arena, account, domain),
		key_id_row(&op->arena, 0, account.uuid),
		row_encode_in(&op->arena, &usage_row, &row), facts.modseq);
	/* As durable as the cursor that is written behind it. */
	return engine_write(mail_store_engine(store), op, list.items, list.count, RELAXED);
}

static struct error *take(struct op *op, void *context, const struct consumer_event *event,
	struct consumer_outcome *ret_outcome)
{
	*ret_outcome = (struct consumer_outcome){.delivery = DELIVERY_DONE};
	return usage_note(op, context, event->account);
}

void usage_consumer(struct mail_store *store, struct consumer *ret_consumer)
{
	*ret_consumer = (struct consumer){.name = "usage",
		.only_last = true,
		.delay_ms = config.delay_ms,
		.workers = 1,
		.take = take,
		.context = store};
}

static struct error *add_shard(
	struct op *op, struct engine *engine, struct slice partition, struct usage_total *total)
{
	struct buf from = buf_in(&op->arena);
	for (size_t count = PAGE; count == PAGE;) {
		struct engine_rows rows;
		struct usage usage;
		TRY(engine_scan(engine, op, &usage_table, partition, buf_as_slice(&from),
			SLICE_NONE, PAGE, false, READ_NORMAL, &rows));
		count = rows.count;
		for (size_t i = 0; i < count; i++) {
			TRY(row_decode(op, &usage_row, rows.rows[i].value, &usage));
			total->accounts += usage.messages > 0;
			total->messages += usage.messages;
			total->bytes += usage.bytes;
		}
		from.len = 0;
		if (count)
			buf_append(&from, rows.rows[count - 1].key);
		buf_u8(&from, 0); /* the next key there can be */
	}
	return NULL;
}

struct error *usage_of_domain(
	struct op *op, struct mail_store *store, struct slice domain, struct usage_total *ret_total)
{
	struct usage_total total = {0};
	for (uint8_t shard = 0; shard < USAGE_SHARDS; shard++) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(add_shard(op, mail_store_engine(store),
			key_usage_shard(&op->arena, shard, domain), &total));
		arena_release(&op->arena, mark);
	}
	*ret_total = total;
	return NULL;
}
