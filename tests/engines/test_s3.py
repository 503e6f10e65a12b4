"""Content in an S3 store: mail goes in and comes out, and whatever the store does, what can be served is
served, nothing acknowledged is lost and nothing is made up."""

import os
import re
import smtplib
import subprocess
import time

import pytest

from support.engines import S3
from support.server import BUILD, Server

PREFIX = "server/"


def settings(tmp_path, **more):
    secret = tmp_path / "s3.secret"
    secret.write_text(S3.SECRET_KEY + "\n")
    return {
        "content.store": "s3",
        "content.cache": "0",  # what the store does is looked at
        "s3.endpoint": S3.ENDPOINT,
        "s3.region": S3.REGION,
        "s3.bucket": S3.BUCKET,
        "s3.prefix": f"{PREFIX}{tmp_path.name}/",
        "s3.access_key": S3.ACCESS_KEY,
        "s3.secret_file": secret,
        "s3.part_size": "5 MiB",
        "session.command_deadline": "3 s",
        **more,
    }


@pytest.fixture
def stored(s3, tmp_path):
    """A server whose content is in the gateway."""
    with Server(tmp_path, settings(tmp_path)) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        yield server


def mail(number, size=100):
    lines = [f"line {n} of mail {number}".ljust(76, ".") for n in range(max(size // 78, 1))]
    return "\r\n".join([f"Subject: mail {number}", "From: <s@example.net>", f"Message-ID: <{number}@s>", "", *lines, ""])


def keys(s3, server):
    return s3.keys(server.settings["s3.prefix"])


def inbox(server):
    client = server.imap()
    assert client.select("INBOX")[0] == "OK"
    return client


def body(client, number):
    kind, data = client.fetch(str(number), "(BODY.PEEK[])")
    assert kind == "OK", data
    return data[0][1].decode()


def test_every_blob_store_s_suite_passes_on_the_gateway(s3, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(S3.SECRET_KEY)
    told = {
        "HOLDFAST_S3_ENDPOINT": S3.ENDPOINT,
        "HOLDFAST_S3_BUCKET": S3.BUCKET,
        "HOLDFAST_S3_ACCESS_KEY": S3.ACCESS_KEY,
        "HOLDFAST_S3_SECRET_FILE": str(secret),
    }
    done = subprocess.run([BUILD / "src/test_blob_s3"], env={**os.environ, **told}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(map(int, re.findall(r"PASSED  \] (\d+) test", done.stdout + done.stderr))) >= 15


def test_mail_goes_in_and_comes_out(stored, s3):
    large = mail(2, size=7 << 20)
    stored.deliver(mail(1))
    stored.deliver(large)
    assert len(keys(s3, stored)) == 2
    with inbox(stored) as client:
        assert body(client, 1).endswith(mail(1))
        assert body(client, 2).endswith(large)
        kind, data = client.fetch("2", "(BODY.PEEK[]<6000000.1000>)")
        assert kind == "OK" and data[0][1] in body(client, 2).encode()
    stored.restart()
    with inbox(stored) as client:
        assert body(client, 2).endswith(large)


def test_small_mail_kept_among_the_rows_never_meets_the_store(s3, tmp_path):
    with Server(tmp_path, settings(tmp_path, **{"content.inline_max": "8 KiB"})) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        server.deliver(mail(1, size=100000))
        s3.pause()
        server.deliver(mail(2))
        server.restart()
        with inbox(server) as client:
            assert body(client, 2).endswith(mail(2))
        s3.resume()
        with inbox(server) as client:
            assert body(client, 1).endswith(mail(1, size=100000))
        assert len(keys(s3, server)) == 1


def test_a_store_that_hangs_delays_content_and_nothing_else(stored, s3):
    stored.deliver(mail(1))
    with inbox(stored) as client:
        s3.pause()
        began = time.monotonic()
        with pytest.raises(smtplib.SMTPDataError) as refused:
            stored.deliver(mail(2))
        assert refused.value.smtp_code == 451
        assert time.monotonic() - began < 6
        began = time.monotonic()
        assert client.fetch("1", "(UID FLAGS ENVELOPE RFC822.SIZE)")[0] == "OK"
        assert client.store("1", "+FLAGS", "\\Flagged")[0] == "OK"
        assert time.monotonic() - began < 1
        kind, data = client.fetch("1", "(BODY.PEEK[])")
        assert kind == "NO" and b"UNAVAILABLE" in data[0]
        s3.resume()
        assert body(client, 1).endswith(mail(1))
        # The sender comes again with what it was not promised.
        stored.deliver(mail(2))
        client.noop()
        assert client.select("INBOX")[1] == [b"2"]
        assert body(client, 2).endswith(mail(2))
        assert b"\\Flagged" in client.fetch("1", "(FLAGS)")[1][0]


def test_a_store_that_is_down_at_the_start_is_waited_for(stored, s3):
    stored.deliver(mail(1))
    stored.stop()
    s3.kill()
    stored.start()
    assert "content-store-unavailable" in stored.log_text()
    with inbox(stored) as client:
        assert client.fetch("1", "(FLAGS)")[0] == "OK"
        assert client.fetch("1", "(BODY.PEEK[])")[0] == "NO"
        with pytest.raises(smtplib.SMTPDataError) as refused:
            stored.deliver(mail(2))
        assert refused.value.smtp_code == 451
        s3.start()
        assert body(client, 1).endswith(mail(1))
        stored.deliver(mail(2))


def test_content_that_is_gone_takes_nothing_with_it(stored, s3):
    stored.deliver(mail(1))
    first = keys(s3, stored)
    stored.deliver(mail(2))
    s3.remove(first[0])
    with inbox(stored) as client:
        kind, data = client.fetch("1", "(BODY.PEEK[])")
        assert kind == "NO" and b"CORRUPTION" in data[0]
        kind, data = client.fetch("1", "(FLAGS ENVELOPE)")
        assert kind == "OK" and b"mail 1" in data[0]
        assert body(client, 2).endswith(mail(2))
    stored.restart()
    with inbox(stored) as client:
        assert client.fetch("1:*", "(UID)")[1] == [b"1 (UID 1)", b"2 (UID 2)"]


def test_sealed_content_does_not_show_and_comes_back(s3, tmp_path):
    key_file = tmp_path / "keys"
    key_file.write_text("2026 " + "0123456789abcdef" * 4 + "\n")
    sealing = {"content.compression": "zstd", "content.key_file": key_file}
    with Server(tmp_path, settings(tmp_path, **sealing)) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        large = mail(2, size=2 << 20)
        server.deliver(mail(1))
        server.deliver(large)
        stored = [s3.get(key) for key in keys(s3, server)]
        assert len(stored) == 2 and not any(b"mail" in content for content in stored)
        assert max(map(len, stored)) < 1 << 20
        server.restart()
        with inbox(server) as client:
            assert body(client, 1).endswith(mail(1))
            assert body(client, 2).endswith(large)
            kind, data = client.fetch("2", "(BODY.PEEK[]<1500000.100>)")
            assert kind == "OK" and len(data[0][1]) == 100 and data[0][1].decode() in body(client, 2)
        # Whoever can write to the bucket cannot change a mail, or put one in another's place.
        one, two = keys(s3, server)
        s3.put(one, s3.get(two))
        with inbox(server) as client:
            answers = [client.fetch(str(number), "(BODY.PEEK[])") for number in (1, 2)]
        assert sorted(kind for kind, _ in answers) == ["NO", "OK"]


def test_cached_content_is_served_while_the_store_hangs(s3, tmp_path):
    with Server(tmp_path, settings(tmp_path, **{"content.cache": "16 MiB", "s3.stall_timeout": "2 s"})) as server:
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        server.deliver(mail(1))
        server.deliver(mail(2, size=1 << 20))
        with inbox(server) as client:
            s3.pause()
            assert body(client, 1).endswith(mail(1))
            kind, data = client.fetch("2", "(BODY.PEEK[])")
            assert kind == "NO" and b"UNAVAILABLE" in data[0]


def test_a_store_that_hangs_does_not_keep_the_server_from_stopping(s3, tmp_path):
    with Server(tmp_path, settings(tmp_path, **{"content.reclaim_interval": "100 ms"})) as server:
        server.start()
        s3.pause()
        time.sleep(1)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20


def test_content_that_is_damaged_is_not_shown(stored, s3):
    stored.deliver(mail(1))
    key = keys(s3, stored)[0]
    content = s3.get(key)
    s3.put(key, content.replace(b"line 0", b"line 9"))
    with inbox(stored) as client:
        kind, data = client.fetch("1", "(BODY.PEEK[])")
        assert kind == "NO" and b"CORRUPTION" in data[0]
        assert client.fetch("1", "(FLAGS)")[0] == "OK"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("s3.bucket", "there-is-none", "NoSuchBucket"),
        ("s3.access_key", "nobody", "the object store answers 40"),
        ("s3.endpoint", "127.0.0.1:9000", "http[s]://host"),
        ("s3.secret_file", "", "s3.secret_file"),
    ],
)
def test_settings_that_the_store_refuses_stop_the_start(s3, tmp_path, setting, value, words):
    with Server(tmp_path, settings(tmp_path, **{setting: value})) as server:
        with pytest.raises(RuntimeError) as ended:
            server.start()
        assert words in str(ended.value)
