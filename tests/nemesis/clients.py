"""Clients that use several nodes as mail programs do, each from a thread of its own, and write down what they asked
for and what they were told. They believe every OK, and take every temporary failure and every broken connection for
what it is: an outcome that is not known. Any other answer is a fault of the server's and ends the run."""

import contextlib
import hashlib
import imaplib
import poplib
import random
import re
import smtplib
import threading

from support.server import PASSWORD

PATIENCE_S = 20
FLAGS = ("\\Seen", "\\Flagged", "\\Answered")
INBOX, WORK, DONE = "INBOX", "Work", "Done"
MAILBOXES = (INBOX, WORK, DONE)
BROKEN = (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPServerDisconnected)
# Told when a message is gone meanwhile, or when the store cannot be had.
NOT_NOW = (b"[UNAVAILABLE]", b"[EXPUNGEISSUED]", b"[SYS/TEMP]", b"[IN-USE]")


class Refused(Exception):
    """A temporary failure; it may have happened all the same."""


class Fault(Exception):
    """An answer that no fault of the world explains."""


def mail(token, size):
    """A mail as another server would pass it on: its topmost Received field has an id."""
    head = f"Received: by nemesis.example id {token}; Fri, 1 Jan 2027 00:00:00 +0000\r\n"
    head += f"From: <nemesis@example.net>\r\nSubject: {token}\r\nMessage-ID: <{token}@nemesis.example>\r\n\r\n"
    lines = [f"{token} line {number} ".ljust(76, "x") for number in range(max(1, size // 78))]
    return (head + "\r\n".join(lines) + "\r\n").encode()


def identity(content):
    return {"digest": hashlib.sha256(content).hexdigest()[:24], "length": len(content)}


def described(content):
    """What was fetched: the token, what is below the server's trace fields, and how much is above."""
    match = re.search(rb"Received: by nemesis.example id (\S+);", content)
    if not match:
        return {"token": None, "before": 0, **identity(content)}
    return {"token": match[1].decode(), "before": match.start(), **identity(content[match.start() :])}


def numbers(text):
    """Of a set of UIDs: "1,3:5"."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


# ---- one IMAP connection ----

UID, FLAGS_ITEM = re.compile(rb"UID (\d+)"), re.compile(rb"FLAGS \(([^)]*)\)")
SIZE, MODSEQ = re.compile(rb"RFC822\.SIZE (\d+)"), re.compile(rb"MODSEQ \((\d+)\)")
SUBJECT = re.compile(rb'ENVELOPE \((?:NIL|"[^"]*") "([^"]*)"')


def flags_in(line):
    return sorted(set(FLAGS_ITEM.search(line)[1].decode().split()) - {"\\Recent"})


class Imap:
    """Signed in, with QRESYNC."""

    def __init__(self, server, account):
        self.client = imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=PATIENCE_S)
        self.call("login", account, PASSWORD)
        self.call("xatom", "ENABLE", "QRESYNC")

    def call(self, name, *arguments):
        """Data of the answer, of this command alone; Refused, Fault."""
        self.client.untagged_responses.clear()
        try:
            kind, data = getattr(self.client, name)(*arguments)
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            kind, data = "NO", [str(error).encode()]
        if kind == "OK":
            return data
        text = b" ".join(part for part in data if isinstance(part, bytes))
        raise Refused(text.decode()) if any(code in text for code in NOT_NOW) else Fault(f"{name} {arguments}: {text}")

    def told(self, name):
        """All lines of one kind since the command went out."""
        return [line for line in self.client.untagged_responses.get(name, []) if line is not None]

    def select(self, mailbox, parameters=""):
        """What SELECT tells; imaplib's own knows no parameters."""
        self.call("xatom", "SELECT", f'"{mailbox}"' + parameters)
        self.client.state = "SELECTED"
        self.is_empty = int(self.told("EXISTS")[-1]) == 0
        return {
            "uidvalidity": int(self.told("UIDVALIDITY")[-1]),
            "uidnext": int(self.told("UIDNEXT")[-1]),
            "modseq": int(self.told("HIGHESTMODSEQ")[-1]),
        }

    def fetch_all(self, items):
        """The lines of FETCH; of nothing it is an error (RFC 9051 9: no such sequence number)."""
        return [] if self.is_empty else [line for line in self.call("fetch", "1:*", items) if line]

    def vanished(self):
        found = []
        for line in self.told("VANISHED"):
            found += numbers(line.decode().replace("(EARLIER) ", ""))
        return found

    def list(self, mailbox):
        shown = self.select(mailbox)
        entries = []
        for line in self.fetch_all("(UID FLAGS RFC822.SIZE ENVELOPE)"):
            if subject := SUBJECT.search(line):
                uid, size = int(UID.search(line)[1]), int(SIZE.search(line)[1])
                entries.append([uid, subject[1].decode(), flags_in(line), size])
        return {**shown, "entries": entries}

    def search(self, mailbox, key):
        shown = self.select(mailbox)
        (line,) = self.call("uid", "SEARCH", key)
        return {**shown, "uids": [int(uid) for uid in (line or b"").split()]}

    def status(self, mailbox):
        line = self.call("status", f'"{mailbox}"', "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)")[-1]
        words = line.decode().rpartition("(")[2].rstrip(")").split()
        values = dict(zip(words[::2], map(int, words[1::2])))
        return {
            "messages": values["MESSAGES"],
            "uidnext": values["UIDNEXT"],
            "uidvalidity": values["UIDVALIDITY"],
            "modseq": values["HIGHESTMODSEQ"],
        }

    def fetch(self, uid):
        """The whole mail, or None if it is gone."""
        for part in self.call("uid", "FETCH", str(uid), "(BODY.PEEK[])"):
            if isinstance(part, tuple):
                return part[1]
        return None

    def copied(self):
        """{uidvalidity, pairs} from COPYUID; nothing was there to be copied without it."""
        lines = self.told("COPYUID")
        if not lines:
            return {"pairs": []}
        uidvalidity, sources, targets = lines[-1].decode().split()
        return {"uidvalidity": int(uidvalidity), "pairs": list(map(list, zip(numbers(sources), numbers(targets))))}

    def close(self):
        with contextlib.suppress(*BROKEN, imaplib.IMAP4.error):
            self.client.shutdown()


# ---- threads ----


class Client(threading.Thread):
    """Steps until told to stop; connects to any of the nodes, and to another one now and then."""

    pace = (0.05, 0.25)

    def __init__(self, servers, recorder, name, account, seed):
        super().__init__(name=name, daemon=True)
        self.servers, self.recorder, self.account = servers, recorder, account
        self.random = random.Random(f"{seed} {name}")
        self.stopping = threading.Event()
        self.session, self.node = None, 0
        self.count = 0
        self.fault = None
        self.acknowledged = 0

    def token(self):
        self.count += 1
        return f"{self.name.replace(' ', '-')}-{self.count}"

    def run(self):
        try:
            while not self.stopping.is_set():
                self.one_step()
                self.stopping.wait(self.random.uniform(*self.pace))
        except Exception as fault:  # noqa: BLE001: told to the test, which fails
            self.fault = fault
        finally:
            self.leave()

    def one_step(self):
        if self.session and self.random.random() < 0.05:
            self.leave()
        try:
            if not self.session:
                self.node = self.random.randrange(len(self.servers)) + 1
                self.session = self.connect(self.servers[self.node - 1])
            self.step()
        except BROKEN:
            self.leave()
        except Refused:
            pass

    def leave(self):
        if self.session:
            self.session.close()
        self.session = None

    def perform(self, do, work, is_change=True, **arguments):
        """One recorded operation; its result, None if it saw nothing. What goes wrong goes on to the step's end."""
        arguments = {"account": self.account, **arguments}
        number = self.recorder.invoke(self.name, self.node, do, arguments)
        try:
            result = work()
        except Exception as error:
            self.recorder.end(number, "unknown" if is_change else "fail", {"why": f"{type(error).__name__} {error}"})
            raise
        self.recorder.end(number, "ok" if result is not None else "fail", result)
        self.acknowledged += 1
        return result

    def look(self, do, work, **arguments):
        return self.perform(do, work, is_change=False, **arguments)


class Lmtp:
    def __init__(self, server):
        self.client = smtplib.LMTP("127.0.0.1", server.port("lmtp"), "nemesis.example", timeout=PATIENCE_S)

    def deliver(self, account, content):
        try:
            self.client.sendmail("nemesis@example.net", [account], content)
        except smtplib.SMTPRecipientsRefused as error:
            self.refuse(error, *error.recipients[account])
        except smtplib.SMTPResponseException as error:
            self.refuse(error, error.smtp_code, error.smtp_error)
        return {}

    def refuse(self, error, code, text):
        raise Refused(f"{code} {text}") if 400 <= code < 500 else Fault(f"{code} {text}") from error

    def close(self):
        with contextlib.suppress(*BROKEN):
            self.client.close()


class Deliverer(Client):
    """LMTP; the same bytes again and again until they are acknowledged, to whichever node."""

    pace = (0.2, 0.6)
    waiting = None  # (token, content) that was not acknowledged

    def connect(self, server):
        return Lmtp(server)

    def step(self):
        if not self.waiting:
            token = self.token()
            self.waiting = (token, mail(token, self.random.choice((100, 3000, 30000))))
        token, content = self.waiting
        self.perform(
            "deliver", lambda: self.session.deliver(self.account, content), token=token, **identity(content)
        )
        self.waiting = None


class ImapClient(Client):
    def connect(self, server):
        return Imap(server, self.account)

    def list(self, mailbox):
        return self.look("list", lambda: self.session.list(mailbox), mailbox=mailbox)["entries"]


class Writer(ImapClient):
    """APPEND, STORE, EXPUNGE, COPY and MOVE on mailboxes that all writers of the account share."""

    KEEP = 60  # messages of a mailbox, more or less

    def step(self):
        kinds = (self.append, self.store, self.copy, self.move, self.expunge)
        self.random.choices(kinds, (3, 6, 1, 2, 2))[0]()

    def append(self):
        token, mailbox = self.token(), self.random.choice(MAILBOXES)
        flags = [flag for flag in FLAGS if self.random.random() < 0.3]
        content = mail(token, self.random.choice((100, 3000, 30000)))

        def work():
            self.session.call("append", f'"{mailbox}"', f"({' '.join(flags)})", None, content)
            uidvalidity, uid = self.session.told("APPENDUID")[-1].split()
            return {"uidvalidity": int(uidvalidity), "uid": int(uid)}

        self.perform("append", work, mailbox=mailbox, token=token, flags=flags, **identity(content))

    def pick(self, mailbox, most):
        """Some messages that a look showed just now, of the newest more often."""
        here = [(uid, token) for uid, token, flags, _ in self.list(mailbox) if "\\Deleted" not in flags]
        if self.random.random() < 0.7:
            here = here[-8:]
        chosen = self.random.sample(here, min(len(here), self.random.randint(1, most)))
        return [uid for uid, _ in chosen], [token for _, token in chosen], len(here)

    def change(self, mailbox, uids, add, flag):
        def work():
            self.session.call("uid", "STORE", as_set(uids), "+FLAGS" if add else "-FLAGS", f"({flag})")
            return {}

        self.perform("store", work, mailbox=mailbox, uids=uids, add=add, flags=[flag])

    def store(self):
        mailbox = self.random.choice(MAILBOXES)
        uids, _, _ = self.pick(mailbox, 4)
        if not uids:
            return
        # Several of one message, so that other writers' come in between.
        for _ in range(self.random.randint(1, 3)):
            self.change(mailbox, uids, self.random.random() < 0.6, self.random.choice(FLAGS))

    def copy(self):
        self.transfer("copy", self.random.choice((INBOX, DONE)), WORK)

    def move(self):
        self.transfer("move", *self.random.choice(((INBOX, WORK), (WORK, DONE), (DONE, WORK))))

    def transfer(self, do, source, target):
        uids, tokens, _ = self.pick(source, 3)
        if not uids:
            return

        def work():
            self.session.call("uid", do.upper(), as_set(uids), f'"{target}"')
            return self.session.copied()

        self.perform(do, work, mailbox=source, target=target, uids=uids, tokens=tokens)

    def expunge(self):
        mailbox = self.random.choice(MAILBOXES)
        uids, _, _ = self.pick(mailbox, 3)
        listed = self.list(mailbox)
        if len(listed) > self.KEEP:
            uids = [uid for uid, _, _, _ in listed[: self.KEEP // 4]]
        if not uids:
            return
        self.change(mailbox, uids, True, "\\Deleted")
        if self.random.random() < 0.5:
            self.perform("expunge", lambda: self.remove("uid", "EXPUNGE", as_set(uids)), mailbox=mailbox, uids=uids)
        else:
            self.perform("expunge-all", lambda: self.remove("expunge"), mailbox=mailbox)

    def remove(self, *command):
        self.session.call(*command)
        return {"uids": self.session.vanished()}


def as_set(uids):
    return ",".join(map(str, uids))


class Reader(ImapClient):
    """Looks at everything in every way, and keeps a copy of each mailbox up to date by QRESYNC deltas alone."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.caches = {}  # mailbox: (UIDVALIDITY, MODSEQ, {UID: flags})

    def step(self):
        mailbox = self.random.choice(MAILBOXES)
        kinds = (self.look_at, self.sync, self.search, self.status, self.fetch)
        self.random.choices(kinds, (2, 4, 2, 2, 2))[0](mailbox)

    def look_at(self, mailbox):
        self.list(mailbox)

    def search(self, mailbox):
        self.look("search", lambda: self.session.search(mailbox, "ALL"), mailbox=mailbox, key="ALL")

    def status(self, mailbox):
        self.look("status", lambda: self.session.status(mailbox), mailbox=mailbox)

    def fetch(self, mailbox):
        entries = self.list(mailbox)
        if entries:
            uid, token, _, _ = self.random.choice(entries)
            fetch(self, mailbox, uid, token)

    def sync(self, mailbox):
        result = self.look("sync", lambda: self.apply_deltas(mailbox), mailbox=mailbox)
        cache = {uid: flags for uid, flags in result["cache"]}
        self.caches[mailbox] = (result["uidvalidity"], result["modseq"], cache)

    def apply_deltas(self, mailbox):
        uidvalidity, modseq, cache = self.caches.get(mailbox, (1, 1, {}))
        shown = self.session.select(mailbox, f" (QRESYNC ({uidvalidity} {modseq}))")
        # A UIDVALIDITY that is not the server's brings no deltas: the first look is a whole one.
        is_known = uidvalidity == shown["uidvalidity"]
        cache = dict(cache) if is_known else {}
        if is_known:
            for uid in self.session.vanished():
                cache.pop(uid, None)
            for line in self.session.told("FETCH"):
                cache[int(UID.search(line)[1])] = flags_in(line)
        fresh = []
        for line in self.session.fetch_all("(UID FLAGS MODSEQ)"):
            fresh.append([int(UID.search(line)[1]), flags_in(line), int(MODSEQ.search(line)[1])])
        if not is_known:
            cache = {uid: flags for uid, flags, _ in fresh if uid < shown["uidnext"]}
        fresh = list({entry[0]: entry for entry in fresh}.values())
        return {**shown, "since": modseq, "cache": sorted(map(list, cache.items())), "fresh": fresh}


def fetch(client, mailbox, uid, token, **more):
    """The content of a message of the mailbox that is selected; nothing is learnt from one that is gone meanwhile."""

    def work():
        content = client.session.fetch(uid)
        return described(content) if content is not None else None

    return client.look("fetch", work, mailbox=mailbox, uid=uid, token=token, **more)


class Pop3:
    def __init__(self, server, account):
        self.client = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=PATIENCE_S)
        self.call("user", account)
        self.call("pass_", PASSWORD)

    def call(self, name, *arguments):
        try:
            return getattr(self.client, name)(*arguments)
        except poplib.error_proto as error:
            text = str(error).encode()
            if any(code in text for code in NOT_NOW):
                raise Refused(str(error)) from error
            # poplib's own word for a connection that has ended.
            raise EOFError(text) if b"EOF" in text else Fault(f"{name} {arguments}: {text}") from error

    def close(self):
        with contextlib.suppress(*BROKEN, poplib.error_proto):
            self.client.close()


class PopClient(Client):
    """Takes mail away as a POP3 client does: looks, retrieves, deletes, says goodbye."""

    pace = (0.5, 1.5)

    def connect(self, server):
        return server

    def leave(self):
        self.session = None

    def step(self):
        try:
            self.visit()
        finally:
            self.session = None

    def visit(self):
        pop3 = None

        def look():
            nonlocal pop3
            pop3 = Pop3(self.servers[self.node - 1], self.account)
            return self.all_of(pop3)

        try:
            found = self.look("pop", look)
            chosen = [entry for entry in found["entries"] if self.random.random() < 0.3]
            for number, _ in enumerate(found["entries"]):
                if self.random.random() < 0.2:
                    self.retrieve(pop3, number + 1, *found["entries"][number])
            if chosen:
                self.remove(pop3, found["entries"], chosen)
        finally:
            if pop3:
                pop3.close()

    def all_of(self, pop3):
        entries, uidvalidity = [], 0
        for line in pop3.call("uidl")[1]:
            number, name = line.decode().split()
            uidvalidity, uid = map(int, name.split("."))
            head = b"\n".join(pop3.call("top", int(number), 0)[1])
            entries.append([uid, re.search(rb"Subject: (\S+)", head)[1].decode()])
        return {"entries": entries, **({"uidvalidity": uidvalidity} if uidvalidity else {})}

    def retrieve(self, pop3, number, uid, token):
        def work():
            return described(b"\r\n".join(pop3.call("retr", number)[1]) + b"\r\n")

        self.look("fetch", work, mailbox=INBOX, uid=uid, token=token)

    def remove(self, pop3, entries, chosen):
        for number, entry in enumerate(entries):
            if entry in chosen:
                pop3.call("dele", number + 1)

        def work():
            pop3.call("quit")
            return {}

        self.perform("dele", work, uids=[uid for uid, _ in chosen])
