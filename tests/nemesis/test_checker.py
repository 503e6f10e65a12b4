"""The checker bites: histories written by hand, a good one and one for each way of breaking a promise."""

import copy

import pytest

from nemesis.checker import check
from nemesis.history import Operation, Recorder, load

ALICE = "alice@example.org"
HERE = {"account": ALICE, "mailbox": "INBOX"}
SENT = {"digest": "d1", "length": 10}


class Story:
    """Operations one after the other, a second each, unless told otherwise."""

    def __init__(self):
        self.operations = []

    def add(self, do, outcome="ok", result=None, begin=None, end=None, node=1, **arguments):
        number = len(self.operations) + 1
        begin = number if begin is None else begin
        end = begin + 0.5 if end is None else end
        end = end if outcome != "unknown" else float("inf")
        arguments = {**HERE, **arguments}
        self.operations.append(Operation(number, "client", node, do, arguments, begin, end, outcome, result or {}))
        return self

    def deliver(self, token, outcome="ok", **more):
        return self.add("deliver", outcome, token=token, **SENT, **more)

    def append(self, token, uid, flags=(), outcome="ok", **more):
        result = {"uidvalidity": 7, "uid": uid} if outcome == "ok" else {}
        return self.add("append", outcome, result, token=token, flags=list(flags), **SENT, **more)

    def list(self, *entries, uidnext=10, modseq=100, uidvalidity=7, **more):
        """Entries as (UID, token, flags…)."""
        entries = [[uid, token, list(flags), 10] for uid, token, *flags in entries]
        shown = {"uidvalidity": uidvalidity, "uidnext": uidnext, "modseq": modseq}
        return self.add("list", result={**shown, "entries": entries}, **more)

    def store(self, uid, flag, adds=True, outcome="ok", **more):
        return self.add("store", outcome, uids=[uid], flags=[flag], add=adds, **more)

    def expunge(self, uid, outcome="ok", **more):
        return self.add("expunge", outcome, {"uids": [uid]}, uids=[uid], **more)

    def move(self, uid, token, target_uid, outcome="ok", **more):
        result = {"uidvalidity": 8, "pairs": [[uid, target_uid]]} if outcome == "ok" else {}
        return self.add("move", outcome, result, target="Work", uids=[uid], tokens=[token], **more)

    def sync(self, cache, fresh, uidnext=10, modseq=100, **more):
        shown = {"uidvalidity": 7, "uidnext": uidnext, "modseq": modseq}
        return self.add("sync", result={**shown, "cache": cache, "fresh": fresh}, **more)

    def ends_well(self, count=2, **changes):
        """The look at everything after healing; `changes` replace the result of one part."""
        parts = {
            "healed": {"seconds": 3},
            "counts": {
                "folders": {"INBOX": {"messages": count, "unseen": count, "bytes": 10 * count}},
                "used": {"count": count, "bytes": 10 * count},
            },
            "uncertain": {"entries": []},
            "solve": dict.fromkeys(
                ("missing", "stale", "orphaned", "maps_fixed", "counts_wrong", "rows_lost", "content_lost"), 0
            ),
            "audit": {"blobs": 3, "live": 2, "waiting": 1, "orphaned": 0},
        }
        for do, result in parts.items():
            self.add(do, result={**result, **changes.get(do, {})}, final=True, bound=60)
        return self

    def broken(self):
        return {violation.invariant for violation in check(self.operations)}


