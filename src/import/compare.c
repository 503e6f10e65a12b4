#include "base/digest.h"
#include "import/import_private.h"

/* Holds what the source has against what is here. */

static bool has_flags_of(const struct message *here, const struct keyword_names *names,
	const struct source_message *there)
{
	uint16_t flags = 0;
	struct keyword_set keywords = {0};
	for (size_t i = 0; i < there->flag_count; i++) {
		struct slice name = there->flags[i];
		uint16_t flag = message_flag_named(name);
		int bit = flag ? -1 : keyword_names_find(names, name);
		flags |= flag;
		if (bit >= 0)
			keyword_set_add(&keywords, (unsigned)bit);
		else if (!flag && !slice_equal_nocase(name, SLICE("\\Recent")))
			return false;
	}
	return flags == here->flags && keyword_set_equal(&keywords, &here->keywords);
}

static struct error *find_here(struct op *op, const struct import_config *config,
	const struct imported_message *record, struct message **ret_message,
	struct snapshot **ret_snapshot)
{
	struct mailbox_id mailbox = {record->mailbox_id};
	struct uid_set uids;
	size_t count;
	*ret_message = NULL;
	*ret_snapshot = NULL;
	uid_set_init(&uids, &op->arena);
	uid_set_add(&uids, record->uid);
	struct error *err = mailbox_messages(
		op, config->store, config->account, mailbox, &uids, ret_message, &count);
	if (!err && count)
		err = mailbox_snapshot(op, config->store, config->account, mailbox, ret_snapshot);
	/* The mailbox is gone, and the message with it. */
	if (err && err->kind != ERR_NOT_FOUND)
		return err;
	if (err || !count)
		*ret_message = NULL;
	return NULL;
}

static struct error *difference(struct op *op, const struct import_config *config,
	const struct source_message *there, const struct message *here,
	const struct snapshot *snapshot, const char **ret_difference)
{
	struct slice content;
	uint64_t date_us;
	*ret_difference = NULL;
	TRY(message_content(op, config->store, here, 0, SIZE_MAX, &content));
	if (!slice_equal(content, there->content))
		*ret_difference = "the bytes are not the same";
	else if (!has_flags_of(here, snapshot_keyword_names(snapshot), there))
		*ret_difference = "the flags are not the same";
	else if (!source_date(there, &date_us) || date_us != here->internal_date_us)
		*ret_difference = "the date is not the same";
	return NULL;
}

static struct error *compare(struct op *op, struct importing *importing,
	const struct source_message *there, const char **ret_difference)
{
	const struct import_config *config = &importing->config;
	const struct mailbox_work *work = &importing->work;
	struct imported_message record;
	struct message *here;
	struct snapshot *snapshot;
	bool is_known;
	TRY(record_find(op, config->store, config->account, work->record, work->uidvalidity,
		there->uid, &is_known, &record));
	if (!is_known) {
		*ret_difference = "it has not been imported";
		return NULL;
	}
	TRY(find_here(op, config, &record, &here, &snapshot));
	if (!here) {
		*ret_difference = "it was imported and is no longer here";
		return NULL;
	}
	struct error *err = difference(op, config, there, here, snapshot, ret_difference);
	snapshot_unref(snapshot);
	return err;
}

struct error *compare_batch(struct op *op, struct importing *importing,
	const struct source_message *messages, size_t count, struct import_report *report)
{
	for (size_t i = 0; i < count; i++) {
		const char *found = NULL;
		struct arena_mark mark = arena_mark(&op->arena);
		if (messages[i].has_content)
			TRY(compare(op, importing, &messages[i], &found));
		else
			import_tell(op, importing, report, IMPORT_FAILED, messages[i].uid,
				"the source does not give it");
		if (found)
			import_tell(
				op, importing, report, IMPORT_DIFFERENCES, messages[i].uid, found);
		arena_release(&op->arena, mark);
	}
	return NULL;
}
