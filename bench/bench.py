"""The workloads, the same for every server: see bench/run."""

import argparse
import concurrent.futures
import json
import pathlib
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from cyrus import Cyrus
from dovecot import Dovecot
from line_client import LineClient
from processes import await_port, cpu_seconds, memory_kib
from support.server import BUILD, Server, free_port_base

ACCOUNTS = 1000
READERS = 16  # accounts with MAILS mails each, read by a connection each
MAILS = 250
SMALL = b"Subject: small\r\nFrom: a@example.org\r\nTo: b@example.org\r\n\r\nhello\r\n"
CHANGES = 10000


class Holdfast(Server):
    name = "Holdfast"
    user = "user%u@example.org"
    any_user = "user%v@example.org"

    def start_for_filling(self):
        """As it is: filling takes minutes."""


SERVERS = {
    "holdfast": lambda folder: Holdfast(
        folder,
        {
            "session.connections_per_account": 10000,
            "net.max_connections": 200000,
            "net.max_connections_per_address": 20000,
            "session.commands_per_second": 1000000,
            "session.pipeline_commands": 1000,
            "search.index": "none",  # nor have the others one
        },
    ),
    "dovecot": lambda folder: Dovecot(folder, free_port_base()),
    "maildir": lambda folder: Dovecot(folder, free_port_base(), "maildir"),
    "cyrus": lambda folder: Cyrus(folder, free_port_base()),
}


class Results(dict):
    """Told as they come: a run takes long, and one that is cut short has measured something."""

    def __setitem__(self, name, value):
        print(f"  {name}: {value}", file=sys.stderr, flush=True)
        super().__setitem__(name, value)


# ---- what is asked: scripts of bench/load ----


def mail_of(size):
    return rf"Subject: %n\r\nFrom: <bench@example.net>\r\nMessage-ID: <%n@bench>\r\n\r\n%b{size};"


def lmtp(recipient, size):
    return [
        "setup\t220\t",
        r"setup	250	LHLO bench\r\n",
        r"loop	250	MAIL FROM:<bench@example.net>\r\n",
        rf"loop	250	RCPT TO:<{recipient}>\r\n",
        r"loop	354	DATA\r\n",
        rf"loop	250	{mail_of(size)}.\r\n",
    ]


def signed_in(server, *loop):
    return ["setup\t* OK\t", rf"setup	a OK	a LOGIN {server.user} holdfast\r\n", *loop]


def selected(server, *loop):
    return signed_in(server, r"setup	a OK	a SELECT INBOX\r\n", *loop)


def append(folder, content):
    text = content.decode().replace("\r\n", r"\r\n")
    return rf"loop	a OK	a APPEND {folder} {{{len(content)}+}}\r\n{text}\r\n"


def in_own_folders(server, *loop):
    """a%u, with one small message, and b%u."""
    return signed_in(
        server,
        r"setup	a	a CREATE a%u\r\n",
        r"setup	a	a CREATE b%u\r\n",
        append("a%u", SMALL).replace("loop", "setup", 1),
        *loop,
    )


def say(command, expected="a OK"):
    return rf"loop	{expected}	a {command}\r\n"