def good_story():
    """Something of everything, with unknown outcomes and overlaps."""
    story = Story()
    story.deliver("a", "unknown").deliver("a").append("b", 2, ["\\Seen"])
    story.list((1, "a"), (2, "b", "\\Seen"), uidnext=3, modseq=10)
    story.append("c", 3, outcome="unknown")
    story.store(2, "\\Seen", adds=False)
    story.store(1, "\\Flagged", outcome="unknown")
    story.list((1, "a"), (2, "b"), uidnext=3, modseq=11)
    story.sync([[1, ["\\Flagged"]], [2, []]], [[1, ["\\Flagged"], 12], [2, [], 11]], uidnext=3, modseq=12)
    story.append("d", 4).move(4, "d", 1)
    story.add("status", result={"uidvalidity": 7, "uidnext": 5, "modseq": 13, "messages": 2})
    story.store(1, "\\Flagged", adds=False, outcome="unknown")
    story.expunge(2)
    story.append("e", 5)
    story.add("search", result={"uidvalidity": 7, "uidnext": 6, "modseq": 20, "uids": [1, 5]}, key="ALL")
    story.add("fetch", result={"token": "a", "before": 90, **SENT}, uid=1, token="a")
    story.list((1, "a"), (5, "e"), uidnext=6, modseq=20, final=True)
    story.list((1, "d"), uidnext=2, modseq=12, uidvalidity=8, mailbox="Work", final=True)
    ends = {"folders": {name: {"messages": n, "unseen": n, "bytes": 10 * n} for name, n in (("INBOX", 2), ("Work", 1))}}
    return story.ends_well(counts={**ends, "used": {"count": 3, "bytes": 30}})


def test_a_good_history_has_no_violation():
    assert check(good_story().operations) == []


def test_a_history_is_the_same_when_it_is_read_again(tmp_path):
    recorder = Recorder(tmp_path / "history")
    number = recorder.invoke("client", 2, "deliver", {"account": ALICE, "token": "a"})
    recorder.note("kill -9 everything")
    recorder.invoke("client", 1, "list", HERE)
    recorder.end(number, "ok", {})
    recorder.close()
    delivered, listed = load(tmp_path / "history")
    assert (delivered.do, delivered.node, delivered.is_ok) == ("deliver", 2, True)
    assert listed.outcome == "unknown" and delivered.begin <= listed.begin <= delivered.end < listed.end


