#include "net/peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash_map.h"
#include "base/sync.h"

#define FORGET_AFTER_NS (600 * NS_PER_S)

/* More than this many addresses with failures only: the quiet ones are forgotten. */
#define REMEMBERED_MAX 65536

struct peer {
	uint64_t connections;
	uint64_t failures;
	uint64_t last_failure_ns;
};

static struct mutex lock = MUTEX_INIT;
static struct hash_map peers; /* under lock */

static struct slice key_of(const struct peer_address *peer)
{
	return slice_of(peer->key, sizeof(peer->key));
}

static void from_v4(const struct in_addr *address, struct peer_address *peer)
{
	memcpy(peer->key, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	memcpy(peer->key + 12, address, 4);
	peer->is_loopback = (ntohl(address->s_addr) >> 24) == 127;
	inet_ntop(AF_INET, address, peer->text, sizeof(peer->text));
}

void peer_address_from(const struct sockaddr *address, struct peer_address *ret_peer)
{
	*ret_peer = (struct peer_address){0};
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;
		ret_peer->port = ntohs(v4->sin_port);
		from_v4(&v4->sin_addr, ret_peer);
		return;
	}
	if (address->sa_family != AF_INET6) {
		snprintf(ret_peer->text, sizeof(ret_peer->text), "local");
		ret_peer->is_loopback = true;
		return;
	}
	const struct sockaddr_in6 *v6 = (const void *)address;
	ret_peer->port = ntohs(v6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		struct in_addr v4;
		memcpy(&v4, v6->sin6_addr.s6_addr + 12, 4);
		from_v4(&v4, ret_peer);
		return;
	}
	memcpy(ret_peer->key, v6->sin6_addr.s6_addr, 8);
	ret_peer->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	inet_ntop(AF_INET6, &v6->sin6_addr, ret_peer->text, sizeof(ret_peer->text));
}

static struct peer *peer_get(const struct peer_address *address)
{
	struct peer *peer = hash_map_find(&peers, key_of(address));
	if (peer)
		return peer;
	peer = HEAP_NEW(struct peer);
	*peer = (struct peer){0};
	hash_map_put(&peers, key_of(address), peer);
	return peer;
}

static bool peer_is_forgettable(const struct peer *peer, uint64_t now_ns)
{
	return !peer->connections &&
	       (!peer->failures || now_ns - peer->last_failure_ns > FORGET_AFTER_NS);
}

static void forget_if_quiet(const struct peer_address *address, struct peer *peer)
{
	if (peer_is_forgettable(peer, clock_monotonic_ns()))
		free(hash_map_remove(&peers, key_of(address)));
}

/* The map must not change while it is walked: keys are copied out first, a page at a time. */
static void forget_the_quiet(bool failures_too)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct peer_address found[64];
	size_t count;
	do {
		count = 0;
		struct hash_cursor cursor = {0};
		struct slice key;
		void *value;
		while (count < ARRAY_SIZE(found) && hash_map_next(&peers, &cursor, &key, &value)) {
			const struct peer *peer = value;
			if (peer_is_forgettable(peer, now_ns) ||
				(failures_too && !peer->connections))
				memcpy(found[count++].key, key.ptr, sizeof(found[0].key));
		}
		for (size_t i = 0; i < count; i++)
			free(hash_map_remove(&peers, key_of(&found[i])));
	} while (count == ARRAY_SIZE(found));
}

bool peer_connect(const struct peer_address *address, uint64_t limit)
{
	AUTO_LOCK(&lock);
	struct peer *peer = peer_get(address);
	if (peer->connections < limit) {
		peer->connections++;
		return true;
	}
	forget_if_quiet(address, peer);
	return false;
}

void peer_disconnect(const struct peer_address *address)
{
	AUTO_LOCK(&lock);
	struct peer *peer = peer_get(address);
	if (peer->connections)
		peer->connections--;
	forget_if_quiet(address, peer);
}

uint64_t peer_failed(const struct peer_address *address)
{
	AUTO_LOCK(&lock);
	if (peers.count > REMEMBERED_MAX)
		forget_the_quiet(false);
	if (peers.count > REMEMBERED_MAX)
		forget_the_quiet(true);
	struct peer *peer = peer_get(address);
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns - peer->last_failure_ns > FORGET_AFTER_NS)
		peer->failures = 0;
	peer->last_failure_ns = now_ns;
	return ++peer->failures;
}

size_t peer_remembered(void)
{
	AUTO_LOCK(&lock);
	return peers.count;
}
