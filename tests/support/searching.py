"""Mail to be searched, and what is searched for in it."""

import email.message
import email.policy
import json

from support.patience import until

QUERIES = [
    'TEXT "pears"',
    'BODY "pears"',
    'SUBJECT "number 7"',
    'FROM "carol@example"',
    'FROM "carol" NOT TEXT "apples"',
    'TO "no-such"',
    'CC "dave"',
    'HEADER X-Tag "special"',
    'HEADER X-Tag ""',
    'HEADER X-None ""',
    'OR SUBJECT "number 3" BODY "plums"',
    'NOT BODY "pears"',
    'BODY "in bold"',
    'BODY "report.pdf"',
    'TEXT "zz"',
    'TEXT "p"',
    'SEEN TEXT "pears"',
    'UID 3:* BODY "apples"',
    'BODY "nowhere at all"',
]
FUZZY = ['FUZZY TEXT "paers"', 'FUZZY SUBJECT "7 number"', 'FUZZY FROM "carl"', 'FUZZY BODY "aple"', 'FUZZY TEXT "daev"']
FRUIT = ["apples", "pears", "plums"]


def mail(number):
    content = email.message.EmailMessage()
    content["From"] = "carol@example.net" if number % 2 else "Erin <erin@example.net>"
    content["To"] = "alice@example.org"
    content["Subject"] = f"number {number}"
    if number % 4 == 0:
        content["Cc"] = "dave@example.net"
    if number % 5 == 0:
        content["X-Tag"] = "special" if number % 2 else "plain"
    content.set_content(f"some {FRUIT[number % 3]} for you")
    if number == 6:
        content.add_alternative("<p>in <b>bo</b>ld</p>", subtype="html")
    if number == 8:
        content.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="report.pdf")
    return content.as_bytes(policy=email.policy.SMTP)


def answers(mailbox):
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX", readonly=True)
    found = {query: client.uid("SEARCH", query)[1][0] for query in QUERIES}
    client.logout()
    return found


def fuzzy_answers(mailbox):
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX", readonly=True)
    found = {query: client.uid("SEARCH", query)[1][0] for query in FUZZY}
    client.logout()
    return found


def index(mailbox):
    return mailbox.server.ctl_json("index", "status", mailbox.address)


def wait_for_index(mailbox):
    def is_whole():
        asked = mailbox.server.ctl("index", "status", mailbox.address, check=False, as_json=True)
        # An index elsewhere may have to come up first.
        now = json.loads(asked.stdout) if asked.returncode == 0 else {"indexed": None, "messages": 0}
        return now["indexed"] == now["messages"] and not now["waiting"]

    until(is_whole)


def fill(mailbox, count=12):
    client = mailbox.server.imap(mailbox.address)
    for number in range(1, count + 1):
        client.append("INBOX", r"(\Seen)" if number < 6 else None, None, mail(number))
    client.logout()
