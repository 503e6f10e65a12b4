"""Holds a history against what Holdfast promises (I1 to I10). Pure: operations in, violations out.

A mail is known by its token, a place of it by account, mailbox and UID. Nothing is asked of what overlaps in time: an
operation took effect somewhere between its invocation and its end, and one whose end is unknown at any time after its
invocation or never.

    python -m nemesis.checker FILE        checks the history of an earlier run again"""

import collections
import dataclasses
import itertools
import math
import sys

from nemesis.history import Operation, load

SHOWN = 5  # violations of one invariant that are told; the others are counted


@dataclasses.dataclass
class Violation:
    invariant: str
    text: str
    operations: list

    def __str__(self):
        return "\n".join([f"{self.invariant}: {self.text}", *(f"    {operation}" for operation in self.operations)])


@dataclasses.dataclass
class Read:
    """One look at all of a mailbox."""

    operation: Operation
    tokens: dict  # UID: token, None where it was not asked for
    flags: dict  # UID: flags, where they were asked for
    uidnext: int  # 0: not shown

    @property
    def begin(self):
        return self.operation.begin

    @property
    def end(self):
        return self.operation.end


@dataclasses.dataclass
class Put:
    """A mail that came, or may have come, into a mailbox."""

    operation: Operation
    token: str
    uid: int | None  # None: not told


class Mailbox:
    """All that was done to one mailbox, and what was seen of it."""

    def __init__(self):
        self.puts, self.reads = [], []
        self.removals = collections.defaultdict(list)  # UID: operations that may have removed it
        self.stores = collections.defaultdict(list)  # UID: operations
        self.statuses, self.syncs = [], []
        self.shown = []  # (operation, what it told of UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ)
        self.token_of, self.uid_of = {}, {}

    def finish(self):
        """Finds the UIDs of deliveries: an INBOX has one place for each token."""
        for uid, token in self.pairs():
            self.token_of.setdefault(uid, token)
            self.uid_of.setdefault(token, uid)
        for put in self.puts:
            if put.uid is None and put.operation.do == "deliver":
                put.uid = self.uid_of.get(put.token)
        self.find_lives()

    def pairs(self):
        """(UID, token) as told by anything, in no order."""
        for read in self.reads:
            yield from ((uid, token) for uid, token in read.tokens.items() if token is not None)
        yield from ((put.uid, put.token) for put in self.puts if put.uid is not None)

    def find_lives(self):
        """For each UID: from when on it is surely there, may be gone, and is surely gone."""
        self.there, self.maybe_gone, self.gone = {}, {}, {}
        self.witness = {}  # UID: the operation that showed it first
        for put in self.puts:
            if put.uid is not None and put.operation.is_ok:
                self.see(put.uid, put.operation)
        for read in self.reads:
            for uid in read.tokens:
                self.see(uid, read.operation)
        for uid, operations in self.removals.items():
            self.maybe_gone[uid] = min(operation.begin for operation in operations)
            ended = [operation for operation in operations if operation.is_ok]
            if ended:
                self.gone[uid] = min(ended, key=lambda operation: operation.end)

    def see(self, uid, operation):
        if operation.end < self.there.get(uid, math.inf):
            self.there[uid], self.witness[uid] = operation.end, operation

    def surely_there(self, begin, end):
        """UIDs that every look from `begin` to `end` must show."""
        return [
            uid for uid, since in self.there.items() if since < begin and self.maybe_gone.get(uid, math.inf) > end
        ]

    def unseen_deliveries(self):
        """Acknowledged deliveries of which no look ever showed a UID."""
        return [put for put in self.puts if put.uid is None and put.operation.is_ok and put.operation.do == "deliver"]


