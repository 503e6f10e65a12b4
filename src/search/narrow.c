#include "search/search_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "mailbox/follow.h"

METRIC_COUNTER_LABELLED(
	narrowed, "search_texts_total", "Texts that were searched for", "path=\"index\"");
METRIC_COUNTER_LABELLED(
	scanned, "search_texts_total", "Texts that were searched for", "path=\"scan\"");
METRIC_COUNTER(failures, "search_index_failures_total",
	"Questions that an index could not answer: the search read the messages instead");

/* An index whose cursor is no point of the account's log belongs to other mail: data that was
 * restored from an older copy, say. */
static struct error *ask(struct op *op, struct search *search, struct account_id account,
	const struct index_query *query, struct index_found *found, bool *ret_is_of_use)
{
	*ret_is_of_use = false;
	TRY(index_find(search->index, op, account, query, found));
	if (!found->cursor)
		return NULL;
	return account_has_stood_at(op, search->store, account, found->cursor, ret_is_of_use);
}

void search_narrow(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, struct slice needle,
	struct search_narrowing *ret_narrowing)
{
	struct index_found found = {0};
	bool is_of_use = false;
	*ret_narrowing = (struct search_narrowing){0};
	if (search && index_takes_needle(needle)) {
		const struct index_query query = {
			.mailbox = snapshot_mailbox(snapshot), .fields = fields, .needle = needle};
		struct error *err = ask(op, search, account, &query, &found, &is_of_use);
		if (err) {
			metric_add(&failures, 1);
			log_info(op, "search-without-index", FIELD_ERROR(op, err));
		}
		is_of_use &= !err && found.coverage.uidvalidity == snapshot_uidvalidity(snapshot);
		/* Nobody else may have said so: an index that never was, another node's mail. */
		if (!is_of_use || found.coverage.uidnext < snapshot_uidnext(snapshot))
			search_account_changed(search, account);
	}
	metric_add(is_of_use ? &narrowed : &scanned, 1);
	if (!is_of_use)
		return;
	ret_narrowing->below = found.coverage.uidnext;
	uid_set_init(&ret_narrowing->maybe, &op->arena);
	for (size_t i = 0; i < found.count; i++)
		uid_set_add(&ret_narrowing->maybe, found.uids[i]);
}
