"""The workloads, the same for every server: see bench/run."""

import argparse
import pathlib
import shutil
import socket
import sys
import tempfile
import threading
import time

from dovecot import Dovecot
from support.server import Server, free_port_base

USERS = [f"user{n}@example.org" for n in range(16)]
BODY = "\r\n".join(f"{n:04} " + "lorem ipsum dolor sit amet " * 2 for n in range(350)) + "\r\n"  # 20 KiB


class Holdfast(Server):
    name = "holdfast"

    def start_for_filling(self):
        """As it is: filling takes minutes."""

    def memory_kib(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(text.split("\nPss:")[1].split()[0])


class LineClient:
    """Just enough of a client that the client is not what is measured."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)
        self.file.readline()

    def close(self):
        self.socket.close()

    def lmtp(self, line, expect=b"2"):
        self.socket.sendall(line)
        while True:
            answer = self.file.readline()
            if answer[3:4] != b"-":
                assert answer.startswith(expect), answer
                return

    def imap(self, line):
        """Sends one command; the number of bytes of its answer."""
        self.socket.sendall(b"a " + line + b"\r\n")
        total = 0
        while True:
            answer = self.file.readline()
            total += len(answer)
            if answer.startswith(b"a "):
                assert answer.startswith(b"a OK"), answer
                return total
            if answer.endswith(b"}\r\n"):
                size = int(answer[answer.rindex(b"{") + 1 : -3])
                total += len(self.file.read(size))


def deliveries_per_second(server, connections, seconds):
    stop_at = [0.0]
    counts = [0] * connections
    barrier = threading.Barrier(connections + 1)

    def deliver(number):
        client = LineClient(server.port("lmtp"))
        client.lmtp(b"LHLO bench\r\n")
        user = USERS[number % len(USERS)].encode()
        barrier.wait()
        while time.monotonic() < stop_at[0]:
            token = f"{number}-{counts[number]}-{time.monotonic_ns()}"
            client.lmtp(b"MAIL FROM:<bench@example.net>\r\n")
            client.lmtp(b"RCPT TO:<%s>\r\n" % user)
            client.lmtp(b"DATA\r\n", b"3")
            client.lmtp(f"Subject: {token}\r\nFrom: bench@example.net\r\n\r\n{BODY}.\r\n".encode())
            counts[number] += 1
        client.close()

    threads = [threading.Thread(target=deliver, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    stop_at[0] = time.monotonic() + seconds + 1e9
    barrier.wait()
    started = time.monotonic()
    stop_at[0] = started + seconds
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - started)


def fill(server, user, count):
    """Small mails by APPEND on one connection: many in one command (RFC 3502) where the server has that, since
    Dovecot's single ones take longer with each mail that is there; pipelined where not."""
    client = LineClient(server.port("imap"))
    client.imap(f'LOGIN "{user}" holdfast'.encode())
    client.imap(b"CREATE big")
    client.socket.sendall(b"a CAPABILITY\r\n")
    at_once = 1000 if b" MULTIAPPEND" in client.file.readline() else 1
    client.file.readline()
    content = b"Subject: small\r\nFrom: a@example.org\r\nTo: b@example.org\r\n\r\nhello\r\n"
    literal = b" {%d+}\r\n%s" % (len(content), content)
    batch = max(200, at_once)
    for at in range(0, count, batch):
        size = min(batch, count - at)
        commands = [b"a APPEND big" + literal * min(at_once, size - n) + b"\r\n" for n in range(0, size, at_once)]
        client.socket.sendall(b"".join(commands))
        for _ in commands:
            answer = client.file.readline()
            while not answer.startswith(b"a "):
                answer = client.file.readline()
            assert answer.startswith(b"a OK"), answer
    client.close()


def seconds_of(action, times=3):
    best = 1e9
    for _ in range(times):
        started = time.monotonic()
        action()
        best = min(best, time.monotonic() - started)
    return best


def measure_fetch(server, user, results):
    client = LineClient(server.port("imap"))
    client.imap(f'LOGIN "{user}" holdfast'.encode())
    client.imap(b"SELECT INBOX")
    client.socket.sendall(b"a STATUS INBOX (MESSAGES)\r\n")
    count = int(client.file.readline().rsplit(b" ", 1)[1].rstrip(b")\r\n"))
    client.file.readline()
    for name, items in (("flags", b"FLAGS"), ("envelopes", b"ENVELOPE"), ("bodies", b"BODY.PEEK[]")):
        spent = seconds_of(lambda items=items: client.imap(b"FETCH 1:* (UID %s)" % items))
        results[f"FETCH {name}, messages/s"] = count / spent
    client.close()


def measure_select(server, sizes, results):
    server.start_for_filling()
    for number, size in enumerate(sizes):
        fill(server, USERS[number], size)
    server.stop()
    server.start()
    for number, size in enumerate(sizes):
        client = LineClient(server.port("imap"))
        client.imap(f'LOGIN "{USERS[number]}" holdfast'.encode())
        client.imap(b"SELECT big")
        client.imap(b"UNSELECT")

        def select():
            client.imap(b"SELECT big")
            client.imap(b"UNSELECT")

        results[f"SELECT of {size:,} again, ms"] = seconds_of(select) * 1000
        client.close()
    server.stop()
    server.start()
    for number, size in enumerate(sizes):
        client = LineClient(server.port("imap"))
        client.imap(f'LOGIN "{USERS[number]}" holdfast'.encode())
        started = time.monotonic()
        client.imap(b"SELECT big")
        results[f"SELECT of {size:,} after a start, ms"] = (time.monotonic() - started) * 1000
        client.close()


def measure_idle(server, connections, results):
    """On a server just started: memory that earlier work left behind would hide what a connection takes."""
    server.stop()
    server.start()
    first = LineClient(server.port("imap"))
    first.imap(f'LOGIN "{USERS[0]}" holdfast'.encode())
    before = server.memory_kib()
    clients = [first]
    for n in range(connections):
        client = LineClient(server.port("imap"))
        client.imap(f'LOGIN "{USERS[n % len(USERS)]}" holdfast'.encode())
        client.imap(b"SELECT INBOX")
        clients.append(client)
    time.sleep(1)
    results["idle connection, KiB"] = (server.memory_kib() - before) / connections
    for client in clients:
        client.close()


class Results(dict):
    """Told as they come: a run takes long, and one that is cut short has measured something."""

    def __setitem__(self, name, value):
        print(f"  {name}: {value:,.2f}", file=sys.stderr, flush=True)
        super().__setitem__(name, value)


def run(server, quick, sizes):
    results = Results()
    print(server.name, file=sys.stderr)
    server.start()
    server.add_domain("example.org")
    for user in USERS:
        server.add_user(user)
    for connections in (1, 16, 64):
        results[f"LMTP, {connections} connections, mails/s"] = deliveries_per_second(server, connections, 3 if quick else 10)
    measure_fetch(server, USERS[0], results)
    measure_select(server, sizes, results)
    measure_idle(server, 100 if quick else 500, results)
    server.stop()
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("holdfast", "dovecot"))
    parser.add_argument("--select", help="sizes of the mailboxes to select; 1000,10000 if quick, else 1000,100000,1000000")
    options = parser.parse_args()
    sizes = options.select or ("1000,10000" if options.quick else "1000,100000,1000000")
    sizes = [int(size) for size in sizes.split(",")]
    results = {}
    for kind in ("holdfast", "dovecot"):
        if options.only not in (None, kind):
            continue
        folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir="/var/tmp"))
        try:
            made = Holdfast(folder, {"session.connections_per_account": 10000, "net.max_connections_per_address": 10000,
                                     "session.commands_per_second": 1000000, "search.index": "none"}) if kind == "holdfast" else Dovecot(folder, free_port_base())
            results[kind] = run(made, options.quick, sizes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    names = list(next(iter(results.values())))
    print(f"{'':40}" + "".join(f"{kind:>14}" for kind in results))
    for name in names:
        print(f"{name:40}" + "".join(f"{numbers[name]:14,.2f}" for numbers in results.values()))


main()
