#include "app/event_bus.h"

#include "bus/local.h"
#include "bus/rabbitmq/rabbitmq.h"

enum bus_kind { BUS_AUTO, BUS_LOCAL, BUS_RABBITMQ };

static const char *const bus_kinds[] = {
	[BUS_AUTO] = "auto", [BUS_LOCAL] = "local", [BUS_RABBITMQ] = "rabbitmq", NULL};

/* Accounts whose hint may wait within this process. */
#define LOCAL_WAITING 100000
/* A connection that is being made is no fault yet. */
#define FAULT_AFTER_MS 3000

static struct {
	int kind; /* enum bus_kind */
} config;

/* clang-format off */
const struct setting event_bus_settings[] = {
	{"bus.kind", SETTING_CHOICE, &config.kind, "auto", 0, 0, bus_kinds, false,
		"How nodes tell each other that an account has changed: not at all, so that each polls (local), or over RabbitMQ; auto: over RabbitMQ if bus.hosts names any."},
};
const size_t event_bus_setting_count = ARRAY_SIZE(event_bus_settings);
/* clang-format on */

static bool is_rabbitmq(void)
{
	return config.kind == BUS_RABBITMQ || (config.kind == BUS_AUTO && rabbitmq_is_configured());
}

struct error *event_bus_check(struct op *op, const char **ret_setting)
{
	struct rabbitmq_options options;
	return is_rabbitmq() ? rabbitmq_read_settings(op, &options, ret_setting) : NULL;
}

struct error *event_bus_open(struct op *op, struct bus **ret_bus)
{
	struct rabbitmq_options options;
	const char *setting;
	if (!is_rabbitmq()) {
		*ret_bus = bus_local_new(local_hub_new(LOCAL_WAITING));
		return NULL;
	}
	struct error *err = rabbitmq_read_settings(op, &options, &setting);
	if (err)
		return op_wrap(op, err, "%s", setting);
	*ret_bus = bus_rabbitmq_new(&options);
	return NULL;
}

const char *event_bus_fault(struct bus *bus, struct arena *arena)
{
	struct bus_status status;
	bus_get_status(bus, arena, &status);
	if (status.is_live || status.for_ms < FAULT_AFTER_MS)
		return NULL;
	const char *what =
		status.is_connected
			? "does not answer"
			: arena_printf(arena, "is not connected since %llu s: %s",
				  (unsigned long long)(status.for_ms / 1000),
				  status.trouble ? status.trouble : "no host was tried yet");
	return arena_printf(arena,
		"the event bus (%s) %s; sessions hear of other nodes' changes by polling",
		status.where ? status.where : status.kind, what);
}
