/* What the last hours were like: every PERIOD_S some metrics are written down, in memory. A restart
 * forgets it; who wants more keeps /metrics in a store of its own. */

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/sync.h"
#include "front/admin/admin_private.h"

#define PERIOD_S 10
#define SAMPLES (6 * 3600 / PERIOD_S)
#define POINTS_MOST 360
#define MINUTES_DEFAULT 60
#define MINUTES_MOST (SAMPLES * PERIOD_S / 60)

enum series_kind { SERIES_RATE, SERIES_GAUGE, SERIES_P50, SERIES_P99 };

static const struct {
	const char *name, *unit;
	enum series_kind kind;
	const char *metric;
	const char *help;
} series[] = {
	{"deliveries", "1/s", SERIES_RATE, "holdfast_deliveries_total", "Mails delivered"},
	{"changes", "1/s", SERIES_RATE, "holdfast_commit_changes_total",
		"Changes that became true"},
	{"commands", "1/s", SERIES_RATE, "holdfast_commands_total", "Commands of clients"},
	{"wrong_passwords", "1/s", SERIES_RATE, "holdfast_auth_failures_total", "Wrong passwords"},
	{"indexed", "1/s", SERIES_RATE, "holdfast_index_documents_total", "Mails indexed"},
	{"commit_p50", "ms", SERIES_P50, "holdfast_commit_seconds", "Commits: half took less"},
	{"commit_p99", "ms", SERIES_P99, "holdfast_commit_seconds", "Commits: 99 % took less"},
	{"step_p99", "ms", SERIES_P99, "holdfast_session_step_seconds",
		"Work for clients: 99 % took less"},
	{"index_lag_p99", "ms", SERIES_P99, "holdfast_index_lag_seconds",
		"From change to index: 99 % took less"},
	{"sessions", "", SERIES_GAUGE, "holdfast_sessions", "Sessions open"},
	{"uncertain", "", SERIES_GAUGE, "holdfast_ledger_entries", "Writes of unknown outcome"},
	{"accounts_owed", "", SERIES_GAUGE, "holdfast_projection_accounts_owed",
		"Accounts whose copies are behind"},
	{"index_waiting", "", SERIES_GAUGE, "holdfast_index_accounts_waiting",
		"Accounts whose index is behind"},
};
#define SERIES_COUNT ARRAY_SIZE(series)

struct admin_history {
	pthread_t thread;
	/* The sampler's */
	int64_t last_values[SERIES_COUNT];
	uint64_t last_buckets[SERIES_COUNT][METRIC_BUCKETS];

	struct mutex lock;
	struct condition stopping;
	/* Under lock */
	bool is_stopping;
	float values[SERIES_COUNT][SAMPLES]; /* a ring; NAN: nothing to tell */
	size_t count, next;
	uint64_t until_us; /* of the last sample */
};

/* ---- sampling ---- */

static float quantile(struct admin_history *history, size_t i, const struct metric *metric)
{
	uint64_t now[METRIC_BUCKETS];
	uint64_t since[METRIC_BUCKETS];
	metric_buckets(metric, now);
	for (size_t k = 0; k < METRIC_BUCKETS; k++) {
		since[k] = now[k] - history->last_buckets[i][k];
		history->last_buckets[i][k] = now[k];
	}
	uint64_t us = metric_quantile_us(since, series[i].kind == SERIES_P50 ? 0.5 : 0.99);
	return us ? (float)us / 1000 : NAN;
}

static float sample(struct admin_history *history, size_t i)
{
	const struct metric *metric = metric_find(series[i].metric);
	if (!metric)
		return NAN;
	int64_t value = metric_value(metric);
	int64_t since = value - history->last_values[i];
	history->last_values[i] = value;
	switch (series[i].kind) {
	case SERIES_GAUGE:
		return (float)value;
	case SERIES_RATE:
		return (float)since / PERIOD_S;
	case SERIES_P50:
	case SERIES_P99:
		break;
	}
	return quantile(history, i, metric);
}

/* The first sample is what the others count from. */
static void take_samples(struct admin_history *history, bool is_first)
{
	float values[SERIES_COUNT];
	for (size_t i = 0; i < SERIES_COUNT; i++)
		values[i] = sample(history, i);
	if (is_first)
		return;
	AUTO_LOCK(&history->lock);
	for (size_t i = 0; i < SERIES_COUNT; i++)
		history->values[i][history->next] = values[i];
	history->next = (history->next + 1) % SAMPLES;
	history->count += history->count < SAMPLES;
	history->until_us = clock_realtime_us();
}

