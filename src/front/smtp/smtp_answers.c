/* What a client hears of an error: one row for each kind. */

#include <assert.h>

#include "base/log.h"
#include "front/smtp/smtp_private.h"

struct answer {
	const char *reply;
	enum log_level level;
	bool is_temporary;
	bool shows_message; /* the error's own words may be shown */
};

static const struct answer answers[] = {
	[ERR_INVALID] = {"554 5.6.0", LOG_LEVEL_DEBUG, false, true},
	[ERR_DENIED] = {"550 5.7.1", LOG_LEVEL_DEBUG, false, true},
	[ERR_NOT_FOUND] = {"550 5.1.1", LOG_LEVEL_DEBUG, false, true},
	[ERR_EXISTS] = {"554 5.3.0", LOG_LEVEL_DEBUG, false, true},
	[ERR_LIMIT] = {"552 5.2.2", LOG_LEVEL_DEBUG, false, true},
	[ERR_CONFLICT] = {"451 4.3.0", LOG_LEVEL_WARNING, true, false},
	[ERR_UNAVAILABLE] = {"451 4.3.0", LOG_LEVEL_WARNING, true, false},
	[ERR_TIMEOUT] = {"451 4.3.0", LOG_LEVEL_WARNING, true, false},
	[ERR_UNCERTAIN] = {"451 4.3.0", LOG_LEVEL_ERROR, true, false},
	[ERR_CORRUPT] = {"451 4.3.0", LOG_LEVEL_ERROR, true, false},
	[ERR_CANCELLED] = {"451 4.3.2", LOG_LEVEL_DEBUG, true, false},
	[ERR_INTERNAL] = {"451 4.3.0", LOG_LEVEL_ERROR, true, false},
};
static_assert(ARRAY_SIZE(answers) == ERR_KIND_COUNT, "every kind has an answer");

bool smtp_error_is_temporary(const struct error *err)
{
	return answers[err->kind].is_temporary;
}

void smtp_answer_error(
	struct op *op, struct smtp *smtp, const struct error *err, struct slice about)
{
	const struct answer *answer = &answers[err->kind];
	if (log_is_on(answer->level)) {
		const struct log_field fields[] = {
			FIELD_TEXT("peer", session_peer(smtp->session)), FIELD_ERROR(op, err)};
		log_event(answer->level, op, "mail-refused", fields, ARRAY_SIZE(fields));
	}
	const char *text = answer->shows_message ? err->message
						 : arena_printf(&op->arena,
							   "not possible now, try again later (%s)",
							   uuid_text(&op->arena, op->id));
	if (about.len)
		smtp_reply(smtp, "%s <" SLICE_FMT "> %s", answer->reply, SLICE_ARG(about), text);
	else
		smtp_reply(smtp, "%s %s", answer->reply, text);
}
