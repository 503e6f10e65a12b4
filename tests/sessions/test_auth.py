"""Signing in, by every mechanism, on every protocol that has it."""

import base64
import json
import smtplib
import subprocess
import time

import pytest

from support.raw import Raw
from support.scram import Scram, ScramError
from support.server import needs


def exchange(client, mechanism, scram, prompt, begin="AUTH"):
    """Runs SCRAM by hand; returns the last line."""
    initial = base64.b64encode(scram.step()).decode()
    answer = client.say(f"{begin} {mechanism} {initial}")
    while answer.startswith(prompt):
        challenge = base64.b64decode(answer[len(prompt) :].strip())
        answer = client.say(base64.b64encode(scram.step(challenge)).decode())
    return answer


def submission(server):
    client = Raw(server.port("submission"))
    client.say("EHLO x")
    return client


@pytest.mark.parametrize("user", ["alice@example.org", "ALICE@Example.ORG"])
def test_scram_signs_in_and_proves_the_server_too(shared_server, user):
    with submission(shared_server) as client:
        assert exchange(client, "SCRAM-SHA-256", Scram(user, "holdfast"), "334 ")[:3] == "235"
    with Raw(shared_server.port("pop3")) as client:
        assert exchange(client, "SCRAM-SHA-256", Scram(user, "holdfast"), "+ ").startswith("+OK")


@pytest.mark.parametrize("user, password", [("alice@example.org", "wrong"), ("nobody@example.org", "holdfast")])
def test_scram_refuses_a_wrong_password_and_an_unknown_name_alike(shared_server, user, password):
    with submission(shared_server) as client:
        assert exchange(client, "SCRAM-SHA-256", Scram(user, password), "334 ").startswith("535 5.7.8")


def test_an_unknown_name_has_a_salt_that_stays(shared_server):
    salts = set()
    for _ in range(2):
        with submission(shared_server) as client:
            first = Scram("nobody@example.org", "x").step()
            answer = client.say("AUTH SCRAM-SHA-256 " + base64.b64encode(first).decode())
            salts.add(base64.b64decode(answer[4:]).split(b"s=")[1])
    assert len(salts) == 1


def test_scram_without_a_chance_of_binding_must_not_claim_one(shared_server):
    """A client that could bind but was told that the server cannot has met somebody in between."""
    with submission(shared_server) as client:
        client.say("STARTTLS")
        client.start_tls(shared_server.tls_context())
        client.say("EHLO x")
        scram = Scram("alice@example.org", "holdfast", header="y,,")
        assert exchange(client, "SCRAM-SHA-256", scram, "334 ")[:3] in ("535", "501")


def test_scram_plus_is_not_for_the_open(shared_server):
    with submission(shared_server) as client:
        assert client.say("AUTH SCRAM-SHA-256-PLUS")[:3] == "504"


