"""Starting, stopping, reloading; one process for each directory; the number of its format."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support.server import OFFSETS, Server, free_port_base

ROOT = pathlib.Path(__file__).parent.parent


def test_a_second_server_on_the_same_data_is_refused(server, tmp_path):
    second = Server(tmp_path)
    second.log = tmp_path / "second.log"
    second.start(wait=False)
    assert second.process.wait(30) != 0
    assert "another holdfastd runs on" in second.log_text()
    assert server.ctl("ready").returncode == 0


def test_data_of_a_newer_holdfast_is_refused(bare_server):
    bare_server.start()
    bare_server.stop()
    (bare_server.data / "FORMAT").write_text("999\n")
    bare_server.start(wait=False)
    assert bare_server.process.wait(30) == 78
    assert "was written by a newer Holdfast" in bare_server.log_text()


def test_a_clean_stop_ends_at_once_and_a_start_finds_everything(server):
    server.deliver("Subject: kept\r\n\r\nbody\r\n")
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 10
    server.start()
    assert server.folders("alice@example.org")["INBOX"]["messages"] == 1


def test_content_can_be_kept_in_files(bare_server):
    bare_server.settings = {"content.store": "file"}
    bare_server.start()
    bare_server.add_domain("example.org")
    bare_server.add_user("alice@example.org")
    content = "Subject: filed\r\n\r\n" + "a line of it\r\n" * 200000
    bare_server.deliver(content)
    bare_server.kill()
    bare_server.start()
    client = bare_server.imap()
    client.select()
    assert client.fetch("1", "(BODY.PEEK[])")[1][0][1].endswith(content.encode())
    client.logout()
    assert any(path.is_file() for path in (bare_server.data / "content").rglob("*"))


def test_sigint_stops_like_sigterm(server):
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    server.start()


def test_a_reload_takes_up_what_may_change_and_names_the_rest(server):
    server.settings = {"log.level": "debug", "net.reactors": "3"}
    said = server.reload()
    assert "reloaded" in said and "net.reactors" in said


@pytest.mark.alarms
def test_a_reload_of_a_broken_file_changes_nothing(server):
    server.settings = {"log.level": "loud"}
    assert "reload-failed" in server.reload()
    assert server.ctl("ready").returncode == 0


def test_a_reload_takes_up_a_new_certificate(server):
    def certificate():
        context = server.tls_context()
        with socket.create_connection(("127.0.0.1", server.port("imap_tls"))) as plain:
            with context.wrap_socket(plain) as secure:
                return secure.getpeercert(binary_form=True)

    before = certificate()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-subj", "/CN=new", "-days", "2", "-keyout", server.folder / "key.pem"]
        + ["-out", server.folder / "certificate.pem"],
        check=True,
        capture_output=True,
    )
    server.reload()
    assert certificate() != before


@pytest.mark.parametrize("user", [None, "nobody"])
def test_as_root_it_becomes_the_user_it_is_told_or_refuses(tmp_path, user):
    if os.geteuid() != 0:
        return
    folder = pathlib.Path("/tmp") / f"holdfast-user-{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o755)
    try:
        with Server(folder) as made:
            made.settings = {"user": user or ""}
            made.start(wait=False)
            if not user:
                assert made.process.wait(30) == 78
                assert 'the setting "user" does not say whom to become' in made.log_text()
                return
            made.wait_until_ready()
            status = pathlib.Path(f"/proc/{made.process.pid}/status").read_text()
            assert re.search(r"^Uid:\s+(?!0)(\d+)\s+\1\s+\1\s+\1$", status, re.M)
    finally:
        shutil.rmtree(folder)


class Run:
    """./run on a directory and ports of its own."""

    def __init__(self, data):
        self.base = free_port_base()
        self.data = data
        self.log = data.with_suffix(".log")
        with self.log.open("wb") as log:
            command = [ROOT / "run", "--data", data, "--port-base", str(self.base)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait_until_ready(self, seconds):
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if re.search(r"^ready$", self.log.read_text(), re.M):
                return time.monotonic() - started
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        raise TimeoutError(self.log.read_text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.log.read_text()


@pytest.mark.timeout(1200)
def test_run_gives_a_working_server_and_starts_again_quickly(tmp_path):
    first = Run(tmp_path / "var")
    first.wait_until_ready(1100)
    port = first.base + OFFSETS["smtp"]
    said = first.log.read_text()
    assert str(port) in said and "bob@example.org" in said
    commands = said[said.index("  printf") : said.index("Look at it")]
    shown = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, timeout=60, check=True)
    assert "How are you?" in shown.stdout
    first.stop()

    again = Run(tmp_path / "var")
    assert again.wait_until_ready(60) < 2
    token = (tmp_path / "var/admin-token").read_text()
    client = http.client.HTTPConnection("127.0.0.1", again.base + OFFSETS["admin"])
    client.request("GET", "/v1/users", headers={"Authorization": f"Bearer {token}"})
    assert b"alice@example.org" in client.getresponse().read()
    again.stop()


@pytest.mark.timeout(1200)
def test_a_second_run_on_the_same_data_is_refused_and_writes_nothing(tmp_path):
    first = Run(tmp_path / "var")
    first.wait_until_ready(1100)
    before = {path: path.read_bytes() for path in (tmp_path / "var").iterdir() if path.suffix in (".conf", ".pem")}
    (tmp_path / "var.log").rename(tmp_path / "first.log")
    first.log = tmp_path / "first.log"
    second = Run(tmp_path / "var")
    assert second.process.wait(30) == 1
    said = second.log.read_text()
    assert said.count("\n") == 1 and f"a server runs on {tmp_path}/var already" in said
    assert before == {path: path.read_bytes() for path in before}
    first.stop()


def test_run_notices_a_server_that_another_hand_started(bare_server):
    bare_server.start()
    second = Run(bare_server.data)
    assert second.process.wait(600) == 1
    said = second.log.read_text()
    assert said.count("\n") == 1 and "already" in said
    assert not (bare_server.data / "holdfast.conf").exists()
    assert bare_server.ctl("ready").returncode == 0
