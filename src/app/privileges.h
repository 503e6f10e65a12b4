#pragma once

/* Becoming a user with fewer rights, once everything that needs root is done. */

#include "base/op.h"

/* As root, ERR_INVALID without a user, or with one that is not there. Nothing to do otherwise. */
MUST_CHECK struct error *privileges_check(struct op *op, const char *user);

/* Gives the directory and all that is in it to the user. */
MUST_CHECK struct error *privileges_give(struct op *op, const char *user, const char *directory);

/* For ever. */
MUST_CHECK struct error *privileges_drop(struct op *op, const char *user);
