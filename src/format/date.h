#pragma once

/* Dates: RFC 5322 (with the obsolete zones and the usual mistakes), IMAP date-time and date. Pure,
 * any thread. */

#include "base/buf.h"

struct date {
	int64_t seconds;      /* since 1970, UTC */
	int32_t zone_minutes; /* east of UTC */
};

#define DATE_DAY_SECONDS 86400

/* "Mon, 7 Feb 1994 21:52:25 -0800 (PST)". False when no date can be read from it. */
bool date_parse_rfc5322(struct slice text, struct date *ret_date);

/* "17-Jul-1996 02:44:25 -0700", day padded with a space or not; without the quotes. */
bool date_parse_imap(struct slice text, struct date *ret_date);

/* "1-Feb-1994": the day as days since 1970. */
bool date_parse_imap_day(struct slice text, int64_t *ret_day);

void date_print_imap(struct buf *out, struct date date);
void date_print_rfc5322(struct buf *out, struct date date);

/* "1994-02-07": the day that the writer's calendar showed. */
void date_print_day(struct buf *out, struct date date);

/* The day that the writer's calendar showed. */
static inline int64_t date_local_day(struct date date)
{
	int64_t local = date.seconds + (int64_t)date.zone_minutes * 60;
	int64_t day = local / DATE_DAY_SECONDS;
	return local % DATE_DAY_SECONDS < 0 ? day - 1 : day;
}
