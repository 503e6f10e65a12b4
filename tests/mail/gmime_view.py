"""Prints how GMime sees each mail of a folder, one line of JSON each. Run by the system's Python, which has
the binding (gir1.2-gmime-3.0)."""

import json
import pathlib
import sys

import gi

gi.require_version("GMime", "3.0")
from gi.repository import GMime  # noqa: E402

UNREADABLE = "\ufffd"


def text_of(get, *arguments):
    """What GMime gives as text; UNREADABLE of bytes that are none, which the binding cannot hand over."""
    try:
        return get(*arguments) or ""
    except UnicodeDecodeError:
        return UNREADABLE


def content_of(part):
    content = part.get_content()
    if content is None:
        return ""
    out = GMime.StreamMem.new()
    content.write_to_stream(out)
    return bytes(out.get_byte_array() or b"").hex()


def children_of(part):
    if isinstance(part, GMime.Multipart):
        return [part.get_part(number) for number in range(part.get_count())]
    if isinstance(part, GMime.MessagePart):
        message = part.get_message()
        return [message.get_mime_part()] if message else []
    return []


def parts_of(part, path=()):
    kind = part.get_content_type()
    is_leaf = isinstance(part, GMime.Part)
    filename = text_of(part.get_filename) if is_leaf else ""
    name = f"{text_of(kind.get_media_type)}/{text_of(kind.get_media_subtype)}".lower()
    charset = text_of(kind.get_parameter, "charset")
    yield path, name, charset, filename, content_of(part) if is_leaf else None
    for number, child in enumerate(children_of(part), 1):
        if child:
            yield from parts_of(child, (*path, number))


def addresses_of(addresses):
    found = []
    for number in range(addresses.length() if addresses else 0):
        one = addresses.get_address(number)
        if isinstance(one, GMime.InternetAddressMailbox):
            found.append((text_of(one.get_name), text_of(one.get_addr)))
        else:
            found += addresses_of(one.get_members())
    return found


def view_of(content):
    parser = GMime.Parser.new_with_stream(GMime.StreamMem.new_with_buffer(content))
    message = parser.construct_message(None)
    if message is None:
        return {"parts": [], "subject": None, "sender": [], "to": [], "cc": [], "message_id": None, "date": None}
    top = message.get_mime_part()
    return {
        "parts": list(parts_of(top)) if top else [],
        "subject": text_of(message.get_subject),
        "sender": addresses_of(message.get_from()),
        "to": addresses_of(message.get_to()),
        "cc": addresses_of(message.get_cc()),
        "message_id": text_of(message.get_message_id),
        "date": message.get_date().format_iso8601() if message.get_date() else None,
    }


GMime.init()
folder = pathlib.Path(sys.argv[1])
for number in range(len(list(folder.iterdir()))):
    print(json.dumps(view_of((folder / str(number)).read_bytes())))
