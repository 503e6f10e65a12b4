/* The contract of an index over a real OpenSearch, which tests/engines starts: its address is the
 * first argument. */

#include "base/test.h"

#include "base/random.h"
#include "index/contract.h"
#include "index/opensearch/opensearch.h"

static const char *hosts;
static const char *name;

/* Each test has an account of its own, so one index will do for all. */
static struct index *open_index(struct op *op)
{
	struct index *index;
	const struct opensearch_options options = {.hosts = hosts,
		.name = name,
		.connect_ms = 5000,
		.search_ms = 30000,
		.write_ms = 60000,
		.refresh_ms = 20,
		.shards = 2,
		.replicas = 0,
		.rules = 7,
		.has_words = true,
		.has_attached = true};
	struct error *err = opensearch_open(op, &options, &index);
	if (err)
		fail_msg("%s", error_chain(&op->arena, err));
	return index;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: test_opensearch_contract HOSTS NAME\n", stderr);
		return 2;
	}
	hosts = argv[1];
	name = argv[2];
	return index_contract_run("index/opensearch", open_index);
}
