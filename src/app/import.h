#pragma once

/* Putting mail into an account, one message after the other, each once: what a manifest names is
 * not put again. The manifest has a JSON object a line: address, source, folder, sha256, size,
 * flags, received_us, uidvalidity, uid. All of it is of one account. */

#include <jansson.h>
#include <stdio.h>

#include "base/hash_map.h"
#include "base/op.h"

struct import {
	const char *socket_path;
	const char *address;
	const char *manifest_path;
	FILE *manifest;
	struct hash_map known; /* what was put, by folder, source and SHA-256 */
	const char *folder;    /* that is there, of the last message; NULL: none yet */
	uint64_t added;
	uint64_t there; /* known by the manifest, or to the server */
	uint64_t failed;
};

struct import_message {
	struct slice source; /* what it is in its folder; with the bytes it tells it from others */
	const char *folder;  /* a path */
	struct slice content;
	json_t *flags;        /* a list of names; borrowed */
	uint64_t received_us; /* 0: now */
};

/* Reads the manifest, or begins one. ERR_INVALID: it is no manifest, or another account's. */
MUST_CHECK struct error *import_open(struct op *op, struct import *import);

/* What cannot be put is told, counted, and no error: the others come. ERR_UNAVAILABLE: no server,
 * or it cannot now; the import can be repeated. */
MUST_CHECK struct error *import_add(
	struct op *op, struct import *import, const struct import_message *message);

/* Tells on standard error what could not be read, and counts it. */
void import_failed(struct import *import, struct slice what, const char *why);

/* Makes the manifest durable and closes. */
MUST_CHECK struct error *import_close(struct op *op, struct import *import);

struct import_verdict {
	uint64_t messages, differences;
};

/* Reads back what a manifest names, and tells each difference on standard error. */
MUST_CHECK struct error *import_verify(struct op *op, const char *socket_path,
	const char *manifest_path, const char *address, struct import_verdict *ret_verdict);
