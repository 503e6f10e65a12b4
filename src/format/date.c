#include "format/date.h"

static const char month_names[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

struct civil {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
};

/* Days since 1970 of a day in the Gregorian calendar (years begin in March, so that the leap day is
 * the last). */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year =
		(153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of(int64_t seconds)
{
	int64_t days = seconds / DATE_DAY_SECONDS;
	int64_t rest = seconds % DATE_DAY_SECONDS;
	if (rest < 0) {
		rest += DATE_DAY_SECONDS;
		days--;
	}
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * day_of_year + 2) / 153;
	return (struct civil){
		.year = year + era * 400 + (month >= 10),
		.month = (unsigned)(month < 10 ? month + 3 : month - 9),
		.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
		.hour = (unsigned)(rest / 3600),
		.minute = (unsigned)(rest / 60 % 60),
		.second = (unsigned)(rest % 60),
	};
}

static unsigned days_in_month(int64_t year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

static bool civil_is_valid(const struct civil *civil)
{
	/* 60 is a leap second. */
	return civil->month >= 1 && civil->month <= 12 && civil->day >= 1 &&
	       civil->day <= days_in_month(civil->year, civil->month) && civil->hour < 24 &&
	       civil->minute < 60 && civil->second <= 60;
}

static int64_t seconds_of(const struct civil *civil, int32_t zone_minutes)
{
	return days_of(civil->year, civil->month, civil->day) * DATE_DAY_SECONDS +
	       civil->hour * 3600 + civil->minute * 60 + civil->second - (int64_t)zone_minutes * 60;
}

static unsigned month_of(struct slice name)
{
	for (unsigned i = 0; i < 12; i++)
		if (name.len >= 3 && slice_starts_with_nocase(name, slice_of(month_names[i], 3)))
			return i + 1;
	return 0;
}

static void skip_space(struct slice *text)
{
	while (text->len) {
		char c = text->ptr[0];
		if (c == '(') {
			size_t end = slice_find_char(*text, ')');
			*text = slice_from(*text, MIN_OF(end + 1, text->len));
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' ||
			   c == '-') {
			*text = slice_from(*text, 1);
		} else {
			return;
		}
	}
}

/* Up to `most` digits at the front. */
static bool take_number(struct slice *text, size_t most, unsigned *ret_value, size_t *ret_digits)
{
	size_t digits = 0;
	unsigned value = 0;
	while (digits < most && digits < text->len && ascii_is_digit(text->ptr[digits]))
		value = value * 10 + (unsigned)(text->ptr[digits++] - '0');
	if (digits == 0)
		return false;
	*text = slice_from(*text, digits);
	*ret_value = value;
	if (ret_digits)
		*ret_digits = digits;
	return true;
}

static bool take_char(struct slice *text, char c)
{
	if (text->len == 0 || text->ptr[0] != c)
		return false;
	*text = slice_from(*text, 1);
	return true;
}

static struct slice take_word(struct slice *text)
{
	size_t len = 0;
	while (len < text->len && ascii_is_alpha(text->ptr[len]))
		len++;
	struct slice word = slice_range(*text, 0, len);
	*text = slice_from(*text, len);
	return word;
}

static bool take_time(struct slice *text, struct civil *civil)
{
	if (!take_number(text, 2, &civil->hour, NULL) ||
		!(take_char(text, ':') || take_char(text, '.')) ||
		!take_number(text, 2, &civil->minute, NULL))
		return false;
	civil->second = 0;
	if (take_char(text, ':') || take_char(text, '.'))
		return take_number(text, 2, &civil->second, NULL);
	return true;
}

static int32_t named_zone(struct slice name)
{
	static const struct {
		struct slice name;
		int32_t hours;
	} zones[] = {
		{SLICE_INIT("EST"), -5},
		{SLICE_INIT("EDT"), -4},
		{SLICE_INIT("CST"), -6},
		{SLICE_INIT("CDT"), -5},
		{SLICE_INIT("MST"), -7},
		{SLICE_INIT("MDT"), -6},
		{SLICE_INIT("PST"), -8},
		{SLICE_INIT("PDT"), -7},
	};
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++)
		if (slice_equal_nocase(name, zones[i].name))
			return zones[i].hours * 60;
	/* UT, GMT, and all that RFC 5322 4.3 counts as -0000. */
	return 0;
}

/* "+0130"; false for what is no such zone. */
static bool take_offset(struct slice *text, int32_t *ret_minutes)
{
	bool west = text->len && text->ptr[0] == '-';
	struct slice digits = slice_from(*text, 1);
	unsigned value;
	size_t count;
	if (text->len == 0 || (!west && text->ptr[0] != '+') ||
		!take_number(&digits, 4, &value, &count) || count != 4 || value % 100 >= 60)
		return false;
	int32_t minutes = (int32_t)(value / 100 * 60 + value % 100);
	*ret_minutes = west ? -minutes : minutes;
	*text = digits;
	return true;
}

static int64_t full_year(unsigned year, size_t digits)
{
	/* RFC 5322 4.3 */
	if (digits == 2)
		return year < 50 ? 2000 + (int64_t)year : 1900 + (int64_t)year;
	return digits == 3 ? 1900 + (int64_t)year : (int64_t)year;
}

bool date_parse_rfc5322(struct slice text, struct date *ret_date)
{
	struct civil civil = {0};
	unsigned year;
	size_t digits;
	skip_space(&text);
	if (text.len && ascii_is_alpha(text.ptr[0]))
		take_word(&text);
	skip_space(&text);
	if (!take_number(&text, 2, &civil.day, NULL))
		return false;
	skip_space(&text);
	civil.month = month_of(take_word(&text));
	skip_space(&text);
	if (!take_number(&text, 4, &year, &digits) || digits < 2)
		return false;
	civil.year = full_year(year, digits);
	skip_space(&text);
	if (!take_time(&text, &civil) || !civil_is_valid(&civil))
		return false;

	while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
		text = slice_from(text, 1);
	int32_t zone;
	if (!take_offset(&text, &zone))
		zone = named_zone(take_word(&text));
	*ret_date = (struct date){seconds_of(&civil, zone), zone};
	return true;
}

static bool take_imap_day(struct slice *text, struct civil *civil)
{
	unsigned year;
	size_t digits;
	if (!take_number(text, 2, &civil->day, NULL) || !take_char(text, '-'))
		return false;
	struct slice month = take_word(text);
	civil->month = month.len == 3 ? month_of(month) : 0;
	if (!take_char(text, '-') || !take_number(text, 4, &year, &digits) || digits != 4)
		return false;
	civil->year = year;
	return true;
}

bool date_parse_imap(struct slice text, struct date *ret_date)
{
	struct civil civil = {0};
	int32_t zone;
	take_char(&text, ' ');
	if (!take_imap_day(&text, &civil) || !take_char(&text, ' ') || !take_time(&text, &civil) ||
		!take_char(&text, ' ') || !take_offset(&text, &zone) || text.len ||
		!civil_is_valid(&civil))
		return false;
	*ret_date = (struct date){seconds_of(&civil, zone), zone};
	return true;
}

bool date_parse_imap_day(struct slice text, int64_t *ret_day)
{
	struct civil civil = {0};
	if (!take_imap_day(&text, &civil) || text.len || !civil_is_valid(&civil))
		return false;
	*ret_day = days_of(civil.year, civil.month, civil.day);
	return true;
}

static struct civil local_civil(struct date date)
{
	return civil_of(date.seconds + (int64_t)date.zone_minutes * 60);
}

static void print_zone(struct buf *out, int32_t minutes)
{
	unsigned absolute = (unsigned)(minutes < 0 ? -minutes : minutes);
	buf_printf(out, "%c%02u%02u", minutes < 0 ? '-' : '+', absolute / 60, absolute % 60);
}

void date_print_imap(struct buf *out, struct date date)
{
	struct civil civil = local_civil(date);
	buf_printf(out, "%02u-%s-%04lld %02u:%02u:%02u ", civil.day, month_names[civil.month - 1],
		(long long)civil.year, civil.hour, civil.minute, civil.second);
	print_zone(out, date.zone_minutes);
}

void date_print_rfc5322(struct buf *out, struct date date)
{
	struct civil civil = local_civil(date);
	int64_t weekday = date_local_day(date) % 7;
	buf_printf(out, "%s, %u %s %04lld %02u:%02u:%02u ",
		day_names[weekday < 0 ? weekday + 7 : weekday], civil.day,
		month_names[civil.month - 1], (long long)civil.year, civil.hour, civil.minute,
		civil.second);
	print_zone(out, date.zone_minutes);
}

void date_print_day(struct buf *out, struct date date)
{
	struct civil civil = local_civil(date);
	buf_printf(out, "%04lld-%02u-%02u", (long long)civil.year, civil.month, civil.day);
}