class Facts:
    def __init__(self, operations):
        self.operations = operations
        self.mailboxes = collections.defaultdict(Mailbox)
        for operation in operations:
            if operation.outcome != "fail":
                getattr(self, "add_" + operation.do.replace("-", "_"), self.ignore)(operation)
        for operation in operations:
            if operation.do == "expunge-all" and operation.outcome != "fail":
                self.remove_marked(operation)
        for mailbox in self.mailboxes.values():
            mailbox.finish()

    def ignore(self, operation):
        pass

    def at(self, operation, name="mailbox"):
        return self.mailboxes[operation.arguments["account"], operation.arguments.get(name, "INBOX")]

    def add_deliver(self, operation):
        self.at(operation).puts.append(Put(operation, operation.arguments["token"], None))

    def add_append(self, operation):
        self.at(operation).puts.append(Put(operation, operation.arguments["token"], operation.result.get("uid")))
        self.tell(operation, "mailbox")

    def add_store(self, operation):
        for uid in operation.arguments["uids"]:
            self.at(operation).stores[uid].append(operation)

    def add_expunge(self, operation):
        for uid in operation.arguments["uids"]:
            self.at(operation).removals[uid].append(operation)

    add_dele = add_expunge

    def remove_marked(self, operation):
        """A plain EXPUNGE takes what it says, and may take what anybody has marked by then."""
        mailbox = self.at(operation)
        told = set(operation.result.get("uids", ())) if operation.is_ok else set()
        for uid in told:
            mailbox.removals[uid].append(operation)
        for uid, stores in mailbox.stores.items():
            marks = [s for s in stores if "\\Deleted" in s.arguments["flags"] and s.begin < operation.end]
            if marks and uid not in told:
                open_end = dataclasses.replace(operation, outcome="unknown", end=math.inf)
                mailbox.removals[uid].append(open_end)

    def add_copy(self, operation):
        target = self.at(operation, "target")
        told = dict(map(tuple, operation.result.get("pairs", ())))
        for uid, token in zip(operation.arguments["uids"], operation.arguments["tokens"]):
            if operation.is_ok and uid not in told:
                continue  # it was gone already
            target.puts.append(Put(operation, token, told.get(uid)))
        if operation.is_ok and told:
            target.shown.append((operation, {"uidvalidity": operation.result["uidvalidity"]}))

    def add_move(self, operation):
        self.add_copy(operation)
        for uid in operation.arguments["uids"]:
            self.at(operation).removals[uid].append(operation)

    def tell(self, operation, name):
        if operation.is_ok:
            self.at(operation, name).shown.append((operation, operation.result))

    def add_read(self, operation, tokens, flags):
        if operation.is_ok:
            read = Read(operation, tokens, flags, operation.result.get("uidnext", 0))
            self.at(operation).reads.append(read)
            self.tell(operation, "mailbox")

    def add_list(self, operation):
        entries = operation.result.get("entries", ())
        self.add_read(
            operation,
            {uid: token for uid, token, _, _ in entries},
            {uid: frozenset(flags) for uid, _, flags, _ in entries},
        )

    def add_pop(self, operation):
        self.add_read(operation, {uid: token for uid, token in operation.result.get("entries", ())}, {})

    def add_search(self, operation):
        if operation.arguments["key"] == "ALL":
            self.add_read(operation, dict.fromkeys(operation.result.get("uids", ())), {})

    def add_sync(self, operation):
        if operation.is_ok:
            fresh = operation.result["fresh"]
            flags = {uid: frozenset(flags) for uid, flags, _ in fresh}
            self.add_read(operation, dict.fromkeys(flags), flags)
            self.at(operation).syncs.append(operation)

    def add_status(self, operation):
        if operation.is_ok:
            self.at(operation).statuses.append(operation)
            self.tell(operation, "mailbox")

    def final(self, do):
        return [o for o in self.operations if o.do == do and o.arguments.get("final") and o.is_ok]

    def final_lists(self):
        """{(account, node): {mailbox: list}}"""
        found = collections.defaultdict(dict)
        for operation in self.final("list"):
            where = operation.arguments["account"], operation.node
            found[where][operation.arguments["mailbox"]] = operation
        return found


# ---- the invariants ----


