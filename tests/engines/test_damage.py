"""Rows in Cassandra are deleted, altered, cut, exchanged and put back while nodes serve from them; and the tasks that put
right what is derived, on nodes that are killed and under traffic."""

import re
import threading
import time

import pytest

from support.damage import PLACE, SUMMARY, CassandraRows, damage, resurrect
from support.everything import change, everything, fill, modseqs, ok, then_same
from support.nodes import Nodes
from support.patience import until
from support.searching import mail

ALICE, BOB, CAROL = (f"{name}@example.org" for name in ("alice", "bob", "carol"))
# In each of three mailboxes: more than an account's log holds before it is trimmed and the maps are written.
MESSAGES = 130
SHARE = 0.1
TABLES = [("mailbox_message", None), ("mailbox_map", None), ("message", PLACE), ("message", SUMMARY)]
SOUND = ("missing", "stale", "orphaned", "maps_fixed", "counts_wrong", "rows_lost", "failed", "log_holes")

# The fixture is there for its order: tests are put by the size of the cluster that they name.
pytestmark = pytest.mark.usefixtures("cassandra")


class World:
    def __init__(self, nodes, rows):
        self.nodes, self.rows = nodes, rows
        self.one, self.other = nodes.servers
        self.old, self.known, self.before = {}, {}, {}

    def submit(self, *task):
        return self.one.ctl_json("task", "submit", *task)["id"]

    def end_of(self, task, server=None):
        ended = (server or self.one).ctl_json("task", "await", task)
        assert ended["state"] == "done", ended
        return ended

    def run(self, *task):
        return self.end_of(self.submit(*task))["counts"]

    def then_sound(self, *subject):
        counts = self.run("solve", *subject)
        assert {name: counts[name] for name in SOUND} == dict.fromkeys(SOUND, 0)

    def wait_until_applied(self):
        """Rows are written soon after the commit that they tell of."""
        end = time.monotonic() + 30
        last = None
        while (now := [len(self.rows.dump(table)) for table, _ in TABLES[:3]]) != last:
            assert time.monotonic() < end
            last = now
            time.sleep(0.5)

    def mistreat(self, tables, seed):
        for table, kind in tables:
            resurrect(self.rows, table, self.old[table], SHARE, seed, kind)
            assert sum(damage(self.rows, table, SHARE, seed, kind).values()) >= 3, table


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    cluster.up(1, 1)
    with cluster.keyspace() as keyspace, cluster.session(timeout=60) as session:
        nodes = Nodes(tmp_path_factory.mktemp("damage"), cluster, keyspace)
        nodes.make_schema()
        for name in ("one", "other"):
            nodes.start(server__name=f"{name}.example.org", tasks__lease="1 s", search__index="fts5")
        world = World(nodes, CassandraRows(session, keyspace))
        world.one.add_domain("example.org")
        for user in (ALICE, BOB, CAROL):
            world.one.add_user(user)
        fill(world.one, ALICE, MESSAGES)
        fill(world.other, BOB, 10)
        fill(world.other, CAROL, 3)
        world.known = modseqs(world.one, ALICE)
        world.wait_until_applied()
        world.old = {table: world.rows.dump(table) for table, _ in TABLES}
        change(world.one, ALICE)
        world.known["Kept"] = world.known.pop("Projects")
        world.before = everything(world.one, ALICE, world.known)
        world.wait_until_applied()
        yield world
        nodes.close()


def test_what_is_read_is_right_at_once_and_healed_by_it(world):
    world.mistreat(TABLES[:2], 1)
    # One has the mailboxes open, the other has to read its maps.
    for server in (world.one, world.other):
        then_same(everything(server, ALICE, world.known), world.before)
    world.then_sound(ALICE)
    world.run("solve")


def test_what_nobody_reads_is_healed_by_tasks(world):
    world.mistreat(TABLES, 2)
    counts = world.run("solve")
    assert counts["missing"] and counts["stale"] and counts["maps_fixed"]
    filled = world.run("summaries")
    assert filled["missing"] == filled["fixed"] > 0
    world.then_sound()
    assert world.run("summaries")["fixed"] == world.run("recount")["counts_wrong"] == 0
    then_same(everything(world.other, ALICE, world.known), world.before)


