"""Mail out of Maildirs and mboxes, put into accounts once: with hostile names, cut off by kill -9, repeated, and read back."""

import json
import os
import re
import subprocess
import time

import pytest

from support.server import HOLDFASTCTL, Server

MOST = 64 * 1024


@pytest.fixture(scope="module")
def importing(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("import"), {"admin.max_message": "64 KiB"}) as made:
        made.start()
        made.add_domain("example.org")
        yield made


@pytest.fixture
def user(importing, request):
    address = f"{re.sub('[^a-z]', '-', request.node.name)[:40]}@example.org"
    importing.add_user(address)
    return address


def run(server, *arguments):
    """What `import` has said: the counts, what it complained of, its exit code."""
    done = server.ctl("import", *arguments, as_json=True, check=False)
    return json.loads(done.stdout), done.stderr, done.returncode


def verify(server, manifest, user):
    done = server.ctl("import", "verify", manifest, user, as_json=True, check=False)
    return json.loads(done.stdout), done.stderr, done.returncode


def mails(server, user, folder="INBOX"):
    """[(bytes, flags, seconds since 1970)], by UID."""
    client = server.imap(user)
    assert client.select(f'"{folder}"', readonly=True)[0] == "OK"
    found = []
    for item in client.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(item, tuple):
            flags = set(re.search(rb"FLAGS \(([^)]*)\)", item[0]).group(1).decode().split())
            text = re.search(rb'INTERNALDATE "([^"]*)"', item[0]).group(1).decode()
            found.append((item[1], flags - {r"\Recent"}, time.strptime(text[:20].strip(), "%d-%b-%Y %H:%M:%S")[:6]))
    client.logout()
    return found


def date(seconds):
    return time.gmtime(seconds)[:6]


def make_maildir(path):
    for part in ("cur", "new", "tmp"):
        (path / part).mkdir(parents=True)
    return path


def put(maildir, name, content, seconds):
    path = os.path.join(os.fsencode(maildir), name if isinstance(name, bytes) else name.encode())
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, (seconds, seconds))


def mail(subject, body=b"hello\n"):
    return f"Subject: {subject}\n\n".encode() + body


BINARY = bytes(byte for byte in range(256) if byte not in b"\r\n") + b"\n"


def test_a_maildir_comes_whole_and_once(importing, user, tmp_path):
    root = make_maildir(tmp_path / "Maildir")
    put(root, "cur/1000.a.host:2,FRS", mail("first"), 1_000_000_000)
    put(root, "cur/3000.b.host,S=300:2,DPT", mail("third", BINARY), 1_000_000_003)
    put(root, "new/2000.c.host", mail("second").replace(b"\n", b"\r\n"), 1_000_000_002)
    archive = make_maildir(root / ".Archive.Entw&APw-rfe")
    put(archive, "cur/1.x:2,S", mail("filed"), 1_100_000_000)
    # What must not be followed, read whole, or believed.
    put(root, "cur/9.long" + "x" * 230 + ":2,S", mail("long name"), 1_200_000_000)
    put(root, "cur/9.big:2,", mail("big", b"y" * MOST), 1_200_000_001)
    put(root, "cur/9.empty:2,", b"", 1_200_000_002)
    put(root, b"cur/9.\xff\xfe:2,S", mail("no utf-8"), 1_200_000_003)
    (tmp_path / "secret").write_bytes(mail("secret"))
    (root / "cur/9.link:2,S").symlink_to(tmp_path / "secret")
    os.mkfifo(root / "cur/9.fifo:2,S")
    make_maildir(root / "...x")
    os.mkdir(os.path.join(os.fsencode(root), b".\xff"))
    (root / ".linked").symlink_to(archive)

    manifest = tmp_path / "manifest"
    told, said, code = run(importing, "maildir", root, user, "--manifest", manifest)
    assert told == {"added": 5, "there_already": 0, "failed": 5} and code == 1
    for why in ("larger than admin.max_message", "is empty", "is no UTF-8", "...x", "can be no path"):
        assert why in said
    crlf = [content.replace(b"\n", b"\r\n") for content in (mail("first"), mail("second"), mail("third", BINARY), mail("long name"))]
    assert mails(importing, user) == [
        (crlf[0], {r"\Flagged", r"\Answered", r"\Seen"}, date(1_000_000_000)),
        (crlf[1], set(), date(1_000_000_002)),
        (crlf[2], {r"\Draft", "$Forwarded", r"\Deleted"}, date(1_000_000_003)),
        (crlf[3], {r"\Seen"}, date(1_200_000_000)),
    ]
    assert mails(importing, user, "Archive/Entw&APw-rfe") == [(mail("filed").replace(b"\n", b"\r\n"), {r"\Seen"}, date(1_100_000_000))]
    assert set(importing.folders(user)) >= {"Archive", "Archive/Entwürfe"} and "linked" not in importing.folders(user)

    # Flags that change in the source rename a file; it is the same message.
    os.rename(root / "cur/1000.a.host:2,FRS", root / "cur/1000.a.host:2,S")
    assert run(importing, "maildir", root, user, "--manifest", manifest)[0] == {"added": 0, "there_already": 5, "failed": 5}
    # The server knows too, for a week.
    assert run(importing, "maildir", root, user, "--manifest", tmp_path / "another")[0]["added"] == 0
    assert verify(importing, manifest, user)[0] == {"messages": 5, "differences": 0}
    assert sorted(json.loads(line)["uid"] for line in manifest.read_text().splitlines()) == [1, 1, 2, 3, 4]

    client = importing.imap(user)
    client.select("INBOX")
    client.store("1", "-FLAGS", r"(\Seen)")
    client.store("2", "+FLAGS", r"(\Deleted)")
    client.uid("EXPUNGE", "2")
    client.logout()
    told, said, code = verify(importing, manifest, user)
    assert told == {"messages": 5, "differences": 2} and code == 1
    assert "UID 1 in INBOX: the flags are not the same" in said and "UID 2 in INBOX: there is no such message" in said


