"""Thunderbird's day, run by tools/thunderbird: what it keeps on its disk is what the server has, and what is done in it is
so on the server."""

import email
import email.policy
import functools
import random

import pytest

from support.patience import until
from support.server import Server, needs
from support.thunderbird import Thunderbird

ALICE, BOB = "alice@example.org", "bob@example.org"
COUNT = 150
LINES = ["", ".", "From here", ">From there", " ", "ü"]


@functools.cache
def mail(number):
    """Lines of all kinds; each tenth has an attachment."""
    if number % 10:
        lines = "".join(f"{LINES[line % len(LINES)]} {line}\r\n" for line in range(number))
        return (
            f"From: Ann <ann@example.net>\r\nMessage-ID: <{number}@example.net>\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Date: Fri, 20 Nov 2026 10:00:{number % 60:02d} +0000\r\nSubject: number {number}\r\n\r\n{lines}"
        ).encode()
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["Subject"], message["Message-ID"] = "Zoë <zoe@example.net>", f"number {number}", f"<{number}@example.net>"
    message["Date"] = "Fri, 20 Nov 2026 11:00:00 +0000"
    message.set_content("See there.\n")
    message.add_attachment(random.Random(number).randbytes(2000 * number), "application", "octet-stream", filename="Größe.bin")
    return message.as_bytes()


@pytest.fixture(scope="module")
def holdfast(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("holdfast")) as made:
        made.start()
        made.add_domain("example.org")
        for address in (ALICE, BOB):
            made.add_user(address)
        with made.imap() as client:
            for number in range(COUNT):
                client.append("INBOX", None, None, mail(number))
            for path in ("Reisen &- Spa&AN8-", "Reisen &- Spa&AN8-/S&APw-den"):
                client.create(f'"{path}"')
                client.subscribe(f'"{path}"')
            client.append('"Reisen &- Spa&AN8-/S&APw-den"', "\\Flagged", None, mail(7))
        yield made
        assert made.alarms() == []


@pytest.fixture(scope="module")
def thunderbird(holdfast, tmp_path_factory):
    made = Thunderbird(needs("thunderbird"), tmp_path_factory.mktemp("thunderbird"), holdfast, ALICE)
    made.run("folder('INBOX').updateFolder(null);")
    until(lambda: made.run("return messages('INBOX').length") == COUNT)
    yield made
    made.close()


def contents(holdfast, mailbox, user=ALICE):
    with holdfast.imap(user) as client:
        if client.select(f'"{mailbox}"', readonly=True)[1] == [b"0"]:
            return []
        return [part[1] for part in client.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]


def found(holdfast, *keys):
    with holdfast.imap() as client:
        client.select("INBOX", readonly=True)
        return client.search(None, *keys)[1][0].split()


def test_what_is_on_its_disk_is_what_is_on_the_server(holdfast, thunderbird):
    assert {"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash", "Reisen & Spaß", "Reisen & Spaß/Süden"} == set(thunderbird.folders())
    # It fetches all by itself.
    until(lambda: thunderbird.run("return messages('INBOX').filter(m => m.flags & Ci.nsMsgMessageFlags.Offline).length") == COUNT)
    assert sorted(thunderbird.stored("INBOX")) == sorted(contents(holdfast, "INBOX")) == sorted(map(mail, range(COUNT)))
    path = "Reisen & Spaß/Süden"
    thunderbird.run("folder(given[0]).updateFolder(null);", path)
    until(lambda: thunderbird.run("return messages(given[0]).map(m => m.isFlagged)", path) == [True])


def test_flags_and_tags_are_set(holdfast, thunderbird):
    thunderbird.run(
        "folder('INBOX').markMessagesRead([message('INBOX', 'number 1'), message('INBOX', 'number 2')], true);"
        "folder('INBOX').markMessagesFlagged([message('INBOX', 'number 2')], true);"
        "folder('INBOX').addKeywordsToMessages([message('INBOX', 'number 3')], '$label1');"
    )
    until(lambda: found(holdfast, "SEEN") == [b"2", b"3"])
    until(lambda: found(holdfast, "FLAGGED") == [b"3"])
    until(lambda: found(holdfast, "KEYWORD", "$label1") == [b"4"])


