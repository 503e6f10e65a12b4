#include "format/imap_list_match.h"

/* One row of the usual table at a time: reach[i] says that the pattern so far can match the first i
 * bytes of the name. No pattern can make it take more than length times length. */
bool imap_list_match(struct slice pattern, struct slice name)
{
	uint8_t reach[IMAP_LIST_NAME_MAX + 1];
	if (name.len > IMAP_LIST_NAME_MAX)
		return false;
	memset(reach, 0, sizeof(reach));
	reach[0] = 1;
	for (size_t p = 0; p < pattern.len; p++) {
		char c = pattern.ptr[p];
		if (p && c == '*' && pattern.ptr[p - 1] == '*')
			continue;
		if (c == '*' || c == '%') {
			for (size_t i = 1; i <= name.len; i++)
				if (reach[i - 1] && (c == '*' || name.ptr[i - 1] != '/'))
					reach[i] = 1;
			continue;
		}
		for (size_t i = name.len; i > 0; i--)
			reach[i] = reach[i - 1] && name.ptr[i - 1] == c;
		reach[0] = 0;
		if (!memchr(reach, 1, name.len + 1))
			return false;
	}
	return reach[name.len];
}
