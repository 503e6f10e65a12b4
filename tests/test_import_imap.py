"""Mail out of other IMAP servers: Dovecot, another Holdfast, and such as mean harm. Whole, once, and with both sides
compared afterwards."""

import contextlib
import imaplib
import json
import re
import socket
import threading
import time

import pytest

from support import certificates, dovecot
from support.server import PASSWORD, Server
from test_admin import TOKEN, ask

SECRET = "p'wd \"\\ {3}"
FLAGS = (r"\Seen", r"\Answered", r"\Flagged", r"\Draft", r"\Deleted", "$Forwarded", "Work+1", "NonJunk")
BOXES = ("INBOX", "Sent Items", "Entw&APw-rfe", "Entw&APw-rfe.&AMQ-rger &- Co", "a'b(c)d{e}", 'quote"back\\slash', "1.2.3.4.5.6.7.8")
HERE = ("INBOX", "Sent Items", "Entwürfe", "Entwürfe/Ärger & Co", "a'b(c)d{e}", 'quote"back\\slash', "1/2/3/4/5/6/7/8")


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("target")
    (folder / "token").write_text(TOKEN + "\n")
    settings = {
        "import.max_message": "64 KiB",
        "import.give_up": "1 s",
        "import.timeout": "500 ms",
        "import.connect_timeout": "1 s",
        "tasks.lease": "1 s",
        "tasks.poll_interval": "100 ms",
        "admin.token_file": folder / "token",
    }
    with Server(folder, settings) as made:
        made.settings["admin.listen"] = f"127.0.0.1:{made.port('admin')}"
        made.start()
        made.add_domain("example.org")
        yield made


@pytest.fixture
def user(target, request):
    address = f"{re.sub('[^a-z]', '-', request.node.name)[:40]}@example.org"
    target.add_user(address)
    return address


@pytest.fixture(scope="module")
def other():
    with dovecot.running() as made:
        yield made


