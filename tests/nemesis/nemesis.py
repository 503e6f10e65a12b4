"""Two nodes of Holdfast over three of Cassandra and an S3 gateway, under clients, while a seeded nemesis kills, stops,
restarts and cuts off what they stand on; then all is made whole, and everything is read again. The history goes to a
file, and what the checker finds in it is told."""

import random
import signal
import threading
import time

from nemesis import aftermath, checker, history
from nemesis.clients import MAILBOXES, Deliverer, PopClient, Reader, Writer

SKEW = "10 min"


class Track(threading.Thread):
    """Faults of one kind of machine, one after the other, each put right before the next."""

    calm = (2, 5)

    def __init__(self, world, seed):
        super().__init__(daemon=True)
        self.world = world
        self.random = random.Random(f"{seed} {type(self).__name__}")
        self.stopping = threading.Event()
        self.problem = None
        self.done = []

    def run(self):
        try:
            while not self.stopping.is_set():
                for fault in self.faults():
                    if self.stopping.wait(self.random.uniform(*self.calm)):
                        return
                    fault()
        except Exception as problem:  # noqa: BLE001: told to the test, which fails
            self.problem = problem

    def shuffled(self, *faults):
        return self.random.sample(faults, len(faults))

    def hold(self, least, most):
        """How long a fault lasts: until its time is over, or all are told to stop."""
        self.stopping.wait(self.random.uniform(least, most))

    def note(self, what):
        self.world.recorder.note(what)
        self.done.append(what)


class StoreTrack(Track):
    """Cassandra's nodes."""

    def faults(self):
        """A node takes its time to start: what needs that comes last, so that a short run has the others."""
        return [*self.shuffled(self.pause, self.cut_off, self.pause_two), self.random.choice((self.kill, self.restart))]

    def node(self):
        return self.random.randint(1, self.world.cluster.total)

    def kill(self):
        node = self.node()
        self.note(f"kill -9 Cassandra {node}")
        self.world.cluster.kill(node)
        self.hold(2, 8)
        self.world.cluster.start(node)
        self.note(f"Cassandra {node} is back")

    def restart(self):
        node = self.node()
        self.note(f"restart Cassandra {node}")
        self.world.cluster.stop(node)
        self.world.cluster.start(node)
        self.note(f"Cassandra {node} is back")

    def pause(self):
        node = self.node()
        self.note(f"SIGSTOP Cassandra {node}")
        self.world.cluster.pause(node)
        self.hold(3, 10)
        self.world.cluster.resume(node)
        self.note(f"SIGCONT Cassandra {node}")

    def cut_off(self):
        node = self.node()
        others = ",".join(str(n) for n in range(1, self.world.cluster.total + 1) if n != node)
        self.note(f"cut Cassandra {node} off from {others}")
        self.world.cluster.partition(node, others)
        self.hold(4, 12)
        self.world.cluster.heal()
        self.note("links are open")

    def pause_two(self):
        nodes = self.random.sample(range(1, self.world.cluster.total + 1), 2)
        self.note(f"SIGSTOP Cassandra {nodes}")
        for node in nodes:
            self.world.cluster.pause(node)
        self.hold(2, 6)
        for node in nodes:
            self.world.cluster.resume(node)
        self.note(f"SIGCONT Cassandra {nodes}")


