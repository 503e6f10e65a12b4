/* One node of an event bus over RabbitMQ, told what to do line by line:
 *   watch UUID | unwatch UUID | publish UUID MODSEQ | done | status | quit
 * and telling what it hears, a line each:
 *   changed UUID MODSEQ | missed | take UUID MODSEQ | work-missed | status ... */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/setting.h"
#include "base/sync.h"
#include "bus/rabbitmq/rabbitmq.h"

#define TAKEN_MOST 100000

struct program {
	struct bus *bus;
	struct mutex lock; /* of what follows, and of what is said */
	struct bus_work taken[TAKEN_MOST];
	size_t taken_count;
	bool keeps_work; /* it is not done before it is told so */
};

static void say_hint(struct program *program, const char *what, const struct bus_hint *hint)
{
	char text[UUID_TEXT_LENGTH + 1];
	uuid_format(&hint->account.uuid, text);
	AUTO_LOCK(&program->lock);
	printf("%s %s %llu\n", what, text, (unsigned long long)hint->modseq);
	fflush(stdout);
}

static void on_changed(void *context, const struct bus_hint *hint)
{
	say_hint(context, "changed", hint);
}

static void on_missed(void *context)
{
	struct program *program = context;
	AUTO_LOCK(&program->lock);
	puts("missed");
	fflush(stdout);
}

static void on_take(void *context, const struct bus_hint *hint, struct bus_work work)
{
	struct program *program = context;
	say_hint(program, "take", hint);
	if (!program->keeps_work) {
		bus_done(program->bus, work);
		return;
	}
	AUTO_LOCK(&program->lock);
	if (program->taken_count < TAKEN_MOST)
		program->taken[program->taken_count++] = work;
}

static void on_work_missed(void *context)
{
	struct program *program = context;
	AUTO_LOCK(&program->lock);
	puts("work-missed");
	fflush(stdout);
}

static void say_status(struct program *program)
{
	AUTO_OP(op, "status");
	struct bus_status status;
	bus_get_status(program->bus, &op.arena, &status);
	AUTO_LOCK(&program->lock);
	printf("status %s %s waiting %llu unconfirmed %llu %s\n",
		status.is_connected ? "connected" : "disconnected",
		status.is_live ? "live" : "mute", (unsigned long long)status.waiting,
		(unsigned long long)status.unconfirmed, status.trouble ? status.trouble : "");
	fflush(stdout);
}

static void obey(struct program *program, const char *line)
{
	char verb[16];
	char text[64] = "";
	unsigned long long modseq = 0;
	struct bus_hint hint = {0};
	if (sscanf(line, "%15s %63s %llu", verb, text, &modseq) < 1)
		return;
	hint.modseq = modseq;
	if (strcmp(verb, "status") == 0) {
		say_status(program);
	} else if (strcmp(verb, "done") == 0) {
		while (program->taken_count)
			bus_done(program->bus, program->taken[--program->taken_count]);
	} else if (uuid_parse(slice_from_cstr(text), &hint.account.uuid)) {
		if (strcmp(verb, "watch") == 0)
			bus_watch(program->bus, hint.account);
		else if (strcmp(verb, "unwatch") == 0)
			bus_unwatch(program->bus, hint.account);
		else
			bus_publish(program->bus, &hint);
	}
}

/* Arguments: settings as name=value, without "bus."; group=NAME; keep. */
static struct error *read_arguments(
	struct op *op, struct program *program, int argc, char **argv, const char **ret_group)
{
	for (size_t i = 0; i < rabbitmq_setting_count; i++)
		TRY(setting_store(op, &rabbitmq_settings[i],
			slice_from_cstr(rabbitmq_settings[i].default_value)));
	for (int i = 1; i < argc; i++) {
		struct slice rest = slice_from_cstr(argv[i]);
		struct slice name;
		slice_split(&rest, '=', &name);
		program->keeps_work |= slice_equal(name, SLICE("keep"));
		if (slice_equal(name, SLICE("group")))
			*ret_group = rest.ptr;
		for (size_t n = 0; n < rabbitmq_setting_count; n++)
			if (slice_equal(slice_from(slice_from_cstr(rabbitmq_settings[n].name), 4),
				    name))
				TRY(setting_store(op, &rabbitmq_settings[n], rest));
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct program program;
	AUTO_OP(op, "node");
	struct rabbitmq_options options;
	const char *group = NULL;
	const char *setting = "";
	char line[256];
	struct error *err = read_arguments(&op, &program, argc, argv, &group);
	if (!err)
		err = rabbitmq_read_settings(&op, &options, &setting);
	if (err) {
		fprintf(stderr, "%s: %s\n", setting, error_chain(&op.arena, err));
		return EXIT_FAILURE;
	}
	mutex_init(&program.lock);
	program.bus = bus_rabbitmq_new(&options);
	bus_set_watcher(program.bus, (struct bus_watcher){on_changed, on_missed, &program});
	if (group)
		bus_join(
			program.bus, (struct bus_worker){group, on_take, on_work_missed, &program});
	bus_start(program.bus);
	while (fgets(line, sizeof(line), stdin) && strncmp(line, "quit", 4) != 0)
		obey(&program, line);
	bus_close(program.bus);
	return EXIT_SUCCESS;
}
