"""Answers are lost on purpose, at every message of a commit, between Holdfast and a real Cassandra: nothing that was
acknowledged is lost, nothing is there twice, nothing leaks, and the ledger empties by itself."""

import contextlib
import os
import random
import re
import smtplib
import threading
import time

import pytest

from support.cql_proxy import CLOSE, CUT, DROP_REPLY, DROP_REQUEST, SILENT, CqlProxy, Fault, is_lwt, is_serial_read, is_write
from support.nodes import Nodes

# So many losses: tools/lose-answers asks for more.
LOSSES = int(os.environ.get("HOLDFAST_LOSSES", "400"))
CLIENTS = 12


def lossy_settings(addresses):
    return {
        "cassandra__contact_points": ", ".join(addresses.values()),
        "cassandra__address_map": ", ".join(f"{node}={via}:9042" for node, via in addresses.items()),
        "cassandra__protocol": "4",
    }


@contextlib.contextmanager
def lossy_server(cluster, keyspace, folder):
    """(a server, the proxy that it reaches its cluster through)"""
    addresses = {f"127.0.0.{node}": f"127.0.1.{node}" for node in range(1, cluster.total + 1)}
    nodes = Nodes(folder, cluster, keyspace)
    nodes.make_schema()
    with CqlProxy(addresses, seed=random.randrange(1 << 30)) as proxy:
        server = nodes.start(**lossy_settings(addresses))
        server.add_domain("example.org")
        try:
            yield server, proxy
        finally:
            proxy.clear()
        nodes.close()
        assert not proxy.problems


@pytest.fixture
def lossy(cassandra, keyspace, tmp_path):
    with lossy_server(cassandra, keyspace, tmp_path) as lossy:
        yield lossy


@pytest.fixture
def lossy_v1(cassandra_v1, keyspace, tmp_path):
    with lossy_server(cassandra_v1, keyspace, tmp_path) as lossy:
        yield lossy


class Deliverer(threading.Thread):
    """Delivers numbered mails by LMTP, each again and again until it is acknowledged."""

    def __init__(self, server, number, stop):
        super().__init__()
        self.server, self.stop = server, stop
        self.address = f"d{number}@example.org"
        self.delivered = []
        self.retries = 0
        self.problem = None

    def run(self):
        try:
            number = 0
            while not self.stop.is_set():
                number += 1
                self.deliver(number)
        except Exception as error:
            self.problem = error

    def deliver(self, number):
        token = f"{self.address}-{number}"
        mail = f"Received: by test id {token}\r\nSubject: {token}\r\n\r\n{token}\r\n"
        while True:
            try:
                with self.server.lmtp() as client:
                    client.sendmail("sender@example.net", [self.address], mail)
                self.delivered.append(token)
                return
            except smtplib.SMTPResponseException as error:
                assert 400 <= error.smtp_code < 500, error
            except smtplib.SMTPRecipientsRefused as error:
                assert all(400 <= code < 500 for code, _ in error.recipients.values()), error
            self.retries += 1
            time.sleep(0.02)


class Appender(threading.Thread):
    """Appends by IMAP and sets flags; believes what it is told and repeats nothing."""

    def __init__(self, server, number, stop):
        super().__init__()
        self.server, self.stop = server, stop
        self.address = f"a{number}@example.org"
        self.sure, self.unsure = set(), set()
        self.problem = None

    def run(self):
        try:
            client, number = None, 0
            while not self.stop.is_set():
                client = client or self.sign_in()
                number += 1
                token = f"{self.address}-{number}"
                kind, data = client.append("INBOX", None, None, f"Subject: {token}\r\n\r\n{token}\r\n".encode())
                assert kind == "OK" or b"UNAVAILABLE" in data[0], data
                (self.sure if kind == "OK" else self.unsure).add(token)
        except Exception as error:
            self.problem = error

    def sign_in(self):
        while True:
            try:
                return self.server.imap(self.address)
            except Exception:
                if self.stop.is_set():
                    raise
                time.sleep(0.05)


def subjects(server, address):
    client = server.imap(address)
    client.select("INBOX", readonly=True)
    found = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    client.logout()
    return [re.search(rb"Subject: (\S+)", part[1]).group(1).decode() for part in found if isinstance(part, tuple)]


