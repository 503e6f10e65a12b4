#pragma once

/* Mail in files of other programs: mbox ("From " lines) and Maildir (names of files and folders).
 * Pure, any thread. */

#include "format/date.h"

enum mbox_quoting {
	MBOX_RD, /* a line of any number of '>' and "From " has one '>' more than it had */
	MBOX_O,  /* only "From " itself got one: what had it before is not told apart */
};

struct mbox_message {
	struct slice from; /* the line that begins it, without its end */
	struct slice body; /* up to the empty line before the next one, as it stands in the file */
	uint64_t received; /* of the "From " line, seconds since 1970; 0: it tells no date */
};

/* Takes the next message off the front; false at the end, and for what does not begin with "From ".
 */
bool mbox_next(struct slice *rest, struct mbox_message *ret_message);

/* Without the quoting, every line with CRLF. */
struct slice mbox_content(struct arena *arena, struct slice body, enum mbox_quoting quoting);

/* Letters of Status and X-Status: "RO", "AF". In the arena. */
struct slice mbox_status(struct arena *arena, struct slice content);

/* Every bare LF becomes CRLF; borrows when there is none. */
struct slice lines_with_crlf(struct arena *arena, struct slice bytes);

/* "1204680122.27c448.host:2,FS" */
struct maildir_name {
	struct slice unique; /* stays when flags change */
	struct slice flags;  /* letters; empty: none */
};
struct maildir_name maildir_name_parse(struct slice file);

/* ".Archive.2024" is "Archive/2024" (Maildir++), in modified UTF-7 or, as some servers write it,
 * in UTF-8. False when it can be no path. */
bool maildir_folder_parse(struct arena *arena, struct slice folder, struct slice *ret_path);
