"""IMAP with the clients that people use: Python's imaplib and mbsync."""

import imaplib
import mailbox
import threading
import time

from support.mbsync import synchronise
from support.server import PASSWORD
from support.transcript import Connection

ODD_MAILS = [
    b"Subject: plain\r\n\r\nbody\r\n",
    b"Subject: bare line feeds\n\nbody\nwithout end",
    b"no header at all",
    b"Subject: eight bit \xe4\xf6\xfc\r\n\r\n\x80\xff\r\n",
    b"\r\nonly a body\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nnever closed",
    b"Subject: long line\r\n\r\n" + b"x" * 100000 + b"\r\n",
    b"Subject: NULs\r\n\r\na\0b\0\r\n",
    b"Subject: \r\n folded\r\n\t twice\r\n\r\n.\r\n..\r\n",
]


def fetched(client, message_set, item):
    status, data = client.fetch(message_set, item)
    assert status == "OK", data
    return [part[1] for part in data if isinstance(part, tuple)]


def test_bytes_come_back_as_they_were_appended(server):
    with server.imap() as client:
        for mail in ODD_MAILS:
            # imaplib would make every line end in CRLF, so the literal is ours.
            client.literal = mail
            status, data = client._simple_command("APPEND", "INBOX")
            assert status == "OK", data
        client.select("INBOX")
        assert fetched(client, "1:*", "(BODY.PEEK[])") == ODD_MAILS
        status, data = client.fetch("1:*", "(RFC822.SIZE)")
        sizes = [int(line.split(b"RFC822.SIZE ")[1].rstrip(b")")) for line in data]
        assert sizes == [len(mail) for mail in ODD_MAILS]
        headers = fetched(client, "1:*", "(BODY.PEEK[HEADER])")
        texts = fetched(client, "1:*", "(BODY.PEEK[TEXT])")
        assert [header + text for header, text in zip(headers, texts)] == ODD_MAILS
        for item in ("ENVELOPE", "BODY", "BODYSTRUCTURE"):
            status, data = client.fetch("1:*", f"({item})")
            assert status == "OK"


def test_a_large_mail_in_pieces_and_whole(server):
    mail = b"Subject: large\r\n\r\n" + bytes(range(32, 127)) * 100000
    with server.imap() as client:
        client.literal = mail
        assert client._simple_command("APPEND", "INBOX")[0] == "OK"
        client.select("INBOX")
        assert fetched(client, "1", "(BODY.PEEK[])") == [mail]
        pieces = b""
        while len(pieces) < len(mail):
            pieces += fetched(client, "1", f"(BODY.PEEK[]<{len(pieces)}.1000000>)")[0]
        assert pieces == mail


