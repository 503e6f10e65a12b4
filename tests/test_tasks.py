"""Tasks through holdfastctl: what they tell, after a kill too, and how they are cancelled."""

import time

import pytest

from support.damage import change_index, index_file
from support.server import Server

USERS = [f"user{number}@example.org" for number in range(4)]


@pytest.fixture(scope="module")
def tended(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("tasks"), {"tasks.lease": "1 s"}) as made:
        made.start()
        made.add_domain("example.org")
        for user in USERS:
            made.add_user(user)
            for number in range(3):
                made.deliver(f"Subject: {number}\r\n\r\nhello\r\n", to=user)
        yield made


def submit(server, *arguments):
    return server.ctl_json("task", "submit", *arguments)["id"]


def run(server, *arguments):
    return server.ctl_json("task", "await", submit(server, *arguments))


def wait_until(server, task, condition):
    end = time.monotonic() + 20
    while not condition(shown := server.ctl_json("task", "show", task)):
        assert time.monotonic() < end, shown
        time.sleep(0.05)


def test_a_killed_run_tells_what_one_without_a_kill_tells(tended):
    whole = run(tended, "solve")
    assert (whole["counts"]["accounts"], whole["counts"]["mailboxes"]) == (4, 24)
    assert whole["counts"]["checked"] >= 24 and whole["counts"]["fixed"] == 0 and whole["findings"] == []
    killed = submit(tended, "solve", "all", "30")
    wait_until(tended, killed, lambda shown: shown["counts"]["accounts"] >= 1)
    tended.kill()
    tended.start()
    resumed = tended.ctl_json("task", "await", killed)
    assert (resumed["state"], resumed["runs"]) == ("done", 2)
    assert resumed["counts"] == whole["counts"]


def test_a_task_is_cancelled(tended):
    task = submit(tended, "recount", USERS[0], "1")
    wait_until(tended, task, lambda shown: shown["state"] == "running")
    tended.ctl("task", "cancel", task)
    begun = time.monotonic()
    assert tended.ctl("task", "await", task, check=False).returncode == 1
    assert time.monotonic() - begun < 10
    shown = tended.ctl_json("task", "show", task)
    assert (shown["state"], shown["subject"], shown["rate"]) == ("cancelled", USERS[0], 1)
    assert "ended" in tended.ctl("task", "cancel", run(tended, "recount")["id"], check=False).stderr


def test_several_subjects_at_once_and_the_list_shows_them(tended):
    tasks = [submit(tended, "solve-rows", user) for user in USERS] + [submit(tended, "audit")]
    for task in tasks:
        tended.ctl("task", "await", task)
    listed = {task["id"]: task for task in tended.ctl_json("task", "list")["tasks"]}
    assert {listed[task]["state"] for task in tasks} == {"done"}
    assert listed[tasks[-1]]["counts"]["orphaned"] == 0 and listed[tasks[-1]]["counts"]["live"] > 0
    assert tasks[0] in tended.ctl("task", "list").stdout
    assert 'holdfast_tasks_ended_total{state="done"}' in tended.ctl("metrics").stdout


def damage_index(server, file):
    """One place that is missing, and one that is another message's."""
    server.stop()
    change_index(file, "DELETE FROM place WHERE uid = 1; UPDATE document SET fingerprint = 1 WHERE id = 2")
    server.start()


def test_an_index_is_held_against_the_mail_mended_and_made_anew(tended):
    made = run(tended, "reindex")
    assert (made["state"], made["counts"]["rebuilt"]) == ("done", len(USERS))
    clean = run(tended, "index-audit")["counts"]
    assert (clean["checked"], clean["behind"], clean["missing"]) == (3 * len(USERS), 0, 0)
    damage_index(tended, index_file(tended, USERS[1]))
    told = run(tended, "index-audit")
    assert (told["counts"]["missing"], told["counts"]["stale"], told["counts"]["fixed"]) == (1, 1, 0)
    assert "missing 1 stale 1" in told["findings"][0]
    assert run(tended, "reindex-stale")["counts"]["fixed"] == 2
    assert run(tended, "index-audit")["findings"] == []
    again = run(tended, "reindex", f"{USERS[0]}/inbox;UID=2")
    assert (again["subject"], again["counts"]["fixed"]) == (f"{USERS[0]}/INBOX;UID=2", 1)
    assert run(tended, "summaries")["counts"]["missing"] == 0


def test_what_was_half_made_anew_does_not_stay(tended):
    beside = tended.data / "index" / "beside"
    before = run(tended, "index-audit")["counts"]
    task = submit(tended, "reindex", USERS[0], "1")
    end = time.monotonic() + 20
    while not list(beside.rglob("*.sqlite")):
        assert time.monotonic() < end
        time.sleep(0.02)
    tended.ctl("task", "cancel", task)
    assert tended.ctl("task", "await", task, check=False).returncode == 1
    assert not list(beside.rglob("*.sqlite"))
    assert run(tended, "index-audit")["counts"] == before


def test_what_cannot_be_done_is_refused(tended):
    assert "no task" in tended.ctl("task", "submit", "dance", check=False).stderr
    assert tended.ctl("task", "submit", "audit", USERS[0], check=False).returncode == 1
    assert "no user" in tended.ctl("task", "submit", "solve", "nobody@example.org", check=False).stderr
    assert "whole accounts" in tended.ctl("task", "submit", "solve", f"{USERS[0]}/INBOX", check=False).stderr
    assert "no mailbox" in tended.ctl("task", "submit", "reindex", f"{USERS[0]}/Nowhere", check=False).stderr
    assert {kind["kind"] for kind in tended.ctl_json("task", "kinds")["kinds"]} >= {"solve", "recount", "audit", "tidy"}