STARTS = {
    "an acknowledged delivery is not shown": ("I1", lambda s: s.deliver("a").list()),
    "an acknowledged append is not shown": ("I1", lambda s: s.append("a", 1).list()),
    "what one node showed another does not": (
        "I1",
        lambda s: s.deliver("a", "unknown").list((1, "a")).list(node=2),
    ),
    "a search misses what is there": (
        "I1",
        lambda s: s.append("a", 1).add("search", result={"uidnext": 2, "uids": []}, key="ALL"),
    ),
    "a moved mail is nowhere": (
        "I1",
        lambda s: s.append("a", 1).move(1, "a", None, "unknown").list(final=True).list(mailbox="Work", final=True),
    ),
    "a retried delivery is there twice": (
        "I2",
        lambda s: s.deliver("a", "unknown").deliver("a").list((1, "a"), (2, "a")),
    ),
    "an append is there twice": ("I2", lambda s: s.append("a", 1).list((1, "a"), (2, "a"))),
    "a mail is there that nobody sent": ("I2", lambda s: s.list((1, "a"))),
    "a half move leaves both": (
        "I2",
        lambda s: s.append("a", 1)
        .move(1, "a", 1, "unknown")
        .list((1, "a"), final=True)
        .list((1, "a"), uidvalidity=8, mailbox="Work", final=True),
    ),
    "a UID is given twice": ("I3", lambda s: s.append("a", 1).append("b", 1)),
    "a UID means another mail": (
        "I3",
        lambda s: s.deliver("a").deliver("b").list((1, "a"), (2, "b")).list((1, "b"), (2, "a")),
    ),
    "UIDs do not ascend": ("I3", lambda s: s.append("a", 1).append("b", 2).list((2, "b"), (1, "a"))),
    "a UID comes below UIDNEXT": ("I3", lambda s: s.list(uidnext=3).deliver("a").list((2, "a"), uidnext=3)),
    "a UID is given below UIDNEXT": (
        "I3",
        lambda s: s.add("status", result={"messages": 0, "uidnext": 5, "modseq": 1, "uidvalidity": 7}).append("a", 4),
    ),
    "UIDVALIDITY changes": ("I3", lambda s: s.list().list(uidvalidity=9)),
    "UIDNEXT shrinks": ("I3", lambda s: s.list(uidnext=5).list(uidnext=4)),
    "HIGHESTMODSEQ shrinks": ("I4", lambda s: s.list(modseq=5).list(modseq=4, node=2)),
    "a delta misses an expunge": (
        "I4",
        lambda s: s.append("a", 1).expunge(1).sync([[1, []]], []),
    ),
    "a delta misses a mail": ("I4", lambda s: s.append("a", 1).sync([], [[1, [], 5]])),
    "a delta misses flags": (
        "I4",
        lambda s: s.append("a", 1).store(1, "\\Seen").sync([[1, []]], [[1, ["\\Seen"], 5]]),
    ),
    "a flag is lost": (
        "I5",
        lambda s: s.append("a", 1).store(1, "\\Seen").store(1, "\\Flagged").list((1, "a", "\\Flagged")),
    ),
    "a flag comes back": (
        "I5",
        lambda s: s.append("a", 1)
        .store(1, "\\Seen")
        .store(1, "\\Seen", adds=False)
        .list((1, "a"))
        .list((1, "a", "\\Seen")),
    ),
    "an unknown store happens twice": (
        "I5",
        lambda s: s.append("a", 1)
        .store(1, "\\Seen", outcome="unknown")
        .list((1, "a", "\\Seen"))
        .store(1, "\\Seen", adds=False)
        .list((1, "a"))
        .list((1, "a", "\\Seen")),
    ),
    "two readers see two orders": (
        "I5",
        lambda s: s.append("a", 1)
        .store(1, "\\Seen", begin=2, end=9)
        .store(1, "\\Flagged", begin=2, end=9)
        .list((1, "a", "\\Seen"), begin=3, end=4)
        .list((1, "a", "\\Flagged"), begin=5, end=6),
    ),
    "an expunged mail is back": ("I6", lambda s: s.append("a", 1).expunge(1).list((1, "a"))),
    "a mail seen gone is back": (
        "I6",
        lambda s: s.append("a", 1).expunge(1, "unknown").list().list((1, "a"), node=2),
    ),
    "a moved mail is back": ("I6", lambda s: s.append("a", 1).move(1, "a", 1).list((1, "a"))),
    "a quota is not what is listed": (
        "I7",
        lambda s: s.append("a", 1).list((1, "a"), final=True).ends_well(1, counts={"used": {"count": 2, "bytes": 10}}),
    ),
    "a count is not what is listed": (
        "I7",
        lambda s: s.append("a", 1)
        .list((1, "a"), final=True)
        .ends_well(1, counts={"folders": {"INBOX": {"messages": 1, "unseen": 0, "bytes": 10}}}),
    ),
    "STATUS counts too few": (
        "I7",
        lambda s: s.append("a", 1).add(
            "status", result={"messages": 0, "uidnext": 2, "modseq": 1, "uidvalidity": 7}
        ),
    ),
    "STATUS counts too many": (
        "I7",
        lambda s: s.append("a", 1)
        .expunge(1)
        .add("status", result={"messages": 1, "uidnext": 2, "modseq": 1, "uidvalidity": 7}),
    ),
    "a search by flags is wrong": (
        "I7",
        lambda s: s.append("a", 1)
        .list((1, "a"), final=True)
        .add("search", result={"uidnext": 2, "uids": [1]}, key="FLAGGED", final=True),
    ),
    "content is nobody's": (
        "I8",
        lambda s: s.deliver("a", "unknown").list(final=True).ends_well(0, audit={"blobs": 5, "orphaned": 2}),
    ),
    "an audit does not add up": ("I8", lambda s: s.ends_well(0, audit={"blobs": 4})),
    "content is missing": ("I8", lambda s: s.ends_well(0, solve={"content_lost": 1})),
    "other bytes are fetched": (
        "I9",
        lambda s: s.append("a", 1).add("fetch", result={"token": "a", "before": 0, "digest": "d2", "length": 10}, uid=1, token="a"),
    ),
    "an append gets bytes in front": (
        "I9",
        lambda s: s.append("a", 1).add("fetch", result={"token": "a", "before": 4, **SENT}, uid=1, token="a"),
    ),
    "another mail's bytes are fetched": (
        "I9",
        lambda s: s.append("a", 1)
        .append("b", 2)
        .add("fetch", result={"token": "b", "before": 0, **SENT}, uid=1, token="a"),
    ),
    "healing takes too long": ("I10", lambda s: s.ends_well(0, healed={"seconds": 61})),
    "an outcome stays unknown": ("I10", lambda s: s.ends_well(0, uncertain={"entries": [{"operation": "x"}]})),
    "a node does not answer after healing": (
        "I10",
        lambda s: s.ends_well(0).add("list", "fail", final=True),
    ),
    "the last look was never had": ("I10", lambda s: s.list()),
}


