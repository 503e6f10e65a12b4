"""Programs that people use: curl and swaks, against SMTP, submission, LMTP and POP3."""

import subprocess

import pytest

from support.server import EVERYWHERE, PASSWORD, needs

MAIL = "From: <x@example.net>\r\nSubject: by a program\r\n\r\n.a dot\r\nbody\r\n"


def run(*command, text=None, code=0):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def nothing_to_warn_of(shared_server):
    before = len(shared_server.alarms())
    yield
    assert EVERYWHERE or shared_server.alarms()[before:] == []  # a cluster may warn of what others do to it


def swaks(server, kind, mailbox, *more, code=0):
    where = ["--server", "127.0.0.1", "--port", str(server.port(kind)), "--to", mailbox.address]
    what = ["--helo", "client.example.net", "--data", MAIL.replace("\r\n", "\n")]
    return run(needs("swaks"), *where, *what, *more, code=code)


@pytest.mark.parametrize(
    "kind, more",
    [("smtp", ["--tls"]), ("smtp", []), ("smtp", ["--pipeline"]), ("lmtp", ["--protocol", "LMTP"])],
)
def test_swaks_delivers(shared_server, mailbox, kind, more):
    swaks(shared_server, kind, mailbox, "--from", "x@example.net", *more)
    assert mailbox.only().endswith(b"Subject: by a program\r\n\r\n.a dot\r\nbody\r\n\r\n")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind, tls", [("submission", "--tls"), ("submission_tls", "--tlsc")])
def test_swaks_submits(shared_server, mailbox, kind, tls, mechanism):
    sign_in = ["--auth", mechanism, "--auth-user", mailbox.address, "--auth-password"]
    swaks(shared_server, kind, mailbox, "--from", mailbox.address, tls, *sign_in, PASSWORD)
    swaks(shared_server, kind, mailbox, "--from", mailbox.address, tls, *sign_in, "wrong", code=28)
    assert len(mailbox.mails()) == 1


def curl(server, scheme, kind, path, mailbox, *more, text=None):
    url = f"{scheme}://127.0.0.1:{server.port(kind)}{path}"
    return run(needs("curl"), "-sS", "-k", url, "-u", f"{mailbox.address}:{PASSWORD}", *more, text=text)


@pytest.mark.parametrize("scheme, kind, more", [("smtp", "submission", ["--ssl-reqd"]), ("smtps", "submission_tls", [])])
def test_curl_submits(shared_server, mailbox, scheme, kind, more):
    envelope = ["--mail-from", mailbox.address, "--mail-rcpt", mailbox.address, "-T", "-"]
    curl(shared_server, scheme, kind, "/client.example.net", mailbox, *more, *envelope, text=MAIL)
    assert mailbox.only().endswith(MAIL.encode())


@pytest.mark.parametrize(
    "scheme, kind, more",
    [("pop3", "pop3", []), ("pop3", "pop3", ["--ssl-reqd"]), ("pop3s", "pop3_tls", [])],
)
def test_curl_reads_by_pop3(shared_server, mailbox, scheme, kind, more):
    shared_server.deliver(MAIL, to=mailbox.address)
    assert curl(shared_server, scheme, kind, "/", mailbox, *more).split()[0] == "1"
    assert curl(shared_server, scheme, kind, "/1", mailbox, *more).endswith("\n.a dot\nbody\n")
