"""Where readers of broken mail may differ, and why we read it as we do. By class: a difference that none of
these explains is a fault, here or there."""

import re

# A line of a header that is no field, nor goes on with one.
LOOSE_LINE = re.compile(rb"(?!\r?\n|[!-9;-~]+:|[ \t])", re.S)
# What Python cuts into lines, and nobody else.
LONE_CR = re.compile(rb"\r(?!\n)")
HEADERS = ("sender", "to", "cc", "subject", "message_id", "charset", "filename")
ADDRESSES = ("sender", "to", "cc")


def header_blocks(mail):
    """The lines of each header: at the top, behind what may be a delimiter, and within a message."""
    block = []
    is_header = True
    for line in mail.split(b"\n"):
        if line.startswith(b"--"):
            yield block
            block, is_header = [], True
        elif is_header and line.strip(b"\r"):
            block.append(line)
        elif is_header:
            yield block
            block, is_header = [], False
    yield block


class Case:
    """One difference: of `who` in `aspect`, for a mail; a part where it is one of a part."""

    def __init__(self, who, aspect, mail, ours, theirs, part):
        self.who, self.aspect, self.mail, self.ours, self.theirs, self.part = who, aspect, mail, ours, theirs, part

    def field(self):
        """The first field that the aspect is read from."""
        name = {"sender": b"from", "message_id": b"message-id"}.get(self.aspect, self.aspect.encode())
        found = re.search(rb"(?im)^%s[ \t]*:((?:.|\n[ \t])*)" % name, self.mail)
        return found[1] if found else b""


def has_a_line_that_is_no_field(case):
    return any(LOOSE_LINE.match(line) for block in header_blocks(case.mail) for line in block)


def has_first_line_that_continues(case):
    return case.mail[:1] in b" \t"


def has_lone_cr(case):
    return LONE_CR.search(case.mail) is not None


def has_nul_in_header(case):
    return case.aspect in HEADERS and b"\0" in case.mail.split(b"\r\n\r\n")[0]


def is_past_a_limit(case):
    return case.aspect == "parts" and (len(case.ours) == 10000 or max(len(path) for path, _ in case.ours) >= 99)


def has_boundary_out_of_limits(case):
    boundaries = re.findall(rb'boundary="?([^";\r\n]*)', case.mail)
    return any(not boundary.strip() or len(boundary) > 1000 for boundary in boundaries)


def closes_with_more_behind(case):
    return re.search(rb"(?m)^--(\S+)--[^\s-]+\r?$", case.mail) is not None


def has_boundary_of_two_levels(case):
    boundaries = re.findall(rb'boundary="?([^";\r\n]*)', case.mail)
    return len(boundaries) != len(set(boundaries))


def has_empty_part(case):
    return re.search(rb"(?m)^(--\S+)\r?\n(?:\S+:.*\r?\n)*(?:\1|--\S)", case.mail) is not None


def ends_before_its_boundary(case):
    def bare(content):
        return content.rstrip(b"\r\n")

    return case.aspect == "content" and bare(case.ours) == bare(case.theirs)


def has_message_in_base64(case):
    return case.aspect == "parts" and re.search(rb"message/rfc822\r\nContent-Transfer-Encoding: base64", case.mail)


def has_unreadable_type(case):
    return case.aspect == "parts" and [
        (path, {"text/plain": "application/octet-stream"}.get(kind, kind)) for path, kind in case.ours
    ] == [(path, {"text/plain": "application/octet-stream"}.get(kind, kind)) for path, kind in case.theirs]


def repeats_a_field(case):
    for block in header_blocks(case.mail):
        names = [line.split(b":")[0].strip().lower() for line in block if line[:1] not in b" \t"]
        if any(names.count(name) > 1 for name in (b"from", b"to", b"cc", b"subject", b"message-id")):
            return case.aspect in HEADERS
        if any(names.count(name) > 1 for name in (b"content-type", b"content-transfer-encoding")):
            return case.aspect in ("parts", "content", "charset")
    return False


def is_broken_base64(case):
    if case.aspect != "content" or case.part.encoding != "base64":
        return False
    return re.fullmatch(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.sub(rb"\s", b"", case.part.raw)) is None


def is_quoted_with_trailing_space(case):
    return case.aspect == "content" and case.part.encoding == "quoted-printable" and re.search(rb"[ \t]\r?(\n|$)", case.part.raw)


def is_broken_quoted(case):
    return (
        case.aspect == "content"
        and case.part.encoding == "quoted-printable"
        and re.search(rb"=(?![0-9A-Fa-f]{2}|[ \t]*\r?\n|$)", case.part.raw)
    )


