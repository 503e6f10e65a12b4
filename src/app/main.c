#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/app_settings.h"
#include "app/notify.h"
#include "app/reference.h"
#include "app/server.h"
#include "base/log.h"

enum task { TASK_SERVE, TASK_CHECK, TASK_SAMPLE, TASK_MANUAL };

struct command_line {
	enum task task;
	const char *config_path;
	const char *data;
};

static const char usage[] =
	"holdfastd: a mail server\n"
	"  --config FILE   settings (default: /etc/holdfast/holdfast.conf if it is there)\n"
	"  --data DIR      where everything is kept (setting: data)\n"
	"  --check         say whether the configuration is right, and stop\n"
	"  --sample        print a configuration file with every setting's default\n"
	"  --manual        print holdfast.conf(5), as scdoc's source\n"
	"  --version       print the version\n";

static NORETURN void print_and_exit(const char *text)
{
	fputs(text, stdout);
	exit(EXIT_SUCCESS);
}

static void read_command_line(int argc, char **argv, struct command_line *ret_line)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"data", required_argument, NULL, 'd'},
		{"check", no_argument, NULL, 'k'},
		{"sample", no_argument, NULL, 's'},
		{"manual", no_argument, NULL, 'm'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'c':
			ret_line->config_path = optarg;
			break;
		case 'd':
			ret_line->data = optarg;
			break;
		case 'k':
			ret_line->task = TASK_CHECK;
			break;
		case 's':
			ret_line->task = TASK_SAMPLE;
			break;
		case 'm':
			ret_line->task = TASK_MANUAL;
			break;
		case 'v':
			print_and_exit("holdfastd " HOLDFAST_VERSION "\n");
		case 'h':
			print_and_exit(usage);
		default:
			exit(EX_USAGE);
		}
	}
	if (optind == argc)
		return;
	fprintf(stderr, "holdfastd: \"%s\" is not understood\n", argv[optind]);
	exit(EX_USAGE);
}

static struct error *load_settings(
	struct op *op, struct config *config, const struct command_line *line, const char *path)
{
	TRY(config_load(op, config, path));
	if (line->data)
		app_config.data = line->data;
	return server_check(op, config);
}

static int complain(struct op *op, const struct error *err)
{
	fprintf(stderr, "%s\n", error_chain(&op->arena, err));
	return err->kind == ERR_INVALID ? EX_CONFIG : EXIT_FAILURE;
}

static atomic_bool has_failed;

/* Ends like a wish to stop, with another exit code. */
static void stop_because(const char *reason)
{
	has_failed = true;
	kill(getpid(), SIGTERM);
}

static void reload(struct config *config, struct server *server)
{
	AUTO_OP(op, "reload");
	const char *waiting;
	notify_manager("RELOADING=1");
	struct error *err = config_reload(&op, config, &waiting);
	if (!err) {
		app_apply_settings();
		err = server_reload(&op, server);
	}
	if (err)
		log_error(&op, "reload-failed", FIELD_ERROR(&op, err));
	else
		log_info(&op, "reloaded", FIELD_TEXT("waits_for_restart", waiting));
	notify_manager("READY=1");
}

static void run_until_told(const sigset_t *signals, struct config *config, struct server *server)
{
	for (;;) {
		int signal = sigwaitinfo(signals, NULL);
		if (signal == SIGHUP)
			reload(config, server);
		else if (signal > 0)
			return;
	}
}

/* Signals come to this thread alone: blocked before any other is there. */
static void block_signals(sigset_t *ret_signals)
{
	sigemptyset(ret_signals);
	sigaddset(ret_signals, SIGTERM);
	sigaddset(ret_signals, SIGINT);
	sigaddset(ret_signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int serve(struct op *op, struct config *config)
{
	sigset_t signals;
	struct server *server;
	block_signals(&signals);
	struct error *err = server_start(op, stop_because, &server);
	if (err)
		return complain(op, err);
	log_info(op, "ready", FIELD_TEXT("data", app_config.data));
	notify_manager("READY=1");
	run_until_told(&signals, config, server);
	notify_manager("STOPPING=1");
	log_info(op, "stopping");
	server_stop(server);
	log_info(op, "stopped");
	return has_failed ? EX_IOERR : EXIT_SUCCESS;
}

static int run(struct op *op, struct config *config, const struct command_line *line)
{
	if (line->task == TASK_SAMPLE) {
		reference_print_sample(config, stdout);
		return EXIT_SUCCESS;
	}
	if (line->task == TASK_MANUAL) {
		reference_print_manual(config, stdout);
		return EXIT_SUCCESS;
	}
	const char *path = config_find(line->config_path);
	struct error *err = load_settings(op, config, line, path);
	if (err)
		return complain(op, err);
	if (line->task == TASK_CHECK) {
		if (path)
			printf("%s is fine\n", path);
		else
			printf("there is no %s; the defaults are fine\n", config_usual_path);
		return EXIT_SUCCESS;
	}
	app_apply_settings();
	return serve(op, config);
}

int main(int argc, char **argv)
{
	AUTO_OP(op, "holdfastd");
	struct command_line line = {0};
	read_command_line(argc, argv, &line);
	struct config *config = server_config_new();
	int code = run(&op, config, &line);
	config_free(config);
	return code;
}
