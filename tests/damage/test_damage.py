"""Rows of the embedded store, and of the search index, are deleted, altered, cut, exchanged and put back: what clients
are shown stays what it was, and what is damaged is put right."""

import concurrent.futures
import contextlib
import random
import sqlite3

import pytest

from support import searching
from support.damage import PLACE, SUMMARY, RocksRows, change_index, damage, flipped, index_file, resurrect
from support.everything import change, everything, fill, modseqs, then_same
from support.mailbox import Mailbox
from support.patience import until
from support.server import Server

READ, COLD = "read@example.org", "cold@example.org"
# In each of three mailboxes: more than an account's log holds before it is trimmed and the maps are written.
MESSAGES = 130
SHARE = 0.1
TABLES = [("mailbox_message", None), ("mailbox_map", None), ("message", PLACE), ("message", SUMMARY)]


class World:
    def __init__(self, server):
        self.server = server
        self.rows = RocksRows(server)
        self.known, self.before, self.old = {}, {}, {}

    def run(self, *task):
        submitted = self.server.ctl_json("task", "submit", *task)["id"]
        ended = self.server.ctl_json("task", "await", submitted)
        assert ended["state"] == "done", ended
        return ended["counts"]

    def see(self, user):
        return everything(self.server, user, self.known[user])

    def mistreat(self, tables, seed):
        """The server is stopped for it."""
        self.server.stop()
        for table, kind in tables:
            back = resurrect(self.rows, table, self.old[table], SHARE, seed, kind)
            assert back or kind == SUMMARY or table == "mailbox_map"  # they are not changed, or not yet
            assert min(damage(self.rows, table, SHARE, seed, kind).values()) >= 1, table
        self.server.start()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("damage")) as server:
        server.start()
        server.add_domain("example.org")
        world = World(server)
        for user in (READ, COLD):
            server.add_user(user)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda user: fill(server, user, MESSAGES), (READ, COLD)))
        for user in (READ, COLD):
            world.known[user] = modseqs(server, user)
        server.stop()
        world.old = {table: world.rows.dump(table) for table, _ in TABLES}
        server.start()
        for user in (READ, COLD):
            change(server, user)
            world.known[user]["Kept"] = world.known[user].pop("Projects")
            world.before[user] = world.see(user)
        yield world


def test_the_test_sees_what_changes(world):
    client = world.server.imap(READ)
    client.select("INBOX")
    client.uid("STORE", "1", "+FLAGS", r"(\Draft)")
    with pytest.raises(AssertionError):
        then_same(world.see(READ), world.before[READ])
    client.uid("STORE", "1", "-FLAGS", r"(\Draft)")
    client.logout()
    world.before[READ] = world.see(READ)


def test_what_is_read_is_right_at_once_and_healed_by_it(world):
    world.mistreat(TABLES[:2], 1)
    then_same(world.see(READ), world.before[READ])
    counts = world.run("solve", READ)
    assert [counts[name] for name in ("fixed", "maps_fixed", "counts_wrong", "rows_lost", "failed")] == [0] * 5
    assert "holdfast_rows_damaged_total 0\n" not in world.server.ctl("metrics").stdout


def test_what_nobody_reads_is_healed_by_tasks(world):
    world.mistreat(TABLES, 2)
    counts = world.run("solve")
    assert counts["missing"] and counts["stale"] and counts["orphaned"] and counts["maps_fixed"]
    assert [counts[name] for name in ("counts_wrong", "rows_lost", "failed", "log_holes", "busy")] == [0] * 5
    filled = world.run("summaries")
    assert filled["missing"] == filled["fixed"] > 0
    again = world.run("solve")
    assert [again[name] for name in ("missing", "stale", "orphaned", "maps_fixed", "counts_wrong")] == [0] * 5
    assert world.run("summaries")["fixed"] == world.run("recount")["counts_wrong"] == 0
    for user in (READ, COLD):
        then_same(world.see(user), world.before[user])


def test_names_for_listing_are_healed(world):
    world.server.stop()
    rows = world.rows.dump("directory")
    world.rows.remove("directory", [row for row in rows if b"cold" in row.key])
    world.server.start()
    assert COLD not in world.server.ctl("user", "list").stdout
    assert world.run("directory")["fixed"] == 1
    assert COLD in world.server.ctl("user", "list").stdout
    assert world.run("directory")["fixed"] == 0


def test_a_name_that_is_used_is_listed_again(world):
    """Of who signs in, and of who gets mail, with its domain and its alias."""
    world.server.ctl("alias", "set", "info@example.org", READ)
    world.server.stop()
    rows = world.rows.dump("directory")
    assert len([row for row in rows if b"example.org" in row.key]) >= 4
    world.rows.remove("directory", rows)
    world.server.start()
    assert COLD not in world.server.ctl("user", "list").stdout
    world.server.imap(COLD).logout()
    until(lambda: COLD in world.server.ctl("user", "list").stdout)
    world.server.deliver(searching.mail(1), to="info@example.org")
    until(lambda: READ in world.server.ctl("user", "list").stdout)
    until(lambda: "info@example.org" in world.server.ctl("alias", "list").stdout)
    until(lambda: "example.org" in world.server.ctl("domain", "list").stdout)
    world.run("directory")


