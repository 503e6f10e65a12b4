/* What the stores alone give, without Holdfast: its CQL and S3 clients in a loop.
 *     bare_store cas|insert THREADS SECONDS PARTITIONS BYTES HOST DATACENTRE REPLICAS
 *     bare_store put THREADS SECONDS PARTITIONS BYTES ENDPOINT BUCKET ACCESS-KEY SECRET-FILE
 *     bare_store put+insert ... HOST DATACENTRE REPLICAS ENDPOINT BUCKET ACCESS-KEY SECRET-FILE
 * cas: a conditional batch like a commit (a condition on a static column, one row beside it), each
 * thread on partitions of its own; insert: one row at the local quorum; put: one object,
 * create-only. Two seconds warm up. Prints one line of JSON, latencies in microseconds. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/sync.h"
#include "blob/blob_s3.h"
#include "latencies.h"
#include "wire/cql/cql.h"

#define LATENCIES_MOST (1u << 20)
#define THREADS_MOST 1024

static struct cql_cluster *cluster;
static struct blob_store *blobs;
static struct cql_statement *create, *update, *insert_row, *insert;
static const char *what;
static unsigned thread_count = 1, partition_count = 1024, bytes = 300;
static double run_seconds = 10;
static uint64_t begin_ns, stop_ns;
static uint32_t *latencies;
static _Atomic size_t latency_count;
static _Atomic uint64_t errors;
static uint8_t content[4 << 20];

static void fail(const char *words, const char *more) NORETURN;

static void fail(const char *words, const char *more)
{
	fprintf(stderr, "bare_store: %s: %s\n", words, more);
	exit(1);
}

static void begin_op(struct op *op)
{
	op_init(op, "bare_store");
	op->deadline_ns = clock_monotonic_ns() + 30 * NS_PER_S;
}

static bool execute(struct op *op, const struct cql_bound *statements, size_t count,
	struct slice partition, bool *ret_applied)
{
	struct cql_request request = {.statements = statements,
		.count = count,
		.batch = count > 1 ? CQL_BATCH_UNLOGGED : CQL_NO_BATCH,
		.level = CQL_LOCAL_QUORUM,
		.serial_level = CQL_LOCAL_SERIAL,
		.routing_key = partition};
	struct cql_result result;
	struct cql_failure why;
	struct error *err = cql_execute(op, cluster, &request, &result, &why);
	if (err && !errors)
		fprintf(stderr, "bare_store: %s\n", error_chain(&op->arena, err));
	*ret_applied = !err;
	if (!err && result.column_count)
		cql_to_boolean(cql_at(&result, 0, 0), ret_applied);
	return !err;
}

/* One change of a partition whose modseq is known: 0 makes it. */
static bool cas(struct op *op, struct slice partition, uint64_t *modseq)
{
	struct cql_value old = cql_from_bigint(&op->arena, (int64_t)*modseq);
	struct cql_value new = cql_from_bigint(&op->arena, (int64_t)*modseq + 1);
	struct cql_value key = cql_from_bytes(partition);
	struct cql_value value = cql_from_bytes(slice_of(content, bytes));
	struct cql_value state = cql_from_bytes(slice_of(content, 100));
	const struct cql_value head[] = {new, state, key, old};
	const struct cql_value row[] = {key, new, value};
	const struct cql_bound batch[] = {
		{.statement = *modseq ? update : create,
			.values = head,
			.value_count = *modseq ? 4 : 3},
		{.statement = insert_row, .values = row, .value_count = 3},
	};
	bool applied;
	bool answered = execute(op, batch, 2, partition, &applied);
	if (answered && applied)
		++*modseq;
	return answered && applied;
}

static bool insert_one(struct op *op)
{
	struct uuid id = uuid_random();
	struct slice partition = slice_of(&id, sizeof(id));
	const struct cql_value row[] = {cql_from_bytes(partition), cql_from_bytes(partition),
		cql_from_bytes(slice_of(content, MIN(bytes, 300u)))};
	const struct cql_bound bound = {.statement = insert, .values = row, .value_count = 3};
	bool applied;
	return execute(op, &bound, 1, partition, &applied);
}

static bool put_one(struct op *op)
{
	struct blob_id id = {.uuid = uuid_random()};
	struct slice all = slice_of(content, bytes);
	uint8_t sha256[SHA256_SIZE];
	sha256_of(all, sha256);
	struct error *err = blob_put(blobs, op, id, all, slice_of(sha256, sizeof(sha256)), NULL);
	if (err && !errors)
		fprintf(stderr, "bare_store: %s\n", error_chain(&op->arena, err));
	return !err;
}

/* One partition of this thread's own, under a name that is new in this run. */
struct own_partition {
	char name[40];
	uint64_t modseq;
};

static void name_partition(struct own_partition *partition)
{
	snprintf(partition->name, sizeof(partition->name), "%016" PRIx64, random_u64());
	partition->modseq = 0;
}

static bool do_one(struct op *op, struct own_partition *partition)
{
	if (strcmp(what, "cas") == 0)
		return cas(
			op, slice_of(partition->name, strlen(partition->name)), &partition->modseq);
	if (strcmp(what, "insert") == 0)
		return insert_one(op);
	if (strcmp(what, "put") == 0)
		return put_one(op);
	return put_one(op) && insert_one(op);
}