@pytest.fixture(scope="module")
def other_holdfast(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other")
    made_by = certificates.make(folder / "ca", "mail.example.net")
    settings = {"tls.certificate": made_by / "certificate.pem", "tls.key": made_by / "key.pem", "tls.self_sign": "no"}
    with Server(folder, settings) as made:
        made.start()
        made.add_domain("example.net")
        made.add_user("her@example.net", SECRET)
        made.ca = made_by / "ca.pem"
        yield made


def submit(target, user, port, *options, name="her@example.net", password=PASSWORD, host="127.0.0.1"):
    done = target.ctl("import", "imap", host, name, user, "--port", str(port), *options, text=password + "\n", as_json=True)
    return json.loads(done.stdout)["id"]


def end_of(target, task):
    return json.loads(target.ctl("task", "await", task, as_json=True, check=False).stdout)


def run(target, user, port, *options, **more):
    return end_of(target, submit(target, user, port, *options, **more))


def counts(shown, *names):
    assert shown["state"] == "done", shown
    return tuple(shown["counts"][name] for name in names)


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def sign_in(port, name):
    client = imaplib.IMAP4("127.0.0.1", port)
    client.login(name, PASSWORD)
    return client


def fill(client, boxes, total):
    """[(box, bytes, flags, date)], put there."""
    made = []
    for box in boxes:
        if box != "INBOX":
            assert client.create(quoted(box))[0] == "OK", box
    for number in range(total):
        # Each tenth message stands there twice.
        content = f"Subject: {number - number % 10 // 9}\r\n\r\n".encode() + bytes(range(14, 256)) + b"\r\n"
        flags = {flag for bit, flag in enumerate(FLAGS) if number >> bit & 1}
        seconds = 1_000_000_000 + number * 1000
        box = boxes[number // 10 % len(boxes)]
        date = imaplib.Time2Internaldate(seconds)
        assert client.append(quoted(box), f"({' '.join(sorted(flags))})", date, content)[0] == "OK"
        made.append((box, content, flags, seconds))
    return made


def mails(client, box):
    """[(bytes, flags, seconds)] by UID."""
    assert client.select(quoted(box), readonly=True)[0] == "OK", box
    found = []
    for item in client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(item, tuple):
            flags = set(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).decode().split())
            found.append((item[1], flags - {r"\Recent"}, int(time.mktime(imaplib.Internaldate2tuple(item[0])))))
    return found


def test_a_dovecot_comes_whole_and_once(target, other, user, tmp_path):
    port = other.port("imap")
    name = "her@example.net"
    client = sign_in(port, name)
    made = fill(client, BOXES, 500)
    client.subscribe(quoted("Entw&APw-rfe"))
    shown = run(target, user, port, "--clear")
    assert counts(shown, "messages", "added", "there_already", "failed") == (500, 500, 0, 0), shown
    assert counts(run(target, user, port, "--clear", "--compare"), "messages", "differences", "failed") == (500, 0, 0)
    folders = target.folders(user)
    assert folders["Entwürfe"]["subscribed"] and not folders["Entwürfe/Ärger & Co"]["subscribed"]
    mine = target.imap(user)
    for box, path in zip(BOXES, HERE):
        wanted = [(content, flags, seconds) for where, content, flags, seconds in made if where == box]
        assert mails(mine, box.replace(".", "/")) == wanted, path
        assert folders[path]["messages"] == len(wanted)

    # Again: nothing. With new mail there: that. What was removed here stays removed.
    mine.select("INBOX")
    mine.store("1:3", "+FLAGS", r"(\Deleted)")
    gone = len(mine.expunge()[1])
    mine.logout()
    assert counts(run(target, user, port, "--clear"), "messages", "added", "there_already") == (500, 0, 500)
    client.append("INBOX", None, None, b"Subject: new\r\n\r\nnew\r\n")
    assert counts(run(target, user, port, "--clear"), "added", "there_already", "failed") == (1, 500, 0)
    shown = run(target, user, port, "--clear", "--compare")
    assert counts(shown, "messages", "differences") == (501, gone) and gone >= 3
    assert any("it was imported and is no longer here" in line for line in shown["findings"])

    manifest = tmp_path / "manifest"
    manifest.write_text(target.ctl("import", "manifest", user).stdout)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert len(lines) == 501 and {line["folder"] for line in lines} == set(HERE)
    assert f"imap://{name}@127.0.0.1/" in lines[0]["source"] and len(lines[0]["sha256"]) == 64
    verified = json.loads(target.ctl("import", "verify", manifest, user, as_json=True, check=False).stdout)
    assert verified == {"messages": 501, "differences": gone}

    # The source's UIDVALIDITY is another: known by their bytes, they do not come twice.
    client.create("again")
    for number in (1, 2, 2):
        client.append("again", None, None, f"Subject: {number}\r\n\r\n".encode())
    assert counts(run(target, user, port, "--clear", "--mailbox", "again"), "added") == (3,)
    client.delete("again")
    client.create("again")
    for number in (3, 2, 2, 2, 1):
        client.append("again", None, None, f"Subject: {number}\r\n\r\n".encode())
    for _ in range(2):
        shown = run(target, user, port, "--clear", "--mailbox", "again")
        assert target.folders(user)["again"]["messages"] == 5
    assert counts(shown, "added", "there_already") == (0, 5)
    # Somewhere else it is another import, of those alone that are chosen; forgotten, it comes again.
    into = ("--clear", "--into", "Old", "--mailbox", "*", "--mailbox", "!Entw*")
    assert counts(run(target, user, port, *into), "failed") == (0,)
    folders = target.folders(user)
    assert folders["Old"]["messages"] == folders["INBOX"]["messages"] + gone and "Old/Entwürfe" not in folders
    target.ctl("import", "forget", user)
    assert target.ctl("import", "manifest", user).stdout == ""
    client.logout()


def test_killed_cut_and_gone_on_with(target, other_holdfast, user):
    source = other_holdfast
    client = source.imap("her@example.net", SECRET)
    boxes = ("INBOX", "Sent", "Entw&APw-rfe/x.y")
    fill(client, boxes[:1], 150)
    client.create(quoted(boxes[2]))
    client.append(quoted(boxes[2]), None, None, b"Subject: big\r\n\r\n" + b"x" * 70_000)
    client.append("Sent", r"(\Seen)", None, b"Subject: sent\r\n\r\n")
    tls = ("--ca", source.ca)
    task = submit(target, user, source.port("imap_tls"), *tls, "--rate", "100", password=SECRET)
    end = time.monotonic() + 20
    while target.folders(user)["INBOX"]["messages"] < 60:
        assert time.monotonic() < end
    target.settings["import.give_up"] = "30 s"
    target.kill()
    target.start()
    # And the source goes away for a moment.
    source.restart()
    shown = end_of(target, task)
    target.settings["import.give_up"] = "1 s"
    target.reload()
    assert counts(shown, "messages", "failed") == (152, 1) and shown["runs"] == 2
    assert shown["counts"]["added"] + shown["counts"]["there_already"] == 151
    assert any("UID 1: it is larger than import.max_message" in line for line in shown["findings"])
    folders = target.folders(user)
    assert (folders["INBOX"]["messages"], folders["Sent"]["messages"]) == (150, 1)
    again = run(target, user, source.port("imap"), "--starttls", *tls, "--compare", password=SECRET)
    assert counts(again, "differences", "failed") == (0, 1)
    # Nobody is told the password, and it does not stay.
    told = target.ctl("task", "list", as_json=True).stdout + target.log_text()
    assert SECRET not in told and json.dumps(SECRET)[1:-1] not in told
    assert shown["source"] == f"imaps://her@example.net@127.0.0.1:{source.port('imap_tls')}"


def test_what_is_refused(target, other, other_holdfast, user):
    tls, clear = other_holdfast.port("imap_tls"), other_holdfast.port("imap")
    ca = ("--ca", other_holdfast.ca)
    for port, options, password, why in (
        (tls, ca, "wrong", "does not let the user in"),
        (tls, (), SECRET, "is not trusted"),
        (clear, ("--starttls",), SECRET, "is not trusted"),
        (other.port("imap"), ("--starttls",), PASSWORD, "has no STARTTLS"),
    ):
        shown = run(target, user, port, *options, password=password)
        assert shown["state"] == "failed" and why in shown["error"] and "added" in shown["counts"], shown
    refused = target.ctl("import", "imap", "a/b", "x", user, text="x\n", check=False)
    assert refused.returncode and "the host is no name" in refused.stderr
    assert target.ctl("task", "submit", "import", user, check=False).returncode
    # Only who administers all domains may have this server connect to others.
    token = target.ctl_json("token", "create", "hers", "admin", "7", "example.org")["token"]
    body = {"host": "127.0.0.1", "user": "x", "password": "x"}
    assert ask(target, "POST", f"/v1/users/{user}/imports", body, token=token)[0] == 403
    assert ask(target, "GET", f"/v1/users/{user}/imports", token=token)[0] == 200


GREETING = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello\r\n"
LISTED = b'* LIST () "/" INBOX\r\n'
FACTS = b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE " 1-Jan-2020 00:00:00 +0000" RFC822.SIZE 5)\r\n'
SOUND = {b"LIST": LISTED, b"EXAMINE": b"* OK [UIDVALIDITY 7] x\r\n", b"UID SEARCH": b"* SEARCH 1\r\n", b"UID FETCH": FACTS, b"BODY.PEEK": b"* 1 FETCH (UID 1 BODY[] {5}\r\nX: y\n)\r\n"}
# What it answers instead: bytes without the end of the command, or all of them again and again.
HOSTILE = {
    "rubbish": (b"UID FETCH", b"\x00\xff rubbish\r\n", "is no IMAP"),
    "another command": (b"LIST", b"h99 OK done\r\n", "what was not asked"),
    "an endless line": (b"LIST", b"* LIST () " + b"x" * 20_000_000, "a line that is too long"),
    "a huge literal": (b"LIST", b'* LIST () "/" {4000000000}\r\n', "larger than what is taken"),
    "an end": (b"EXAMINE", b"* BYE go away p'wd\r\n", "ends the session"),
    "silence": (b"UID SEARCH", b"", "is silent"),
    "a broken FETCH": (b"UID FETCH", b"* 1 FETCH (UID 1 FLAGS ((((((\r\n", "a broken FETCH"),
    "no greeting": (None, b"", "cannot reach"),
    "another service": (None, b"SSH-2.0-x\r\n", "cannot reach"),
}


