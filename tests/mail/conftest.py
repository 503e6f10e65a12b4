"""One server whose accounts hold every mail: alice's were appended, bob's came by LMTP."""

import pytest

from mail.corpus import ALICE, BOB, Corpus
from support.server import Server


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    settings = {"net.max_connections_per_address": "2000", "search.index": "none"}
    with Server(tmp_path_factory.mktemp("mail"), settings) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user(ALICE)
        server.add_user(BOB)
        made = Corpus(server)
        made.append(ALICE)
        made.refused = made.deliver(BOB)
        yield made
