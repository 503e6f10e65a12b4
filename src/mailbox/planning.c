#include "mailbox/store_private.h"

/* What the plans of several changes share. */

struct error *plan_live_mailbox(struct op *op, struct commit_plan *plan, struct mailbox_id mailbox,
	const struct account_mailbox **ret_row)
{
	const struct account_mailbox *row = plan_mailbox(plan, mailbox);
	if (!row || row->deleted_modseq)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	*ret_row = row;
	return NULL;
}

struct error *plan_keywords(struct op *op, struct account_mailbox *row, const struct slice *names,
	size_t count, bool may_drop, struct keyword_set *ret_keywords)
{
	*ret_keywords = (struct keyword_set){0};
	if (!count)
		return NULL;
	struct keyword_names known;
	if (!keyword_names_decode(&op->arena, row->keywords, &known))
		return op_fail(op, ERR_CORRUPT, "the keywords of a mailbox cannot be read");
	struct keyword_names grown = {
		.names = ARENA_ARRAY(&op->arena, struct slice, known.count + count)};
	if (known.count)
		memcpy(grown.names, known.names, known.count * sizeof(struct slice));
	grown.count = known.count;
	for (size_t i = 0; i < count; i++) {
		int bit = keyword_names_find(&grown, names[i]);
		if (bit < 0 && !keyword_is_valid(names[i])) {
			if (may_drop)
				continue;
			return op_fail(op, ERR_INVALID, "not a keyword: " SLICE_FMT,
				SLICE_ARG(slice_range(names[i], 0, KEYWORD_LENGTH_MAX)));
		}
		if (bit < 0 && grown.count == KEYWORDS_MAX) {
			if (may_drop)
				continue;
			return op_fail(
				op, ERR_LIMIT, "the mailbox has %d keywords already", KEYWORDS_MAX);
		}
		if (bit < 0) {
			bit = (int)grown.count;
			grown.names[grown.count++] = names[i];
		}
		keyword_set_add(ret_keywords, (unsigned)bit);
	}
	if (grown.count != known.count)
		row->keywords = keyword_names_encode(&op->arena, &grown);
	return NULL;
}

struct error *plan_take_quota(struct op *op, struct mail_store *store, struct commit_plan *plan,
	uint64_t bytes, uint64_t count)
{
	struct account_static *state = plan_state(plan);
	uint64_t limit_bytes = 0;
	uint64_t limit_count = 0;
	if (store->quota)
		TRY(store->quota(op, store->quota_context, plan_account(plan), state->address,
			&limit_bytes, &limit_count));
	if (limit_bytes && state->used_bytes + bytes > limit_bytes)
		return op_fail(op, ERR_LIMIT, "over quota: %llu of %llu bytes are used",
			(unsigned long long)state->used_bytes, (unsigned long long)limit_bytes);
	if (limit_count && state->used_count + count > limit_count)
		return op_fail(op, ERR_LIMIT, "over quota: %u of %llu messages are used",
			state->used_count, (unsigned long long)limit_count);
	state->used_bytes += bytes;
	state->used_count += (uint32_t)count;
	return NULL;
}

void count_message(struct account_mailbox *row, uint16_t flags, uint64_t size, int direction)
{
	row->messages += (uint32_t)direction;
	row->bytes += (uint64_t)direction * size;
	if (!(flags & FLAG_SEEN))
		row->unseen += (uint32_t)direction;
	if (flags & FLAG_DELETED) {
		row->deleted += (uint32_t)direction;
		row->deleted_bytes += (uint64_t)direction * size;
	}
}
