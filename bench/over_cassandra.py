"""Holdfast over a real Cassandra and S3, and beside it, in the same run, what these stores give alone: see
bench/cassandra."""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from support.engines import S3, Cassandra
from support.nodes import cassandra_settings
from support.server import BUILD, Server

ACCOUNTS = 1000
FOLDERS = 200
MAIL = 20 << 10
ROOMY = {
    "session.connections_per_account": 10000,
    "net.max_connections_per_address": 10000,
    "session.commands_per_second": 1000000,
    "search.index": "none",  # over Cassandra there is none either
}
GREETING = "setup\t* OK\t"
SMALL = r"Subject: small\r\nFrom: a@example.org\r\n\r\nhello\r\n"
SMALL_SIZE = len(SMALL.encode().decode("unicode_escape"))


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- what is asked ----


def login(user):
    return [GREETING, rf"setup	a OK	a LOGIN {user}@example.org holdfast\r\n"]


def lmtp(recipient):
    return [
        "setup\t220\t",
        r"setup	250	LHLO bench\r\n",
        r"loop	250	MAIL FROM:<bench@example.net>\r\n",
        rf"loop	250	RCPT TO:<{recipient}@example.org>\r\n",
        r"loop	354	DATA\r\n",
        rf"loop	250	Subject: %n\r\nMessage-ID: <%n@bench>\r\n\r\n%b{MAIL};.\r\n",
    ]


