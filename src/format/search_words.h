#pragma once

/* The words of texts, and how near one word is to another: what FUZZY (RFC 6203) goes by, the same
 * in every index and where a message is looked at itself. Texts are folded (search_texts.h); here
 * the accents go too. Nothing is known of languages but where their words end: what stemming would
 * find is found as a beginning or as near. Pure, any thread. */

#include "format/search_texts.h"

/* To be raised with every change of what words are made of a text. */
#define SEARCH_WORDS_VERSION 1

/* What is longer is cut. */
#define SEARCH_WORD_CHARACTERS_MAX 40

/* Parts of a message that have words: the other fields are no prose. */
#define SEARCH_WORDS_FIELDS (((1U << TEXT_FIELD_COUNT) - 1) & ~(1U << TEXT_OTHER_FIELDS))

/* How much one word is like another, in percent. */
#define WORD_IS_SAME 100U
#define WORD_BEGINS 70U /* so */
#define WORD_IS_NEAR                                                                            \
	50U             /* one letter is wrong, missing or too many, or two have changed places \
			 */
#define WORD_IS_FAR 30U /* two of that */

/* The words of a text as bytes of letters and digits, with one space between them. */
struct slice search_words_make(struct arena *arena, enum text_field field, struct slice folded);

/* What is asked for: each of them is to be found. */
struct search_words {
	struct slice items[8]; /* in the arena; what comes behind them narrows no more */
	size_t count;
};

void search_words_ask(struct arena *arena, struct slice folded, struct search_words *ret_words);

/* How many letters may differ from a word that is asked for. Its first one never does. */
unsigned search_word_edits(struct slice wanted);

/* May a word that is asked for be the beginning of another? */
bool search_word_may_begin(struct slice wanted);

/* 0: not at all. */
unsigned search_word_likeness(struct slice wanted, struct slice word);

/* Of all that is asked for, on the average; 0 unless each is among the words. */
unsigned search_words_likeness(const struct search_words *wanted, struct slice words);
