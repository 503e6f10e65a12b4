#include "format/html_entity.h"

#include <assert.h>
#include <unicode/utf8.h>

#include "format/encoding.h"

#define NAME_MAX_LENGTH 8
#define DIGITS_MAX 8

/* U+00A0 to U+00FF, in order. */
static const char latin_1[][NAME_MAX_LENGTH + 1] = {"nbsp", "iexcl", "cent", "pound", "curren",
	"yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy", "reg", "macr", "deg",
	"plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm",
	"raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde",
	"Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
	"Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times",
	"Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave",
	"aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute",
	"ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute",
	"ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml",
	"yacute", "thorn", "yuml"};
static_assert(ARRAY_SIZE(latin_1) == 0x100 - 0xa0, "a name is missing");

static const struct {
	char name[NAME_MAX_LENGTH + 1];
	uint32_t code;
} others[] = {
	{"amp", '&'},
	{"lt", '<'},
	{"gt", '>'},
	{"quot", '"'},
	{"apos", '\''},
	{"OElig", 0x152},
	{"oelig", 0x153},
	{"Scaron", 0x160},
	{"scaron", 0x161},
	{"Yuml", 0x178},
	{"fnof", 0x192},
	{"circ", 0x2c6},
	{"tilde", 0x2dc},
	{"ensp", 0x2002},
	{"emsp", 0x2003},
	{"thinsp", 0x2009},
	{"zwnj", 0x200c},
	{"zwj", 0x200d},
	{"lrm", 0x200e},
	{"rlm", 0x200f},
	{"ndash", 0x2013},
	{"mdash", 0x2014},
	{"lsquo", 0x2018},
	{"rsquo", 0x2019},
	{"sbquo", 0x201a},
	{"ldquo", 0x201c},
	{"rdquo", 0x201d},
	{"bdquo", 0x201e},
	{"dagger", 0x2020},
	{"Dagger", 0x2021},
	{"bull", 0x2022},
	{"hellip", 0x2026},
	{"permil", 0x2030},
	{"prime", 0x2032},
	{"Prime", 0x2033},
	{"lsaquo", 0x2039},
	{"rsaquo", 0x203a},
	{"euro", 0x20ac},
	{"trade", 0x2122},
	{"larr", 0x2190},
	{"uarr", 0x2191},
	{"rarr", 0x2192},
	{"darr", 0x2193},
	{"harr", 0x2194},
};

/* What numbers 128 to 159 mean in practice: the characters of Windows-1252. */
static const uint16_t windows_1252[] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c,
	0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178};
static_assert(ARRAY_SIZE(windows_1252) == 0xa0 - 0x80, "a character is missing");

static bool find_name(struct slice name, uint32_t *ret_code)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (slice_equal(name, slice_from_cstr(others[i].name))) {
			*ret_code = others[i].code;
			return true;
		}
	for (size_t i = 0; i < ARRAY_SIZE(latin_1); i++)
		if (slice_equal(name, slice_from_cstr(latin_1[i]))) {
			*ret_code = 0xa0 + (uint32_t)i;
			return true;
		}
	return false;
}

static bool read_named(struct slice text, size_t *ret_length, uint32_t *ret_code)
{
	size_t end = slice_find_char(slice_range(text, 0, NAME_MAX_LENGTH + 2), ';');
	if (end >= text.len || text.ptr[end] != ';')
		return false;
	*ret_length = end + 1;
	return find_name(slice_range(text, 1, end), ret_code);
}

/* "&#228;", "&#xe4;"; the semicolon may be missing. */
static bool read_number(struct slice text, size_t *ret_length, uint32_t *ret_code)
{
	bool is_hex = text.len > 2 && ascii_lower(text.ptr[2]) == 'x';
	size_t start = is_hex ? 3 : 2;
	size_t at = start;
	uint32_t code = 0;
	for (; at < text.len && at < start + DIGITS_MAX; at++) {
		int digit = hex_digit(text.ptr[at]);
		if (digit < 0 || (!is_hex && digit > 9))
			break;
		code = code * (is_hex ? 16 : 10) + (uint32_t)digit;
	}
	if (at == start)
		return false;
	*ret_length = at < text.len && text.ptr[at] == ';' ? at + 1 : at;
	*ret_code = code >= 0x80 && code < 0xa0 ? windows_1252[code - 0x80] : code;
	return true;
}

bool html_entity_decode(struct slice text, size_t *ret_length,
	char ret_utf8[static HTML_ENTITY_UTF8_MAX], size_t *ret_utf8_len)
{
	uint32_t code;
	bool is_number = text.len > 1 && text.ptr[1] == '#';
	if (!(is_number ? read_number(text, ret_length, &code)
			: read_named(text, ret_length, &code)))
		return false;
	bool is_character = code && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
	if (!is_character)
		code = 0xfffd;
	UBool failed = false;
	int32_t len = 0;
	U8_APPEND(ret_utf8, len, HTML_ENTITY_UTF8_MAX, (UChar32)code, failed);
	*ret_utf8_len = (size_t)len;
	return !failed;
}