def wait_for_empty_ledger(server, seconds):
    end = time.monotonic() + seconds
    while server.ctl_json("uncertain", "list")["uncertain"]:
        assert time.monotonic() < end, server.ctl("uncertain", "list").stdout
        time.sleep(0.1)


def wait_for_no_orphans(server, seconds):
    """Where a mail lies, and that content is nobody's, is noted in the background: again and again until it can be."""
    end = time.monotonic() + seconds
    while (audit := server.ctl_json("blobs", "audit"))["orphaned"]:
        assert time.monotonic() < end, audit
        time.sleep(0.5)


def add_faults(proxy):
    """Every message of a commit: the plain write before it, the CAS, the serial read after it."""
    return [
        proxy.add(Fault(action, match=match, probability=share, then=CLOSE))
        for action, match, share in (
            (DROP_REPLY, is_lwt, 0.06),
            (DROP_REQUEST, is_lwt, 0.04),
            (CUT, is_lwt, 0.04),
            (DROP_REPLY, is_serial_read, 0.05),
            (CUT, is_write, 0.02),
            (DROP_REQUEST, is_write, 0.02),
            (DROP_REPLY, is_write, 0.02),
        )
    ]


@pytest.mark.timeout(300 + LOSSES)
def test_lost_answers_lose_nothing(lossy):
    lose_answers(*lossy, LOSSES)


@pytest.mark.timeout(300 + LOSSES // 4)
def test_lost_answers_lose_nothing_with_the_older_paxos(lossy_v1):
    lose_answers(*lossy_v1, LOSSES // 4)


def lose_answers(server, proxy, losses):
    stop = threading.Event()
    clients = [Deliverer(server, n, stop) for n in range(CLIENTS // 2)]
    clients += [Appender(server, n, stop) for n in range(CLIENTS // 2)]
    for client in clients:
        server.add_user(client.address)
    faults = add_faults(proxy)
    for client in clients:
        client.start()
    end = time.monotonic() + 120 + losses / 2
    while sum(fault.fired for fault in faults) < losses and time.monotonic() < end:
        time.sleep(0.2)
        assert not any(client.problem for client in clients), [client.problem for client in clients]
    stop.set()
    for client in clients:
        client.join()
    proxy.clear()
    fired = sum(fault.fired for fault in faults)
    print(f"{fired} answers and requests lost, {sum(client.retries for client in clients[:CLIENTS // 2])} retries")
    assert fired >= losses and not any(client.problem for client in clients)

    wait_for_empty_ledger(server, 30)
    for client in clients:
        stored = subjects(server, client.address)
        assert len(stored) == len(set(stored)), "something is there twice"
        if isinstance(client, Deliverer):
            assert set(stored) == set(client.delivered)
        else:
            assert client.sure <= set(stored) <= client.sure | client.unsure
        assert server.folders(client.address)["INBOX"]["messages"] == len(stored)
    wait_for_no_orphans(server, 30)


def test_a_lost_commit_is_shown_and_resolved_by_hand(lossy):
    """While nothing answers at the serial level the outcome stays unknown; `resolve` finds it out."""
    server, proxy = lossy
    server.add_user("alice@example.org")
    client = server.imap()
    assert client.append("INBOX", None, None, b"Subject: first\r\n\r\nx\r\n")[0] == "OK"
    lost = proxy.add(Fault(DROP_REPLY, match=is_lwt, then=SILENT))
    blind = proxy.add(Fault(DROP_REQUEST, match=is_serial_read, then=SILENT))
    kind, data = client.append("INBOX", None, None, b"Subject: lost\r\n\r\nx\r\n")
    assert kind == "NO" and b"UNAVAILABLE" in data[0]
    (entry,) = server.ctl_json("uncertain", "list")["uncertain"]
    shown = server.ctl_json("uncertain", "show", entry["operation"])
    assert shown["account_modseq"] >= entry["modseq"], "the commit was carried out"
    assert server.ctl("uncertain", "resolve", entry["operation"], check=False).returncode != 0
    proxy.remove(lost)
    proxy.remove(blind)
    wait_for_empty_ledger(server, 30)
    assert subjects(server, "alice@example.org") == ["first", "lost"]
