/* MAIL and RCPT: the envelope. */

#include <stdlib.h>

#include "front/smtp/smtp_private.h"

/* ---- MAIL ---- */

static bool take_size(struct envelope *envelope, struct slice value)
{
	return value.len <= 20 && slice_parse_u64(value, &envelope->declared_size);
}

static bool take_body(struct envelope *envelope, struct slice value)
{
	envelope->is_binary = slice_equal_nocase(value, SLICE("BINARYMIME"));
	return envelope->is_binary || slice_equal_nocase(value, SLICE("7BIT")) ||
	       slice_equal_nocase(value, SLICE("8BITMIME"));
}

static bool take_utf8(struct envelope *envelope, struct slice value)
{
	envelope->is_utf8 = true;
	return !value.ptr;
}

static bool take_ret(struct envelope *envelope, struct slice value)
{
	(void)envelope;
	return slice_equal_nocase(value, SLICE("FULL")) || slice_equal_nocase(value, SLICE("HDRS"));
}

static bool take_envid(struct envelope *envelope, struct slice value)
{
	(void)envelope;
	return value.len <= 100 && smtp_is_xtext(value);
}

static bool take_auth(struct envelope *envelope, struct slice value)
{
	(void)envelope;
	return value.len <= 500 && smtp_is_xtext(value);
}

static bool take_notify(struct envelope *envelope, struct slice value)
{
	(void)envelope;
	return value.len && smtp_is_notify(value);
}

/* "rfc822;user+40example.org" */
static bool take_orcpt(struct envelope *envelope, struct slice value)
{
	(void)envelope;
	size_t semicolon = slice_find_char(value, ';');
	return value.len <= 500 && semicolon && semicolon < value.len;
}

struct parameter_row {
	struct slice name;
	bool (*take)(struct envelope *envelope, struct slice value);
};

static const struct parameter_row mail_parameters[] = {
	{SLICE_INIT("SIZE"), take_size},
	{SLICE_INIT("BODY"), take_body},
	{SLICE_INIT("SMTPUTF8"), take_utf8},
	{SLICE_INIT("RET"), take_ret},
	{SLICE_INIT("ENVID"), take_envid},
	{SLICE_INIT("AUTH"), take_auth},
};

static const struct parameter_row rcpt_parameters[] = {
	{SLICE_INIT("NOTIFY"), take_notify},
	{SLICE_INIT("ORCPT"), take_orcpt},
};

static const struct parameter_row *row_find(
	const struct parameter_row *rows, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(rows[i].name, name))
			return &rows[i];
	return NULL;
}

/* NULL, or the reply that says what is wrong. Each parameter may come once. */
static const char *take_parameters(struct envelope *envelope, struct slice rest,
	const struct parameter_row *rows, size_t count)
{
	unsigned seen = 0;
	struct smtp_parameter parameter;
	while (smtp_next_parameter(&rest, &parameter)) {
		const struct parameter_row *row = row_find(rows, count, parameter.name);
		if (!row)
			return "555 5.5.4 unknown parameter";
		unsigned bit = 1u << (row - rows);
		if (seen & bit || !row->take(envelope, parameter.value))
			return "501 5.5.4 a parameter is wrong";
		seen |= bit;
	}
	return NULL;
}

static struct envelope *envelope_new(const struct smtp_path *path)
{
	struct envelope *envelope = HEAP_NEW(struct envelope);
	*envelope = (struct envelope){0};
	arena_init(&envelope->arena);
	envelope->sender = arena_dup(&envelope->arena, path->address);
	envelope->sender_parameters = arena_dup(&envelope->arena, path->parameters);
	return envelope;
}

/* NULL, or why this sender may not be. */
static struct error *check_sender(struct op *op, struct smtp *smtp, struct slice sender)
{
	if (smtp->kind != SMTP_SUBMISSION)
		return NULL;
	bool may = false;
	struct error *err = sender.len ? account_may_send_as(op, smtp->service->delivery.accounts,
						 smtp->account, sender, &may)
				       : NULL;
	if (err && (err->kind == ERR_NOT_FOUND || err->kind == ERR_INVALID))
		err = NULL;
	if (err || may)
		return err;
	return op_fail(op, ERR_DENIED, "the sender is to be your own address or alias");
}

/* True when the sender is accepted; else it has been told why not. */
static bool mail_is_accepted(struct op *op, struct smtp *smtp, const struct smtp_path *path,
	struct envelope *envelope, enum step *ret_step)
{
	const char *wrong = take_parameters(
		envelope, path->parameters, mail_parameters, ARRAY_SIZE(mail_parameters));
	if (!wrong && !path->is_ascii && !envelope->is_utf8)
		wrong = "553 5.6.7 SMTPUTF8 is wanted for this address";
	if (!wrong && envelope->declared_size > smtp_config.max_message_bytes)
		wrong = "552 5.3.4 a mail of this size is not accepted";
	if (wrong) {
		*ret_step = smtp_refuse(smtp, "%s", wrong);
		return false;
	}
	struct error *err = check_sender(op, smtp, path->address);
	if (err)
		smtp_answer_error(op, smtp, err, SLICE_NONE);
	else
		smtp_reply(smtp, "250 2.1.0 sender accepted");
	*ret_step = STEP_DONE;
	return !err;
}

