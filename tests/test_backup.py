"""Backups of a serving server: taken while mail comes in, cut off by kill -9, damaged, and restored into a directory that
another server then serves."""

import contextlib
import hashlib
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from support.server import HOLDFASTCTL, HOLDFASTD, Server

# Nothing that a store could make small.
LINES = re.sub("(.{64})", "\\1\r\n", random.Random(7).randbytes(600_000).hex())


def backup(server, folder, *options):
    return server.ctl_json("backup", folder, *options)


def restore(server, folder, target, *arguments):
    return json.loads(server.ctl("--config", server.config, "restore", folder, target, *arguments, as_json=True).stdout)


def mails(server):
    """{UID: (flags, date, bytes)} of INBOX."""
    client = server.imap()
    client.select("INBOX", readonly=True)
    found = {}
    for item in client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
        if isinstance(item, tuple):
            uid, flags, date = (re.search(pattern, item[0]).group(1) for pattern in (rb"UID (\d+)", rb"FLAGS (\([^)]*\))", rb'DATE ("[^"]*")'))
            found[int(uid)] = (flags, date, item[1])
    client.logout()
    return found


@contextlib.contextmanager
def served(folder, data, settings):
    """Another server on what was restored."""
    folder.mkdir()
    with Server(folder, settings) as made:
        made.data = data
        made.start()
        yield made


class Senders:
    """Threads that deliver mails of several sizes, and know which were acknowledged."""

    def __init__(self, server):
        self.server, self.acknowledged, self.is_over = server, set(), False
        self.threads = [threading.Thread(target=self.deliver, args=(number,)) for number in range(3)]

    def deliver(self, number):
        with self.server.lmtp() as client:
            for count in range(1_000_000):
                if self.is_over:
                    return
                name = f"mail-{number}-{count}-"
                body = LINES[: 1_150_000 if count % 40 == 1 else 130 * count % 5000]
                client.sendmail("sender@example.net", ["alice@example.org"], f"Subject: {name}\r\n\r\n{body}\r\n")
                self.acknowledged.add(name)

    def wait_for(self, count):
        end = time.monotonic() + 30
        while len(self.acknowledged) < count:
            assert time.monotonic() < end
            time.sleep(0.01)
        return set(self.acknowledged)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()


def names(found):
    return {re.search(rb"Subject: (\S+)", content).group(1).decode() for _, _, content in found.values()}


