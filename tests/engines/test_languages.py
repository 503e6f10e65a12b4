"""FUZZY in many scripts through IMAP: words end where ICU says, and case and accents do not count. The same by each index, and
for mail that no index has reached."""

import email.message
import email.policy

import pytest

from support.mailbox import Mailbox
from support.searching import wait_for_index
from support.server import Server

OPENSEARCH = {
    "search.index": "opensearch",
    "opensearch.hosts": "http://127.0.0.1:9200",
    "opensearch.name": "languages",
    "opensearch.refresh_interval": "50 ms",
    "opensearch.replicas": "0",
}
# A mail for each; what finds it, and nothing else.
TEXTS = [
    ("我们明天在北京大学见面。", ["北京", "明天", "见面"]),
    ("東京の天気は晴れです。カタカナも", ["天気", "東京", "カタカナ"]),
    ("ฉันรักภาษาไทยมาก", ["ภาษา", "รัก"]),
    ("안녕하세요 여러분", ["안녕", "여러분"]),
    ("ΚΑΛΗΜΕΡΑ ΣΑΣ, Ὀδυσσεύς", ["καλημέρα", "οδυσσευσ"]),
    ("Ёлка в МОСКВЕ", ["елка", "москве", "мозкве"]),
    ("Die STRASSE nach Köln; Größe", ["Straße", "koln", "grosse"]),
    ("Wrocław, Łódź", ["wroclaw", "lodz"]),
    ("Tiếng Việt", ["tieng viet", "việt"]),
    ("مُحَمَّدٌ رسول", ["محمد"]),
    ("हिन्दी में लिखा", ["हिन्दी", "लिखा"]),
    ("ភាសាខ្មែរ", ["ភាសា"]),
]
NOWHERE = ["上海", "大阪", "กรุงเทพ", "Αθήνα", "Киев"]


@pytest.fixture(params=["fts5", "opensearch"])
def settings(request):
    if request.param == "opensearch":
        request.getfixturevalue("opensearch_engine")
        return OPENSEARCH
    return {"search.index": "fts5"}


def mail(text):
    content = email.message.EmailMessage()
    content["From"] = "carol@example.net"
    content["Subject"] = "one"
    content.set_content(text)
    return content.as_bytes(policy=email.policy.SMTP)


def search(client, text):
    client.literal = text.encode()
    return client.uid("SEARCH", "CHARSET", "UTF-8", "FUZZY", "BODY")[1][0].decode()


def then_all_are_found(mailbox):
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX", readonly=True)
    for uid, (_, wanted) in enumerate(TEXTS, 1):
        for word in wanted:
            assert search(client, word) == str(uid), word
    for word in NOWHERE:
        assert search(client, word) == "", word
    client.logout()


def test_words_of_many_scripts_are_found(settings, tmp_path):
    with Server(tmp_path, settings) as server:
        server.start()
        server.add_domain("example.org")
        mailbox = Mailbox(server, "alice@example.org")
        client = server.imap(mailbox.address)
        for text, _ in TEXTS:
            client.append("INBOX", None, None, mail(text))
        client.logout()
        then_all_are_found(mailbox)
        wait_for_index(mailbox)
        then_all_are_found(mailbox)
