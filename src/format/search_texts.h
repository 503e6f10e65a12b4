#pragma once

/* What a search index is told of a message: its texts as find_text.h sees them, folded, by the part
 * of the message that SEARCH names (RFC 9051 6.4.4). If a message has a needle in a part, the
 * folded needle is a substring of that part's text here. Pure, any thread. */

#include "base/arena.h"

enum text_field {
	TEXT_SUBJECT,
	TEXT_FROM,
	TEXT_TO,
	TEXT_CC,
	TEXT_BCC,
	TEXT_OTHER_FIELDS, /* of the header, names included */
	TEXT_BODY,
	TEXT_FIELD_COUNT,
};

struct search_texts {
	struct slice fields[TEXT_FIELD_COUNT]; /* texts of one part are separated by line breaks */
	bool is_whole;                         /* false: there was more than the limit */

	/* Not of search_texts_make(), nor of the fingerprint: what something else has read of the
	 * attachments, folded, and how much of it that is (index.h). */
	struct slice attached;
	unsigned attached_state;
};

/* Where the fields of a header by this name go, in any case. */
enum text_field text_field_of(struct slice name);

/* At most `limit` bytes of text in all. */
void search_texts_make(struct arena *arena, struct slice message, size_t header_length,
	size_t limit, struct search_texts *ret_texts);

/* Of the texts as they are: equal texts have equal ones. Never above INT64_MAX, which is what
 * stores of indexes can hold. */
uint64_t search_texts_fingerprint(const struct search_texts *texts);

/* Differs between processes that would make other texts of the same message: what was made by
 * other rules is of no use. Never 0. */
uint32_t search_texts_rules(void);
