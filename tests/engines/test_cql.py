"""The CQL client against real nodes: `cql_client` (cql_client.c) carries the scenarios out, this starts the nodes,
kills and pauses them, and puts TLS in front."""

import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

CLIENT = pathlib.Path(os.environ.get("HOLDFAST_BUILD", "build-asan")) / "tests/engines/cql_client"
SCENARIOS = ["hosts", "types", "large", "paging", "conditional", "batches", "schema_change", "faults", "tracing", "tokens"]
FRAMINGS = {"v5-lz4": [], "v5": ["-z"], "v4-lz4": ["-v", "4"], "v4": ["-v", "4", "-z"]}
LOAD = re.compile(
    r"load threads (\d+) good (\d+) uncertain (\d+) refused (\d+) per_second \S+ cpu_us_per_request \S+ "
    r"worst_ms (\S+) past_deadline_ms (\S+)"
)


def start(*arguments):
    return subprocess.Popen(
        [CLIENT, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(client, seconds=120):
    try:
        output, errors = client.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        client.kill()
        raise
    assert client.returncode == 0, output + errors
    return output


def run(*arguments):
    return finish(start(*arguments))


class Load:
    """What the scenario `load` counted."""

    def __init__(self, output):
        found = LOAD.search(output)
        assert found, output
        self.threads, self.good, self.uncertain, self.refused = map(int, found.groups()[:4])
        self.worst_ms, self.past_deadline_ms = map(float, found.groups()[4:])


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_carries_every_scenario(cassandra, keyspace, framing):
    output = run("-k", keyspace, *FRAMINGS[framing], *SCENARIOS)
    assert [f"ok {name}" for name in SCENARIOS] == re.findall("^ok .*", output, re.M)


class TlsFront:
    """TLS on 127.0.1.1:9142, plain CQL behind it."""

    def __init__(self, folder):
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=cassandra", "-addext", "subjectAltName=IP:127.0.0.1,IP:127.0.1.1"]
            + ["-keyout", key, "-out", self.certificate],
            check=True,
            capture_output=True,
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.listener = socket.create_server(("127.0.1.1", 9142))
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            client = self.context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", 9042))
        # One thread for both ways: an SSL socket is not to be used by two.
        client.settimeout(0.002)
        server.setblocking(False)
        try:
            while True:
                try:
                    bytes = client.recv(65536)
                    if not bytes:
                        return
                    server.setblocking(True)
                    server.sendall(bytes)
                    server.setblocking(False)
                except TimeoutError:
                    pass
                try:
                    bytes = server.recv(65536)
                    if not bytes:
                        return
                    client.settimeout(10)
                    client.sendall(bytes)
                    client.settimeout(0.002)
                except BlockingIOError:
                    pass
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # else the thread in accept() would hold the port
        self.acceptor.join()
        self.listener.close()


@pytest.fixture
def front(tmp_path):
    front = TlsFront(tmp_path)
    yield front
    front.close()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_tls_carries_it_too(cassandra, keyspace, front, framing):
    through = ["-h", "127.0.1.1:9142", "-a", "127.0.0.1=127.0.1.1:9142", "-k", keyspace]
    output = run(*through, "-c", front.certificate, *FRAMINGS[framing], "types", "large", "paging")
    assert "ok paging" in output


def test_a_certificate_of_nobody_is_refused(cassandra, keyspace, front):
    client = start("-h", "127.0.1.1:9142", "-c", "/etc/ssl/certs/ca-certificates.crt", "-k", keyspace, "hosts")
    _, errors = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "TLS handshake" in errors and "certificate" in errors


def test_a_killed_host_costs_no_read_and_no_deadline(cassandra_3, keyspace):
    run("-k", keyspace, "batches")
    client = start("-k", keyspace, "-t", 16, "-s", 12, "-m", 5000, "load")
    time.sleep(4)
    cassandra_3.kill(2)
    load = Load(finish(client))
    # Reads are idempotent: each goes on to another host.
    assert load.good > 100
    assert load.past_deadline_ms < 500


def test_a_killed_host_leaves_writes_uncertain_or_done(cassandra_3, keyspace):
    run("-k", keyspace, "batches")
    client = start("-k", keyspace, "-t", 16, "-s", 12, "-m", 5000, "-w", "load")
    time.sleep(4)
    cassandra_3.kill(3)
    load = Load(finish(client))
    assert load.good > 100
    # At most what was under way at the host, and what waited for it as a replica.
    assert load.uncertain < 16 * 20
    assert load.past_deadline_ms < 500


def test_a_paused_host_makes_nobody_wait_past_the_deadline(cassandra_3, keyspace):
    run("-k", keyspace, "batches")
    client = start("-k", keyspace, "-t", 16, "-s", 12, "-m", 1500, "-w", "load")
    time.sleep(4)
    cassandra_3.pause(1)
    load = Load(finish(client))
    assert load.good > 100
    assert load.past_deadline_ms < 500
    assert load.worst_ms < 2500


def test_speculation_hides_a_paused_host(cassandra_3, keyspace):
    run("-k", keyspace, "batches")
    client = start("-k", keyspace, "-t", 8, "-s", 10, "-m", 4000, "-x", 200, "load")
    time.sleep(4)
    cassandra_3.pause(2)
    load = Load(finish(client))
    assert load.good > 100
    assert load.uncertain == 0 and load.refused == 0
