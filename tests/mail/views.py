"""A mail as somebody sees it: the server, Python's email, GMime. What is compared is of the same shape for all."""

import dataclasses
import email
import email.message
import email.policy
import email.utils
import itertools
import json
import subprocess
import tempfile
import urllib.parse
from pathlib import Path

GMIME = Path(__file__).parent / "gmime_view.py"


@dataclasses.dataclass
class Part:
    path: tuple  # child numbers from the top; a message within is its part's child 1
    type: str
    charset: str
    filename: str
    content: bytes | None = None  # decoded; None of what has parts, or was not asked for
    encoding: str = ""
    raw: bytes = b""  # not decoded


@dataclasses.dataclass
class View:
    parts: list
    subject: str | None
    sender: list
    to: list
    cc: list
    message_id: str | None
    date: str | None


def text(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def unfolded(value):
    return None if value is None else str(value).replace("\r", "").replace("\n", "").strip(" \t")


# ---- the server ----


def pairs(values):
    """A parameter list as {name: value}."""
    named = zip(values[::2], values[1::2]) if values else ()
    return {text(name).lower(): text(value) for name, value in reversed(list(named))}


def parameter(values, name):
    """A parameter as text, by RFC 2231 if its name says so; "" without it."""
    if name in values:
        return values[name]
    charset, _, rest = values.get(name + "*", "").partition("'")
    _, is_whole, rest = rest.partition("'")
    if not is_whole:
        return values.get(name + "*", "")
    try:
        return urllib.parse.unquote(rest, charset or "us-ascii", "replace")
    except LookupError:
        return urllib.parse.unquote(rest, "latin-1")


@dataclasses.dataclass
class Node:
    """A part as a BODYSTRUCTURE tells of it; a multipart has no encoding and no size."""

    path: tuple
    type: str
    parameters: dict
    disposition_parameters: dict
    encoding: str | None = None
    octets: int | None = None
    lines: int | None = None


def structure(body, path=()):
    """The nodes of a BODYSTRUCTURE, parents first."""
    children = list(itertools.takewhile(lambda item: isinstance(item, list), body))
    if children:
        rest = body[len(children) :]
        yield Node(path, f"multipart/{text(rest[0])}".lower(), pairs(rest[1]), {})
        for number, child in enumerate(children, 1):
            yield from structure(child, (*path, number))
        return
    kind = f"{text(body[0])}/{text(body[1])}".lower()
    is_message = kind in ("message/rfc822", "message/global")
    rest = body[9 if is_message else 7 :]
    lines = int(rest.pop(0)) if is_message or kind.startswith("text/") else None
    disposition = pairs(rest[1][1]) if rest[1] else {}
    yield Node(path, kind, pairs(body[2]), disposition, text(body[5]).lower(), int(body[6]), lines)
    if is_message:
        yield from structure(body[8], (*path, 1))


def section(nodes, path):
    """The IMAP number of a part: what a message has within counts on from the message's own number, and
    a multipart there has none (RFC 9051 6.4.5)."""
    numbers = [] if nodes[()].type.startswith("multipart/") else [1]
    for depth in range(1, len(path) + 1):
        is_in_multipart = nodes[path[: depth - 1]].type.startswith("multipart/")
        if is_in_multipart or not nodes[path[:depth]].type.startswith("multipart/"):
            numbers.append(path[depth - 1])
    return ".".join(map(str, numbers))


def addresses(values):
    """[(name, address)] without the marks of groups."""
    found = []
    for name, _, local, host in values or []:
        if host is not None:
            at = "@" if host else ""
            found.append((text(name) or "", f"{text(local)}{at}{text(host)}"))
    return found


def server_part(node):
    filename = parameter(node.disposition_parameters, "filename") or parameter(node.parameters, "name")
    return Part(node.path, node.type, parameter(node.parameters, "charset"), filename, encoding=node.encoding or "")


def of_server(envelope, nodes):
    """Contents are filled in by who has fetched them."""
    date, subject, sender, _, _, to, cc, _, _, message_id = envelope
    return View(
        [server_part(node) for node in nodes],
        text(subject),
        addresses(sender),
        addresses(to),
        addresses(cc),
        text(message_id),
        text(date),
    )


# ---- Python's email ----


def raw_header(message, name):
    value = next((value for field, value in message.raw_items() if field.lower() == name), None)
    return None if value is None else text(str(value).encode("utf-8", "surrogateescape"))


def python_parts(message, path=()):
    kind = message.get_content_type()
    payload = message.get_payload()
    has_parts = isinstance(payload, list)
    content = None if has_parts else message.get_payload(decode=True)
    charset = message.get_param("charset", "")
    charset = charset[2] if isinstance(charset, tuple) else charset
    yield Part(path, kind, str(charset), message.get_filename("") or "", content)
    if has_parts:
        for number, child in enumerate(payload, 1):
            yield from python_parts(child, (*path, number))


def python_addresses(message, name):
    """Nothing where Python gives up: it recurses into comments."""
    value = unfolded(raw_header(message, name))
    try:
        return email.utils.getaddresses([value]) if value else []
    except RecursionError:
        return []


def of_python(content):
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    return View(
        list(python_parts(message)),
        unfolded(raw_header(message, "subject")),
        python_addresses(message, "from"),
        python_addresses(message, "to"),
        python_addresses(message, "cc"),
        unfolded(raw_header(message, "message-id")),
        unfolded(raw_header(message, "date")),
    )


# ---- GMime ----


def of_gmime(contents):
    """[content] → [View]; in Debian's own Python, which has the binding."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / str(number)).write_bytes(content)
        done = subprocess.run(["/usr/bin/python3", GMIME, folder], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    views = []
    for line in done.stdout.splitlines():
        seen = json.loads(line)
        parts = [
            Part(tuple(path), kind, charset, filename, None if content is None else bytes.fromhex(content))
            for path, kind, charset, filename, content in seen.pop("parts")
        ]
        views.append(View(parts, **seen))
    return views
