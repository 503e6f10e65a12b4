#include "session/watch.h"

#include <stdlib.h>

#include "base/hash_map.h"
#include "session/session_private.h"

#define SHARDS 64

/* One session's wish for one key, in two lists: the key's and the session's. */
struct watch {
	struct session *session;
	struct watch_key *key;
	struct watch *next_of_key, **link_of_key; /* under the shard's lock */
	struct watch *next_of_session;            /* the session's step's own */
};

struct watch_key {
	struct slice bytes;
	struct watch *first;
};

struct shard {
	struct mutex lock;
	struct hash_map keys; /* under lock: struct watch_key */
};

static struct shard shards[SHARDS] = {[0 ... SHARDS - 1] = {.lock = MUTEX_INIT}};

static void (*key_listener)(void *context, struct slice key, bool is_watched);
static void *key_listener_context;

void watch_listen(void (*listener)(void *context, struct slice key, bool is_watched), void *context)
{
	key_listener = listener;
	key_listener_context = context;
}

static void tell_listener(struct slice key, bool is_watched)
{
	if (key_listener)
		key_listener(key_listener_context, key, is_watched);
}

static struct shard *shard_of(struct slice key)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (uint8_t)key.ptr[i]) * 16777619u;
	return &shards[hash % SHARDS];
}

static struct watch_key *key_get(struct shard *shard, struct slice bytes)
{
	struct watch_key *key = hash_map_find(&shard->keys, bytes);
	if (key)
		return key;
	key = HEAP_NEW(struct watch_key);
	*key = (struct watch_key){.bytes = slice_of(heap_cstr(bytes), bytes.len)};
	hash_map_put(&shard->keys, bytes, key);
	tell_listener(key->bytes, true);
	return key;
}

static void unlink_watch(struct shard *shard, struct watch *watch)
{
	AUTO_LOCK(&shard->lock);
	struct watch_key *key = watch->key;
	*watch->link_of_key = watch->next_of_key;
	if (watch->next_of_key)
		watch->next_of_key->link_of_key = watch->link_of_key;
	if (key->first)
		return;
	hash_map_remove(&shard->keys, key->bytes);
	tell_listener(key->bytes, false);
	free((void *)(uintptr_t)key->bytes.ptr);
	free(key);
}

void session_watch(struct session *session, struct slice key)
{
	for (struct watch *watch = session->watches; watch; watch = watch->next_of_session)
		if (slice_equal(watch->key->bytes, key))
			return;
	struct watch *watch = HEAP_NEW(struct watch);
	*watch = (struct watch){.session = session, .next_of_session = session->watches};
	session->watches = watch;

	struct shard *shard = shard_of(key);
	AUTO_LOCK(&shard->lock);
	struct watch_key *watched = key_get(shard, key);
	watch->key = watched;
	watch->next_of_key = watched->first;
	watch->link_of_key = &watched->first;
	if (watched->first)
		watched->first->link_of_key = &watch->next_of_key;
	watched->first = watch;
}

void session_unwatch(struct session *session, struct slice key)
{
	struct watch **link = &session->watches;
	while (*link && !slice_equal((*link)->key->bytes, key))
		link = &(*link)->next_of_session;
	struct watch *watch = *link;
	if (!watch)
		return;
	*link = watch->next_of_session;
	unlink_watch(shard_of(key), watch);
	free(watch);
}

void session_unwatch_all(struct session *session)
{
	while (session->watches)
		session_unwatch(session, session->watches->key->bytes);
}

void watch_keys(struct arena *arena, struct slice **ret_keys, size_t *ret_count)
{
	size_t capacity = 64;
	size_t count = 0;
	struct slice *keys = ARENA_ARRAY(arena, struct slice, capacity);
	for (size_t i = 0; i < SHARDS; i++) {
		AUTO_LOCK(&shards[i].lock);
		struct hash_cursor cursor = {0};
		struct slice key;
		while (hash_map_next(&shards[i].keys, &cursor, &key, NULL)) {
			if (count == capacity) {
				struct slice *more = ARENA_ARRAY(arena, struct slice, capacity * 2);
				memcpy(more, keys, count * sizeof(*keys));
				keys = more;
				capacity *= 2;
			}
			keys[count++] = arena_dup(arena, key);
		}
	}
	*ret_keys = keys;
	*ret_count = count;
}

void watch_wake(struct slice key)
{
	struct shard *shard = shard_of(key);
	AUTO_LOCK(&shard->lock);
	const struct watch_key *watched = hash_map_find(&shard->keys, key);
	for (struct watch *watch = watched ? watched->first : NULL; watch;
		watch = watch->next_of_key)
		session_wake(watch->session);
}
