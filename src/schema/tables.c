#include "schema/tables.h"

#include <xxhash.h>

#define ROW(variable, struct_tag, ...)                                     \
	static const struct column struct_tag##_columns[] = {__VA_ARGS__}; \
	const struct row_type variable = ROW_TYPE(struct_tag, struct_tag##_columns)

/* clang-format off */
ROW(account_static_row, account_static,
	COLUMN(account_static, modseq, COLUMN_U64),
	COLUMN(account_static, epoch, COLUMN_U32),
	COLUMN(account_static, applied, COLUMN_U64),
	COLUMN(account_static, trimmed, COLUMN_U64),
	COLUMN(account_static, mapped, COLUMN_U64),
	COLUMN(account_static, used_bytes, COLUMN_U64),
	COLUMN(account_static, used_count, COLUMN_U32),
	COLUMN(account_static, uidvalidity_last, COLUMN_U32),
	COLUMN(account_static, segment, COLUMN_U32),
	COLUMN(account_static, segment_entries, COLUMN_U32),
	COLUMN(account_static, address, COLUMN_TEXT),
	COLUMN(account_static, oldest_change, COLUMN_U64),
	COLUMN(account_static, home, COLUMN_TEXT));

ROW(account_mailbox_row, account_mailbox,
	COLUMN(account_mailbox, path, COLUMN_TEXT),
	COLUMN(account_mailbox, uidvalidity, COLUMN_U32),
	COLUMN(account_mailbox, uidnext, COLUMN_U32),
	COLUMN(account_mailbox, highest_modseq, COLUMN_U64),
	COLUMN(account_mailbox, messages, COLUMN_U32),
	COLUMN(account_mailbox, unseen, COLUMN_U32),
	COLUMN(account_mailbox, deleted, COLUMN_U32),
	COLUMN(account_mailbox, bytes, COLUMN_U64),
	COLUMN(account_mailbox, deleted_bytes, COLUMN_U64),
	COLUMN(account_mailbox, keywords, COLUMN_BYTES),
	COLUMN(account_mailbox, special_use, COLUMN_U32),
	COLUMN(account_mailbox, created_modseq, COLUMN_U64),
	COLUMN(account_mailbox, deleted_modseq, COLUMN_U64),
	COLUMN(account_mailbox, acl, COLUMN_BYTES));

ROW(account_log_row, account_log,
	COLUMN(account_log, operation_id, COLUMN_UUID),
	COLUMN(account_log, previous, COLUMN_U64),
	COLUMN(account_log, once_key, COLUMN_BYTES),
	COLUMN(account_log, entry, COLUMN_BYTES));

ROW(account_intent_row, account_intent,
	COLUMN(account_intent, kind, COLUMN_U8),
	COLUMN(account_intent, detail, COLUMN_BYTES));

ROW(account_subscription_row, account_subscription,
	COLUMN(account_subscription, modseq, COLUMN_U64));

ROW(account_annotation_row, account_annotation,
	COLUMN(account_annotation, modseq, COLUMN_U64),
	COLUMN(account_annotation, value, COLUMN_BYTES));

ROW(once_row, once,
	COLUMN(once, operation_id, COLUMN_UUID),
	COLUMN(once, released, COLUMN_U8),
	COLUMN(once, modseq, COLUMN_U64),
	COLUMN(once, mailbox_id, COLUMN_UUID),
	COLUMN(once, uid, COLUMN_U32),
	COLUMN(once, uidvalidity, COLUMN_U32),
	COLUMN(once, message_id, COLUMN_UUID));

ROW(mailbox_message_row, mailbox_message,
	COLUMN(mailbox_message, modseq, COLUMN_U64),
	COLUMN(mailbox_message, message_id, COLUMN_UUID),
	COLUMN(mailbox_message, blob_id, COLUMN_UUID),
	COLUMN(mailbox_message, flags, COLUMN_U16),
	COLUMN(mailbox_message, keywords, COLUMN_BYTES),
	COLUMN(mailbox_message, internal_date_us, COLUMN_U64),
	COLUMN(mailbox_message, save_date_us, COLUMN_U64),
	COLUMN(mailbox_message, size, COLUMN_U64),
	COLUMN(mailbox_message, header_length, COLUMN_U32),
	COLUMN(mailbox_message, first_uidvalidity, COLUMN_U32),
	COLUMN(mailbox_message, first_uid, COLUMN_U32));

ROW(mailbox_map_row, mailbox_map,
	COLUMN(mailbox_map, as_of, COLUMN_U64),
	COLUMN(mailbox_map, chunk, COLUMN_BYTES));

ROW(message_summary_row, message_summary_columns,
	COLUMN(message_summary_columns, account_id, COLUMN_UUID),
	COLUMN(message_summary_columns, blob_id, COLUMN_UUID),
	COLUMN(message_summary_columns, size, COLUMN_U64),
	COLUMN(message_summary_columns, header_length, COLUMN_U32),
	COLUMN(message_summary_columns, envelope, COLUMN_BYTES),
	COLUMN(message_summary_columns, body, COLUMN_BYTES),
	COLUMN(message_summary_columns, bodystructure, COLUMN_BYTES),
	COLUMN(message_summary_columns, sent_at, COLUMN_U64),
	COLUMN(message_summary_columns, sha256, COLUMN_BYTES),
	COLUMN(message_summary_columns, smtp_envelope, COLUMN_BYTES),
	COLUMN(message_summary_columns, format, COLUMN_U16));

ROW(message_place_row, message_place,
	COLUMN(message_place, modseq, COLUMN_U64));

ROW(message_gone_row, message_gone,
	COLUMN(message_gone, modseq, COLUMN_U64),
	COLUMN(message_gone, account_id, COLUMN_UUID),
	COLUMN(message_gone, blob_id, COLUMN_UUID),
	COLUMN(message_gone, mailbox_id, COLUMN_UUID),
	COLUMN(message_gone, path, COLUMN_TEXT),
	COLUMN(message_gone, internal_date_us, COLUMN_U64),
	COLUMN(message_gone, flags, COLUMN_U16),
	COLUMN(message_gone, in_vault, COLUMN_U8),
	COLUMN(message_gone, state, COLUMN_U8),
	COLUMN(message_gone, known_modseq, COLUMN_U64));

ROW(message_content_row, message_content,
	COLUMN(message_content, sha256, COLUMN_BYTES),
	COLUMN(message_content, bytes, COLUMN_BYTES));

ROW(vault_row, vault,
	COLUMN(vault, modseq, COLUMN_U64));

ROW(blob_info_row, blob_info,
	COLUMN(blob_info, size, COLUMN_U64),
	COLUMN(blob_info, chunks, COLUMN_U32),
	COLUMN(blob_info, sha256, COLUMN_BYTES));

ROW(blob_chunk_row, blob_chunk,
	COLUMN(blob_chunk, bytes, COLUMN_BYTES));

ROW(blob_ref_row, blob_ref,
	COLUMN(blob_ref, account_id, COLUMN_UUID));

ROW(blob_candidate_row, blob_candidate,
	COLUMN(blob_candidate, blob_id, COLUMN_UUID),
	COLUMN(blob_candidate, account_id, COLUMN_UUID));

ROW(blob_state_row, blob_state,
	COLUMN(blob_state, revision, COLUMN_U32),
	COLUMN(blob_state, condemned, COLUMN_U8));

ROW(dirty_row, dirty,
	COLUMN(dirty, epoch, COLUMN_U8));

ROW(user_row, user,
	COLUMN(user, revision, COLUMN_U32),
	COLUMN(user, account_id, COLUMN_UUID),
	COLUMN(user, state, COLUMN_U8),
	COLUMN(user, password, COLUMN_TEXT),
	COLUMN(user, scram_salt, COLUMN_BYTES),
	COLUMN(user, scram_iterations, COLUMN_U32),
	COLUMN(user, scram_stored_key, COLUMN_BYTES),
	COLUMN(user, scram_server_key, COLUMN_BYTES),
	COLUMN(user, quota_bytes, COLUMN_U64),
	COLUMN(user, quota_count, COLUMN_U64),
	COLUMN(user, created_us, COLUMN_U64));

ROW(domain_row, domain,
	COLUMN(domain, revision, COLUMN_U32),
	COLUMN(domain, state, COLUMN_U8),
	COLUMN(domain, quota_bytes, COLUMN_U64),
	COLUMN(domain, quota_count, COLUMN_U64),
	COLUMN(domain, created_us, COLUMN_U64));

ROW(alias_row, alias,
	COLUMN(alias, revision, COLUMN_U32),
	COLUMN(alias, state, COLUMN_U8),
	COLUMN(alias, targets, COLUMN_BYTES));

ROW(directory_row, directory,
	COLUMN(directory, account_id, COLUMN_UUID));

ROW(probe_row, probe,
	COLUMN(probe, at_us, COLUMN_U64));

ROW(admin_token_row, admin_token,
	COLUMN(admin_token, hash, COLUMN_BYTES),
	COLUMN(admin_token, name, COLUMN_TEXT),
	COLUMN(admin_token, role, COLUMN_U8),
	COLUMN(admin_token, domain, COLUMN_TEXT),
	COLUMN(admin_token, created_us, COLUMN_U64),
	COLUMN(admin_token, expires_us, COLUMN_U64));

ROW(admin_token_use_row, admin_token_use,
	COLUMN(admin_token_use, used_us, COLUMN_U64));

ROW(task_list_row, task_list,
	COLUMN(task_list, revision, COLUMN_U64));

ROW(task_row, task,
	COLUMN(task, kind, COLUMN_TEXT),
	COLUMN(task, subject, COLUMN_TEXT),
	COLUMN(task, rate, COLUMN_U32),
	COLUMN(task, state, COLUMN_U8),
	COLUMN(task, is_cancelling, COLUMN_U8),
	COLUMN(task, created_us, COLUMN_U64),
	COLUMN(task, started_us, COLUMN_U64),
	COLUMN(task, ended_us, COLUMN_U64),
	COLUMN(task, runs, COLUMN_U32),
	COLUMN(task, node_id, COLUMN_UUID),
	COLUMN(task, node, COLUMN_TEXT),
	COLUMN(task, lease, COLUMN_UUID),
	COLUMN(task, lease_until_us, COLUMN_U64),
	COLUMN(task, cursor, COLUMN_BYTES),
	COLUMN(task, counts, COLUMN_BYTES),
	COLUMN(task, findings, COLUMN_TEXT),
	COLUMN(task, findings_left_out, COLUMN_U32),
	COLUMN(task, error, COLUMN_TEXT),
	COLUMN(task, source, COLUMN_TEXT),
	COLUMN(task, input, COLUMN_BYTES));

ROW(imported_source_row, imported_source,
	COLUMN(imported_source, host, COLUMN_TEXT),
	COLUMN(imported_source, user, COLUMN_TEXT),
	COLUMN(imported_source, mailbox, COLUMN_TEXT),
	COLUMN(imported_source, uidvalidity, COLUMN_U32),
	COLUMN(imported_source, mailbox_id, COLUMN_UUID));

ROW(imported_message_row, imported_message,
	COLUMN(imported_message, mailbox_id, COLUMN_UUID),
	COLUMN(imported_message, uidvalidity, COLUMN_U32),
	COLUMN(imported_message, uid, COLUMN_U32),
	COLUMN(imported_message, sha256, COLUMN_BYTES),
	COLUMN(imported_message, size, COLUMN_U64),
	COLUMN(imported_message, flags, COLUMN_TEXT),
	COLUMN(imported_message, received_us, COLUMN_U64));

ROW(node_row, node,
	COLUMN(node, name, COLUMN_TEXT),
	COLUMN(node, datacenter, COLUMN_TEXT),
	COLUMN(node, version, COLUMN_TEXT),
	COLUMN(node, started_us, COLUMN_U64),
	COLUMN(node, seen_us, COLUMN_U64));

ROW(cursor_row, cursor,
	COLUMN(cursor, modseq, COLUMN_U64));

ROW(cursor_retry_row, cursor_retry,
	COLUMN(cursor_retry, modseq, COLUMN_U64),
	COLUMN(cursor_retry, attempts, COLUMN_U32),
	COLUMN(cursor_retry, next_try_us, COLUMN_U64),
	COLUMN(cursor_retry, first_failed_us, COLUMN_U64),
	COLUMN(cursor_retry, last_error, COLUMN_TEXT));

ROW(dead_letter_row, dead_letter,
	COLUMN(dead_letter, attempts, COLUMN_U32),
	COLUMN(dead_letter, first_failed_us, COLUMN_U64),
	COLUMN(dead_letter, failed_us, COLUMN_U64),
	COLUMN(dead_letter, last_error, COLUMN_TEXT),
	COLUMN(dead_letter, address, COLUMN_TEXT),
	COLUMN(dead_letter, operation_id, COLUMN_UUID),
	COLUMN(dead_letter, payload, COLUMN_BYTES));

ROW(shared_to_row, shared_to,
	COLUMN(shared_to, modseq, COLUMN_U64));

ROW(usage_row, usage,
	COLUMN(usage, modseq, COLUMN_U64),
	COLUMN(usage, bytes, COLUMN_U64),
	COLUMN(usage, messages, COLUMN_U64));
/* clang-format on */

const struct table account_table = {
	.name = "account",
	.id = 1,
	.kind = TABLE_CAS,
	.partition = {{"account_id", KEY_UUID}, {"epoch", KEY_U32}},
	.row_key = {[ACCOUNT_MAILBOX] = {{"mailbox_id", KEY_UUID}},
		[ACCOUNT_LOG] = {{"modseq", KEY_U64}},
		[ACCOUNT_INTENT] = {{"operation_id", KEY_UUID}},
		[ACCOUNT_SUBSCRIPTION] = {{"name", KEY_BYTES}},
		[ACCOUNT_ANNOTATION] = {{"mailbox_id", KEY_UUID}, {"name", KEY_BYTES}}},
	.static_row = &account_static_row,
	.rows = {[ACCOUNT_MAILBOX] = &account_mailbox_row,
		[ACCOUNT_LOG] = &account_log_row,
		[ACCOUNT_INTENT] = &account_intent_row,
		[ACCOUNT_SUBSCRIPTION] = &account_subscription_row,
		[ACCOUNT_ANNOTATION] = &account_annotation_row},
	.condition_columns = 2,
	.no_read_repair = true,
};

const struct table account_log_table = {
	.name = "account_log",
	.id = 2,
	.kind = TABLE_PLAIN,
	.partition = {{"account_id", KEY_UUID}, {"segment", KEY_U32}},
	.row_key = {{{"modseq", KEY_U64}}},
	.rows = {&account_log_row},
	.ttl_s = 60 * 86400,
};

const struct table once_table = {
	.name = "once",
	.id = 3,
	.kind = TABLE_PLAIN,
	.partition = {{"account_id", KEY_UUID}, {"key", KEY_BYTES}},
	.rows = {&once_row},
	.ttl_s = 7 * 86400,
};

const struct table mailbox_message_table = {
	.name = "mailbox_message",
	.id = 4,
	.kind = TABLE_PLAIN,
	.partition = {{"mailbox_id", KEY_UUID}, {"bucket", KEY_U32}},
	.row_key = {{{"uid", KEY_U32}}},
	.rows = {&mailbox_message_row},
};

const struct table mailbox_map_table = {
	.name = "mailbox_map",
	.id = 5,
	.kind = TABLE_PLAIN,
	.partition = {{"mailbox_id", KEY_UUID}},
	.row_key = {{{"chunk", KEY_U32}}},
	.rows = {&mailbox_map_row},
};

const struct table message_table = {
	.name = "message",
	.id = 6,
	.kind = TABLE_PLAIN,
	.partition = {{"message_id", KEY_UUID}},
	.row_key = {[MESSAGE_PLACE] = {{"mailbox_id", KEY_UUID}, {"uid", KEY_U32}}},
	.rows = {[MESSAGE_SUMMARY] = &message_summary_row,
		[MESSAGE_PLACE] = &message_place_row,
		[MESSAGE_GONE] = &message_gone_row,
		[MESSAGE_CONTENT] = &message_content_row},
};

const struct table vault_table = {
	.name = "vault",
	.id = 18,
	.kind = TABLE_PLAIN,
	.partition = {{"account_id", KEY_UUID}, {"period", KEY_U32}},
	.row_key = {{{"message_id", KEY_UUID}}},
	.rows = {&vault_row},
};

const struct table blob_table = {
	.name = "blob",
	.id = 7,
	.kind = TABLE_PLAIN,
	.partition = {{"blob_id", KEY_UUID}},
	.row_key = {[BLOB_CHUNK] = {{"chunk", KEY_U32}}},
	.rows = {[BLOB_INFO] = &blob_info_row, [BLOB_CHUNK] = &blob_chunk_row},
	.large_values = true,
};

const struct table blob_ref_table = {
	.name = "blob_ref",
	.id = 8,
	.kind = TABLE_PLAIN,
	.partition = {{"blob_id", KEY_UUID}},
	.row_key = {{{"message_id", KEY_UUID}}},
	.rows = {&blob_ref_row},
};

const struct table blob_candidate_table = {
	.name = "blob_candidate",
	.id = 9,
	.kind = TABLE_PLAIN,
	.partition = {{"shard", KEY_U8}, {"day", KEY_U32}},
	.row_key = {{{"message_id", KEY_UUID}}},
	.rows = {&blob_candidate_row},
	.short_lived = true,
};

const struct table blob_state_table = {
	.name = "blob_state",
	.id = 10,
	.kind = TABLE_CAS,
	.partition = {{"blob_id", KEY_UUID}},
	.static_row = &blob_state_row,
	.condition_columns = 1,
};

const struct table dirty_table = {
	.name = "dirty",
	.id = 11,
	.kind = TABLE_PLAIN,
	.partition = {{"shard", KEY_U8}, {"slice", KEY_U32}},
	.row_key = {{{"account_id", KEY_UUID}}},
	.rows = {&dirty_row},
	.short_lived = true,
};

const struct table user_table = {
	.name = "user",
	.id = 12,
	.kind = TABLE_CAS,
	.partition = {{"address", KEY_BYTES}},
	.static_row = &user_row,
	.condition_columns = 1,
};

const struct table domain_table = {
	.name = "domain",
	.id = 13,
	.kind = TABLE_CAS,
	.partition = {{"name", KEY_BYTES}},
	.static_row = &domain_row,
	.condition_columns = 1,
};

const struct table alias_table = {
	.name = "alias",
	.id = 14,
	.kind = TABLE_CAS,
	.partition = {{"address", KEY_BYTES}},
	.static_row = &alias_row,
	.condition_columns = 1,
};

const struct table directory_table = {
	.name = "directory",
	.id = 15,
	.kind = TABLE_PLAIN,
	.partition = {{"kind", KEY_U8}, {"shard", KEY_U8}},
	.row_key = {{{"name", KEY_BYTES}}},
	.rows = {&directory_row},
};

const struct table probe_table = {
	.name = "probe",
	.id = 16,
	.kind = TABLE_PLAIN,
	.partition = {{"node_id", KEY_UUID}},
	.rows = {&probe_row},
	.short_lived = true,
};

const struct table node_table = {
	.name = "node",
	.id = 17,
	.kind = TABLE_PLAIN,
	.partition = {{"shard", KEY_U8}, {"number", KEY_U32}},
	.row_key = {{{"node_id", KEY_UUID}}},
	.rows = {&node_row},
	.ttl_s = 86400,
	.short_lived = true,
};

const struct table task_table = {
	.name = "task",
	.id = 19,
	.kind = TABLE_CAS,
	.partition = {{"shard", KEY_U8}, {"data_center", KEY_BYTES}},
	.row_key = {{{"task_id", KEY_UUID}}},
	.static_row = &task_list_row,
	.rows = {&task_row},
	.condition_columns = 1,
	.no_read_repair = true,
};

const struct table admin_token_table = {
	.name = "admin_token",
	.id = 24,
	.kind = TABLE_PLAIN,
	.partition = {{"shard", KEY_U8}, {"number", KEY_U32}},
	.row_key = {{{"token_id", KEY_UUID}}, {{"token_id", KEY_UUID}}},
	.rows = {&admin_token_row, &admin_token_use_row},
};

const struct table cursor_table = {
	.name = "cursor",
	.id = 20,
	.kind = TABLE_PLAIN,
	.partition = {{"account_id", KEY_UUID}},
	.row_key = {[CURSOR_AT] = {{"consumer", KEY_BYTES}},
		[CURSOR_RETRY] = {{"consumer", KEY_BYTES}}},
	.rows = {[CURSOR_AT] = &cursor_row, [CURSOR_RETRY] = &cursor_retry_row},
};

const struct table dead_letter_table = {
	.name = "dead_letter",
	.id = 21,
	.kind = TABLE_PLAIN,
	.partition = {{"day", KEY_U32}, {"consumer", KEY_BYTES}},
	.row_key = {{{"account_id", KEY_UUID}, {"modseq", KEY_U64}}},
	.rows = {&dead_letter_row},
};

const struct table usage_table = {
	.name = "usage",
	.id = 22,
	.kind = TABLE_PLAIN,
	.partition = {{"shard", KEY_U8}, {"domain", KEY_BYTES}},
	.row_key = {{{"account_id", KEY_UUID}}},
	.rows = {&usage_row},
};

const struct table shared_to_table = {
	.name = "shared_to",
	.id = 25,
	.kind = TABLE_PLAIN,
	.partition = {{"grantee_id", KEY_UUID}},
	.row_key = {{{"account_id", KEY_UUID}, {"mailbox_id", KEY_UUID}}},
	.rows = {&shared_to_row},
};

const struct table imported_table = {
	.name = "imported",
	.id = 26,
	.kind = TABLE_PLAIN,
	.partition = {{"account_id", KEY_UUID}, {"source_id", KEY_UUID}},
	.row_key = {[IMPORTED_SOURCE] = {{"id", KEY_UUID}},
		[IMPORTED_MESSAGE] = {{"source_uidvalidity", KEY_U32}, {"source_uid", KEY_U32}}},
	.rows = {[IMPORTED_SOURCE] = &imported_source_row,
		[IMPORTED_MESSAGE] = &imported_message_row},
};

static const struct table *const all_tables[] = {&account_table, &account_log_table, &once_table,
	&mailbox_message_table, &mailbox_map_table, &message_table, &blob_table, &blob_ref_table,
	&blob_candidate_table, &blob_state_table, &dirty_table, &user_table, &domain_table,
	&alias_table, &directory_table, &probe_table, &node_table, &vault_table, &task_table,
	&admin_token_table, &cursor_table, &dead_letter_table, &usage_table, &shared_to_table,
	&imported_table};

const struct table *const *table_all(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(all_tables);
	return all_tables;
}

const struct table *table_by_id(uint8_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_tables); i++)
		if (all_tables[i]->id == id)
			return all_tables[i];
	return NULL;
}

