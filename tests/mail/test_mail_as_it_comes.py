"""Every mail is given back as it came, and what IMAP tells of it is what Python's email and GMime see too, or
differences.py says why not."""

import re

from mail import views
from mail.compare import differences
from mail.corpus import ALICE, BOB
from mail.differences import Case, explanation

# Delivery has limits of its own (smtp.max_header, smtp.max_header_fields).
TOO_LARGE_HEADERS = {"subject-of-a-mebibyte-in-one-line", "fields-10000", "fields-1000-of-one-name"}


def test_what_was_delivered_comes_back(corpus):
    assert set(corpus.refused) == TOO_LARGE_HEADERS
    delivered = [content for name, content in zip(corpus.names, corpus.contents) if name not in corpus.refused]
    with corpus.open(BOB) as client:
        found = client.fetch("1:*", "BODY.PEEK[] RFC822.SIZE")
    assert len(found) == len(delivered)
    for number, content in enumerate(delivered, 1):
        trace, mail = found[number]["BODY[]"][: -len(content)], found[number]["BODY[]"][-len(content) :]
        assert mail == content
        assert re.fullmatch(rb"Return-Path: <>\r\nDelivered-To: .*\r\nReceived: .*\r\n(\t.*\r\n)*", trace), trace
        assert int(found[number]["RFC822.SIZE"]) == len(trace) + len(mail)


def unexplained(corpus, who, views_of_others):
    for name, mail, our, their in zip(corpus.names, corpus.contents, corpus.seen, views_of_others):
        for aspect, part, ours, theirs in differences(our, their):
            if explanation(Case(who, aspect, mail, ours, theirs, part)) is None:
                yield f"{who}, {aspect} of {name}:\n  {repr(ours)[:300]}\n  {repr(theirs)[:300]}"


def test_python_sees_the_same(corpus):
    found = list(unexplained(corpus, "python", corpus.seen_by_python))
    assert not found, "\n".join(found)


def test_gmime_sees_the_same(corpus):
    found = list(unexplained(corpus, "gmime", views.of_gmime(corpus.contents)))
    assert not found, "\n".join(found)


def test_an_unknown_encoding_is_told_of(corpus):
    with corpus.open(ALICE) as client:
        number = corpus.names.index("encoding-unknown") + 1
        client.send(b"FETCH %d BINARY[1]" % number)
        assert client.finish()[0].startswith(b"NO [UNKNOWN-CTE]")
