#include "delivery/deliver.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/steps.h"
#include "delivery/same_delivery.h"
#include "delivery/smtp_envelope.h"

METRIC_COUNTER(delivered, "deliveries_total", "Messages put into a mailbox by delivery");
METRIC_COUNTER(delivered_before, "deliveries_repeated_total",
	"Deliveries that an earlier try had already made");
METRIC_COUNTER(failed, "deliveries_failed_total", "Deliveries that failed or stayed uncertain");

struct error *delivery_resolve(struct op *op, const struct delivery_service *service,
	struct slice address, struct delivery_target **ret_targets, size_t *ret_count)
{
	return account_resolve(op, service->accounts, address, ret_targets, ret_count);
}

/* The bytes below our trace fields are the bytes received, to the last bit. */
static struct slice with_trace(
	struct op *op, const struct delivery_mail *mail, const struct delivery_target *target)
{
	struct buf content = buf_in(&op->arena);
	buf_reserve(&content, mail->content.len + mail->received_by_us.len + mail->sender.len +
				      target->address.len + 64);
	buf_printf(&content, "Return-Path: <" SLICE_FMT ">\r\n", SLICE_ARG(mail->sender));
	buf_printf(&content, "Delivered-To: " SLICE_FMT "\r\n", SLICE_ARG(target->address));
	buf_append(&content, mail->received_by_us);
	buf_append(&content, mail->content);
	return buf_as_slice(&content);
}

/* The op's id, which the answer gives, is in every line of the log. */
static void log_delivered(struct op *op, const struct delivery_mail *mail,
	const struct delivery_recipient *recipient, struct account_id account,
	const struct append_result *result)
{
	log_info(op, "mail-delivered", FIELD_TEXT("protocol", mail->protocol),
		FIELD_TEXT("peer", mail->peer), FIELD_SLICE("recipient", recipient->address),
		FIELD_ID("account", op, account.uuid), FIELD_U64("uid", result->uid),
		FIELD_U64("size", mail->content.len),
		FIELD_U64("repeated", result->was_done_before));
}

static struct error *deliver_to_target(struct op *op, const struct delivery_service *service,
	const struct delivery_mail *mail, const struct delivery_recipient *recipient, size_t index,
	struct slice once_key)
{
	const struct delivery_target *target = &recipient->targets[index];
	struct arena_mark mark = arena_mark(&op->arena);
	const struct smtp_envelope envelope = {.sender = mail->sender,
		.sender_parameters = mail->sender_parameters,
		.recipient = recipient->address,
		.recipient_parameters = recipient->parameters};
	const struct append_request request = {.account = target->account,
		.path = SLICE("INBOX"),
		.content = with_trace(op, mail, target),
		.smtp_envelope = smtp_envelope_encode(&op->arena, &envelope),
		.once_key = once_key};
	struct append_result result;
	steps_note(&(struct step_note){.op = op->id,
		.account = target->account.uuid,
		.step = "accepted",
		.outcome = "to be delivered"});
	struct error *err = mailbox_append(op, service->store, &request, &result);
	if (err) {
		metric_add(&failed, 1);
		return op_wrap(op, err, "deliver to " SLICE_FMT, SLICE_ARG(target->address));
	}
	metric_add(result.was_done_before ? &delivered_before : &delivered, 1);
	log_delivered(op, mail, recipient, target->account, &result);
	arena_release(&op->arena, mark);
	return NULL;
}

/* Uncertain beats temporary beats permanent: the sender must try again if that can help. */
static int retry_rank(const struct error *err)
{
	if (!err)
		return 0;
	switch (err->kind) {
	case ERR_UNCERTAIN:
		return 3;
	case ERR_INVALID:
	case ERR_DENIED:
	case ERR_NOT_FOUND:
	case ERR_EXISTS:
	case ERR_LIMIT:
		return 1;
	case ERR_CONFLICT:
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
	case ERR_CORRUPT:
	case ERR_CANCELLED:
	case ERR_INTERNAL:
	case ERR_KIND_COUNT:
		break;
	}
	return 2;
}

struct error *deliver_message(struct op *op, const struct delivery_service *service,
	const struct delivery_mail *mail, const struct delivery_recipient *recipient,
	struct delivery_key **ret_keys, size_t *ret_key_count)
{
	struct delivery_key *keys =
		ARENA_ARRAY(&op->arena, struct delivery_key, recipient->target_count);
	uint8_t once_key[ONCE_KEY_SIZE];
	delivery_once_key(mail, recipient, once_key);

	struct error *worst = NULL;
	for (size_t i = 0; i < recipient->target_count; i++) {
		const struct delivery_target *target = &recipient->targets[i];
		struct error *err = deliver_to_target(
			op, service, mail, recipient, i, slice_of(once_key, sizeof(once_key)));
		if (retry_rank(err) > retry_rank(worst))
			worst = err;
		keys[i].account = target->account;
		memcpy(keys[i].once_key, once_key, sizeof(once_key));
	}
	if (worst)
		return worst; /* the keys stay: what is done is not to be done again */
	*ret_keys = keys;
	*ret_key_count = mail->has_received_id ? 0 : recipient->target_count;
	return NULL;
}

void delivery_release(struct op *op, const struct delivery_service *service,
	const struct delivery_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct error *err = mailbox_once_release(op, service->store, keys[i].account,
			slice_of(keys[i].once_key, ONCE_KEY_SIZE));
		if (err)
			log_warn(op, "once-key-kept", FIELD_ERROR(op, err));
	}
}
