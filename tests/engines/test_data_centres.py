"""Two data centres of three nodes each, `multi-dc`: an account is changed in its home and read everywhere, what was
acknowledged is in both, and a cut link costs one time-out and nothing more."""

import contextlib
import re
import struct
import threading
import time
import types
import uuid

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout
from cassandra.query import SimpleStatement

from support.cql_proxy import PASS, CqlProxy, Fault, is_lwt
from support.nodes import Nodes
from support.patience import code_of, timed, until

ALICE = "alice@example.org"
MAIL = "Received: by test id {0}\r\nSubject: {0}\r\n\r\n{0}\r\n"
VIA = {f"127.0.0.{node}": f"127.0.1.{node}" for node in (1, 2, 3)}
# By our own deadlines an answer takes two seconds at the most; the machine that runs the tests may have more to do.
BOUND_S = 8
ATTEMPT_S = 1.5  # consistency.attempt_timeout: mails are delivered while a probe is under way
KINDS = ("write", "delete")
DUE_S = 2  # after a probe was due, the primary level is in force
TOO_FEW = (Unavailable, WriteTimeout, ReadTimeout, OperationTimedOut)

pytestmark = pytest.mark.usefixtures("cassandra_2x3")


class Wire:
    """What a server asked of Cassandra, and when."""

    def __init__(self, proxy):
        self.requests = []
        proxy.add(Fault(PASS, match=self.note))

    def note(self, request):
        request.at = time.monotonic()
        request.is_probe = any(".probe " in text for text in request.statements)
        request.kind = "delete" if any(text.startswith("DELETE") for text in request.statements) else "write"
        self.requests.append(request)
        return False

    def at_primary(self, kind, since, until):
        """Writes of a kind that went out at each_quorum between two moments."""
        return [
            request
            for request in list(self.requests)
            if since < request.at < until
            and request.is_write
            and request.kind == kind
            and request.consistency == ConsistencyLevel.EACH_QUORUM
        ]

    def probes(self, kind, since, until=float("inf")):
        return [request.at for request in self.at_primary(kind, since, until) if request.is_probe]

    def users(self, kind, since, until):
        """Those that are no probes, as texts."""
        return [request.statements for request in self.at_primary(kind, since, until) if not request.is_probe]


@pytest.fixture(scope="module")
def centres(cluster, tmp_path_factory):
    """A server in each data centre: `home` of alice, whose requests `wire` records, and `away`."""
    cluster.up(3, 2)
    keyspace = f"centres_{uuid.uuid4().hex[:12]}"
    with CqlProxy(VIA) as proxy:
        nodes = Nodes(tmp_path_factory.mktemp("centres"), cluster, keyspace)
        nodes.make_schema()
        wire = Wire(proxy)
        home = nodes.start(
            cassandra__contact_points=", ".join(VIA.values()),
            cassandra__address_map=", ".join(f"{node}={via}:9042" for node, via in VIA.items()),
            cassandra__protocol="4",
            consistency__attempt_timeout=f"{ATTEMPT_S * 1000:.0f} ms",
        )
        away = nodes.start(datacentre=2)
        home.add_domain("example.org")
        home.add_user(ALICE)
        yield types.SimpleNamespace(home=home, away=away, wire=wire, nodes=nodes, keyspace=keyspace)
        cluster.make_whole()
        nodes.close()


@pytest.fixture(autouse=True)
def at_the_primary_level(cassandra_2x3, centres):
    """What the test before did to the link is over for the servers too."""
    for kind in KINDS:
        until(lambda kind=kind: in_force(centres.home, kind) == "each_quorum")


@contextlib.contextmanager
def one_more(centres, **settings):
    """One more server in dc1."""
    server = centres.nodes.start(**settings)
    try:
        yield server
    finally:
        centres.nodes.servers.remove(server)
        server.stop()
    server.check_log()


def status(server, kind):
    return next(row for row in server.ctl_json("consistency", "status")["levels"] if row["kind"] == kind)


def in_force(server, kind):
    return status(server, kind)["in_force"]


def metric(server, name, kind):
    found = re.search(rf'^holdfast_{name}{{kind="{kind}"}} (\S+)$', server.ctl("metrics").stdout, re.M)
    return float(found.group(1))


