"""POP3, as clients see it."""

import base64
import poplib

import pytest

from support.raw import Raw

MAILS = [
    b"Subject: one\r\n\r\nfirst\r\n",
    b"Subject: two\r\n\r\n.\r\n..\r\n.dots\r\n",
    b"Subject: three\r\n\r\na\r\nb\r\nc\r\n",
]


@pytest.fixture
def filled(shared_server, mailbox):
    for mail in MAILS:
        shared_server.deliver(mail.decode(), to=mailbox.address)
    return mailbox


def sign_in(server, mailbox):
    client = Raw(server.port("pop3"))
    assert client.greeting.startswith("+OK")
    assert client.say(f"USER {mailbox.address}").startswith("+OK")
    assert client.say("PASS holdfast") == f"+OK {mailbox.count()} messages"
    return client


def test_capabilities_change_with_the_state(shared_server, mailbox):
    client = shared_server.pop3(user=None)
    before = client.capa()
    assert before["SASL"] == ["SCRAM-SHA-256", "PLAIN", "LOGIN"] and "STLS" in before and "USER" in before
    assert {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} <= before.keys()
    client.stls(context=shared_server.tls_context())
    assert "SCRAM-SHA-256-PLUS" in client.capa()["SASL"] and "STLS" not in client.capa()
    client.user(mailbox.address)
    client.pass_("holdfast")
    assert "SASL" not in client.capa()
    client.quit()


def test_mail_is_listed_and_read(shared_server, filled):
    client = shared_server.pop3(filled.address)
    count, size = client.stat()
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert count == 3 and sum(sizes) == size
    for number, mail in enumerate(MAILS, 1):
        content = b"\r\n".join(client.retr(number)[1]) + b"\r\n"
        assert content.endswith(mail) and len(content) == sizes[number - 1]
    assert client.list(2).split()[2] == str(sizes[1]).encode()
    client.quit()


def test_top_gives_the_header_and_so_many_lines(shared_server, filled):
    client = shared_server.pop3(filled.address)
    assert client.top(3, 0)[1][-2:] == [b"Subject: three", b""]
    assert client.top(3, 2)[1][-3:] == [b"", b"a", b"b"]
    assert client.top(2, 9)[1][-3:] == [b".", b"..", b".dots"]
    client.quit()


def test_uids_stay_and_are_never_given_again(shared_server, filled):
    client = shared_server.pop3(filled.address)
    uids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(uids)) == 3
    client.dele(3)
    client.quit()
    shared_server.deliver("Subject: four\r\n\r\n", to=filled.address)
    client = shared_server.pop3(filled.address)
    again = [line.split()[1] for line in client.uidl()[1]]
    assert again[:2] == uids[:2] and again[2] not in uids
    assert client.uidl(1).split()[2] == uids[0]
    client.quit()


def unique_ids(server, address):
    """By subject; of several with one subject in their order."""
    client = server.pop3(address)
    found = {}
    for number, unique in (line.split() for line in client.uidl()[1]):
        (subject,) = (line[9:].decode() for line in client.top(int(number), 0)[1] if line.startswith(b"Subject: "))
        found.setdefault(subject, []).append(unique)
    client.quit()
    listed = [unique for ids in found.values() for unique in ids]
    assert len(set(listed)) == len(listed)
    return found


def test_a_unique_id_goes_with_its_message(server):
    address = "alice@example.org"
    for mail in MAILS:
        server.deliver(mail.decode(), to=address)
    before = unique_ids(server, address)
    with server.imap(address) as imap:

        def do(mailbox, *command):
            assert imap.select(mailbox)[0] == "OK"
            assert imap._simple_command(*command)[0] == "OK"

        do("INBOX", "MOVE", "1:2", "Archive")
        assert unique_ids(server, address) == {"three": before["three"]}
        do("Archive", "MOVE", "1:2", "INBOX")
        assert unique_ids(server, address) == before
        # As programs do that cannot MOVE.
        do("INBOX", "COPY", "1", "Trash")
        do("INBOX", "STORE", "1", "+FLAGS", "(\\Deleted)")
        do("INBOX", "EXPUNGE")
        do("Trash", "COPY", "1", "INBOX")
        assert unique_ids(server, address) == before
        # Copies are other messages of the maildrop, and who came first is known as before.
        do("INBOX", "COPY", "1:*", "INBOX")
        do("Trash", "COPY", "1", "INBOX")
        copied = unique_ids(server, address)
        assert {subject: ids[:1] for subject, ids in copied.items()} == before
        assert sorted(len(ids) for ids in copied.values()) == [2, 2, 3]
    server.restart()
    server.ctl("task", "await", server.ctl_json("task", "submit", "reindex")["id"])
    assert unique_ids(server, address) == copied


