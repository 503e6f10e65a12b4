#include "mailbox/uid_set.h"

void uid_set_init(struct uid_set *set, struct arena *arena)
{
	*set = (struct uid_set){.arena = arena};
}

static void reserve_one(struct uid_set *set)
{
	if (set->count < set->capacity)
		return;
	size_t capacity = set->capacity ? set->capacity * 2 : 8;
	set->ranges = arena_grow(set->arena, set->ranges, set->capacity * sizeof(struct uid_range),
		capacity * sizeof(struct uid_range));
	set->capacity = capacity;
}

void uid_set_add(struct uid_set *set, uint32_t uid)
{
	uid_set_add_range(set, uid, uid);
}

/* Index of the first range that ends at or after `uid`. */
static size_t find_range(const struct uid_set *set, uint32_t uid)
{
	size_t low = 0;
	size_t high = set->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (set->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void uid_set_add_range(struct uid_set *set, uint32_t first, uint32_t last)
{
	if (first > last) {
		uint32_t swapped = first;
		first = last;
		last = swapped;
	}
	/* The first range that overlaps or touches [first, last], and the one after the last such.
	 */
	size_t from = find_range(set, first ? first - 1 : 0);
	size_t to = from;
	while (to < set->count && (last == UINT32_MAX || set->ranges[to].first <= last + 1)) {
		first = MIN_OF(first, set->ranges[to].first);
		last = MAX_OF(last, set->ranges[to].last);
		to++;
	}
	if (from == to) {
		reserve_one(set);
		memmove(&set->ranges[from + 1], &set->ranges[from],
			(set->count - from) * sizeof(struct uid_range));
		set->count++;
	} else {
		memmove(&set->ranges[from + 1], &set->ranges[to],
			(set->count - to) * sizeof(struct uid_range));
		set->count -= to - from - 1;
	}
	set->ranges[from] = (struct uid_range){first, last};
}

void uid_set_add_all(struct uid_set *set, const struct uid_set *more)
{
	for (size_t i = 0; i < more->count; i++)
		uid_set_add_range(set, more->ranges[i].first, more->ranges[i].last);
}

bool uid_set_contains(const struct uid_set *set, uint32_t uid)
{
	size_t at = find_range(set, uid);
	return at < set->count && set->ranges[at].first <= uid;
}

uint64_t uid_set_size(const struct uid_set *set)
{
	uint64_t size = 0;
	for (size_t i = 0; i < set->count; i++)
		size += (uint64_t)set->ranges[i].last - set->ranges[i].first + 1;
	return size;
}

void uid_set_print(const struct uid_set *set, struct buf *out)
{
	for (size_t i = 0; i < set->count; i++) {
		struct uid_range range = set->ranges[i];
		if (i)
			buf_append_char(out, ',');
		buf_decimal(out, range.first);
		if (range.first == range.last)
			continue;
		buf_append_char(out, ':');
		buf_decimal(out, range.last);
	}
}

void uid_set_encode(const struct uid_set *set, struct buf *out)
{
	buf_varint(out, set->count);
	uint32_t previous = 0;
	for (size_t i = 0; i < set->count; i++) {
		buf_varint(out, set->ranges[i].first - previous);
		buf_varint(out, set->ranges[i].last - set->ranges[i].first);
		previous = set->ranges[i].last;
	}
}

bool uid_set_decode(struct arena *arena, struct reader *reader, struct uid_set *ret_set)
{
	uid_set_init(ret_set, arena);
	uint64_t count = reader_varint(reader);
	if (count > reader->rest.len)
		return false;
	uint64_t previous = 0;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t first = previous + reader_varint(reader);
		uint64_t last = first + reader_varint(reader);
		bool ascends = (i == 0 || first > previous) && first <= last && last <= UINT32_MAX;
		if (reader->failed || !ascends)
			return false;
		reserve_one(ret_set);
		ret_set->ranges[ret_set->count++] =
			(struct uid_range){(uint32_t)first, (uint32_t)last};
		previous = last;
	}
	return true;
}
