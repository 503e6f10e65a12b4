#pragma once

/* The sample configuration file and the reference page, printed from the settings' rows. */

#include <stdio.h>

#include "app/config.h"

/* etc/holdfast.conf: every setting with its default, commented out. */
void reference_print_sample(const struct config *config, FILE *out);

/* holdfast.conf(5), as scdoc's source. */
void reference_print_manual(const struct config *config, FILE *out);
