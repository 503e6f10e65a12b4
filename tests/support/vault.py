"""Deleted mail, as holdfastctl shows it."""

import time


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.1)
    return found


def fetch_all(client, folder="INBOX"):
    """{UID: bytes} of a mailbox."""
    kind, answer = client.select(folder)
    assert kind == "OK", answer
    if answer == [b"0"]:
        return {}
    kind, data = client.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
    assert kind == "OK", data
    return {int(item[0].split(b"UID ")[1].split()[0]): item[1] for item in data if isinstance(item, tuple)}


def expunge(client, uids="1:*", folder="INBOX"):
    assert client.select(folder)[0] == "OK"
    assert client.uid("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"


def listed(server, *arguments, account="alice@example.org"):
    return server.ctl_json("vault", "list", account, *arguments)["messages"]
