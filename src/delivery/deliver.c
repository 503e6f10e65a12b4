#include "delivery/deliver.h"

#include <assert.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/metric.h"
#include "format/header.h"

METRIC_COUNTER(delivered, "deliveries_total", "Messages put into a mailbox by delivery");
METRIC_COUNTER(delivered_before, "deliveries_repeated_total",
	"Deliveries that an earlier try had already made");
METRIC_COUNTER(failed, "deliveries_failed_total", "Deliveries that failed or stayed uncertain");

/* ---- The same delivery ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Past a comment that begins at `at`; comments nest (RFC 5322 3.2.2). */
static size_t skip_comment(struct slice text, size_t at)
{
	size_t depth = 0;
	for (; at < text.len; at++) {
		char c = text.ptr[at];
		if (c == '\\')
			at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return at + 1;
	}
	return text.len;
}

/* The next word outside comments, up to the ';' before the date. */
static bool next_word(struct slice text, size_t *at, struct slice *ret_word)
{
	while (*at < text.len && text.ptr[*at] != ';') {
		if (text.ptr[*at] == '(') {
			*at = skip_comment(text, *at);
		} else if (is_space(text.ptr[*at])) {
			++*at;
		} else {
			size_t begin = *at;
			while (*at < text.len && !is_space(text.ptr[*at]) && text.ptr[*at] != ';' &&
				text.ptr[*at] != '(')
				++*at;
			*ret_word = slice_range(text, begin, *at);
			return true;
		}
	}
	return false;
}

bool content_has_received_id(struct slice content)
{
	struct header_field field;
	struct slice header = slice_range(content, 0, header_length(content));
	if (!header_find(header, SLICE("Received"), &field))
		return false;
	size_t at = 0;
	struct slice word;
	while (next_word(field.value, &at, &word))
		if (slice_equal_nocase(word, SLICE("id")))
			return next_word(field.value, &at, &word);
	return false;
}

void delivery_prepare(struct delivery_mail *mail)
{
	mail->has_received_id = content_has_received_id(mail->content);
	sha256_of(mail->content, mail->digest);
}

static void add_part(struct sha256 *hash, struct slice part)
{
	uint8_t len[8];
	for (size_t i = 0; i < sizeof(len); i++)
		len[i] = (uint8_t)((uint64_t)part.len >> (56 - 8 * i));
	sha256_add(hash, slice_of(len, sizeof(len)));
	sha256_add(hash, part);
}

static void make_once_key(const struct delivery_mail *mail,
	const struct delivery_recipient *recipient, uint8_t ret_key[static ONCE_KEY_SIZE])
{
	static_assert(ONCE_KEY_SIZE == SHA256_SIZE, "a once-key is a SHA-256");
	struct sha256 *hash = sha256_new();
	sha256_add(hash, SLICE("holdfast delivery 1"));
	add_part(hash, mail->sender);
	add_part(hash, mail->sender_parameters);
	add_part(hash, recipient->address);
	add_part(hash, recipient->parameters);
	sha256_add(hash, slice_of(mail->digest, sizeof(mail->digest)));
	sha256_end(hash, ret_key);
}

/* ---- Delivering ---- */

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

static struct error *deliver_to_target(struct op *op, const struct delivery_service *service,
	const struct delivery_mail *mail, const struct delivery_target *target,
	struct slice once_key)
{
	struct arena_mark mark = arena_mark(&op->arena);
	const struct append_request request = {.account = target->account,
		.path = SLICE("INBOX"),
		.content = with_trace(op, mail, target),
		.once_key = once_key};
	struct append_result result;
	struct error *err = mailbox_append(op, service->store, &request, &result);
	if (err) {
		metric_add(&failed, 1);
		return op_wrap(op, err, "deliver to " SLICE_FMT, SLICE_ARG(target->address));
	}
	metric_add(result.was_done_before ? &delivered_before : &delivered, 1);
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
	make_once_key(mail, recipient, once_key);

	struct error *worst = NULL;
	for (size_t i = 0; i < recipient->target_count; i++) {
		const struct delivery_target *target = &recipient->targets[i];
		struct error *err = deliver_to_target(
			op, service, mail, target, slice_of(once_key, sizeof(once_key)));
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
