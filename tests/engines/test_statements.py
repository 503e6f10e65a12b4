"""What an operation costs: the requests that reach Cassandra, counted on the way (docs/cassandra.md has the table)."""

import contextlib
import re
import threading
import time

import pytest

from support.cql_proxy import DELAY_REQUEST, CqlProxy, Fault, is_lwt, is_plain_write
from support.engines import S3
from support.nodes import Nodes
from support.vault import expunge, fetch_all, listed, wait_for

VIA = {"127.0.0.1": "127.0.1.1"}
VIA_APART = {"127.0.0.1": "127.0.1.2"}
# Work of the background, whenever it comes: projections and their `applied`, notes, probes, the list of nodes.
BACKGROUND = (".node ", ".dirty ", ".probe ", ".directory ")


class Counter:
    """Records requests as they pass. Those of one partition that travel together are one."""

    def __init__(self, proxy):
        self.requests = []
        self.is_counting = False
        proxy.add(Fault("pass", match=self.record))

    def record(self, request):
        text = " ".join(request.statements)
        if self.is_counting and not any(word in text for word in BACKGROUND) and "system" not in text:
            self.requests.append(request)
        return False

    @contextlib.contextmanager
    def counting(self):
        self.requests, self.is_counting = [], True
        yield self
        self.is_counting = False

    @property
    def commits(self):
        return [request for request in self.requests if is_lwt(request)]

    @property
    def reads(self):
        return [request for request in self.requests if not request.is_write]

    @property
    def writes(self):
        return [request for request in self.requests if request.is_write and not is_lwt(request)]

    def texts(self):
        return [" ".join(request.statements)[:90] for request in self.requests]


@pytest.fixture(scope="module")
def counted(cluster, tmp_path_factory):
    """(a server, the counter of its requests). Projections wait long enough not to be counted with a commit."""
    cluster.up(1, 1)
    folder = tmp_path_factory.mktemp("counted")
    with cluster.keyspace() as keyspace, CqlProxy(VIA) as proxy:
        nodes = Nodes(folder, cluster, keyspace)
        nodes.make_schema()
        server = nodes.start(
            cassandra__contact_points="127.0.1.1",
            cassandra__address_map="127.0.0.1=127.0.1.1:9042",
            commit__projection_delay="1500 ms",
            node__poll_interval="60 s",
        )
        server.add_domain("example.org")
        yield server, Counter(proxy)
        nodes.close()


@pytest.fixture(scope="module")
def apart(cluster, gateway, tmp_path_factory):
    """As `counted`, with content in S3: (the server, the counter, the proxy, the prefix of its objects)."""
    cluster.up(1, 1)
    folder = tmp_path_factory.mktemp("apart")
    secret = folder / "s3.secret"
    secret.write_text(S3.SECRET_KEY + "\n")
    with cluster.keyspace() as keyspace, CqlProxy(VIA_APART) as proxy:
        nodes = Nodes(folder, cluster, keyspace)
        nodes.make_schema()
        server = nodes.start(
            cassandra__contact_points="127.0.1.2",
            cassandra__address_map="127.0.0.1=127.0.1.2:9042",
            cassandra__request_timeout="6 s",  # a request is held up for a while below
            commit__projection_delay="1500 ms",
            node__poll_interval="60 s",
            content__store="s3",
            content__reclaim_interval="500 ms",
            s3__endpoint=S3.ENDPOINT,
            s3__region=S3.REGION,
            s3__bucket=S3.BUCKET,
            s3__prefix="apart/",
            s3__access_key=S3.ACCESS_KEY,
            s3__secret_file=secret,
        )
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        yield server, Counter(proxy), proxy, "apart/"
        nodes.close()


pytestmark = pytest.mark.usefixtures("cassandra")