def delivers(server, text):
    """True once a mail is taken; for what must come back by itself."""
    answer, _ = timed(server.deliver, MAIL.format(text))
    return not isinstance(answer, Exception)


def texts(server, user=ALICE):
    """Nothing while a data centre has some of the account's log and not yet all that is before it."""
    client = server.imap(user)
    if client.select("INBOX", readonly=True)[0] != "OK":
        client.logout()
        return []
    found = client.fetch("1:*", "(BODY.PEEK[TEXT])")[1]
    client.logout()
    return [part[1].decode().strip() for part in found if isinstance(part, tuple)]


def row_of(modseq):
    """The key in account_log of the commit with this MODSEQ."""
    return b"\0" + struct.pack(">Q", modseq)


def test_the_level_of_a_conditional_batch_is_no_promise(cassandra_2x3):
    """Paxos v2 counts the answers to a commit without regard to data centres: three here and one of three there are
    acknowledged as EACH_QUORUM. A plain write at that level is not."""
    key = time.time_ns() % 10**9
    cassandra_2x3.partition("dc1", "5,6")
    with cassandra_2x3.session(1, level=ConsistencyLevel.EACH_QUORUM, timeout=30) as here:
        conditional = SimpleStatement(
            f"INSERT INTO whole.t (k) VALUES ({key}) IF NOT EXISTS",
            consistency_level=ConsistencyLevel.EACH_QUORUM,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        )
        assert here.execute(conditional).one().applied
        with pytest.raises(TOO_FEW):
            here.execute(f"INSERT INTO whole.t (k) VALUES ({key + 1})")
    # Two of the three there are a quorum of theirs.
    cassandra_2x3.pause(4)
    with cassandra_2x3.session(5, level=ConsistencyLevel.LOCAL_QUORUM, timeout=30) as there:
        assert not rows_once_answered(there, f"SELECT k FROM whole.t WHERE k = {key}"), "the link was not cut"


def rows_once_answered(session, statement, seconds=40):
    """A read that asks a node which is not known to be away times out."""
    end = time.monotonic() + seconds
    while True:
        try:
            return list(session.execute(statement))
        except TOO_FEW:
            assert time.monotonic() < end


def test_what_is_acknowledged_is_in_the_other_data_centre(cassandra_2x3, centres):
    """Asked at once, with no time for anything to arrive late."""
    centres.home.add_user("both@example.org")
    client = centres.home.imap("both@example.org")
    with cassandra_2x3.session(4, level=ConsistencyLevel.LOCAL_QUORUM, keyspace=centres.keyspace) as there:
        seen = []
        for number in range(30):
            if number % 2:
                centres.home.deliver(MAIL.format(f"both {number}"), to="both@example.org")
            else:
                assert client.append("INBOX", None, None, MAIL.format(f"both {number}").encode())[0] == "OK"
            seen.append({row.key for row in there.execute("SELECT key FROM account_log")})
    client.select("INBOX")
    answers = b" ".join(client.fetch("1:*", "(MODSEQ)")[1])
    modseqs = [int(found) for found in re.findall(rb"MODSEQ \((\d+)\)", answers)]
    client.logout()
    assert len(modseqs) == 30
    for modseq, keys in zip(modseqs, seen):
        assert row_of(modseq) in keys, f"the commit {modseq} was acknowledged, and is not in dc2"


