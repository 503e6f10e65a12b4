#include "account/account_private.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/log.h"

/* Names that somebody uses are held against the listing, behind whoever does: a row of it that was
 * lost or damaged is seen by nobody else, since nobody asks it for a name that he knows. */

/* A name that is used is looked at this often. */
#define LOOK_EVERY_NS (30 * NS_PER_S)
/* One that finds no room is noted when it is used again. As many are looked at in a tenth of a
 * second, by a thread that has other work too. */
#define WAITING_MOST 16

struct used_name {
	enum directory_kind kind;
	struct slice name; /* behind this */
	struct used_name *next;
};

static uint64_t hash_of(enum directory_kind kind, struct slice name)
{
	return XXH3_64bits_withSeed(name.ptr, name.len, (XXH64_hash_t)kind);
}

static void add(struct used_names *used, enum directory_kind kind, struct slice name)
{
	struct used_name *added = heap_alloc(sizeof(*added) + name.len);
	char *copy = (char *)(added + 1);
	memcpy(copy, name.ptr, name.len);
	*added = (struct used_name){.kind = kind, .name = slice_of(copy, name.len)};
	added->next = used->first;
	used->first = added;
	used->count++;
}

/* Of two names that share a place each is looked at more often than need be. */
void directory_used(struct accounts *accounts, enum directory_kind kind, struct slice name)
{
	uint64_t hash = hash_of(kind, name);
	uint64_t now_ns = clock_monotonic_ns();
	struct used_names *used = &accounts->used;
	struct used_look *look = &used->looks[hash % USED_LOOKS];
	AUTO_LOCK(&accounts->lock);
	bool is_recent = look->hash == hash && now_ns < look->until_ns;
	if (is_recent || used->count >= WAITING_MOST)
		return;
	*look = (struct used_look){hash, now_ns + LOOK_EVERY_NS};
	add(used, kind, name);
}

static struct used_name *take(struct accounts *accounts)
{
	AUTO_LOCK(&accounts->lock);
	struct used_name *first = accounts->used.first;
	if (!first)
		return NULL;
	accounts->used.first = first->next;
	accounts->used.count--;
	return first;
}

struct error *accounts_hold_used(struct op *op, struct accounts *accounts)
{
	struct repair_report report = {0};
	struct used_name *used;
	struct error *err = NULL;
	while (!err && (used = take(accounts))) {
		err = directory_hold(op, accounts, used->kind, used->name, &report);
		free(used);
	}
	if (report.fixed)
		log_warn(op, "names-listed-again", FIELD_U64("missing", report.missing),
			FIELD_U64("damaged", report.stale));
	return err;
}

void used_names_done(struct accounts *accounts)
{
	for (struct used_name *used; (used = take(accounts));)
		free(used);
}