def test_an_import_that_was_killed_is_gone_on_with(importing, user, tmp_path):
    root = make_maildir(tmp_path / "Maildir")
    for number in range(200):
        put(root, f"cur/{number}.k:2,S", mail(number), 1_000_000_000 + number)
    manifest = tmp_path / "manifest"
    command = [HOLDFASTCTL, "--data", importing.data, "import", "maildir", root, user, "--manifest", manifest]
    for lines in (10, 25):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and (not manifest.exists() or len(manifest.read_text().splitlines()) < lines):
            pass
        process.kill()
        process.wait()
    # As a power cut leaves it: lines that were not synced are gone, and one is half there.
    whole = manifest.read_text().splitlines(keepends=True)
    assert 25 <= len(whole) < 200
    manifest.write_text("".join(whole[:20]) + whole[20][:30])
    told, _, code = run(importing, "maildir", root, user, "--manifest", manifest)
    assert told["added"] + told["there_already"] == 200 and told["added"] <= 200 - len(whole) and code == 0
    assert [content for content, _, _ in mails(importing, user)] == [mail(number).replace(b"\n", b"\r\n") for number in range(200)]
    assert verify(importing, manifest, user)[0] == {"messages": 200, "differences": 0}


MBOX = (
    b"From alice@example.net Sat Jan  3 01:05:34 1996\n"
    b"Subject: quoted\nStatus: RO\nX-Status: AF\n\n>From here\n>>From there\nFrom without an empty line before\n\n"
    b"From - Mon Sep 10 10:00:00 2001\nSubject: twin\n\nsame\n\n"
    b"From - Mon Sep 10 10:00:00 2001\nSubject: twin\n\nsame\n\n"
)


def test_an_mbox_comes_whole_and_once(importing, user, tmp_path):
    mbox, manifest = tmp_path / "mbox", tmp_path / "manifest"
    mbox.write_bytes(MBOX + b"From x\nSubject: binary\n\n" + BINARY)
    arguments = ("mbox", mbox, user, "--manifest", manifest, "--into", "Old/Mail")
    assert run(importing, *arguments) == ({"added": 4, "there_already": 0, "failed": 0}, "", 0)
    found = mails(importing, user, "Old/Mail")
    assert found[0] == (
        b"Subject: quoted\r\nStatus: RO\r\nX-Status: AF\r\n\r\nFrom here\r\n>From there\r\nFrom without an empty line before\r\n",
        {r"\Seen", r"\Answered", r"\Flagged"},
        (1996, 1, 3, 1, 5, 34),
    )
    assert found[1] == found[2] == (b"Subject: twin\r\n\r\nsame\r\n", set(), (2001, 9, 10, 10, 0, 0))
    assert found[3][0] == b"Subject: binary\r\n\r\n" + BINARY.replace(b"\n", b"\r\n")
    assert run(importing, *arguments)[0] == {"added": 0, "there_already": 4, "failed": 0}
    with mbox.open("ab") as file:
        file.write(b"\nFrom - Mon Sep 10 10:00:00 2001\nSubject: twin\n\nsame\n")
    assert run(importing, *arguments)[0] == {"added": 1, "there_already": 4, "failed": 0}
    assert verify(importing, manifest, user)[0] == {"messages": 5, "differences": 0}
    # The quoting of old: what had a '>' before it is not told apart.
    arguments = ("mbox", mbox, user, "--manifest", tmp_path / "o", "--into", "O", "--mboxo")
    assert run(importing, *arguments)[0]["added"] == 5
    assert b"\r\nFrom here\r\n>>From there\r\n" in mails(importing, user, "O")[0][0]


