#pragma once

/* Within front/smtp only. */

#include "account/auth.h"
#include "front/smtp/smtp.h"
#include "front/smtp/smtp_framer.h"
#include "front/smtp/smtp_path.h"
#include "front/smtp/smtp_verb.h"

/* A mail on its way in; dies with RSET, or when it is delivered. */
struct envelope {
	struct arena arena;
	struct slice sender;
	struct slice sender_parameters;
	bool is_binary; /* BODY=BINARYMIME: only by BDAT */
	bool is_utf8;
	uint64_t declared_size;
	struct delivery_recipient *recipients;
	size_t recipient_count, recipient_capacity;
	struct spool *chunks; /* BDAT so far */
	bool is_broken;       /* a chunk was refused: the rest is, too */
};

struct smtp {
	struct session *session;
	const struct smtp_service *service;
	enum smtp_kind kind;
	bool is_extended; /* EHLO or LHLO, not HELO */
	char hello[256];  /* what the client calls itself; empty before it did */
	struct envelope *envelope;
	struct sasl_exchange *exchange;
	struct account_id account; /* signed in */
	uint64_t errors;
	/* Keys of deliveries whose answers the client has not yet been seen to see. */
	struct delivery_key *keys;
	size_t key_count;
};

typedef enum step (*smtp_handler)(
	struct op *op, struct smtp *smtp, struct command *command, struct slice arguments);

/* One line: "250 2.1.0 OK". */
void smtp_reply(struct smtp *smtp, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same for the client's mistakes, which are counted. */
enum step smtp_refuse(struct smtp *smtp, const char *format, ...) PRINTF_LIKE(2, 3);

/* Answers with the row of the error's kind, and logs it. */
void smtp_answer_error(
	struct op *op, struct smtp *smtp, const struct error *err, struct slice about);
bool smtp_error_is_temporary(const struct error *err);

void smtp_forget_envelope(struct smtp *smtp);

/* A command that can only have been sent by someone who read our answer frees the once-keys of
 * what that answer told of. */
void smtp_release_keys(struct op *op, struct smtp *smtp, const struct command *command);
enum step smtp_greet(struct op *op, struct session *session);
enum step smtp_execute(struct op *op, struct session *session, struct command *command);
void smtp_closed(struct op *op, struct session *session);

/* smtp_mail.c */
enum step smtp_mail(struct op *op, struct smtp *smtp, struct command *command, struct slice args);
enum step smtp_rcpt(struct op *op, struct smtp *smtp, struct command *command, struct slice args);

/* smtp_data.c */
enum step smtp_data(struct op *op, struct smtp *smtp, struct command *command, struct slice args);
enum step smtp_bdat(struct op *op, struct smtp *smtp, struct command *command, struct slice args);

/* smtp_auth.c */
enum step smtp_auth(struct op *op, struct smtp *smtp, struct command *command, struct slice args);
struct sasl_terms smtp_sasl_terms(const struct smtp *smtp);

/* smtp_trace.c: the Received field (RFC 5321 4.4). */
struct slice smtp_received(struct op *op, const struct smtp *smtp);
