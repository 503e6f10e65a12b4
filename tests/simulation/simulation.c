/* Runs the real mailbox code over a failing engine, many clients on one thread, repeatable by seed,
 * and holds what it shows against a simple model.
 *
 *   simulation --seed 7 --scenarios 300      300 scenarios from seed 7 on
 *   simulation --planted                     shows that each planted bug is found
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/world.h"
#include "blob/blob_inline.h"
#include "simulation/clients.h"
#include "simulation/fibers.h"
#include "simulation/worlds.h"

static struct sim_world world;

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "simulation: cannot be set up: %s\n", err->message);
	exit(2);
}

static void start_node(struct sim_world *w, int number)
{
	struct sim_node *node = &w->nodes[number];
	node->store = mail_store_new(node->engine, node->ledger, w->blobs[number]);
	node->is_down = false;
}

static void set_up(struct sim_world *w)
{
	AUTO_OP(op, "set-up");
	world_open(w);
	w->account.uuid = uuid_v7();
	w->boxes[0] = SLICE("INBOX");
	w->boxes[1] = SLICE("Archive");
	w->boxes[2] = SLICE("Trash");
	/* Small, so that trimming, mapping and waiting happen. */
	commit_settings.tail_entries = 6 + sim_below(12);
	commit_settings.group_changes = 1 + sim_below(6);
	commit_settings.resolve_budget_ms = 20 + sim_below(200);
	for (int i = 0; i < w->node_count; i++) {
		/* The nodes may be told differently: each reads what the other has stored. */
		w->blobs[i] = blob_inline_new(blob_engine_new(w->nodes[i].engine),
			w->nodes[i].engine, sim_below(2) ? BLOB_INLINE_MOST : 0);
		must(ledger_open(&op, NULL, &w->nodes[i].ledger));
		fibers_set_skew(i, (int64_t)sim_below(2000000) - 1000000);
		start_node(w, i);
	}
	must(mail_store_make_account(&op, w->nodes[0].store, w->account, SLICE("a@example.org")));
	world_set_faults(w, true);
}

struct worker {
	struct sim_world *world;
	int node;
};

static void work_run(void *argument)
{
	struct worker *worker = argument;
	struct sim_world *w = worker->world;
	while (w->clients_left > 0) {
		struct sim_node *node = &w->nodes[worker->node];
		if (!node->is_down) {
			AUTO_OP(op, "work");
			node->busy++;
			mail_store_work(&op, node->store);
			world_work(w, worker->node);
			node->busy--;
		}
		clock_sleep_ns(30 * NS_PER_MS);
	}
}

/* kill -9: from one step to the next nothing of the node has any effect, and nobody hears from it.
 * Its memory goes; its ledger stays. */
static void crash_node(struct sim_world *w, int number)
{
	struct sim_node *node = &w->nodes[number];
	struct ledger_entry *entries;
	size_t count;
	AUTO_OP(op, "crash");
	node->is_down = true;
	node->crashes++;
	w->cut_off += (unsigned)(node->busy + node->contents_besides);
	world_set_node_down(w, number, true);
	ledger_list(&op, node->ledger, &entries, &count);
	/* What was still running finds the engine gone and ends. */
	while (node->busy)
		clock_sleep_ns(5 * NS_PER_MS);
	mail_store_free(node->store);
	ledger_close(node->ledger);
	must(ledger_open(&op, NULL, &node->ledger));
	for (size_t i = 0; i < count; i++)
		must(ledger_record(&op, node->ledger, &entries[i]));
	world_set_node_down(w, number, false);
	start_node(w, number);
}

static void crash_run(void *argument)
{
	struct worker *worker = argument;
	struct sim_world *w = worker->world;
	while (w->clients_left > 0) {
		clock_sleep_ns((20 + sim_below(300)) * NS_PER_MS);
		if (w->clients_left > 0 && sim_below(3) == 0)
			crash_node(w, worker->node);
	}
}

/* Stops the first node for long now and then, and lets the other tidy content away meanwhile. The
 * times are those of a server made short; a grace period is still longer than the age at which a
 * commit takes content, with clocks as far apart as they are here. */
