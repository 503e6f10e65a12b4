"""Clients that change mail as fast as they can and remember what they were told: the model that a
restarted server is held against. What was under way when the server died may have happened or not."""

import imaplib
import random
import re
import smtplib
import threading

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft")


def mail(token, size):
    lines = [f"From: {token}@example.net", "To: someone@example.org", f"Subject: {token}", ""]
    lines += [f"{token} " + "x" * 60 for _ in range(size // 80)]
    return "\r\n".join([*lines, ""]).encode()


class Mail:
    """One message: where it is said to be, and how. A set of places: any of them may be true."""

    def __init__(self, content, places, flags=frozenset()):
        self.content = content
        self.places = places  # of mailbox names; None: nowhere
        self.flags = {flags}  # of sets of flags

    def is_settled(self):
        return len(self.places) == 1 and len(self.flags) == 1


class Client(threading.Thread):
    def __init__(self, server, number, account, seed):
        super().__init__(daemon=True)
        self.server = server
        self.number = number
        self.account = account
        self.random = random.Random(seed)
        self.mails = {}
        self.count = 0
        self.acknowledged = 0
        self.fault = None
        self.ready = threading.Event()

    def token(self):
        self.count += 1
        return f"c{self.number}n{self.count}r{self.random.getrandbits(32):x}"

    def run(self):
        try:
            self.connect()
            self.ready.set()
            while True:
                self.step()
                self.acknowledged += 1
        except (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected):
            pass  # the server was killed
        except Exception as fault:  # noqa: BLE001: told to the test, which fails
            self.fault = fault
        finally:
            self.ready.set()


class Deliverer(Client):
    """LMTP into the account's INBOX; what was not answered is sent again, byte for byte."""

    def connect(self):
        self.client = self.server.lmtp()
        self.client.ehlo("crash.example")

    def step(self):
        unanswered = [token for token, mail in self.mails.items() if None in mail.places]
        token = unanswered[0] if unanswered else self.token()
        if not unanswered:
            self.mails[token] = Mail(mail(token, self.random.choice((200, 4000, 40000))), {None, "INBOX"})
        known = self.mails[token]
        refused = self.client.sendmail(f"{token}@example.net", [self.account], known.content)
        assert not refused, refused
        known.places = {"INBOX"}

    def mailboxes(self):
        return ["INBOX"]


class Reader(Client):
    """IMAP on two mailboxes of its own: APPEND, STORE, MOVE, EXPUNGE."""

    def mailboxes(self):
        return [f"c{self.number}-a", f"c{self.number}-b"]

    def connect(self):
        self.client = self.server.imap(self.account)
        for name in self.mailboxes():
            self.client.create(name)

    def command(self, name, *arguments):
        kind, data = getattr(self.client, name)(*arguments)
        assert kind == "OK", (name, kind, data)
        return data

    def append(self):
        token, place = self.token(), self.random.choice(self.mailboxes())
        flags = frozenset(flag for flag in FLAGS if self.random.random() < 0.3)
        content = mail(token, self.random.choice((200, 4000, 40000)))
        self.mails[token] = Mail(content, {None, place}, flags)
        self.command("append", place, f"({' '.join(sorted(flags))})", None, content)
        self.mails[token].places = {place}

    def pick(self):
        """A mailbox, selected, with some of the mails that are surely in it."""
        place = self.random.choice(self.mailboxes())
        here = [token for token, known in self.mails.items() if known.places == {place} and known.is_settled()]
        if not here:
            return place, []
        self.command("select", place)
        found = listing(self.client)
        tokens = self.random.sample(here, min(len(here), self.random.randint(1, 5)))
        return place, [(token, found[token][0][0]) for token in tokens]

    def store(self):
        _, chosen = self.pick()
        if not chosen:
            return
        flag, adds = self.random.choice(FLAGS), self.random.random() < 0.5
        before = {token: next(iter(self.mails[token].flags)) for token, _ in chosen}
        after = {token: flags | {flag} if adds else flags - {flag} for token, flags in before.items()}
        for token, _ in chosen:
            self.mails[token].flags = {before[token], after[token]}
        uids = ",".join(uid for _, uid in chosen)
        self.command("uid", "STORE", uids, "+FLAGS" if adds else "-FLAGS", f"({flag})")
        for token, _ in chosen:
            self.mails[token].flags = {after[token]}

    def move(self):
        place, chosen = self.pick()
        if not chosen:
            return
        other = next(name for name in self.mailboxes() if name != place)
        for token, _ in chosen:
            self.mails[token].places = {place, other}
        self.command("uid", "MOVE", ",".join(uid for _, uid in chosen), other)
        for token, _ in chosen:
            self.mails[token].places = {other}

    def expunge(self):
        place, chosen = self.pick()
        if not chosen:
            return
        uids = ",".join(uid for _, uid in chosen)
        for token, _ in chosen:
            known = next(iter(self.mails[token].flags))
            self.mails[token].flags = {known, known | {"\\Deleted"}}
        self.command("uid", "STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        for token, _ in chosen:
            self.mails[token].places = {place, None}
        self.command("uid", "EXPUNGE", uids)
        for token, _ in chosen:
            del self.mails[token]

    def step(self):
        self.random.choices((self.append, self.store, self.move, self.expunge), (5, 3, 2, 1))[0]()


LINE = re.compile(rb"UID (\d+).*?FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\).*?UID (\d+)")


def listing(client):
    """{token: [(uid, flags), …]} of the selected mailbox."""
    kind, data = client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert kind == "OK"
    found = {}
    for part in data:
        if not isinstance(part, tuple):
            continue
        match = LINE.search(part[0])
        uid, flags = (match[1] or match[4]).decode(), (match[2] if match[1] else match[3]).decode()
        token = part[1].split(b":", 1)[1].strip().decode()
        found.setdefault(token, []).append((uid, frozenset(flags.split()) - {"\\Recent"}))
    return found
