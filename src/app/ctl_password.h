#pragma once

/* A password that an administrator types. */

#include <stdbool.h>

#define CTL_PASSWORD_SIZE 1024

/* One line of standard input, never of the command line, which others can see. False: there was
 * none, which is told. The caller wipes it. */
bool ctl_read_password(char ret_password[CTL_PASSWORD_SIZE]);
