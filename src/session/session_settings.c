#include "session/session_settings.h"

#include "session/session_private.h"

struct session_config session_config;

/* clang-format off */
const struct setting session_settings[] = {
	{"lanes.quick", SETTING_NUMBER, &session_config.lane_threads[LANE_QUICK], "2", 1, 256, NULL, false,
		"Threads for commands that need memory only."},
	{"lanes.store", SETTING_NUMBER, &session_config.lane_threads[LANE_STORE], "0", 0, 1024, NULL, false,
		"Threads for short reads and writes of the stores; 0: 32, or 256 over Cassandra, where each waits for an answer."},
	{"lanes.bulk", SETTING_NUMBER, &session_config.lane_threads[LANE_BULK], "0", 0, 1024, NULL, false,
		"Threads for long answers such as FETCH and RETR; 0: 16, or 64 over Cassandra, where each waits for an answer."},
	{"lanes.deliver", SETTING_NUMBER, &session_config.lane_threads[LANE_DELIVER], "0", 0, 1024, NULL, false,
		"Threads for incoming mail; 0: 64, or 128 over Cassandra, where each waits for an answer."},
	{"lanes.auth", SETTING_NUMBER, &session_config.lane_threads[LANE_AUTH], "2", 1, 256, NULL, false,
		"Threads for password hashes."},
	{"lanes.background", SETTING_NUMBER, &session_config.lane_threads[LANE_BACKGROUND], "4", 1, 256, NULL, false,
		"Threads for work that nobody waits for."},
	{"session.spool_directory", SETTING_TEXT, &session_config.spool_directory, "", 0, 0, NULL, false,
		"Where bodies above 64 KiB wait for their command, in files without a name; /tmp if empty."},
	{"session.pipeline_commands", SETTING_NUMBER, &session_config.pipeline_commands, "64", 1, 100000, NULL, true,
		"Commands that one client may have waiting; then nothing more is read from it."},
	{"session.pipeline_bytes", SETTING_BYTES, &session_config.pipeline_bytes, "1 MiB", 1024, 1073741824, NULL, true,
		"Memory that the waiting commands of one client may take; then nothing more is read from it."},
	{"session.output_high", SETTING_BYTES, &session_config.output_high_bytes, "256 KiB", 1024, 1073741824, NULL, true,
		"With more than this unsent, a long answer pauses until the client has read half of it."},
	{"session.commands_per_second", SETTING_NUMBER, &session_config.commands_per_second, "2000", 1, 1000000, NULL, true,
		"Commands that one client may send in a second; then nothing more is read from it until the next."},
	{"session.command_deadline", SETTING_DURATION, &session_config.command_deadline_ms, "60 s", 100, 3600000, NULL, true,
		"How long one command may take before it is given up."},
	{"session.shutdown_grace", SETTING_DURATION, &session_config.shutdown_grace_ms, "10 s", 0, 600000, NULL, true,
		"How long running commands may take to finish when the server stops."},
	{"session.connections_per_account", SETTING_NUMBER, &session_config.connections_per_account, "100", 1, 100000, NULL, true,
		"Connections signed in to one account at the same time."},
	{"auth.failure_delay", SETTING_DURATION, &session_config.auth_delay_ms, "250 ms", 0, 60000, NULL, true,
		"The answer to a wrong password waits for so long, doubling with each further one from the same client."},
	{"auth.failure_delay_max", SETTING_DURATION, &session_config.auth_delay_max_ms, "15 s", 0, 600000, NULL, true,
		"The longest that the answer to a wrong password waits."},
	{"auth.max_failures", SETTING_NUMBER, &session_config.auth_failures, "6", 1, 1000, NULL, true,
		"Wrong passwords in one connection before it is closed."},
};
const size_t session_setting_count = ARRAY_SIZE(session_settings);
/* clang-format on */
