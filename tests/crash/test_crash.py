"""kill -9 at random moments under load, again and again: nothing acknowledged is lost or doubled, counts
are exact, every message has its content."""

import random
import time

import pytest

from crash.load import Deliverer, Reader, listing
from support.server import Server

ROUNDS = 20
ACCOUNTS = [f"user{n}@example.org" for n in range(4)]


def make_clients(server, seed):
    kinds = [Deliverer] * 4 + [Reader] * 12
    return [kind(server, n, ACCOUNTS[n % len(ACCOUNTS)], seed * 1000 + n) for n, kind in enumerate(kinds)]


def again(client, seed):
    """The same client after the crash, with what it knows."""
    fresh = type(client)(client.server, client.number, client.account, seed * 1000 + client.number)
    fresh.mails, fresh.count = client.mails, client.count
    return fresh


def then_the_mailboxes_are_as_told(session, client):
    """Every mail is once in one of the places it may be in, with flags it may have; nothing else is there."""
    found = {}
    for place in client.mailboxes():
        if session.select(place)[0] != "OK":
            continue
        for token, copies in listing(session).items():
            if not token.startswith(f"c{client.number}n"):
                assert place == "INBOX", f"{token} is in {place}"
                continue
            found.setdefault(token, []).extend((place, uid, flags) for uid, flags in copies)
    for token, known in list(client.mails.items()):
        copies = found.pop(token, [])
        assert len(copies) <= 1, f"{token} is there {len(copies)} times: {copies}"
        place = copies[0][0] if copies else None
        assert place in known.places, f"{token} is in {place}, not in {known.places}"
        if not copies:
            # A delivery nobody answered is sent again; the others knew it might be gone.
            if type(client) is Reader:
                del client.mails[token]
            continue
        assert copies[0][2] in known.flags, f"{token} has {copies[0][2]}, not {known.flags}"
        known.flags = {copies[0][2]}
        if type(client) is Reader:
            known.places = {place}
    assert not found, f"what nobody knows is there: {sorted(found)}"


def then_counts_are_exact(server, session, account):
    folders = server.folders(account)
    total_count = total_bytes = 0
    for path, folder in folders.items():
        assert session.select(f'"{path}"')[0] == "OK"
        kind, data = session.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")
        lines = [part for part in data if part]
        sizes = [int(line.split(b"RFC822.SIZE ")[1].split()[0].rstrip(b")")) for line in lines]
        unseen = sum(b"\\Seen" not in line for line in lines)
        assert (folder["messages"], folder["unseen"], folder["bytes"]) == (len(lines), unseen, sum(sizes)), path
        total_count += len(lines)
        total_bytes += sum(sizes)
    used = server.ctl_json("user", "show", account)["used"]
    assert used == {"bytes": total_bytes, "count": total_count}


def then_content_is_what_was_sent(session, client):
    for place in client.mailboxes():
        if session.select(place)[0] != "OK":
            continue
        for token, copies in listing(session).items():
            if token not in client.mails:
                continue
            kind, data = session.uid("FETCH", copies[0][0], "(BODY.PEEK[])")
            assert data[0][1].endswith(client.mails[token].content), token


def then_all_content_is_accounted_for(server):
    audit = server.ctl_json("blobs", "audit")
    assert audit["orphaned"] == 0 and audit["blobs"] == audit["live"] + audit["waiting"] > 0, audit
    for account in ACCOUNTS:
        found = server.ctl_json("user", "solve", account)
        wrong = ("missing", "stale", "orphaned", "maps_fixed", "counts_wrong", "rows_lost", "content_lost")
        assert {kind: found[kind] for kind in wrong} == dict.fromkeys(wrong, 0), found


@pytest.mark.timeout(1500)
def test_kill_9_under_load_loses_and_doubles_nothing(tmp_path):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Server(tmp_path) as server:
        server.start()
        server.add_domain("example.org")
        for account in ACCOUNTS:
            server.add_user(account)
        clients = make_clients(server, seed)
        for round_number in range(ROUNDS):
            for client in clients:
                client.start()
            for client in clients:
                assert client.ready.wait(60)
            time.sleep(chance.uniform(0.05, 0.8))
            server.kill()
            for client in clients:
                client.join(60)
                assert client.fault is None, (seed, round_number, client.fault)
            assert sum(client.acknowledged for client in clients) > 0
            server.start()
            sessions = {account: server.imap(account) for account in ACCOUNTS}
            for client in clients:
                then_the_mailboxes_are_as_told(sessions[client.account], client)
            if round_number % 10 == 9:
                for account in ACCOUNTS:
                    then_counts_are_exact(server, sessions[account], account)
            if round_number < ROUNDS - 1:
                clients = [again(client, seed + round_number + 1) for client in clients]
        for client in clients:
            then_content_is_what_was_sent(sessions[client.account], client)
        for session in sessions.values():
            session.logout()
        then_all_content_is_accounted_for(server)