def workloads(server, quick):
    """(name, service, connections, operations in a loop, script)"""
    large = b"Subject: appended\r\n\r\n" + b"lorem ipsum dolor sit amet consectetur adipiscing elit sed do\r\n" * 320
    flagging = (say(r"STORE 1:10 +FLAGS.SILENT (\\Flagged)"), say(r"STORE 1:10 -FLAGS.SILENT (\\Flagged)"))
    back_and_forth = (say("SELECT a%u"), say("MOVE 1 b%u"), say("SELECT b%u"), say("MOVE 1 a%u"))
    gone = (append("a%u", SMALL), say(r"STORE 1 +FLAGS.SILENT (\\Deleted)"), say("EXPUNGE"))
    pipelined = "loop\ta OK\t" + r"b NOOP\r\n" * 99 + r"a NOOP\r\n"
    for connections in (1, 16, 64):
        yield f"LMTP 20 KiB, {ACCOUNTS:,} accounts, {connections} connections", "lmtp", connections, 1, lmtp(server.any_user, 20 << 10)
    yield "LMTP 20 KiB, one account, 64 connections", "lmtp", 64, 1, lmtp(server.any_user.replace("%v", str(ACCOUNTS - 1)), 20 << 10)
    yield f"LMTP 4 KiB, {ACCOUNTS:,} accounts, 16 connections", "lmtp", 16, 1, lmtp(server.any_user, 4 << 10)
    if not quick:
        yield f"LMTP 1 MiB, {ACCOUNTS:,} accounts, 16 connections", "lmtp", 16, 1, lmtp(server.any_user, 1 << 20)
    yield "APPEND 20 KiB", "imap", 16, 1, signed_in(server, r"setup	a	a CREATE appended\r\n", append("appended", large))
    yield f"FETCH flags of {MAILS}", "imap", 16, 1, selected(server, say("FETCH 1:* (UID FLAGS)"))
    yield f"FETCH envelopes of {MAILS}", "imap", 16, 1, selected(server, say("FETCH 1:* (UID ENVELOPE)"))
    yield "FETCH a body", "imap", 16, 1, selected(server, say("FETCH 17 (BODY.PEEK[])"))
    yield "STORE flags of 10", "imap", 16, 2, selected(server, *flagging)
    yield "STATUS", "imap", 16, 1, signed_in(server, say("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"))
    yield "COPY one", "imap", 16, 1, selected(server, r"setup	a	a CREATE copies\r\n", say("COPY 1 copies"))
    yield "SELECT and MOVE one", "imap", 16, 2, in_own_folders(server, *back_and_forth)
    yield "APPEND, mark and EXPUNGE one", "imap", 16, 1, in_own_folders(server, r"setup	a OK	a SELECT a%u\r\n", *gone)
    yield f"SEARCH BODY in {MAILS}", "imap", 16, 1, selected(server, say("SEARCH BODY zyzzyva"))
    yield f"SORT (SUBJECT) of {MAILS}", "imap", 16, 1, selected(server, say("SORT (SUBJECT) UTF-8 ALL"))
    yield "NOOP", "imap", 16, 1, selected(server, say("NOOP"))
    yield "NOOP, 100 at once", "imap", 16, 100, selected(server, pipelined)