struct slice key_account(struct arena *arena, struct account_id account, uint32_t epoch)
{
	struct buf key = buf_in(arena);
	buf_append(&key, ID_SLICE(account));
	buf_u32(&key, epoch);
	return buf_as_slice(&key);
}

struct slice key_account_row(struct arena *arena, enum account_row_kind kind, struct slice id)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, (uint8_t)kind);
	buf_append(&key, id);
	return buf_as_slice(&key);
}

struct slice key_annotation(struct arena *arena, struct mailbox_id mailbox, struct slice name)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, ACCOUNT_ANNOTATION);
	buf_append(&key, ID_SLICE(mailbox));
	buf_append(&key, name);
	return buf_as_slice(&key);
}

struct slice key_account_log(struct arena *arena, uint64_t modseq)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, ACCOUNT_LOG);
	buf_u64(&key, modseq);
	return buf_as_slice(&key);
}

struct slice key_log_segment(struct arena *arena, struct account_id account, uint32_t segment)
{
	return key_account(arena, account, segment);
}

struct slice key_once(struct arena *arena, struct account_id account, struct slice once_key)
{
	struct buf key = buf_in(arena);
	buf_append(&key, ID_SLICE(account));
	buf_append(&key, once_key);
	return buf_as_slice(&key);
}

