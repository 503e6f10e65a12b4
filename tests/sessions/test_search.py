"""SEARCH with an index that is late, damaged, gone, or just made: it finds the same."""

import re

import pytest

from support.damage import index_file
from support.mailbox import Mailbox
from support.searching import QUERIES, answers, fill, fuzzy_answers, index, mail, wait_for_index
from support.server import Server


def test_what_was_just_delivered_is_found(mailbox):
    fill(mailbox)
    first = answers(mailbox)
    assert first['SUBJECT "number 7"'] == b"7"
    assert first['HEADER X-Tag "special"'] == b"5"
    assert first['BODY "in bold"'] == b"6"
    assert first['BODY "report.pdf"'] == b"8"
    assert first['BODY "nowhere at all"'] == b""
    near = fuzzy_answers(mailbox)
    assert near['FUZZY TEXT "paers"'] == b"1 4 7 10"
    assert near['FUZZY SUBJECT "7 number"'] == b"7"
    assert near['FUZZY FROM "carl"'] == b"1 3 5 7 9 11"
    assert near['FUZZY BODY "aple"'] == b""
    assert near['FUZZY TEXT "daev"'] == b"4 8 12"
    wait_for_index(mailbox)
    assert answers(mailbox) == first
    assert fuzzy_answers(mailbox) == near
    mailbox.server.deliver(mail(13), to=mailbox.address)
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX")
    assert client.uid("SEARCH", 'SUBJECT "number 13"')[1] == [b"13"]
    # What has gone is not found, indexed or not; what was copied is, in its new place.
    client.copy("1:4", "Archive")
    client.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
    client.expunge()
    assert client.uid("SEARCH", 'BODY "apples"')[1] == [b"6 9 12"]
    client.select("Archive")
    assert client.uid("SEARCH", 'BODY "apples"')[1] == [b"3"]
    client.logout()
    wait_for_index(mailbox)
    status = index(mailbox)
    assert status["documents"] == 13
    assert status["places"] == 16
    assert answers(mailbox)['UID 3:* BODY "apples"'] == b"6 9 12"


def test_the_index_is_asked(mailbox):
    def asked():
        lines = mailbox.server.ctl("metrics").stdout.splitlines()
        (line,) = [line for line in lines if line.startswith('holdfast_search_texts_total{path="index"}')]
        return int(line.split()[1])

    fill(mailbox)
    wait_for_index(mailbox)
    before = asked()
    answers(mailbox)
    # Each text but the short ones, and the field that is only asked for by its name.
    assert asked() - before >= len(QUERIES) - 3


def test_an_index_that_is_gone_or_damaged_changes_nothing(mailbox):
    fill(mailbox)
    first = answers(mailbox)
    wait_for_index(mailbox)
    file = index_file(mailbox.server, mailbox.address)
    file.unlink()
    assert answers(mailbox) == first
    wait_for_index(mailbox)
    # Rubbish from elsewhere takes its place.
    other = file.with_name("other")
    other.write_bytes(b"no database" * 10000)
    other.rename(file)
    assert answers(mailbox) == first
    wait_for_index(mailbox)
    assert answers(mailbox) == first
    mailbox.server.ctl("index", "rebuild", mailbox.address)
    assert answers(mailbox) == first
    wait_for_index(mailbox)
    assert index(mailbox)["documents"] == 12


def test_a_kill_while_indexing_is_made_good(server):
    mailbox = Mailbox(server, "killed@example.org")
    fill(mailbox)
    first = answers(mailbox)
    server.kill()
    server.start()
    assert answers(mailbox) == first
    # Nobody searches here, and it is found all the same.
    other = Mailbox(server, "unsearched@example.org")
    fill(other, 3)
    server.kill()
    server.start()
    wait_for_index(other)
    wait_for_index(mailbox)
    assert answers(mailbox) == first


def test_a_search_that_takes_long_says_how_far_it_is(tmp_path):
    with Server(tmp_path, {"imap.progress_interval": "1 ms", "search.index": "none"}) as server:
        server.start()
        server.add_domain("example.org")
        mailbox = Mailbox(server, "alice@example.org")
        fill(mailbox)
        client = server.imap(mailbox.address)
        # What only an index knows is not offered.
        assert "SEARCH=FUZZY" not in client.capabilities
        client.select("INBOX")
        with pytest.raises(client.error, match="FUZZY"):
            client.search(None, "FUZZY", "ALL")
        for _ in range(7):
            client.select("INBOX")
            client.copy("1:*", "INBOX")
        client.select("INBOX")
        assert client.uid("SEARCH", 'BODY "nowhere"')[1] == [b""]
        told = [re.fullmatch(rb'\("?\w+"? (\d+) 1536\)', said) for said in client.response("INPROGRESS")[1]]
        read = [int(one[1]) for one in told]
        assert read == sorted(set(read)) and 0 < read[0] <= read[-1] <= 1536
        assert client.uid("THREAD", "REFERENCES", "UTF-8", "ALL")[0] == "OK"
        assert b"NIL NIL" in client.response("INPROGRESS")[1][0]
        client.logout()