@pytest.mark.parametrize("what", STARTS)
def test_each_broken_promise_is_found_under_its_own_name(what):
    invariant, tell = STARTS[what]
    story = tell(Story())
    found = story.broken()
    # What lacks its end lacks the healing too, and some breaches are two.
    assert invariant in found, found
    if not any(operation.do == "healed" for operation in story.operations) and invariant != "I10":
        story.ends_well(0)
        assert "I10" not in story.broken()


FINE = {
    "a failed delivery may leave content": lambda s: s.deliver("a", "unknown").ends_well(
        0,
        audit={"blobs": 4, "orphaned": 1},
        counts={"folders": {}, "used": {"count": 0, "bytes": 0}},
    ),
    "an unknown delivery may come late": lambda s: s.deliver("a", "unknown").list(uidnext=1).list((1, "a"), uidnext=2),
    "an unknown expunge may come late": lambda s: s.append("a", 1)
    .expunge(1, "unknown")
    .list((1, "a"))
    .list()
    .list(),
    "what overlaps may be seen either way": lambda s: s.append("a", 1)
    .store(1, "\\Seen", begin=10, end=20)
    .list((1, "a"), begin=11, end=12)
    .list((1, "a", "\\Seen"), begin=13, end=14)
    .list((1, "a"), begin=10.5, end=15),
    "a read may be older than a store that ended before it": lambda s: s.append("a", 1)
    .list((1, "a"), begin=10, end=20)
    .store(1, "\\Seen", begin=11, end=12),
    "an unknown store may take effect at any time": lambda s: s.append("a", 1)
    .store(1, "\\Seen", outcome="unknown")
    .list((1, "a"))
    .store(1, "\\Flagged")
    .list((1, "a", "\\Flagged"))
    .list((1, "a", "\\Flagged", "\\Seen")),
    "an expunge of all takes what was marked": lambda s: s.append("a", 1)
    .append("b", 2)
    .store(1, "\\Deleted")
    .add("expunge-all", result={"uids": [1]})
    .list((2, "b")),
    "a mail that comes during a look may be in it or not": lambda s: s.append("a", 1, begin=10, end=20)
    .list(uidnext=1, begin=11, end=12)
    .list((1, "a"), begin=13, end=14),
}


@pytest.mark.parametrize("what", FINE)
def test_what_may_be_is_no_violation(what):
    story = FINE[what](Story())
    assert check(story.ends_well(0, counts={"folders": {}, "used": {"count": 0, "bytes": 0}}).operations) == []


@pytest.mark.timeout(60)
def test_a_flag_history_of_many_unknown_stores_is_decided_soon():
    story = Story().append("a", 1)
    for number in range(40):
        story.store(1, ("\\Seen", "\\Flagged", "\\Answered")[number % 3], adds=number % 2 == 0, outcome="unknown")
    seen = copy.deepcopy(story).list((1, "a", "\\Seen"), (2, "b"))
    assert "I5" not in seen.broken()
    assert "I5" in story.list((1, "a", "\\Draft")).broken()
