/* DATA and BDAT: the mail itself, and what becomes of it for each recipient. */

#include <stdlib.h>

#include "format/header.h"
#include "front/smtp/smtp_private.h"

/* ---- What no mailbox shall hold ---- */

static bool is_going_round(struct slice header)
{
	struct header_field field;
	uint64_t hops = 0;
	while (header_next(&header, &field))
		hops += slice_equal_nocase(field.name, SLICE("Received"));
	return hops > smtp_config.max_hops;
}

/* NULL, or the reply that refuses it. */
static const char *look_at_content(struct slice content)
{
	struct slice header = slice_range(content, 0, header_length(content));
	const struct header_limits limits = {.fields = (size_t)smtp_config.max_header_fields,
		.bytes = (size_t)smtp_config.max_header_bytes};
	if (!header_is_within(header, limits))
		return "552 5.3.4 the header is too large";
	if (is_going_round(header))
		return "554 5.4.6 this mail is going round in circles";
	return NULL;
}

/* ---- Answers: one for each recipient in LMTP, one for all in SMTP ---- */

static void reply_to_all(struct smtp *smtp, const char *reply)
{
	size_t count = smtp->kind == SMTP_LMTP ? smtp->envelope->recipient_count : 1;
	for (size_t i = 0; i < count; i++)
		smtp_reply(smtp, "%s", reply);
}

static void reply_error_to_all(struct op *op, struct smtp *smtp, const struct error *err)
{
	size_t count = smtp->kind == SMTP_LMTP ? smtp->envelope->recipient_count : 1;
	for (size_t i = 0; i < count; i++)
		smtp_answer_error(op, smtp, err, SLICE_NONE);
}

static void remember_keys(struct smtp *smtp, const struct delivery_key *keys, size_t count)
{
	if (!count)
		return;
	smtp->keys = heap_realloc(smtp->keys, (smtp->key_count + count) * sizeof(*smtp->keys));
	memcpy(smtp->keys + smtp->key_count, keys, count * sizeof(*keys));
	smtp->key_count += count;
}

static void forget_keys(struct smtp *smtp, size_t from)
{
	smtp->key_count = from;
}

static void accept_one(struct op *op, struct smtp *smtp)
{
	smtp_reply(smtp, "250 2.0.0 delivered as %s", uuid_text(&op->arena, op->id));
}

static void deliver_lmtp(struct op *op, struct smtp *smtp, const struct delivery_mail *mail)
{
	const struct envelope *envelope = smtp->envelope;
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct delivery_recipient *recipient = &envelope->recipients[i];
		struct delivery_key *keys;
		size_t count;
		struct error *err = deliver_message(
			op, &smtp->service->delivery, mail, recipient, &keys, &count);
		if (err) {
			smtp_answer_error(op, smtp, err, recipient->address);
			continue;
		}
		remember_keys(smtp, keys, count);
		accept_one(op, smtp);
	}
}

/* One answer for all: while any recipient may yet be reached the sender is to try again, and the
 * once-keys of those that have the mail keep them from having it twice. */
static void deliver_smtp(struct op *op, struct smtp *smtp, const struct delivery_mail *mail)
{
	const struct envelope *envelope = smtp->envelope;
	const struct error *worst = NULL;
	struct slice about = SLICE_NONE;
	size_t keys_before = smtp->key_count;
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct delivery_recipient *recipient = &envelope->recipients[i];
		struct delivery_key *keys;
		size_t count;
		struct error *err = deliver_message(
			op, &smtp->service->delivery, mail, recipient, &keys, &count);
		if (!err) {
			remember_keys(smtp, keys, count);
		} else if (!worst ||
			   (smtp_error_is_temporary(err) && !smtp_error_is_temporary(worst))) {
			worst = err;
			about = recipient->address;
		}
	}
	if (!worst) {
		accept_one(op, smtp);
		return;
	}
	if (smtp_error_is_temporary(worst))
		forget_keys(smtp, keys_before);
	smtp_answer_error(op, smtp, worst, about);
}

/* ---- The whole mail is here ---- */

static void deliver(struct op *op, struct smtp *smtp, struct spool *spool)
{
	struct slice content = SLICE("");
	struct error *err = spool ? spool_view(op, spool, &content) : NULL;
	if (err) {
		reply_error_to_all(op, smtp, err);
		return;
	}
	const char *refusal = look_at_content(content);
	if (refusal) {
		smtp->errors++;
		reply_to_all(smtp, refusal);
		return;
	}
	struct delivery_mail mail = {.sender = smtp->envelope->sender,
		.sender_parameters = smtp->envelope->sender_parameters,
		.received_by_us = smtp_received(op, smtp),
		.content = content,
		.protocol = session_protocol(smtp->session)->name,
		.peer = session_peer(smtp->session)};
	delivery_prepare(&mail);
	if (smtp->kind == SMTP_LMTP)
		deliver_lmtp(op, smtp, &mail);
	else
		deliver_smtp(op, smtp, &mail);
}

