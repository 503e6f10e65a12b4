"""Compressed connections whose client means no good, or is slow (RFC 4978)."""

import contextlib
import pathlib
import re
import select
import zlib

import pytest

from support.server import PASSWORD
from support.transcript import Connection

BOMB_BYTES = 80 << 20
SPARE_BYTES = 40 << 20
# The sanitizer keeps so much of what was freed before memory is used again.
SANITIZER_BYTES = 256 << 20


@pytest.fixture
def compressed(shared_server):
    with contextlib.closing(Connection("c", shared_server.port("imap"))) as connection:
        ask(connection, f"LOGIN alice@example.org {PASSWORD}".encode())
        ask(connection, b"COMPRESS DEFLATE")
        connection.compress()
        yield connection


def answer(connection):
    while (line := connection.read()) is not None and not line.startswith(connection.pending):
        pass
    return line


def ask(connection, command):
    connection.command(command)
    line = answer(connection)
    assert " OK " in line, line


def send_bomb(connection, size):
    """The command `x1 NOOP xxx…`, of so many bytes."""
    piece = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = piece.compress(b"x" * (1 << 20)) + piece.flush(zlib.Z_FULL_FLUSH)
    start = connection.deflate.compress(b"x1 NOOP ") + connection.deflate.flush(zlib.Z_FULL_FLUSH)
    connection.socket.sendall(start + piece * (size >> 20))
    connection.send_bytes(b"\r\n")


def peak_bytes(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


def test_a_bomb_takes_no_memory(shared_server, compressed):
    """One endless line: it is passed over as it is unpacked, and what comes behind it is served."""
    # Small ones first: the peak never falls, so one as large as the next would hide it.
    for _ in range(SANITIZER_BYTES >> 22):
        send_bomb(compressed, 4 << 20)
        assert compressed.read().startswith("x1 BAD")
    before = peak_bytes(shared_server)
    send_bomb(compressed, BOMB_BYTES)
    assert compressed.read().startswith("x1 BAD")
    ask(compressed, b"NOOP")
    assert peak_bytes(shared_server) - before < SPARE_BYTES


def test_others_are_served_meanwhile(shared_server, compressed):
    send_bomb(compressed, SANITIZER_BYTES)
    # Connections go to the reactors in turn: one of two is beside the bomb.
    for name in "de":
        with contextlib.closing(Connection(name, shared_server.port("imap"))) as other:
            ask(other, b"NOOP")
    assert not select.select([compressed.socket], [], [], 0)[0]
    assert compressed.read().startswith("x1 BAD")


def test_what_is_not_compressed_ends_the_connection(compressed):
    compressed.socket.sendall(b"x1 NOOP\r\n" * 100)
    assert compressed.read() is None


def test_the_end_of_the_stream_ends_the_connection(compressed):
    compressed.socket.sendall(compressed.deflate.compress(b"x1 NOOP\r\n") + compressed.deflate.flush(zlib.Z_FINISH))
    assert compressed.read().startswith("x1 OK")
    assert compressed.read() is None


def test_byte_at_a_time_and_pipelined(compressed):
    commands = b"".join(b"x%d NOOP\r\n" % i for i in range(50))
    for byte in compressed.deflate.compress(commands) + compressed.deflate.flush(zlib.Z_SYNC_FLUSH):
        compressed.socket.sendall(bytes([byte]))
    for i in range(50):
        assert compressed.read().startswith(f"x{i} OK")


def test_much_is_read_back_whole(compressed):
    mail = b"Subject: much\r\n\r\n" + b"".join(b"line %d of many\r\n" % i for i in range(40000))
    compressed.command(b"APPEND INBOX {%d+}\r\n" % len(mail) + mail)
    assert " OK " in answer(compressed)
    ask(compressed, b"SELECT INBOX")
    compressed.command(b"FETCH * BODY.PEEK[]")
    assert compressed.stream.readline().endswith(b"{%d}\r\n" % len(mail))
    assert compressed.stream.read(len(mail)) == mail
    compressed.stream.readline()
    assert " OK " in answer(compressed)
    ask(compressed, b"STORE * +FLAGS.SILENT (\\Deleted)")
    ask(compressed, b"EXPUNGE")
