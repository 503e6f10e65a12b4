#pragma once

/* Arguments of a command (RFC 9051 9). Each function takes its argument off the front of the
 * command's text, or fails with ERR_INVALID and marks the arguments as bad: the answer is BAD, not
 * NO. Pure. */

#include "base/op.h"
#include "mailbox/uid_set.h"
#include "session/spool.h"

/* Lists within lists, parentheses in SEARCH. */
#define IMAP_NESTING_MAX 50
/* Ranges of a sequence set, names in a list, … */
#define IMAP_ITEMS_MAX 10000

struct command_body;

struct imap_args {
	struct slice tag;
	struct slice rest;
	struct slice line; /* all of it: bodies are placed by their offset in it */
	const struct command_body *bodies;
	size_t body_count;
	bool is_uid;
	bool is_bad;          /* the grammar was broken */
	bool has_utf8;        /* mailbox names come as UTF-8 (rev2), not as modified UTF-7 */
	bool has_fuzzy;       /* words can be searched for by how near they come */
	bool wants_more;      /* the handler's answer: call again when the output has drained */
	void *cursor;         /* for that */
	struct slice ok_code; /* response code of the tagged OK: "APPENDUID 1 2" */
	struct slice ok_text; /* NULL: "<command> completed" */
	struct slice no_code; /* response code instead of the error kind's own */
};

/* Splits tag and command name off; false when there is no tag to answer to. */
bool imap_args_begin(struct slice line, struct imap_args *ret_args, struct slice *ret_name);

/* Marks the arguments as bad and makes the error. */
MUST_CHECK struct error *imap_bad_error(struct op *op, struct imap_args *args, const char *what);
MUST_CHECK static inline struct error *imap_bad(
	struct op *op, struct imap_args *args, const char *what)
{
	return op_error_certain(imap_bad_error(op, args, what));
}

MUST_CHECK struct error *imap_end(struct op *op, struct imap_args *args);
MUST_CHECK struct error *imap_space(struct op *op, struct imap_args *args);
MUST_CHECK struct error *imap_atom(struct op *op, struct imap_args *args, struct slice *ret_atom);
MUST_CHECK struct error *imap_string(struct op *op, struct imap_args *args, struct slice *ret_text);
/* A string, or a literal8 that may hold NULs (RFC 3516 4.4). */
MUST_CHECK struct error *imap_value(struct op *op, struct imap_args *args, struct slice *ret_value);
MUST_CHECK struct error *imap_astring(
	struct op *op, struct imap_args *args, struct slice *ret_text);
MUST_CHECK struct error *imap_u64(struct op *op, struct imap_args *args, uint64_t *ret_number);
MUST_CHECK struct error *imap_u32(struct op *op, struct imap_args *args, uint32_t *ret_number);

/* A mailbox name as its path: UTF-8 in NFC, INBOX in upper case, no delimiter at its end. */
MUST_CHECK struct error *imap_mailbox(
	struct op *op, struct imap_args *args, struct slice *ret_path);

/* A name from elsewhere in the protocol, by the same rules. */
MUST_CHECK struct error *imap_name_to_path(
	struct op *op, struct imap_args *args, struct slice name, struct slice *ret_path);

/* As a mailbox, but with wildcards. */
MUST_CHECK struct error *imap_list_pattern(
	struct op *op, struct imap_args *args, struct slice *ret_pattern);

/* What comes next? Takes it if it is that. */
bool imap_take_char(struct imap_args *args, char c);
bool imap_take_word(struct imap_args *args, struct slice word);
bool imap_next_is(const struct imap_args *args, char c);
bool imap_at_end(const struct imap_args *args);

/* "(a b c)" of atoms or astrings; also one without parentheses if `bare` allows. */
struct imap_words {
	struct slice *items;
	size_t count;
};
MUST_CHECK struct error *imap_astring_list(
	struct op *op, struct imap_args *args, struct imap_words *ret_words);

/* Flags: "(\Seen $x)" or, where `bare`, without parentheses. */
struct imap_flags {
	uint16_t flags;
	struct slice *keywords;
	size_t keyword_count;
};
MUST_CHECK struct error *imap_flag_list(
	struct op *op, struct imap_args *args, bool bare, struct imap_flags *ret_flags);

/* A set of numbers with `*` still in it. */
struct imap_sequence {
	struct uid_range *ranges; /* 0 stands for `*`; in the order written */
	size_t count;
	bool is_saved; /* `$`: the last search's result (RFC 5182) */
};
MUST_CHECK struct error *imap_sequence(
	struct op *op, struct imap_args *args, struct imap_sequence *ret_sequence);

/* "1:100", or "-1:-100" from the end: a page of a result (RFC 9394 3.1). */
struct imap_page {
	bool is_wanted;
	bool is_from_end;
	uint32_t first, last; /* as they were said, from 1 */
};
MUST_CHECK struct error *imap_page_range(
	struct op *op, struct imap_args *args, struct imap_page *ret_page);

/* Positions [*ret_from, *ret_to) of the page in a result of `count`. */
void imap_page_bounds(
	const struct imap_page *page, uint64_t count, uint64_t *ret_from, uint64_t *ret_to);
void imap_page_print(const struct imap_page *page, struct buf *out);

/* A bracketed list of atoms up to its end, nesting allowed, passed over. */
MUST_CHECK struct error *imap_skip_value(struct op *op, struct imap_args *args);