def i1_acknowledged_mail_stays(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        for read in mailbox.reads:
            for uid in mailbox.surely_there(read.begin, read.end):
                if uid not in read.tokens:
                    text = f"UID {uid} ({mailbox.token_of.get(uid)}) of {account} {name} is missing"
                    yield text, [mailbox.witness[uid], read.operation]
            for put in mailbox.unseen_deliveries():
                if put.operation.end < read.begin:
                    yield f"{put.token} of {account} is missing", [put.operation, read.operation]
    yield from moved_mail_is_somewhere(facts)


def moved_mail_is_somewhere(facts):
    """What nobody may have expunged is in one of the mailboxes in the end, wherever it was moved."""
    came, gone = collections.defaultdict(dict), collections.defaultdict(set)
    for (account, _), mailbox in facts.mailboxes.items():
        for put in mailbox.puts:
            if put.operation.is_ok:
                came[account].setdefault(put.token, put.operation)
        for uid, operations in mailbox.removals.items():
            if any(operation.do != "move" for operation in operations):
                gone[account].add(mailbox.token_of.get(uid))
    for (account, node), lists in facts.final_lists().items():
        there = {entry[1] for operation in lists.values() for entry in operation.result["entries"]}
        begin = min(operation.begin for operation in lists.values())
        for token, operation in came[account].items():
            if token not in there | gone[account] and operation.end < begin:
                yield f"{token} of {account} is nowhere on node {node}", [operation, *lists.values()]


def i2_no_mail_twice(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        for read in mailbox.reads:
            seen = collections.Counter(token for token in read.tokens.values() if token is not None)
            for token, count in seen.items():
                puts = [p for p in mailbox.puts if p.token == token and p.operation.begin < read.end]
                retries = sum(put.operation.do == "deliver" for put in puts)
                if count > len(puts) - max(retries - 1, 0):
                    text = f"{token} is {count} times in {account} {name}, more often than it was sent"
                    yield text, [*(put.operation for put in puts), read.operation]
    copies = collections.Counter()
    for operation in facts.operations:
        if operation.do == "copy" and operation.outcome != "fail":
            copies.update((operation.arguments["account"], token) for token in operation.arguments["tokens"])
    for (account, node), lists in facts.final_lists().items():
        seen = collections.Counter(entry[1] for operation in lists.values() for entry in operation.result["entries"])
        for token, count in seen.items():
            if count > 1 + copies[account, token]:
                yield f"{token} of {account} is {count} times on node {node} in the end", list(lists.values())


def i3_uids_are_unique_and_ascend(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        where = f"{account} {name}"
        yield from one_value(mailbox, "uidvalidity", where)
        yield from never_shrinks(mailbox, "uidnext", where)
        yield from uids_mean_one_mail(mailbox, where)
        yield from uids_ascend(mailbox, where)
        yield from none_appears_below_uidnext(mailbox, where)


def one_value(mailbox, field, where):
    told = [(operation, shown[field]) for operation, shown in mailbox.shown if shown.get(field)]
    for operation, value in told:
        if value != told[0][1]:
            yield f"{field} of {where} is {told[0][1]} and {value}", [told[0][0], operation]


def never_shrinks(mailbox, field, where):
    told = {operation.id: shown[field] for operation, shown in mailbox.shown if shown.get(field)}
    highest, best = 0, None
    ended = sorted((o for o, _ in mailbox.shown if o.id in told), key=lambda o: o.end)
    position = 0
    for operation in sorted(ended, key=lambda o: o.begin):
        while position < len(ended) and ended[position].end < operation.begin:
            if told[ended[position].id] > highest:
                highest, best = told[ended[position].id], ended[position]
            position += 1
        if told[operation.id] < highest:
            yield f"{field} of {where} shrank from {highest} to {told[operation.id]}", [best, operation]


def uids_mean_one_mail(mailbox, where):
    said = {}
    given = [(put.uid, put.token, put.operation) for put in mailbox.puts if put.uid is not None]
    for uid, token, operation in given:
        if uid in said and (said[uid][0] != token or (operation.do != "deliver" and operation is not said[uid][1])):
            yield f"UID {uid} of {where} was given twice", [said[uid][1], operation]
        said.setdefault(uid, (token, operation))
    for read in mailbox.reads:
        for uid, token in read.tokens.items():
            if token is None:
                continue
            if said.setdefault(uid, (token, read.operation))[0] != token:
                yield f"UID {uid} of {where} is {said[uid][0]} and {token}", [said[uid][1], read.operation]


def uids_ascend(mailbox, where):
    for read in mailbox.reads:
        uids = list(read.tokens)
        if any(a >= b for a, b in itertools.pairwise(uids)):
            yield f"the UIDs of {where} do not ascend", [read.operation]


def none_appears_below_uidnext(mailbox, where):
    """What a look did not show below its UIDNEXT, and nobody had known before, never comes."""
    looks = [(read.operation, read.uidnext, read.tokens) for read in mailbox.reads if read.uidnext]
    for operation, uidnext, tokens in looks:
        for uid, since in mailbox.there.items():
            first = mailbox.witness[uid]
            if uid < uidnext and uid not in tokens and first.begin > operation.end:
                yield f"UID {uid} of {where} came when UIDNEXT was {uidnext} already", [operation, first]
    for status in mailbox.statuses:
        for put in mailbox.puts:
            if put.uid is not None and put.operation.do != "deliver" and put.operation.begin > status.end:
                if put.uid < status.result["uidnext"]:
                    text = f"UID {put.uid} of {where} was given when UIDNEXT was {status.result['uidnext']} already"
                    yield text, [status, put.operation]


def i4_deltas_add_up(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        yield from never_shrinks(mailbox, "modseq", f"{account} {name}")
        for sync in mailbox.syncs:
            cached = {uid: frozenset(flags) for uid, flags in sync.result["cache"]}
            fresh = {uid: (frozenset(flags), modseq) for uid, flags, modseq in sync.result["fresh"]}
            for uid in sorted(cached.keys() | fresh.keys()):
                if uid >= sync.result["uidnext"]:
                    continue  # came later
                if uid not in cached or uid not in fresh:
                    # What is gone since may be missing; what is gone for long must not be in the cache.
                    if uid in cached and mailbox.maybe_gone.get(uid, math.inf) < sync.end and not was_gone(
                        mailbox, uid, sync
                    ):
                        continue
                    place = "cache of deltas" if uid in cached else "fresh look"
                    yield f"UID {uid} of {account} {name} is only in the {place}", [sync]
                elif fresh[uid][1] <= sync.result["modseq"] and cached[uid] != fresh[uid][0]:
                    text = f"flags of UID {uid} of {account} {name}: {sorted(cached[uid])} by deltas, "
                    yield text + f"{sorted(fresh[uid][0])} in truth", [sync]


def was_gone(mailbox, uid, operation):
    return uid in mailbox.gone and mailbox.gone[uid].end < operation.begin


def i5_flags_are_linearizable(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        changes, started = set(mailbox.stores), {}
        for put in mailbox.puts:
            if put.uid is not None:
                started.setdefault(put.uid, put)
        reads = collections.defaultdict(list)
        for read in mailbox.reads:
            for uid, flags in read.flags.items():
                reads[uid].append((read.operation, flags))
        for uid, seen in reads.items():
            start = flags_at_start(started.get(uid))
            stores = mailbox.stores.get(uid, []) if uid in changes else []
            stuck = linearize(start, stores, seen)
            if stuck:
                text = f"flags of UID {uid} of {account} {name} fit no order of what was done"
                nearby = [o for o in stores if o.begin < stuck.end]
                yield text, [*nearby[-6:], *(o for o, _ in seen if o.end < stuck.begin)][-9:] + [stuck]


def flags_at_start(put):
    """(flags that are set, or None where that is not known)"""
    if put is None or put.operation.do in ("copy", "move"):
        return None
    return frozenset(put.operation.arguments.get("flags", ()))


def linearize(start, stores, reads):
    """Whether the operations can be put into one order in which each takes effect between its invocation and its end,
    and every read shows what the stores before it made. Returns the operation at whose end no order is left, or None.

    A state is (flags known to be set, flags known not to be set; None: all others). It goes through the ends in order
    of time, with all sets of (state, pending operations that took effect) that are possible so far."""
    state = (frozenset(), frozenset()) if start is None else (start, None)
    possible = {(state, frozenset())}
    effects = {o.id: (o.arguments["add"], frozenset(o.arguments["flags"])) for o in stores}
    shown = {o.id: flags for o, flags in reads}
    operations = [*stores, *(o for o, _ in reads)]
    begins = sorted(operations, key=lambda o: o.begin)
    position, pending = 0, []
    for operation in sorted((o for o in operations if o.is_ok), key=lambda o: o.end):
        while position < len(begins) and begins[position].begin <= operation.end:
            pending.append(begins[position])
            position += 1
        reachable = close(possible, pending, effects, shown)
        possible = {(state, done - {operation.id}) for state, done in reachable if operation.id in done}
        pending.remove(operation)
        if not possible:
            return operation
    return None


def close(possible, pending, effects, shown):
    """All that can be reached by letting pending operations take effect. Of unknown stores with the same effect the
    oldest goes first, for they cannot be told apart, and what reaches a state with fewer of them stands for what
    needs more. A read that shows a state that is known goes at once, as it changes nothing."""
    reachable = Possibilities({operation.id for operation in pending if not operation.is_ok})
    fresh = collections.deque(settle(*each, pending, shown) for each in possible)
    while fresh:
        state, done = fresh.popleft()
        if not reachable.add(state, done):
            continue
        tried = set()
        for operation in pending:
            if operation.id in done:
                continue
            if operation.id in shown:
                following = (shown[operation.id], None) if may_show(state, shown[operation.id]) else None
            else:
                effect = effects[operation.id]
                following = apply(state, *effect) if operation.is_ok or effect not in tried else None
                tried.add(None if operation.is_ok else effect)
            if following:
                fresh.append(settle(following, done | {operation.id}, pending, shown))
    return list(reachable)


class Possibilities:
    """(state, operations that took effect), without those that only need more unknown ones than another."""

    def __init__(self, unknown):
        self.unknown = unknown
        self.found = {}  # (state, known ones): sets of unknown ones

    def add(self, state, done):
        """False if it adds nothing."""
        spent = done & self.unknown
        others = self.found.setdefault((state, done - spent), [])
        if any(other <= spent for other in others):
            return False
        others[:] = [other for other in others if not spent <= other]
        others.append(spent)
        return True

    def __iter__(self):
        for (state, known), others in self.found.items():
            yield from ((state, known | spent) for spent in others)


def settle(state, done, pending, shown):
    on, off = state
    if off is None:
        done = done | {o.id for o in pending if shown.get(o.id) == on}
    return state, done


def apply(state, adds, flags):
    on, off = state
    if adds:
        return on | flags, None if off is None else off - flags
    return on - flags, None if off is None else off | flags


def may_show(state, flags):
    on, off = state
    return on == flags if off is None else on <= flags and not off & flags


def i6_expunged_never_returns(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        missed = dict(mailbox.gone)
        for read in mailbox.reads:
            for uid, since in mailbox.there.items():
                known = since < read.begin
                if known and uid not in read.tokens and read.end < getattr(missed.get(uid), "end", math.inf):
                    missed[uid] = read.operation
        for read in mailbox.reads:
            for uid in read.tokens:
                if uid in missed and missed[uid].end < read.begin:
                    text = f"UID {uid} ({mailbox.token_of.get(uid)}) of {account} {name} is back"
                    yield text, [missed[uid], read.operation]


def i7_counts_are_what_is_listed(facts):
    for (account, name), mailbox in facts.mailboxes.items():
        for status in mailbox.statuses:
            least = len(mailbox.surely_there(status.begin, status.end))
            if status.result["messages"] < least:
                yield f"STATUS of {account} {name} tells fewer than the {least} that are there", [status]
            puts = [put for put in mailbox.puts if put.operation.begin < status.end]
            delivered = {put.token for put in puts if put.operation.do == "deliver"}
            most = len(delivered) + sum(put.operation.do != "deliver" for put in puts)
            most -= sum(o.end < status.begin for o in mailbox.gone.values())
            if status.result["messages"] > most:
                yield f"STATUS of {account} {name} tells more than the {most} that can be there", [status]
    yield from final_counts(facts)
    yield from final_searches(facts)


def final_counts(facts):
    lists = facts.final_lists()
    for counts in facts.final("counts"):
        account = counts.arguments["account"]
        used = {"count": 0, "bytes": 0}
        for name, operation in lists[account, counts.node].items():
            entries = operation.result["entries"]
            listed = {
                "messages": len(entries),
                "unseen": sum("\\Seen" not in flags for _, _, flags, _ in entries),
                "bytes": sum(size for _, _, _, size in entries),
            }
            told = {field: counts.result["folders"].get(name, {}).get(field, 0) for field in listed}
            if told != listed:
                yield f"counts of {account} {name}: {told}, listed {listed}", [counts, operation]
            used["count"] += listed["messages"]
            used["bytes"] += listed["bytes"]
        if counts.result["used"] != used:
            yield f"quota of {account}: {counts.result['used']} used, {used} listed", [counts]


SEARCHES = {
    "ALL": lambda flags: True,
    "UNSEEN": lambda flags: "\\Seen" not in flags,
    "FLAGGED": lambda flags: "\\Flagged" in flags,
    "NOT ANSWERED": lambda flags: "\\Answered" not in flags,
}


def final_searches(facts):
    lists = facts.final_lists()
    for search in facts.final("search"):
        arguments = search.arguments
        listed = lists[arguments["account"], search.node].get(arguments["mailbox"])
        if listed is None:
            continue
        expected = [uid for uid, _, flags, _ in listed.result["entries"] if SEARCHES[arguments["key"]](flags)]
        if search.result["uids"] != expected:
            yield f"SEARCH {arguments['key']} does not find what is listed", [search, listed]


def i8_rows_and_content_agree(facts):
    audits = [operation for operation in facts.operations if operation.do == "audit" and operation.is_ok]
    before = sum(audit.result["orphaned"] for audit in audits[:1] if not audit.arguments.get("final"))
    # What was put for a mail that nobody was promised waits for the grace period, when the tidy task takes it away.
    failed = sum(o.do in ("deliver", "append") and o.outcome == "unknown" for o in facts.operations)
    for audit in facts.final("audit"):
        result = audit.result
        if result["blobs"] != result["live"] + result["waiting"] + result["orphaned"]:
            yield "the audit does not add up", [audit]
        if result["orphaned"] > before + failed:
            yield f"content is nobody's, more than the {failed} failed puts explain", [audit]
    for solve in facts.final("solve"):
        wrong = {kind: solve.result[kind] for kind in WRONG if solve.result[kind]}
        if wrong:
            yield f"rows of {solve.arguments['account']} disagree: {wrong}", [solve]


WRONG = ("missing", "stale", "orphaned", "maps_fixed", "counts_wrong", "rows_lost", "content_lost")


def i9_bytes_are_what_was_sent(facts):
    sent = {}
    for operation in facts.operations:
        if operation.do in ("deliver", "append"):
            sent.setdefault(operation.arguments["token"], operation)
    for fetch in facts.operations:
        if fetch.do != "fetch" or not fetch.is_ok:
            continue
        origin = sent.get(fetch.result["token"])
        if origin is None:
            yield f"{fetch.result['token']} was never sent", [fetch]
            continue
        is_same = all(fetch.result[field] == origin.arguments[field] for field in ("digest", "length"))
        # A delivery gets trace fields in front, an APPEND stays as it is.
        if not is_same or (origin.do == "append" and fetch.result["before"]):
            yield f"{fetch.result['token']} is not what was sent", [origin, fetch]
        elif fetch.arguments["token"] != fetch.result["token"]:
            yield f"{fetch.arguments['token']} has another mail's content", [fetch]


def i10_it_heals(facts):
    for operation in facts.operations:
        if operation.arguments.get("final") and not operation.is_ok:
            yield f"{operation.do} does not work after healing", [operation]
    healed = facts.final("healed")
    if not healed:
        yield "it did not heal", []
    for operation in healed:
        if operation.result["seconds"] > operation.arguments["bound"]:
            yield f"healing took {operation.result['seconds']:.0f} s", [operation]
    for operation in facts.final("uncertain"):
        if operation.result["entries"]:
            yield f"node {operation.node} still does not know {len(operation.result['entries'])} outcomes", [operation]


INVARIANTS = {
    "I1": i1_acknowledged_mail_stays,
    "I2": i2_no_mail_twice,
    "I3": i3_uids_are_unique_and_ascend,
    "I4": i4_deltas_add_up,
    "I5": i5_flags_are_linearizable,
    "I6": i6_expunged_never_returns,
    "I7": i7_counts_are_what_is_listed,
    "I8": i8_rows_and_content_agree,
    "I9": i9_bytes_are_what_was_sent,
    "I10": i10_it_heals,
}


def check(operations):
    """Every violation of every invariant."""
    facts = Facts(operations)
    return [Violation(name, *found) for name, invariant in INVARIANTS.items() for found in invariant(facts)]


def report(violations):
    """For people: the first of each invariant, and how many there are."""
    lines = []
    for name in INVARIANTS:
        found = [violation for violation in violations if violation.invariant == name]
        lines += [str(violation) for violation in found[:SHOWN]]
        if len(found) > SHOWN:
            lines.append(f"{name}: {len(found)} in all")
    return "\n".join(lines)


def main():
    (path,) = sys.argv[1:]
    history = load(path)
    violations = check(history)
    print(report(violations) or f"{len(history)} operations, no violation")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