def test_folders_are_made_renamed_and_removed_and_mail_moved(holdfast, thunderbird):
    moved = [number for number in range(COUNT) if str(number).startswith("3")]
    thunderbird.run("root.createSubfolder('Ausflüge', null);")
    until(lambda: "Ausflüge" in holdfast.folders(ALICE) and "Ausflüge" in thunderbird.folders())
    thunderbird.run(
        "const chosen = messages('INBOX').filter(m => m.mime2DecodedSubject.startsWith('number 3'));"
        "await until(done => MailServices.copy.copyMessages(folder('INBOX'), chosen, folder('Ausflüge'), true, {"
        " onStartCopy() {}, onProgress() {}, setMessageKey() {}, getMessageId() {}, onStopCopy(status) { done(status); } }, null, false));"
    )
    until(lambda: holdfast.folders(ALICE)["Ausflüge"]["messages"] == len(moved))
    assert sorted(contents(holdfast, "Ausfl&APw-ge")) == sorted(map(mail, moved))
    assert holdfast.folders(ALICE)["INBOX"]["messages"] == COUNT - len(moved)
    thunderbird.run("folder('Ausflüge').rename('Weg', null);")
    until(lambda: "Weg" in holdfast.folders(ALICE) and "Ausflüge" not in holdfast.folders(ALICE))
    until(lambda: "Weg" in thunderbird.folders() and "Ausflüge" not in thunderbird.folders())
    thunderbird.run("folder('Weg').updateFolder(null);")
    until(lambda: thunderbird.run("return messages('Weg').length") == len(moved))


def test_mail_is_deleted_and_the_trash_emptied(holdfast, thunderbird):
    thunderbird.run("folder('INBOX').deleteMessages([message('INBOX', 'number 5')], null, false, false, null, false);")
    until(lambda: contents(holdfast, "Trash") == [mail(5)])
    assert found(holdfast, "SUBJECT", '"number 5 "') == []
    thunderbird.run("folder('Trash').updateFolder(null);")
    until(lambda: thunderbird.run("return messages('Trash').length") == 1)
    thunderbird.run("folder('Trash').emptyTrash(null);")
    until(lambda: holdfast.folders(ALICE)["Trash"]["messages"] == 0)


def test_new_mail_comes_while_it_waits(holdfast, thunderbird):
    holdfast.deliver("Subject: news\r\n\r\nhello\r\n")
    until(lambda: thunderbird.run("return !!message('INBOX', 'news')"))


def test_a_mail_is_sent_and_kept(holdfast, thunderbird):
    sent = f"From: Alice <{ALICE}>\r\nTo: {BOB}\r\nSubject: from Thunderbird\r\nMIME-Version: 1.0\r\n\r\nGood morning\r\n.a dot\r\n"
    file = thunderbird.folder / "mail"
    file.write_bytes(sent.encode())
    thunderbird.send(file, BOB)
    (came,) = contents(holdfast, "INBOX", BOB)
    assert came.endswith(b"\r\n\r\nGood morning\r\n.a dot\r\n")
    until(lambda: [one.endswith(b"\r\n\r\nGood morning\r\n.a dot\r\n") for one in contents(holdfast, "Sent")] == [True])


def test_after_all_that_both_sides_are_alike(holdfast, thunderbird):
    left = thunderbird.run("return messages('INBOX').length")
    assert left == holdfast.folders(ALICE)["INBOX"]["messages"] == len(contents(holdfast, "INBOX"))
    until(lambda: thunderbird.run("return messages('INBOX').filter(m => m.flags & Ci.nsMsgMessageFlags.Offline).length") == left)
    assert set(contents(holdfast, "INBOX")) <= set(thunderbird.stored("INBOX"))
