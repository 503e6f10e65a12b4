#include "app/mbox_file.h"

#include <time.h>

static bool looks_like_from(struct slice line)
{
	size_t at = 0;
	while (at < line.len && line.ptr[at] == '>')
		at++;
	return slice_starts_with(slice_from(line, at), SLICE("From "));
}

void mbox_file_write(FILE *out, struct slice content, int64_t received)
{
	struct slice line;
	struct tm parts;
	char date[32];
	time_t seconds = (time_t)received;
	gmtime_r(&seconds, &parts);
	strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &parts);
	fprintf(out, "From MAILER-DAEMON %s\n", date);
	if (slice_ends_with(content, SLICE("\n")))
		content.len--;
	while (slice_split(&content, '\n', &line)) {
		if (slice_ends_with(line, SLICE("\r")))
			line.len--;
		fprintf(out, "%s", looks_like_from(line) ? ">" : "");
		fwrite(line.ptr, 1, line.len, out);
		fputc('\n', out);
	}
	fputc('\n', out);
}