class Hostile:
    def __init__(self, command, answer):
        self.command, self.answer = command, answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, peer):
        with contextlib.suppress(OSError), peer:
            peer.sendall(GREETING if self.command else self.answer)
            for line in peer.makefile("rb"):
                tag, _, command = line.strip().partition(b" ")
                if not self.command:
                    continue
                if command.startswith(self.command):
                    peer.sendall(self.answer)
                    continue
                names = [name for name in SOUND if command.startswith(name) or (name == b"BODY.PEEK" and name in command)]
                peer.sendall(b"".join(SOUND[name] for name in names[-1:]) + tag + b" OK done\r\n")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_source_that_means_harm(target, user, name):
    command, answer, why = HOSTILE[name]
    hostile = Hostile(command, answer)
    shown = run(target, user, hostile.port, "--clear")
    assert shown["state"] == "failed" and why in shown["error"], shown
    assert "\\x00" not in json.dumps(shown) and target.is_running() and target.memory_kib() < 2_000_000
    hostile.listener.close()


def test_a_sound_script_is_taken_and_a_silent_one_cancelled(target, user):
    sound = Hostile(b"nothing", b"")
    assert counts(run(target, user, sound.port, "--clear"), "added", "failed") == (1, 0)
    sound.listener.close()
    silent = Hostile(b"UID SEARCH", b"")
    task = submit(target, user, silent.port, "--clear")
    end = time.monotonic() + 10
    while target.ctl_json("task", "show", task)["state"] == "queued":
        assert time.monotonic() < end
    target.ctl("task", "cancel", task)
    assert end_of(target, task)["state"] in ("cancelled", "failed")
    silent.listener.close()
