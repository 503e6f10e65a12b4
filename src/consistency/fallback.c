#include "consistency/fallback.h"

#include "base/clock.h"

#define BACK_OFF_FIRST_NS (50 * NS_PER_MS)
#define BACK_OFF_MOST_NS (60 * NS_PER_S)
#define WARNING_INTERVAL_NS (60 * NS_PER_S)

void fallback_init(struct fallback *state, enum level primary, enum level fallback, uint64_t now_ns)
{
	*state = (struct fallback){.primary = primary,
		.fallback = fallback == primary ? LEVEL_NONE : fallback,
		.since_ns = now_ns};
}

enum level fallback_level(const struct fallback *state)
{
	return state->is_down ? state->fallback : state->primary;
}

struct fallback_attempt fallback_begin(const struct fallback *state)
{
	return (struct fallback_attempt){.level = fallback_level(state), .turn = state->turn};
}

static void change_level(struct fallback *state, bool is_down, uint64_t now_ns)
{
	state->is_down = is_down;
	state->turn++;
	state->since_ns = now_ns;
	state->back_off_ns = BACK_OFF_FIRST_NS;
	state->next_probe_ns = now_ns + BACK_OFF_FIRST_NS;
}

static struct fallback_warning warn(struct fallback *state, uint64_t now_ns)
{
	if (state->has_warned && now_ns - state->warned_ns < WARNING_INTERVAL_NS) {
		state->swallowed++;
		return (struct fallback_warning){0};
	}
	struct fallback_warning warning = {.is_due = true, .swallowed = state->swallowed};
	state->has_warned = true;
	state->warned_ns = now_ns;
	state->swallowed = 0;
	state->is_told = true;
	return warning;
}

bool fallback_may_try_again(const struct fallback *state, struct fallback_attempt attempt)
{
	return state->fallback != LEVEL_NONE && state->pin == FALLBACK_FREE &&
	       attempt.level == state->primary;
}

enum level fallback_failed(struct fallback *state, struct fallback_attempt attempt,
	const struct failure *failure, uint64_t now_ns, bool *ret_changed,
	struct fallback_warning *ret_warning)
{
	*ret_changed = false;
	*ret_warning = (struct fallback_warning){0};
	if (!fallback_may_try_again(state, attempt) || !failure_means_fallback(failure))
		return LEVEL_NONE;
	/* What was on its way when the level changed says nothing about the level now in force. */
	if (attempt.turn == state->turn) {
		*ret_changed = true;
		state->failures++;
		change_level(state, true, now_ns);
		state->is_told = false;
		*ret_warning = warn(state, now_ns);
	}
	return state->fallback;
}

uint64_t fallback_next_probe_ns(const struct fallback *state)
{
	bool is_wanted = state->is_down && state->pin == FALLBACK_FREE && !state->is_probing;
	return is_wanted ? state->next_probe_ns : UINT64_MAX;
}

bool fallback_begin_probe(struct fallback *state, uint64_t now_ns)
{
	if (fallback_next_probe_ns(state) > now_ns)
		return false;
	state->is_probing = true;
	return true;
}

void fallback_end_probe(struct fallback *state, bool has_worked, uint64_t now_ns, bool *ret_changed,
	struct fallback_warning *ret_warning)
{
	*ret_changed = false;
	*ret_warning = (struct fallback_warning){0};
	state->is_probing = false;
	/* Pinned while it was under way: the hand decides. */
	if (!state->is_down || state->pin != FALLBACK_FREE)
		return;
	if (has_worked) {
		*ret_changed = true;
		*ret_warning = (struct fallback_warning){
			.is_due = state->is_told, .swallowed = state->swallowed};
		change_level(state, false, now_ns);
		return;
	}
	state->failures++;
	state->back_off_ns = MIN_OF(state->back_off_ns * 2, BACK_OFF_MOST_NS);
	state->next_probe_ns = now_ns + state->back_off_ns;
	*ret_warning = warn(state, now_ns);
}

bool fallback_hold(struct fallback *state, enum fallback_pin pin, uint64_t now_ns)
{
	if (state->fallback == LEVEL_NONE)
		return false;
	bool is_down = pin == FALLBACK_PINNED_FALLBACK;
	if (is_down != state->is_down)
		change_level(state, is_down, now_ns);
	state->pin = pin;
	return true;
}

void fallback_release(struct fallback *state, uint64_t now_ns)
{
	if (state->pin == FALLBACK_FREE)
		return;
	state->pin = FALLBACK_FREE;
	state->back_off_ns = BACK_OFF_FIRST_NS;
	state->next_probe_ns = now_ns;
}
