#include "blob/blob_s3.h"

struct blob_s3_config blob_s3_config;

static const char *const styles[] = {[S3_PATH] = "path", [S3_HOST] = "host", NULL};

/* clang-format off */
const struct setting blob_s3_settings[] = {
	{"s3.endpoint", SETTING_TEXT, &blob_s3_config.client.endpoint, "", 0, 0, NULL, false,
		"Where the object store is: https://host or http://host:port."},
	{"s3.region", SETTING_TEXT, &blob_s3_config.client.region, "us-east-1", 0, 0, NULL, false,
		"The region that requests are signed for."},
	{"s3.bucket", SETTING_TEXT, &blob_s3_config.client.bucket, "", 0, 0, NULL, false,
		"The bucket that content is in; it must exist."},
	{"s3.prefix", SETTING_TEXT, &blob_s3_config.prefix, "content/", 0, 0, NULL, false,
		"What the name of every object begins with."},
	{"s3.access_key", SETTING_TEXT, &blob_s3_config.client.access_key, "", 0, 0, NULL, false,
		"The key that requests are signed with."},
	{"s3.secret_file", SETTING_TEXT, &blob_s3_config.secret_file, "", 0, 0, NULL, false,
		"A file whose first line is the secret of that key."},
	{"s3.ca_file", SETTING_TEXT, &blob_s3_config.client.ca_file, "", 0, 0, NULL, false,
		"Certificates that the object store's own is checked against; the system's if empty."},
	{"s3.style", SETTING_CHOICE, &blob_s3_config.client.style, "path", 0, 0, styles, false,
		"Whether the bucket is named in the path of a request or in its host."},
	{"s3.create_only", SETTING_BOOL, &blob_s3_config.client.create_only, "yes", 0, 0, NULL, false,
		"Objects are made with If-None-Match, so that none is ever replaced; not every store knows it."},
	{"s3.connect_timeout", SETTING_DURATION, &blob_s3_config.client.connect_ms, "3 s", 100, 600000, NULL, false,
		"How long a connection to the object store may take to be made."},
	{"s3.stall_timeout", SETTING_DURATION, &blob_s3_config.client.stall_ms, "10 s", 1000, 600000, NULL, false,
		"A request on which nothing moves for so long is given up, in whole seconds."},
	{"s3.tries", SETTING_NUMBER, &blob_s3_config.client.tries, "5", 1, 100, NULL, false,
		"How often one request is sent at most, while its command has time left."},
	{"s3.parallel", SETTING_NUMBER, &blob_s3_config.client.parallel, "8", 1, 256, NULL, false,
		"Requests that one command has under way at the same time."},
	{"s3.part_size", SETTING_BYTES, &blob_s3_config.client.part_bytes, "16 MiB", 5242880, 1073741824, NULL, false,
		"Larger content is sent in parts of this size, several at a time."},
};
const size_t blob_s3_setting_count = ARRAY_SIZE(blob_s3_settings);
/* clang-format on */
