"""Small mail among the rows (content.inline_max): whatever is done with it, the store of content has no part in it."""

from support.vault import expunge, fetch_all, listed

ALICE = "alice@example.org"
BOB = "bob@example.org"
LIMIT = 4096


def mail(name, size=0):
    return f"Subject: {name}\r\n\r\n" + "a line of it\r\n" * (1 + size // 14)


def files(server):
    return sum(path.is_file() for path in (server.data / "content").rglob("*"))


def texts(server, folder="INBOX", user=ALICE):
    """What stands below the header of each mail."""
    with server.imap(user) as client:
        return [bytes_.decode().partition("Subject: ")[2] for _, bytes_ in sorted(fetch_all(client, folder).items())]


def metric(server, name):
    [line] = [line for line in server.ctl("metrics").stdout.splitlines() if line.startswith(f"holdfast_{name} ")]
    return int(float(line.split()[1]))


def text(name, size=0):
    return mail(name, size).partition("Subject: ")[2]


def told(server, limit):
    server.settings["content.inline_max"] = limit
    return server.restart() if server.is_running() else server.start()


def work(server):
    """One mail by LMTP, one by SMTP to two, one by APPEND; copied, moved, fetched in parts, deleted, restored."""
    server.deliver(mail("lmtp"))
    with server.smtp() as client:
        client.sendmail("sender@example.net", [ALICE, BOB], mail("smtp"))
    with server.imap() as client:
        assert client.append("INBOX", None, None, mail("append").encode())[0] == "OK"
        client.select("INBOX")
        assert client.uid("COPY", "3", "Archive")[0] == "OK"
        assert client.uid("MOVE", "1", "Trash")[0] == "OK"
        kind, data = client.uid("FETCH", "3", "(BODY.PEEK[TEXT]<2.4> ENVELOPE)")
        assert kind == "OK" and data[0][1] == b"line"
        expunge(client)
        assert client.close()[0] == "OK"
    [smtp] = [message for message in listed(server) if message["subject"] == "smtp"]
    server.ctl("vault", "restore", ALICE, smtp["id"])


def check_work(server):
    assert texts(server) == []
    assert texts(server, "Archive") == [text("append")]
    assert texts(server, "Trash") == [text("lmtp")]
    assert texts(server, "Restored-Messages") == [text("smtp")]
    assert texts(server, user=BOB) == [text("smtp")]
    client = server.pop3(BOB)
    assert b"Subject: smtp" in client.retr(1)[1]
    client.quit()
    assert server.ctl_json("user", "solve", ALICE)["content_lost"] == 0


def test_small_mail_never_meets_the_store_of_content(bare_server, tmp_path):
    server = bare_server
    keys = tmp_path / "keys"
    keys.write_text("2026 " + "0123456789abcdef" * 4 + "\n")
    server.settings = {"content.store": "file", "content.compression": "zstd", "content.key_file": keys}
    told(server, 0)
    server.add_domain("example.org")
    server.add_user(ALICE)
    server.add_user(BOB)
    assert (server.data / "FORMAT").read_text() == "3\n"

    told(server, LIMIT)
    work(server)
    check_work(server)
    assert files(server) == 0
    assert metric(server, "content_inline_puts_total") == 5
    # What only asks about mail does not read it.
    before = metric(server, "content_inline_reads_total")
    with server.imap() as client:
        client.select("Archive")
        assert client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE INTERNALDATE)")[0] == "OK"
        assert metric(server, "content_inline_reads_total") == before
        assert client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER])")[0] == "OK"
        assert metric(server, "content_inline_reads_total") == before + 1
    server.deliver(mail("large", LIMIT))
    assert files(server) == 1

    # Where a mail stands does not depend on what is set now.
    server.kill()
    told(server, 0)
    with server.imap() as client:
        assert client.append("INBOX", None, None, mail("apart").encode())[0] == "OK"
        assert files(server) == 2
        assert texts(server) == [text("large", LIMIT), text("apart")]
        expunge(client)
    check_work(server)
    told(server, LIMIT)
    check_work(server)
    audit = server.ctl_json("audit")
    # Five among the rows, one of them deleted and one that restored it; two in files.
    assert (audit["blobs"], audit["orphaned"]) == (7, 0)


def test_a_limit_beyond_its_limit_is_refused(bare_server):
    bare_server.settings = {"content.inline_max": "65 KiB"}
    bare_server.start(wait=False)
    assert bare_server.process.wait(30) == 78
    assert "content.inline_max" in bare_server.log_text()
