"""mbsync as people use it: both sides change, and either program is killed in between. In the end both sides hold the
same messages, none twice. (mbsync 1.4 does not follow folders that get another name.)"""

import mailbox
import re
import signal

from support.mbsync import start, synchronise
from support.patience import until

COUNT = 800


def mail(number):
    return b"From: <a@example.net>\r\nSubject: number %d\r\n\r\nbody of %d\r\n" % (number, number)


def subjects_near(folder, box):
    return sorted(message["Subject"] for message in mailbox.Maildir(folder / "near" / box, create=False))


def subjects_far(server, box):
    with server.imap() as client:
        count = int(client.select(f'"{box}"', readonly=True)[1][0])
        if count == 0:
            return []
        data = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return sorted(re.search(rb"Subject: (.*)\r\n", part[1])[1].decode() for part in data if isinstance(part, tuple))


def then_both_hold(folder, server, box, numbers):
    wanted = sorted(f"number {number}" for number in numbers)
    assert subjects_far(server, box) == wanted
    assert subjects_near(folder, box) == wanted


def add_near(folder, box, numbers):
    maildir = mailbox.Maildir(folder / "near" / box, create=False)
    for number in numbers:
        message = mailbox.MaildirMessage(mail(number).replace(b"\r\n", b"\n"))
        message.set_subdir("cur")
        maildir.add(message)


def messages_far(server):
    return server.folders("alice@example.org")["INBOX"]["messages"]


def fill(server):
    """Few commands: each is one commit."""
    with server.imap() as client:
        for number in range(50):
            client.append("INBOX", None, None, mail(number))
        assert client.create("Work/later")[0] == "OK"
        client.append("Work/later", None, None, mail(COUNT + 1))


def expunge_far(server, numbers):
    with server.imap() as client:
        client.select("INBOX")
        for number in numbers:
            found = client.search(None, f'SUBJECT "number {number}"')[1][0].decode()
            client.store(found.split()[0], "+FLAGS.SILENT", "\\Deleted")
        client.expunge()


def test_both_sides_are_alike_after_kills_of_both_programs(server, tmp_path):
    fill(server)
    synchronise(tmp_path, server)
    then_both_hold(tmp_path, server, "INBOX", range(50))

    # Upwards: first mbsync is killed, then the server.
    add_near(tmp_path, "INBOX", range(50, COUNT))
    process = start(tmp_path, server)
    until(lambda: messages_far(server) > 150, 120)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert messages_far(server) < COUNT
    process = start(tmp_path, server)
    until(lambda: messages_far(server) > 400, 120)
    server.kill()
    process.communicate(timeout=30)
    assert process.returncode != 0
    server.start()
    assert messages_far(server) < COUNT
    synchronise(tmp_path, server)
    then_both_hold(tmp_path, server, "INBOX", range(COUNT))

    # Expunges on both sides.
    expunge_far(server, [40, 41, 42])
    maildir = mailbox.Maildir(tmp_path / "near/INBOX", create=False)
    for key, message in maildir.iteritems():
        if message["Subject"] in ("number 500", "number 501"):
            message.add_flag("T")
            maildir[key] = message
    synchronise(tmp_path, server)
    then_both_hold(tmp_path, server, "INBOX", sorted(set(range(COUNT)) - {40, 41, 42, 500, 501}))
    then_both_hold(tmp_path, server, "Work/later", [COUNT + 1])