@pytest.mark.parametrize("settings", [{}, {"content.store": "file", "content.inline_max": "1 KiB"}], ids=["rows", "files"])
def test_a_backup_while_mail_comes_has_all_that_was_acknowledged(tmp_path, settings):
    folder = tmp_path / "backups"
    with Server(tmp_path, settings) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        with Senders(server) as senders:
            before = senders.wait_for(60)
            first = backup(server, folder)
            senders.wait_for(len(senders.acknowledged) + 20)
        client = server.imap()
        client.select("INBOX")
        client.uid("STORE", "1:5", "+FLAGS", r"(\Seen $Forwarded)")
        client.uid("STORE", "6:9", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        second, third = backup(server, folder), backup(server, folder)
        now = mails(server)
        listed = server.ctl_json("backup", "list", folder)["backups"]
        assert [each["backup"] for each in listed] == [each["backup"] for each in (first, second, third)]
        # What is new was copied, and of nothing new next to nothing.
        assert first["copied_bytes"] == first["bytes"] > 1_000_000
        assert third["copied_bytes"] < 20_000 and third["bytes"] > 1_000_000
        verdict = server.ctl_json("backup", "verify", folder)
        assert (verdict["backups"], verdict["damaged"], verdict["missing"]) == (3, 0, 0)
        told = restore(server, folder, tmp_path / "first", first["backup"])
        assert told["accounts"] == 1 and told["messages"] >= len(before)
        assert told["content_lost"] == told["rows_lost"] == told["counts_wrong"] == 0
        assert restore(server, folder, tmp_path / "last")["messages"] == len(now)
        assert "not empty" in server.ctl("restore", folder, tmp_path / "last", check=False).stderr
        assert server.ctl_json("checkpoint", "list")["checkpoints"] == []
    with served(tmp_path / "of-last", tmp_path / "last", settings) as restored:
        assert mails(restored) == now
        assert restored.ctl_json("task", "await", restored.ctl_json("task", "submit", "recount")["id"])["findings"] == []
        # It goes on from there.
        restored.deliver("Subject: after\r\n\r\n", to="alice@example.org")
        assert len(mails(restored)) == len(now) + 1
    with served(tmp_path / "of-first", tmp_path / "first", settings) as restored:
        then = mails(restored)
        assert before <= names(then) <= senders.acknowledged
        expunged = set(then) - set(now)
        assert expunged == {6, 7, 8, 9} and all(then[uid][2] == now[uid][2] for uid in set(then) - expunged)


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    """Many small files, so that a backup can be met on its way; and one backup of them."""
    with Server(tmp_path_factory.mktemp("filed"), {"content.store": "file"}) as made:
        made.start()
        made.add_domain("example.org")
        made.add_user("alice@example.org")
        with made.lmtp() as client:
            for number in range(50):
                client.sendmail("sender@example.net", ["alice@example.org"], f"Subject: {number}\r\n\r\n{LINES[:900]}\r\n")
        backup(made, made.folder / "backups")
        yield made


def begin(server, folder):
    """A backup that has copied something by now; all is read again, so it takes a while."""
    shutil.rmtree(folder / "unfinished")
    command = [HOLDFASTCTL, "--data", server.data, "backup", folder, "--full"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (folder / "unfinished/file").exists() and process.poll() is None:
        pass
    return process


def has_stopped(process):
    while (state := pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]) not in "TZ":
        time.sleep(0.001)
    return state == "T"


def caught(server, folder):
    """A backup that was stopped on its way, by a signal."""
    for _ in range(50):
        before = len(list((folder / "backups").iterdir()))
        process = begin(server, folder)
        process.send_signal(signal.SIGSTOP)
        if has_stopped(process) and len(list((folder / "backups").iterdir())) == before:
            return process
        process.send_signal(signal.SIGCONT)
        process.communicate()
    raise AssertionError("each backup was over too soon")


def test_a_backup_that_was_killed_leaves_the_last_whole_one(filed):
    folder = filed.folder / "backups"
    for _ in range(2):
        process = caught(filed, folder)
        assert "is at work" in filed.ctl("backup", folder, check=False).stderr
        process.kill()
        process.communicate()
    whole = filed.ctl_json("backup", "list", folder)["backups"]
    assert filed.ctl_json("backup", "verify", folder)["damaged"] == 0
    told = restore(filed, folder, filed.folder / "after-kill")
    assert (told["backup"], told["messages"], told["content_lost"]) == (whole[-1]["backup"], 50, 0)
    # The killed ones' checkpoints are held for a while, and another backup does not mind.
    assert len(filed.ctl_json("checkpoint", "list")["checkpoints"]) == 2
    assert backup(filed, folder)["copied_bytes"] < 20_000


def test_a_backup_whose_server_was_killed_is_none(filed):
    folder = filed.folder / "backups"
    process = caught(filed, folder)
    filed.kill()
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1 and "no server answers" in said
    filed.start()
    assert filed.ctl_json("checkpoint", "list")["checkpoints"] == []
    assert not list((filed.data / "checkpoints").glob("*"))
    assert filed.ctl_json("backup", "verify", folder)["damaged"] == 0


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_damage_is_found_and_never_restored(filed):
    folder = filed.folder / "damaged"
    backup(filed, folder)
    # One of a message: the store may merge its own files, and what the next backup has no more it cannot mend.
    content = next(path for path in (filed.data / "content").rglob("*-*") if path.is_file())
    name = hashlib.sha256(content.read_bytes()).hexdigest()
    damaged = next(path for path in (folder / "objects").rglob("*") if path.name == name)
    flip(damaged, 100)
    done = filed.ctl("backup", "verify", folder, check=False, as_json=True)
    assert done.returncode == 1 and name in done.stderr and json.loads(done.stdout)["damaged"] == 1
    target = filed.folder / "of-damaged"
    done = filed.ctl("restore", folder, target, check=False)
    assert done.returncode == 1 and "is damaged in the backup" in done.stderr
    command = [HOLDFASTD, "--config", filed.config, "--data", target]
    assert "holds no format number" in subprocess.run(command, capture_output=True, text=True, timeout=30).stderr
    # Read and written again, it is mended.
    assert backup(filed, folder, "--full")["copied_files"] > 50
    assert filed.ctl("backup", "verify", folder).returncode == 0


def test_a_message_that_was_damaged_before_is_told(filed):
    folder = filed.folder / "told"
    content = next(path for path in (filed.data / "content").rglob("*-*") if path.is_file())
    flip(content, -1)
    backup(filed, folder)
    done = filed.ctl("--config", filed.config, "restore", folder, filed.folder / "of-told", check=False, as_json=True)
    flip(content, -1)
    assert done.returncode == 1 and json.loads(done.stdout)["content_lost"] == 1
    assert "not every message is as it was" in done.stderr


def test_removed_backups_make_room(filed):
    folder = filed.folder / "removed"
    first = backup(filed, folder)["backup"]
    filed.deliver(f"Subject: late\r\n\r\n{'z' * 5000}\r\n")
    last = backup(filed, folder)["backup"]
    assert filed.ctl_json("backup", "remove", folder, last)["freed_bytes"] > 5000
    assert filed.ctl("backup", "remove", folder, last, check=False).returncode == 1
    assert [each["backup"] for each in filed.ctl_json("backup", "list", folder)["backups"]] == [first]
    assert filed.ctl_json("backup", "verify", folder)["missing"] == 0
    assert pathlib.Path(folder, "holdfast-backups").exists()