def run_workload(server, name, service, connections, each, script, seconds, results):
    before = cpu_seconds(server.process.pid)
    done = subprocess.run(
        [BUILD / "bench/load", "--port", str(server.port(service)), "--connections", str(connections), "--seconds", str(seconds),
         "--users", str(ACCOUNTS if "%v" in "".join(script) else READERS)],
        input="\n".join(script) + "\n", capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if done.returncode:
        results[name] = "refused: " + done.stderr.strip()[-60:]
        return
    got = json.loads(done.stdout)
    operations = got["count"] * each * (seconds + 1) / seconds  # the second of warming up too
    cpu_us = 1e6 * (cpu_seconds(server.process.pid) - before) / max(operations, 1)
    errors = f", {got['errors']} errors" if got["errors"] else ""
    results[name + ", /s (CPU, µs)"] = f"{got['per_second'] * each:,.0f} ({cpu_us:,.0f}{errors})"


# ---- what one connection sees ----


def sign_in(server, number):
    client = LineClient(server.port("imap"))
    client.imap(f"LOGIN {server.user.replace('%u', str(number))} holdfast".encode())
    return client


def fill(server, number, folder, count, content):
    """By APPEND on one connection: many in one command (RFC 3502) where the server has that, since Dovecot's single ones
    take longer with each mail that is there; pipelined where not."""
    client = sign_in(server, number)
    if folder != "INBOX":
        client.imap(f"CREATE {folder}".encode())
    client.socket.sendall(b"a CAPABILITY\r\n")
    at_once = 100 if b" MULTIAPPEND" in client.file.readline() else 1
    client.file.readline()
    literal = b" {%d+}\r\n%s" % (len(content), content)
    for at in range(0, count, 200):
        size = min(200, count - at)
        commands = [b"a APPEND %s" % folder.encode() + literal * min(at_once, size - n) + b"\r\n" for n in range(0, size, at_once)]
        client.socket.sendall(b"".join(commands))
        for _ in commands:
            answer = client.file.readline()
            while not answer.startswith(b"a "):
                answer = client.file.readline()
            assert answer.startswith(b"a OK"), answer
    client.close()


def milliseconds_of(action, times=5):
    best = 1e9
    for _ in range(times):
        started = time.monotonic()
        action()
        best = min(best, time.monotonic() - started)
    return f"{best * 1000:,.2f}"


def measure_select(server, sizes, results):
    server.start_for_filling()
    for number, size in enumerate(sizes):
        fill(server, number, "big", size, SMALL)
    server.stop()
    server.start()
    for number, size in enumerate(sizes):
        client = sign_in(server, number)
        started = time.monotonic()
        client.imap(b"SELECT big")
        results[f"SELECT of {size:,} after a start, ms"] = f"{(time.monotonic() - started) * 1000:,.2f}"
        client.imap(b"UNSELECT")
        results[f"SELECT of {size:,} again, ms"] = milliseconds_of(lambda client=client: (client.imap(b"SELECT big"), client.imap(b"UNSELECT")))
        client.close()


def measure_qresync(server, results):
    """What has changed since: the flags of 10,000 of 12,000."""
    fill(server, READERS - 1, "synced", CHANGES + 2000, SMALL)
    client = sign_in(server, READERS - 1)
    client.imap(b"ENABLE QRESYNC")
    answer = b"".join(client.imap(b"SELECT synced"))
    validity, modseq = (int(answer.split(word)[1].split(b"]")[0]) for word in (b"[UIDVALIDITY ", b"[HIGHESTMODSEQ "))
    client.imap(b"STORE 1:%d +FLAGS.SILENT (\\Seen)" % CHANGES)
    client.imap(b"UNSELECT")

    def resynchronise():
        lines = client.imap(b"SELECT synced (QRESYNC (%d %d))" % (validity, modseq))
        assert sum(b" FETCH " in line for line in lines) >= CHANGES
        client.imap(b"UNSELECT")

    results[f"QRESYNC after {CHANGES:,} changes, ms"] = milliseconds_of(resynchronise)
    client.close()


def measure_idle_notice(server, results, count=100):
    """From the delivery's OK to the line that says EXISTS, at most."""
    watching = sign_in(server, 0)
    watching.imap(b"SELECT INBOX")
    watching.socket.sendall(b"a IDLE\r\n")
    watching.file.readline()
    heard = threading.Semaphore(0)
    times = []

    def listen():
        while line := watching.file.readline():
            if b" EXISTS" in line:
                times.append(time.monotonic())
                heard.release()

    threading.Thread(target=listen, daemon=True).start()
    client = LineClient(server.port("lmtp"))
    client.lmtp(b"LHLO bench\r\n")
    waits = []
    for number in range(count):
        client.lmtp(b"MAIL FROM:<bench@example.net>\r\n")
        client.lmtp(b"RCPT TO:<%s>\r\n" % server.user.replace("%u", "0").encode())
        client.lmtp(b"DATA\r\n", b"3")
        client.lmtp(b"Subject: notice %d\r\n\r\nx\r\n.\r\n" % number)
        delivered = time.monotonic()
        if not heard.acquire(timeout=10):
            results["IDLE notice, ms (p50 / p99)"] = f"none of delivery {number} within 10 s"
            break
        waits.append(max(times[-1] - delivered, 0) * 1000)
    else:
        waits.sort()
        results["IDLE notice, ms (p50 / p99)"] = f"{statistics.median(waits):.2f} / {waits[len(waits) * 99 // 100]:.2f}"
    watching.socket.shutdown(socket.SHUT_RDWR)
    client.close()


def idle_session(server, number, tls):
    """Signed in, a mailbox selected, and silent; each ten thousand from an address of their own."""
    source = (f"127.0.{number // 10000}.1", 0)
    session = socket.create_connection(("127.0.0.1", server.port("imap_tls" if tls else "imap")), source_address=source)
    if tls:
        session = tls.wrap_socket(session, server_hostname="localhost")
    said = b""
    user = server.user.replace("%u", str(number % READERS))
    session.sendall(f"a LOGIN {user} holdfast\r\nb SELECT INBOX\r\n".encode())
    while b"\r\nb OK" not in said:
        more = session.recv(4096)
        assert more, said
        said += more
    return session


def measure_idle_memory(server, connections, results, with_tls=False):
    """On a server just started: memory that earlier work left behind would hide what a connection takes."""
    server.stop()
    server.start()
    context = server.tls_context() if with_tls else None
    sessions = [idle_session(server, n, context) for n in range(READERS)]
    time.sleep(1)
    before = memory_kib(server.process.pid)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sessions += pool.map(lambda n: idle_session(server, n, context), range(connections))
    time.sleep(1)
    kind = " with TLS" if with_tls else ""
    results[f"memory of each of {connections:,} idle sessions{kind}, KiB"] = f"{(memory_kib(server.process.pid) - before) / connections:,.1f}"
    for session in sessions:
        session.close()


def measure_many_sessions(server, quick, results):
    measure_idle_memory(server, 100 if quick else 500, results)
    if not isinstance(server, Holdfast):
        return  # a process for each
    for connections in (10000,) if quick else (10000, 100000):
        if connections + 1000 < resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
            measure_idle_memory(server, connections, results)
    if 11000 < resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        measure_idle_memory(server, 10000, results, with_tls=True)


def measure_start(server, results):
    server.stop()
    started = time.monotonic()
    if isinstance(server, Holdfast):
        server.start(wait=False)
        await_port(server.port("imap"))
    else:
        server.start()
    sign_in(server, 0).close()
    results["start, until a client has signed in, ms"] = f"{(time.monotonic() - started) * 1000:,.0f}"


def disk_kib(server):
    return sum(path.stat().st_blocks for path in server.folder.rglob("*") if path.is_file()) / 2


# ---- one server ----


def run(server, options, sizes):
    results = Results()
    print(server.name, file=sys.stderr)
    server.start()
    server.add_domain("example.org")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: server.add_user(f"user{n}@example.org"), range(ACCOUNTS)))
    body = b"".join(b"%04d lorem ipsum dolor sit amet lorem ipsum dolor sit amet\r\n" % n for n in range(280))
    before = disk_kib(server)
    for number in range(READERS):
        fill(server, number, "INBOX", MAILS, b"Subject: of %d\r\nFrom: a@example.org\r\n\r\n" % number + body)
    results["disk of a mail of 17 KiB, KiB"] = f"{(disk_kib(server) - before) / READERS / MAILS:.1f}"
    for name, service, connections, each, script in workloads(server, options.quick):
        if not options.match or options.match in name:
            run_workload(server, name, service, connections, each, script, options.seconds, results)
    measure_idle_notice(server, results)
    measure_qresync(server, results)
    measure_select(server, sizes, results)
    measure_many_sessions(server, options.quick, results)
    measure_start(server, results)
    server.stop()
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="holdfast,dovecot,maildir,cyrus", help="servers, commas between")
    parser.add_argument("--match", help="only the loads whose name contains this")
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--select", help="sizes of the mailboxes to select; 1000,10000 if quick, else 1000,100000,1000000")
    options = parser.parse_args()
    sizes = options.select or ("1000,10000" if options.quick else "1000,100000,1000000")
    sizes = [int(size) for size in sizes.split(",")]
    results = {}
    for kind in options.only.split(","):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir="/var/tmp"))
        server = SERVERS[kind](folder)
        try:
            results[server.name] = run(server, options, sizes)
        finally:
            if server.process and server.process.poll() is None:
                server.process.terminate()
                server.process.wait(60)
            shutil.rmtree(folder, ignore_errors=True)
    print("| |" + "".join(f" {name} |" for name in results))
    print("|---|" + "---|" * len(results))
    for name in dict.fromkeys(name for numbers in results.values() for name in numbers):
        print(f"| {name} |" + "".join(f" {numbers.get(name, '')} |" for numbers in results.values()))


main()