def test_without_a_fallback_only_what_both_have_is_acknowledged(cassandra_2x3, centres):
    """One of dc2's nodes in reach: a conditional batch would call that EACH_QUORUM."""
    settings = {"consistency__write_fallback_consistency": "none", "consistency__delete_fallback_consistency": "none"}
    with one_more(centres, **settings) as strict:
        strict.deliver(MAIL.format("strict"))
        client = strict.imap()
        cassandra_2x3.partition("dc1", "5,6")
        for number in range(3):
            answer, seconds = timed(strict.deliver, MAIL.format(f"strict, cut {number}"))
            assert isinstance(answer, Exception) and code_of(answer) == 451, answer
            assert seconds < BOUND_S
        (kind, data), seconds = timed(client.append, "INBOX", None, None, b"Subject: no\r\n\r\nstrict, append\r\n")
        assert kind == "NO" and b"UNAVAILABLE" in data[0] and seconds < BOUND_S
        assert in_force(strict, "write") == "each_quorum"
        cassandra_2x3.make_whole()
        for number in range(3):
            until(lambda number=number: delivers(strict, f"strict, cut {number}"))
        until(lambda: not strict.ctl_json("uncertain", "list")["uncertain"])
        client.logout()
    for server in (centres.home, centres.away):
        until(lambda server=server: {"strict"} | {f"strict, cut {n}" for n in range(3)} <= set(texts(server)), 30)
        stored = texts(server)
        assert all(stored.count(f"strict, cut {number}") == 1 for number in range(3)), "a retry was doubled"
        assert stored.count("strict, append") <= 1


def test_an_account_is_changed_at_home_and_read_everywhere(centres):
    centres.home.deliver(MAIL.format("at home"))
    until(lambda: "at home" in texts(centres.away), 10)
    client = centres.away.imap()
    client.select("INBOX")
    for kind, data in (
        client.append("INBOX", None, None, b"Subject: no\r\n\r\nno\r\n"),
        client.store("1", "+FLAGS", "(\\Flagged)"),
    ):
        assert kind == "NO" and b"UNAVAILABLE" in data[0], data
    client.logout()
    answer, _ = timed(centres.away.deliver, MAIL.format("not here"))
    assert isinstance(answer, Exception) and code_of(answer) == 451, answer
    for server in (centres.home, centres.away):
        assert not {"no", "not here"} & set(texts(server))
    # The other way round for an account that was made there.
    centres.away.add_user("dora@example.org")
    centres.away.deliver(MAIL.format("there"), to="dora@example.org")
    until(lambda: texts(centres.home, "dora@example.org") == ["there"], 10)
    answer, _ = timed(lambda: centres.home.deliver(MAIL.format("here"), to="dora@example.org"))
    assert isinstance(answer, Exception) and code_of(answer) == 451, answer


