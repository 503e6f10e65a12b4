"""Connections past their limits, slow, silent or cut; certificates; the end of a server."""

import contextlib
import socket
import ssl
import subprocess
import time

import pytest

from support.raw import Raw
from support.server import Server

BUSY = {"smtp": "421", "lmtp": "421", "pop3": "-ERR"}


@pytest.mark.parametrize("kind", BUSY)
def test_connections_past_the_limit_are_told_so(server, kind):
    server.settings = {"net.max_connections_per_address": "3"}
    server.restart()
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(Raw(server.port(kind)))
        assert Raw(server.port(kind)).greeting.startswith(BUSY[kind])
    time.sleep(0.2)
    with Raw(server.port(kind)) as client:
        assert not client.greeting.startswith(BUSY[kind])


def test_an_account_has_so_many_connections(server):
    server.settings = {"session.connections_per_account": "2"}
    server.restart()
    kept = [server.pop3(), server.pop3()]
    with Raw(server.port("pop3")) as client:
        client.say("USER alice@example.org")
        assert client.say("PASS holdfast").startswith("-ERR [IN-USE]")
        assert client.is_closed()
    server.pop3("bob@example.org").quit()
    kept.pop().quit()
    time.sleep(0.2)
    server.pop3().quit()


@pytest.mark.parametrize("kind, said", [("smtp", "421 4.4.2"), ("pop3", "-ERR")])
def test_a_silent_client_is_told_and_closed(server, kind, said):
    server.settings = {"smtp.idle_timeout": "300 ms", "pop3.idle_timeout": "300 ms"}
    server.restart()
    with Raw(server.port(kind)) as client:
        assert client.line().startswith(said)
        assert client.is_closed()


def test_a_client_that_does_not_read_is_closed_and_holds_nobody_up(server):
    server.settings = {"net.slow_reader_timeout": "1 s", "session.output_high": "64 KiB"}
    server.restart()
    server.deliver("Subject: big\r\n\r\n" + "x" * 70 + ("\r\n" + "y" * 70) * 200000)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port("pop3")))
    before = server.memory_kib()
    client.sendall(b"USER alice@example.org\r\nPASS holdfast\r\n" + b"RETR 1\r\n" * 60)
    time.sleep(0.5)
    began = time.monotonic()
    server.pop3("bob@example.org").quit()
    assert time.monotonic() - began < 2
    assert server.memory_kib() - before < 256 * 1024
    time.sleep(3)
    client.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        while client.recv(1 << 16):
            pass
    client.close()


def test_garbage_for_a_handshake_hurts_nobody(shared_server):
    for garbage in (b"EHLO x\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b""):
        with Raw(shared_server.port("submission_tls"), greet=False) as client:
            with contextlib.suppress(OSError):
                client.send(garbage)
                client.socket.shutdown(socket.SHUT_WR)
                client.stream.read()
    with shared_server.smtp() as client:
        assert client.noop()[0] == 250


def test_more_commands_in_a_second_than_allowed_wait_for_the_next(server):
    server.settings = {"session.commands_per_second": "50"}
    server.restart()
    with Raw(server.port("smtp")) as client:
        began = time.monotonic()
        client.send("RSET\r\n" * 120)
        assert [client.reply()[:3] for _ in range(120)] == ["250"] * 120
        assert time.monotonic() - began > 0.9


def make_certificate(folder, name):
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, "-keyout", paths[1], "-out", paths[0]], check=True, capture_output=True)
    return paths


def certificate_name(server, ask_for):
    """The name in the certificate that answers."""
    context = ssl.create_default_context(cafile=server.folder / "all.pem")
    context.check_hostname = False
    with socket.create_connection(("127.0.0.1", server.port("submission_tls")), 10) as plain:
        with context.wrap_socket(plain, server_hostname=ask_for) as client:
            return client.getpeercert()["subject"][0][0][1]


def test_the_certificate_is_chosen_by_name_and_read_again(tmp_path):
    one, two, three = (make_certificate(tmp_path, f"{name}.example.org") for name in ("one", "two", "three"))
    (tmp_path / "all.pem").write_text("".join(pair[0].read_text() for pair in (one, two, three)))
    settings = {
        "tls.certificate": one[0],
        "tls.key": one[1],
        "tls.more_certificates": f"{two[0]}:{two[1]}",
    }
    with Server(tmp_path, settings) as server:
        server.start()
        assert certificate_name(server, "two.example.org") == "two.example.org"
        assert certificate_name(server, "one.example.org") == "one.example.org"
        assert certificate_name(server, "other.example.org") == "one.example.org"
        with Raw(server.port("smtp")) as kept:
            settings.update({"tls.certificate": three[0], "tls.key": three[1]})
            server.reload()
            assert certificate_name(server, "other.example.org") == "three.example.org"
            settings.update({"tls.key": one[1]})
            server.reload()
            assert certificate_name(server, "other.example.org") == "three.example.org"
            assert kept.say("NOOP")[:3] == "250"


def test_a_stopping_server_says_goodbye(server):
    with Raw(server.port("smtp")) as smtp, Raw(server.port("pop3")) as pop3:
        assert smtp.say("EHLO x")[:3] == "250"
        server.stop()
        assert smtp.line().startswith("421 4.3.2")
        assert pop3.line().startswith("-ERR [SYS/TEMP]")