struct slice key_message_bucket(struct arena *arena, struct mailbox_id mailbox, uint32_t uid)
{
	struct buf key = buf_in(arena);
	buf_append(&key, ID_SLICE(mailbox));
	buf_u32(&key, uid >> MAILBOX_MESSAGE_BUCKET_BITS);
	return buf_as_slice(&key);
}

struct slice key_u32_row(struct arena *arena, uint32_t value)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_u32(&key, value);
	return buf_as_slice(&key);
}

struct slice key_u64_row(struct arena *arena, uint64_t value)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_u64(&key, value);
	return buf_as_slice(&key);
}

struct slice key_id(struct arena *arena, struct uuid id)
{
	return arena_dup(arena, uuid_as_slice(&id));
}

struct slice key_id_row(struct arena *arena, uint8_t kind, struct uuid id)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, kind);
	buf_append(&key, uuid_as_slice(&id));
	return buf_as_slice(&key);
}

struct slice key_kind_row(struct arena *arena, uint8_t kind)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, kind);
	return buf_as_slice(&key);
}

struct slice key_place(struct arena *arena, struct mailbox_id mailbox, uint32_t uid)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, MESSAGE_PLACE);
	buf_append(&key, ID_SLICE(mailbox));
	buf_u32(&key, uid);
	return buf_as_slice(&key);
}