def remove_first(server):
    """Makes deletes, which have a level of their own."""
    client = server.imap()
    client.select("INBOX")
    assert client.store("1", "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"
    client.logout()


def test_a_cut_link_costs_one_time_out(cassandra_2x3, centres):
    home, wire = centres.home, centres.wire
    for number in range(2):
        home.deliver(MAIL.format(f"before the cut {number}"))
    cassandra_2x3.partition("dc1", "dc2")
    answer, first = timed(home.deliver, MAIL.format("cut 0"))
    assert not isinstance(answer, Exception) and first < BOUND_S, answer
    assert in_force(home, "write") == "local_quorum"
    remove_first(home)
    until(lambda: in_force(home, "delete") == "local_quorum", 20)
    time.sleep(ATTEMPT_S)  # what the background had under way, on a second host too, is told
    fallen = time.monotonic()
    tried = {kind: metric(home, "consistency_fallbacks_total", kind) for kind in KINDS}
    deliveries = []
    end = time.monotonic() + 8
    while time.monotonic() < end:
        begun = time.monotonic()
        home.deliver(MAIL.format(f"cut {len(deliveries) + 1}"))
        deliveries.append((begun, time.monotonic()))
    remove_first(home)

    # Whoever waited for a probe would not have begun and ended while one was under way.
    probes = wire.probes("write", fallen)
    through = [d for d in deliveries if any(probe < d[0] and d[1] < probe + ATTEMPT_S for probe in probes)]
    seconds = sorted(ended - begun for begun, ended in deliveries)
    print(
        f"first {first:.2f} s, then {len(seconds)}: half in {seconds[len(seconds) // 2]:.3f} s, slowest "
        f"{seconds[-1]:.3f} s; {len(probes)} probes, {len(through)} deliveries while one was under way"
    )
    assert len(probes) >= 3 and len(through) >= 3
    for kind in KINDS:
        assert metric(home, "consistency_at_fallback", kind) == 1
        assert metric(home, "consistency_fallbacks_total", kind) == tried[kind], "somebody was tried twice"

    with contextlib.ExitStack() as stack:
        sessions = [
            stack.enter_context(cassandra_2x3.session(node, level=ConsistencyLevel.EACH_QUORUM)) for node in (1, 2, 3)
        ]
        healed = time.monotonic()
        cassandra_2x3.heal()
        for session in sessions:
            until(lambda session=session: takes_writes(session))
    whole = time.time()
    for kind in KINDS:
        assert not wire.users(kind, fallen, healed), "a user's query at the primary level"
        back_in_time(home, kind, whole)
    home.deliver(MAIL.format("after the cut"))
    # Nor does any commit trust its own each_quorum.
    assert not [r for r in wire.requests if is_lwt(r) and r.consistency == ConsistencyLevel.EACH_QUORUM]
    wanted = ["after the cut"] + [f"cut {number}" for number in range(len(deliveries) + 1)]
    for server in (home, centres.away):
        until(lambda server=server: "after the cut" in texts(server), 30)
        stored = texts(server)
        assert all(stored.count(text) == 1 for text in wanted), set(wanted) - set(stored)


def takes_writes(session):
    """At the session's level."""
    try:
        session.execute("INSERT INTO whole.t (k) VALUES (0)")
    except TOO_FEW:
        return False
    return True


def back_in_time(server, kind, whole):
    """The link has been whole since then: the next probe that is due brings the primary level back."""
    due = None
    while (now := status(server, kind))["in_force"] != "each_quorum":
        if due is None and now["next_probe_ms"] is not None:  # none is planned while one is under way
            due = time.time() + now["next_probe_ms"] / 1000
        assert time.time() < whole + 75
        time.sleep(0.05)
    since = metric(server, "consistency_level_since_microseconds", kind) / 1e6
    due = due or whole
    print(f"{kind}: back {since - whole:+.2f} s after the link was whole, {since - due:+.2f} s after a probe was due")
    assert since < due + DUE_S


def is_answered(answer, seconds):
    """An IMAP answer is good, or says that it cannot be had now; in time."""
    kind, data = answer
    assert seconds < BOUND_S, (answer, seconds)
    assert kind == "OK" or (kind == "NO" and b"UNAVAILABLE" in data[0]), answer
    return kind == "OK"


def is_read(client):
    return is_answered(*timed(client.fetch, "1:*", "(FLAGS BODY.PEEK[TEXT])"))


def test_without_a_local_quorum_reads_go_on(cassandra_2x3, centres):
    """Two of dc1's nodes are killed. With a read fallback what a node knows is shown, signing in included, and here no
    write is acknowledged; nothing hangs, the other data centre reads on, and all comes back by itself."""
    centres.home.deliver(MAIL.format("before the fall"))
    until(lambda: "before the fall" in texts(centres.away), 30)
    with one_more(centres, consistency__read_fallback_consistency="quorum") as reader:
        client = reader.imap()
        client.select("INBOX")
        before = texts(reader)
        for node in (2, 3):
            cassandra_2x3.kill(node)
        # Until the others hold them for dead each level that is tried costs a time-out.
        until(lambda: not {2, 3} & cassandra_2x3.sees(1))
        until(lambda: is_read(client))
        for number in range(4):
            assert is_read(client)
            assert not is_answered(*timed(client.store, "1", "+FLAGS", "(\\Flagged)"))
            appended = timed(client.append, "INBOX", None, None, f"Subject: x\r\n\r\nfallen {number}\r\n".encode())
            assert not is_answered(*appended)
            answer, seconds = timed(reader.deliver, MAIL.format(f"fallen, mail {number}"))
            assert isinstance(answer, Exception) and 400 <= code_of(answer) < 500 and seconds < BOUND_S, answer
        assert texts(reader) == before
        assert set(before) <= set(texts(centres.away))
        starters = [threading.Thread(target=cassandra_2x3.start, args=(node,)) for node in (2, 3)]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        until(lambda: client.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK")
        until(lambda: delivers(reader, "healthy again"))
        until(lambda: not reader.ctl_json("uncertain", "list")["uncertain"])
        after = texts(reader)
        assert after[: len(before)] == before and "healthy again" in after
        assert all(after.count(text) <= 1 for text in after if text.startswith("fallen"))
        client.logout()
