#include "base/clock.h"
#include "format/imap_string.h"
#include "front/imap/imap_private.h"

uint64_t imap_progress_interval_ms;

void imap_progress_begin(struct imap_progress *progress)
{
	progress->told_ns = clock_monotonic_ns();
}

uint64_t imap_progress_step_ns(void)
{
	return MIN_OF(IMAP_STEP_NS, imap_progress_interval_ms * NS_PER_MS);
}

void imap_progress_tell(struct imap_session *session, const struct imap_args *args,
	struct imap_progress *progress, uint64_t done, uint64_t goal)
{
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns - progress->told_ns < imap_progress_interval_ms * NS_PER_MS)
		return;
	progress->told_ns = now_ns;
	buf_append(session->out, SLICE("* OK [INPROGRESS ("));
	imap_print_string(session->out, args->tag);
	if (goal)
		buf_printf(session->out, " %llu %llu)] Still at it\r\n", (unsigned long long)done,
			(unsigned long long)goal);
	else
		buf_append(session->out, SLICE(" NIL NIL)] Still at it\r\n"));
}
