#pragma once

/* What SEARCH was asked for, as a tree (RFC 9051 6.4.4). Included only inside front/imap. */

#include "front/imap/imap_parser.h"
#include "front/imap/imap_private.h"
#include "front/imap/imap_view.h"
#include "mailbox/mailbox.h"
#include "search/search.h"

#define SEARCH_NODES_MAX 2000

enum search_kind {
	SEARCH_ALL,
	SEARCH_AND, /* of its children */
	SEARCH_OR,
	SEARCH_NOT,
	SEARCH_SEQUENCE,
	SEARCH_UID,
	SEARCH_FLAG,   /* has it */
	SEARCH_NOFLAG, /* has it not */
	SEARCH_KEYWORD,
	SEARCH_NOKEYWORD,
	SEARCH_RECENT,
	SEARCH_NEW,
	SEARCH_OLD,
	SEARCH_MODSEQ,
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE,
	SEARCH_OLDER,
	SEARCH_YOUNGER,
	SEARCH_SAVEDBEFORE,
	SEARCH_SAVEDON,
	SEARCH_SAVEDSINCE,
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE,
	SEARCH_LARGER,
	SEARCH_SMALLER,
	SEARCH_EMAILID,
	SEARCH_THREADID,
	SEARCH_HEADER,
	SEARCH_BODY,
	SEARCH_TEXT,
};

/* What must be read to answer a key. */
enum search_cost {
	SEARCH_COSTS_NOTHING, /* the snapshot */
	SEARCH_COSTS_ROW,
	SEARCH_COSTS_SUMMARY,
	SEARCH_COSTS_CONTENT,
};

struct search_node {
	enum search_kind kind;
	enum search_cost cost;            /* the highest of the children's */
	struct search_node *first, *next; /* children, cheap ones first */
	uint16_t flag;
	struct slice field; /* header field */
	struct slice text;  /* keyword, id, or what is looked for: UTF-8, folded */
	uint64_t number;
	int64_t day;
	uint64_t instant_us; /* OLDER, YOUNGER: so long before the search began */
	struct imap_sequence sequence;
	struct uid_set uids;               /* the sequence, once it is known what it names */
	struct search_narrowing narrowing; /* of a text */
	const struct search_words *words;  /* of a text that is searched for by FUZZY; else NULL */
	const struct search_words *attached; /* of a text that attachments are searched for too */
	struct search_ranking ranking;       /* of either */
};

enum search_return {
	SEARCH_RETURN_MIN = 1 << 0,
	SEARCH_RETURN_MAX = 1 << 1,
	SEARCH_RETURN_ALL = 1 << 2,
	SEARCH_RETURN_COUNT = 1 << 3,
	SEARCH_RETURN_SAVE = 1 << 4,
	SEARCH_RETURN_PARTIAL = 1 << 5,
	SEARCH_RETURN_UPDATE = 1 << 6,
	SEARCH_RETURN_CONTEXT = 1 << 7, /* a hint */
	SEARCH_RETURN_RELEVANCY = 1 << 8,
};

struct search_request {
	struct search_node *root; /* SEARCH_AND */
	bool is_extended;         /* RETURN was said */
	unsigned returns;
	struct imap_page page; /* of PARTIAL */
	bool uses_modseq;
	bool has_fuzzy;      /* some key is searched for by FUZZY */
	bool sees_attached;  /* some key looks at attachments */
	unsigned fuzzy_keys; /* that the key being read is within */
	bool has_charset;    /* it was said */
	struct slice charset;
	struct slice keys; /* as they were written */
	size_t node_count;
	size_t depth;
};

MUST_CHECK struct error *imap_search_parse(
	struct op *op, struct imap_args *args, struct search_request *ret_request);

/* Its parts, for commands that search too. "RETURN" and "CHARSET" have been taken; each takes the
 * space behind it. */
MUST_CHECK struct error *imap_search_take_returns(
	struct op *op, struct imap_args *args, struct search_request *request);
MUST_CHECK struct error *imap_search_take_charset(
	struct op *op, struct imap_args *args, struct search_request *request);
MUST_CHECK struct error *imap_search_parse_keys(
	struct op *op, struct imap_args *args, struct search_request *request);

/* What keys of text look at: bits 1 << enum text_field. */
unsigned imap_search_fields(const struct search_node *node);

/* ---- imap_search.c ---- */

/* OLDER and YOUNGER count from now. */
void imap_search_set_instants(struct search_node *node);

/* RFC 5182 2.1, RFC 7162 3.1.10, RFC 9394 3.2: with MIN, MAX and PARTIAL alone, what these name is
 * saved, and theirs is the mod-sequence; with ALL and COUNT every message's. */
bool imap_search_tells_of_all(unsigned returns);

struct imap_session;

/* A search under way: in the operation's arena, from step to step. */
struct search_run {
	const struct search_request *request;
	struct uid_set candidates; /* may match, by what is known with nothing read */
	struct uid_cursor cursor;  /* behind those that were read */
	struct uid_set found;
	struct buf scores; /* of what was found by FUZZY: struct index_hit, ascending */
	uint64_t read;     /* candidates */
	uint64_t unread;   /* messages whose attachments nobody has read yet, so that they were not
			      found by them */
	struct imap_progress progress;
	const struct uid_set *result; /* of the two, when it has ended */
};

/* Borrows the request, which was parsed. */
MUST_CHECK struct error *imap_search_begin(struct op *op, struct imap_session *session,
	struct imap_args *args, struct search_request *request, struct search_run *ret_run);

/* As much as fits into one step. *ret_more: call again. */
MUST_CHECK struct error *imap_search_run(struct op *op, struct imap_session *session,
	const struct snapshot *now, struct search_run *run, bool *ret_more);

/* RFC 6203 4: 1 to 100; what was not found by words is wholly what was asked for. */
unsigned imap_search_score(const struct search_run *run, uint32_t uid);

/* ---- imap_search_match.c ---- */

/* One message, read as far as the keys asked. */
struct search_message {
	const struct snapshot *snapshot;
	struct snapshot_message at;
	const struct message *row; /* NULL: only keys that cost nothing are asked */
	bool has_summary, has_header, has_bytes;
	bool has_unread; /* attachments that might have matched */
	struct message_summary summary;
	struct slice header, bytes;
	unsigned score_sum, score_count; /* of the words that it has */
};

/* Does the message match? Its row is read; more is read as far as the keys ask. */
MUST_CHECK struct error *imap_search_match(struct op *op, struct imap_session *session,
	const struct search_node *root, struct search_message *message, bool *ret_matches);

/* False when the message certainly does not, by what the snapshot and the index say; its row need
 * not be read. */
bool imap_search_may_match(const struct imap_session *session, const struct search_node *root,
	const struct search_message *message);
