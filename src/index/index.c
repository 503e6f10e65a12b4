#include "index/index.h"

#include <assert.h>

struct error *index_prepare(struct index *index, struct op *op)
{
	return index->ops->prepare ? index->ops->prepare(index, op) : NULL;
}

struct error *index_apply(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch)
{
	return index->ops->apply(index, op, account, batch);
}

struct error *index_find(struct index *index, struct op *op, struct account_id account,
	const struct index_query *query, struct index_found *ret_found)
{
	assert(index_takes_needle(query->needle));
	*ret_found = (struct index_found){0};
	return index->ops->find(index, op, account, query, ret_found);
}

struct error *index_rank(struct index *index, struct op *op, struct account_id account,
	const struct index_word_query *query, struct index_ranking *ret_ranking)
{
	assert(index->has_words && query->words->count);
	*ret_ranking = (struct index_ranking){0};
	return index->ops->rank(index, op, account, query, ret_ranking);
}

/* Likeness sets the bounds: a word that is only near is never worth more than twice what the same
 * word is at the least. */
uint8_t index_score(unsigned likeness, double weight)
{
	double share = weight > 0 ? weight / (weight + INDEX_WEIGHT_COMMON) : 0;
	unsigned halves = (unsigned)(likeness * (1 + share));
	return (uint8_t)MIN_OF(MAX_OF((halves + 1) / 2, 1U), 100U);
}

struct error *index_get_state(struct index *index, struct op *op, struct account_id account,
	struct index_state *ret_state)
{
	*ret_state = (struct index_state){0};
	return index->ops->state(index, op, account, ret_state);
}

struct error *index_has(struct index *index, struct op *op, struct account_id account,
	const struct message_id *messages, size_t count, bool *ret_has)
{
	return index->ops->has(index, op, account, messages, count, ret_has);
}

struct error *index_measure(
	struct index *index, struct op *op, struct account_id account, struct index_size *ret_size)
{
	*ret_size = (struct index_size){0};
	return index->ops->size(index, op, account, ret_size);
}

struct error *index_list(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	*ret_entries = NULL;
	*ret_count = 0;
	return index->ops->list(index, op, account, mailbox, from, most, ret_entries, ret_count);
}

struct error *index_owed(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	*ret_entries = NULL;
	*ret_count = 0;
	return index->has_attached ? index->ops->owed(index, op, account, mailbox, from, most,
					     ret_entries, ret_count)
				   : NULL;
}

struct error *index_is_altered(
	struct index *index, struct op *op, struct account_id account, bool *ret_altered)
{
	*ret_altered = false;
	return index->ops->is_altered ? index->ops->is_altered(index, op, account, ret_altered)
				      : NULL;
}

struct index *index_beside(struct index *index)
{
	return index->ops->beside(index);
}

struct error *index_swap(struct index *index, struct op *op, struct account_id account)
{
	return index->ops->swap(index, op, account);
}

struct error *index_settle(struct index *index, struct op *op)
{
	return index->ops->settle ? index->ops->settle(index, op) : NULL;
}

struct error *index_drop(struct index *index, struct op *op, struct account_id account)
{
	return index->ops->drop(index, op, account);
}

void index_close(struct index *index)
{
	if (index)
		index->ops->close(index);
}

bool index_takes_needle(struct slice needle)
{
	size_t characters = 0;
	for (size_t i = 0; i < needle.len; i++) {
		if (needle.ptr[i] == '\0')
			return false;
		characters += ((unsigned char)needle.ptr[i] & 0xc0) != 0x80;
	}
	return characters >= INDEX_NEEDLE_MIN;
}
