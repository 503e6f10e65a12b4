#pragma once

/* Apache Tika's server (its REST interface: PUT /tika), which makes texts of files of most kinds.
 * It reads what strangers have sent, so that it may be slow, fall over or say anything. Any thread.
 */

#include <stdatomic.h>

#include "base/op.h"
#include "wire/http/http.h"

struct tika;

struct tika_options {
	const char *url; /* "http://host:port"; copied */
	uint64_t connect_ms;
	uint64_t timeout_ms;            /* for one file */
	uint64_t text_bytes;            /* of one file; what comes behind is not taken */
	const atomic_bool *is_stopping; /* ends what is under way */
};

/* ERR_INVALID: it is no address. */
MUST_CHECK struct error *tika_open(
	struct op *op, const struct tika_options *options, struct tika **ret_tika);
void tika_close(struct tika *tika);

enum tika_outcome {
	TIKA_READ,   /* the text is all that there is, or none */
	TIKA_FAILED, /* it heard of the file and gave no answer: perhaps because of it */
	TIKA_AWAY,   /* it has not looked at the file */
};

/* Any bytes may be in *ret_text. *ret_problem says why it was not read. */
enum tika_outcome tika_read(struct op *op, struct tika *tika, struct slice content,
	struct slice *ret_text, const char **ret_problem);

/* Does it say who it is? */
bool tika_answers(struct op *op, struct tika *tika);

/* What became of a request: for tests. */
enum tika_outcome tika_judge(
	struct op *op, const struct http_request *request, const char **ret_problem);
