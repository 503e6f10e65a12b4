import pytest

from support.mailbox import Mailbox
from support.server import Server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """One for all of these tests, each of which has an account of its own. The many wrong passwords sent here are not
    waited for; there is a search index over a cluster too."""
    settings = {"auth.failure_delay": "1 ms", "auth.failure_delay_max": "10 ms", "search.index": "fts5", "imap.shared_account": "shared@example.org"}
    with Server(tmp_path_factory.mktemp("shared"), settings) as running:
        running.start()
        running.add_domain("example.org")
        running.add_user("alice@example.org")
        running.add_user("bob@example.org")
        running.add_user("shared@example.org")
        yield running


@pytest.fixture
def mailbox(shared_server, request):
    return Mailbox.for_test(shared_server, request.node.name)
