"""The clients and the checker on one node with its embedded store, without faults: all that is promised holds."""

from nemesis.checker import report
from nemesis.nemesis import World


def test_nothing_is_found_where_nothing_fails(server, tmp_path):
    world = World(None, None, [server], tmp_path, 1)
    violations = world.run(10)
    assert not violations, f"history {world.path}\n{report(violations)}"
    assert all(client.acknowledged > 5 for client in world.clients)
