#include "front/smtp/smtp_verb.h"

#include "front/smtp/smtp_framer.h"

#define MX_OR_SUBMISSION (SMTP_MX | SMTP_SUBMISSION)
#define ANY_KIND (SMTP_MX | SMTP_SUBMISSION | SMTP_LMTP)

/* Whatever may come right behind a mail runs in the store's lane: it gives up once-keys. */
/* clang-format off */
static const struct smtp_verb verbs[] = {
	/* id                  name                    lane          flags                  known to */
	{SMTP_VERB_EHLO,     SLICE_INIT("EHLO"),     LANE_QUICK,   0,                     MX_OR_SUBMISSION},
	{SMTP_VERB_HELO,     SLICE_INIT("HELO"),     LANE_QUICK,   0,                     MX_OR_SUBMISSION},
	{SMTP_VERB_LHLO,     SLICE_INIT("LHLO"),     LANE_QUICK,   0,                     SMTP_LMTP},
	{SMTP_VERB_MAIL,     SLICE_INIT("MAIL"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_RCPT,     SLICE_INIT("RCPT"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_DATA,     SLICE_INIT("DATA"),     LANE_QUICK,   COMMAND_ENDS_PIPELINE, ANY_KIND},
	{SMTP_VERB_BDAT,     SLICE_INIT("BDAT"),     LANE_DELIVER, SMTP_TAKES_CHUNK,      ANY_KIND},
	{SMTP_VERB_RSET,     SLICE_INIT("RSET"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_NOOP,     SLICE_INIT("NOOP"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_VRFY,     SLICE_INIT("VRFY"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_HELP,     SLICE_INIT("HELP"),     LANE_STORE,   0,                     ANY_KIND},
	{SMTP_VERB_STARTTLS, SLICE_INIT("STARTTLS"), LANE_QUICK,   COMMAND_ENDS_PIPELINE, ANY_KIND},
	{SMTP_VERB_AUTH,     SLICE_INIT("AUTH"),     LANE_AUTH,    COMMAND_ENDS_PIPELINE, SMTP_SUBMISSION},
	{SMTP_VERB_QUIT,     SLICE_INIT("QUIT"),     LANE_STORE,   COMMAND_ENDS_PIPELINE, ANY_KIND},
};
/* clang-format on */

static const struct smtp_verb unknown = {
	SMTP_VERB_UNKNOWN, SLICE_INIT(""), LANE_QUICK, 0, ANY_KIND};

const struct smtp_verb *smtp_verb_find(struct slice line, struct slice *ret_arguments)
{
	size_t end = slice_find_char(line, ' ');
	struct slice name = slice_range(line, 0, end);
	*ret_arguments = slice_from(line, end + 1);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (slice_equal_nocase(verbs[i].name, name))
			return &verbs[i];
	return &unknown;
}
