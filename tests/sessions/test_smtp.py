"""SMTP, submission and LMTP, as clients see them."""

import base64
import smtplib
import ssl

import pytest

from support.mailbox import Mailbox
from support.raw import Raw

ALICE = "alice@example.org"
BOB = "bob@example.org"
MAIL = "From: <x@example.net>\r\nSubject: hello\r\n\r\nbody\r\n"


def raw(server, kind="smtp", hello="EHLO client.example.net"):
    client = Raw(server.port(kind))
    if hello:
        assert client.say(hello)[:3] == "250"
    return client


def begin(client, to, sender="x@example.net", parameters=""):
    """MAIL, RCPT and DATA."""
    assert client.say(f"MAIL FROM:<{sender}>{parameters}")[:3] == "250"
    for address in to if isinstance(to, list) else [to]:
        assert client.say(f"RCPT TO:<{address}>")[:3] == "250"
    assert client.say("DATA")[:3] == "354"


# ---- what is said before a mail ----


def test_ehlo_offers_what_there_is(shared_server):
    with shared_server.smtp() as client:
        client.ehlo()
        assert {"pipelining", "size", "8bitmime", "smtputf8", "chunking", "binarymime", "dsn"} <= set(
            client.esmtp_features
        )
        assert "starttls" in client.esmtp_features and "auth" not in client.esmtp_features
        client.starttls(context=shared_server.tls_context())
        client.ehlo()
        assert "starttls" not in client.esmtp_features
    with shared_server.submission(user=None) as client:
        client.ehlo()
        mechanisms = client.esmtp_features["auth"].split()
        assert mechanisms == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]


@pytest.mark.parametrize(
    "command, code",
    [
        ("NOOP", "250"),
        ("RSET", "250"),
        ("HELP", "214"),
        ("VRFY alice", "252"),
        ("VRFY", "501"),
        ("EXPN x", "500"),
        ("", "500"),
        ("EHLO", "501"),
        ("EHLO a b", "501"),
        ("LHLO x", "500"),
        ("AUTH PLAIN", "500"),
        ("DATA", "503"),
        ("RCPT TO:<alice@example.org>", "503"),
        ("MAIL FROM:x@example.net", "501"),
        ("MAIL FROM:<x@example.net> WHAT=3", "555"),
        ("MAIL FROM:<x@example.net> SIZE=x", "501"),
        ("MAIL FROM:<x@example.net> SIZE=1 SIZE=1", "501"),
        ("MAIL FROM:<x@example.net> SIZE=99999999999", "552"),
        ("MAIL FROM:<x@example.net> BODY=9BIT", "501"),
        ("MAIL FROM:<x@example.net> RET=FULL ENVID=a+2Bb BODY=8BITMIME SMTPUTF8", "250"),
        ("MAIL FROM:<ü@example.net>", "553"),
        ("MAIL FROM:<ü@example.net> SMTPUTF8", "250"),
        ("MAIL FROM:<@a,@b:x@example.net>", "250"),
        ("MAIL FROM:<>", "250"),
        ("N" * 20000, "500"),
    ],
)
def test_a_command_has_its_answer(shared_server, command, code):
    with raw(shared_server) as client:
        assert client.say(command)[:3] == code
        assert client.say("NOOP")[:3] == "250"


@pytest.mark.parametrize(
    "recipient, answer",
    [
        ("nobody@example.org", "550 5.1.1"),
        ("x@example.com", "550 5.7.1"),
        ("alice", "553 5.1.3"),
        ("alice@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;alice@example.org", "250 2.1.5"),
        ("alice@example.org> NOTIFY=SOMETIMES", "501 5.5.4"),
        ("ALICE+detail@Example.Org", "250 2.1.5"),
        ("", "501 5.1.3"),
    ],
)
def test_a_recipient_has_its_answer(shared_server, recipient, answer):
    with raw(shared_server) as client:
        assert client.say("MAIL FROM:<x@example.net>")[:3] == "250"
        path = recipient if ">" in recipient else f"{recipient}>"
        assert client.say(f"RCPT TO:<{path}").startswith(answer)


