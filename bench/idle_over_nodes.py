"""How soon a session in IDLE hears of mail that another node took: two nodes over a real Cassandra and a real RabbitMQ,
while a third process publishes hints at an even rate. bench/idle runs it; prints a line of JSON.

    idle_over_nodes.py [--events 1000] [--mails 200] [--every 0.05]

Counted from the answer to the delivery, which is when the sender knows, until the line comes."""

import argparse
import contextlib
import json
import pathlib
import re
import statistics
import subprocess
import tempfile
import threading
import time
import uuid

from support.engines import Cassandra, RabbitMQ
from support.nodes import Nodes
from support.patience import until
from support.server import BUILD

USER = "alice@example.org"
MAIL = "From: a@example.net\r\nSubject: {}\r\n\r\nbody\r\n"


def publish_evenly(prefix, rate, is_over):
    """Hints of accounts that nobody asks for; how many were published."""
    words = [BUILD / "tests/engines/bus_node", f"hosts={RabbitMQ.HOST}", f"prefix={prefix}"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    begun, published = time.monotonic(), 0
    while not is_over.wait(0.01):
        due = int((time.monotonic() - begun) * rate)
        process.stdin.write("".join(f"publish {uuid.uuid4()} {n + 1}\n" for n in range(published, due)))
        process.stdin.flush()
        published = due
    process.stdin.close()
    process.wait(30)
    return published


class Idler:
    def __init__(self, server):
        self.client = server.imap(USER)
        self.client.select("INBOX")
        self.client.send(self.client._new_tag() + b" IDLE\r\n")
        assert self.client.readline().startswith(b"+")
        self.heard = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with contextlib.suppress(OSError, ValueError):
            while line := self.client.readline():
                if found := re.match(rb"\* (\d+) EXISTS", line):
                    self.heard[int(found.group(1))] = time.monotonic()

    def heard_at(self, count):
        """When it heard of so many, or of more."""
        return min((at for heard, at in list(self.heard.items()) if heard >= count), default=None)


def deliver_and_listen(one, other, mails, every):
    before = one.folders(USER)["INBOX"]["messages"]
    idler = Idler(one)
    answered = []
    with other.lmtp() as client:
        client.ehlo()
        for number in range(mails):
            client.sendmail("a@example.net", [USER], MAIL.format(number))
            answered.append(time.monotonic())
            time.sleep(every)
    until(lambda: idler.heard_at(before + mails))
    waits = sorted(max(0.0, idler.heard_at(before + n + 1) - at) for n, at in enumerate(answered))
    return {
        "mails": mails,
        "p50_ms": round(statistics.median(waits) * 1000, 1),
        "p99_ms": round(waits[len(waits) * 99 // 100] * 1000, 1),
        "max_ms": round(waits[-1] * 1000, 1),
    }


def measure(folder, cluster, events, mails, every):
    prefix = f"bench-{uuid.uuid4().hex}"
    is_over, counted = threading.Event(), []
    with cluster.keyspace() as keyspace, contextlib.closing(Nodes(folder, cluster, keyspace)) as nodes:
        nodes.make_schema()
        # Polling alone would take much longer than a hint does.
        one, other = (nodes.start(bus__hosts=RabbitMQ.HOST, bus__prefix=prefix, bus__poll_interval="20 s") for _ in "ab")
        one.add_domain("example.org")
        one.add_user(USER)
        for server in (one, other):
            until(lambda server=server: "connected since" in server.ctl_json("status")["bus"])
        deliver_and_listen(one, other, 10, every)
        begun = time.monotonic()
        publisher = threading.Thread(target=lambda: counted.append(publish_evenly(prefix, events, is_over)))
        publisher.start()
        result = deliver_and_listen(one, other, mails, every)
        seconds = time.monotonic() - begun
        is_over.set()
        publisher.join()
        return {"events_per_second": round(counted[0] / seconds), **result}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--events", type=int, default=1000)
    arguments.add_argument("--mails", type=int, default=200)
    arguments.add_argument("--every", type=float, default=0.05)
    asked = arguments.parse_args()
    cluster = Cassandra()
    with tempfile.TemporaryDirectory() as folder:
        broker = RabbitMQ(pathlib.Path(folder) / "broker")
        broker.folder.mkdir()
        try:
            cluster.up(1, 1)
            broker.up()
            print(json.dumps(measure(pathlib.Path(folder), cluster, asked.events, asked.mails, asked.every)))
        finally:
            broker.down()
            cluster.down()


if __name__ == "__main__":
    main()
