"""Deleted mail is listed, found, restored, exported and purged."""

import mailbox
import time

from support.vault import expunge, fetch_all, listed, wait_for

ALICE = "alice@example.org"


def mail(number, body="nothing"):
    return "\r\n".join([
        f"Subject: =?utf-8?q?Bericht_f=C3=BCr?= {number}", "From: Carol <carol@example.net>", f"To: {ALICE}",
        "Date: Sat, 31 Jan 2026 12:00:00 +0000", f"Message-ID: <{number}@example.net>", "", body, "From here, a line", ">From there", "",
    ])


def ids(messages):
    return [message["id"] for message in messages]


def deliver(server, *numbers):
    """Returns what IMAP shows of each."""
    for number in numbers:
        server.deliver(mail(number, body=f"the body of {number}"))
    with server.imap() as client:
        return list(fetch_all(client).values())


def test_what_was_expunged_is_listed_and_found(server):
    deliver(server, "one", "two")
    assert listed(server) == []
    with server.imap() as client:
        expunge(client, "1")
        expunge(client, "2")
    two, one = listed(server)
    assert one["subject"] == "Bericht für one" and two["subject"] == "Bericht für two"
    assert (one["mailbox"], one["from"], one["to"]) == ("INBOX", "Carol <carol@example.net>", ALICE)
    assert abs(one["deleted_us"] / 1e6 - time.time()) < 60 and one["bytes"] > 200

    def found(*terms):
        return ids(server.ctl_json("vault", "search", ALICE, *terms)["messages"])

    assert found("subject:BERICHT FÜR ONE") == found("text:body of one") == found("one") == [one["id"]]
    assert found("from:carol", "date:2026-01-31", "to:alice") == [two["id"], one["id"]]
    assert found("from:carol", "subject:three") == found("from:alice") == []
    assert listed(server, "--mailbox", "Trash") == listed(server, "--since", "2100-01-01") == listed(server, "--until", "2026-01-01") == []
    assert ids(listed(server, "--limit", "1")) == [two["id"]]
    shown = server.ctl("vault", "list", ALICE, "--limit", "1")
    assert two["id"] in shown.stdout and one["id"] not in shown.stdout and "there are more" in shown.stderr
    server.restart()
    assert ids(listed(server)) == [two["id"], one["id"]]


def test_what_is_still_in_a_mailbox_is_not_in_the_vault(server):
    deliver(server, "one")
    with server.imap() as client:
        client.select("INBOX")
        client.uid("COPY", "1", "Trash")
        expunge(client)
        assert listed(server) == []
        expunge(client, folder="Trash")
    assert [message["mailbox"] for message in listed(server)] == ["Trash"]


def test_restored_mail_is_what_was_delivered(server):
    before = deliver(server, "one", "two")
    with server.imap() as client:
        client.select("INBOX")
        client.uid("STORE", "1", "+FLAGS", "(\\Flagged)")
        date = client.uid("FETCH", "1", "(INTERNALDATE)")[1]
        expunge(client)
    two, one = sorted(listed(server), key=lambda message: message["subject"], reverse=True)
    server.ctl("vault", "restore", ALICE, one["id"], two["id"])
    assert listed(server) == []
    with server.imap() as client:
        assert list(fetch_all(client, "Restored-Messages").values()) == before
        assert client.uid("FETCH", "1", "(INTERNALDATE)")[1] == date
        flags = client.uid("FETCH", "1", "(FLAGS)")[1][0]
        assert b"\\Flagged" in flags and b"\\Deleted" not in flags
        assert fetch_all(client) == {}
    again = server.ctl("vault", "restore", ALICE, one["id"], check=False)
    assert again.returncode == 1 and "in the vault" in again.stderr
    # Elsewhere, and to somebody else.
    with server.imap() as client:
        expunge(client, folder="Restored-Messages")
    first, second = listed(server)
    server.ctl("vault", "restore", ALICE, first["id"], "--mailbox", "Back/There")
    server.ctl("vault", "restore", ALICE, second["id"], "--to", "bob@example.org", "--mailbox", "INBOX")
    with server.imap() as client, server.imap("bob@example.org") as bob:
        assert [*fetch_all(client, "Back/There").values(), *fetch_all(bob).values()] in (before, before[::-1])


def test_deleted_folders_and_users_leave_their_mail(server, tmp_path):
    before = deliver(server, "one", "two")
    with server.imap() as client:
        client.create("Work")
        client.select("INBOX")
        client.uid("MOVE", "1", "Work")
        client.delete("Work")
    one = wait_for(lambda: listed(server))[0]
    assert one["mailbox"] == "Work"
    account = server.ctl_json("user", "show", ALICE)["account"]
    assert server.ctl_json("user", "remove", ALICE)["account"] == account
    wait_for(lambda: len(listed(server, account=account)) == 2)
    assert server.ctl("vault", "list", ALICE, check=False).returncode == 1
    assert server.ctl("vault", "restore", account, one["id"], check=False).returncode == 1
    server.ctl("vault", "restore", account, one["id"], "--to", "bob@example.org")
    with server.imap("bob@example.org") as bob:
        assert list(fetch_all(bob, "Restored-Messages").values()) == before[:1]
    server.ctl("vault", "export", account, tmp_path / "rest.mbox")
    assert len(mailbox.mbox(tmp_path / "rest.mbox")) == 1


def unquoted(lines):
    return [line[1:] if line.startswith(b">") and line.lstrip(b">").startswith(b"From ") else line for line in lines]


def test_an_export_is_an_mbox(server, tmp_path):
    before = deliver(server, "one", "two")
    with server.imap() as client:
        expunge(client)
    file = tmp_path / "deleted.mbox"
    server.ctl("vault", "export", ALICE, file)
    assert file.stat().st_mode & 0o777 == 0o600
    stored = [b"\r\n".join(unquoted(bytes(message).rstrip(b"\n").split(b"\n"))) + b"\r\n" for message in mailbox.mbox(file)]
    assert sorted(stored) == sorted(before)
    assert server.ctl("vault", "export", ALICE, file, check=False).returncode != 0
    assert server.ctl("vault", "export", ALICE, "-").stdout.encode() == file.read_bytes()


def test_what_is_purged_goes_without_waiting(bare_server):
    server = bare_server
    server.settings = {"content.store": "file", "content.reclaim_interval": "100 ms"}
    server.start()
    server.add_domain("example.org")
    server.add_user(ALICE)
    deliver(server, "one", "two", "three")

    def contents():
        return [file for file in (server.data / "content").rglob("*") if file.is_file()]

    with server.imap() as client:
        expunge(client)
    assert len(contents()) == 3
    one = server.ctl_json("vault", "search", ALICE, "subject:one")["messages"][0]
    server.ctl("vault", "purge", ALICE, one["id"])
    assert one["id"] not in ids(listed(server)) and len(listed(server)) == 2
    wait_for(lambda: len(contents()) == 2)
    assert server.ctl("vault", "purge", ALICE, check=False).returncode == 64
    server.ctl("vault", "purge", ALICE, "--all")
    assert listed(server) == []
    wait_for(lambda: contents() == [])
    audit = server.ctl_json("blobs", "audit")
    assert audit["blobs"] == audit["orphaned"] == 0


def test_without_a_vault_nothing_is_listed(bare_server):
    bare_server.settings = {"content.vault": "no"}
    bare_server.start()
    bare_server.add_domain("example.org")
    bare_server.add_user(ALICE)
    deliver(bare_server, "one")
    with bare_server.imap() as client:
        expunge(client)
    assert listed(bare_server) == []