struct slice key_shared_to(struct arena *arena, struct account_id owner, struct mailbox_id mailbox)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_append(&key, ID_SLICE(owner));
	buf_append(&key, ID_SLICE(mailbox));
	return buf_as_slice(&key);
}

struct slice key_blob_chunk(struct arena *arena, uint32_t chunk)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, BLOB_CHUNK);
	buf_u32(&key, chunk);
	return buf_as_slice(&key);
}

struct slice key_shard(struct arena *arena, uint8_t shard, uint32_t number)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, shard);
	buf_u32(&key, number);
	return buf_as_slice(&key);
}

struct slice key_directory_shard(struct arena *arena, enum directory_kind kind, uint8_t shard)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, (uint8_t)kind);
	buf_u8(&key, shard);
	return buf_as_slice(&key);
}

struct slice key_directory(struct arena *arena, enum directory_kind kind, struct slice name)
{
	uint8_t shard = (uint8_t)(XXH64(name.ptr, name.len, 0) % DIRECTORY_SHARDS);
	return key_directory_shard(arena, kind, shard);
}

struct slice key_tasks(struct arena *arena, struct slice datacenter)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_append(&key, datacenter);
	return buf_as_slice(&key);
}

struct slice key_imported(struct arena *arena, struct account_id account, struct uuid source)
{
	struct buf key = buf_in(arena);
	buf_append(&key, ID_SLICE(account));
	buf_append(&key, uuid_as_slice(&source));
	return buf_as_slice(&key);
}

