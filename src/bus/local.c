#include "bus/local.h"

#include <assert.h>
#include <stdlib.h>

#include "bus/count.h"
#include "bus/outbox.h"
#include "bus/slots.h"

/* Work that one node has at the same time. */
#define WORK_MOST 100
#define GROUP_WAITING_MOST 100000
#define ROUND 64

struct local_work {
	struct bus_hint hint;
	struct bus_work name;
};

/* A work group: what waits until one of its nodes has room. */
struct local_group {
	const char *name;
	struct outbox waiting;
	size_t turn; /* so that all nodes have some */
	struct local_group *next;
};

struct local_bus {
	struct bus bus;
	struct local_hub *hub;
	uint64_t id;
	struct slots slots;
	struct local_group *groups[BUS_WORKERS_MOST];
	struct local_work work[BUS_WORKERS_MOST][WORK_MOST]; /* under way */
	size_t work_count[BUS_WORKERS_MOST];
	bool is_started;
	struct local_bus *next;
};

struct local_hub {
	struct mutex lock; /* of what follows, and of the nodes' work */
	struct condition wake;
	struct condition called; /* `busy` has changed */
	struct local_bus *nodes;
	size_t references; /* of nodes, those that have stopped among them */
	struct local_group *groups;
	const struct local_bus *busy; /* its functions are being called */
	uint64_t last_id, last_tag;
	struct outbox outbox;
	bool is_running, is_stopping, is_renewed;
	pthread_t thread;
};

static struct local_bus *local_of(struct bus *bus)
{
	return (struct local_bus *)bus;
}

struct local_hub *local_hub_new(size_t most)
{
	struct local_hub *hub = HEAP_NEW(struct local_hub);
	mutex_init(&hub->lock);
	condition_init(&hub->wake);
	condition_init(&hub->called);
	outbox_init(&hub->outbox, most);
	return hub;
}

static void renew(struct local_hub *hub)
{
	hub->is_renewed = true;
	condition_signal(&hub->wake);
}

/* ---- The thread: under the lock, but for calls ---- */

static void begin_call(struct local_hub *hub, const struct local_bus *node)
{
	hub->busy = node;
	mutex_unlock(&hub->lock);
}

static void end_call(struct local_hub *hub)
{
	mutex_lock(&hub->lock);
	hub->busy = NULL;
	condition_broadcast(&hub->called);
}

static bool must_tell(const struct local_bus *node, const struct outbox_entry *entry)
{
	return node->is_started && node->id != entry->origin && node->bus.watcher.changed &&
	       slots_is_watched(&node->slots, entry->hint.account);
}

/* Nodes that come or go while one is called only change whom it reaches; the list is begun again
 * by ids, which only grow towards its front. */
static void tell_watchers(struct local_hub *hub, const struct outbox_entry *entry)
{
	uint64_t below = UINT64_MAX;
	for (struct local_bus *node = hub->nodes; node;) {
		if (node->id >= below || !must_tell(node, entry)) {
			node = node->next;
			continue;
		}
		below = node->id;
		begin_call(hub, node);
		bus_count(BUS_RECEIVED, 1);
		node->bus.watcher.changed(node->bus.watcher.context, &entry->hint);
		end_call(hub);
		node = hub->nodes;
	}
}

static struct local_bus *find_member(
	struct local_hub *hub, const struct local_group *group, size_t *ret_worker)
{
	size_t seen = 0;
	struct local_bus *found = NULL;
	for (struct local_bus *node = hub->nodes; node; node = node->next)
		for (size_t i = 0; node->is_started && i < node->bus.worker_count; i++) {
			if (node->groups[i] != group || node->work_count[i] >= WORK_MOST)
				continue;
			/* The one whose turn it is, or the first. */
			if (!found || seen == group->turn) {
				found = node;
				*ret_worker = i;
			}
			seen++;
		}
	return found;
}

static void hand_out(struct local_hub *hub, struct local_group *group)
{
	size_t i;
	struct local_bus *node;
	struct outbox_entry entry;
	while ((node = find_member(hub, group, &i)) && outbox_take(&group->waiting, &entry, 1)) {
		struct bus_work name = {.tag = ++hub->last_tag, .group = (uint32_t)i};
		node->work[i][node->work_count[i]++] = (struct local_work){entry.hint, name};
		group->turn = (group->turn + 1) % 16;
		begin_call(hub, node);
		bus_count(BUS_RECEIVED, 1);
		node->bus.workers[i].take(node->bus.workers[i].context, &entry.hint, name);
		end_call(hub);
	}
}

static void tell_of_gap(struct local_hub *hub)
{
	uint64_t below = UINT64_MAX;
	for (struct local_bus *node = hub->nodes; node;) {
		if (node->id >= below || !node->is_started) {
			node = node->next;
			continue;
		}
		below = node->id;
		begin_call(hub, node);
		if (node->bus.watcher.missed)
			node->bus.watcher.missed(node->bus.watcher.context);
		for (size_t i = 0; i < node->bus.worker_count; i++)
			node->bus.workers[i].missed(node->bus.workers[i].context);
		end_call(hub);
		node = hub->nodes;
	}
}

