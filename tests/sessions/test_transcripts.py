"""Every transcript beside this file, each on an account of its own."""

import pathlib

import pytest

from support.server import PASSWORD
from support.transcript import Transcript

FOLDER = pathlib.Path(__file__).parent
PATHS = sorted(FOLDER.glob("imap/*.session"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_transcript(shared_server, path):
    user = f"{path.stem.replace('_', '-')}@example.org"
    shared_server.add_user(user)
    Transcript(path, shared_server, user, PASSWORD).run()
