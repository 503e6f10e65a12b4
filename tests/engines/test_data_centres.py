"""Two data centres of three nodes each, `multi-dc`: accounts are changed in their home, what was acknowledged is in
both, and a cut link costs one time-out and nothing more."""

import re
import time

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut, Unavailable, WriteTimeout
from cassandra.query import SimpleStatement

from support.nodes import Nodes

MAIL = "Subject: {0}\r\n\r\n{0}\r\n"

pytestmark = pytest.mark.usefixtures("cassandra_2x3")


@pytest.fixture(scope="module")
def centres(cluster, tmp_path_factory):
    """(a server in dc1, one in dc2, the keyspace's name)"""
    cluster.up(3, 2)
    with cluster.keyspace() as keyspace:
        nodes = Nodes(tmp_path_factory.mktemp("centres"), cluster, keyspace)
        nodes.make_schema()
        one, other = nodes.start(1), nodes.start(2)
        one.add_domain("example.org")
        one.add_user("alice@example.org")
        yield one, other, keyspace
        cluster.make_whole()
        nodes.close()


@pytest.fixture
def whole(cluster, centres):
    """The link as it should be, before and after; and the level back at the primary one."""
    cluster.make_whole()
    until(lambda: level(centres[0], "write")["in_force"] == "each_quorum")
    yield
    cluster.make_whole()


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def level(server, kind):
    return next(row for row in server.ctl_json("consistency", "status")["levels"] if row["kind"] == kind)


def metric(server, name, label=""):
    text = server.ctl("metrics").stdout
    return sum(float(value) for value in re.findall(rf"^holdfast_{name}(?:{{[^}}]*{label}[^}}]*}})? (\S+)$", text, re.M))


def texts(server, user="alice@example.org"):
    client = server.imap(user)
    client.select("INBOX", readonly=True)
    found = client.fetch("1:*", "(BODY.PEEK[TEXT])")[1]
    client.logout()
    return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


def logged(cluster, keyspace, node, consistency):
    """How many rows account_log has, as a node's data centre sees it."""
    with cluster.session(node, level=consistency) as session:
        return len(list(session.execute(f"SELECT key FROM {keyspace}.account_log")))


def test_an_account_is_changed_at_home_and_read_everywhere(centres, whole):
    one, other, _ = centres
    one.deliver(MAIL.format("at home"))
    until(lambda: "at home" in texts(other))
    client = other.imap()
    client.select("INBOX")
    for kind, data in (
        client.append("INBOX", None, None, b"Subject: no\r\n\r\nno\r\n"),
        client.store("1", "+FLAGS", "(\\Flagged)"),
    ):
        assert kind == "NO" and b"UNAVAILABLE" in data[0], data
    with pytest.raises(Exception, match="4[0-9][0-9]"):
        other.deliver(MAIL.format("not here"))
    assert "no" not in texts(one) and "not here" not in texts(one)


def test_what_is_acknowledged_is_in_both_data_centres(cluster, centres, whole):
    one, _, keyspace = centres
    before = logged(cluster, keyspace, 4, ConsistencyLevel.LOCAL_QUORUM)
    for number in range(10):
        one.deliver(MAIL.format(f"both {number}"))
    # At once, with no time for anything to arrive late.
    assert logged(cluster, keyspace, 4, ConsistencyLevel.LOCAL_QUORUM) >= before + 10


def test_the_level_of_a_cas_itself_is_no_promise(cluster, centres, whole):
    """Paxos v2 counts the replies of a commit without regard to data centres: with one of three nodes of dc2 in reach
    it says EACH_QUORUM was had. A plain write at the same level says no."""
    with cluster.session(1, timeout=30) as session:
        session.execute(
            "CREATE KEYSPACE IF NOT EXISTS promise WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 3}"
        )
        session.execute("CREATE TABLE IF NOT EXISTS promise.t (k int PRIMARY KEY, v int)")
        cluster.partition("dc1", "5,6")
        statement = SimpleStatement(
            "INSERT INTO promise.t (k, v) VALUES (1, 1) IF NOT EXISTS",
            consistency_level=ConsistencyLevel.EACH_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        )
        assert session.execute(statement).one().applied
        plain = SimpleStatement(
            "INSERT INTO promise.t (k, v) VALUES (2, 2)", consistency_level=ConsistencyLevel.EACH_QUORUM
        )
        with pytest.raises((WriteTimeout, Unavailable, OperationTimedOut)):
            session.execute(plain)
    with cluster.session(5, level=ConsistencyLevel.LOCAL_ONE) as session:
        assert session.execute("SELECT v FROM promise.t WHERE k = 1").one() is None, "acknowledged, and not there"


