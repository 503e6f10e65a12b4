"""The same delivery, made again because its answer was lost, gives one copy; equal mail sent again on purpose
gives two."""

import time

import pytest

from support.raw import Raw

PLAIN = b"Subject: plain\r\n\r\nbody\r\n"
PASSED_ON = b"Received: from a by b with SMTP id abc123;\r\n\tMon, 1 Jan 2024 00:00:00 +0000\r\n" + PLAIN
ID_IN_COMMENT = b"Received: from a by b (id abc123); Mon, 1 Jan 2024 00:00:00 +0000\r\n" + PLAIN
KINDS = ["smtp", "lmtp"]


def connect(server, kind):
    client = Raw(server.port(kind))
    assert client.say("LHLO x" if kind == "lmtp" else "EHLO x")[:3] == "250"
    return client


def deliver(client, address, content=PLAIN, sender="x@example.net", parameters=""):
    """Up to the answer, which proves nothing yet."""
    assert client.say(f"MAIL FROM:<{sender}>{parameters}")[:3] == "250"
    assert client.say(f"RCPT TO:<{address}>")[:3] == "250"
    assert client.say("DATA")[:3] == "354"
    client.send(content + b".\r\n")
    assert client.reply()[:3] == "250"


def deliver_and_quit(server, kind, address, content=PLAIN, **more):
    with connect(server, kind) as client:
        deliver(client, address, content, **more)
        assert client.say("QUIT")[:3] == "221"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sent",
    [b"", b"Sub", PLAIN[:-1], PLAIN, PLAIN + b".", PLAIN + b".\r", PLAIN + b".\r\n"],
    ids=["nothing", "some", "but-lf", "all", "dot", "dot-cr", "end"],
)
def test_a_retry_after_a_cut_gives_one_copy(shared_server, mailbox, kind, sent):
    client = connect(shared_server, kind)
    client.say_all("MAIL FROM:<x@example.net>", f"RCPT TO:<{mailbox.address}>", "DATA")
    client.send(sent)
    client.cut()
    deliver_and_quit(shared_server, kind, mailbox.address)
    time.sleep(0.2)
    assert mailbox.count() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("commands", [0, 1, 2])
def test_a_cut_before_data_leaves_nothing(shared_server, mailbox, kind, commands):
    client = connect(shared_server, kind)
    client.say_all(*["MAIL FROM:<x@example.net>", f"RCPT TO:<{mailbox.address}>"][:commands])
    client.cut()
    deliver_and_quit(shared_server, kind, mailbox.address)
    assert mailbox.count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_retry_after_an_answer_that_was_lost_gives_one_copy(shared_server, mailbox, kind):
    client = connect(shared_server, kind)
    deliver(client, mailbox.address)
    client.cut()
    deliver_and_quit(shared_server, kind, mailbox.address)
    assert mailbox.count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_several_cuts_still_give_one_copy(shared_server, mailbox, kind):
    for _ in range(3):
        client = connect(shared_server, kind)
        deliver(client, mailbox.address)
        client.cut()
    deliver_and_quit(shared_server, kind, mailbox.address)
    assert mailbox.count() == 1


def test_a_retry_in_chunks_gives_one_copy(shared_server, mailbox):
    for end in (b"", b"", b"QUIT\r\n"):
        client = connect(shared_server, "lmtp")
        client.say_all("MAIL FROM:<x@example.net>", f"RCPT TO:<{mailbox.address}>")
        client.send(b"BDAT %d LAST\r\n" % len(PLAIN) + PLAIN)
        assert client.reply()[:3] == "250"
        client.send(end)
        client.cut()
    assert mailbox.count() == 1


def test_commands_sent_ahead_of_the_answer_do_not_show_that_it_was_seen(shared_server, mailbox):
    """A client that pipelines QUIT behind the mail and is cut off may have seen nothing."""
    client = connect(shared_server, "smtp")
    client.say_all("MAIL FROM:<x@example.net>", f"RCPT TO:<{mailbox.address}>", "DATA")
    client.send(PLAIN + b".\r\nQUIT\r\n")
    client.cut()
    time.sleep(0.5)
    deliver_and_quit(shared_server, "smtp", mailbox.address)
    assert mailbox.count() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("proof", ["QUIT", "NOOP", "RSET", "MAIL FROM:<x@example.net>"])
def test_equal_mail_after_an_answer_was_seen_gives_two(shared_server, mailbox, kind, proof):
    client = connect(shared_server, kind)
    deliver(client, mailbox.address)
    client.say(proof)
    client.cut()
    deliver_and_quit(shared_server, kind, mailbox.address)
    assert mailbox.count() == 2


@pytest.mark.parametrize("kind", KINDS)
def test_equal_mail_twice_in_one_session_gives_two(shared_server, mailbox, kind):
    with connect(shared_server, kind) as client:
        deliver(client, mailbox.address)
        deliver(client, mailbox.address)
        deliver(client, mailbox.address)
    assert mailbox.count() == 3


@pytest.mark.parametrize("content, copies", [(PASSED_ON, 1), (ID_IN_COMMENT, 2), (PLAIN, 2)])
def test_an_id_in_the_topmost_received_tells_deliveries_apart(shared_server, mailbox, content, copies):
    deliver_and_quit(shared_server, "lmtp", mailbox.address, content)
    deliver_and_quit(shared_server, "lmtp", mailbox.address, content)
    assert mailbox.count() == copies


@pytest.mark.parametrize("content", [PLAIN, PASSED_ON])
def test_what_differs_anywhere_is_another_delivery(shared_server, mailbox, content):
    for variant in (
        {},
        {"sender": "y@example.net"},
        {"parameters": " ENVID=1"},
        {"content": content + b"more\r\n"},
        {"content": content.replace(b"body", b"Body")},
    ):
        client = connect(shared_server, "lmtp")
        deliver(client, mailbox.address, **{"content": content, **variant})
        client.cut()
    assert mailbox.count() == 5


def test_a_retry_reaches_after_a_restart_too(server):
    client = connect(server, "lmtp")
    deliver(client, "alice@example.org")
    server.kill()
    client.cut()
    server.start()
    deliver_and_quit(server, "lmtp", "alice@example.org")
    assert server.folders("alice@example.org")["INBOX"]["messages"] == 1
