#include <assert.h>

#include "format/charset.h"
#include "format/search_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Whatever a text is, its words are asked for by themselves and found. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct arena arena;
	struct search_words wanted;
	arena_init(&arena);
	struct slice text = slice_of(bytes, size);
	struct slice folded = utf8_fold(&arena, text);
	for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
		struct slice raw = search_words_make(&arena, (enum text_field)field, text);
		struct slice words = search_words_make(&arena, (enum text_field)field, folded);
		assert(utf8_is_valid(words) && utf8_is_valid(raw));
		search_words_ask(&arena, words, &wanted);
		assert(!wanted.count || search_words_likeness(&wanted, words) == WORD_IS_SAME ||
			field != TEXT_BODY);
	}
	arena_done(&arena);
	return 0;
}