def test_postmaster_without_a_domain_is_the_first_domains_that_has_one(server):
    def ask():
        with raw(server) as client:
            client.say("MAIL FROM:<x@example.net>")
            return client.say("RCPT TO:<Postmaster>")

    assert ask().startswith("550 5.1.1")
    server.add_domain("example.com")
    server.ctl("alias", "set", "postmaster@example.org", ALICE)
    assert ask().startswith("250 2.1.5")
    with raw(server) as client:
        begin(client, "postmaster")
        assert client.say(MAIL + ".")[:3] == "250"
    server.ctl("alias", "remove", "postmaster@example.org")
    assert ask().startswith("550 5.1.1")


def test_too_many_errors_end_the_session(shared_server):
    with raw(shared_server) as client:
        for _ in range(20):
            assert client.say("WHAT")[:3] == "500"
        assert client.say("WHAT")[:3] == "421"
        assert client.is_closed()


def test_a_second_mail_needs_a_new_beginning(shared_server):
    with raw(shared_server) as client:
        assert client.say("MAIL FROM:<>")[:3] == "250"
        assert client.say("MAIL FROM:<>")[:3] == "503"
        assert client.say("RSET")[:3] == "250"
        assert client.say("MAIL FROM:<>")[:3] == "250"
        assert client.say("DATA").startswith("554 5.5.1")


# ---- the mail ----


