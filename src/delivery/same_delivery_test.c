#include "base/test.h"

#include "delivery/same_delivery.h"

static void only_the_topmost_received_counts_and_only_its_own_words(void **state)
{
	(void)state;
	static const struct {
		const char *content;
		bool has_id;
	} cases[] = {
		{"Received: from a by b with SMTP id x1; Mon, 1 Jan 2024 00:00:00 +0000\r\n", true},
		{"Subject: s\r\nreceived: by b ID x1;\r\n\r\n", true},
		{"Received: from a\r\n\tby b\r\n\tid x1\r\n\tfor <c@d>; date\r\n", true},
		{"Received: from a by b; Mon\r\nReceived: by c id x1; Mon\r\n", false},
		{"Received: from a (id x1 (more)) by b; Mon\r\n", false},
		{"Received: from a (\\) id x1) by b; Mon\r\n", false},
		{"Received: by b; id x1\r\n", false},
		{"Received: by b id; Mon\r\n", false},
		{"Received: by b id (x1); Mon\r\n", false},
		{"Received: by identity; Mon\r\n", false},
		{"Received: (never ends id x1", false},
		{"Received:", false},
		{"Subject: s\r\n\r\nReceived: by b id x1; Mon\r\n", false},
		{"", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(content_has_received_id(slice_from_cstr(cases[i].content)),
			cases[i].has_id);
}

static void a_key_differs_when_anything_does(void **state)
{
	(void)state;
	struct delivery_mail mail = {.sender = SLICE("ab"), .content = SLICE("c")};
	struct delivery_recipient recipient = {.address = SLICE("d"), .parameters = SLICE("e")};
	delivery_prepare(&mail);
	uint8_t first[ONCE_KEY_SIZE], again[ONCE_KEY_SIZE], other[ONCE_KEY_SIZE];
	delivery_once_key(&mail, &recipient, first);
	delivery_once_key(&mail, &recipient, again);
	assert_memory_equal(first, again, ONCE_KEY_SIZE);

	/* The parts do not run into each other. */
	mail.sender = SLICE("a");
	mail.sender_parameters = SLICE("b");
	delivery_once_key(&mail, &recipient, other);
	assert_memory_not_equal(first, other, ONCE_KEY_SIZE);
	mail.sender = SLICE("ab");
	mail.sender_parameters = SLICE_NONE;
	mail.content = SLICE("C");
	delivery_prepare(&mail);
	delivery_once_key(&mail, &recipient, other);
	assert_memory_not_equal(first, other, ONCE_KEY_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_topmost_received_counts_and_only_its_own_words),
		cmocka_unit_test(a_key_differs_when_anything_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
