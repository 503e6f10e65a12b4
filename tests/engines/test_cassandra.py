"""The engine by itself: what every engine promises, a schema made by two at once, and both of Cassandra's Paxos."""

import contextlib
import re
import smtplib
import subprocess
import threading
import time
import uuid

import pytest

from support.nodes import Nodes, nodes_over
from support.patience import until
from support.server import BUILD, HOLDFASTCTL

ALICE, BOB = "alice@example.org", "bob@example.org"
MAIL = "Subject: {0}\r\n\r\n{0}\r\n"
CONTRACT = BUILD / "tests/engines/cassandra_contract"


def keeps_the_contract(cluster):
    copies = min(cluster.nodes, 3)
    done = subprocess.run(
        [CONTRACT, cluster.address(1), "dc1", f"dc1={copies}"], capture_output=True, text=True, timeout=280
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    passed = re.search(r"PASSED\s+\] (\d+) test", output)
    assert passed and int(passed.group(1)) >= 10, output


def test_the_contract_of_all_engines_is_kept(cassandra):
    keeps_the_contract(cassandra)


def test_the_contract_is_kept_with_the_older_paxos(cassandra_v1):
    keeps_the_contract(cassandra_v1)


def maker_of_schema(folder, cluster, keyspace, node):
    """What makes the tables through one host."""
    folder.mkdir()
    server = Nodes(folder, cluster, keyspace).new(cassandra__contact_points=cluster.address(node))
    server.write_configuration()
    return server


def deliver_in_the_end(server, text, to=ALICE, seconds=60):
    """The first requests to new nodes are slow: the sender comes again, with the same mail."""
    end = time.monotonic() + seconds
    while True:
        try:
            return server.deliver(f"Received: by test id {text}\r\n{MAIL.format(text)}", to=to)
        except (smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused) as error:
            assert time.monotonic() < end, error


@pytest.mark.parametrize("round", range(3))
def test_two_nodes_make_the_schema_at_once(cassandra_3, tmp_path, round):
    keyspace = f"race_{uuid.uuid4().hex[:12]}"
    makers = [maker_of_schema(tmp_path / f"{node}", cassandra_3, keyspace, node) for node in (1, 2, 3)]
    command = [HOLDFASTCTL, "--config"]
    at_once = [
        subprocess.Popen([*command, maker.config, "schema", "create"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for maker in makers[:2]
    ]
    for process in at_once:
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, (output, errors)
    # The third host was told nothing by either.
    assert "as it should be" in makers[2].ctl("--config", makers[2].config, "schema", "check").stdout
    with makers[2] as server:
        server.start()
        server.add_domain("example.org")
        server.add_user(ALICE)
        deliver_in_the_end(server, "whole")
        assert server.folders(ALICE)["INBOX"]["messages"] == 1


def deliver_many(server, name, failures):
    try:
        for number in range(30):
            for address in (ALICE, BOB):
                deliver_in_the_end(server, f"{name}-{number}", to=address)
    except Exception as error:
        failures.append(error)


def test_two_nodes_deliver_at_once_with_the_older_paxos(cassandra_v1, keyspace, tmp_path):
    with nodes_over(tmp_path, cassandra_v1, keyspace) as nodes:
        failures = []
        work = [
            threading.Thread(target=deliver_many, args=(server, f"node{n}", failures))
            for n, server in enumerate(nodes.servers)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
        assert not failures, failures
        wanted = sorted(f"node{n}-{number}" for n in range(2) for number in range(30))
        for server in nodes.servers:
            for address in (ALICE, BOB):
                client = server.imap(address)
                client.select("INBOX", readonly=True)
                found = client.fetch("1:*", "(UID BODY.PEEK[TEXT])")[1]
                parts = [part for part in found if isinstance(part, tuple)]
                assert sorted(part[1].decode().strip() for part in parts) == wanted
                uids = [int(re.search(rb"UID (\d+)", part[0]).group(1)) for part in parts]
                assert uids == sorted(set(uids))
                client.logout()


DAY_MS = 86400 * 1000


def given_a_repair(session, keyspace, days_ago, fault=None):
    ended_ms = int(time.time() * 1000) - days_ago * DAY_MS
    session.execute(
        "INSERT INTO system_distributed.parent_repair_history"
        " (parent_id, keyspace_name, finished_at, exception_message) VALUES (%s, %s, %s, %s)",
        (uuid.uuid1(), keyspace, ended_ms, fault),
    )
    return ended_ms * 1000


def test_health_tells_of_paxos_and_of_the_last_repair(cassandra_v1, keyspace, tmp_path):
    with nodes_over(tmp_path, cassandra_v1, keyspace, count=1) as nodes, cassandra_v1.session() as session:
        server = nodes.servers[0]

        def repairs():
            return [finding for finding in server.ctl_json("health")["findings"] if "repair" in finding]

        def repaired_us():
            return server.ctl_json("overview")["repaired_us"]

        assert any("paxos_variant is v1" in finding for finding in server.ctl_json("health")["findings"])
        assert repairs() == [f"keyspace {keyspace} has never been repaired"] and repaired_us() is None
        old = given_a_repair(session, keyspace, 11)
        given_a_repair(session, keyspace, 1, fault="a stream failed")
        given_a_repair(session, "another", 1)
        assert "11 days ago" in repairs()[0] and repaired_us() == old
        assert given_a_repair(session, keyspace, 3) == repaired_us()
        assert not repairs()


def is_traced(server, name):
    """A mail that lies below a thousand others is found, and few of them are read for it."""
    shown = server.ctl_json("trace", name, ALICE)
    assert shown["read"] < 10
    steps = {(step["step"], step["outcome"]) for step in shown["steps"]}
    if not shown["complete"]:
        return False
    assert shown["places"] == 1 and ("mailbox", "there") in steps and ("copies", "written") in steps, shown
    assert any("INBOX, UID 1," in step["detail"] for step in shown["steps"])
    return True


def test_a_mail_is_traced_among_many(cassandra, tmp_path):
    """By its Message-ID and by the id of the answer to it; with an index and without; by the node that took it, and by another."""
    with cassandra.keyspace() as keyspace, contextlib.closing(Nodes(tmp_path, cassandra, keyspace)) as nodes:
        nodes.make_schema()
        one, other = (nodes.start(search__index=index) for index in ("fts5", "none"))
        one.add_domain("example.org")
        one.add_user(ALICE)
        with one.lmtp() as client:
            client.ehlo()
            client.mail("sender@example.net")
            client.rcpt(ALICE)
            code, said = client.data(MAIL.format("sought").replace("Subject", "Message-ID: <sought@example.net>\r\nSubject"))
        assert code == 250
        client = one.imap(ALICE)
        for number in range(32):
            client.append("INBOX", None, None, f"Message-ID: <{number}@example.net>\r\n\r\nhello\r\n".encode())
        for _ in range(5):
            client.select("INBOX")
            client.uid("COPY", "2:*", "INBOX")
        assert one.folders(ALICE)["INBOX"]["messages"] == 1025
        client.logout()
        for server in (one, other):
            for name in ("<sought@example.net>", "sought@example.net", said.decode().split()[-1]):
                until(lambda: is_traced(server, name))
        until(lambda: one.ctl_json("index", "status", ALICE)["indexed"] == 1025)
        until(lambda: is_traced(one, "<sought@example.net>"))