def test_without_a_fallback_nothing_is_acknowledged_that_the_other_has_not(cluster, centres, whole, tmp_path):
    one, _, keyspace = centres
    strict = Nodes(tmp_path, cluster, keyspace).new(
        consistency__write_fallback_consistency="none", consistency__delete_fallback_consistency="none"
    )
    with strict:
        strict.start()
        assert not strict.deliver(MAIL.format("strict"))
        cluster.partition("dc1", "dc2")
        with pytest.raises(Exception, match="4[0-9][0-9]"):
            strict.deliver(MAIL.format("strict, cut"))
        cluster.heal()
        until(lambda: not strict.ctl_json("uncertain", "list")["uncertain"])
    assert texts(one).count("strict") == 1 and texts(one).count("strict, cut") <= 1


def test_a_cut_link_costs_one_time_out(cluster, centres, whole):
    one, other, keyspace = centres
    one.deliver(MAIL.format("before the cut"))
    tried = metric(one, "consistency_fallbacks_total")
    cluster.partition("dc1", "dc2")
    begun = time.monotonic()
    one.deliver(MAIL.format("cut 0"))
    first = time.monotonic() - begun
    assert level(one, "write")["in_force"] == "local_quorum"
    after_first = metric(one, "consistency_fallbacks_total")
    assert after_first > tried
    seconds = []
    for number in range(1, 41):
        begun = time.monotonic()
        one.deliver(MAIL.format(f"cut {number}"))
        seconds.append(time.monotonic() - begun)
    # No user's query went out at the primary level again: what it did would have been tried twice.
    assert metric(one, "consistency_fallbacks_total", 'kind="write"') == after_first or (
        metric(one, "consistency_fallbacks_total") - after_first <= 1
    ), "deletes have a level of their own, and fall back once"
    print(f"first {first:.2f} s, then {sorted(seconds)[len(seconds) // 2]:.3f} s, slowest {max(seconds):.3f} s")
    assert max(seconds) < first + 2

    cluster.heal()
    due = level(one, "write")["next_probe_ms"] or 0
    until(lambda: level(one, "write")["in_force"] == "each_quorum", due / 1000 + 20)
    one.deliver(MAIL.format("after the cut"))
    wanted = {"before the cut", "after the cut"} | {f"cut {number}" for number in range(41)}
    assert wanted <= set(texts(one))
    until(lambda: wanted <= set(texts(other)))


def test_without_a_local_quorum_reads_go_on_and_writes_fail_at_once(cluster, centres, whole, tmp_path):
    _, _, keyspace = centres
    reader = Nodes(tmp_path, cluster, keyspace).new(consistency__read_fallback_consistency="quorum")
    with reader:
        reader.start()
        reader.deliver(MAIL.format("to be read"))
        client = reader.imap()
        client.select("INBOX")
        cluster.kill(2)
        cluster.kill(3)
        until(lambda: client.noop()[0] == "OK")
        kind, data = client.fetch("1:*", "(FLAGS BODY.PEEK[TEXT])")
        assert kind == "OK" and any(isinstance(part, tuple) and b"to be read" in part[1] for part in data)
        assert level(reader, "read")["in_force"] == "quorum"
        begun = time.monotonic()
        kind, data = client.store("1", "+FLAGS", "(\\Flagged)")
        assert kind == "NO" and b"UNAVAILABLE" in data[0] and time.monotonic() - begun < 8
        cluster.make_whole()
        until(lambda: client.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK")
        client.logout()
