"""Mailboxes that several people use (RFC 4314): what takes more than a transcript."""

import contextlib

import pytest

from support.patience import until
from support.server import PASSWORD
from support.transcript import Connection

MESSAGES = 230  # three commits of a COPY to another account


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


def refused(connection, command):
    connection.command(command.encode())
    return answer(connection)[-1].split(" ", 1)[1]


@pytest.fixture
def people(shared_server, request):
    """Connections of users of this test alone, by name."""
    stem = request.node.name.replace("_", "-")[5:40]
    with contextlib.ExitStack() as stack:
        known = set()

        def connect(name):
            user = name if "@" in name else f"{stem}-{name}@example.org"
            if "@" not in name and user not in known:
                shared_server.add_user(user)
                known.add(user)
            connection = stack.enter_context(contextlib.closing(Connection("c", shared_server.port("imap"))))
            ask(connection, f"LOGIN {user} {PASSWORD}")
            connection.user = user
            return connection

        yield connect


def fill(connection, mailbox, count):
    for start in range(0, count, 100):
        mails = [f"{{13+}}\r\nSubject: {i:02d}\r\n" for i in range(start % 90, start % 90 + min(100, count - start))]
        mails = [mail if len(mail) == len("{13+}\r\n") + 13 else "{13+}\r\nSubject: 99\r\n" for mail in mails]
        ask(connection, f"APPEND {mailbox} " + " ".join(mails))


def test_many_are_copied_to_another_account_or_none(people, shared_server):
    a, b = people("a"), people("b")
    fill(b, "INBOX", MESSAGES)
    ask(a, f"SETACL Archive {b.user} lrswite")
    ask(b, "SELECT INBOX")
    shared_server.ctl("user", "quota", a.user, "0", "200")
    assert refused(b, f'COPY 1:* "Other Users/{a.user}/Archive"').startswith("NO [OVERQUOTA]")
    # What was copied goes at once, behind the answer.
    until(lambda: "(MESSAGES 0)" in ask(a, "STATUS Archive (MESSAGES)")[0], 20)
    assert "MESSAGE 0 200" in ask(a, "GETQUOTA \"\"")[0]
    shared_server.ctl("user", "quota", a.user, "0", "0")
    assert f" 1:{MESSAGES} " in ask(b, f'COPY 1:* "Other Users/{a.user}/Archive"')[-1]
    assert f"(MESSAGES {MESSAGES})" in ask(a, "STATUS Archive (MESSAGES)")[0]
    moved = ask(b, f'MOVE 1:* "Other Users/{a.user}/Archive"')
    assert len([line for line in moved if line.endswith("EXPUNGE")]) == MESSAGES
    assert f"(MESSAGES {2 * MESSAGES})" in ask(a, "STATUS Archive (MESSAGES)")[0]
    assert "(MESSAGES 0)" in ask(b, "STATUS INBOX (MESSAGES)")[0]


def test_the_shared_account_has_a_namespace(people):
    shared, a = people("shared@example.org"), people("a")
    ask(shared, "CREATE Announcements/2026")
    ask(shared, "SETACL Announcements anyone lr")
    ask(shared, f"SETACL Announcements/2026 {a.user} lrsi")
    assert ask(a, 'LIST "" "Shared/*"')[:-1] == [
        '* LIST (\\HasChildren) "/" "Shared/Announcements"',
        '* LIST (\\HasNoChildren) "/" "Shared/Announcements/2026"',
    ]
    # They have no second name.
    assert len(ask(a, 'LIST "" "Other Users*"')) == 1
    ask(a, 'APPEND Shared/Announcements/2026 {11+}\r\nSubject: x\r\n')
    ask(a, "SELECT Shared/Announcements/2026")
    # Flags are shared, \\Seen included.
    ask(a, "STORE 1 +FLAGS (\\Seen)")
    ask(shared, "SELECT Announcements/2026")
    assert "* 1 FETCH (FLAGS (\\Seen))" in ask(shared, "FETCH 1 FLAGS")[0].replace(" \\Recent", "")
    b = people("b")
    assert ask(b, 'LIST "" "Shared/*"')[:-1] == ['* LIST (\\HasNoChildren) "/" "Shared/Announcements"']
    assert refused(b, "SELECT Shared/Announcements/2026").startswith("NO [NONEXISTENT]")
    assert refused(b, "APPEND Shared/Announcements {11+}\r\nSubject: x\r\n").startswith("NO [NOPERM]")


def test_rights_go_with_the_person_and_not_with_the_name(people, shared_server):
    """Who gets an address that somebody else had gets none of his rights."""
    a, b = people("a"), people("b")
    ask(a, f"SETACL INBOX {b.user} lr")
    assert "INBOX" in ask(b, 'LIST "" "Other Users/*"')[1]
    shared_server.ctl("user", "remove", b.user)
    shared_server.add_user(b.user)
    again = people(b.user)
    assert len(ask(again, 'LIST "" "Other Users/*"')) == 1
    assert refused(again, f'SELECT "Other Users/{a.user}/INBOX"').startswith("NO [NONEXISTENT]")
