#pragma once

/* What is known of the addresses that connect: how many connections each has, and how often it
 * named a wrong password lately. IPv6 addresses count as their /64. Any thread. */

#include <netinet/in.h>

#include "base/macros.h"

#define PEER_TEXT_SIZE 56

struct peer_address {
	uint8_t key[16]; /* the IPv4 address mapped, or the /64 */
	uint16_t port;
	bool is_loopback;
	char text[PEER_TEXT_SIZE];
};

void peer_address_from(const struct sockaddr *address, struct peer_address *ret_peer);

/* Counts a connection; false (and not counted) past `limit`. */
MUST_CHECK bool peer_connect(const struct peer_address *address, uint64_t limit);
void peer_disconnect(const struct peer_address *address);

/* Counts a failure and returns how many there were without a pause of ten minutes. */
uint64_t peer_failed(const struct peer_address *address);

/* How many addresses are remembered now; there is a bound. */
size_t peer_remembered(void);
