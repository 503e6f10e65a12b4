"""Real clients against two nodes over three of Cassandra and S3, while a nemesis has its way with all of them."""

import os
import random

import pytest

from engines.test_s3 import settings
from nemesis.checker import report
from nemesis.nemesis import World
from support.nodes import Nodes

# So long go the faults of each run, and this is the random one's seed: `tools/nemesis` tells others.
SECONDS = float(os.environ.get("HOLDFAST_NEMESIS_SECONDS", "30"))
SEED = int(os.environ.get("HOLDFAST_NEMESIS_SEED", "0")) or random.randrange(1, 1 << 30)


@pytest.fixture(scope="module")
def servers(cluster, gateway, tmp_path_factory):
    """Two nodes that share rows and content; they stay for all runs."""
    cluster.up(3, 1)
    folder = tmp_path_factory.mktemp("nemesis")
    with cluster.keyspace() as keyspace:
        nodes = Nodes(folder, cluster, keyspace)
        nodes.make_schema()
        content = {name.replace(".", "__"): value for name, value in settings(folder).items()}
        try:
            for _ in range(2):
                nodes.start(**content)
            nodes.servers[0].add_domain("example.org")
            yield nodes.servers
            nodes.close()
        finally:
            for server in nodes.servers:
                if server.is_running():
                    server.kill()


@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("seed", [1, SEED])
def test_what_is_promised_holds_under_faults(cassandra_3, s3, servers, tmp_path, seed):
    world = World(cassandra_3, s3, servers, tmp_path, seed)
    violations = world.run(SECONDS)
    assert not violations, f"seed {seed}, history {world.path}\n{report(violations)}"
