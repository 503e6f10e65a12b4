"""The stores of a real deployment, started and mistreated by the scripts of tests/engines: a Cassandra
cluster on 127.0.0.1, 127.0.0.2, ..., an S3 gateway and RabbitMQ. What cannot start is an error, never a skipped
test."""

import contextlib
import os
import pathlib
import subprocess
import time
import uuid
from urllib.parse import quote

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import AddressTranslator, FallthroughRetryPolicy, WhiteListRoundRobinPolicy

from support import certificates

SCRIPTS = pathlib.Path(__file__).parents[1] / "engines"
PAXOS = os.environ.get("HOLDFAST_CASSANDRA_PAXOS", "v2")


class EngineError(Exception):
    """A script failed; its words."""


def run(script, *arguments, seconds=900, environment=None):
    done = subprocess.run(
        [SCRIPTS / script, *map(str, arguments)],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode != 0:
        raise EngineError(f"{script} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Translator(AddressTranslator):
    """The addresses that nodes tell of each other, as a client behind a proxy must call them."""

    def __init__(self, addresses):
        self.addresses = addresses

    def translate(self, addr):
        return self.addresses.get(addr, addr)


class Cassandra:
    """One cluster at a time: the size is fixed when it is made."""

    PORT = 9042

    def __init__(self):
        self.nodes = self.datacentres = 0
        self.paxos = PAXOS
        self.is_partitioned = False
        self.absent = set()
        self.paused = set()
        self.kept_schema = {}

    # ---- life ----

    def up(self, nodes=1, datacentres=1, paxos=PAXOS):
        """A new, empty cluster, unless such a one is up: that one is made whole again."""
        if (nodes, datacentres, paxos) == (self.nodes, self.datacentres, self.paxos):
            self.make_whole()
            return
        self._cluster("up", "--fresh", "--nodes", nodes, "--dcs", datacentres, HOLDFAST_CASSANDRA_PAXOS=paxos)
        self.nodes, self.datacentres, self.paxos = nodes, datacentres, paxos
        self.is_partitioned, self.absent, self.paused, self.kept_schema = False, set(), set(), {}
        with self.session(timeout=60) as session:
            session.execute(f"CREATE KEYSPACE whole WITH replication = {self.replication(copies=self.nodes)}")
            session.execute("CREATE TABLE whole.t (k int PRIMARY KEY)")
        self.wait_until_whole()

    def down(self):
        self._cluster("down", "--wipe")
        self.nodes = self.datacentres = 0

    def make_whole(self):
        """Every node runs, every link is open, and all see each other."""
        if not (self.is_partitioned or self.absent or self.paused):
            return
        self.heal()
        for node in sorted(self.paused):
            self.resume(node)
        for node in sorted(self.absent):
            self.start(node)
        self.wait_until_whole()

    def kill(self, node):
        """kill -9."""
        if node not in self.paused:
            self._keep_schema(node)
        self._cluster("kill", node)
        self.absent.add(node)
        self.paused.discard(node)

    def stop(self, node):
        self._cluster("stop", node)
        self.absent.add(node)
        self.paused.discard(node)

    def start(self, node):
        """Returns when the node answers."""
        self._cluster("start", node)
        self.absent.discard(node)

    def pause(self, node):
        """SIGSTOP: connections stay, nothing answers."""
        self._keep_schema(node)
        self._cluster("pause", node)
        self.paused.add(node)

    def resume(self, node):
        self._cluster("resume", node)
        self.paused.discard(node)

    def partition(self, one, other):
        """Cuts the links between nodes (1), lists of them ("2,3") or data centres ("dc1")."""
        self._cluster("partition", one, other)
        self.is_partitioned = True

    def heal(self):
        self._cluster("heal")
        self.is_partitioned = False

    def wait_until_whole(self, seconds=120):
        """Until each node takes a write and a read that need all of them."""
        end = time.monotonic() + seconds
        for node in range(1, self.total + 1):
            while True:
                try:
                    with self.session(node, level=ConsistencyLevel.ALL) as session:
                        session.execute(f"INSERT INTO whole.t (k) VALUES ({node})")
                        session.execute(f"SELECT k FROM whole.t WHERE k = {node}")
                    break
                except Exception as error:
                    if time.monotonic() > end:
                        raise EngineError(f"node {node} does not reach all the others") from error
                    time.sleep(0.5)

    def sees(self, node):
        """The other nodes that a node holds to be up."""
        # The status is no good one while a node is down.
        done = subprocess.run([SCRIPTS / "cassandra/cluster", "status"], capture_output=True, text=True, timeout=60)
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{node} "))
        return {int(name) for name in line.partition("sees:")[2].split()}

    def _keep_schema(self, node):
        """Changes of the schema are not flushed by themselves here (see the script), and a node that is killed reads
        its tables before its commit log."""
        with self.session(node, timeout=60) as session:
            version = session.execute("SELECT schema_version FROM system.local").one().schema_version
        if self.kept_schema.get(node) != version:
            self._cluster("nodetool", node, "flush", "system_schema")
            self.kept_schema[node] = version

    def _cluster(self, *arguments, **environment):
        return run("cassandra/cluster", *arguments, environment=environment)

    # ---- use ----

    @property
    def total(self):
        return self.nodes * self.datacentres

    def address(self, node):
        return f"127.0.0.{node}"

    def addresses(self):
        return [self.address(node) for node in range(1, self.total + 1)]

    def replication(self, copies=3):
        """The clause for so many copies in each data centre, or as many as it has nodes."""
        centres = ", ".join(f"'dc{n + 1}': {min(self.nodes, copies)}" for n in range(self.datacentres))
        return f"{{'class': 'NetworkTopologyStrategy', {centres}}}"

    @contextlib.contextmanager
    def session(self, node=1, level=ConsistencyLevel.LOCAL_ONE, keyspace=None, addresses=None, timeout=15, version=5):
        """A client of one node, which never retries by itself. `addresses` leads through a proxy; without a
        version the two agree on one."""
        address = (addresses or {}).get(self.address(node), self.address(node))
        profile = ExecutionProfile(
            load_balancing_policy=WhiteListRoundRobinPolicy([address]),
            retry_policy=FallthroughRetryPolicy(),
            consistency_level=level,
            request_timeout=timeout,
        )
        cluster = Cluster(
            [address],
            port=self.PORT,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            connect_timeout=timeout,
            control_connection_timeout=timeout,
            **({"protocol_version": version} if version else {}),
            address_translator=Translator(addresses or {}),
            schema_metadata_enabled=False,
        )
        try:
            yield cluster.connect(keyspace)
        finally:
            cluster.shutdown()

    @contextlib.contextmanager
    def keyspace(self):
        """The name of a new keyspace. Where there are several nodes it stays: if a hint for it is still on its way, Cassandra
        5.0.5 drops it half-way ("Unknown CF") and never agrees on a schema again."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with self.session(timeout=60) as session:
            session.execute(f"CREATE KEYSPACE {name} WITH replication = {self.replication()}")
        try:
            yield name
        finally:
            self.make_whole()
            if self.total == 1:
                with self.session(timeout=60) as session:
                    session.execute(f"DROP KEYSPACE {name}")


class Engine:
    """One process, and what its script does to it."""

    SCRIPT = ""

    def __init__(self):
        self.is_paused = self.is_absent = False

    def do(self, *arguments):
        run(f"{self.SCRIPT}/server", *arguments)

    def down(self):
        self.do("down", "--wipe")

    def make_whole(self):
        if self.is_paused:
            self.resume()
        if self.is_absent:
            self.start()

    def kill(self):
        """kill -9."""
        self.do("kill")
        self.is_absent, self.is_paused = True, False

    def start(self):
        self.do("start")
        self.is_absent = False

    def pause(self):
        self.do("pause")
        self.is_paused = True

    def resume(self):
        self.do("resume")
        self.is_paused = False


class S3(Engine):
    """The gateway, and what a test does to its objects behind the server's back."""

    ENDPOINT = "http://127.0.0.1:9000"
    REGION = "us-east-1"
    BUCKET = "holdfast"
    ACCESS_KEY = "holdfast"
    SECRET_KEY = "holdfast-secret"

    SCRIPT = "s3"

    def up(self, fresh=True):
        self.do("up", *(["--fresh"] if fresh else []))
        self.is_paused = self.is_absent = False

    def request(self, method, path, content=None):
        """Signed by curl; the body of the answer, which must be a good one."""
        command = ["curl", "-sS", "--fail-with-body", "--max-time", "30", "-X", method]
        command += ["--user", f"{self.ACCESS_KEY}:{self.SECRET_KEY}"]
        command += ["--aws-sigv4", f"aws:amz:{self.REGION}:s3", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        if content is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run(
            [*command, f"{self.ENDPOINT}/{self.BUCKET}{path}"], input=content or b"", capture_output=True, timeout=60
        )
        if done.returncode != 0:
            raise EngineError(f"{method} {path}: {done.stdout!r} {done.stderr!r}")
        return done.stdout

    def keys(self, prefix=""):
        """Every key below a prefix (the first thousand: a test has fewer)."""
        text = self.request("GET", f"?list-type=2&prefix={quote(prefix, safe='')}").decode()
        return [part.partition("</Key>")[0] for part in text.split("<Key>")[1:]]

    def remove(self, key):
        self.request("DELETE", f"/{key}")

    def put(self, key, content):
        self.request("PUT", f"/{key}", content)

    def get(self, key):
        return self.request("GET", f"/{key}")


class RabbitMQ(Engine):
    """One broker, which speaks TLS too, with a certificate for 127.0.0.1 and for broker.example by `ca`."""

    HOST = "127.0.0.1:5781"
    TLS_HOST = "127.0.0.1:5791"

    SCRIPT = "rabbitmq"

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.ca = self.folder / "ca.pem"

    def up(self):
        certificates.make(self.folder, "broker.example")
        self.do("up", "--fresh", "--tls", self.folder)
        self.is_paused = self.is_absent = False

    def wipe(self):
        """Of a broker that is down: it has never known anything."""
        self.do("wipe")

    def evaluate(self, expression):
        """In the broker's own language."""
        self.do("ctl", "1", "eval", expression)