def test_what_is_fetched_is_what_was_sent_below_our_trace(shared_server, mailbox):
    odd = b"Subject: odd\r\n\r\n\x00\xff\xfe..\r\n.\r\n..\r\n" + bytes(range(14, 256)) + b"\r\n \r\n"
    with raw(shared_server) as client:
        begin(client, mailbox.address, "x@example.net", " BODY=8BITMIME")
        client.send(odd.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert client.reply()[:3] == "250"
    mail = mailbox.only()
    trace, rest = mail.split(b"Subject: odd", 1)
    assert b"Subject: odd" + rest == odd
    lines = trace.split(b"\r\n")
    assert lines[0] == b"Return-Path: <x@example.net>"
    assert lines[1] == b"Delivered-To: " + mailbox.address.encode()
    assert lines[2].startswith(b"Received: from client.example.net ([127.0.0.1])")
    assert b" with ESMTP" in trace and b"id " in trace and mailbox.address.encode() in lines[5]


def test_pipelined_commands_are_answered_one_by_one(shared_server, mailbox):
    with raw(shared_server) as client:
        client.send(
            "MAIL FROM:<x@example.net>\r\nRCPT TO:<nobody@example.org>\r\n"
            f"RCPT TO:<{mailbox.address}>\r\nDATA\r\n"
        )
        assert [client.reply()[:3] for _ in range(4)] == ["250", "550", "250", "354"]
        client.send(f"{MAIL}.\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "250", "221"]
        assert client.is_closed()
    assert len(mailbox.mails()) == 1


def test_a_client_that_sends_byte_by_byte_is_served(shared_server, mailbox):
    with Raw(shared_server.port("smtp")) as client:
        client.send_bytewise(
            f"EHLO x\r\nMAIL FROM:<x@example.net>\r\nRCPT TO:<{mailbox.address}>\r\nDATA\r\n{MAIL}.\r\nQUIT\r\n"
        )
        assert [client.reply()[:3] for _ in range(6)] == ["250", "250", "250", "354", "250", "221"]
    assert mailbox.only().endswith(MAIL.encode())


@pytest.mark.parametrize(
    "end", ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\r\n", "\n", "\r"]
)
def test_a_smuggled_mail_is_refused_whole(shared_server, mailbox, end):
    with raw(shared_server) as client:
        begin(client, mailbox.address)
        client.send(
            f"Subject: one\r\n\r\nbody{end}MAIL FROM:<evil@example.net>\r\nRCPT TO:<{mailbox.address}>\r\n"
            "DATA\r\nSubject: two\r\n\r\nevil\r\n.\r\n"
        )
        assert client.reply().startswith("554 5.6.0")
        assert client.say("NOOP")[:3] == "250"
    assert mailbox.mails() == []


def test_a_command_that_does_not_end_in_crlf_is_refused(shared_server):
    with raw(shared_server) as client:
        client.send("NOOP\nNOOP\r\n")
        assert [client.reply()[:3], client.reply()[:3]] == ["500", "250"]


def test_chunks_make_a_mail(shared_server, mailbox):
    binary = b"Subject: chunks\r\n\r\n\x00.\r\n\n.\n\r.\r" + bytes(range(256)) * 300
    with raw(shared_server) as client:
        assert client.say("MAIL FROM:<x@example.net> BODY=BINARYMIME")[:3] == "250"
        assert client.say(f"RCPT TO:<{mailbox.address}>")[:3] == "250"
        assert client.say("DATA")[:3] == "503"
        client.send(f"BDAT {len(binary)}\r\n".encode() + binary + b"BDAT 3\r\nabcBDAT 0 LAST\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "250"]
        assert client.say("BDAT 0 LAST")[:3] == "503"
    imap = shared_server.imap(mailbox.address)
    imap.select()
    content = imap.fetch("1", "BODY[]")[1][0][1]
    imap.logout()
    assert content.endswith(binary + b"abc")


def test_chunks_without_a_recipient_are_read_past(shared_server):
    with raw(shared_server) as client:
        client.send("MAIL FROM:<>\r\nRCPT TO:<nobody@example.org>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "550", "554", "250"]


def test_a_chunk_of_no_size_ends_the_session(shared_server):
    with raw(shared_server) as client:
        assert client.say("BDAT many")[:3] == "501"
        assert client.is_closed()


def test_a_header_past_its_limit_is_refused(shared_server, mailbox):
    with raw(shared_server) as client:
        begin(client, mailbox.address)
        client.send("X: y\r\n" * 1001 + "\r\n.\r\n")
        assert client.reply().startswith("552 5.3.4")
        begin(client, mailbox.address)
        client.send("Received: by here\r\n" * 101 + "\r\n.\r\n")
        assert client.reply().startswith("554 5.4.6")
    assert mailbox.mails() == []


def test_a_mail_past_the_limit_is_refused_at_its_end(server):
    server.settings = {"smtp.max_message": "64 KiB"}
    server.restart()
    with raw(server) as client:
        begin(client, ALICE)
        client.send("x" * 998 + "\r\n")
        client.send(("y" * 998 + "\r\n") * 70 + ".\r\n")
        assert client.reply().startswith("552 5.3.4")
        assert client.say("MAIL FROM:<> SIZE=70000").startswith("552 5.3.4")
        client.say_all("MAIL FROM:<>", f"RCPT TO:<{ALICE}>")
        client.send("BDAT 40000\r\n" + "z" * 40000 + "BDAT 40000 LAST\r\n" + "z" * 40000)
        assert [client.reply()[:3], client.reply()[:3]] == ["250", "552"]
        assert client.say("NOOP")[:3] == "250"
    assert server.folders(ALICE)["INBOX"]["messages"] == 0


def test_recipients_past_the_limit_wait_for_another_mail(server):
    server.settings = {"smtp.max_recipients": "2"}
    server.restart()
    with raw(server) as client:
        client.say("MAIL FROM:<>")
        answers = client.say_all(*[f"RCPT TO:<{address}>" for address in (ALICE, BOB, ALICE)])
        assert [answer[:9] for answer in answers] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]


# ---- LMTP ----


def test_lmtp_answers_for_each_recipient(shared_server, mailbox):
    other = Mailbox(shared_server, "z" + mailbox.address)
    with raw(shared_server, "lmtp", "LHLO x") as client:
        assert client.say("EHLO x")[:3] == "500"
        begin(client, [mailbox.address, other.address])
        client.send(f"{MAIL}.\r\n")
        assert [client.reply()[:3], client.reply()[:3]] == ["250", "250"]
        assert client.say("MAIL FROM:<>")[:3] == "250"
        assert client.say("DATA")[:3] == "503"
        client.say(f"RCPT TO:<{mailbox.address}>")
        client.send(f"BDAT {len(MAIL)} LAST\r\n{MAIL}")
        assert client.reply()[:3] == "250"
        assert client.say("NOOP")[:3] == "250"
    assert (len(mailbox.mails()), len(other.mails())) == (2, 1)


def test_a_full_mailbox_does_not_keep_the_others_from_their_mail(shared_server, mailbox):
    full = Mailbox(shared_server, "full-" + mailbox.address)
    shared_server.ctl("user", "quota", full.address, "0", "1")
    with raw(shared_server, "lmtp", "LHLO x") as client:
        begin(client, [full.address, mailbox.address])
        client.send(f"{MAIL}.\r\n")
        assert [client.reply()[:3], client.reply()[:3]] == ["250", "250"]
        client.say("MAIL FROM:<>")
        assert client.say(f"RCPT TO:<{full.address}>").startswith("552 5.2.2")


# ---- submission ----


def test_submission_needs_a_sign_in_and_ones_own_address(shared_server):
    client = shared_server.submission(user=None)
    client.ehlo()
    assert client.mail("alice@example.org")[0] == 530
    with pytest.raises(smtplib.SMTPAuthenticationError):
        client.login("alice@example.org", "wrong")
    client.login("alice@example.org", "holdfast")
    assert client.mail("bob@example.org")[0] == 550
    assert client.mail("")[0] == 550
    assert client.mail("alice@example.org")[0] == 250
    assert client.rcpt("x@example.com") == (550, b"5.7.1 <x@example.com> no mail is relayed to this domain")
    assert client.rcpt("bob@example.org")[0] == 250
    assert client.data(MAIL)[0] == 250
    client.quit()


def test_an_alias_may_be_a_sender(shared_server, mailbox):
    shared_server.ctl("alias", "set", "sales@example.org", mailbox.address)
    with shared_server.submission(mailbox.address) as client:
        assert client.sendmail("sales@example.org", ["sales@example.org"], MAIL) == {}
    assert b"Delivered-To: " + mailbox.address.encode() in mailbox.only()


def test_submission_on_tls_from_the_first_byte(shared_server, mailbox):
    with smtplib.SMTP_SSL(
        "127.0.0.1", shared_server.port("submission_tls"), context=shared_server.tls_context()
    ) as client:
        client.login(mailbox.address, "holdfast")
        client.sendmail(mailbox.address, [mailbox.address], MAIL)
    assert b" with ESMTPSA" in mailbox.only()


# ---- STARTTLS ----


@pytest.mark.parametrize("kind", ["smtp", "submission", "lmtp"])
def test_what_is_sent_behind_starttls_in_the_open_is_dropped(shared_server, kind):
    hello = "LHLO x" if kind == "lmtp" else "EHLO x"
    with raw(shared_server, kind, hello) as client:
        client.send("STARTTLS\r\nNOOP\r\n" + hello + "\r\n")
        assert client.reply()[:3] == "220"
        client.start_tls(shared_server.tls_context())
        assert client.say("MAIL FROM:<>")[:3] == "503"
        assert client.say(hello)[:3] == "250"
        assert client.say("STARTTLS")[:3] == "503"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(shared_server, version):
    context = shared_server.tls_context()
    context.minimum_version = context.maximum_version = version
    with shared_server.smtp() as client:
        client.starttls(context=context)
        assert client.sock.version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]


# ---- AUTH's own dialogue ----


def test_auth_takes_its_answers_as_they_come(shared_server):
    token = base64.b64encode(b"\0alice@example.org\0holdfast").decode()
    for script, code in [
        (["AUTH PLAIN", token], "235"),
        ([f"AUTH PLAIN {token}"], "235"),
        (["AUTH PLAIN", "*"], "501"),
        (["AUTH PLAIN", "not base64!"], "501"),
        (["AUTH CRAM-MD5"], "504"),
        (["AUTH LOGIN", base64.b64encode(b"alice@example.org").decode(), "aG9sZGZhc3Q="], "235"),
        (["AUTH LOGIN", "*"], "501"),
        (["AUTH PLAIN", "x" * 30000], "501"),
    ]:
        with raw(shared_server, "submission") as client:
            assert client.say_all(*script)[-1][:3] == code
            assert client.say("NOOP")[:3] == "250"


# ---- what the log says of it ----


def test_the_log_tells_of_each_delivery(server):
    with raw(server, "lmtp", "LHLO x") as client:
        begin(client, [ALICE, "Bob+x@example.org"])
        client.send(MAIL.encode() + b".\r\n")
        ids = [client.line().split()[-1] for _ in range(2)]
    events = [
        dict(word.split("=", 1) for word in line.split(" mail-delivered ", 1)[1].split() if "=" in word)
        for line in server.log_text().splitlines()
        if " mail-delivered " in line
    ]
    assert [event["recipient"] for event in events] == [ALICE, "Bob+x@example.org"]
    assert [event["op"] for event in events] == ids
    assert len({event["account"] for event in events}) == 2
    for event in events:
        assert event["protocol"] == "lmtp" and event["peer"] == "127.0.0.1"
        assert event["uid"] == "1" and event["size"] == str(len(MAIL)) and event["repeated"] == "0"