@pytest.fixture
def session(counted, request):
    """(an IMAP client of a user of its own with INBOX selected, the counter)"""
    server, counter = counted
    address = f"c{abs(hash(request.node.name)) % 10**8}@example.org"
    server.add_user(address)
    client = server.imap(address)
    client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
    client.select("INBOX")
    yield client, counter
    client.logout()


def fill(client, count):
    for _ in range(count):
        client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
    client.noop()
    time.sleep(2.5)  # their projections are written


def test_an_append_is_its_content_and_one_commit(session):
    client, counter = session
    with counter.counting():
        assert client.append("INBOX", None, None, b"Subject: y\r\n\r\ny\r\n")[0] == "OK"
    assert len(counter.commits) == 1, counter.texts()
    # The content and what says what it is, side by side; a poll whether the mailbox is there.
    assert len(counter.writes) <= 2, counter.texts()
    assert len(counter.reads) <= 1, counter.texts()


def test_content_among_the_rows_goes_in_the_write_that_says_what_it_is(counted):
    server, counter = counted
    server.settings["content.inline_max"] = "8 KiB"
    server.restart()
    server.add_user("inline@example.org")
    with server.imap("inline@example.org") as client:
        client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
        client.select("INBOX")
        wait_until_applied(counter)
        with counter.counting():
            assert client.append("INBOX", None, None, b"Subject: y\r\n\r\nsmall\r\n")[0] == "OK"
        assert len(counter.commits) == 1, counter.texts()
        assert len(counter.writes) == 1 and ".message " in counter.texts()[0], counter.texts()
        client.noop()
        assert client.fetch("2", "(BODY.PEEK[TEXT])")[1][0][1] == b"small\r\n"
    del server.settings["content.inline_max"]
    server.restart()
    with server.imap("inline@example.org") as client:
        client.select("INBOX")
        assert client.fetch("2", "(BODY.PEEK[TEXT])")[1][0][1] == b"small\r\n"


def test_a_delivery_reads_who_it_is_for_and_whether_it_came_before(counted):
    server, counter = counted
    server.add_user("lmtp@example.org")
    with server.lmtp() as client:
        client.sendmail("sender@example.net", ["lmtp@example.org"], "Subject: x\r\n\r\nx\r\n")
        time.sleep(5.5)  # what is known of the account's limits has grown old
        with counter.counting():
            client.sendmail("sender@example.net", ["lmtp@example.org"], "Subject: y\r\n\r\ny\r\n")
    assert len(counter.commits) == 1, counter.texts()
    # The key of the mail before is given up, since its sender has gone on.
    deliveries = [request for request in counter.writes if not any(".once " in text for text in request.statements)]
    assert len(deliveries) <= 2, counter.texts()
    read = sorted(re.search(r"\.(\w+) WHERE", request.statements[0])[1] for request in counter.reads)
    assert [table for table in read if table not in ("usage", "cursor")] in (["domain", "once", "user"], ["domain", "once", "once", "user"]), read