struct slice key_imported_message(struct arena *arena, uint32_t uidvalidity, uint32_t uid)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, IMPORTED_MESSAGE);
	buf_u32(&key, uidvalidity);
	buf_u32(&key, uid);
	return buf_as_slice(&key);
}

struct slice key_text_row(struct arena *arena, struct slice text)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_append(&key, text);
	return buf_as_slice(&key);
}

struct slice key_cursor_row(struct arena *arena, enum cursor_row_kind kind, struct slice consumer)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, (uint8_t)kind);
	buf_append(&key, consumer);
	return buf_as_slice(&key);
}

struct slice key_dead_letters(struct arena *arena, struct slice consumer, uint64_t modseq)
{
	struct buf key = buf_in(arena);
	buf_u32(&key, (uint32_t)(modseq / DEAD_LETTER_DAY_US));
	buf_append(&key, consumer);
	return buf_as_slice(&key);
}

struct slice key_dead_letter(struct arena *arena, struct account_id account, uint64_t modseq)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, 0);
	buf_append(&key, ID_SLICE(account));
	buf_u64(&key, modseq);
	return buf_as_slice(&key);
}

struct slice key_usage_shard(struct arena *arena, uint8_t shard, struct slice domain)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, shard);
	buf_append(&key, domain);
	return buf_as_slice(&key);
}

struct slice key_usage(struct arena *arena, struct account_id account, struct slice domain)
{
	return key_usage_shard(arena, account.uuid.bytes[15] % USAGE_SHARDS, domain);
}

struct slice key_vault(struct arena *arena, struct account_id account, uint64_t modseq)
{
	return key_account(arena, account, (uint32_t)(modseq / VAULT_PERIOD_US));
}

struct slice key_candidates(struct arena *arena, struct message_id message, uint64_t modseq)
{
	return key_shard(
		arena, candidate_shard(message), (uint32_t)(modseq / (86400 * UINT64_C(1000000))));
}

uint8_t dirty_shard(struct account_id account)
{
	return (uint8_t)(account.uuid.bytes[15] % DIRTY_SHARDS);
}

uint8_t candidate_shard(struct message_id message)
{
	return (uint8_t)(message.uuid.bytes[15] % DIRTY_SHARDS);
}
