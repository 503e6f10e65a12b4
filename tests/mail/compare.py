"""Where two views of a mail differ: (aspect, part, ours, theirs)."""

import email.errors
import email.header
import re

WORD = r"([!-'*-.0-:<-~]+)"
TYPE = re.compile(rf"\s*{WORD}\s*/\s*(?:\([^)]*\)\s*)?{WORD}")


def decoded(words):
    """Encoded words as Python reads them; as they stand where it cannot."""
    try:
        return str(email.header.make_header(email.header.decode_header(words)))
    except (LookupError, ValueError, email.errors.HeaderParseError):
        return words


def squeezed(words):
    return re.sub(r"\s+", " ", words or "").strip()


def as_text(words):
    return squeezed(decoded(words or ""))


def bare(message_id):
    return as_text(message_id).removeprefix("<").removesuffix(">")


def address_pairs(addresses):
    """Without what is empty, and without the quotes around a local part, which ENVELOPE has not (RFC 9051 7.5.2)."""
    return [
        (as_text(name), re.sub(r'["\\]', "", address) if '"' in address else address)
        for name, address in addresses
        if name or address
    ]


def kinds(parts):
    """[(path, type)] as BODYSTRUCTURE has it: a container has a part at least, none but a message holds a
    message's parts, and a type is two words, or text/plain."""
    found = {}
    for part in parts:
        words = TYPE.match(part.type)
        above = found.get(part.path[:-1], "")
        if part.path and not above.startswith("multipart/") and above not in ("message/rfc822", "message/global"):
            continue
        found[part.path] = f"{words[1]}/{words[2]}" if words else "text/plain"
    for path, kind in list(found.items()):
        is_container = kind.startswith("multipart/") or kind in ("message/rfc822", "message/global")
        if is_container and (*path, 1) not in found:
            found[(*path, 1)] = "text/plain"
    return sorted(found.items())


def differences(ours, theirs):
    our_kinds, their_kinds = kinds(ours.parts), kinds(theirs.parts)
    if our_kinds != their_kinds:
        yield "parts", None, our_kinds, their_kinds
    else:
        found = {part.path: part for part in theirs.parts}
        for our in ours.parts:
            their = found.get(our.path)
            if their is None:
                continue
            if our.content is not None and their.content is not None and our.content != their.content:
                yield "content", our, our.content, their.content
            # A text without a charset is US-ASCII, and BODYSTRUCTURE says so (RFC 2045 5.2).
            if (our.charset.lower() or "us-ascii") != (their.charset.lower() or "us-ascii"):
                yield "charset", our, our.charset, their.charset
            if squeezed(our.filename) != squeezed(their.filename):
                yield "filename", our, our.filename, their.filename
    for aspect, shape in (
        ("sender", address_pairs),
        ("to", address_pairs),
        ("cc", address_pairs),
        ("subject", as_text),
        ("message_id", bare),
    ):
        our, their = shape(getattr(ours, aspect)), shape(getattr(theirs, aspect))
        if our != their:
            yield aspect, None, our, their
