#pragma once

/* What an IMAP server answers, from bytes (RFC 9051 2.2.2, 7, 9). Whoever wrote them is not
 * believed. Pure, any thread; results borrow from the response unless they say otherwise. */

#include "base/arena.h"

struct imap_limits_of_source {
	size_t text_bytes;    /* of one response without its literals */
	size_t literal_bytes; /* of one literal */
	unsigned literals;    /* in one response */
};

/* Cuts one response off a growing run of bytes. Zeroed to begin with, and after each response. */
struct imap_cutter {
	size_t at;    /* seen up to here */
	size_t begin; /* of the line that is being read */
	size_t text_bytes;
	unsigned literals;
};

enum imap_cut {
	IMAP_CUT_MORE,        /* it goes on */
	IMAP_CUT_WHOLE,       /* *ret_len bytes are a response */
	IMAP_CUT_TOO_LONG,    /* its text */
	IMAP_CUT_BIG_LITERAL, /* one literal is too large, or there are too many */
};

/* `bytes`: all that came of the response so far, and maybe more behind it. */
enum imap_cut imap_cut(struct imap_cutter *cutter, const struct imap_limits_of_source *limits,
	struct slice bytes, size_t *ret_len);

enum imap_status {
	IMAP_STATUS_NONE, /* data */
	IMAP_STATUS_OK,
	IMAP_STATUS_NO,
	IMAP_STATUS_BAD,
	IMAP_STATUS_BYE,
	IMAP_STATUS_PREAUTH,
};

struct imap_response {
	struct slice tag; /* "*", "+", or a command's */
	enum imap_status status;
	struct slice code; /* of a status, without brackets; empty: none */
	bool has_number;
	uint32_t number;   /* "* 7 FETCH" */
	struct slice name; /* of data: "FETCH" */
	struct slice rest; /* behind the name; of a status, the text for people */
};

/* False: it has not the form of a response. */
bool imap_response_parse(struct slice bytes, struct imap_response *ret_response);

/* The number behind a name in a response code: "UIDVALIDITY 7". */
bool imap_code_number(struct slice code, struct slice name, uint32_t *ret_number);

#define IMAP_FLAGS_MOST 128

struct imap_fetched {
	uint32_t uid; /* 0: not told */
	bool has_flags;
	struct slice *flags; /* in the arena */
	size_t flag_count;
	struct slice internal_date; /* empty: not told */
	bool has_size;
	uint64_t size;
	bool has_body;
	struct slice body; /* of BODY[]; ptr NULL: NIL */
};

/* What stands behind FETCH. What was not asked for is passed over. */
bool imap_fetched_parse(struct arena *arena, struct slice rest, struct imap_fetched *ret_fetched);

struct imap_listed {
	struct slice *attributes; /* in the arena */
	size_t attribute_count;
	char delimiter;    /* 0: there are no levels */
	struct slice name; /* as it was written, without quotes */
};

/* What stands behind LIST or LSUB. */
bool imap_listed_parse(struct arena *arena, struct slice rest, struct imap_listed *ret_listed);

/* One of the numbers behind SEARCH; *inout_rest keeps the others. False: it is no number, or, with
 * an empty rest, the end. */
bool imap_search_next(struct slice *inout_rest, uint32_t *ret_number);

struct imap_namespace {
	struct slice prefix; /* as it was written, without quotes */
	char delimiter;
};

#define IMAP_NAMESPACES_MOST 16

struct imap_namespaces {
	/* Personal, other users', shared (RFC 2342 5). */
	struct imap_namespace items[3][IMAP_NAMESPACES_MOST];
	size_t counts[3];
};

/* What stands behind NAMESPACE; in the arena what cannot be borrowed. */
bool imap_namespaces_parse(
	struct arena *arena, struct slice rest, struct imap_namespaces *ret_namespaces);

bool imap_has_word(struct slice words, struct slice word);