static void deliver(struct local_hub *hub)
{
	struct outbox_entry entries[ROUND];
	size_t count;
	while ((count = outbox_take(&hub->outbox, entries, ROUND)) > 0) {
		for (size_t i = 0; i < count; i++) {
			for (struct local_group *group = hub->groups; group; group = group->next)
				outbox_put(&group->waiting, &entries[i]);
			tell_watchers(hub, &entries[i]);
		}
		bus_count(BUS_CONFIRMED, count);
	}
	bool has_gap = outbox_take_gap(&hub->outbox);
	for (struct local_group *group = hub->groups; group; group = group->next)
		has_gap |= outbox_take_gap(&group->waiting);
	if (has_gap)
		tell_of_gap(hub);
	for (struct local_group *group = hub->groups; group; group = group->next)
		hand_out(hub, group);
}

static void *run(void *argument)
{
	struct local_hub *hub = argument;
	AUTO_LOCK(&hub->lock);
	while (!hub->is_stopping) {
		if (!hub->is_renewed)
			condition_wait(&hub->wake, &hub->lock);
		hub->is_renewed = false;
		deliver(hub);
	}
	return NULL;
}

/* ---- Calls ---- */

static struct local_group *group_get(struct local_hub *hub, const char *name)
{
	struct local_group *group = hub->groups;
	while (group && strcmp(group->name, name) != 0)
		group = group->next;
	if (group)
		return group;
	group = HEAP_NEW(struct local_group);
	*group = (struct local_group){.name = name, .next = hub->groups};
	outbox_init(&group->waiting, GROUP_WAITING_MOST);
	hub->groups = group;
	return group;
}

static void local_start(struct bus *bus)
{
	struct local_bus *node = local_of(bus);
	struct local_hub *hub = node->hub;
	AUTO_LOCK(&hub->lock);
	for (size_t i = 0; i < bus->worker_count; i++)
		node->groups[i] = group_get(hub, bus->workers[i].group);
	node->is_started = true;
	if (!hub->is_running)
		thread_start(&hub->thread, "bus", run, hub);
	hub->is_running = true;
	renew(hub);
}

static void local_publish(struct bus *bus, const struct bus_hint *hint)
{
	struct local_bus *node = local_of(bus);
	struct local_hub *hub = node->hub;
	const struct outbox_entry entry = {.hint = *hint, .origin = node->id};
	AUTO_LOCK(&hub->lock);
	/* A node that is alone says nothing. */
	if (hub->references == 1 && !hub->groups)
		return;
	bus_count(BUS_PUBLISHED, 1);
	outbox_put(&hub->outbox, &entry);
	renew(hub);
}

static void local_watch(struct bus *bus, struct account_id account, bool is_watched)
{
	struct local_bus *node = local_of(bus);
	AUTO_LOCK(&node->hub->lock);
	slots_watch(&node->slots, account, is_watched);
}

static void local_done(struct bus *bus, struct bus_work work)
{
	struct local_bus *node = local_of(bus);
	AUTO_LOCK(&node->hub->lock);
	struct local_work *list = node->work[work.group];
	size_t *count = &node->work_count[work.group];
	for (size_t i = 0; i < *count; i++)
		if (list[i].name.tag == work.tag) {
			list[i] = list[--*count];
			renew(node->hub);
			return;
		}
}

static bool local_is_live(struct bus *bus)
{
	(void)bus;
	return true;
}

static void local_status(struct bus *bus, struct arena *arena, struct bus_status *ret_status)
{
	(void)arena;
	ret_status->is_connected = ret_status->is_live = true;
	ret_status->waiting = outbox_count(&local_of(bus)->hub->outbox);
}

static void free_hub(struct local_hub *hub)
{
	mutex_lock(&hub->lock);
	hub->is_stopping = true;
	renew(hub);
	mutex_unlock(&hub->lock);
	if (hub->is_running)
		thread_join(hub->thread);
	while (hub->groups) {
		struct local_group *group = hub->groups;
		hub->groups = group->next;
		outbox_done(&group->waiting);
		free(group);
	}
	outbox_done(&hub->outbox);
	mutex_done(&hub->lock);
	condition_done(&hub->wake);
	condition_done(&hub->called);
	free(hub);
}

/* What the node has not done, others do. */
static void give_back(struct local_bus *node)
{
	for (size_t i = 0; i < node->bus.worker_count && node->is_started; i++)
		for (size_t n = 0; n < node->work_count[i]; n++) {
			const struct outbox_entry entry = {.hint = node->work[i][n].hint};
			outbox_put(&node->groups[i]->waiting, &entry);
		}
}

static void local_stop(struct bus *bus)
{
	struct local_bus *node = local_of(bus);
	struct local_hub *hub = node->hub;
	AUTO_LOCK(&hub->lock);
	struct local_bus **link = &hub->nodes;
	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	while (hub->busy == node)
		condition_wait(&hub->called, &hub->lock);
	give_back(node);
	renew(hub);
}

static void local_free(struct bus *bus)
{
	struct local_hub *hub = local_of(bus)->hub;
	mutex_lock(&hub->lock);
	bool is_last = --hub->references == 0;
	mutex_unlock(&hub->lock);
	free(bus);
	if (is_last)
		free_hub(hub);
}

static const struct bus_ops ops = {
	.name = "local",
	.start = local_start,
	.publish = local_publish,
	.watch = local_watch,
	.done = local_done,
	.is_live = local_is_live,
	.status = local_status,
	.stop = local_stop,
	.free = local_free,
};

struct bus *bus_local_new(struct local_hub *hub)
{
	struct local_bus *node = HEAP_NEW(struct local_bus);
	node->bus.ops = &ops;
	node->hub = hub;
	AUTO_LOCK(&hub->lock);
	node->id = ++hub->last_id;
	hub->references++;
	node->next = hub->nodes;
	hub->nodes = node;
	return &node->bus;
}
