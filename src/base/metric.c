#include "base/metric.h"

#include <pthread.h>
#include <stdio.h>

static struct metric *registered;
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;

/* Kept sorted by name, so that the series of one name stand together. */
void metric_register(struct metric *metric)
{
	pthread_mutex_lock(&registry_lock);
	struct metric **link = &registered;
	while (*link && strcmp((*link)->name, metric->name) <= 0)
		link = &(*link)->next;
	metric->next = *link;
	*link = metric;
	pthread_mutex_unlock(&registry_lock);
}

static uint64_t bucket_bound_us(int bucket)
{
	return UINT64_C(16) << bucket;
}

void metric_observe_ns(struct metric *metric, uint64_t duration_ns)
{
	uint64_t us = duration_ns / 1000;
	int bucket = 0;
	while (bucket < METRIC_BUCKETS - 1 && us > bucket_bound_us(bucket))
		bucket++;
	__atomic_fetch_add(&metric->buckets[bucket], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&metric->sum_us, us, __ATOMIC_RELAXED);
}

void metric_buckets(const struct metric *metric, uint64_t ret_buckets[static METRIC_BUCKETS])
{
	for (int i = 0; i < METRIC_BUCKETS; i++)
		ret_buckets[i] = __atomic_load_n(&metric->buckets[i], __ATOMIC_RELAXED);
}

uint64_t metric_quantile_us(const uint64_t buckets[static METRIC_BUCKETS], double part)
{
	uint64_t total = 0;
	uint64_t below = 0;
	int bucket = 0;
	for (int i = 0; i < METRIC_BUCKETS; i++)
		total += buckets[i];
	if (!total)
		return 0;
	while (bucket < METRIC_BUCKETS - 1 &&
		(double)(below += buckets[bucket]) < part * (double)total)
		bucket++;
	return bucket_bound_us(bucket);
}

const struct metric *metric_find(const char *name)
{
	pthread_mutex_lock(&registry_lock);
	const struct metric *metric = registered;
	while (metric && strcmp(metric->name, name) != 0)
		metric = metric->next;
	pthread_mutex_unlock(&registry_lock);
	return metric;
}

static void print_histogram(struct buf *out, struct metric *metric)
{
	uint64_t total = 0;
	for (int i = 0; i < METRIC_BUCKETS - 1; i++) {
		total += __atomic_load_n(&metric->buckets[i], __ATOMIC_RELAXED);
		buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", metric->name,
			(double)bucket_bound_us(i) / 1e6, (unsigned long long)total);
	}
	total += __atomic_load_n(&metric->buckets[METRIC_BUCKETS - 1], __ATOMIC_RELAXED);
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n", metric->name, (unsigned long long)total);
	buf_printf(out, "%s_sum %g\n", metric->name,
		(double)__atomic_load_n(&metric->sum_us, __ATOMIC_RELAXED) / 1e6);
	buf_printf(out, "%s_count %llu\n", metric->name, (unsigned long long)total);
}

static void print_series(struct buf *out, struct metric *metric)
{
	if (metric->type == METRIC_TYPE_HISTOGRAM) {
		print_histogram(out, metric);
		return;
	}
	if (metric->label)
		buf_printf(out, "%s{%s} %lld\n", metric->name, metric->label,
			(long long)metric_value(metric));
	else
		buf_printf(out, "%s %lld\n", metric->name, (long long)metric_value(metric));
}

void metric_print_all(struct buf *out)
{
	static const char *const type_names[] = {
		[METRIC_TYPE_COUNTER] = "counter",
		[METRIC_TYPE_GAUGE] = "gauge",
		[METRIC_TYPE_HISTOGRAM] = "histogram",
	};
	const char *last_name = "";
	pthread_mutex_lock(&registry_lock);
	for (struct metric *metric = registered; metric; metric = metric->next) {
		if (strcmp(metric->name, last_name) != 0)
			buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
				metric->name, type_names[metric->type]);
		last_name = metric->name;
		print_series(out, metric);
	}
	pthread_mutex_unlock(&registry_lock);
}
