"""SEARCH finds what Python finds, with an index and without. Mails that Python reads otherwise than we do
(differences.py) are left out, and so are very large ones, for time."""

import datetime
import re

import pytest

from mail.compare import differences
from mail.corpus import ALICE
from mail.differences import Case, has_a_line_that_is_no_field, has_first_line_that_continues
from mail.search_reference import Found, fold
from support.searching import wait_for_index

LARGEST = 40000
WORD = re.compile(r"\w{4,20}")
# Kinds of key, and how many needles of each are taken out of the mails.
KINDS = {"SUBJECT": 30, "FROM": 12, "TO": 12, "HEADER Content-Type": 10, "HEADER Content-Disposition": 6, "BODY": 25, "TEXT": 20}
ABSENT = ["nowhere-at-all", "ＦＵＬＬ ｗｉｄｔｈ", "ﬁ no such ligature"]


class Account:
    """As support.searching knows one."""

    def __init__(self, server):
        self.server, self.address = server, ALICE


def is_read_alike(mail, ours, theirs):
    """By us and by Python: of several file names it chooses one, and broken base64 in a header it leaves."""
    case = Case("python", "parts", mail, [], [], None)
    has_many_names = re.search(rb"filename\*?=.*filename\*|x-unknown''", mail)
    has_broken_words = re.search(rb"=\?[\w-]+\?[bB]\?[^?]*[^\w+/=?]", mail)
    if has_many_names or has_broken_words or has_first_line_that_continues(case) or has_a_line_that_is_no_field(case):
        return False
    same_types = [part.type for part in ours.parts] == [part.type for part in theirs.parts]
    return same_types and not list(differences(ours, theirs))


class Compared:
    def __init__(self, corpus):
        self.corpus = corpus
        self.found = {
            uid: Found(mail)
            for uid, (mail, our, their) in enumerate(zip(corpus.contents, corpus.seen, corpus.seen_by_python), 1)
            if len(mail) <= LARGEST and is_read_alike(mail, our, their)
        }
        assert len(self.found) > 250

    def needles(self, kind):
        """Words out of the mails, spread over all of them."""
        field = kind.split()[-1].lower()
        found = set(ABSENT)
        for mail in self.found.values():
            for text in mail.body if kind in ("BODY", "TEXT") else mail.values(field):
                words = WORD.findall(text)
                found |= {*words[:1], *words[-1:]}
        return [*ABSENT, *sorted(found)[:: max(1, len(found) // KINDS[kind])]]

    def expected(self, kind, needle):
        needle = fold(needle)
        if kind == "BODY":
            return {uid for uid, mail in self.found.items() if mail.has_body(needle)}
        if kind == "TEXT":
            return {uid for uid, mail in self.found.items() if mail.has_text(needle)}
        field = kind.split()[-1].lower()
        return {uid for uid, mail in self.found.items() if mail.has_field(field, needle)}

    def search(self, client, keys):
        uids = ",".join(map(str, self.found)).encode()
        return client.search(b"CHARSET UTF-8 UID " + uids + b" " + keys)


@pytest.fixture(scope="session")
def compared(corpus):
    return Compared(corpus)


def differing(compared):
    with compared.corpus.open(ALICE) as client:
        for kind in KINDS:
            for needle in compared.needles(kind):
                data = needle.encode()
                ours = compared.search(client, b"%s {%d+}\r\n%s" % (kind.encode(), len(data), data))
                expected = compared.expected(kind, needle)
                if ours != expected:
                    more, less = ([compared.corpus.names[uid - 1] for uid in uids] for uids in (ours - expected, expected - ours))
                    yield f"{kind} {needle!r}: found too {more[:5]}, not found {less[:5]}"


def test_texts_are_found_that_python_finds(compared):
    found = list(differing(compared))
    assert not found, "\n".join(found)


def day_keys(day):
    return f"{day:%d-%b}-{day.year:04}".encode()


def test_dates_and_sizes_are_found_that_python_finds(compared):
    corpus = compared.corpus
    sent = {uid: mail.day for uid, mail in compared.found.items() if mail.day}
    sizes = {uid: len(corpus.contents[uid - 1]) for uid in compared.found}
    with corpus.open(ALICE) as client:
        told = client.fetch("1:*", "INTERNALDATE")
        days = {uid: datetime.datetime.strptime(told[uid]["INTERNALDATE"].decode(), "%d-%b-%Y %H:%M:%S %z").date() for uid in sizes}
        for keys, values in ((b"SENT%s", sent), (b"%s", days)):
            for day in sorted(set(values.values()))[:: max(1, len(set(values.values())) // 12)]:
                for key, holds in ((b"BEFORE", day.__gt__), (b"ON", day.__eq__), (b"SINCE", day.__le__)):
                    ours = compared.search(client, keys % key + b" " + day_keys(day))
                    assert ours == {uid for uid, value in values.items() if holds(value)}, (key, day)
        for size in sorted(set(sizes.values()))[::20]:
            assert compared.search(client, b"LARGER %d" % size) == {uid for uid, value in sizes.items() if value > size}
            assert compared.search(client, b"SMALLER %d" % size) == {uid for uid, value in sizes.items() if value < size}


def test_an_index_finds_the_same(compared):
    server = compared.corpus.server
    server.settings["search.index"] = "fts5"
    server.restart()
    wait_for_index(Account(server))
    found = list(differing(compared))
    assert not found, "\n".join(found)