def append(user):
    mail = r"Subject: appended\r\n\r\n" + "x" * 76 + r"\r\n"
    mail += (r"lorem ipsum dolor sit amet lorem ipsum dolor sit amet lorem ipsum dolor si\r\n") * (MAIL // 76)
    size = len(mail.encode().decode("unicode_escape"))
    return [*login(user), rf"loop	a OK	a APPEND INBOX {{{size}+}}\r\n{mail}\r\n"]


def in_own_folder(user, *loop):
    """Each connection in a folder of its own, so that nobody is told of what the others do."""
    return [
        *login(user),
        r"setup	a	a CREATE own%u\r\n",
        rf"setup	a OK	a APPEND own%u {{{SMALL_SIZE}+}}\r\n{SMALL}\r\n",
        r"setup	a OK	a SELECT own%u\r\n",
        *loop,
    ]


FLAGGING = (r"loop	a OK	a STORE 1 +FLAGS.SILENT (\\Flagged)\r\n", r"loop	a OK	a STORE 1 -FLAGS.SILENT (\\Flagged)\r\n")


def load(server, service, connections, script, seconds, users=None):
    done = subprocess.run(
        [BUILD / "bench/load", "--port", str(server.port(service)), "--connections", str(connections),
         "--seconds", str(seconds), "--users", str(users or connections)],
        input="\n".join(script) + "\n", capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if done.stderr:
        say(done.stderr.strip())
    return json.loads(done.stdout)


# ---- the stores alone ----


def bare(what, threads, partitions, size, seconds, cluster, gateway):
    stores = []
    if what != "put":
        stores += [cluster.address(1), "dc1", str(min(cluster.nodes, 3))]
    if "put" in what:
        stores += [S3.ENDPOINT, S3.BUCKET, S3.ACCESS_KEY, str(gateway.secret_file)]
    done = subprocess.run(
        [BUILD / "bench/bare_store", what, str(threads), str(seconds), str(partitions), str(size), *stores],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if done.stderr:
        say(done.stderr.strip())
    return json.loads(done.stdout)


# ---- processor time ----


def cpu_seconds(match):
    """Of all processes whose command line contains one of the words."""
    total = 0
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = process.joinpath("cmdline").read_bytes().decode(errors="replace")
            if any(word in line for word in match):
                fields = process.joinpath("stat").read_text().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


STORES = ("CassandraDaemon", "versitygw")


class Table:
    """Rows by name, a column for each set-up; said as they come."""

    def __init__(self):
        self.columns, self.rows = [], {}

    def add(self, column, name, value):
        if column not in self.columns:
            self.columns.append(column)
        self.rows.setdefault(name, {})[column] = value
        say(f"  {name}: {value}")

    def print(self):
        print("| |" + "".join(f" {column} |" for column in self.columns))
        print("|---|" + "---|" * len(self.columns))
        for name, values in self.rows.items():
            print(f"| {name} |" + "".join(f" {values.get(column, '')} |" for column in self.columns))


def rate(result):
    errors = f" ({result['errors']} errors)" if result["errors"] else ""
    return f"{result['per_second']:,.0f}{errors}"


def rate_and_latency(result, each=1):
    """each: commands in a loop."""
    errors = f", {result['errors']} errors" if result["errors"] else ""
    p50, p99 = (result[name] / each / 1000 for name in ("p50_us", "p99_us"))
    return f"{result['per_second'] * each:,.0f} ({p50:,.1f} / {p99:,.1f}{errors})"


def ratio(table, column, name, part, whole):
    table.add(column, name, f"{100 * part / whole:.0f} %" if whole else "")


def add_users(server):
    server.add_domain("example.org")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: server.add_user(f"user{n}@example.org"), range(ACCOUNTS)))
    server.add_user("hot@example.org")
    server.add_user("many@example.org")


def measure_reads(table, column, server, seconds):
    """On whatever engine: what is answered from snapshots."""
    client = server.imap("many@example.org")
    for number in range(FOLDERS):
        client.create(f"folder{number}")
    for number in range(300):
        client.append("INBOX", None, None, f"Subject: {number}\r\n\r\n".encode() + b"x" * 2000)
    client.logout()
    selected = [*login("many"), r"setup	a OK	a SELECT INBOX\r\n"]
    for name, script in (
        ("FETCH of 300 messages' flags", [*selected, r"loop	a OK	a FETCH 1:* (UID FLAGS)\r\n"]),
        ("FETCH of a body", [*selected, r"loop	a OK	a FETCH 17 (BODY.PEEK[])\r\n"]),
        ("SELECT", [*login("many"), r"loop	a OK	a SELECT INBOX\r\n"]),
        (f"LIST with STATUS of {FOLDERS}", [*login("many"), r'loop	a OK	a LIST "" "*" RETURN (STATUS (MESSAGES UNSEEN))\r\n']),
    ):
        result = load(server, "imap", 16, script, seconds)
        table.add(column, f"{name}, /s (p50 / p99, ms)", rate_and_latency(result))


def measure_writes(table, column, server, seconds):
    """The rates of mail and of changes, by name."""
    rates = {}
    for connections in (1, 16, 64):
        before, stores_before = cpu_seconds([str(server.config)]), cpu_seconds(STORES)
        result = load(server, "lmtp", connections, lmtp("user%v"), seconds, ACCOUNTS)
        mails = result["count"] * (seconds + 1) / seconds  # the second of warming up too
        table.add(column, f"LMTP into {ACCOUNTS:,} accounts, {connections} connections, mails/s (p50 / p99, ms)", rate_and_latency(result))
        if connections == 64 and mails:
            table.add(column, "Holdfast's CPU per mail, µs", f"{1e6 * (cpu_seconds([str(server.config)]) - before) / mails:,.0f}")
            table.add(column, "the stores' CPU per mail, µs", f"{1e6 * (cpu_seconds(STORES) - stores_before) / mails:,.0f}")
        rates[f"mail {connections}"] = result["per_second"]
    result = load(server, "lmtp", 64, lmtp("hot"), seconds)
    table.add(column, "LMTP into one account, 64 connections, mails/s (p50 / p99, ms)", rate_and_latency(result))
    rates["hot mail"] = result["per_second"]
    result = load(server, "imap", 16, append("user%u"), seconds)
    table.add(column, "APPEND, 16 accounts, /s (p50 / p99, ms)", rate_and_latency(result))
    result = load(server, "imap", 16, in_own_folder("user%u", *FLAGGING), seconds)
    table.add(column, "STORE, 16 accounts, /s (p50 / p99, ms)", rate_and_latency(result, 2))
    result = load(server, "imap", 64, in_own_folder("user%u", *FLAGGING), seconds)
    table.add(column, "STORE, 64 accounts, /s (p50 / p99, ms)", rate_and_latency(result, 2))
    rates["changes"] = result["per_second"] * 2
    result = load(server, "imap", 256, in_own_folder("hot", *FLAGGING), seconds)
    table.add(column, "STORE, one account, 256 connections, /s (p50 / p99, ms)", rate_and_latency(result, 2))
    return rates


def run_embedded(table, folder, seconds):
    with Server(folder, ROOMY) as server:
        server.start()
        add_users(server)
        measure_writes(table, "embedded", server, seconds)
        measure_reads(table, "embedded", server, seconds)


def s3_settings(gateway, folder):
    return {
        "content.store": "s3",
        "s3.endpoint": S3.ENDPOINT,
        "s3.region": S3.REGION,
        "s3.bucket": S3.BUCKET,
        "s3.prefix": f"{folder.name}/",
        "s3.access_key": S3.ACCESS_KEY,
        "s3.secret_file": gateway.secret_file,
    }


def run_over(table, nodes, paxos, gateway, folder, seconds):
    column = f"RF {nodes}, paxos {paxos}"
    say(column)
    os.environ["HOLDFAST_CASSANDRA_PAXOS"] = paxos
    os.environ["HOLDFAST_CASSANDRA_JIT"] = "full"
    cluster = Cassandra()
    cluster.up(nodes)
    try:
        # Not counted: a young JVM is slow, and what is measured first would look bad beside the rest.
        bare("cas", 64, 1024, 300, 3 * seconds, cluster, gateway)
        alone = {}
        for name, what, threads, partitions, size in (
            ("conditional batch, 64 of 1,024 accounts", "cas", 64, 1024, 300),
            ("conditional batch, one account", "cas", 1, 1, 300),
            ("insert at the local quorum", "insert", 64, 1024, 300),
            ("put of 20 KiB", "put", 64, 1024, MAIL),
            ("put and insert", "put+insert", 64, 1024, MAIL),
        ):
            alone[name] = bare(what, threads, partitions, size, seconds, cluster, gateway)
            table.add(column, f"alone: {name}, /s (p50 / p99, ms)", rate_and_latency(alone[name]))
        settings = {**cassandra_settings(cluster, "bench"), **s3_settings(gateway, folder), **ROOMY}
        with Server(folder, settings) as server:
            server.write_configuration()
            server.ctl("--config", server.config, "schema", "create")
            server.start()
            add_users(server)
            rates = measure_writes(table, column, server, seconds)
            measure_reads(table, column, server, seconds)
        batch = alone["conditional batch, 64 of 1,024 accounts"]["per_second"]
        ratio(table, column, "mail of 64 connections / conditional batches alone", rates["mail 64"], batch)
        ratio(table, column, "STORE in 64 accounts / conditional batches alone", rates["changes"], batch)
        ratio(table, column, "mail into one account / put and insert alone", rates["hot mail"], alone["put and insert"]["per_second"])
    finally:
        cluster.down()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--set-ups", default="embedded,1:v2,1:v1,3:v2,3:v1", help="embedded, or NODES:PAXOS, with commas")
    options = parser.parse_args()
    table = Table()
    gateway = S3()
    gateway.up()
    try:
        for name in options.set_ups.split(","):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-", dir="/var/tmp"))
            gateway.secret_file = folder / "s3.secret"
            gateway.secret_file.write_text(S3.SECRET_KEY + "\n")
            started = time.monotonic()
            if name == "embedded":
                run_embedded(table, folder, options.seconds)
            else:
                nodes, paxos = name.split(":")
                run_over(table, int(nodes), paxos, gateway, folder, options.seconds)
            say(f"{name} took {time.monotonic() - started:.0f} s")
            shutil.rmtree(folder)
    finally:
        gateway.down()
        table.print()


main()
