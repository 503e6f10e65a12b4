#include "base/test.h"

#include "wire/cql/cql_murmur3.h"
#include "wire/cql/cql_ring.h"

/* What `SELECT token(k)` of Cassandra 5.0.5 answered. */
static void tokens_are_those_of_the_server(void **state)
{
	(void)state;
	static const struct {
		struct slice key;
		int64_t token;
	} cases[] = {
		{SLICE_INIT("\x61"), INT64_C(-8839064797231613815)},
		{SLICE_INIT("\xff"), INT64_C(-4442228696663692417)},
		{SLICE_INIT("\x00"), INT64_C(5048724184180415669)},
		{SLICE_INIT("\x80"), INT64_C(-5284281814142962636)},
		{SLICE_INIT("abcdefghijklmno"), INT64_C(-8449275918290243589)},
		{SLICE_INIT("abcdefghijklmnop"), INT64_C(-4266531025627334877)},
		{SLICE_INIT("\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91"
			    "\x92\x93"),
			INT64_C(1995756370061117460)},
		{SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
			INT64_C(-2195530867418009455)},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(cql_murmur3_token(cases[i].key), cases[i].token);
}

/* Nodes are told apart by their addresses only; the ring never looks into them. */
static struct cql_node *node_of(size_t number)
{
	static char places[16];
	return (struct cql_node *)&places[number];
}

static size_t number_of(const struct cql_node *node)
{
	size_t number = 0;
	while (node_of(number) != node)
		number++;
	return number;
}

/* The token of "a" is far below zero, so with tokens of 0, 10, 20... the walk begins at node 0. */
#define KEY SLICE("a")

static const int64_t tokens[][2] = {
	{0, 100}, {10, 110}, {20, 120}, {30, 130}, {40, 140}, {50, 150}};

static const struct cql_ring_option simple_options[] = {
	{SLICE_INIT("class"), SLICE_INIT("org.apache.cassandra.locator.SimpleStrategy")},
	{SLICE_INIT("replication_factor"), SLICE_INIT("3")}};
static const struct cql_ring_option two_options[] = {
	{SLICE_INIT("here"), SLICE_INIT("2")}, {SLICE_INIT("there"), SLICE_INIT("1/1")}};
static const struct cql_ring_option three_options[] = {{SLICE_INIT("here"), SLICE_INIT("3")}};
static const struct cql_ring_option many_options[] = {{SLICE_INIT("here"), SLICE_INIT("9")}};

static const struct cql_ring_keyspace keyspaces[] = {
	{.name = SLICE_INIT("simple"),
		.strategy = SLICE_INIT("org.apache.cassandra.locator.SimpleStrategy"),
		.options = simple_options,
		.option_count = 2},
	{.name = SLICE_INIT("two"),
		.strategy = SLICE_INIT("NetworkTopologyStrategy"),
		.options = two_options,
		.option_count = 2},
	{.name = SLICE_INIT("three"),
		.strategy = SLICE_INIT("NetworkTopologyStrategy"),
		.options = three_options,
		.option_count = 1},
	{.name = SLICE_INIT("many"),
		.strategy = SLICE_INIT("NetworkTopologyStrategy"),
		.options = many_options,
		.option_count = 1},
	{.name = SLICE_INIT("odd"), .strategy = SLICE_INIT("LocalStrategy")},
};

/* Nodes 0, 1, 3, 5 are here, in racks a, a, b, b; 2 and 4 are there. */
static struct cql_ring *given_ring(void)
{
	struct cql_ring_node nodes[6];
	for (size_t i = 0; i < 6; i++) {
		bool here = i != 2 && i != 4;
		nodes[i] = (struct cql_ring_node){.node = node_of(i),
			.is_local = here,
			.datacenter = here ? "here" : "there",
			.rack = i < 3 ? "a" : "b",
			.tokens = tokens[i],
			.token_count = 2};
	}
	return cql_ring_new(nodes, 6, keyspaces, ARRAY_SIZE(keyspaces));
}

/* "0 1 3 |..." */
static void then_plan_is(struct cql_ring *ring, struct cql_ring_query query, const char *wanted)
{
	struct cql_node *plan[CQL_PLAN_MAX];
	size_t count = cql_ring_plan(ring, &query, plan);
	char text[64] = "";
	for (size_t i = 0; i < count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%zu",
			number_of(plan[i]));
	assert_string_equal(text, wanted);
}

static void without_a_key_local_nodes_come_in_turn(void **state)
{
	(void)state;
	struct cql_ring *ring = given_ring();
	then_plan_is(ring, (struct cql_ring_query){.turn = 0}, "0135");
	then_plan_is(ring, (struct cql_ring_query){.turn = 3}, "5013");
	then_plan_is(ring, (struct cql_ring_query){.turn = 1, .remote = true}, "135042");
	then_plan_is(ring, (struct cql_ring_query){.keyspace = SLICE("odd"), .routing_key = KEY},
		"0135");
	then_plan_is(ring,
		(struct cql_ring_query){.keyspace = SLICE("unknown"), .routing_key = KEY}, "0135");
	cql_ring_unref(ring);
}

static void replicas_come_first(void **state)
{
	(void)state;
	struct cql_ring *ring = given_ring();
	struct cql_ring_query query = {.routing_key = KEY, .in_ring_order = true, .turn = 3};
	query.keyspace = SLICE("simple"); /* 0, 1, 2 */
	then_plan_is(ring, query, "0153");
	query.keyspace = SLICE("two"); /* 0 and, for its rack, 3 */
	then_plan_is(ring, query, "0351");
	query.keyspace = SLICE("three"); /* two racks, so one may repeat */
	then_plan_is(ring, query, "0135");
	query.keyspace = SLICE("many"); /* more than there are */
	then_plan_is(ring, query, "0135");
	cql_ring_unref(ring);
}

static void remote_replicas_come_before_other_remote_nodes(void **state)
{
	(void)state;
	struct cql_ring *ring = given_ring();
	struct cql_ring_query query = {
		.routing_key = KEY, .keyspace = SLICE("two"), .remote = true, .turn = 1};
	/* In turn: 3 before 0. */
	then_plan_is(ring, query, "301524");
	cql_ring_unref(ring);
}

static void an_empty_ring_plans_nothing(void **state)
{
	(void)state;
	struct cql_ring *ring = cql_ring_new(NULL, 0, keyspaces, ARRAY_SIZE(keyspaces));
	then_plan_is(ring,
		(struct cql_ring_query){
			.routing_key = KEY, .keyspace = SLICE("simple"), .remote = true},
		"");
	cql_ring_unref(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_those_of_the_server),
		cmocka_unit_test(without_a_key_local_nodes_come_in_turn),
		cmocka_unit_test(replicas_come_first),
		cmocka_unit_test(remote_replicas_come_before_other_remote_nodes),
		cmocka_unit_test(an_empty_ring_plans_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
