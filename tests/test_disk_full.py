"""A disk that fills up: temporary failures, nothing lost, and all is well when there is room again."""

import contextlib
import os
import smtplib
import subprocess

from support.server import Server


@contextlib.contextmanager
def small_disk(folder, mebibytes):
    folder.mkdir()
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size={mebibytes}m,uid={os.geteuid()},mode=700"
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*as_root, "umount", "--lazy", folder], check=True)


def subjects(server):
    client = server.imap()
    client.select()
    _, data = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    client.logout()
    return sorted(part[1].split(b":")[1].strip().decode() for part in data if isinstance(part, tuple))


def fill(server):
    """Delivers until refused; what was acknowledged."""
    acknowledged = []
    body = os.urandom(150000).hex()
    lines = "\r\n".join(body[at : at + 76] for at in range(0, len(body), 76))
    for number in range(1000):
        try:
            server.deliver(f"Subject: n{number:04}\r\n\r\n{lines}\r\n")
        except smtplib.SMTPRecipientsRefused as refusal:
            codes = [code for code, _ in refusal.recipients.values()]
            return acknowledged, codes
        except smtplib.SMTPResponseException as refusal:
            return acknowledged, [refusal.smtp_code]
        acknowledged.append(f"n{number:04}")
    raise AssertionError("the disk does not fill")


def test_a_full_disk_refuses_for_the_time_being_and_loses_nothing(tmp_path):
    settings = {"rocksdb.write_buffer": "4 MiB", "rocksdb.min_free": "24 MiB"}
    with small_disk(tmp_path / "disk", 96) as disk, Server(disk, settings) as server:
        server.log = tmp_path / "log"
        server.start()
        server.add_domain("example.org")
        server.add_user("alice@example.org")
        (disk / "ballast").write_bytes(bytes(24 << 20))
        acknowledged, codes = fill(server)
        assert acknowledged and all(400 <= code < 500 for code in codes)
        assert subjects(server) == acknowledged

        (disk / "ballast").unlink()
        server.deliver("Subject: n9999\r\n\r\nroom again\r\n")
        assert subjects(server) == [*acknowledged, "n9999"]
        server.restart()
        assert subjects(server) == [*acknowledged, "n9999"]
        server.stop()