enum step smtp_mail(struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)command;
	if (!smtp->hello[0])
		return smtp_refuse(smtp, "503 5.5.1 %s comes first",
			smtp->kind == SMTP_LMTP ? "LHLO" : "EHLO");
	if (smtp->kind == SMTP_SUBMISSION && !session_is_signed_in(smtp->session))
		return smtp_refuse(smtp, "530 5.7.0 AUTH comes first");
	if (smtp->envelope)
		return smtp_refuse(smtp, "503 5.5.1 there is a sender already");
	struct smtp_path path;
	struct error *err = smtp_parse_path(op, args, SLICE("FROM"), &path);
	if (err)
		return smtp_refuse(smtp, "501 5.1.7 %s", err->message);
	smtp->envelope = envelope_new(&path);
	enum step step;
	if (!mail_is_accepted(op, smtp, &path, smtp->envelope, &step))
		smtp_forget_envelope(smtp);
	return step;
}

/* ---- RCPT ---- */

/* "<Postmaster>" alone is to be accepted everywhere (RFC 5321 4.5.1): it is the first domain's that
 * has one. */
static struct error *resolve_postmaster(
	struct op *op, struct smtp *smtp, struct delivery_target **ret_targets, size_t *ret_count)
{
	const struct delivery_service *delivery = &smtp->service->delivery;
	struct domain_info *domains;
	size_t count;
	TRY(domain_list(op, delivery->accounts, &domains, &count));
	for (size_t i = 0; i < count; i++) {
		struct slice address = slice_from_cstr(arena_printf(
			&op->arena, "postmaster@" SLICE_FMT, SLICE_ARG(domains[i].name)));
		struct error *err = delivery_resolve(op, delivery, address, ret_targets, ret_count);
		/* Denied: the domain has gone meanwhile. */
		if (!err || (err->kind != ERR_NOT_FOUND && err->kind != ERR_DENIED))
			return err;
	}
	return op_fail(op, ERR_NOT_FOUND, "no domain has a postmaster");
}

static struct error *resolve(struct op *op, struct smtp *smtp, struct slice address,
	struct delivery_target **ret_targets, size_t *ret_count)
{
	if (slice_equal_nocase(address, SLICE("postmaster")))
		return resolve_postmaster(op, smtp, ret_targets, ret_count);
	return delivery_resolve(op, &smtp->service->delivery, address, ret_targets, ret_count);
}

/* Better told now, for each recipient, than after the whole mail. What is decided is decided when
 * the mail is appended. */
static struct error *check_quota(
	struct op *op, struct smtp *smtp, const struct delivery_target *targets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		bool has_room;
		TRY(mailbox_has_room(op, smtp->service->delivery.store, targets[i].account,
			smtp->envelope->declared_size, &has_room));
		if (!has_room)
			return op_fail(op, ERR_LIMIT, "the mailbox is full");
	}
	return NULL;
}

static void add_recipient(struct envelope *envelope, const struct smtp_path *path,
	const struct delivery_target *targets, size_t count)
{
	struct arena *arena = &envelope->arena;
	if (envelope->recipient_count == envelope->recipient_capacity) {
		size_t old = envelope->recipient_capacity, capacity = old ? old * 2 : 4;
		envelope->recipients =
			arena_grow(arena, envelope->recipients, old * sizeof(*envelope->recipients),
				capacity * sizeof(*envelope->recipients));
		envelope->recipient_capacity = capacity;
	}
	struct delivery_recipient *recipient = &envelope->recipients[envelope->recipient_count++];
	*recipient = (struct delivery_recipient){.address = arena_dup(arena, path->address),
		.parameters = arena_dup(arena, path->parameters),
		.targets = ARENA_ARRAY(arena, struct delivery_target, count),
		.target_count = count};
	for (size_t i = 0; i < count; i++) {
		recipient->targets[i].account = targets[i].account;
		recipient->targets[i].address = arena_dup(arena, targets[i].address);
	}
}

static struct error *rcpt_resolve(struct op *op, struct smtp *smtp, const struct smtp_path *path)
{
	struct delivery_target *targets;
	size_t count;
	struct error *err = resolve(op, smtp, path->address, &targets, &count);
	if (err && err->kind == ERR_DENIED)
		return op_fail(op, ERR_DENIED, "no mail is relayed to this domain");
	if (err && err->kind == ERR_NOT_FOUND)
		return op_fail(op, ERR_NOT_FOUND, "nobody has this address");
	if (err)
		return err;
	TRY(check_quota(op, smtp, targets, count));
	add_recipient(smtp->envelope, path, targets, count);
	return NULL;
}

enum step smtp_rcpt(struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)command;
	struct envelope *envelope = smtp->envelope;
	if (!envelope || envelope->chunks)
		return smtp_refuse(smtp, "503 5.5.1 MAIL comes first");
	struct smtp_path path;
	struct error *err = smtp_parse_path(op, args, SLICE("TO"), &path);
	if (err || !path.address.len)
		return smtp_refuse(smtp, "501 5.1.3 %s", err ? err->message : "nobody is named");
	const char *wrong = take_parameters(
		envelope, path.parameters, rcpt_parameters, ARRAY_SIZE(rcpt_parameters));
	if (wrong)
		return smtp_refuse(smtp, "%s", wrong);
	if (!path.is_ascii && !envelope->is_utf8)
		return smtp_refuse(smtp, "553 5.6.7 SMTPUTF8 is wanted for this address");
	if (envelope->recipient_count >= smtp_config.max_recipients)
		return smtp_refuse(smtp, "452 4.5.3 too many recipients");
	err = rcpt_resolve(op, smtp, &path);
	if (err && err->kind == ERR_INVALID)
		return smtp_refuse(smtp, "553 5.1.3 %s", err->message);
	if (!err) {
		smtp_reply(smtp, "250 2.1.5 recipient accepted");
		return STEP_DONE;
	}
	smtp_answer_error(op, smtp, err, path.address);
	/* Guessing at addresses is a way to find them. */
	bool guessed = err->kind == ERR_NOT_FOUND || err->kind == ERR_DENIED;
	smtp->errors += guessed;
	return STEP_DONE;
}