static void note(uint64_t begun, uint64_t ended)
{
	if (begun < begin_ns || ended >= stop_ns)
		return;
	size_t slot = latency_count++;
	if (slot < LATENCIES_MOST)
		latencies[slot] = (uint32_t)((ended - begun) / 1000);
}

static void *work(void *argument)
{
	unsigned number = (unsigned)(uintptr_t)argument;
	unsigned count = (partition_count - number + thread_count - 1) / thread_count;
	struct own_partition *own = calloc(count, sizeof(*own));
	for (unsigned i = 0; i < count; i++)
		name_partition(&own[i]);
	for (unsigned turn = 0; clock_monotonic_ns() < stop_ns; turn++) {
		struct op op;
		begin_op(&op);
		uint64_t begun = clock_monotonic_ns();
		bool is_done = do_one(&op, &own[turn % count]);
		op_done(&op);
		if (is_done) {
			note(begun, clock_monotonic_ns());
		} else {
			errors++;
			name_partition(&own[turn % count]);
		}
	}
	free(own);
	return NULL;
}

/* ---- before and after ---- */

static void run_text(const char *text)
{
	struct op op;
	begin_op(&op);
	struct cql_bound bound = {.text = text};
	struct cql_request request = {.statements = &bound, .count = 1, .level = CQL_LOCAL_QUORUM};
	struct cql_result result;
	struct cql_failure why;
	struct error *err = cql_execute(&op, cluster, &request, &result, &why);
	bool agreed = false;
	if (!err)
		err = cql_await_schema_agreement(&op, cluster, &agreed);
	if (err)
		fail(text, error_chain(&op.arena, err));
	op_done(&op);
}

static void open_cassandra(const char *host, const char *datacenter, const char *copies)
{
	struct op op;
	begin_op(&op);
	struct cql_options options = cql_default_options();
	options.contact_points = &host;
	options.contact_point_count = 1;
	options.datacenter = datacenter;
	options.request_timeout_ms = 30000;
	struct error *err = cql_cluster_open(&op, &options, &cluster);
	if (err)
		fail("cassandra", error_chain(&op.arena, err));
	run_text(arena_printf(&op.arena,
		"CREATE KEYSPACE IF NOT EXISTS bare WITH replication = {'class': "
		"'NetworkTopologyStrategy', '%s': %s}",
		datacenter, copies));
	run_text("CREATE TABLE IF NOT EXISTS bare.account (partition blob, key bigint, modseq "
		 "bigint "
		 "static, state blob static, value blob, PRIMARY KEY (partition, key))");
	run_text("CREATE TABLE IF NOT EXISTS bare.message (partition blob, key blob, value blob, "
		 "PRIMARY KEY (partition, key))");
	create = cql_statement(cluster,
		"UPDATE bare.account SET modseq = ?, state = ? WHERE partition = ? IF modseq = "
		"null",
		false);
	update = cql_statement(cluster,
		"UPDATE bare.account SET modseq = ?, state = ? WHERE partition = ? IF modseq = ?",
		false);
	insert_row = cql_statement(cluster,
		"INSERT INTO bare.account (partition, key, value) VALUES (?, ?, ?)", false);
	insert = cql_statement(
		cluster, "INSERT INTO bare.message (partition, key, value) VALUES (?, ?, ?)", true);
	op_done(&op);
}

static void open_s3(const char *endpoint, const char *bucket, const char *key, const char *secret)
{
	struct op op;
	begin_op(&op);
	const struct blob_s3_config config = {.client = {.endpoint = endpoint,
						      .region = "us-east-1",
						      .bucket = bucket,
						      .access_key = key,
						      .create_only = true,
						      .connect_ms = 3000,
						      .stall_ms = 10000,
						      .tries = 3,
						      .parallel = 4,
						      .part_bytes = MIB(8)},
		.prefix = "bare/",
		.secret_file = secret};
	struct error *err = blob_s3_open(&op, &config, &blobs);
	if (err)
		fail("s3", error_chain(&op.arena, err));
	op_done(&op);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		fail("usage", "see the comment in bare_store.c");
	what = argv[1];
	thread_count = (unsigned)atoi(argv[2]);
	run_seconds = atof(argv[3]);
	partition_count = (unsigned)atoi(argv[4]);
	bytes = (unsigned)atoi(argv[5]);
	if (!thread_count || thread_count > THREADS_MOST || partition_count < thread_count ||
		bytes > sizeof(content))
		fail("usage", "threads, partitions or bytes out of range");
	char **more = argv + 6;
	if (strcmp(what, "put") != 0)
		open_cassandra(more[0], more[1], more[2]), more += 3;
	if (strstr(what, "put"))
		open_s3(more[0], more[1], more[2], more[3]);
	memset(content, 'x', sizeof(content));
	latencies = calloc(LATENCIES_MOST, sizeof(*latencies));
	begin_ns = clock_monotonic_ns() + 2 * NS_PER_S;
	stop_ns = begin_ns + (uint64_t)(run_seconds * 1e9);
	pthread_t threads[THREADS_MOST];
	for (unsigned i = 0; i < thread_count; i++)
		pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
	size_t noted = MIN((size_t)latency_count, (size_t)LATENCIES_MOST);
	latencies_report(latencies, noted, errors, run_seconds);
	if (cluster)
		cql_cluster_close(cluster);
	blob_store_close(blobs);
	free(latencies);
	return 0;
}