@contextlib.contextmanager
def appending(client):
    """An APPEND that is under way; it must have been done at the end."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.append("INBOX", None, None, b"Subject: y\r\n\r\ny\r\n")))
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
    assert answers and answers[0][0] == "OK", answers


def wait_until_applied(counter):
    """What came before has been copied, and the account says so: by a commit of its own."""
    while True:
        with counter.counting():
            time.sleep(2)
        copies = [request for request in counter.writes if any(".mailbox_message " in text for text in request.statements)]
        if not counter.commits and not copies:
            return


def test_the_put_and_the_row_are_on_their_way_at_once(apart, s3):
    """Neither waits for the other: each is seen to arrive while the other is held up."""
    server, counter, proxy, prefix = apart

    def is_row(request):
        return is_plain_write(request) and any(".message " in text for text in request.statements)

    with server.imap() as client:
        client.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
        wait_until_applied(counter)
        with counter.counting():
            s3.pause()
            try:
                with appending(client):
                    wait_for(lambda: any(map(is_row, counter.requests)), 4)
                    assert not counter.commits, counter.texts()
                    s3.resume()
            finally:
                s3.resume()
        assert len(counter.commits) == 1, counter.texts()
        wait_until_applied(counter)
        before = len(s3.keys(prefix))
        held = proxy.add(Fault(DELAY_REQUEST, match=is_row, seconds=4, times=1))
        with counter.counting(), appending(client):
            wait_for(lambda: held.fired, 4)
            wait_for(lambda: len(s3.keys(prefix)) == before + 1, 3.5)
            assert not counter.commits, counter.texts()


def test_deleted_mail_is_restored_and_purged_over_cassandra_and_s3(apart, s3):
    server, _, _, prefix = apart
    server.add_user("vault@example.org")
    account = "vault@example.org"
    kept = len(s3.keys(prefix))
    for number in range(3):
        server.deliver(f"Subject: mail {number}\r\n\r\nbody of {number}\r\n", to=account)
    with server.imap(account) as client:
        before = list(fetch_all(client).values())
        expunge(client)
    two, one, zero = sorted(listed(server, account=account), key=lambda message: message["subject"], reverse=True)
    assert [message["id"] for message in server.ctl_json("vault", "search", account, "text:body of 1")["messages"]] == [one["id"]]
    server.ctl("vault", "restore", account, one["id"])
    assert {message["id"] for message in listed(server, account=account)} == {zero["id"], two["id"]}
    server.ctl("vault", "purge", account, zero["id"])
    # The restored one is stored anew; what was purged goes as soon as its rows are known to be written.
    assert len(s3.keys(prefix)) <= kept + 4
    wait_for(lambda: len(s3.keys(prefix)) == kept + 3, 45)
    with server.imap(account) as client:
        assert list(fetch_all(client, "Restored-Messages").values()) == [before[1]]
    server.ctl("vault", "restore", account, two["id"], "--mailbox", "INBOX")
    with server.imap(account) as client:
        assert list(fetch_all(client).values()) == [before[2]]
    assert server.ctl_json("user", "solve", account)["content_lost"] == 0


@pytest.mark.parametrize("change", ["STORE", "MOVE", "EXPUNGE"])
def test_a_change_of_many_messages_is_one_commit(session, change):
    client, counter = session
    fill(client, 100)
    if change == "EXPUNGE":
        client.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")
        time.sleep(2.5)
    with counter.counting():
        if change == "STORE":
            assert client.store("1:*", "+FLAGS.SILENT", "(\\Flagged)")[0] == "OK"
        elif change == "MOVE":
            assert client._simple_command("MOVE", "1:*", "Trash")[0] == "OK"
        else:
            assert client.expunge()[0] == "OK"
    assert len(counter.commits) == 1, counter.texts()
    assert not counter.writes, counter.texts()


def test_a_select_of_what_is_in_memory_is_one_read_at_most(session):
    client, counter = session
    fill(client, 20)
    client.select("INBOX")
    with counter.counting():
        client.select("INBOX")
    assert len(counter.requests) <= 1, counter.texts()


def test_a_list_with_status_of_many_folders_is_one_read_and_one_of_who_shares(session):
    client, counter = session
    for number in range(200):
        client.create(f"many/f{number}")
    with counter.counting():
        kind, _ = client._simple_command("LIST", '""', '"*"', "RETURN", "(STATUS (MESSAGES UNSEEN))")
    assert kind == "OK"
    of_sharers = [text for text in counter.texts() if ".shared_to " in text]
    assert len(of_sharers) <= 1 and len(counter.requests) - len(of_sharers) <= 1, counter.texts()


def test_flags_are_fetched_from_memory(session):
    client, counter = session
    fill(client, 50)
    client.noop()
    with counter.counting():
        client.fetch("1:*", "(FLAGS UID)")
    assert not counter.commits and not counter.writes and len(counter.reads) <= 1, counter.texts()
