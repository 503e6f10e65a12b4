#include "front/imap/imap_special_use.h"

#include "mailbox/mailbox.h"

const struct special_use_name special_use_names[SPECIAL_USE_COUNT] = {
	{SPECIAL_ALL, SLICE_INIT("\\All")},
	{SPECIAL_ARCHIVE, SLICE_INIT("\\Archive")},
	{SPECIAL_DRAFTS, SLICE_INIT("\\Drafts")},
	{SPECIAL_FLAGGED, SLICE_INIT("\\Flagged")},
	{SPECIAL_JUNK, SLICE_INIT("\\Junk")},
	{SPECIAL_SENT, SLICE_INIT("\\Sent")},
	{SPECIAL_TRASH, SLICE_INIT("\\Trash")},
};

uint32_t special_use_find(struct slice name)
{
	for (size_t i = 0; i < SPECIAL_USE_COUNT; i++)
		if (slice_equal_nocase(name, slice_from(special_use_names[i].name, 1)))
			return special_use_names[i].use;
	return 0;
}
