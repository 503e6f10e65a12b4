#pragma once

/* Is this the delivery that we had before? Pure. */

#include "delivery/deliver.h"

/* The topmost Received field names an id: whoever passed this mail on tells one delivery from
 * another, so equal bytes are the same delivery for as long as senders retry. */
bool content_has_received_id(struct slice content);

/* SHA-256 over sender, recipient, their parameters as given, and every byte as received. */
void delivery_once_key(const struct delivery_mail *mail, const struct delivery_recipient *recipient,
	uint8_t ret_key[static ONCE_KEY_SIZE]);
