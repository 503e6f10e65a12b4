#pragma once

/* Passwords: argon2id hashes for PLAIN and LOGIN, StoredKey and ServerKey beside them for SCRAM
 * (RFC 5802). Passwords are prepared by SASLprep (RFC 4013) both when they are stored and when they
 * are checked. Each call takes tens of milliseconds of processor: LANE_AUTH. */

#include "account/account.h"
#include "base/setting.h"

extern const struct setting password_settings[];
extern const size_t password_setting_count;

/* The setting password.scram: keep SCRAM keys at all. */
bool password_wants_scram(void);

/* ERR_INVALID for a password that SASLprep does not allow, or an empty one. */
MUST_CHECK struct error *password_make(
	struct op *op, struct slice password, bool with_scram, struct password_record *ret_record);

/* NULL as login: nobody has this name; takes as long as if somebody had. */
MUST_CHECK struct error *password_check(
	struct op *op, const struct login *login, struct slice password, bool *ret_matches);