def test_deleting_becomes_true_at_quit_only(shared_server, filled):
    client = sign_in(shared_server, filled)
    assert client.say("DELE 1").startswith("+OK")
    assert client.say("DELE 1").startswith("-ERR")
    assert client.say("RETR 1").startswith("-ERR")
    assert client.say("STAT").split()[1] == "2"
    client.cut()
    assert filled.count() == 3

    client = sign_in(shared_server, filled)
    client.say_all("DELE 1", "DELE 2", "RSET", "DELE 2")
    assert client.say("QUIT").startswith("+OK")
    assert client.is_closed()
    assert filled.count() == 2


@pytest.mark.parametrize(
    "command", ["RETR", "RETR 0", "RETR 4", "RETR x", "RETR -1", "DELE 99", "LIST 4", "UIDL 4", "TOP 1", "TOP 1 x"]
)
def test_what_is_not_there_is_refused(shared_server, filled, command):
    with sign_in(shared_server, filled) as client:
        assert client.say(command).startswith("-ERR")
        assert client.say("NOOP") == "+OK"


@pytest.mark.parametrize("command", ["STAT", "LIST", "RETR 1", "DELE 1", "RSET", "NOOP", "TOP 1 1", "UIDL", "WHAT", ""])
def test_nothing_is_told_before_signing_in(shared_server, command):
    with Raw(shared_server.port("pop3")) as client:
        assert client.say(command).startswith("-ERR")


def test_pipelined_commands_are_answered_in_order(shared_server, filled):
    with Raw(shared_server.port("pop3")) as client:
        client.send_bytewise(f"USER {filled.address}\r\nPASS holdfast\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
        assert [client.line()[:3] for _ in range(4)] == ["+OK"] * 4
        assert "Subject: one" in client.dotted()
        assert [client.line()[:3] for _ in range(2)] == ["+OK"] * 2
    assert filled.count() == 2


def test_a_wrong_password_is_told_by_its_code(shared_server, mailbox):
    client = shared_server.pop3(user=None)
    client.user(mailbox.address)
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
        client.pass_("wrong")
    with pytest.raises(poplib.error_proto, match="USER comes first"):
        client.pass_("holdfast")
    client.user("nobody@example.org")
    with pytest.raises(poplib.error_proto, match=r"-ERR \[AUTH\]"):
        client.pass_("holdfast")
    client.close()


def test_auth_plain_signs_in(shared_server, filled):
    token = base64.b64encode(f"\0{filled.address}\0holdfast".encode()).decode()
    with Raw(shared_server.port("pop3")) as client:
        assert client.say("AUTH").startswith("+OK")
        assert "PLAIN" in client.dotted()
        assert client.say("AUTH PLAIN") == "+ "
        assert client.say("*").startswith("-ERR")
        assert client.say("AUTH PLAIN") == "+ "
        assert client.say(token) == "+OK 3 messages"
        assert client.say("AUTH PLAIN").startswith("-ERR")


def test_what_is_sent_behind_stls_in_the_open_is_dropped(shared_server, mailbox):
    with Raw(shared_server.port("pop3")) as client:
        client.send(f"USER {mailbox.address}\r\nSTLS\r\nPASS holdfast\r\n")
        assert [client.line()[:3], client.line()[:3]] == ["+OK", "+OK"]
        client.start_tls(shared_server.tls_context())
        assert client.say("PASS holdfast") == "-ERR USER comes first"


def test_pop3_on_tls_from_the_first_byte(shared_server, filled):
    client = poplib.POP3_SSL("127.0.0.1", shared_server.port("pop3_tls"), context=shared_server.tls_context())
    client.user(filled.address)
    client.pass_("holdfast")
    assert client.stat()[0] == 3
    client.quit()


def test_a_big_mail_comes_whole_to_a_slow_reader(shared_server, mailbox):
    big = "Subject: big\r\n\r\n" + "".join(f".{number:070}\r\n" for number in range(60000))
    shared_server.deliver(big, to=mailbox.address)
    with sign_in(shared_server, mailbox) as client:
        client.send("RETR 1\r\nSTAT\r\n")
        with sign_in(shared_server, mailbox) as other:
            assert other.say("STAT").split()[1] == "1"
        assert client.line().startswith("+OK")
        lines = client.dotted()
        assert lines[-1] == f"..{59999:070}" and len(lines) > 60000
        assert client.line().split()[1] == "1"
