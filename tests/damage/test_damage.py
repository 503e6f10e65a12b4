"""Rows of the embedded store are deleted, altered, cut, exchanged and put back: what clients are shown stays what it
was, and what is damaged is put right."""

import concurrent.futures

import pytest

from support.damage import PLACE, SUMMARY, RocksRows, damage, resurrect
from support.everything import change, everything, fill, modseqs, then_same
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
