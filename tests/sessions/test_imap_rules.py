"""Rules of several sessions and of limits, for which a transcript would be too long."""

import contextlib

import pytest

from support.server import PASSWORD
from support.transcript import Connection

KEYWORDS_MAX = 256
NOTIFY_MAILBOXES_MAX = 2000
DEPTH = 32
METADATA_VALUE_MAX = 8192
METADATA_ENTRIES_MAX = 100


@pytest.fixture
def sign_in(shared_server, request):
    """Connections of an account that is this test's own."""
    user = f"{request.node.name.replace('_', '-')[:60]}@example.org"
    shared_server.add_user(user)
    with contextlib.ExitStack() as stack:

        def connect(name):
            connection = stack.enter_context(contextlib.closing(Connection(name, shared_server.port("imap"))))
            ask(connection, f"LOGIN {user} {PASSWORD}")
            return connection

        yield connect


def answer(connection):
    lines = []
    while not lines or not lines[-1].startswith(connection.pending):
        lines.append(connection.read())
    return lines


def ask(connection, command):
    connection.command(command.encode())
    lines = answer(connection)
    assert " OK " in lines[-1], lines
    return lines


def append(connection, mailbox, flags=""):
    return ask(connection, f"APPEND {mailbox} ({flags}) {{11+}}\r\nSubject: x\r\n")


def test_a_copy_drops_keywords_that_have_no_room(sign_in):
    a = sign_in("a")
    append(a, "Archive", " ".join(f"k{i}" for i in range(KEYWORDS_MAX)))
    append(a, "INBOX", "\\Flagged $Mine k7")
    ask(a, "SELECT INBOX")
    assert "COPYUID" in ask(a, "COPY 1 Archive")[-1]
    lines = ask(a, "SELECT Archive")
    assert any("PERMANENTFLAGS" in line and "\\*" not in line for line in lines)
    assert "* 2 FETCH (FLAGS (\\Flagged k7))" in ask(a, "FETCH 2 FLAGS")
    a.command(b"STORE 2 +FLAGS ($Mine)")
    assert " NO [LIMIT] " in answer(a)[-1]


def test_pipelined_numbers_are_those_of_their_turn(sign_in):
    """RFC 9051 5.5: commands run in order, each when the ones before it are answered, so that none is ambiguous."""
    a = sign_in("a")
    for _ in range(3):
        append(a, "INBOX")
    ask(a, "SELECT INBOX")
    a.send_bytes(
        b"p1 STORE 1 +FLAGS.SILENT (\\Deleted)\r\np2 FETCH 1 FLAGS\r\np3 EXPUNGE\r\np4 FETCH 1 UID\r\n"
        b"p5 SEARCH ALL\r\np6 FETCH 3 UID\r\np7 COPY 2 Archive\r\np8 SELECT Archive\r\np9 FETCH 1:* UID\r\n"
    )
    lines = []
    while not lines or not lines[-1].startswith("p9 "):
        lines.append(a.read())
    told = [line for line in lines if "FETCH (" in line or "EXPUNGE" in line or "SEARCH" in line or line.startswith("p6")]
    assert told[0] == "* 1 FETCH (FLAGS (\\Deleted))"
    assert told[1:6] == ["* 1 EXPUNGE", "p3 OK EXPUNGE completed", "* 1 FETCH (UID 2)", "* SEARCH 1 2", "p5 OK SEARCH completed"]
    assert told[6].startswith("p6 BAD")
    assert told[7] == "* 1 FETCH (UID 1)"


def test_notify_ends_where_it_would_tell_of_too_many(sign_in):
    a, b = sign_in("a"), sign_in("b")
    there = len(ask(a, 'LIST "" *')) - 1
    for i in range((NOTIFY_MAILBOXES_MAX - there) // DEPTH):
        ask(b, "CREATE " + "/".join([f"m{i}"] + ["x"] * (DEPTH - 1)))
    assert len(ask(a, "NOTIFY SET (PERSONAL (MailboxName MessageNew MessageExpunge))")) == 1
    ask(b, "CREATE " + "/".join(["more"] + ["x"] * (DEPTH - 1)))
    assert a.read().startswith("* OK [NOTIFICATIONOVERFLOW]")
    ask(b, "CREATE another")
    assert len(ask(a, "NOOP")) == 1
    lines = ask(a, "NOTIFY SET (PERSONAL (MailboxName))")
    assert lines[0].startswith("* OK [NOTIFICATIONOVERFLOW]")
    # A few of many are told of all the same.
    assert len(ask(a, "NOTIFY SET (MAILBOXES another (MessageNew MessageExpunge))")) == 1
    append(b, "another")
    assert a.read().startswith('* STATUS "another" (MESSAGES 1 UIDNEXT 2 ')


def test_qresync_from_before_all_history_answers_from_what_is_there(sign_in):
    a = sign_in("a")
    for _ in range(6):
        append(a, "INBOX")
    lines = ask(a, "SELECT INBOX")
    validity = next(line.split("UIDVALIDITY ")[1].split("]")[0] for line in lines if "UIDVALIDITY" in line)
    ask(a, "STORE 2,4:5 +FLAGS.SILENT (\\Deleted)")
    ask(a, "EXPUNGE")
    b = sign_in("b")
    ask(b, "ENABLE QRESYNC")
    lines = ask(b, f"SELECT INBOX (QRESYNC ({validity} 1 1:4,9))")
    assert "* VANISHED (EARLIER) 2,4" in lines
    assert [line.split(" FETCH")[0] for line in lines if "FETCH (" in line] == ["* 1", "* 2"]


def test_metadata_has_limits(sign_in):
    """RFC 5464 4.3: the response codes say which; what holds NULs comes as a literal8."""
    a = sign_in("a")
    a.command(b"SETMETADATA INBOX (/private/comment {%d+}\r\n%s)" % (METADATA_VALUE_MAX + 1, b"x" * (METADATA_VALUE_MAX + 1)))
    assert f" NO [METADATA MAXSIZE {METADATA_VALUE_MAX}] " in answer(a)[-1]
    ask(a, f"SETMETADATA INBOX (/private/comment {{{METADATA_VALUE_MAX}+}}\r\n{'x' * METADATA_VALUE_MAX})")
    ask(a, "SETMETADATA INBOX (" + " ".join(f'/private/e{i} "{i}"' for i in range(METADATA_ENTRIES_MAX - 1)) + ")")
    a.command(b'SETMETADATA INBOX (/private/more "1")')
    assert " NO [METADATA TOOMANY] " in answer(a)[-1]
    ask(a, "SETMETADATA INBOX (/private/e0 NIL /private/more ~{3+}\r\na\0b)")
    assert ask(a, "GETMETADATA INBOX (/private/more /private/e0)")[0] == (
        '* METADATA "INBOX" ("/private/more" {{"a\\x00b"}} "/private/e0" NIL)'
    )
