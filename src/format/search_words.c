#include "format/search_words.h"

#include <assert.h>
#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/ustring.h>
#include <unicode/utf8.h>

#include "base/buf.h"

/* Of a word that is asked for: shorter ones are like too many others. */
#define NEAR_CHARACTERS_MIN 4
#define FAR_CHARACTERS_MIN 8
#define BEGINNING_CHARACTERS_MIN 3
/* From here on a character is a syllable or a word. */
#define IDEOGRAPHS_BEGIN 0x2e80

/* Letters that have no decomposition, and are written without their strokes where they are missing
 * on the keyboard. */
static const struct {
	UChar32 letter;
	struct slice plain;
} plain_letters[] = {
	{0xe6, SLICE_INIT("ae")},
	{0xf0, SLICE_INIT("d")},
	{0xf8, SLICE_INIT("o")},
	{0xfe, SLICE_INIT("th")},
	{0x111, SLICE_INIT("d")},
	{0x127, SLICE_INIT("h")},
	{0x131, SLICE_INIT("i")},
	{0x142, SLICE_INIT("l")},
	{0x153, SLICE_INIT("oe")},
};

struct words {
	struct buf out;
	size_t characters;      /* of the word under way; 0: none is */
	UBreakIterator *breaks; /* NULL: none was needed yet */
};

static void end_word(struct words *words)
{
	if (words->characters)
		buf_append_char(&words->out, ' ');
	words->characters = 0;
}

static void add_character(struct words *words, struct slice bytes)
{
	if (words->characters < SEARCH_WORD_CHARACTERS_MAX)
		buf_append(&words->out, bytes);
	words->characters++;
}

/* Marks that may stand on letters of any script are accents; those of one script are its vowels. */
static bool is_accent(UChar32 c)
{
	UErrorCode status = U_ZERO_ERROR;
	return u_charType(c) == U_NON_SPACING_MARK &&
	       uscript_getScript(c, &status) == USCRIPT_INHERITED;
}

static bool is_of_word(UChar32 c)
{
	return u_isalnum(c) || (U_GET_GC_MASK(c) & (U_GC_MN_MASK | U_GC_MC_MASK));
}

/* Scripts that write no spaces between words. */
static bool is_run_together(UChar32 c)
{
	UErrorCode status = U_ZERO_ERROR;
	if (c < 0x0e00)
		return false;
	switch ((int)uscript_getScript(c, &status)) {
	case USCRIPT_HAN:
	case USCRIPT_HIRAGANA:
	case USCRIPT_KATAKANA:
	case USCRIPT_THAI:
	case USCRIPT_LAO:
	case USCRIPT_KHMER:
	case USCRIPT_MYANMAR:
		return true;
	default:
		return false;
	}
}

static void add_letter(struct words *words, UChar32 c, struct slice bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_letters); i++)
		if (plain_letters[i].letter == c) {
			add_character(words, plain_letters[i].plain);
			return;
		}
	add_character(words, bytes);
}

/* Where such words end, ICU's dictionaries know. Without them each run is one word. */
static void add_run(struct words *words, struct slice run)
{
	UErrorCode status = U_ZERO_ERROR;
	UText text = UTEXT_INITIALIZER;
	end_word(words);
	utext_openUTF8(&text, run.ptr, (int64_t)run.len, &status);
	if (!words->breaks)
		words->breaks = ubrk_open(UBRK_WORD, "", NULL, 0, &status);
	ubrk_setUText(words->breaks, &text, &status);
	int32_t from = 0, to = U_SUCCESS(status) ? ubrk_next(words->breaks) : (int32_t)run.len;
	while (to != UBRK_DONE && from < (int32_t)run.len) {
		struct slice word = slice_range(run, (size_t)from, (size_t)to);
		for (size_t at = 0; at < word.len;) {
			size_t before = at;
			U8_FWD_1(word.ptr, at, word.len);
			add_character(words, slice_range(word, before, at));
		}
		end_word(words);
		from = to;
		to = U_SUCCESS(status) ? ubrk_next(words->breaks) : UBRK_DONE;
	}
	utext_close(&text);
}

static UChar32 character_at(struct slice text, size_t at, size_t *ret_end)
{
	const uint8_t *bytes = (const uint8_t *)text.ptr;
	UChar32 c;
	U8_NEXT(bytes, at, text.len, c);
	*ret_end = at;
	return c;
}

static size_t end_of_run(struct slice text, size_t at)
{
	while (at < text.len) {
		size_t end;
		UChar32 c = character_at(text, at, &end);
		if (c < 0 || !is_run_together(c))
			break;
		at = end;
	}
	return at;
}

static void add_text(struct words *words, struct slice text)
{
	for (size_t at = 0, end; at < text.len; at = end) {
		UChar32 c = character_at(text, at, &end);
		if (c < 0x80) {
			if (c >= 0 && (ascii_is_alpha((char)c) || ascii_is_digit((char)c)))
				add_character(words, slice_range(text, at, end));
			else
				end_word(words);
		} else if (is_run_together(c)) {
			end = end_of_run(text, at);
			add_run(words, slice_range(text, at, end));
		} else if (is_of_word(c)) {
			if (!is_accent(c))
				add_letter(words, c, slice_range(text, at, end));
		} else {
			end_word(words);
		}
	}
	end_word(words);
}

