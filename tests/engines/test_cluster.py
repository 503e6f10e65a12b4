"""The cluster does what the tests that stand on it take for granted, and so does the gateway."""

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut, ReadTimeout, Unavailable, WriteTimeout
from cassandra.cluster import NoHostAvailable

from support.engines import EngineError

TOO_FEW = (Unavailable, WriteTimeout, ReadTimeout, OperationTimedOut, NoHostAvailable)


def table(cluster, keyspace):
    with cluster.session(timeout=60) as session:
        session.execute(f"CREATE TABLE {keyspace}.t (k int PRIMARY KEY, v text)")


def insert(cluster, keyspace, key, node=1, level=ConsistencyLevel.QUORUM):
    with cluster.session(node, level=level) as session:
        session.execute(f"INSERT INTO {keyspace}.t (k, v) VALUES ({key}, 'x')")


def stored(cluster, keyspace, node=1, level=ConsistencyLevel.QUORUM):
    with cluster.session(node, level=level) as session:
        return sorted(row.k for row in session.execute(f"SELECT k FROM {keyspace}.t"))


def test_one_node_keeps_what_it_took_through_kill(cassandra, keyspace):
    table(cassandra, keyspace)
    insert(cassandra, keyspace, 1)
    cassandra.kill(1)
    cassandra.start(1)
    assert stored(cassandra, keyspace) == [1]


def test_a_majority_of_three_goes_on(cassandra_3, keyspace):
    table(cassandra_3, keyspace)
    cassandra_3.kill(3)
    insert(cassandra_3, keyspace, 1)
    cassandra_3.pause(2)
    with pytest.raises(TOO_FEW):
        insert(cassandra_3, keyspace, 2)
    cassandra_3.make_whole()
    insert(cassandra_3, keyspace, 3, level=ConsistencyLevel.ALL)
    # What failed is nowhere or somewhere: that is what uncertain means.
    assert stored(cassandra_3, keyspace) in ([1, 3], [1, 2, 3])


def test_a_node_that_is_cut_off_is_in_the_minority(cassandra_3, keyspace):
    table(cassandra_3, keyspace)
    cassandra_3.partition("1", "2,3")
    with pytest.raises(TOO_FEW):
        insert(cassandra_3, keyspace, 1, node=1)
    insert(cassandra_3, keyspace, 2, node=2)
    cassandra_3.make_whole()
    assert 2 in stored(cassandra_3, keyspace, node=1)


def test_two_data_centres_go_on_apart_and_meet_again(cassandra_2x3, keyspace):
    table(cassandra_2x3, keyspace)
    cassandra_2x3.partition("dc1", "dc2")
    for key, node in ((1, 1), (2, 4)):
        insert(cassandra_2x3, keyspace, key, node=node, level=ConsistencyLevel.LOCAL_QUORUM)
    with pytest.raises(TOO_FEW):
        insert(cassandra_2x3, keyspace, 3, level=ConsistencyLevel.EACH_QUORUM)
    cassandra_2x3.make_whole()
    assert {1, 2} <= set(stored(cassandra_2x3, keyspace, level=ConsistencyLevel.ALL))


def test_the_gateway_keeps_objects_and_lets_them_be_removed(s3):
    s3.put("cluster/one", b"content")
    assert s3.get("cluster/one") == b"content"
    assert s3.keys("cluster/") == ["cluster/one"]
    s3.kill()
    s3.start()
    assert s3.get("cluster/one") == b"content"
    s3.remove("cluster/one")
    with pytest.raises(EngineError, match="404"):
        s3.get("cluster/one")
