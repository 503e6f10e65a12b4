#pragma once

/* Within front/pop3 only. */

#include "account/auth.h"
#include "front/pop3/pop3.h"
#include "front/pop3/pop3_framer.h"
#include "front/pop3/pop3_stuffing.h"

struct pop3_message {
	uint32_t uid;
	bool is_deleted; /* will be at QUIT */
	uint64_t size;
	/* Its unique-id: where in the account it came first, and which of those in the maildrop
	 * that came there it is. */
	uint64_t first_place;
	uint32_t copy;
};

/* What the INBOX held when the client signed in (RFC 1939 3: numbers do not change later). */
struct pop3_maildrop {
	struct mailbox_id mailbox;
	struct pop3_message *messages; /* on the heap */
	size_t count;
};

struct pop3 {
	struct session *session;
	const struct pop3_service *service;
	struct sasl_exchange *exchange;
	char user[512]; /* after USER, before PASS */
	bool is_open;   /* signed in, and the maildrop is read */
	struct account_id account;
	struct pop3_maildrop maildrop;
};

/* One line, of the server's own words. */
void pop3_reply(struct pop3 *pop3, const char *format, ...) PRINTF_LIKE(2, 3);

/* "-ERR [SYS/TEMP] …" by the error's kind, and logs it. */
void pop3_answer_error(struct op *op, struct pop3 *pop3, const struct error *err);

/* pop3_auth.c */
struct sasl_terms pop3_sasl_terms(const struct pop3 *pop3);
enum step pop3_user(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_pass(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_auth(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);

/* pop3_maildrop.c */
MUST_CHECK struct error *pop3_maildrop_open(struct op *op, struct pop3 *pop3);
enum step pop3_stat(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_list(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_uidl(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_dele(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_rset(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_quit(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);

/* NULL when it has said why there is no such message. */
struct pop3_message *pop3_message_get(struct pop3 *pop3, struct slice number);

/* pop3_retrieve.c */
enum step pop3_retr(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
enum step pop3_top(struct op *op, struct pop3 *pop3, struct command *command, struct slice args);
