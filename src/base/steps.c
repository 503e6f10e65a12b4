#include "base/steps.h"

#include "base/clock.h"
#include "base/sync.h"

/* Held while one note is copied. */
static struct mutex lock = MUTEX_INIT;
static struct step_note ring[STEPS_HELD]; /* under lock */
static uint64_t noted;                    /* under lock; how many ever */

void steps_note(const struct step_note *note)
{
	uint64_t now_us = clock_realtime_us();
	AUTO_LOCK(&lock);
	struct step_note *place = &ring[noted++ % STEPS_HELD];
	*place = *note;
	place->at_us = now_us;
}

static bool is_of(const struct step_note *note, const struct uuid *ops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (uuid_equal(note->op, ops[i]))
			return true;
	return false;
}

/* With the lock held: the operations of mails of this name, at most so many. */
static size_t operations_of(uint64_t name_hash, struct uuid *ret_ops, size_t most)
{
	size_t count = 0;
	for (size_t i = 0; name_hash && i < MIN_OF(noted, STEPS_HELD) && count < most; i++)
		if (ring[i].name_hash == name_hash && !is_of(&ring[i], ret_ops, count))
			ret_ops[count++] = ring[i].op;
	return count;
}

#define OPERATIONS_MOST 32

size_t steps_find(struct arena *arena, const struct uuid *op, uint64_t name_hash,
	struct step_note **ret_notes)
{
	struct uuid ops[OPERATIONS_MOST];
	size_t count = 0;
	AUTO_LOCK(&lock);
	size_t op_count = op ? 1 : operations_of(name_hash, ops, OPERATIONS_MOST);
	if (op)
		ops[0] = *op;
	*ret_notes = NULL;
	for (uint64_t i = noted - MIN_OF(noted, STEPS_HELD); i < noted; i++)
		count += is_of(&ring[i % STEPS_HELD], ops, op_count);
	if (!count)
		return 0;
	*ret_notes = ARENA_ARRAY(arena, struct step_note, count);
	count = 0;
	for (uint64_t i = noted - MIN_OF(noted, STEPS_HELD); i < noted; i++)
		if (is_of(&ring[i % STEPS_HELD], ops, op_count))
			(*ret_notes)[count++] = ring[i % STEPS_HELD];
	return count;
}
