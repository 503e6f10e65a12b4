"""The event bus over a real RabbitMQ: hints arrive at once while it is well, and while it is not nothing fails, nothing
waits, and all comes back by itself."""

import os
import queue
import re
import subprocess
import threading
import time
import uuid

import pytest

from support.nodes import Nodes
from support.patience import until
from support.receiver import Receiver
from support.server import BUILD, Server

PATIENCE = 60  # seconds, where something must happen by itself


class Node:
    """A process with one node of a bus."""

    def __init__(self, *arguments, **settings):
        words = [*arguments, *(f"{name}={value}" for name, value in settings.items())]
        self.process = subprocess.Popen(
            [BUILD / "tests/engines/bus_node", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.heard = queue.Queue()
        self.kept = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.heard.put(line.strip())

    def tell(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines))
        self.process.stdin.flush()

    def hear(self, pattern, seconds=PATIENCE):
        """The first line that matches; the others are kept for who asks for them."""
        end = time.monotonic() + seconds
        for number, line in enumerate(self.kept):
            if re.match(pattern, line):
                return self.kept.pop(number)
        while not re.match(pattern, line := self.heard.get(timeout=max(end - time.monotonic(), 0.001))):
            self.kept.append(line)
        return line

    def status(self):
        self.tell("status")
        return self.hear("status ")

    def wait_for(self, pattern, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while not re.search(pattern, status := self.status()):
            assert time.monotonic() < end, status
            time.sleep(0.02)
        return status

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(20)
        said = self.process.stderr.read()
        assert code == 0 and "Sanitizer" not in said and "runtime error" not in said, said


@pytest.fixture
def nodes(rabbitmq):
    """Makes nodes of one bus, which nobody else uses."""
    prefix = f"test-{uuid.uuid4().hex}"
    made = []

    def new(*arguments, hosts=rabbitmq.HOST, **settings):
        made.append(Node(*arguments, hosts=hosts, prefix=prefix, **settings))
        return made[-1]

    new.prefix = prefix
    yield new
    for node in made:
        node.close()


def account():
    return str(uuid.uuid4())


def test_every_bus_s_suite_passes_over_the_broker(rabbitmq):
    environment = {**os.environ, "HOLDFAST_RABBITMQ": rabbitmq.HOST}
    done = subprocess.run([BUILD / "src/test_bus_rabbitmq"], env=environment, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "runtime error" not in said, said
    assert sum(map(int, re.findall(r"PASSED  \] (\d+) test", said))) >= 16


def test_a_paused_broker_holds_up_nobody_and_nothing_is_lost(nodes, rabbitmq):
    watcher, publisher = nodes(), nodes()
    watched = [account() for _ in range(50)]
    watcher.tell(*(f"watch {name}" for name in watched))
    for node in (watcher, publisher):
        node.wait_for("connected live")
    publisher.tell(f"publish {watched[0]} 1")
    watcher.hear(f"changed {watched[0]} 1")
    rabbitmq.pause()
    # More than the window and the sockets between take.
    began = time.monotonic()
    publisher.tell(*(f"publish {account()} {n + 1}" for n in range(3000)))
    publisher.tell(*(f"publish {name} 1000000" for name in watched))
    publisher.status()
    assert time.monotonic() - began < 5
    for node in (watcher, publisher):
        node.wait_for(" mute ")
    rabbitmq.resume()
    heard = {watcher.hear("changed .* 1000000$").split()[1] for _ in watched}
    assert heard == set(watched)
    for node in (watcher, publisher):
        node.wait_for("connected live waiting 0 unconfirmed 0")


def test_a_broker_that_is_killed_and_loses_everything_is_taken_up_again(nodes, rabbitmq):
    watched = account()
    # As on nodes of one installation: each that publishes is in the group, too, so that its queue is there.
    watcher, worker, publisher = nodes(), nodes("group=index"), nodes("group=index")
    watcher.tell(f"watch {watched}")
    for node in (watcher, worker, publisher):
        node.wait_for("connected live")
    watcher.hear("missed")
    worker.hear("work-missed")
    rabbitmq.kill()
    for node in (watcher, worker, publisher):
        node.wait_for("disconnected mute")
    names = {account() for _ in range(300)}
    publisher.tell(*(f"publish {name} 1" for name in names))
    publisher.wait_for("waiting 300 ", seconds=5)
    rabbitmq.wipe()
    rabbitmq.start()
    for node in (watcher, worker, publisher):
        node.wait_for("connected live waiting 0 unconfirmed 0")
    # What happened meanwhile is looked for; what waited and what happens now is told.
    watcher.hear("missed")
    worker.hear("work-missed")
    taken = set()
    end = time.monotonic() + PATIENCE
    while taken != names and time.monotonic() < end:
        for node in (worker, publisher):
            node.status()  # what was heard until now is kept
            taken |= {line.split()[1] for line in node.kept if line.startswith("take ")}
    assert taken == names
    publisher.tell(f"publish {watched} 7")
    watcher.hear(f"changed {watched} 7")


def test_work_under_way_when_a_node_is_killed_is_given_to_another(nodes):
    keeper, publisher = nodes("group=index", "keep"), nodes()
    names = [account() for _ in range(10)]
    for node in (keeper, publisher):
        node.wait_for("connected live")
    publisher.tell(*(f"publish {name} 1" for name in names))
    for _ in names:
        keeper.hear("take ")
    other = nodes("group=index")
    other.wait_for("connected live")
    assert not any(line.startswith("take") for line in other.kept)
    keeper.process.kill()
    keeper.process.wait()
    keeper.close = lambda: None
    assert {other.hear("take ").split()[1] for _ in names} == set(names)


def test_a_broker_that_confirms_nothing_is_not_live(nodes, rabbitmq):
    """It answers, and the queue of a group does not: as when that has no majority of its brokers. So no hint is sure to come."""
    worker, publisher = nodes("group=index"), nodes()
    for node in (worker, publisher):
        node.wait_for("connected live")
    name = account()
    rabbitmq.evaluate(f"sys:suspend('%2F_{nodes.prefix}.index').")
    publisher.tell(f"publish {name} 1")
    publisher.wait_for("connected mute waiting 0 unconfirmed 1")
    rabbitmq.evaluate(f"sys:resume('%2F_{nodes.prefix}.index').")
    worker.hear(f"take {name} 1")
    publisher.wait_for("connected live waiting 0 unconfirmed 0")


def test_a_host_that_is_down_is_passed_over(nodes, rabbitmq):
    nodes(hosts=f"127.0.0.1:1, {rabbitmq.HOST}, [::1]:1").wait_for("connected live", seconds=20)


def test_tls_wants_the_right_name_and_the_right_authority(nodes, rabbitmq, tmp_path):
    port = rabbitmq.TLS_HOST.partition(":")[2]
    nodes(hosts=rabbitmq.TLS_HOST, tls="yes", tls_ca=rabbitmq.ca).wait_for("connected live", seconds=20)
    misnamed = nodes(hosts=f"localhost:{port}", tls="yes", tls_ca=rabbitmq.ca)
    untrusting = nodes(hosts=rabbitmq.TLS_HOST, tls="yes")
    for node in (misnamed, untrusting):
        node.wait_for("disconnected mute .*(verif|hostname|SSL|certificate)", seconds=20)
        time.sleep(0.5)
        assert "disconnected" in node.status()


def test_a_wrong_password_is_told(nodes, tmp_path):
    (tmp_path / "password").write_text("wrong\n")
    node = nodes(user="guest", password_file=tmp_path / "password")
    node.wait_for("disconnected mute .*logging in", seconds=20)


# ---- The server ----


def metric(server, name):
    found = re.search(rf"^holdfast_{name} (\d+)$", server.ctl("metrics").stdout, re.MULTILINE)
    return int(found.group(1))


def findings(server):
    return " ".join(server.ctl_json("health")["findings"])


def is_live(server):
    status = server.ctl_json("status")["bus"]
    return "connected since" in status and "not" not in status


MAIL = "From: a@example.net\r\nSubject: {}\r\n\r\nbody\r\n"


def test_a_server_takes_mail_as_quickly_while_the_broker_hangs(rabbitmq, tmp_path):
    settings = {"bus.hosts": rabbitmq.HOST, "bus.prefix": f"test-{uuid.uuid4().hex}"}
    with Server(tmp_path, settings) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        until(lambda: "connected since" in server.ctl_json("status")["bus"])
        server.deliver(MAIL.format("one"))
        # No other node is there: it is work for this one.
        until(lambda: metric(server, "bus_confirmed_total") > 0 and metric(server, "bus_received_total") > 0)
        assert "bus" not in findings(server)
        rabbitmq.pause()
        began = time.monotonic()
        for number in range(20):
            server.deliver(MAIL.format(number))
        assert time.monotonic() - began < 10
        until(lambda: "the event bus" in findings(server), seconds=30)
        assert "does not answer" in server.ctl_json("status")["bus"]
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 15
        rabbitmq.resume()


def test_a_session_in_idle_makes_its_node_listen_and_is_woken(rabbitmq, nodes, tmp_path):
    other = nodes()
    settings = {"bus.hosts": rabbitmq.HOST, "bus.prefix": nodes.prefix}
    with Server(tmp_path, settings) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        server.deliver(MAIL.format("one"))
        name = re.search(r"mail-delivered .*account=(\S+)", server.log_text()).group(1)
        until(lambda: is_live(server))
        other.wait_for("connected live")
        other.tell(f"publish {name} 1")
        other.wait_for("waiting 0 unconfirmed 0")
        assert metric(server, "watched_account_hints_total") == 0
        idler = Idler(server, "alice@example.org")
        # The first one is the bus's own: what came before it listened is to be looked for.
        until(lambda: metric(server, "watched_account_hints_total") == 1)
        other.tell(f"publish {name} 2")
        until(lambda: metric(server, "watched_account_hints_total") == 2)
        idler.close()


# ---- Two servers over Cassandra ----


class Idler:
    """A session in IDLE that is told of new mail."""

    def __init__(self, server, user):
        self.client = server.imap(user)
        self.client.select("INBOX")
        self.client.send(self.client._new_tag() + b" IDLE\r\n")
        assert self.client.readline().startswith(b"+")

    def seconds_until(self, count, began, patience=PATIENCE):
        """From `began` until it hears that so many are there."""
        self.client.sock.settimeout(patience)
        while not re.match(rb"\* %d EXISTS" % count, line := self.client.readline()):
            assert line, "the session ended"
        return time.monotonic() - began

    def close(self):
        self.client.send(b"DONE\r\n")
        self.client.shutdown()


# Polling alone would take this long, so that a notice well below it came over the bus.
BUS_POLL = 20


@pytest.fixture
def receiver():
    made = Receiver(b"key")
    yield made
    made.close()


@pytest.fixture
def pair(cassandra, rabbitmq, receiver, tmp_path):
    """Two servers over one keyspace and one bus, which tell one receiver what is delivered."""
    (tmp_path / "key").write_text("key")
    (tmp_path / "hooks").write_text(f"one {receiver.url}/ {tmp_path}/key delivered\n")
    with cassandra.keyspace() as keyspace:
        nodes = Nodes(tmp_path, cassandra, keyspace)
        nodes.make_schema()
        prefix = f"test-{uuid.uuid4().hex}"
        try:
            for _ in range(2):
                nodes.start(
                    bus__hosts=rabbitmq.HOST,
                    bus__prefix=prefix,
                    bus__poll_interval=f"{BUS_POLL} s",
                    bus__reconnect_max="1 s",
                    node__poll_interval="1 s",
                    webhook__hooks=tmp_path / "hooks",
                    consumer__sweep_interval="3 s",
                )
            nodes.servers[0].add_domain("example.org")
            nodes.servers[0].add_user("alice@example.org")
            yield nodes.servers
        except BaseException:
            for server in nodes.servers:
                if server.is_running():
                    server.kill()
            raise
        else:
            nodes.close()


def test_idle_hears_of_another_node_s_mail_at_once_and_by_polling_while_the_broker_is_away(pair, rabbitmq):
    one, other = pair
    for server in pair:
        until(lambda server=server: is_live(server))
    idler = Idler(one, "alice@example.org")
    count = 0

    def deliver():
        nonlocal count
        count += 1
        began = time.monotonic()
        other.deliver(MAIL.format(count))
        assert time.monotonic() - began < 10
        return idler.seconds_until(count, began)

    deliver()  # the first one warms everything up
    assert min(deliver() for _ in range(5)) < BUS_POLL / 10

    # Paused: it takes some seconds to be noticed, then polling goes by its own interval again.
    rabbitmq.pause()
    until(lambda: "the event bus" in findings(one))
    assert deliver() < BUS_POLL / 2
    rabbitmq.resume()
    until(lambda: all(map(is_live, pair)))
    assert min(deliver() for _ in range(3)) < BUS_POLL / 10

    # Killed, and come back as one that has never known anything.
    rabbitmq.kill()
    until(lambda: not is_live(one))
    assert deliver() < BUS_POLL / 2
    rabbitmq.wipe()
    rabbitmq.start()
    until(lambda: all(map(is_live, pair)))
    assert min(deliver() for _ in range(3)) < BUS_POLL / 10
    assert one.log_text().count("bus-not-connected") <= 3
    idler.close()


def test_a_consumer_hears_of_all_whatever_becomes_of_hints_and_nodes(pair, rabbitmq, receiver):
    one, other = pair
    for server in pair:
        until(lambda server=server: is_live(server))
    delivered = 0

    def deliver(server, count):
        nonlocal delivered
        for _ in range(count):
            delivered += 1
            server.deliver(MAIL.format(delivered))

    def is_all_told():
        # As often as it likes, but each of them.
        told = {change["uid"] for body, _, _ in receiver.of("/", "alice@example.org") for change in body["changes"]}
        return told == set(range(1, delivered + 1))

    deliver(one, 5)
    deliver(other, 5)
    until(is_all_told)
    # The group gave each to one node: both at once would be two requests for each.
    assert len(receiver.events) < 2 * delivered

    rabbitmq.pause()
    deliver(one, 5)
    deliver(other, 5)
    until(is_all_told)
    rabbitmq.kill()
    deliver(one, 3)
    until(is_all_told)

    # No broker, and the node that knows of them goes between commit and publish.
    until(lambda: not is_live(other))
    deliver(other, 3)
    other.kill()
    until(is_all_told)
    until(lambda: all(row["waiting"] == 0 for row in one.ctl_json("consumer", "list")["consumers"]))
    other.start()
    rabbitmq.wipe()
    rabbitmq.start()
    for server in pair:
        until(lambda server=server: is_live(server))
    deliver(other, 3)
    until(is_all_told)
