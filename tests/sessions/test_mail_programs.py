"""offlineimap, neomutt and msmtp, as people have them configured: with TLS and the certificate checked."""

import mailbox
import os
import pty
import subprocess

import pytest

from support.server import PASSWORD, needs

ALICE = "alice@example.org"


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def deliver(server, number):
    server.deliver(f"From: <x@example.net>\r\nSubject: number {number}\r\n\r\nbody\r\n", to=ALICE)


@pytest.mark.parametrize("kind, starttls", [("submission", "on"), ("submission_tls", "off")])
def test_msmtp_submits(server, tmp_path, kind, starttls):
    control = tmp_path / "msmtprc"
    control.write_text(
        f"account default\nhost localhost\nport {server.port(kind)}\nfrom {ALICE}\n"
        f"auth on\nuser {ALICE}\npassword {PASSWORD}\n"
        f"tls on\ntls_starttls {starttls}\ntls_trust_file {server.folder}/certificate.pem\n"
    )
    control.chmod(0o600)
    run(needs("msmtp"), "-C", control, "bob@example.org", text="Subject: by msmtp\n\n.a dot\n")
    with server.imap("bob@example.org") as client:
        client.select("INBOX")
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1].endswith(b"Subject: by msmtp\r\n\r\n.a dot\r\n")


def test_offlineimap_keeps_both_sides_alike(server, tmp_path):
    near = tmp_path / "near"
    control = tmp_path / "offlineimaprc"
    control.write_text(
        f"[general]\naccounts = alice\nmetadata = {tmp_path}/state\n"
        f"[Account alice]\nlocalrepository = near\nremoterepository = far\n"
        f"[Repository near]\ntype = Maildir\nlocalfolders = {near}\n"
        f"[Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {server.port('imap_tls')}\n"
        f"remoteuser = {ALICE}\nremotepass = {PASSWORD}\nssl = yes\nsslcacertfile = {server.folder}/certificate.pem\n"
    )

    def synchronise():
        run(needs("offlineimap"), "-c", control, "-o", "-u", "quiet")

    def subjects():
        return sorted(message["Subject"] for message in mailbox.Maildir(near / "INBOX", create=False))

    for number in range(4):
        deliver(server, number)
    synchronise()
    assert subjects() == [f"number {n}" for n in range(4)]
    inbox = mailbox.Maildir(near / "INBOX", create=False)
    for key, message in inbox.items():
        if message["Subject"] == "number 1":
            inbox.remove(key)
        if message["Subject"] == "number 2":
            message.set_subdir("cur")
            message.add_flag("F")
            inbox[key] = message
    inbox.add(mailbox.MaildirMessage(b"From: <a@example.net>\nSubject: number 4\n\nbody\n"))
    deliver(server, 5)
    synchronise()
    synchronise()
    assert subjects() == [f"number {n}" for n in (0, 2, 3, 4, 5)]
    with server.imap() as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "ALL")[1][0].split() == [b"1", b"2", b"3", b"4", b"5"]
        assert client.search(None, "FLAGGED", "SUBJECT", "2")[1][0] == client.search(None, "FLAGGED")[1][0] != b""
        assert client.search(None, "SUBJECT", '"number 1"')[1][0] == b""


def neomutt(server, folder, keys):
    """Types the keys; it wants a terminal."""
    control = folder / "neomuttrc"
    control.write_text(
        f"set imap_user = {ALICE}\nset imap_pass = {PASSWORD}\nset spoolfile = imaps://localhost:{server.port('imap_tls')}/INBOX\n"
        f"set folder = imaps://localhost:{server.port('imap_tls')}/\nset certificate_file = {server.folder}/certificate.pem\n"
        f"set header_cache = {folder}/headers\nset record = ''\nset confirmappend = no\n"
        f"set delete = yes\nset quit = yes\nset move = no\nset mail_check_stats = no\nset wait_key = no\n"
    )
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm", HOME=str(folder))
        os.execv(needs("neomutt"), ["neomutt", "-n", "-F", str(control), "-e", f'push "{keys}"'])
    said = b""
    try:
        while part := os.read(terminal, 4096):
            said += part
    except OSError:
        pass  # its end of the terminal is closed
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said


def test_neomutt_flags_saves_and_deletes(server, tmp_path):
    for number in range(4):
        deliver(server, number)
    keys = (
        "<tag-pattern>~s 'number 1'<enter><tag-prefix><flag-message><untag-pattern>~A<enter>"
        "<tag-pattern>~s 'number 2'<enter><tag-prefix><save-message>=Archive<enter><untag-pattern>~A<enter>"
        "<delete-pattern>~s 'number 3'<enter><sync-mailbox><quit>"
    )
    neomutt(server, tmp_path, keys)
    folders = server.folders(ALICE)
    assert folders["INBOX"]["messages"] == 2
    assert folders["Archive"]["messages"] == 1
    with server.imap() as client:
        client.select("INBOX", readonly=True)
        assert client.search(None, "FLAGGED")[1][0] == client.search(None, "SUBJECT", '"number 1"')[1][0] != b""
        client.select("Archive", readonly=True)
        assert client.search(None, "SUBJECT", '"number 2"')[1][0] == b"1"
