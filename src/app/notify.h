#pragma once

/* Tells the service manager how far we are (sd_notify(3)); nothing happens without one. */

/* "READY=1", "RELOADING=1", "STOPPING=1". */
void notify_manager(const char *state);
