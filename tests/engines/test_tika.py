"""Text of attachments by Tika's own parsers, found through IMAP, whatever becomes of Tika meanwhile."""

import re

import pytest

from support import documents
from support.engines import Engine
from support.fake_tika import FakeTika
from support.mailbox import Mailbox
from support.patience import timed, until
from support.searching import index, wait_for_index
from support.server import Server

URL = "http://127.0.0.1:9998"
FTS5 = {"search.index": "fts5"}
OPENSEARCH = {
    "search.index": "opensearch",
    "opensearch.hosts": "http://127.0.0.1:9200",
    "opensearch.name": "attached",
    "opensearch.refresh_interval": "50 ms",
    "opensearch.replicas": "0",
}
FILES = [
    (documents.pdf("the pelican"), documents.PDF, "bird.pdf"),
    (documents.docx("Das Nashorn"), documents.DOCX, "horn.docx"),
    (documents.odt("un \u00e9l\u00e9phant"), "application/octet-stream", "what.odt"),
]


class Tika(Engine):
    SCRIPT = "tika"

    def up(self):
        self.do("up")
        self.is_absent = self.is_paused = False

    def down(self):
        self.do("down")


@pytest.fixture(scope="module")
def running():
    tika = Tika()
    tika.up()
    yield tika
    tika.down()


@pytest.fixture
def tika(running):
    running.make_whole()
    yield running
    running.make_whole()


@pytest.fixture(params=["fts5", "opensearch"])
def index_settings(request):
    if request.param == "opensearch":
        request.getfixturevalue("opensearch_engine")
    return FTS5 if request.param == "fts5" else OPENSEARCH


def serve(folder, url, settings):
    server = Server(folder, {**settings, "search.tika": url})
    server.start()
    server.add_domain("example.org")
    return server


def search(mailbox, key):
    """UIDs, and of how many messages it is said that their attachments have not been read."""
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX", readonly=True)
    found = client.uid("SEARCH", key)[1][0]
    said = b" ".join(client.untagged_responses.get("NO", []))
    client.logout()
    unread = re.search(rb"\[UNAVAILABLE\] The attachments of (\d+) messages", said)
    return found.decode(), int(unread[1]) if unread else 0


def wait_for_attachments(mailbox):
    wait_for_index(mailbox)
    until(lambda: index(mailbox)["owed"] == 0)


def test_words_of_attachments_are_found(tika, index_settings, tmp_path):
    with serve(tmp_path, URL, index_settings) as server:
        mailbox = Mailbox(server, "alice@example.org")
        for number, file in enumerate(FILES):
            server.deliver(documents.attached(f"mail {number}", file), to=mailbox.address)
        server.deliver(documents.attached("all of them", *FILES), to=mailbox.address)
        server.deliver(documents.attached("none"), to=mailbox.address)
        server.deliver(documents.attached("a text", (b"the pelican", "text/x-note", "note.txt")), to=mailbox.address)
        wait_for_attachments(mailbox)
        assert search(mailbox, 'FUZZY TEXT "pelican"') == ("1 4 6", 0)
        assert search(mailbox, 'FUZZY BODY "nashron"') == ("2 4", 0)
        assert search(mailbox, 'FUZZY BODY "elephant"') == ("3 4", 0)
        assert search(mailbox, 'FUZZY BODY "attachment nashorn"') == ("2 4", 0)
        assert search(mailbox, 'FUZZY SUBJECT "pelican"') == ("", 0)
        assert search(mailbox, 'NOT FUZZY TEXT "pelican"') == ("2 3 5", 0)
        # By itself BODY is about the texts of the message.
        assert search(mailbox, 'BODY "pelican"') == ("6", 0)
        # Unless it is told otherwise.
        server.settings["search.attachments"] = "text"
        server.reload()
        assert search(mailbox, 'BODY "pelican"') == ("1 4 6", 0)
        assert search(mailbox, 'TEXT "nash"') == ("2 4", 0)
        assert search(mailbox, 'TEXT "nashron"') == ("", 0)
        assert search(mailbox, 'TEXT "elephant"') == ("3 4", 0)
        assert search(mailbox, 'NOT BODY "pelican"') == ("2 3 5", 0)
        assert search(mailbox, 'SUBJECT "pelican"') == ("", 0)
        # A copy has them too, and what is made anew.
        client = server.imap(mailbox.address)
        client.select("INBOX")
        client.copy("1:2", "INBOX")
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.logout()
        wait_for_attachments(mailbox)
        assert search(mailbox, 'BODY "pelican"') == ("4 6 7", 0)
        task = server.ctl_json("task", "submit", "reindex", mailbox.address)["id"]
        server.ctl_json("task", "await", task)
        wait_for_attachments(mailbox)
        assert search(mailbox, 'BODY "pelican"') == ("4 6 7", 0)
        server.ctl("index", "rebuild", mailbox.address)
        wait_for_attachments(mailbox)
        assert search(mailbox, 'BODY "pelican"') == ("4 6 7", 0)
        task = server.ctl_json("task", "submit", "index-audit", mailbox.address)["id"]
        counts = server.ctl_json("task", "await", task)["counts"]
        assert [counts[name] for name in ("missing", "stale", "orphaned", "unreadable", "behind")] == [0] * 5


