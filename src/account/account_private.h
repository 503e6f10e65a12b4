#pragma once

#include "account/accounts.h"
#include "base/hash_map.h"
#include "base/sync.h"
#include "schema/tables.h"

enum record_state { RECORD_LIVE = 0, RECORD_DELETED = 1, USER_DISABLED = 2, USER_LEAVING = 3 };

struct cached_quota {
	uint64_t bytes;
	uint64_t count;
	uint64_t until_ns;
};

/* used.c: names in use that are to be held against the listing, and when each was last. */
#define USED_LOOKS 16384

struct used_names {
	struct used_look {
		uint64_t hash, until_ns;
	} looks[USED_LOOKS];
	struct used_name *first;
	size_t count;
};

struct accounts {
	struct mail_store *store;
	struct engine *engine;
	struct mutex lock;      /* of what follows */
	struct hash_map quotas; /* account_id -> struct cached_quota */
	struct used_names used;
};

/* Reads a static row of a CAS table. *ret_encoded is what a change is conditional on. */
MUST_CHECK struct error *record_read(struct op *op, struct accounts *accounts,
	const struct table *table, struct slice name, void *ret_row, struct slice *ret_encoded,
	bool *ret_found);

/* Replaces it: ERR_CONFLICT when somebody was faster; an uncertain outcome is found out by reading.
 */
MUST_CHECK struct error *record_write(struct op *op, struct accounts *accounts,
	const struct table *table, struct slice name, struct slice expected, const void *row,
	uint32_t revision);

/* Reads, lets `change` edit the row, writes; again when somebody was faster. The row is zeroed when
 * there is none yet. */
struct record_change {
	const struct table *table;
	struct slice name;
	void *row;
	uint32_t *revision; /* in row */
	struct error *(*change)(struct op *op, void *row, bool found, void *context);
	void *context;
};
MUST_CHECK struct error *record_change(
	struct op *op, struct accounts *accounts, const struct record_change *change);

/* The listing of names: written after the record, and put right by whoever finds it wrong. */
MUST_CHECK struct error *directory_note(struct op *op, struct accounts *accounts,
	enum directory_kind kind, struct slice name, struct account_id account, bool exists);
/* Is a live record's name listed, and as what it is? If not, it is listed. Adds to the report. */
MUST_CHECK struct error *directory_hold(struct op *op, struct accounts *accounts,
	enum directory_kind kind, struct slice name, struct repair_report *report);

/* The record of this name is live, and somebody has asked for it. Quick. */
void directory_used(struct accounts *accounts, enum directory_kind kind, struct slice name);
void used_names_done(struct accounts *accounts);

MUST_CHECK struct error *directory_names(struct op *op, struct accounts *accounts,
	enum directory_kind kind, struct slice **ret_names, size_t *ret_count);

/* The names that a part of a listing may have; whoever reads their records stops at its limit. */
MUST_CHECK struct error *directory_part(struct op *op, struct accounts *accounts,
	enum directory_kind kind, const struct list_part *part, struct slice **ret_names,
	size_t *ret_count);

/* Of a normalised address. */
static inline struct slice domain_of(struct slice address)
{
	return slice_from(address, slice_find_char(address, '@') + 1);
}

/* A copy in the arena, ASCII letters lowered. */
struct slice lower_ascii(struct op *op, struct slice text);

MUST_CHECK struct error *domain_normalise(
	struct op *op, struct slice text, struct slice *ret_domain);
MUST_CHECK struct error *domain_must_exist(
	struct op *op, struct accounts *accounts, struct slice name, struct domain *ret_domain);
bool name_is_in_domain(struct slice address, struct slice domain);

/* After a change of limits. */
void quota_forget_all(struct accounts *accounts);
/* The limits that these rows, just read, give the user: who comes next need not read them. */
void quota_learn(struct accounts *accounts, const struct user *user, const struct domain *domain);
struct error *quota_limits_of(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_bytes, uint64_t *ret_count);
