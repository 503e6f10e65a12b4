"""Fixtures for every test: `server` is a running holdfastd with alice and bob, on a directory of its
own, that must have stopped cleanly and without a sanitizer's complaint at the end, and has nothing to warn of."""

import pytest

from support.server import EVERYWHERE, Server


def pytest_collection_modifyitems(config, items):
    """Over a cluster, what needs a server of its own is left out: each would want a new keyspace, and what these
    tests are about (one process, its settings) is the same there."""
    if not EVERYWHERE:
        return
    alone = [item for item in items if {"server", "bare_server", "tmp_path"} & set(item.fixturenames)]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if item not in alone]


@pytest.fixture
def server(tmp_path, request):
    with Server(tmp_path) as running:
        running.start()
        running.add_domain("example.org")
        running.add_user("alice@example.org")
        running.add_user("bob@example.org")
        yield running
        assert running.alarms() == [] or request.node.get_closest_marker("alarms")


@pytest.fixture
def bare_server(tmp_path):
    """A server that the test starts by itself."""
    with Server(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory):
    """One server for a whole file of tests that do not disturb each other."""
    with Server(tmp_path_factory.mktemp("shared")) as running:
        running.start()
        running.add_domain("example.org")
        running.add_user("alice@example.org")
        running.add_user("bob@example.org")
        yield running