def test_a_change_that_counts_by_damaged_rows_is_right(world):
    assert sum(damage(world.rows, "mailbox_message", 0.3, 3).values()) > 20
    client = world.one.imap(ALICE)
    ok(client.select("INBOX"))
    ok(client.uid("STORE", "1:*", "+FLAGS.SILENT", r"(\Deleted)"))
    size = re.search(rb"SIZE (\d+)", ok(client.status("INBOX", "(SIZE)"))[0]).group(1)
    assert b"DELETED-STORAGE " + size in ok(client.status("INBOX", "(DELETED-STORAGE)"))[0]
    damage(world.rows, "mailbox_message", 0.3, 4)
    ok(client.uid("STORE", "1:*", "-FLAGS.SILENT", r"(\Deleted)"))
    assert b"DELETED-STORAGE 0" in ok(client.status("INBOX", "(DELETED-STORAGE)"))[0]
    client.logout()
    world.run("solve")
    assert world.run("recount")["counts_wrong"] == 0
    world.wait_until_applied()
    world.before = everything(world.one, ALICE, world.known)


def test_every_kind_of_task_runs_over_cassandra(world):
    kinds = [kind["kind"] for kind in world.one.ctl_json("task", "kinds")["kinds"]]
    kinds = [kind for kind in kinds if not kind.startswith("import")]  # these want another server, and have tests of their own
    assert len(kinds) >= 13
    # All at once: two nodes take two each, and none is in the way of another.
    for kind, task in [(kind, world.submit(kind)) for kind in kinds]:
        ended = world.end_of(task)
        assert ended["counts"].get("failed", 0) == 0, ended
        for name in ("counts_wrong", "content_lost", "orphaned", "rows_lost", "missing", "unreadable"):
            assert ended["counts"].get(name, 0) == 0 or kind.startswith(("index", "reindex")), (kind, ended)


def test_a_killed_nodes_task_is_finished_by_the_other(world):
    whole = world.run("solve")
    task = world.submit("solve", "all", str(whole["checked"] // 5))
    servers = {"one.example.org": world.one, "other.example.org": world.other}
    until(lambda: world.one.ctl_json("task", "show", task)["state"] == "running")
    holder = servers.pop(world.one.ctl_json("task", "show", task)["node"])
    (left,) = servers.values()
    holder.kill()
    ended = world.end_of(task, left)
    assert ended["runs"] == 2 and ended["counts"] == whole
    holder.start()


def test_a_task_is_cancelled_half_way_and_leaves_all_sound(world):
    task = world.submit("solve", ALICE, "20")
    until(lambda: world.one.ctl_json("task", "show", task)["state"] == "running")
    world.other.ctl("task", "cancel", task)
    assert world.one.ctl("task", "await", task, check=False).returncode == 1
    assert world.one.ctl_json("task", "show", task)["state"] == "cancelled"
    then_same(everything(world.one, ALICE, world.known), world.before)


def test_tasks_of_several_subjects_run_under_traffic(world):
    """Throttled, they take as long as they are told to; nothing that comes meanwhile is taken for damage."""
    is_over = threading.Event()
    failures, sent = [], []

    def send(server, user):
        try:
            while not is_over.is_set():
                server.deliver(mail(len(sent)), to=user)
                sent.append(user)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=send, args=work) for work in ((world.one, ALICE), (world.other, BOB))
    ]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    tasks = [world.submit("solve", ALICE, "1000"), world.submit("solve", BOB), world.submit("recount", CAROL)]
    ended = [world.end_of(task)["counts"] for task in tasks]
    seconds = time.monotonic() - begun
    is_over.set()
    for thread in threads:
        thread.join()
    assert not failures and len(sent) > 4
    assert seconds > ended[0]["checked"] / 1000 / 2
    for counts in ended:
        assert [counts[name] for name in SOUND] == [0] * len(SOUND), counts
    world.then_sound()
    for user in (ALICE, BOB):
        assert world.other.folders(user)["INBOX"]["messages"] >= sent.count(user)
