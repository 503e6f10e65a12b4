#include "base/test.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/peer.h"

static struct peer_address peer(const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct peer_address result;
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		peer_address_from((const struct sockaddr *)&v4, &result);
	} else {
		assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
		peer_address_from((const struct sockaddr *)&v6, &result);
	}
	return result;
}

static void addresses_are_known_by_their_network(void **state)
{
	(void)state;
	struct peer_address mapped = peer("::ffff:192.0.2.1"), plain = peer("192.0.2.1");
	assert_memory_equal(mapped.key, plain.key, sizeof(plain.key));
	assert_string_equal(mapped.text, "192.0.2.1");
	struct peer_address one = peer("2001:db8::1"), two = peer("2001:db8::2:0:0:1"),
			    far = peer("2001:db8:0:1::1");
	assert_memory_equal(one.key, two.key, sizeof(one.key));
	assert_memory_not_equal(one.key, far.key, sizeof(one.key));
	assert_true(peer("127.9.9.9").is_loopback);
	assert_true(peer("::1").is_loopback);
	assert_true(peer("::ffff:127.0.0.1").is_loopback);
	assert_false(peer("128.0.0.1").is_loopback);
}

static void connections_are_counted_for_each_address(void **state)
{
	(void)state;
	struct peer_address one = peer("192.0.2.1"), other = peer("192.0.2.2");
	assert_true(peer_connect(&one, 2));
	assert_true(peer_connect(&one, 2));
	assert_false(peer_connect(&one, 2));
	assert_true(peer_connect(&other, 2));
	peer_disconnect(&one);
	assert_true(peer_connect(&one, 2));
	peer_disconnect(&one);
	peer_disconnect(&one);
	peer_disconnect(&other);
}

static void failures_are_remembered_beyond_the_connection(void **state)
{
	(void)state;
	struct peer_address one = peer("192.0.2.3");
	assert_true(peer_connect(&one, 9));
	assert_int_equal(peer_failed(&one), 1);
	peer_disconnect(&one);
	assert_int_equal(peer_failed(&one), 2);
}

static void a_flood_of_addresses_takes_no_endless_memory(void **state)
{
	(void)state;
	struct peer_address address = peer("10.0.0.0");
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t bytes = htonl(0x0a000000 + i);
		memcpy(address.key + 12, &bytes, 4);
		assert_int_equal(peer_failed(&address), 1);
	}
	assert_true(peer_remembered() < 70000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_known_by_their_network),
		cmocka_unit_test(connections_are_counted_for_each_address),
		cmocka_unit_test(failures_are_remembered_beyond_the_connection),
		cmocka_unit_test(a_flood_of_addresses_takes_no_endless_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
