#include "bus/count.h"

#include <assert.h>

#include "base/metric.h"

METRIC_COUNTER(published, "bus_published_total", "Hints given to the broker");
METRIC_COUNTER(confirmed, "bus_confirmed_total", "Hints that the broker has confirmed");
METRIC_COUNTER(refused, "bus_refused_total", "Hints that the broker did not take");
METRIC_COUNTER(returned, "bus_returned_total", "Hints that nobody listened to");
METRIC_COUNTER(dropped, "bus_dropped_total", "Hints that there was no room for");
METRIC_COUNTER(received, "bus_received_total", "Hints received");
METRIC_COUNTER(malformed, "bus_malformed_total", "Messages received that are no hints");
METRIC_COUNTER(connects, "bus_connects_total", "Connections made to a broker");
METRIC_GAUGE(connected, "bus_connected", "1: the bus carries hints to other nodes");

static struct metric *const counters[] = {
	[BUS_PUBLISHED] = &published,
	[BUS_CONFIRMED] = &confirmed,
	[BUS_REFUSED] = &refused,
	[BUS_RETURNED] = &returned,
	[BUS_DROPPED] = &dropped,
	[BUS_RECEIVED] = &received,
	[BUS_MALFORMED] = &malformed,
	[BUS_CONNECTED] = &connects,
};

void bus_count(enum bus_event event, size_t count)
{
	if (event == BUS_CONNECTED || event == BUS_DISCONNECTED)
		metric_set(&connected, event == BUS_CONNECTED);
	if (event != BUS_DISCONNECTED)
		metric_add(counters[event], (int64_t)count);
}

void bus_set_watcher(struct bus *bus, struct bus_watcher watcher)
{
	bus->watcher = watcher;
}

void bus_join(struct bus *bus, struct bus_worker worker)
{
	assert(bus->worker_count < BUS_WORKERS_MOST);
	bus->workers[bus->worker_count++] = worker;
}

void bus_start(struct bus *bus)
{
	bus->ops->start(bus);
}

void bus_publish(struct bus *bus, const struct bus_hint *hint)
{
	bus->ops->publish(bus, hint);
}

void bus_watch(struct bus *bus, struct account_id account)
{
	bus->ops->watch(bus, account, true);
}

void bus_unwatch(struct bus *bus, struct account_id account)
{
	bus->ops->watch(bus, account, false);
}

void bus_done(struct bus *bus, struct bus_work work)
{
	bus->ops->done(bus, work);
}

bool bus_is_live(struct bus *bus)
{
	return bus->ops->is_live(bus);
}

void bus_get_status(struct bus *bus, struct arena *arena, struct bus_status *ret_status)
{
	*ret_status = (struct bus_status){.kind = bus->ops->name};
	bus->ops->status(bus, arena, ret_status);
}

void bus_stop(struct bus *bus)
{
	if (!bus || bus->is_stopped)
		return;
	bus->is_stopped = true;
	bus->ops->stop(bus);
}

void bus_close(struct bus *bus)
{
	bus_stop(bus);
	if (bus)
		bus->ops->free(bus);
}
