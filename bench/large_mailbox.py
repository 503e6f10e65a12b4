"""Run by tools/large-mailbox: what mbsync makes of a large mailbox while both sides change and both programs are killed."""

import collections
import imaplib
import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import time

from support.mbsync import start
from support.server import Server

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
CHANGED = COUNT // 20
BATCH = 100
ALICE = "alice@example.org"
chance = random.Random(1)


def mail(number):
    lines = "".join(f"line {line} of {number} {'x' * 60}\r\n" for line in range(number % 50))
    return f"From: Ann <ann@example.net>\r\nSubject: number {number}\r\nMessage-ID: <{number}@example.net>\r\n\r\n{lines}".encode()


def step(what):
    """Says what came before took."""
    now = time.monotonic()
    if step.what:
        print(f"{step.what:60} {now - step.begun:7.1f} s", flush=True)
    step.what, step.begun = what, time.monotonic()


step.what = None


def append(client, mailbox, numbers):
    """Many in each command (RFC 3502)."""
    numbers = list(numbers)
    for first in range(0, len(numbers), BATCH):
        mails = [mail(number) for number in numbers[first : first + BATCH]]
        tag = client._new_tag()
        client.send(tag + b" APPEND " + mailbox + b"".join(b" {%d+}\r\n%s" % (len(one), one) for one in mails) + b"\r\n")
        while not (line := client.readline()).startswith(tag):
            assert line, "the server has gone"
        assert b" OK " in line, line


def far(server, mailbox):
    """How often each (subject, flags) is there."""
    with server.imap() as client:
        if client.select(f'"{mailbox}"', readonly=True)[1] == [b"0"]:
            return collections.Counter()
        answer = client.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    found = collections.Counter()
    for part in answer:
        if isinstance(part, tuple):
            flags = {flag.decode() for flag in imaplib.ParseFlags(part[0])} & {"\\Seen", "\\Flagged", "\\Answered"}
            found[re.search(rb"Subject: (.*)\r\n", part[1])[1].decode(), "".join(sorted(flag[1] for flag in flags))] += 1
    return found


def files(folder, mailbox):
    return [path for part in ("cur", "new") for path in (folder / "near" / mailbox / part).iterdir()]


def near(folder, mailbox):
    found = collections.Counter()
    for path in files(folder, mailbox):
        with path.open("rb") as file:
            subject = re.search(rb"Subject: (.*)\r?\n", file.read(4096))[1].decode().strip()
        found[subject, "".join(sorted({"S": "S", "F": "F", "R": "A"}.get(flag, "") for flag in path.name.partition(":2,")[2]))] += 1
    return found


def then_both_hold(server, folder, mailbox, count):
    there, here = far(server, mailbox), near(folder, mailbox)
    assert there == here, f"only far: {list((there - here).items())[:5]}, only near: {list((here - there).items())[:5]}"
    subjects = [subject for subject, _ in there.elements()]
    assert len(subjects) == len(set(subjects)) == count, (len(subjects), len(set(subjects)), count)


def synchronise(folder, server):
    process = start(folder, server)
    said, _ = process.communicate(timeout=3600)
    assert process.returncode == 0, said


def interrupted(folder, server, victim):
    """Kills it in the middle."""
    process = start(folder, server)
    time.sleep(chance.uniform(0.3, 1.5))
    if victim == "mbsync":
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    else:
        server.kill()
        process.communicate(timeout=60)
        server.start()


def mark(path, flag):
    name, _, flags = path.name.partition(":2,")
    path.rename(path.parents[1] / "cur" / f"{name}:2,{''.join(sorted(set(flags) | {flag}))}")


def change_near(folder, fresh):
    chosen = chance.sample(files(folder, "INBOX"), 2 * CHANGED)
    for path in chosen[:CHANGED]:
        mark(path, "T")
    for path in chosen[CHANGED:]:
        mark(path, chance.choice("FRS"))
    for number in fresh:
        (folder / "near/INBOX/new" / f"{number}.fresh.here").write_bytes(mail(number).replace(b"\r\n", b"\n"))


def change_far(server, fresh):
    with server.imap() as client:
        client.select("INBOX")
        uids = chance.sample(client.uid("SEARCH", "ALL")[1][0].split(), 2 * CHANGED)
        client.uid("STORE", b",".join(uids[:CHANGED]), "+FLAGS.SILENT", "\\Deleted")
        client.uid("STORE", b",".join(uids[CHANGED:]), "+FLAGS.SILENT", "\\Flagged")
        client.expunge()
        append(client, b"INBOX", fresh)


def main(folder):
    with Server(folder) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user(ALICE)
        step(f"{COUNT} messages are appended, {BATCH} in a command")
        with server.imap() as client:
            append(client, b"INBOX", range(COUNT))
            client.create("Work/Old")
            append(client, b"Work/Old", range(BATCH))
        step("the first mbsync fetches them, killed twice on its way")
        interrupted(folder, server, "mbsync")
        interrupted(folder, server, "server")
        synchronise(folder, server)
        step("both sides are compared")
        then_both_hold(server, folder, "INBOX", COUNT)
        step("an mbsync with nothing to do")
        synchronise(folder, server)
        step(f"each side: {CHANGED} new, {CHANGED} flagged, {CHANGED} expunged; a RENAME on both")
        change_near(folder, range(COUNT, COUNT + CHANGED))
        change_far(server, range(COUNT + CHANGED, COUNT + 2 * CHANGED))
        with server.imap() as client:
            assert client.rename("Work/Old", "Work/New")[0] == "OK"
        # mbsync 1.4 does not follow that by itself; its state is in the folder, and holds while UIDVALIDITY does.
        (folder / "near/Work/Old").rename(folder / "near/Work/New")
        step("mbsync, killed three times and its server twice on the way")
        for victim in ("mbsync", "server", "mbsync", "server", "mbsync"):
            interrupted(folder, server, victim)
        synchronise(folder, server)
        step("both sides are compared")
        there = sum(far(server, "INBOX").values())
        # Some were chosen on both sides.
        assert COUNT <= there <= COUNT + CHANGED, there
        then_both_hold(server, folder, "INBOX", there)
        then_both_hold(server, folder, "Work/New", BATCH)
        step("an mbsync with nothing to do")
        synchronise(folder, server)
        step(None)
        print(f"the server has {server.memory_kib() // 1024} MiB of memory")
        step("the server restarts; an mbsync with nothing to do")
        server.restart()
        synchronise(folder, server)
        step(None)
        assert server.alarms() == []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="holdfast-mbsync-", dir=os.environ.get("TMPDIR")) as scratch:
        main(pathlib.Path(scratch))
