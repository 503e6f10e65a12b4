"""All mails on one server, and what it says of them."""

import datetime
import functools
import socket

from mail import samples, views
from mail.imap_client import ImapClient
from support.raw import Raw
from support.server import PASSWORD

# Parts of one mail that are looked at one by one.
FIRST, LAST = 12, 3
KNOWN_ENCODINGS = ("7bit", "8bit", "binary", "base64", "quoted-printable")

ALICE = "alice@example.org"
BOB = "bob@example.org"


def received(number):
    """INTERNALDATE of mail `number`, counted from 0: some hours after the one before, in zones west and east."""
    zone = datetime.timezone(datetime.timedelta(hours=number % 24 - 12))
    when = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(hours=7 * number)
    return when.astimezone(zone).strftime("%d-%b-%Y %H:%M:%S %z").encode()


class Corpus:
    """Mail number n is `names[n - 1]`."""

    def __init__(self, server):
        self.server = server
        mails = samples.everything()
        self.names = list(mails)
        self.contents = list(mails.values())

    @functools.cached_property
    def seen(self):
        return see(self)

    @functools.cached_property
    def seen_by_python(self):
        return [views.of_python(content) for content in self.contents]

    def open(self, address, mailbox=b"INBOX"):
        client = ImapClient(self.server.port("imap"), address, PASSWORD)
        client.ask(b"EXAMINE " + mailbox)
        return client

    def append(self, address):
        with ImapClient(self.server.port("imap"), address, PASSWORD) as client:
            for number, content in enumerate(self.contents):
                client.send(b'APPEND INBOX "%s" ~{%d+}\r\n' % (received(number), len(content)) + content)
                tagged, _ = client.finish()
                assert tagged.startswith(b"OK"), tagged

    def deliver(self, address):
        """By LMTP. → {name: what it answered} of those that were refused."""
        refused = {}
        with Raw(self.server.port("lmtp")) as client:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.say("LHLO client.example.net")
            for name, content in zip(self.names, self.contents):
                client.send(f"MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<{address}>\r\nBDAT {len(content)} LAST\r\n")
                client.send(content)
                answers = [client.reply() for _ in range(3)]
                if not answers[2].startswith("250"):
                    refused[name] = answers[2]
        return refused


def looked_at(nodes):
    leaves = [node for node in nodes if node.octets is not None and node.type not in ("message/rfc822", "message/global")]
    return leaves[:FIRST] + leaves[max(FIRST, len(leaves) - LAST) :]


def check_part(node, number, found, mail):
    """What is told of a part agrees with itself. → its decoded body."""
    raw = found[f"BODY[{number}]"]
    assert len(raw) == node.octets
    assert node.lines is None or raw.count(b"\n") == node.lines
    assert found[f"BODY[{number}.MIME]"] + raw in mail
    decoded = found.get(f"BINARY[{number}]", raw)
    assert int(found.get(f"BINARY.SIZE[{number}]", len(decoded))) == len(decoded)
    return raw, decoded


def fetch_parts(client, message, nodes, view, mail):
    nodes = {node.path: node for node in nodes}
    wanted = {node.path: views.section(nodes, node.path) for node in looked_at(nodes.values())}
    items = []
    for path, number in wanted.items():
        items += [f"BODY.PEEK[{number}]", f"BODY.PEEK[{number}.MIME]"]
        if nodes[path].encoding in KNOWN_ENCODINGS:
            items += [f"BINARY.PEEK[{number}]", f"BINARY.SIZE[{number}]"]
    found = client.fetch(str(message), " ".join(items))[message]
    parts = {part.path: part for part in view.parts}
    for path, number in wanted.items():
        parts[path].raw, parts[path].content = check_part(nodes[path], number, found, mail)


def see(corpus):
    """[View] of the server, and checked on the way: what it says of each mail agrees with itself."""
    seen = []
    with corpus.open(ALICE) as client:
        items = "ENVELOPE BODYSTRUCTURE RFC822.SIZE PREVIEW BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]"
        found = client.fetch("1:*", items)
        for number, mail in enumerate(corpus.contents, 1):
            told = found[number]
            assert told["BODY[]"] == mail
            assert told["BODY[HEADER]"] + told["BODY[TEXT]"] == mail
            assert int(told["RFC822.SIZE"]) == len(mail)
            assert len(told["PREVIEW"].decode()) <= 200
            nodes = list(views.structure(told["BODYSTRUCTURE"]))
            view = views.of_server(told["ENVELOPE"], nodes)
            fetch_parts(client, number, nodes, view, mail)
            seen.append(view)
    return seen
