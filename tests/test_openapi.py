"""The interface does what its own description says: schemathesis makes requests of it, right and wrong ones, and holds
the answers against it."""

import pathlib
import subprocess
import sys

import pytest

from support.server import Server

TOKEN = "0123456789abcdef0123456789abcdef"
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    folder = tmp_path_factory.mktemp("described")
    (folder / "token").write_text(TOKEN)
    with Server(folder) as made:
        made.settings = {
            "admin.listen": f"127.0.0.1:{made.port('admin')}",
            "admin.token_file": folder / "token",
            # Wrong tokens are part of it.
            "admin.failure_delay": "0 ms",
        }
        made.start()
        made.add_domain("example.org")
        made.add_user("alice@example.org")
        yield made


def test_answers_are_what_the_description_says(described):
    program = pathlib.Path(sys.executable).parent / "schemathesis"
    options = ["--checks=all", "--mode=all", "--phases=examples,coverage,fuzzing,stateful", "--max-examples=4", "--seed=1"]
    options += ["--continue-on-failure", "--no-color", "--warnings=off", "--generation-database=none", "--workers=2"]
    url = f"http://127.0.0.1:{described.port('admin')}/openapi.json"
    command = [program, "--config-file", HERE / "schemathesis.toml", "run", url, "-H", f"Authorization: Bearer {TOKEN}", *options]
    # What it keeps between runs goes with the server.
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=described.folder)
    # Names of thousands of characters are among what it sends.
    said = "\n".join(line[:400] for line in done.stdout.splitlines())
    assert done.returncode == 0, said + done.stderr
    described.check_log()