def test_many_clients_at_once_lose_nothing(server):
    def work(number):
        with server.imap() as client:
            client.select("INBOX")
            for i in range(20):
                status, _ = client.append("INBOX", None, None, b"Subject: %d-%d\r\n\r\nx\r\n" % (number, i))
                assert status == "OK"
                client.noop()
            done.append(number)

    done = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(8))
    with server.imap() as client:
        assert client.select("INBOX")[1] == [b"160"]
        uids = client.uid("SEARCH", "ALL")[1][0].split()
        assert [int(uid) for uid in uids] == list(range(1, 161))
        subjects = fetched(client, "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert len(set(subjects)) == 160


def test_a_slow_reader_gets_everything_and_holds_up_nobody(server):
    mail = b"Subject: big\r\n\r\n" + b"x" * 500000
    with server.imap() as client:
        for _ in range(20):
            client.append("INBOX", None, None, mail)
    slow = Connection("s", server.port("imap"))
    slow.command(f'LOGIN "alice@example.org" "{PASSWORD}"'.encode())
    slow.read()
    slow.send(b"x1 SELECT INBOX\r\nx2 FETCH 1:* BODY.PEEK[]\r\nx3 NOOP")
    time.sleep(1)
    before = server.memory_kib()
    for _ in range(5):
        with server.imap() as client:
            client.select("INBOX")
            assert client.search(None, "ALL")[1][0].split()[-1] == b"20"
    assert server.memory_kib() < before + 50000
    lines = []
    while not lines or not lines[-1].startswith("x3 "):
        lines.append(slow.read())
    fetches = [line for line in lines if " FETCH (BODY[] " in line]
    assert len(fetches) == 20 and all(len(line) > 500000 for line in fetches)
    assert lines[-2].startswith("x2 OK") and lines[-1].startswith("x3 OK")
    slow.close()


def test_lines_past_the_limit_are_refused_and_the_connection_lives(server):
    client = Connection("c", server.port("imap"))
    client.send(b"c1 NOOP " + b"x" * 200000)
    assert client.read().startswith("c1 BAD")
    client.send(b"c2 LOGIN {300000}")
    assert client.read().startswith("c2 BAD")
    client.send(b"c3 LOGIN {300000+}\r\n" + b"x" * 300000 + b" y")
    assert client.read().startswith("c3 BAD")
    client.send(f'c4 LOGIN alice@example.org "{PASSWORD}"'.encode())
    assert client.read().startswith("c4 OK")
    client.send(b"c5 SELECT " + b"(" * 60000)
    assert client.read().startswith("c5 BAD")
    client.send(b"c6 LIST \"\" (" + b" ".join([b"*a" * 20] * 200) + b")")
    assert client.read().startswith("c6 ")
    client.send(b"\r\n\x00\xff\r\nc7 NOOP")
    while not (line := client.read()).startswith("c7 "):
        assert line.startswith("* BAD")
    client.close()


def test_a_search_reads_a_mailbox_of_many_pages(server):
    with server.imap() as client:
        for i in range(450):
            word = b"needle" if i % 7 == 0 else b"hay"
            client.append("INBOX", None, None, b"Subject: %d\r\n\r\nsome %s here\r\n" % (i, word))
        client.select("INBOX")
        found = [int(number) for number in client.search(None, "BODY NEEDLE")[1][0].split()]
        assert found == [i + 1 for i in range(450) if i % 7 == 0]
        found = client.search(None, "NOT BODY needle 401:*")[1][0].split()
        assert len(found) == 50 - sum(i % 7 == 0 for i in range(400, 450))
        assert len(fetched(client, "1:*", "(BODY.PEEK[TEXT])")) == 450


def test_imaplib_walks_through_a_mailbox(server):
    with server.imap(tls=True) as client:
        assert client.create("Work/2024")[0] == "OK"
        assert client.subscribe("Work/2024")[0] == "OK"
        client.append("Work/2024", "(\\Seen)", imaplib.Time2Internaldate(1700000000), b"Subject: a\r\n\r\nb\r\n")
        assert client.status("Work/2024", "(MESSAGES UNSEEN)")[1] == [b'"Work/2024" (MESSAGES 1 UNSEEN 0)']
        assert client.select("Work/2024")[1] == [b"1"]
        assert client.response("UIDVALIDITY")[1][0].isdigit()
        assert client.copy("1", "INBOX")[0] == "OK"
        assert client.store("1", "+FLAGS", "\\Deleted")[1] == [b"1 (FLAGS (\\Deleted \\Seen))"]
        assert client.expunge()[1] == [b"1"]
        assert client.close()[0] == "OK"
        assert client.rename("Work", "Done")[0] == "OK"
        assert client.getquotaroot("INBOX")[0] == "OK"
        assert client.delete("Done/2024")[0] == "OK"


def test_mbsync_keeps_two_maildirs_alike(server, tmp_path):
    with server.imap() as client:
        for i in range(30):
            client.append("INBOX", "(\\Seen)" if i % 2 else None, None, b"Subject: %d\r\n\r\nbody %d\r\n" % (i, i))
        client.create("Sub/Folder")
        client.append("Sub/Folder", None, None, b"Subject: deep\r\n\r\nx\r\n")
    synchronise(tmp_path, server, "one")
    inbox = mailbox.Maildir(tmp_path / "one/INBOX", create=False)
    assert len(inbox) == 30
    assert sum("S" in message.get_flags() for message in inbox) == 15
    assert len(mailbox.Maildir(tmp_path / "one/Sub/Folder", create=False)) == 1

    # A change on this side, and one new mail, arrive on the server.
    key, message = next((k, m) for k, m in inbox.iteritems() if "S" not in m.get_flags())
    message.add_flag("F")
    message.add_flag("S")
    inbox[key] = message
    new = mailbox.MaildirMessage(b"Subject: from here\n\nhello\n")
    new.set_subdir("cur")
    inbox.add(new)
    synchronise(tmp_path, server, "one")
    with server.imap() as client:
        assert client.select("INBOX")[1] == [b"31"]
        assert len(client.search(None, "FLAGGED")[1][0].split()) == 1
        assert client.search(None, 'SUBJECT "from here"')[1] == [b"31"]
        client.store("1:10", "+FLAGS.SILENT", "\\Deleted")
        client.expunge()

    synchronise(tmp_path, server, "one")
    assert len(mailbox.Maildir(tmp_path / "one/INBOX", create=False)) == 21