def gsasl(server, protocol, kind, mechanism, password):
    """GNU SASL's own client, which binds to the TLS line where the mechanism does; it signs in and quits."""
    command = [needs("gsasl"), f"--{protocol}", f"--connect=127.0.0.1:{server.port(kind)}", f"--mechanism={mechanism}"]
    command += ["--authentication-id=alice@example.org", "--authorization-id=", f"--password={password}", "--verbose"]
    # Able to bind, it would say that the server is not, and be refused for it: somebody may stand in between.
    command += [] if mechanism.endswith("-PLUS") else ["--no-cb"]
    command += ["--starttls", f"--x509-ca-file={server.folder / 'certificate.pem'}"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("protocol, kind", [("imap", "imap"), ("smtp", "submission")])
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
def test_gnu_sasl_signs_in(shared_server, protocol, kind, mechanism):
    done = gsasl(shared_server, protocol, kind, mechanism, "holdfast")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{mechanism}\n" in done.stdout and "server trusted" in done.stderr + done.stdout
    done = gsasl(shared_server, protocol, kind, mechanism, "wrong")
    assert done.returncode != 0 and "server trusted" not in done.stderr + done.stdout


def test_scram_plus_with_another_lines_binding_is_refused(shared_server):
    with submission(shared_server) as client:
        client.say("STARTTLS")
        client.start_tls(shared_server.tls_context())
        client.say("EHLO x")
        scram = Scram("alice@example.org", "holdfast", binding=b"x" * 32)
        assert exchange(client, "SCRAM-SHA-256-PLUS", scram, "334 ")[:3] in ("535", "501")


def test_a_server_that_does_not_know_the_password_is_found_out():
    scram = Scram("a", "b")
    scram.step()
    scram.step(f"r={scram.nonce}x,s=c2FsdA==,i=4096".encode())
    with pytest.raises(ScramError):
        scram.step(b"v=AAAA")


def test_nobody_acts_for_somebody_else(shared_server):
    token = base64.b64encode(b"bob@example.org\0alice@example.org\0holdfast").decode()
    with submission(shared_server) as client:
        assert client.say(f"AUTH PLAIN {token}")[:3] == "535"


def test_a_disabled_user_does_not_sign_in(server):
    server.ctl("user", "disable", "alice@example.org")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        server.submission()


def test_wrong_passwords_wait_longer_each_time_and_end_the_session(server):
    token = base64.b64encode(b"\0alice@example.org\0wrong").decode()
    server.settings = {"auth.failure_delay": "100 ms", "auth.max_failures": "3"}
    server.restart()
    with submission(server) as client:
        began = time.monotonic()
        for _ in range(3):
            assert client.say(f"AUTH PLAIN {token}")[:3] == "535"
        assert time.monotonic() - began > 0.65
        assert client.is_closed()


def test_without_scram_keys_scram_is_refused_and_plain_is_not(server):
    server.settings = {"password.scram": "no"}
    server.restart()
    server.add_user("carol@example.org")
    with submission(server) as client:
        scram = Scram("carol@example.org", "holdfast")
        assert exchange(client, "SCRAM-SHA-256", scram, "334 ")[:3] == "535"
    server.submission("carol@example.org").quit()


def test_login_takes_the_name_as_an_initial_response(shared_server):
    name = base64.b64encode(b"alice@example.org").decode()
    password = base64.b64encode(b"holdfast").decode()
    with submission(shared_server) as client:
        assert client.say(f"AUTH LOGIN {name}").startswith("334 ")
        assert client.say(password)[:3] == "235"
    with Raw(shared_server.port("pop3")) as client:
        assert client.say(f"AUTH LOGIN {name}").startswith("+ ")
        assert client.say(password).startswith("+OK")
    with Raw(shared_server.port("imap")) as client:
        assert client.say(f"a AUTHENTICATE LOGIN {name}").startswith("+ ")
        assert "a OK" in client.say(password)


# ---- what the log says of it ----


def events(server, name):
    return [line.split(f" {name} ", 1)[1] for line in server.log_text().splitlines() if f" {name} " in line]


def test_the_log_tells_who_signed_in_and_how(server):
    server.pop3().quit()
    server.imap().logout()
    with submission(server) as client:
        assert exchange(client, "SCRAM-SHA-256", Scram("alice@example.org", "holdfast"), "334 ")[:3] == "235"
    said = events(server, "signed-in")
    account = said[0].split("account=")[1].split()[0]
    assert said == [
        f"protocol={protocol} peer=127.0.0.1 account={account} mechanism={mechanism}"
        for protocol, mechanism in [("pop3", "USER"), ("imap", "LOGIN"), ("submission", "SCRAM-SHA-256")]
    ]


def test_the_log_tells_the_name_that_was_tried_and_never_the_password(server):
    server.settings = {"auth.failure_delay": "1 ms", "auth.failure_delay_max": "10 ms"}
    server.restart()
    plain = base64.b64encode(b"\0carol@example.org\0a secret").decode()
    name = base64.b64encode(b"dave@example.org").decode()
    secret = base64.b64encode(b"a secret").decode()
    with submission(server) as client:
        assert client.say(f"AUTH PLAIN {plain}")[:3] == "535"
        assert client.say_all(f"AUTH LOGIN {name}", secret)[-1][:3] == "535"
        assert exchange(client, "SCRAM-SHA-256", Scram("erin@example.org", "a secret"), "334 ")[:3] == "535"
    with Raw(server.port("pop3")) as client:
        client.say("USER frank@example.org")
        assert client.say("PASS a secret").startswith("-ERR")
    with Raw(server.port("imap")) as client:
        assert "NO" in client.say('a LOGIN "new\\"line x=" "a secret"')
    users = [event.split("user=")[1] for event in events(server, "login-failed")]
    assert users == [
        "carol@example.org",
        "dave@example.org",
        "erin@example.org",
        "frank@example.org",
        '"new\\"line x="',
    ]
    assert "a secret" not in server.log_text() and secret not in server.log_text()


def test_a_name_of_any_bytes_is_one_line_of_json(server):
    server.settings = {"log.format": "json"}
    server.restart()
    with Raw(server.port("imap")) as client:
        client.send(b"a LOGIN {5+}\r\n\xff\nx\xc3\xa9 wrong\r\n")
        assert client.line().startswith("a NO")
    said = [json.loads(line) for line in server.log.read_bytes().splitlines() if b'"login-failed"' in line]
    assert [event["user"] for event in said] == ["\xff\nx\xe9"]
