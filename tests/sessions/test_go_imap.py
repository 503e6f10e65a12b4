"""Go's IMAP library, emersion's go-imap: a program of ours in go_imap/ works through what it can do."""

import os
import pathlib
import subprocess

from support.server import PASSWORD

HERE = pathlib.Path(__file__).parent / "go_imap"
TOP = pathlib.Path(__file__).parents[2]


def build():
    """Modules have the checksums of go.sum; what is built already is kept in Go's own cache, and as the S3 gateway is."""
    program = TOP / "build-go/go_imap"
    environment = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-buildvcs=false -mod=readonly", CGO_ENABLED="0")
    command = [TOP / "build-venv/bin/go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "."]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return program


def test_go_imap_works_through_the_commands(server):
    server.ctl("user", "quota", "alice@example.org", "1048576", "1000")
    command = [build(), f"localhost:{server.port('imap_tls')}", server.folder / "certificate.pem", PASSWORD]
    done = subprocess.run([*command, "alice@example.org", "bob@example.org"], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stdout + done.stderr
