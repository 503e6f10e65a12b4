"""An account with a history, and all that its owner can be shown of it."""

import concurrent.futures
import hashlib
import re

from support.searching import mail

SEARCHES = ["SEEN", "UNFLAGGED", "KEYWORD $Work", 'TEXT "pears"', 'SUBJECT "number 7"', "LARGER 300", "SINCE 2-Jan-2020"]
FETCHED = "(UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ ENVELOPE BODYSTRUCTURE BODY.PEEK[])"


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


BOXES = ["INBOX", "Projects", "Lists/deep"]


def fill_box(server, address, box, count):
    client = server.imap(address)
    for number in range(count):
        date = f'"{1 + number % 28:2d}-Jan-20{10 + number % 15} 10:00:00 +0000"'
        flags = (r"(\Seen)", None, r"(\Flagged $Work)")[number % 7 % 3]
        ok(client.append(box, flags, date, mail(number)))
    client.logout()


def fill(server, address, count):
    """`count` messages in each of three mailboxes, each a commit of its own."""
    client = server.imap(address)
    for box in BOXES[1:]:
        ok(client.create(box))
    client.logout()
    with concurrent.futures.ThreadPoolExecutor(len(BOXES)) as pool:
        for done in [pool.submit(fill_box, server, address, box, count) for box in BOXES]:
            done.result()


def change(server, address):
    """Every kind of change, on some of what fill() made."""
    client = server.imap(address)
    ok(client.select("INBOX"))
    ok(client.uid("STORE", "1:20", "+FLAGS", r"(\Answered $Later)"))
    ok(client.uid("STORE", "10:30", "-FLAGS", r"(\Seen)"))
    ok(client.uid("COPY", "5:14", "Projects"))
    ok(client.uid("MOVE", "21:32", "Lists/deep"))
    ok(client.uid("STORE", "2,4,6,8,40:48", "+FLAGS.SILENT", r"(\Deleted)"))
    ok(client.expunge())
    ok(client.select("Lists/deep"))
    ok(client.uid("STORE", "1:9", "+FLAGS.SILENT", r"(\Deleted)"))
    ok(client.uid("EXPUNGE", "1:6"))
    ok(client.rename("Projects", "Kept"))
    client.logout()
    for number in range(3):
        server.deliver(mail(900 + number), to=address)


def modseqs(server, address):
    """{mailbox: (UIDVALIDITY, HIGHESTMODSEQ)} for who synchronises later."""
    client = server.imap(address)
    known = {}
    for box in names(client):
        text = ok(client.status(f'"{box}"', "(UIDVALIDITY HIGHESTMODSEQ)"))[0].decode()
        known[box] = tuple(re.findall(r"(?:UIDVALIDITY|HIGHESTMODSEQ) (\d+)", text))
    client.logout()
    return known


def names(client):
    return sorted(re.search(rb'"/" "?([^"]+)"?$', line).group(1).decode() for line in ok(client.list()))


def fetched(client):
    """{UID: all about it}"""
    messages = {}
    for item in ok(client.uid("FETCH", "1:*", FETCHED)):
        if isinstance(item, tuple):
            # The literal is the last of what is asked for.
            uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
            head = re.sub(rb"^\d+ |BODY\[\] \{\d+\}$", b"", item[0])
            messages[uid] = (head, hashlib.sha256(item[1]).hexdigest())
    return messages


def resynchronised(client, box, known):
    uidvalidity, modseq = known
    kind, answer = client._simple_command("SELECT", f'"{box}"', f"(QRESYNC ({uidvalidity} {modseq}))")
    assert kind == "OK", answer
    client.state = "SELECTED"
    return client.response("VANISHED")[1], sorted(str(line) for line in client.response("FETCH")[1])


def everything(server, address, known):
    """`known`: modseqs() of some time ago, by the names that mailboxes have now."""
    client = server.imap(address)
    client._simple_command("ENABLE", "QRESYNC")
    shown = {"quota": ok(client.getquotaroot("INBOX"))}
    for box in names(client):
        quoted = f'"{box}"'
        numbers = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ DELETED SIZE)"
        shown[box, "status"] = ok(client.status(quoted, numbers))
        ok(client.select(quoted, readonly=True))
        shown[box, "messages"] = fetched(client)
        shown[box, "found"] = {query: ok(client.uid("SEARCH", query)) for query in SEARCHES}
        if box in known:
            shown[box, "changed"] = resynchronised(client, box, known[box])
    client.logout()
    return shown


def then_same(now, before):
    assert now.keys() == before.keys(), now.keys() ^ before.keys()
    for what, value in before.items():
        if isinstance(value, dict) and now[what] != value:
            differ = [key for key in value.keys() | now[what].keys() if value.get(key) != now[what].get(key)]
            raise AssertionError(f"{what}: {[(key, value.get(key), now[what].get(key)) for key in differ[:3]]}")
        assert now[what] == value, what