static bool wait_until(struct admin_history *history, uint64_t until_ns)
{
	AUTO_LOCK(&history->lock);
	while (!history->is_stopping &&
		condition_wait_until(&history->stopping, &history->lock, until_ns))
		;
	return !history->is_stopping;
}

static void *keep_history(void *argument)
{
	struct admin_history *history = argument;
	uint64_t due_ns = clock_monotonic_ns();
	take_samples(history, true);
	while (wait_until(history, due_ns += PERIOD_S * NS_PER_S))
		take_samples(history, false);
	return NULL;
}

struct admin_history *admin_history_start(void)
{
	struct admin_history *history = HEAP_NEW(struct admin_history);
	memset(history, 0, sizeof(*history));
	mutex_init(&history->lock);
	condition_init(&history->stopping);
	thread_start(&history->thread, "history", keep_history, history);
	return history;
}

void admin_history_stop(struct admin_history *history)
{
	if (!history)
		return;
	mutex_lock(&history->lock);
	history->is_stopping = true;
	condition_broadcast(&history->stopping);
	mutex_unlock(&history->lock);
	thread_join(history->thread);
	condition_done(&history->stopping);
	mutex_done(&history->lock);
	free(history);
}

/* ---- telling ---- */

/* The mean of some samples that stand together; the latest is 0 back. */
static json_t *point(const struct admin_history *history, size_t i, size_t back, size_t width)
{
	double sum = 0;
	size_t known = 0;
	for (size_t k = back; k < back + width && k < history->count; k++) {
		float value = history->values[i][(history->next + SAMPLES - 1 - k) % SAMPLES];
		if (isnan(value))
			continue;
		sum += (double)value;
		known++;
	}
	return known ? json_real(sum / (double)known) : json_null();
}

/* With the lock held. */
static json_t *series_json(
	const struct admin_history *history, size_t i, size_t count, size_t width)
{
	json_t *values = json_array();
	for (size_t at = count / width; at > 0; at--)
		json_array_append_new(values, point(history, i, (at - 1) * width, width));
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", series[i].name, "unit",
		series[i].unit, "help", series[i].help, "last", point(history, i, 0, 1), "values",
		values);
}

static struct error *get_history(struct admin_request *request)
{
	struct admin_history *history = request->history;
	uint64_t minutes = admin_number_argument(request, "minutes");
	size_t wanted = (size_t)(minutes ? minutes : MINUTES_DEFAULT) * 60 / PERIOD_S;
	json_t *list = json_array();
	AUTO_LOCK(&history->lock);
	size_t count = MIN_OF(wanted, history->count);
	size_t width = (wanted + POINTS_MOST - 1) / POINTS_MOST;
	for (size_t i = 0; i < SERIES_COUNT; i++)
		json_array_append_new(list, series_json(history, i, count, width));
	request->answer = json_pack("{s:I, s:I, s:o}", "period_s", (json_int_t)width * PERIOD_S,
		"until_us", (json_int_t)history->until_us, "series", list);
	return NULL;
}

static const struct admin_field query_fields[] = {
	{"minutes", ADMIN_NUMBER, "How far back; 60 if not given", ADMIN_OPTIONAL, 1, MINUTES_MOST},
	{0}};
static const struct admin_field series_fields[] = {
	{"name", ADMIN_TEXT, "Its name"},
	{"unit", ADMIN_TEXT, "1/s, ms, or nothing"},
	{"help", ADMIN_TEXT, "What it is"},
	{"last", ADMIN_REAL, "The last sample; null: nothing to tell", ADMIN_NULLABLE},
	{"values", ADMIN_REALS, "The oldest first; null: nothing to tell"},
	{0},
};
static const struct admin_field history_fields[] = {
	{"period_s", ADMIN_NUMBER, "Seconds between two values"},
	{"until_us", ADMIN_TIME, "When the last was taken; 0: none was yet"},
	{"series", ADMIN_LIST, "One for each thing that is kept", .fields = series_fields},
	{0},
};

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/history", ADMIN_READ, ADMIN_SERVER, 200, get_history, "Rates and latencies of the last hours, since this process began", query_fields, NULL, history_fields},
};
/* clang-format on */
const struct admin_routes admin_history_routes = ADMIN_ROUTES(routes);