/* The text of a field of the header begins with its name. */
static struct slice without_name(enum text_field field, struct slice line)
{
	size_t colon = slice_find(line, SLICE(":"));
	bool is_named = colon < line.len && field != TEXT_BODY &&
			text_field_of(slice_range(line, 0, colon)) == field;
	return is_named ? slice_from(line, colon + 1) : line;
}

struct slice search_words_make(struct arena *arena, enum text_field field, struct slice folded)
{
	struct words words = {.out = buf_in(arena)};
	struct slice line;
	if (field == TEXT_BODY)
		add_text(&words, folded);
	else
		while (slice_split(&folded, '\n', &line))
			add_text(&words, without_name(field, line));
	if (words.breaks)
		ubrk_close(words.breaks);
	struct slice made = buf_as_slice(&words.out);
	return slice_range(made, 0, made.len ? made.len - 1 : 0);
}

void search_words_ask(struct arena *arena, struct slice folded, struct search_words *ret_words)
{
	struct slice rest = search_words_make(arena, TEXT_BODY, folded);
	struct slice word;
	*ret_words = (struct search_words){0};
	while (ret_words->count < ARRAY_SIZE(ret_words->items) && slice_split(&rest, ' ', &word)) {
		bool is_known = !word.len;
		for (size_t i = 0; i < ret_words->count; i++)
			is_known |= slice_equal(ret_words->items[i], word);
		if (!is_known)
			ret_words->items[ret_words->count++] = word;
	}
}

/* ---- How near ---- */

static size_t count_characters(struct slice word)
{
	size_t count = 0;
	for (size_t i = 0; i < word.len; i++)
		count += ((unsigned char)word.ptr[i] & 0xc0) != 0x80;
	return count;
}

unsigned search_word_edits(struct slice wanted)
{
	size_t characters = count_characters(wanted);
	return (characters >= NEAR_CHARACTERS_MIN) + (characters >= FAR_CHARACTERS_MIN);
}

bool search_word_may_begin(struct slice wanted)
{
	size_t end;
	return wanted.len && (character_at(wanted, 0, &end) >= IDEOGRAPHS_BEGIN ||
				     count_characters(wanted) >= BEGINNING_CHARACTERS_MIN);
}

static size_t spell(struct slice word, UChar32 *ret_characters)
{
	size_t count = 0;
	for (size_t at = 0; at < word.len && count < SEARCH_WORD_CHARACTERS_MAX;)
		ret_characters[count++] = character_at(word, at, &at);
	return count;
}

/* Optimal string alignment: letters put in, left out, changed, or two that change places. */
static unsigned distance(
	const UChar32 *a, size_t a_count, const UChar32 *b, size_t b_count, unsigned most)
{
	unsigned rows[3][SEARCH_WORD_CHARACTERS_MAX + 1];
	for (unsigned j = 0; j <= b_count; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= a_count; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3];
		unsigned least = row[0] = i;
		for (unsigned j = 1; j <= b_count; j++) {
			row[j] = MIN_OF(above[j - 1] + (a[i - 1] != b[j - 1]),
				MIN_OF(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN_OF(row[j], rows[(i - 2) % 3][j - 2] + 1);
			least = MIN_OF(least, row[j]);
		}
		/* A change of places reaches over a row, but what it gives is no less than that
		 * row's least. */
		if (least > most)
			return least;
	}
	return rows[a_count % 3][b_count];
}

unsigned search_word_likeness(struct slice wanted, struct slice word)
{
	UChar32 a[SEARCH_WORD_CHARACTERS_MAX], b[SEARCH_WORD_CHARACTERS_MAX];
	if (slice_equal(wanted, word))
		return WORD_IS_SAME;
	if (slice_starts_with(word, wanted) && search_word_may_begin(wanted))
		return WORD_BEGINS;
	unsigned edits = search_word_edits(wanted);
	if (!edits || !word.len || word.ptr[0] != wanted.ptr[0])
		return 0;
	size_t a_count = spell(wanted, a), b_count = spell(word, b);
	if (!a_count || !b_count || a[0] != b[0] || a_count > b_count + edits ||
		b_count > a_count + edits)
		return 0;
	unsigned found = distance(a, a_count, b, b_count, edits);
	return found > edits ? 0 : found == 1 ? WORD_IS_NEAR : WORD_IS_FAR;
}

unsigned search_words_likeness(const struct search_words *wanted, struct slice words)
{
	unsigned best[ARRAY_SIZE(wanted->items)] = {0};
	unsigned sum = 0;
	struct slice word;
	while (slice_split(&words, ' ', &word))
		for (size_t i = 0; i < wanted->count; i++)
			if (best[i] < WORD_IS_SAME)
				best[i] = MAX_OF(
					best[i], search_word_likeness(wanted->items[i], word));
	for (size_t i = 0; i < wanted->count; i++) {
		if (!best[i])
			return 0;
		sum += best[i];
	}
	return wanted->count ? sum / (unsigned)wanted->count : 0;
}
