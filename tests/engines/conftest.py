"""Fixtures for tests on real engines. Each size of Cassandra's cluster is started once in a run: the tests
are put into that order. A test gets its cluster whole, whatever the one before did to it."""

import pytest

from support.engines import S3, Cassandra, RabbitMQ, run

# Nodes, data centres, and the Paxos that they speak where it is not the one of every other.
SIZES = {"cassandra": (1, 1), "cassandra_v1": (1, 1, "v1"), "cassandra_3": (3, 1), "cassandra_2x3": (3, 2)}


def pytest_collection_modifyitems(items):
    """Tests without a cluster first, then by its size; in each size as they stand in their files."""
    sizes = list(SIZES)
    items.sort(key=lambda item: max((sizes.index(name) for name in item.fixturenames if name in SIZES), default=-1))


@pytest.fixture(scope="session")
def cluster():
    """The one cluster that there is, of no size yet."""
    cluster = Cassandra()
    yield cluster
    cluster.down()


@pytest.fixture(scope="session")
def gateway():
    gateway = S3()
    gateway.up()
    yield gateway
    gateway.down()


@pytest.fixture
def cassandra(cluster):
    """One node, one data centre."""
    cluster.up(*SIZES["cassandra"])
    return cluster


@pytest.fixture
def cassandra_3(cluster):
    """Three nodes in one data centre."""
    cluster.up(*SIZES["cassandra_3"])
    return cluster


@pytest.fixture
def cassandra_v1(cluster):
    """One node, with Cassandra's older Paxos."""
    cluster.up(*SIZES["cassandra_v1"])
    return cluster


@pytest.fixture
def cassandra_2x3(cluster):
    """Two data centres of three nodes each: dc1 is nodes 1 to 3, dc2 is 4 to 6."""
    cluster.up(*SIZES["cassandra_2x3"])
    return cluster


@pytest.fixture
def keyspace(request):
    """The name of a new keyspace in the cluster that the test asked for."""
    cluster = next(request.getfixturevalue(name) for name in SIZES if name in request.fixturenames)
    with cluster.keyspace() as name:
        yield name


@pytest.fixture
def s3(gateway):
    gateway.make_whole()
    yield gateway
    gateway.make_whole()


@pytest.fixture(scope="module")
def opensearch_engine():
    """One that no other module has written to."""
    run("opensearch/server", "up", "--fresh")
    yield
    run("opensearch/server", "down", "--wipe")


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    broker = RabbitMQ(tmp_path_factory.mktemp("broker"))
    broker.up()
    yield broker
    broker.down()


@pytest.fixture
def rabbitmq(broker):
    broker.make_whole()
    yield broker
    broker.make_whole()
