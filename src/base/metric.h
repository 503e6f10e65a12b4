#pragma once

/* Counters, gauges and histograms, declared beside the code that they count and served as
 * Prometheus text (exposition format 0.0.4). Updates are relaxed atomics, any thread. */

#include "base/buf.h"

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

#define METRIC_BUCKETS 24

struct metric {
	const char *name;
	const char *help;
	const char *label; /* `key="value"` without braces, or NULL */
	enum metric_type type;
	int64_t value; /* through __atomic builtins, like the two below */
	/* Histograms: bucket i counts observations up to 2^i * 16 microseconds. */
	uint64_t buckets[METRIC_BUCKETS];
	uint64_t sum_us;
	struct metric *next;
};

void metric_register(struct metric *metric);

static inline void metric_add(struct metric *metric, int64_t amount)
{
	__atomic_fetch_add(&metric->value, amount, __ATOMIC_RELAXED);
}

static inline void metric_set(struct metric *metric, int64_t value)
{
	__atomic_store_n(&metric->value, value, __ATOMIC_RELAXED);
}

static inline int64_t metric_value(const struct metric *metric)
{
	return __atomic_load_n(&metric->value, __ATOMIC_RELAXED);
}

/* Histograms: one duration in nanoseconds. */
void metric_observe_ns(struct metric *metric, uint64_t duration_ns);

/* Histograms: what was counted up to now, bucket by bucket. */
void metric_buckets(const struct metric *metric, uint64_t ret_buckets[static METRIC_BUCKETS]);

/* Under which `part` (0 to 1) of the observations counted in these buckets lie, in microseconds, to
 * the bounds of a bucket; 0 when there are none. */
uint64_t metric_quantile_us(const uint64_t buckets[static METRIC_BUCKETS], double part);

/* The first series of this name ("holdfast_…"); NULL: there is none. */
const struct metric *metric_find(const char *name);

/* All metrics, grouped by name. */
void metric_print_all(struct buf *out);

#define METRIC_(variable, metric_name, metric_type, metric_help, metric_label) \
	static struct metric variable = {.name = "holdfast_" metric_name,      \
		.help = metric_help,                                           \
		.label = metric_label,                                         \
		.type = metric_type};                                          \
	__attribute__((constructor)) static void register_##variable(void)     \
	{                                                                      \
		metric_register(&variable);                                    \
	}                                                                      \
	struct metric_declared_##variable /* takes the semicolon */

#define METRIC_COUNTER(variable, name, help) \
	METRIC_(variable, name, METRIC_TYPE_COUNTER, help, NULL)
#define METRIC_GAUGE(variable, name, help) METRIC_(variable, name, METRIC_TYPE_GAUGE, help, NULL)
#define METRIC_HISTOGRAM(variable, name, help) \
	METRIC_(variable, name, METRIC_TYPE_HISTOGRAM, help, NULL)
#define METRIC_COUNTER_LABELLED(variable, name, help, label) \
	METRIC_(variable, name, METRIC_TYPE_COUNTER, help, label)
#define METRIC_GAUGE_LABELLED(variable, name, help, label) \
	METRIC_(variable, name, METRIC_TYPE_GAUGE, help, label)