#define CONTENT_AGE_MS 1500
#define GRACE_US (6 * US_PER_S)

static void stop_run(void *argument)
{
	struct sim_world *w = argument;
	while (w->clients_left > 0) {
		clock_sleep_ns((50 + sim_below(400)) * NS_PER_MS);
		w->nodes[0].stopped_until_ns = clock_monotonic_ns() + 20 * NS_PER_S;
		clock_sleep_ns(20 * NS_PER_S);
	}
}

static void janitor_run(void *argument)
{
	struct sim_world *w = argument;
	while (w->clients_left > 0) {
		clock_sleep_ns((500 + sim_below(1000)) * NS_PER_MS);
		struct sim_node *node = &w->nodes[1];
		if (node->is_down)
			continue;
		AUTO_OP(op, "janitor");
		struct audit_report report;
		size_t removed;
		node->busy++;
		/* What fails is done the next time. */
		struct error *err = mail_store_tidy(&op, node->store, GRACE_US, &report);
		if (!err)
			err = mail_store_reclaim(&op, node->store, GRACE_US, &removed);
		node->busy--;
		(void)err;
	}
}

static void work_until_quiet(struct sim_world *w)
{
	for (int round = 0; round < 40; round++) {
		size_t open = 0;
		for (int i = 0; i < w->node_count; i++) {
			AUTO_OP(op, "heal");
			mail_store_work(&op, w->nodes[i].store);
			open += ledger_length(w->nodes[i].ledger);
		}
		clock_sleep_ns(2 * NS_PER_S);
		if (round > 18 && !open) /* past the next sweep */
			return;
	}
	sim_fail(w, "the ledger is not empty after healing");
}

/* So old are the sweeper's notes when it clears them, not before it has looked for good. */
#define NOTES_LAST_NS (3 * 3600 * NS_PER_S)

static void heal(struct sim_world *w)
{
	world_set_faults(w, false);
	/* Some hints arrive only days later. A coordinator gives up sooner than notes go: Cassandra
	 * drops what is older than its time-outs. */
	if (sim_below(2))
		world_settle(w);
	work_until_quiet(w);
	world_end_paused(w);
	clock_sleep_ns(NOTES_LAST_NS);
	if (!w->failure[0])
		work_until_quiet(w);
}

static void tear_down(struct sim_world *w)
{
	for (int i = 0; i < w->node_count; i++) {
		mail_store_free(w->nodes[i].store);
		ledger_close(w->nodes[i].ledger);
		blob_store_close(w->blobs[i]);
	}
	world_close(w);
}

static void run_scenario(struct sim_world *w, uint64_t seed, int bug)
{
	static struct client clients[CLIENTS_MAX];
	static struct worker workers[NODES];
	*w = (struct sim_world){.seed = seed, .subscriptions = -1};
	fibers_init(seed, bug);
	set_up(w);
	int count = 2 + (int)sim_below(CLIENTS_MAX - 1);
	w->clients_left = count;
	w->clients_roam = sim_below(2);
	for (int i = 0; i < count; i++) {
		clients[i] = (struct client){.world = w,
			.number = i,
			.node = i % w->node_count,
			.operations = 6 + (int)sim_below(20)};
		fiber_start(clients[i].node, client_run, &clients[i]);
	}
	bool with_crashes = sim_below(2);
	for (int i = 0; i < w->node_count; i++) {
		workers[i] = (struct worker){.world = w, .node = i};
		fiber_start(i, work_run, &workers[i]);
		if (with_crashes)
			fiber_start(i, crash_run, &workers[i]);
	}
	if (w->kind == SIM_CLUSTER)
		fiber_start(0, world_weather, w);
	bool is_wanted = sim_below(4) == 0 || is_planted(BUG_LATE_COMMIT);
	w->has_stops = w->node_count > 1 && is_wanted;
	if (w->has_stops) {
		commit_settings.content_age_ms = CONTENT_AGE_MS;
		fiber_start(0, stop_run, w);
		fiber_start(1, janitor_run, w);
	}
	fibers_run();
	if (!w->failure[0])
		heal(w);
	if (!w->failure[0])
		check_world(w, w->nodes[0].store, "after healing");
	if (!w->failure[0])
		check_vault(w, w->nodes[0].store);
	if (!w->failure[0])
		check_reclaim(w, w->nodes[0].store);
	world_settle(w);
	if (!w->failure[0])
		check_content(w, w->nodes[0].store);
	if (!w->failure[0]) {
		mail_store_free(w->nodes[0].store);
		start_node(w, 0);
		check_world(w, w->nodes[0].store, "after a fresh start");
	}
	tear_down(w);
	fibers_done();
}