def test_a_manifest_is_one_account_s(importing, user, tmp_path):
    other = f"other-{user}"
    importing.add_user(other)
    maildir = make_maildir(tmp_path / "Maildir")
    put(maildir, "new/1", mail("one"), 1_700_000_000)
    manifest = tmp_path / "manifest"
    assert run(importing, "maildir", maildir, user, "--manifest", manifest)[2] == 0
    done = importing.ctl("import", "maildir", maildir, other, "--manifest", manifest, check=False)
    assert done.returncode != 0 and f"is the manifest of {user}" in done.stderr
    assert importing.folders(other)["INBOX"]["messages"] == 0


def test_what_is_no_source_is_refused(importing, user, tmp_path):
    manifest = tmp_path / "manifest"
    (tmp_path / "text").write_text("Subject: no mbox\n")
    for arguments, why in (
        (("mbox", tmp_path / "text", user), "is no mbox"),
        (("maildir", tmp_path, user), "is no Maildir"),
        (("mbox", tmp_path / "nothing", user), "cannot read"),
    ):
        done = importing.ctl("import", *arguments, "--manifest", manifest, check=False)
        assert done.returncode != 0 and why in done.stderr
    root = make_maildir(tmp_path / "Maildir")
    put(root, "cur/1.a:2,S", mail("x"), 1_000_000_000)
    assert importing.ctl("import", "maildir", root, user, check=False).returncode == 64
    done = importing.ctl("import", "maildir", root, user, "--manifest", tmp_path / "text", check=False)
    assert done.returncode == 64 and "this is no manifest" in done.stderr
    assert (tmp_path / "text").read_text() == "Subject: no mbox\n"
    _, said, code = run(importing, "maildir", root, "nobody@example.org", "--manifest", manifest)
    assert code == 1 and "nobody" in said
    command = [HOLDFASTCTL, "--socket", tmp_path / "none", "import", "maildir", root, user, "--manifest", manifest]
    assert subprocess.run(command, capture_output=True, timeout=30).returncode == 69


def test_what_is_exported_is_what_was_imported(importing, user, tmp_path):
    root = make_maildir(tmp_path / "Maildir")
    put(root, "cur/1.a:2,FRS", mail("first", BINARY), 1_000_000_000)
    put(root, "cur/2.b:2,", mail("second", b"From here\n>From there\n"), 1_000_000_001)
    put(make_maildir(root / ".Archive.Entw&APw-rfe"), "cur/1.x:2,S", mail("filed"), 1_100_000_000)
    # What is no mail with CRLF stays as it is.
    put(root, "cur/3.c:2,", b"Subject: mixed\r\n\r\na\rb\r\r\nc\r\n", 1_000_000_002)
    run(importing, "maildir", root, user, "--manifest", tmp_path / "manifest")
    importing.ctl("folder", "add", user, "v1.2")

    target = tmp_path / "exported"
    done = importing.ctl("export", "maildir", user, target, as_json=True, check=False)
    assert json.loads(done.stdout) == {"written": 4, "there_already": 0, "failed": 1} and done.returncode == 1
    assert "v1.2: a dot in its name" in done.stderr

    def files(maildir):
        found = [path for path in maildir.rglob("*") if path.is_file()]
        return sorted((str(path.parent.relative_to(maildir)), path.name.rpartition(":")[2], path.stat().st_mtime, path.read_bytes()) for path in found)

    assert files(target) == files(root)
    done = importing.ctl("export", "maildir", user, target, as_json=True, check=False)
    assert json.loads(done.stdout) == {"written": 0, "there_already": 4, "failed": 1} and files(target) == files(root)
    # Into another account and out of it, nothing has changed.
    other = f"other-{user}"
    importing.add_user(other)
    assert run(importing, "maildir", target, other, "--manifest", tmp_path / "second")[0]["added"] == 4
    assert mails(importing, other) == mails(importing, user)

    mbox = tmp_path / "mbox"
    assert json.loads(importing.ctl("export", "mbox", user, mbox, "--mailbox", "INBOX", as_json=True).stdout)["written"] == 3
    assert b"\n\n>From here\n>>From there\n\nFrom " in mbox.read_bytes()
    arguments = ("mbox", mbox, other, "--manifest", tmp_path / "third", "--into", "Back")
    assert run(importing, *arguments)[0]["added"] == 3
    here = mails(importing, user)
    assert [(content, when) for content, _, when in mails(importing, other, "Back")][:2] == [(content, when) for content, _, when in here][:2]
    assert importing.ctl("export", "mbox", user, mbox, "--mailbox", "INBOX", check=False).returncode == 1
