"""Programs that fetch mail by POP3 and leave it on the server, as over weeks: what they have they never fetch again."""

import subprocess

import pytest

from support.server import PASSWORD, needs

ALICE = "alice@example.org"


class Collector:
    """Has its configuration, its memory of what it has and what it fetched in one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.box = folder / "box"
        self.box.touch()
        self.append = f"cat >>{self.box}; echo >>{self.box}"

    def subjects(self):
        return sorted(line[9:] for line in self.box.read_text().splitlines() if line.startswith("Subject: "))

    def run(self, codes, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in codes, done.stdout + done.stderr


class Fetchmail(Collector):
    knows_what_is_away = False  # its ids are those of the last poll

    def fetch(self, server):
        control = self.folder / "fetchmailrc"
        control.write_text(
            f"set no bouncemail\n"
            f"poll localhost service {server.port('pop3_tls')} proto pop3 uidl timeout 30:\n"
            f'  user "{ALICE}" password "{PASSWORD}" keep ssl sslcertck sslcertfile "{server.folder}/certificate.pem"\n'
            f'  mda "{self.append}"\n'
        )
        control.chmod(0o600)
        files = ["--idfile", self.folder / "ids", "--pidfile", self.folder / "pid"]
        self.run((0, 1), needs("fetchmail"), "-f", control, "--norewrite", "--invisible", *files)  # 1: nothing new


class Getmail(Collector):
    knows_what_is_away = True

    def fetch(self, server):
        control = self.folder / "getmailrc"
        control.write_text(
            f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {server.port('pop3_tls')}\n"
            f"username = {ALICE}\npassword = {PASSWORD}\nca_certs = {server.folder}/certificate.pem\n"
            f'[destination]\ntype = MDA_external\npath = /bin/sh\narguments = ("-c", "{self.append}")\nallow_root_commands = true\n'
            f"[options]\nread_all = false\ndelete = false\nverbose = 0\n"
        )
        self.run((0,), needs("getmail"), "--getmaildir", self.folder, "--rcfile", control)


@pytest.mark.parametrize("program", [Fetchmail, Getmail])
def test_what_is_left_on_the_server_comes_once(server, tmp_path, program):
    client = program(tmp_path)

    def deliver(number):
        server.deliver(f"From: <x@example.net>\r\nSubject: number {number}\r\n\r\nbody\r\n", to=ALICE)

    def then_it_has(count):
        for _ in range(2):
            client.fetch(server)
            assert client.subjects() == [f"number {n}" for n in range(count)]

    for number in range(5):
        deliver(number)
    then_it_has(5)
    server.stop()
    server.start()
    then_it_has(5)
    deliver(5)
    server.ctl("task", "await", server.ctl_json("task", "submit", "reindex")["id"])
    then_it_has(6)
    # Some leave the maildrop, and come back: each is known by what it was known by.
    with server.imap() as imap:

        def move(numbers, mailbox, to):
            assert imap.select(mailbox)[0] == imap._simple_command("MOVE", numbers, to)[0] == "OK"

        move("1:3", "INBOX", "Archive")
        move("2:3", "Archive", "INBOX")
        then_it_has(6)
        if client.knows_what_is_away:
            move("1", "Archive", "INBOX")
    deliver(6)
    then_it_has(7)
