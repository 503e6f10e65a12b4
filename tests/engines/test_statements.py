"""What an operation costs: the requests that reach Cassandra, counted on the way (docs/cassandra.md has the table)."""

import contextlib
import time

import pytest

from support.cql_proxy import CqlProxy, Fault, is_lwt
from support.nodes import Nodes

VIA = {"127.0.0.1": "127.0.1.1"}
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


def test_a_list_with_status_of_many_folders_is_one_read(session):
    client, counter = session
    for number in range(200):
        client.create(f"many/f{number}")
    with counter.counting():
        kind, _ = client._simple_command("LIST", '""', '"*"', "RETURN", "(STATUS (MESSAGES UNSEEN))")
    assert kind == "OK"
    assert len(counter.requests) <= 1, counter.texts()


def test_flags_are_fetched_from_memory(session):
    client, counter = session
    fill(client, 50)
    client.noop()
    with counter.counting():
        client.fetch("1:*", "(FLAGS UID)")
    assert not counter.commits and not counter.writes and len(counter.reads) <= 1, counter.texts()
