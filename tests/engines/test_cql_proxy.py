"""The proxy that loses answers, against a real node: what it says it did is what the node and the client saw."""

import contextlib
import time

import pytest
from cassandra import ConsistencyLevel
from cassandra.query import BatchStatement, SimpleStatement

from support.cql_proxy import (
    CUT,
    DELAY_REPLY,
    DELAY_REQUEST,
    DROP_REPLY,
    DROP_REQUEST,
    PASS,
    RESULT,
    SILENT,
    CqlProxy,
    Fault,
    is_lwt,
    is_plain_write,
    is_serial_read,
    names,
)

ADDRESSES = {"127.0.0.1": "127.0.1.1"}


class World:
    """A table, a session through the proxy, and one straight to the node that tells what is true."""

    def __init__(self, cassandra, keyspace, proxy, direct):
        self.cassandra, self.keyspace, self.proxy, self.direct = cassandra, keyspace, proxy, direct

    @contextlib.contextmanager
    def client(self, timeout=15, version=4):
        with self.cassandra.session(
            addresses=ADDRESSES, keyspace=self.keyspace, timeout=timeout, version=version
        ) as session:
            yield session

    def stored(self, key):
        row = self.direct.execute(f"SELECT v FROM {self.keyspace}.t WHERE k = {key}").one()
        return row and row.v

    def wait_until_stored(self, key, seconds=10):
        end = time.monotonic() + seconds
        while self.stored(key) is None and time.monotonic() < end:
            time.sleep(0.05)
        return self.stored(key)


@pytest.fixture
def world(cassandra, keyspace):
    with cassandra.session() as direct, CqlProxy(ADDRESSES, seed=1) as proxy:
        direct.execute(f"CREATE TABLE {keyspace}.t (k int PRIMARY KEY, v text)")
        yield World(cassandra, keyspace, proxy, direct)


def test_requests_pass_and_are_told_apart(world):
    with world.client() as session:
        insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
        once = session.prepare("INSERT INTO t (k, v) VALUES (?, 'IF in a text') IF NOT EXISTS")
        before = world.proxy.counts()
        session.execute(insert, (1, "one"))
        assert session.execute(once, (2,)).one().applied
        session.execute("INSERT INTO t (k, v) VALUES (3, 'not IF but a text')")
        batch = BatchStatement()
        batch.add(insert, (4, None))
        batch.add(SimpleStatement("UPDATE t SET v = 'five' WHERE k = 5"))
        session.execute(batch)
        assert session.execute("SELECT v FROM t WHERE k = 1").one().v == "one"
        after = world.proxy.counts()
    assert {name: after[name] - before[name] for name in after} == {"requests": 5, "writes": 4, "lwts": 1}
    assert world.stored(5) == "five"


def test_a_dropped_answer_leaves_the_write_done(world):
    fault = world.proxy.add(Fault(DROP_REPLY, match=is_plain_write, nth=2))
    with world.client() as session:
        insert = session.prepare("INSERT INTO t (k, v) VALUES (?, ?)")
        session.execute(insert, (1, "one"))
        with pytest.raises(Exception):
            session.execute(insert, (2, "two"))
    assert (fault.seen, fault.fired) == (2, 1)
    assert [(opcode, kind) for kind, opcode, _ in world.proxy.replies] == [(RESULT, fault)]
    assert world.stored(2) == "two"


def test_a_dropped_request_was_never_there(world):
    fault = world.proxy.add(Fault(DROP_REQUEST, match=names("INSERT")))
    with world.client() as session, pytest.raises(Exception):
        session.execute("INSERT INTO t (k, v) VALUES (1, 'one')")
    assert fault.fired == 1
    time.sleep(0.5)
    assert world.stored(1) is None


def test_an_uncertain_transaction_is_decided_and_can_be_asked_for(world):
    world.proxy.add(Fault(DROP_REPLY, match=is_lwt, nth=1))
    once = "INSERT INTO t (k, v) VALUES (1, '%s') IF NOT EXISTS"
    with world.client() as session:
        with pytest.raises(Exception):
            session.execute(once % "first")
    reads = world.proxy.add(Fault(PASS, match=is_serial_read))
    with world.client() as session:
        again = session.execute(once % "second").one()
        assert not again.applied and again.v == "first"
        read = SimpleStatement("SELECT v FROM t WHERE k = 1", consistency_level=ConsistencyLevel.SERIAL)
        assert session.execute(read).one().v == "first"
    assert reads.fired == 1


def test_silence_keeps_the_connection(world):
    fault = world.proxy.add(Fault(DROP_REPLY, times=1, then=SILENT))
    with world.client(timeout=1) as session:
        began = time.monotonic()
        with pytest.raises(Exception):
            session.execute("INSERT INTO t (k, v) VALUES (1, 'one')")
        assert 0.9 < time.monotonic() - began < 5
        session.execute("INSERT INTO t (k, v) VALUES (2, 'two')")
    assert (fault.seen, fault.fired) == (2, 1)
    assert world.stored(1) == "one" and world.stored(2) == "two"


def test_a_cut_connection_is_seen_at_once(world):
    world.proxy.add(Fault(CUT, nth=1))
    with world.client() as session:
        began = time.monotonic()
        with pytest.raises(Exception):
            session.execute("INSERT INTO t (k, v) VALUES (1, 'one')")
        assert time.monotonic() - began < 5
    assert world.proxy.counts()[CUT] == 1
    assert world.wait_until_stored(1) == "one"


@pytest.mark.parametrize("action", [DELAY_REQUEST, DELAY_REPLY])
def test_a_delay_takes_its_time(world, action):
    world.proxy.add(Fault(action, match=names("INSERT"), seconds=0.7))
    with world.client() as session:
        began = time.monotonic()
        waiting = session.execute_async("INSERT INTO t (k, v) VALUES (1, 'one')")
        session.execute("SELECT v FROM t WHERE k = 2")
        assert time.monotonic() - began < 0.6
        waiting.result()
        assert time.monotonic() - began >= 0.7
    assert world.stored(1) == "one"


def test_the_same_seed_loses_the_same_requests(world):
    def lost(seed):
        with CqlProxy({"127.0.0.1": "127.0.1.2"}, seed=seed) as proxy:
            fault = proxy.add(Fault(DROP_REQUEST, probability=0.3, then=SILENT))
            with world.cassandra.session(
                addresses={"127.0.0.1": "127.0.1.2"}, keyspace=world.keyspace, version=4
            ) as session:
                waiting = []
                for key in range(30):
                    before = fault.seen
                    waiting.append(session.execute_async(f"INSERT INTO t (k, v) VALUES ({key}, 's{seed}')", timeout=2))
                    while fault.seen == before:
                        time.sleep(0.001)
                return [key for key, answer in enumerate(waiting) if failed(answer)]

    def failed(answer):
        try:
            answer.result()
        except Exception:
            return True
        return False

    assert lost(3) == lost(3) != []


def test_a_closed_node_refuses_until_it_is_opened(world):
    world.proxy.close("127.0.0.1")
    with pytest.raises(Exception):
        with world.client(timeout=2):
            pass
    world.proxy.open("127.0.0.1")
    with world.client() as session:
        session.execute("INSERT INTO t (k, v) VALUES (1, 'one')")
    assert world.stored(1) == "one"


def test_other_versions_are_refused_so_that_the_client_comes_down(world):
    with world.client(version=None) as session:
        session.execute("INSERT INTO t (k, v) VALUES (1, 'one')")
        assert session.cluster.protocol_version == 4
    assert world.proxy.counts()["refused versions"] >= 1
    assert world.stored(1) == "one"