static const char *refusal_of(unsigned flags)
{
	if (flags & COMMAND_TOO_BIG)
		return "552 5.3.4 a mail of this size is not accepted";
	if (flags & SMTP_BAD_LINE_END)
		return "554 5.6.0 a line ends in CRLF, with no CR or LF within";
	return NULL;
}

static enum step data_is_here(struct op *op, struct session *session, struct command *command)
{
	struct smtp *smtp = session_state(session);
	const char *refusal = refusal_of(command->flags);
	smtp_release_keys(op, smtp, command);
	if (refusal) {
		smtp->errors++;
		reply_to_all(smtp, refusal);
	} else {
		deliver(op, smtp, command->body_count ? command->bodies[0].spool : NULL);
	}
	smtp_forget_envelope(smtp);
	return STEP_DONE;
}

static const char *not_ready(const struct smtp *smtp)
{
	if (!smtp->envelope)
		return "503 5.5.1 MAIL comes first";
	if (!smtp->envelope->recipient_count)
		return smtp->kind == SMTP_LMTP ? "503 5.5.1 no valid recipients"
					       : "554 5.5.1 no valid recipients";
	return NULL;
}

enum step smtp_data(struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	if (slice_trim(args).len)
		return smtp_refuse(smtp, "501 5.5.4 DATA takes no argument");
	const char *missing = not_ready(smtp);
	if (!missing && (smtp->envelope->chunks || smtp->envelope->is_binary))
		missing = "503 5.5.1 this mail comes by BDAT";
	if (missing)
		return smtp_refuse(smtp, "%s", missing);
	smtp_reply(smtp, "354 send it, and CRLF . CRLF behind it");
	session_expect(smtp->session, SMTP_MODE_DATA, LANE_DELIVER, data_is_here);
	return STEP_DONE;
}

/* ---- BDAT (RFC 3030) ---- */

static struct error *add_chunk(struct op *op, struct envelope *envelope, struct command *command)
{
	if (!envelope->chunks)
		envelope->chunks = spool_new();
	if (!command->body_count)
		return NULL;
	struct slice bytes;
	TRY(spool_view(op, command->bodies[0].spool, &bytes));
	spool_append(envelope->chunks, bytes);
	return NULL;
}

/* A chunk that cannot be had makes the mail impossible: what follows of it is refused, too. */
static enum step break_off(struct smtp *smtp, bool is_last, const char *reply)
{
	if (smtp->envelope)
		smtp->envelope->is_broken = true;
	if (is_last && smtp->kind == SMTP_LMTP && smtp->envelope &&
		smtp->envelope->recipient_count) {
		smtp->errors++;
		reply_to_all(smtp, reply);
		smtp_forget_envelope(smtp);
		return STEP_DONE;
	}
	if (is_last)
		smtp_forget_envelope(smtp);
	return smtp_refuse(smtp, "%s", reply);
}

static const char *chunk_refusal(const struct smtp *smtp, unsigned flags, uint64_t size)
{
	const char *missing = not_ready(smtp);
	if (missing)
		return missing;
	const struct envelope *envelope = smtp->envelope;
	if (envelope->is_broken)
		return "503 5.5.1 an earlier chunk was refused";
	uint64_t so_far = envelope->chunks ? spool_size(envelope->chunks) : 0;
	if (so_far + size > smtp_config.max_message_bytes)
		return refusal_of(COMMAND_TOO_BIG);
	return refusal_of(flags & COMMAND_TOO_BIG);
}

enum step smtp_bdat(struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	if (command->flags & SMTP_BAD_CHUNK_SIZE) {
		smtp_reply(smtp, "501 5.5.4 BDAT takes a size and perhaps LAST");
		return STEP_CLOSE; /* where the next command begins cannot be known */
	}
	uint64_t size = 0;
	bool is_last = false;
	if (!smtp_parse_bdat(args, &size, &is_last))
		return smtp_refuse(smtp, "501 5.5.4 BDAT takes a size and perhaps LAST");
	const char *refusal = chunk_refusal(smtp, command->flags, size);
	if (refusal)
		return break_off(smtp, is_last, refusal);
	struct error *err = add_chunk(op, smtp->envelope, command);
	if (err)
		return break_off(smtp, is_last, "451 4.3.0 not possible now, try again later");
	if (!is_last) {
		smtp_reply(smtp, "250 2.0.0 %llu octets here", (unsigned long long)size);
		return STEP_DONE;
	}
	deliver(op, smtp, smtp->envelope->chunks);
	smtp_forget_envelope(smtp);
	return STEP_DONE;
}
