#include "index/opensearch/opensearch.h"

struct opensearch_options opensearch_config;

/* clang-format off */
const struct setting opensearch_settings[] = {
	{"opensearch.hosts", SETTING_TEXT, &opensearch_config.hosts, "", 0, 0, NULL, false,
		"Where OpenSearch is, with blanks between several: https://host:9200 or http://host:9200."},
	{"opensearch.user", SETTING_TEXT, &opensearch_config.user, "", 0, 0, NULL, false,
		"The name that OpenSearch is told; none if empty."},
	{"opensearch.password_file", SETTING_TEXT, &opensearch_config.password_file, "", 0, 0, NULL, false,
		"A file whose first line is the password of that name."},
	{"opensearch.ca_file", SETTING_TEXT, &opensearch_config.ca_file, "", 0, 0, NULL, false,
		"Certificates that OpenSearch's own is checked against; the system's if empty."},
	{"opensearch.name", SETTING_TEXT, &opensearch_config.name, "holdfast", 0, 0, NULL, false,
		"What the names of its indexes begin with: small letters, digits and '-'."},
	{"opensearch.connect_timeout", SETTING_DURATION, &opensearch_config.connect_ms, "1 s", 10, 60000, NULL, false,
		"How long a connection to OpenSearch may take to be made."},
	{"opensearch.search_timeout", SETTING_DURATION, &opensearch_config.search_ms, "2 s", 10, 60000, NULL, false,
		"How long OpenSearch may take for one question; then the search reads the messages."},
	{"opensearch.write_timeout", SETTING_DURATION, &opensearch_config.write_ms, "30 s", 100, 600000, NULL, false,
		"How long OpenSearch may take for one write, until it can be found."},
	{"opensearch.refresh_interval", SETTING_DURATION, &opensearch_config.refresh_ms, "1 s", 10, 600000, NULL, false,
		"How often what was written becomes visible, in an index that is made from now on."},
	{"opensearch.shards", SETTING_NUMBER, &opensearch_config.shards, "1", 1, 1024, NULL, false,
		"Shards of an index that is made from now on; an account is in one of them."},
	{"opensearch.replicas", SETTING_NUMBER, &opensearch_config.replicas, "1", 0, 10, NULL, false,
		"Further copies of each shard, in an index that is made from now on."},
};
const size_t opensearch_setting_count = ARRAY_SIZE(opensearch_settings);
/* clang-format on */