def is_uuencoded(case):
    return case.aspect == "content" and "uuencode" in case.part.encoding


def has_more_than_a_word_for_encoding(case):
    return case.aspect == "content" and re.search(rb"(?im)^content-transfer-encoding:[ \t]*[\w-]*[^\w\s-]", case.mail)


def is_decoders_matter(case):
    return case.aspect in ("subject", *ADDRESSES) and b"=?" in case.field()


def is_raw_8_bit(case):
    return case.aspect in HEADERS and any(ord(c) >= 0x80 for c in f"{case.ours}{case.theirs}")


def has_comment(case):
    return case.aspect in ADDRESSES and b"(" in case.field()


def has_quote_not_closed(case):
    return case.field().replace(b'\\"', b"").count(b'"') % 2 == 1


def is_part_of_ours(case):
    return case.aspect in ADDRESSES and all(pair in case.ours for pair in case.theirs)


def has_obsolete_route(case):
    return case.aspect in ADDRESSES and re.search(rb"<\s*@[^>]*:", case.field())


def has_unreadable_address(case):
    if case.aspect not in ADDRESSES:
        return False
    return any(address.startswith("@") or address == "" for _, address in case.theirs) or any(
        " " in address or "@" not in address for _, address in case.ours
    )


def has_loose_parameter(case):
    return case.aspect in ("charset", "filename")


def of_anyone(explains, why):
    return ("python", "gmime"), explains, why


def of_python(explains, why):
    return ("python",), explains, why


def of_gmime(explains, why):
    return ("gmime",), explains, why


EXPLAINED = [
    of_anyone(has_a_line_that_is_no_field, "A header ends at its empty line; a line that is no field is passed over. The others take it for the body."),
    of_gmime(has_first_line_that_continues, "GMime sees no mail in what begins with a folded line."),
    of_python(has_lone_cr, "A lone CR ends no line (RFC 5322 2.3); it does for Python."),
    of_anyone(has_nul_in_header, "IMAP's strings have no NUL: it is left out. GMime ends the text there."),
    of_anyone(is_past_a_limit, "mime.max_parts and mime.max_depth."),
    of_anyone(has_boundary_out_of_limits, "A boundary of nothing, or past 1000 bytes, matches nothing."),
    of_anyone(closes_with_more_behind, "A closing delimiter need not be the whole line (RFC 2046 5.1.1)."),
    of_anyone(has_boundary_of_two_levels, "Of two open multiparts with one boundary the inner one takes it."),
    of_anyone(has_empty_part, "Each delimiter begins a part, an empty one too."),
    of_anyone(ends_before_its_boundary, "Without a delimiter below, the last line break is the part's own."),
    of_anyone(has_message_in_base64, "A message must not be encoded (RFC 2046 5.2.1): it is so many bytes."),
    of_gmime(has_unreadable_type, "An unreadable Content-Type is text/plain (RFC 2045 5.2)."),
    of_gmime(repeats_a_field, "Of repeated fields the first counts; GMime takes the last, or all."),
    of_anyone(is_broken_base64, "Rubbish is passed over and what a cut group has is kept; the others stop, or give back what they could not decode."),
    of_anyone(is_quoted_with_trailing_space, "White space at the end of a quoted line was not sent by its author (RFC 2045 6.7, rule 3)."),
    of_anyone(is_broken_quoted, "A stray sign is kept as it is."),
    of_anyone(is_uuencoded, "uuencode is no encoding of MIME; it is given as it is."),
    of_anyone(has_more_than_a_word_for_encoding, "Comments and what follows the encoding's name are passed over."),
    of_gmime(is_decoders_matter, "ENVELOPE has encoded words as they stand; the test decodes them with Python, which reads broken ones otherwise than GMime. What we make of them, SEARCH shows."),
    of_anyone(is_raw_8_bit, "ENVELOPE has raw bytes as they stand; the others guess a charset."),
    of_python(has_comment, "Python takes every comment for a name."),
    of_gmime(has_comment, "GMime reads no address before a comment that is not closed."),
    of_anyone(has_quote_not_closed, "A quote that is not closed goes to the end."),
    of_anyone(is_part_of_ours, "The others give up at an address that they cannot read; here the rest is kept, and a semicolon taken for a comma."),
    of_python(has_obsolete_route, "Python counts the route as an address."),
    of_anyone(has_unreadable_address, "What is no address is shown as it stands, as a local part without a host."),
    of_anyone(has_loose_parameter, "A parameter's value without quotes ends at white space; a charset that is not known, or a broken escape, is shown as it stands."),
]


def explanation(case):
    return next((why for who, explains, why in EXPLAINED if case.who in who and explains(case)), None)