def test_while_tika_is_away_mail_is_found_by_its_own_texts_and_one_is_told(tika, tmp_path):
    with serve(tmp_path, URL, FTS5) as server:
        mailbox = Mailbox(server, "alice@example.org")
        server.deliver(documents.attached("early", FILES[0]), to=mailbox.address)
        wait_for_attachments(mailbox)
        for lose, recover in (tika.kill, tika.start), (tika.pause, tika.resume):
            lose()
            before = index(mailbox)["messages"]
            server.deliver(documents.attached("late", FILES[0]), to=mailbox.address)
            server.deliver(documents.attached("plain"), to=mailbox.address)
            wait_for_index(mailbox)
            assert search(mailbox, 'FUZZY SUBJECT "plain"')[0].endswith(str(before + 2))
            found, unread = search(mailbox, 'FUZZY TEXT "pelican"')
            assert str(before + 1) not in found.split() and unread == 1
            assert search(mailbox, 'TEXT "pelican"') == ("", 0)
            assert timed(server.deliver, documents.attached("another"), mailbox.address)[1] < 5
            recover()
            wait_for_attachments(mailbox)
            found, unread = search(mailbox, 'FUZZY TEXT "pelican"')
            assert str(before + 1) in found.split() and unread == 0
        assert index(mailbox)["given_up"] == 0
        # What is owed outlives the server.
        tika.kill()
        server.deliver(documents.attached("last", FILES[1]), to=mailbox.address)
        wait_for_index(mailbox)
        server.kill()
        tika.start()
        server.start()
        wait_for_attachments(mailbox)
        assert search(mailbox, 'FUZZY TEXT "nashorn"') == (str(index(mailbox)["messages"]), 0)


def test_what_makes_tika_fail_is_given_up_and_holds_nobody_up(tmp_path):
    with FakeTika() as fake, serve(tmp_path, fake.url, {**FTS5, "search.tika_timeout": "1 s", "search.tika_tries": "3"}) as server:
        mailbox = Mailbox(server, "alice@example.org")
        other = Mailbox(server, "other@example.org")
        kinds = ["500", "garbage", "silent", "cut", "422", "204", "endless", "crash"]
        for kind in kinds:
            fake_file = (f"please {kind}".encode(), "application/x-fake", "file")
            server.deliver(documents.attached(kind, fake_file), to=mailbox.address)
        server.deliver(documents.attached("good", (b"say pelican", "application/x-fake", "file")), to=other.address)
        wait_for_index(mailbox)
        wait_for_attachments(other)
        assert search(other, 'FUZZY TEXT "pelican"') == ("1", 0)
        wait_for_attachments(mailbox)
        assert index(mailbox)["given_up"] == 5
        assert search(mailbox, 'FUZZY TEXT "endless"') == ("7", 0)
        for kind in "500", "garbage", "silent", "cut", "crash":
            assert fake.asked[f"please {kind}"] == 3, kind
        for kind in "422", "204", "endless":
            assert fake.asked[f"please {kind}"] == 1, kind
        assert server.log_text().count("attachments-given-up") == 5
        # They are not sent any more, after a start neither, unless it is asked for.
        server.restart()
        server.deliver(documents.attached("later", (b"say ostrich", "application/x-fake", "file")), to=mailbox.address)
        wait_for_attachments(mailbox)
        assert search(mailbox, 'FUZZY TEXT "ostrich"') == ("9", 0)
        assert fake.asked["please crash"] == 3
        task = server.ctl_json("task", "submit", "index-audit", mailbox.address)["id"]
        assert server.ctl_json("task", "await", task)["counts"]["unreadable"] == 5
        fake.is_mended = True
        task = server.ctl_json("task", "submit", "reindex-failed", mailbox.address)["id"]
        assert server.ctl_json("task", "await", task)["counts"]["fixed"] == 5
        wait_for_attachments(mailbox)
        assert index(mailbox)["given_up"] == 0
        assert search(mailbox, 'FUZZY TEXT "mended"') == ("1 2 3 4 8", 0)


def test_what_is_too_large_or_left_out_is_not_sent(tmp_path):
    settings = {**FTS5, "search.tika_size_limit": "8 KiB", "search.tika_types_left_out": "text/* application/pdf"}
    with FakeTika() as fake, serve(tmp_path, fake.url, settings) as server:
        mailbox = Mailbox(server, "alice@example.org")
        files = [
            (b"say small", "application/x-fake", "a"),
            (b"say large" + b" " * 8192, "application/x-fake", "b"),
            (b"say left-out", documents.PDF, "c"),
        ]
        server.deliver(documents.attached("three", *files), to=mailbox.address)
        wait_for_attachments(mailbox)
        assert list(fake.asked) == ["say small"]
        assert search(mailbox, 'FUZZY BODY "small"') == ("1", 0)


def test_mail_that_the_index_has_not_reached_is_told_of(tmp_path):
    with FakeTika() as fake, serve(tmp_path, fake.url, {**FTS5, "search.attachments": "text"}) as server:
        mailbox = Mailbox(server, "alice@example.org")
        file = (b"say pelican", "application/x-fake", "file")
        server.settings["search.rate"] = "1"
        server.reload()
        for number in range(5):
            server.deliver(documents.attached(f"mail {number}", file), to=mailbox.address)
        server.deliver(documents.attached("plain"), to=mailbox.address)
        found, unread = search(mailbox, 'BODY "pelican"')
        assert len(found.split()) + unread == 5
        server.settings["search.rate"] = "1000"
        server.reload()
        wait_for_attachments(mailbox)
        assert search(mailbox, 'BODY "pelican"') == ("1 2 3 4 5", 0)
