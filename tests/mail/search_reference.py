"""What SEARCH finds, by Python's email and unicodedata alone."""

import datetime
import email
import email.errors
import email.header
import email.policy
import email.utils
import html.parser
import re
import unicodedata

IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def fold(text):
    """i;unicode-casemap (NFKC_Casefold, decomposed)."""
    text = IGNORABLE.sub("", unicodedata.normalize("NFKC", text))
    return IGNORABLE.sub("", unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text.casefold()).casefold()))


def to_text(data, charset):
    """What calls itself ASCII and is not, is UTF-8 more often than not."""
    charset = "utf-8" if charset in (None, "us-ascii") else charset
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def raw_text(value):
    """A field's bytes: UTF-8, or else Windows-1252."""
    data = value.encode("utf-8", "surrogateescape")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def words(value):
    """A field's value with its encoded words decoded."""
    text = re.sub(r"[\r\n]", "", raw_text(value)).strip(" \t\r\n")
    if "=?" not in text:
        return text
    try:
        pieces = email.header.decode_header(text)
    except (email.errors.HeaderParseError, ValueError):
        return text
    return "".join(
        piece if isinstance(piece, str) else to_text(piece, charset) if charset else piece.decode("raw-unicode-escape")
        for piece, charset in pieces
    )


def as_day(year, month, day):
    """None for a day that there is not. Three digits count from 1900 (RFC 5322 4.3)."""
    year += 1900 if 100 <= year < 1000 else 0
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def sent_day(date):
    """By the sender's calendar. Python also reads asctime's form, and an hour that there is not; a year of four
    digits that begins with zeros it takes for one of two."""
    parsed = email.utils.parsedate_tz(date)
    if not parsed or parsed[3] > 23 or re.search(r"[A-Za-z]{3} +\d{1,2} [\d:]+ \d{4}$", date):
        return None
    early = re.search(r"(?<=[A-Za-z]{3} )0\d{3}\b", date)
    return as_day(int(early[0]) if early else parsed[0], *parsed[1:3])


class Shown(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.hidden = 0
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style")
        self.text += [value for name, value in attrs if name in ("href", "alt", "title") and value]

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style") and self.hidden > 0

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)


def part_texts(part):
    filename = part.get_filename()
    yield from (words(name) for name in (filename, part.get_param("name")) if isinstance(name, str))
    if part.get_content_maintype() != "text":
        return
    text = to_text(part.get_payload(decode=True) or b"", part.get_content_charset())
    if part.get_content_subtype() == "html":
        shown = Shown()
        shown.feed(text)
        text = "\n".join(shown.text)
    yield text


class Found:
    """A mail as it is searched."""

    def __init__(self, content):
        message = email.message_from_bytes(content, policy=email.policy.compat32)
        self.fields = [(name.lower(), fold(words(str(value)))) for name, value in message.raw_items()]
        texts = []
        for part in message.walk():
            texts += part_texts(part)
            if part.get_content_type() in ("message/rfc822", "message/global") and part.is_multipart():
                texts += [f"{name}: {words(str(value))}" for name, value in part.get_payload(0).raw_items()]
        self.body = [fold(text) for text in texts]
        date = next((value for name, value in message.raw_items() if name.lower() == "date"), None)
        self.day = sent_day(str(date)) if date else None

    def values(self, field):
        return [value for name, value in self.fields if name == field]

    def has_field(self, name, needle):
        return any(field == name and needle in value for field, value in self.fields)

    def has_body(self, needle):
        return any(needle in text for text in self.body)

    def has_text(self, needle):
        return self.has_body(needle) or any(needle in f"{name}: {value}" for name, value in self.fields)
