"""A person's day with Roundcube in a real browser: what is shown is right, and what is done there is so on the server."""

import base64
import email
import email.policy
import os
import pathlib
import re
import struct
import zlib

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from support.roundcube import Roundcube
from support.server import PASSWORD, Server, needs

ALICE, BOB, TEAM = "alice@example.org", "bob@example.org", "team@example.org"
# Where pictures of what is shown go, for people to look at; nowhere if it is not set.
PICTURES = os.environ.get("HOLDFAST_PICTURES")
ATTACHED = "Übersicht, Größe 10 €\r\n".encode()


def png(width, height):
    """One colour, so small that it can be told by its size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = (b"\0" + b"\xff\0\0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def mail(number, subject, body="hello", sender="Ann <ann@example.net>", fields=""):
    return (
        f"From: {sender}\r\nTo: Alice <{ALICE}>\r\nMessage-ID: <{number}@example.net>\r\n"
        f"Date: Fri, 20 Nov 2026 10:{number:02d}:00 +0000\r\nSubject: {subject}\r\n{fields}\r\n{body}\r\n"
    )


def with_picture(number, subject):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "Zoë <zoe@example.net>", ALICE, subject
    message["Date"], message["Message-ID"] = f"Fri, 20 Nov 2026 10:{number:02d}:00 +0000", f"<{number}@example.net>"
    message.set_content("The plain text\n")
    message.add_alternative('<p>The <b>page</b></p><img src="cid:red@example.net">', subtype="html")
    message.get_payload()[1].add_related(png(7, 5), "image", "png", cid="<red@example.net>")
    message.add_attachment(ATTACHED, "text", "plain", filename="Übersicht.txt")
    return message.as_string()


@pytest.fixture(scope="module")
def holdfast(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("holdfast"), {"imap.shared_account": TEAM}) as made:
        made.start()
        made.add_domain("example.org")
        for address in (ALICE, BOB, TEAM):
            made.add_user(address)
        made.ctl("user", "quota", ALICE, "1048576", "1000")
        made.deliver(mail(1, "Zebra", body="a needle in it", sender=f"Bob <{BOB}>"))
        made.deliver(mail(2, "=?utf-8?Q?=C3=84pfel?=", sender="Bob <bob@example.net>", body="x" * 900))
        made.deliver(mail(3, "Re: Zebra", fields="References: <1@example.net>\r\nIn-Reply-To: <1@example.net>\r\n"))
        made.deliver(with_picture(4, "With a picture"))
        made.deliver(mail(5, "mango"))
        yield made
        assert made.alarms() == []


@pytest.fixture(scope="module")
def roundcube(holdfast, tmp_path_factory):
    made = Roundcube(tmp_path_factory.mktemp("roundcube") / "it", holdfast)
    yield made
    made.close()
    assert made.log("errors") == ""


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = needs("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1400,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(needs("chromedriver")))
    yield driver
    driver.quit()


class Person:
    """Sees what is on the page, and clicks."""

    def __init__(self, browser, roundcube):
        self.browser = browser
        self.roundcube = roundcube

    def js(self, script, *arguments):
        return self.browser.execute_script("return " + script, *arguments)

    def until(self, condition, seconds=60):
        return WebDriverWait(self.browser, seconds, 0.05).until(lambda _: condition())

    def idle(self):
        self.until(lambda: self.js("document.readyState === 'complete' && window.rcmail && rcmail.task && !rcmail.busy && !jQuery.active"))

    def find(self, selector):
        """What is shown of it, once it is."""
        return self.until(lambda: next((e for e in self.browser.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()), None))

    def click(self, selector):
        self.find(selector).click()

    def picture(self, name):
        if PICTURES:
            self.browser.save_screenshot(str(pathlib.Path(PICTURES) / f"webmail-{name}.png"))

    def sign_in(self, address):
        self.browser.get(self.roundcube.url)
        self.find("#rcmloginuser").send_keys(address)
        self.find("#rcmloginpwd").send_keys(PASSWORD, Keys.ENTER)
        self.until(lambda: self.js("window.rcmail && rcmail.task === 'mail'"))
        self.idle()

    def go(self, task):
        self.click(f"#taskmenu a.{task}")
        self.until(lambda: self.js("window.rcmail && rcmail.task === arguments[0]", task))
        self.idle()

    def folders(self):
        """Names as they are shown, and how many are unread there."""
        return self.js(
            "Object.fromEntries([...document.querySelectorAll('#mailboxlist li.mailbox')].map(li => {"
            " const a = li.querySelector(':scope > a'), count = a.querySelector('.unreadcount');"
            " return [a.firstChild.textContent.trim(), count ? Number(count.textContent) : 0]; }))"
        )

    def open_folder(self, path):
        self.click(f"#mailboxlist li.mailbox > a[rel='{path}']")
        self.until(lambda: self.js("rcmail.env.mailbox") == path)
        self.idle()

    def refresh(self):
        self.click("#messagelist-header a.refresh")
        self.idle()

    def rows(self):
        """From top to bottom: the subject, and what else the list shows of it."""
        return self.js(
            "[...document.querySelectorAll('#messagelist tbody tr.message')].filter(tr => tr.offsetParent).map(tr => ["
            " tr.querySelector('.subject a').textContent.trim(),"
            " new Set(['unread', 'flagged', 'replied'].filter(name => tr.classList.contains(name)"
            "   || tr.querySelector('.msgicon.' + name)).concat(tr.querySelector('span.attachment > *') ? ['attachment'] : []))"
            " ]).map(([subject, marks]) => [subject, [...marks].sort().join(' ')])"
        )

    def subjects(self):
        return [subject for subject, _ in self.rows()]

    def row(self, subject):
        (found,) = [
            row
            for row in self.browser.find_elements(By.CSS_SELECTOR, "#messagelist tbody tr.message")
            if row.find_element(By.CSS_SELECTOR, ".subject a").text.strip() == subject
        ]
        return found

    def in_frame(self, name, work):
        self.browser.switch_to.frame(name)
        try:
            return work()
        finally:
            self.browser.switch_to.default_content()

    def preview(self, subject):
        """Selects it; what is in the frame once it is there."""
        self.row(subject).find_element(By.CSS_SELECTOR, ".subject").click()
        shown = "document.readyState === 'complete' && document.querySelector('#message-header .subject')?.textContent"
        self.until(lambda: subject in str(self.in_frame("messagecontframe", lambda: self.js(shown))))
        self.idle()
        return self.in_frame("messagecontframe", lambda: self.js("document.querySelector('#messagebody').innerText"))

    def menu(self, opener, item):
        self.click(opener)
        self.click(item)
        self.idle()

    def list_options(self, **choices):
        self.click("#messagelist-header a.options")
        for name, value in choices.items():
            Select(self.find(f".ui-dialog select[name='{name}']")).select_by_value(value)
        self.click(".ui-dialog-buttonset button.save")
        self.until(lambda: not self.browser.find_elements(By.CSS_SELECTOR, ".ui-dialog"))
        self.idle()

    def confirm(self):
        self.click(".ui-dialog-buttonset button.mainaction")
        self.until(lambda: not self.browser.find_elements(By.CSS_SELECTOR, ".ui-dialog"))
        self.idle()


@pytest.fixture(scope="module")
def alice(browser, roundcube):
    person = Person(browser, roundcube)
    person.sign_in(ALICE)
    yield person
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def on_server(holdfast, mailbox, *search, user=ALICE):
    with holdfast.imap(user) as client:
        client.select(mailbox, readonly=True)
        return client.search(None, *search)[1][0].split()


def content_of(holdfast, user, mailbox, subject):
    with holdfast.imap(user) as client:
        client.select(mailbox, readonly=True)
        (number,) = client.search(None, "SUBJECT", f'"{subject}"')[1][0].split()
        return email.message_from_bytes(client.fetch(number, "(BODY.PEEK[])")[1][0][1], policy=email.policy.default)


def test_folders_mail_and_quota_are_shown(alice):
    assert alice.folders() == {"Inbox": 5, "Drafts": 0, "Sent": 0, "Spam": 0, "Deleted Items": 0, "Archive": 0}
    assert alice.rows() == [
        ["mango", "unread"], ["With a picture", "attachment unread"], ["Re: Zebra", "unread"], ["Äpfel", "unread"], ["Zebra", "unread"]
    ]
    assert re.search(r"\d KB / 1.0 MB", alice.js("document.querySelector('#quotadisplay .count').title"))
    alice.picture("inbox")


def test_a_mail_is_read_with_its_picture_and_its_attachment(alice, holdfast):
    assert "The page" in alice.preview("With a picture")

    def look():
        picture = alice.until(lambda: alice.js("(p => p && p.complete && [p.naturalWidth, p.naturalHeight])(document.querySelector('#messagebody img'))"))
        name = alice.js("document.querySelector('#attachment-list a .attachment-name').textContent")
        got = alice.browser.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "fetch(document.querySelector('#attachment-list a').href + '&_download=1').then(a => a.arrayBuffer())"
            ".then(b => done(btoa(String.fromCharCode(...new Uint8Array(b)))))"
        )
        return picture, name, base64.b64decode(got)

    assert alice.in_frame("messagecontframe", look) == ([7, 5], "Übersicht.txt", ATTACHED)
    alice.picture("read")
    assert ["With a picture", "attachment"] in alice.rows()
    assert alice.folders()["Inbox"] == 4
    assert on_server(holdfast, "INBOX", "SEEN") == on_server(holdfast, "INBOX", "SUBJECT", "picture") != []


def search(alice, text):
    field = alice.find("#mailsearchform")
    field.clear()
    field.send_keys(text, Keys.ENTER)
    alice.idle()


def test_what_is_looked_for_is_found(alice):
    search(alice, "Äpf")
    assert alice.subjects() == ["Äpfel"]
    search(alice, "zebra")
    assert alice.subjects() == ["Re: Zebra", "Zebra"]
    alice.click("#layout-list .searchbar a.options")
    alice.click("#searchmenu input[value='text'] + *")
    search(alice, "needle")
    assert alice.subjects() == ["Zebra"]
    search(alice, "nowhere")
    assert alice.subjects() == []
    alice.picture("nothing-found")
    alice.click("#layout-list .searchbar a.reset")
    alice.idle()
    assert len(alice.subjects()) == 5


def test_the_list_is_sorted_and_threaded(alice):
    alice.list_options(sort_col="subject", sort_ord="ASC")
    assert alice.subjects() == ["Äpfel", "mango", "With a picture", "Zebra", "Re: Zebra"]
    alice.list_options(sort_col="size", sort_ord="DESC")
    assert alice.subjects()[:2] == ["With a picture", "Äpfel"]
    alice.list_options(sort_col="from", sort_ord="ASC")
    assert alice.subjects()[3:] == ["Äpfel", "With a picture"]
    alice.list_options(sort_col="", sort_ord="DESC", mode="threads")
    alice.menu("#messagelist-header a.threads", "#threadselect-menu a.expand.all")
    assert alice.subjects() == ["mango", "With a picture", "Zebra", "Re: Zebra", "Äpfel"]
    alice.picture("threads")
    depths = "[...document.querySelectorAll('#messagelist tbody tr.message')].map(row => rcmail.env.messages[row.uid].depth)"
    assert alice.js(depths) == [0, 0, 0, 1, 0]
    alice.list_options(sort_col="", sort_ord="DESC", mode="list")


def test_a_mail_is_flagged_and_all_are_read(alice, holdfast):
    alice.preview("mango")
    alice.menu("#layout-content a.markmessage", "#markmessage-menu a.flag")
    alice.until(lambda: ["mango", "flagged"] in alice.rows())
    assert on_server(holdfast, "INBOX", "FLAGGED") == on_server(holdfast, "INBOX", "SUBJECT", "mango") != []
    alice.menu("#layout-sidebar a.sidebar-menu", "#mailboxoptions-menu a.read")
    alice.until(lambda: alice.folders()["Inbox"] == 0)
    assert not any("unread" in marks for _, marks in alice.rows())
    assert on_server(holdfast, "INBOX", "UNSEEN") == []


def fill_in(alice, to, subject, body):
    if to:
        alice.find("#compose_to .recipient-input input").send_keys(to, Keys.ENTER)
    if subject:
        alice.find("#compose-subject").send_keys(subject)
    alice.find("#composebody").send_keys(body)


def send(alice):
    alice.click("button.send")
    alice.until(lambda: alice.js("window.rcmail && rcmail.task === 'mail' && rcmail.env.action !== 'compose'"))
    alice.idle()


def test_a_mail_is_written_with_an_attachment_and_sent(alice, holdfast, tmp_path):
    attached = bytes(range(256)) * 40
    (tmp_path / "data.bin").write_bytes(attached)
    alice.click("#taskmenu a.compose")
    alice.until(lambda: alice.js("window.rcmail && rcmail.env.action === 'compose'"))
    alice.idle()
    fill_in(alice, "Bob <bob@example.org>", "Grüße", "Hello Bob,\n.a dot\n")
    alice.browser.find_element(By.CSS_SELECTOR, "#uploadform input[type=file]").send_keys(str(tmp_path / "data.bin"))
    alice.until(lambda: "data.bin" in alice.find("#attachment-list").text)
    alice.idle()
    alice.picture("compose")
    # What is begun is kept as a draft.
    alice.click("a.save.draft")
    alice.until(lambda: on_server(holdfast, "Drafts", "SEEN"))
    alice.idle()
    send(alice)
    for user, mailbox in ((BOB, "INBOX"), (ALICE, "Sent")):
        with holdfast.imap(user) as client:
            client.select(mailbox, readonly=True)
            assert client.search(None, "ALL")[1][0] == b"1"
            assert (b"1" if mailbox == "Sent" else b"") == client.search(None, "SEEN")[1][0]
            came = email.message_from_bytes(client.fetch("1", "(BODY.PEEK[])")[1][0][1], policy=email.policy.default)
        (attachment,) = came.iter_attachments()
        assert (came["Subject"], came.get_body().get_content()) == ("Grüße", "Hello Bob,\r\n.a dot\r\n")
        assert (attachment.get_filename(), attachment.get_content()) == ("data.bin", attached)
    alice.until(lambda: on_server(holdfast, "Drafts", "ALL") == [])
    alice.open_folder("Sent")
    assert alice.rows() == [["Grüße", "attachment"]]
    alice.open_folder("INBOX")


def test_a_mail_is_answered(alice, holdfast):
    alice.preview("Zebra")
    alice.click("#layout-content a.reply")
    alice.until(lambda: alice.js("window.rcmail && rcmail.env.action === 'compose'"))
    alice.idle()
    assert "> a needle in it" in alice.js("document.querySelector('#composebody').value")
    alice.browser.execute_script("document.querySelector('#compose-subject').value = 'An answer'")
    send(alice)
    alice.open_folder("INBOX")
    assert ["Zebra", "replied"] in alice.rows()
    assert on_server(holdfast, "INBOX", "ANSWERED") == [b"1"]
    answer = content_of(holdfast, BOB, "INBOX", "An answer")
    assert answer["In-Reply-To"] == "<1@example.net>" and answer["References"] == "<1@example.net>"


def go_to_folders(alice):
    alice.go("settings")
    alice.click("#settings-menu li.folders a")
    alice.until(lambda: alice.js("window.rcmail && rcmail.env.action === 'folders'"))
    alice.idle()


def folder_row(alice, path):
    found = alice.browser.find_elements(By.CSS_SELECTOR, f"#subscription-table li:has(> div > input[value='{path}']) > a")
    return found[0] if found else None


def save_folder(alice, name):
    def fill():
        field = alice.find("#_name")
        field.clear()
        field.send_keys(name)
        alice.click(".formbuttons button.submit")

    alice.in_frame("preferences-frame", fill)


def test_folders_are_made_renamed_used_and_removed(alice, holdfast):
    go_to_folders(alice)
    alice.click("#layout-content a.create")
    save_folder(alice, "Reisen & Spaß")
    alice.until(lambda: folder_row(alice, "Reisen &- Spa&AN8-"))
    alice.idle()
    folder_row(alice, "Reisen &- Spa&AN8-").click()
    alice.idle()
    save_folder(alice, "Ausflüge")
    alice.until(lambda: folder_row(alice, "Ausfl&APw-ge"))
    alice.idle()
    assert "Ausflüge" in holdfast.folders(ALICE) and "Reisen & Spaß" not in holdfast.folders(ALICE)
    alice.picture("folders")

    alice.go("mail")
    assert "Ausflüge" in alice.folders()
    target = alice.find("#mailboxlist li.mailbox > a[rel='Ausfl&APw-ge']")
    ActionChains(alice.browser).drag_and_drop(alice.row("mango"), target).perform()
    alice.until(lambda: "mango" not in alice.subjects())
    alice.idle()
    alice.open_folder("Ausfl&APw-ge")
    assert alice.rows() == [["mango", "flagged"]]
    alice.preview("mango")
    alice.menu("#layout-content a.more", "#message-menu a.move")
    alice.click("#folder-selector li.inbox a")
    alice.until(lambda: alice.subjects() == [])
    alice.idle()
    assert holdfast.folders(ALICE)["INBOX"]["messages"] == 5

    go_to_folders(alice)
    folder_row(alice, "Ausfl&APw-ge").click()
    alice.idle()
    alice.click("#layout-content a.delete")
    alice.confirm()
    alice.until(lambda: not folder_row(alice, "Ausfl&APw-ge"))
    alice.go("mail")
    assert "Ausflüge" not in alice.folders() and "Ausflüge" not in holdfast.folders(ALICE)


def test_mail_is_deleted_and_purged(alice, holdfast):
    alice.preview("Äpfel")
    alice.click("#layout-content a.delete")
    alice.until(lambda: "Äpfel" not in alice.subjects())
    alice.idle()
    alice.open_folder("Trash")
    assert alice.subjects() == ["Äpfel"]
    alice.menu("#layout-sidebar a.sidebar-menu", "#mailboxoptions-menu a.purge")
    alice.confirm()
    alice.until(lambda: alice.subjects() == [])
    folders = holdfast.folders(ALICE)
    assert (folders["Trash"]["messages"], folders["INBOX"]["messages"]) == (0, 4)
    alice.open_folder("INBOX")


def test_what_happens_elsewhere_is_shown(alice, holdfast):
    """Roundcube keeps what it has read, and asks for what has changed since (QRESYNC)."""
    holdfast.deliver(mail(9, "news"))
    alice.refresh()
    alice.until(lambda: ["news", "unread"] in alice.rows())
    assert alice.folders()["Inbox"] == 1
    with holdfast.imap(ALICE) as client:
        client.select("INBOX")
        client.store(client.search(None, "SUBJECT", '"With a picture"')[1][0], "+FLAGS", "\\Flagged")
        client.store(client.search(None, "SUBJECT", '"Re: Zebra"')[1][0], "+FLAGS", "\\Deleted")
        client.expunge()
    alice.open_folder("Archive")
    alice.open_folder("INBOX")
    assert alice.rows() == [
        ["news", "unread"], ["mango", "flagged"], ["With a picture", "attachment flagged"], ["Zebra", "replied"]
    ]


def test_a_shared_folder_is_used(alice, holdfast):
    with holdfast.imap(TEAM) as client:
        client.create("Plans")
        client.append("Plans", None, None, mail(20, "for all of us").encode())
        client.setacl("Plans", ALICE, "lrswi")
    go_to_folders(alice)
    alice.picture("shared")
    row = alice.until(lambda: folder_row(alice, "Shared/Plans"))
    row.find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".custom-switch label").click()
    alice.idle()
    alice.go("mail")
    alice.picture("shared-mail")
    assert "Plans" in alice.folders()
    alice.open_folder("Shared/Plans")
    assert alice.rows() == [["for all of us", "unread"]]
    alice.preview("for all of us")
    assert on_server(holdfast, "Plans", "SEEN", user=TEAM) == [b"1"]
    # What the rights do not allow is refused, and is still there.
    alice.click("#layout-content a.delete")
    alice.idle()
    alice.open_folder("INBOX")
    alice.open_folder("Shared/Plans")
    assert alice.subjects() == ["for all of us"]