class ServerTrack(Track):
    """Nodes of Holdfast, their clocks, and the store of content."""

    def faults(self):
        return self.shuffled(self.kill, self.pause, self.pause_content, self.kill_content, self.skew)

    def server(self):
        number = self.random.randrange(len(self.world.servers))
        return number + 1, self.world.servers[number]

    def kill(self):
        number, server = self.server()
        self.note(f"kill -9 Holdfast {number}")
        server.kill()
        self.hold(0.5, 3)
        server.start(wait=False)  # it waits for its stores, which may be away
        self.note(f"Holdfast {number} is started")

    def pause(self):
        number, server = self.server()
        self.note(f"SIGSTOP Holdfast {number}")
        server.process.send_signal(signal.SIGSTOP)
        self.hold(2, 8)
        server.process.send_signal(signal.SIGCONT)
        self.note(f"SIGCONT Holdfast {number}")

    def pause_content(self):
        self.note("SIGSTOP S3")
        self.world.s3.pause()
        self.hold(2, 6)
        self.world.s3.resume()
        self.note("SIGCONT S3")

    def kill_content(self):
        self.note("kill -9 S3")
        self.world.s3.kill()
        self.hold(1, 4)
        self.world.s3.start()
        self.note("S3 is back")

    def skew(self):
        """The clock of one node jumps, and stays so until another's does."""
        number, _ = self.server()
        ahead = self.random.random() < 0.5
        self.note(f"the clock of Holdfast {number} is {SKEW} {'ahead' if ahead else 'behind'}")
        for other, server in enumerate(self.world.servers, 1):
            server.settings["tests.clock_ahead"] = SKEW if ahead and other == number else "0 ms"
            server.settings["tests.clock_behind"] = SKEW if not ahead and other == number else "0 ms"
            server.write_configuration()
            # One that is still starting reads it there, and might not take the signal yet.
            if server.ctl("ready", check=False).returncode == 0:
                server.process.send_signal(signal.SIGHUP)


class World:
    """What a run needs; `servers` run, and have the domain example.org. Without a cluster (None) nothing is done to
    anything."""

    def __init__(self, cluster, s3, servers, folder, seed):
        self.cluster, self.s3, self.servers, self.seed = cluster, s3, servers, seed
        self.path = folder / f"history-{seed}.jsonl"
        self.recorder = history.Recorder(self.path)
        self.accounts = [f"{name}-{seed}@example.org" for name in ("shared", "other", "pop")]
        self.clients = []

    def make_accounts(self):
        for account in self.accounts:
            self.servers[0].add_user(account)
            session = self.servers[0].imap(account)
            for mailbox in MAILBOXES[1:]:
                assert session.create(mailbox)[0] == "OK"
            session.logout()

    def make_clients(self):
        shared, other, pop = self.accounts
        kinds = [(Deliverer, shared), (Deliverer, shared), (Writer, shared), (Writer, shared), (Reader, shared)]
        kinds += [(Reader, shared), (Deliverer, other), (Writer, other), (Reader, other)]
        kinds += [(Deliverer, pop), (PopClient, pop), (Reader, pop)]
        self.clients = [
            kind(self.servers, self.recorder, f"{kind.__name__.lower()} {number}", account, self.seed)
            for number, (kind, account) in enumerate(kinds)
        ]

    # ---- the run ----

    def run(self, seconds):
        """Faults for so long, healing, everything read back; then the checker's findings."""
        self.make_accounts()
        self.make_clients()
        aftermath.ask(self, 1, "audit", final=False)
        tracks = [StoreTrack(self, self.seed), ServerTrack(self, self.seed)] if self.cluster else []
        for thread in [*self.clients, *tracks]:
            thread.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.problems(tracks):
            time.sleep(0.2)
        for thread in [*tracks, *self.clients]:
            thread.stopping.set()
        for thread in [*tracks, *self.clients]:
            thread.join(180)
            assert not thread.is_alive(), f"{thread.name} does not end"
        aftermath.heal(self)
        aftermath.read_back(self)
        self.recorder.close()
        faults = [what for track in tracks for what in track.done]
        print(f"seed {self.seed}: {sum(client.acknowledged for client in self.clients)} operations, {len(faults)} events")
        assert not self.problems(tracks), f"{self.problems(tracks)}, history {self.path}"
        return checker.check(history.load(self.path))

    def problems(self, tracks):
        return [f"{c.name}: {c.fault!r}" for c in self.clients if c.fault] + [
            f"{type(t).__name__}: {t.problem!r}" for t in tracks if t.problem
        ]
