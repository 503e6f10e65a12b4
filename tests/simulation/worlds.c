#include "simulation/worlds.h"

#include "base/clock.h"
#include "consistency/levels.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "engine/model.h"
#include "simulation/fibers.h"

static const struct levels_config levels_by_centres[] = {
	{.kinds = {{LEVEL_LOCAL_QUORUM}, {LEVEL_LOCAL_QUORUM}, {LEVEL_LOCAL_QUORUM}},
		.serial = LEVEL_LOCAL_SERIAL,
		.attempt_timeout_ms = 500},
	{.kinds = {{LEVEL_LOCAL_QUORUM}, {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
		 {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM}},
		.serial = LEVEL_LOCAL_SERIAL,
		.attempt_timeout_ms = 500},
};

static void engine_step(void *context)
{
	struct sim_node *node = context;
	if (node->stopped_until_ns > clock_monotonic_ns())
		clock_sleep_ns(node->stopped_until_ns - clock_monotonic_ns());
	fiber_yield();
}

static void open_embedded(struct sim_world *w)
{
	w->rows = memory_engine_new(w->kind == SIM_ATOMIC);
	w->rows->is_shared = w->node_count > 1;
	for (int i = 0; i < w->node_count; i++) {
		w->nodes[i].engine = fault_engine_new(w->rows, sim_random());
		fault_on_step(w->nodes[i].engine, engine_step, &w->nodes[i]);
	}
}

static void open_cluster(struct sim_world *w)
{
	w->centres = 1 + sim_below(2);
	w->replicas = sim_below(4) ? 3 : 5;
	w->model = model_new(w->centres, w->replicas, sim_random());
	for (int i = 0; i < w->node_count; i++) {
		struct sim_node *node = &w->nodes[i];
		struct levels_config config = levels_by_centres[w->centres - 1];
		config.node_id = uuid_v7();
		node->store_of_model = model_store_new(w->model, 0);
		model_store_on_step(node->store_of_model, engine_step, node);
		node->engine = levels_engine_new(node->store_of_model, &config);
		node->engine->datacenter = SLICE("here");
		node->engine->has_remote_datacenters = w->centres > 1;
	}
	w->rows = w->nodes[0].engine;
}

void world_open(struct sim_world *w)
{
	static const enum sim_kind kinds[] = {SIM_ATOMIC, SIM_EMBEDDED, SIM_CLUSTER, SIM_CLUSTER};
	w->kind = kinds[sim_below(ARRAY_SIZE(kinds))];
	w->node_count = w->kind == SIM_ATOMIC ? 1 : 1 + (int)sim_below(NODES);
	if (w->kind == SIM_CLUSTER)
		open_cluster(w);
	else
		open_embedded(w);
}

void world_close(struct sim_world *w)
{
	if (w->kind == SIM_CLUSTER) {
		for (int i = 0; i < w->node_count; i++)
			engine_close(w->nodes[i].engine);
		model_free(w->model);
		return;
	}
	/* Each node's engine wraps the same rows: only the first may close them. */
	for (int i = 1; i < w->node_count; i++)
		fault_drop_late(w->nodes[i].engine);
	engine_close(w->nodes[0].engine);
}

static void calm(struct sim_world *w)
{
	model_set_cut(w->model, false);
	for (unsigned centre = 0; centre < w->centres; centre++)
		for (unsigned i = 0; i < w->replicas; i++)
			model_set_health(w->model, centre, i, MODEL_UP);
}

static void set_cluster_faults(struct sim_world *w, bool on)
{
	/* From a bad day to the worst; the last two lose only what nobody complains of, so that
	 * much is acknowledged that many replicas do not have. */
	static const struct model_rates profiles[] = {
		{.lost = 5, .late = 5, .unheard = 5, .refused = 5, .stopped = 10},
		{.lost = 15, .late = 15, .unheard = 7, .refused = 7, .stopped = 45},
		{.lost = 40, .late = 40, .unheard = 20, .refused = 20, .stopped = 120},
		{.lost = 120, .late = 120, .unheard = 60, .refused = 60, .stopped = 360},
		{.late = 200},
		{.lost = 150},
	};
	const struct model_rates calm_day = {0};
	bool has_faults = on && sim_below(8);
	w->has_weather = on && sim_below(3);
	model_set_rates(
		w->model, has_faults ? &profiles[sim_below(ARRAY_SIZE(profiles))] : &calm_day);
	if (!on)
		calm(w);
}

void world_set_faults(struct sim_world *w, bool on)
{
	if (w->kind == SIM_CLUSTER) {
		set_cluster_faults(w, on);
		return;
	}
	unsigned strength = on ? sim_below(4) * 15 : 0;
	for (int i = 0; i < w->node_count; i++) {
		struct fault_rates rates = {.refused_reads = strength / 2,
			.refused_writes = strength,
			.uncertain_writes = strength,
			.refused_cas = strength,
			.uncertain_cas = strength * 2};
		fault_set_rates(w->nodes[i].engine, &rates);
	}
}

void world_settle(struct sim_world *w)
{
	if (w->kind == SIM_CLUSTER) {
		model_deliver_late(w->model);
		return;
	}
	for (int i = 0; i < w->node_count; i++)
		fault_apply_late(w->nodes[i].engine);
}

void world_end_paused(struct sim_world *w)
{
	if (w->kind == SIM_CLUSTER)
		model_end_paused(w->model);
}

void world_set_node_down(struct sim_world *w, int number, bool is_down)
{
	if (w->kind == SIM_CLUSTER)
		model_store_set_down(w->nodes[number].store_of_model, is_down);
	else
		fault_set_down(w->nodes[number].engine, is_down);
	if (is_down && w->kind == SIM_ATOMIC)
		memory_engine_crash(w->rows);
	/* An engine within the process that has ended does nothing more: what it had not answered
	 * is done when the next one opens it, or never. */
	if (is_down || w->rows->is_shared || w->kind == SIM_CLUSTER)
		return;
	if (sim_below(2))
		fault_apply_late(w->nodes[number].engine);
	else
		fault_drop_late(w->nodes[number].engine);
}

void world_work(struct sim_world *w, int number)
{
	AUTO_OP(op, "probe");
	if (w->kind == SIM_CLUSTER)
		levels_probe(&op, w->nodes[number].engine);
}

void world_weather(void *argument)
{
	struct sim_world *w = argument;
	while (w->clients_left > 0) {
		clock_sleep_ns((10 + sim_below(200)) * NS_PER_MS);
		if (!w->has_weather)
			continue;
		/* Most are up most of the time. */
		enum model_health health = sim_below(5) < 3 ? MODEL_UP
					   : sim_below(2)   ? MODEL_SLOW
							    : MODEL_DOWN;
		model_set_health(w->model, sim_below(w->centres), sim_below(w->replicas), health);
		if (sim_below(4) == 0)
			model_set_cut(w->model, sim_below(2));
	}
}