/* In a process of its own: then nothing but the seed decides. True when all was right. */
static bool scenario_is_right(uint64_t seed, int bug, bool is_quiet)
{
	fflush(stdout);
	pid_t child = fork();
	if (child < 0) {
		perror("simulation: fork");
		exit(2);
	}
	if (!child) {
		log_set_level(LOG_LEVEL_ERROR);
		if (is_quiet) {
			if (!freopen("/dev/null", "w", stderr))
				_exit(2);
			log_set_level(LOG_LEVEL_ERROR + 1);
		}
		run_scenario(&world, seed, bug);
		if (world.failure[0])
			fprintf(stderr, "simulation: seed %llu: %s\n", (unsigned long long)seed,
				world.failure);
		/* The leak check runs at a normal exit. */
		exit(world.failure[0] != 0);
	}
	int status;
	if (waitpid(child, &status, 0) != child)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int show_planted(uint64_t seed, unsigned scenarios)
{
	static const struct {
		const char *name;
		unsigned before; /* so many scenarios were tried in vain once: they are left out */
	} bugs[BUG_COUNT] = {
		[BUG_LOST_PROJECTION] = {"lost projection"},
		[BUG_DOUBLED_UID] = {"doubled UID"},
		[BUG_GUESSED_OUTCOME] = {"guessed outcome"},
		[BUG_SKIPPED_FSYNC] = {"skipped fsync", 325},
		[BUG_TRIMMED_EARLY] = {"trimmed too early"},
		[BUG_TRIMMED_APPLIED] = {"trimmed below what is applied"},
		[BUG_TORN_HEAD] = {"torn head"},
		[BUG_HASTY_VERDICT] = {"hasty verdict", 32},
		[BUG_RESENT_CAS] = {"CAS sent again at the fallback"},
		[BUG_APPLIED_ALONE] = {"change applied by itself"},
		[BUG_FORGOTTEN_PLACE] = {"shared content removed"},
		[BUG_LATE_COMMIT] = {"commit sent after its content's grace", 940},
		[BUG_MIXED_BATCH] = {"row deleted and inserted in one batch"},
	};
	int missed = 0;
	for (int bug = BUG_NONE + 1; bug < BUG_COUNT; bug++) {
		unsigned tried = 0;
		bool found = false;
		while (!found && tried < scenarios)
			found = !scenario_is_right(seed + bugs[bug].before + tried++, bug, true);
		if (found)
			printf("planted %s: found in scenario %u\n", bugs[bug].name, tried);
		else
			printf("planted %s: NOT FOUND in %u scenarios\n", bugs[bug].name,
				scenarios);
		missed += !found;
	}
	printf("%d passed, %d failed\n", BUG_COUNT - 1 - missed, missed);
	return missed != 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	unsigned scenarios = 0;
	int bug = BUG_NONE;
	bool planted = false;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--scenarios") && i + 1 < argc)
			scenarios = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--bug") && i + 1 < argc)
			bug = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--planted"))
			planted = true;
		else {
			fprintf(stderr, "usage: simulation [--seed N] [--scenarios N] [--bug N] "
					"[--planted]\n");
			return 2;
		}
	}
	if (!scenarios)
		scenarios = planted ? 3000 : 300;
	if (planted)
		return show_planted(seed, scenarios);
	unsigned failed = 0;
	for (unsigned i = 0; i < scenarios; i++)
		failed += !scenario_is_right(seed + i, bug, false);
	printf("simulation: %u scenarios from seed %llu: %u passed, %u failed\n", scenarios,
		(unsigned long long)seed, scenarios - failed, failed);
	return failed != 0;
}