def test_a_damaged_row_of_the_log_is_told_and_the_rest_is_healed(world):
    """Of the account that nobody reads: its rows are damaged at the same time, but for those that only that row tells."""
    account = bytes.fromhex(world.server.ctl_json("user", "show", COLD)["account"].replace("-", ""))
    world.server.stop()
    log = sorted(row for row in world.rows.dump("account_log") if row.partition.startswith(account))
    assert len(log) > 60
    # Each of these is a message that came, and that nothing has changed since.
    chance = random.Random(5)
    world.rows.put("account_log", [flipped(row, chance) for row in log[100:103]])
    assert min(damage(world.rows, "message", SHARE, 5, PLACE).values()) >= 1
    world.server.start()
    counts = world.run("solve")
    assert counts["log_damaged"] == 3 and counts["log_holes"] == 1
    assert counts["fixed"] == counts["missing"] + counts["stale"] + counts["orphaned"] > 10
    assert [counts[name] for name in ("counts_wrong", "rows_lost", "failed", "busy")] == [0] * 4
    again = world.run("solve")
    assert again["fixed"] == 0 and again["log_damaged"] == 3
    # QRESYNC tells more than has changed; all else is as it was.
    then_same(*({what: seen[what] for what in seen if what[1] != "changed"} for seen in (world.see(COLD), world.before[COLD])))


def test_what_the_log_does_not_tell_any_more_is_told_and_not_made_up(world):
    """The trimmed log goes, and a row whose message began in it: the others are served."""
    world.server.stop()
    log = world.rows.dump("account_log")
    world.rows.remove("account_log", log)
    first = [row for row in world.rows.dump("mailbox_message") if row.key[-4:] == b"\0\0\0\1"]
    world.rows.remove("mailbox_message", first)
    world.server.start()
    counts = world.run("solve")
    assert counts["rows_lost"] == len(first) and counts["counts_wrong"] == len(first)
    assert counts["fixed"] == 0
    client = world.server.imap(COLD)
    client.select("INBOX", readonly=True)
    kind, data = client.uid("FETCH", "1:*", "(RFC822.SIZE)")
    assert (kind, data[0][:12]) == ("NO", b"[CORRUPTION]")
    uids = {line.split()[2] for line in client.response("FETCH")[1]}
    assert len(uids) == len(world.before[COLD]["INBOX", "messages"]) - 1 and b"1" not in uids
    assert client.uid("FETCH", "3:*", "(RFC822.SIZE)")[0] == "OK"
    client.logout()


def lose_places(file):
    """By a fault of ours: the file is sound."""
    change_index(file, "DELETE FROM place WHERE uid IN (6, 31)")


def lose_documents(file):
    change_index(file, "DELETE FROM document WHERE id IN (9, 12, 20)")


def write_by_others(file):
    with contextlib.closing(sqlite3.connect(file)) as index, index:
        index.execute("UPDATE place SET document = 3 WHERE uid IN (6, 31)")


def alter_bytes(file):
    """One in a page, and the journal's too."""
    change_index(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(file.read_bytes())
    for at in range(4096 + 90, len(content), 4096):
        content[at] ^= 4
    file.write_bytes(content)


def cut(file):
    change_index(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_searches_find_the_same_whatever_becomes_of_the_index(world):
    """At once; and the index is whole again soon after somebody has searched."""
    sought = Mailbox(world.server, "sought@example.org")
    searching.fill(sought, 40)
    searching.wait_for_index(sought)
    found, near = searching.answers(sought), searching.fuzzy_answers(sought)
    assert found['UID 3:* BODY "apples"'].startswith(b"3 6 9")
    file = index_file(world.server, sought.address)
    for mistreat in (lose_places, lose_documents, write_by_others, alter_bytes, cut):
        world.server.stop()
        mistreat(file)
        world.server.start()
        assert searching.answers(sought) == found, mistreat
        assert searching.fuzzy_answers(sought) == near, mistreat

        def is_whole():
            counts = world.run("index-audit", sought.address)
            return not any(counts[name] for name in ("missing", "stale", "orphaned", "behind"))

        until(is_whole)
        assert searching.answers(sought) == found, mistreat


def test_an_old_index_that_comes_back_finds_the_same(world):
    again = Mailbox(world.server, "again@example.org")
    searching.fill(again, 12)
    searching.wait_for_index(again)
    file = index_file(world.server, again.address)
    world.server.stop()
    files = {path: path.read_bytes() for path in file.parent.glob(f"{file.name}*")}
    world.server.start()
    client = world.server.imap(again.address)
    client.select("INBOX")
    client.uid("STORE", "3,7", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()
    world.server.deliver(searching.mail(13), to=again.address)
    found = searching.answers(again)
    searching.wait_for_index(again)
    world.server.stop()
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)
    world.server.start()
    assert searching.answers(again) == found
    searching.wait_for_index(again)
    assert searching.answers(again) == found
