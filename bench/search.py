"""One mailbox, indexed and searched: see bench/search. What a search finds is held against the mails themselves."""

import argparse
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from dovecot import Dovecot
from line_client import LineClient
from processes import cpu_seconds
from support.server import Server, free_port_base

ADDRESS = "alice@example.org"
WORDS = 20000
WORDS_OF_A_MAIL = 300
AT_ONCE = 100  # mails in one APPEND
# Which words are asked for, by how often they come: word n comes half as often as word n/2.
ASKED = {"seldom": (WORDS // 2, WORDS), "sometimes": (WORDS // 50, WORDS // 10), "often": (0, 20)}


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- the mail ----


def make_vocabulary(chance):
    words = {}
    while len(words) < WORDS:
        length = 1 + len(words) // 5000 + chance.randrange(3)
        word = "".join(chance.choice("bcdfghklmnprstvw") + chance.choice("aeiou") for _ in range(length))
        words[word + chance.choice("bdgklmnprst")] = None
    return list(words)


class Mails:
    """The same mails each time, and what they hold of what will be asked."""

    def __init__(self, count, searches):
        self.count = count
        self.vocabulary = make_vocabulary(random.Random(1))
        self.asked = {
            name: [self.vocabulary[first + (last - first) * n // min(searches, last - first)] for n in range(min(searches, last - first))]
            for name, (first, last) in ASKED.items()
        }
        wanted = {word for words in self.asked.values() for word in words}
        # A text is found within words too.
        self.holders = {word: {other for other in self.vocabulary if word in other} for word in wanted}
        self.hits = {word: 0 for word in wanted}
        self.bytes = 0

    def make(self, counts):
        chance = random.Random(2)
        weights = [1 / (n + 1) for n in range(WORDS)]
        sums = [0.0]
        for weight in weights:
            sums.append(sums[-1] + weight)
        for number in range(self.count):
            words = chance.choices(self.vocabulary, cum_weights=sums[1:], k=WORDS_OF_A_MAIL)
            lines = [" ".join(words[at : at + 12]) for at in range(0, WORDS_OF_A_MAIL, 12)]
            subject = " ".join(chance.choices(self.vocabulary, k=5))
            mail = (
                f"From: Sender <sender{number % 500}@example.net>\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\n"
                f"Message-ID: <{number}@example.net>\r\n\r\n" + "\r\n".join(lines) + "\r\n"
            ).encode()
            if counts:
                self.bytes += len(mail)
                self.count_hits(set(words))
            yield mail

    def count_hits(self, words):
        for word, holders in self.holders.items():
            self.hits[word] += not holders.isdisjoint(words)


def sign_in(server):
    client = LineClient(server.port("imap"))
    client.imap(f"LOGIN {ADDRESS} holdfast".encode())
    return client


def fill(server, mails, counts):
    client = sign_in(server)
    together = []

    def send():
        literals = b"".join(b" {%d+}\r\n%s" % (len(mail), mail) for mail in together)
        client.imap(b"APPEND INBOX" + literals)
        together.clear()

    for mail in mails.make(counts):
        together.append(mail)
        if len(together) == AT_ONCE:
            send()
    if together:
        send()
    client.close()


def bytes_below(folder):
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob("*") if path.is_file())


# ---- the servers: filled without an index, then indexed at once ----


class Holdfast(Server):
    def __init__(self, folder, has_words):
        super().__init__(folder, {"search.index": "none", "search.rate": "0", "search.fuzzy": "yes" if has_words else "no"})
        self.name = "Holdfast, with words" if has_words else "Holdfast, without words"
        self.has_words = has_words

    def prepare(self, mails, counts):
        self.start()
        self.add_domain("example.org")
        self.add_user(ADDRESS)
        fill(self, mails, counts)
        self.stop()

    def index(self, mails):
        """CPU seconds of it. One more mail tells the indexer of the account."""
        self.settings["search.index"] = "fts5"
        self.start()
        before = cpu_seconds(self.process.pid)
        self.deliver(b"Subject: last\r\n\r\nhello\r\n", to=ADDRESS)
        while self.ctl_json("index", "status", ADDRESS)["indexed"] <= mails.count:
            time.sleep(0.5)
        return cpu_seconds(self.process.pid) - before

    def index_bytes(self):
        return bytes_below(self.data / "index")


class Xapian(Dovecot):
    has_words = False
    more = """
mail_plugins = fts fts_xapian
plugin {
  fts = xapian
  fts_xapian = partial=3 full=20
  fts_autoindex = no
  fts_enforced = yes
}
service indexer-worker {
  vsz_limit = 0
}
"""

    def __init__(self, folder):
        super().__init__(folder, free_port_base())
        self.name = "Dovecot with fts-xapian"

    def prepare(self, mails, counts):
        self.start("never")
        fill(self, mails, counts)

    def index(self, mails):
        self.stop()
        self.start()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["doveadm", "-c", self.folder / "dovecot.conf", "index", "-u", ADDRESS, "INBOX"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def index_bytes(self):
        return sum(bytes_below(folder) for folder in (self.folder / "mail").rglob("xapian-indexes"))


SERVERS = {
    "fuzzy": lambda folder: Holdfast(folder, True),
    "plain": lambda folder: Holdfast(folder, False),
    "dovecot": Xapian,
}


# ---- what is measured ----


def search(client, key):
    """Hits, and milliseconds."""
    started = time.monotonic()
    lines = client.imap(b"SEARCH " + key.encode())
    spent = 1000 * (time.monotonic() - started)
    (found,) = [line for line in lines if line.startswith(b"* SEARCH")]
    return len(found.split()) - 2, spent


def measure_searches(server, mails, results):
    client = sign_in(server)
    client.imap(b"SELECT INBOX")
    search(client, "BODY zyzzyvas")  # opens what is to be opened
    for name, words in mails.asked.items():
        before = cpu_seconds(server.process.pid)
        answers = [search(client, f"BODY {word}") for word in words]
        cpu_ms = 1000 * (cpu_seconds(server.process.pid) - before) / len(words)
        times = sorted(spent for _, spent in answers)
        wrong = sum(hits != mails.hits[word] for (hits, _), word in zip(answers, words))
        hits = statistics.mean(mails.hits[word] for word in words)
        label = f"BODY, a word {name}: {hits:,.0f} of {mails.count:,} have it"
        results[f"{label}, p50 / p95, ms (CPU)"] = f"{times[len(times) // 2]:,.1f} / {times[len(times) * 95 // 100]:,.1f} ({cpu_ms:,.1f})"
        results[f"{label}: wrong answers of {len(words)}"] = f"{wrong}"
    if server.has_words:
        misspelt = [word[:-2] + word[-1] + word[-2] for word in mails.asked["seldom"]]
        times = sorted(search(client, f"FUZZY BODY {word}")[1] for word in misspelt)
        results["FUZZY BODY, a seldom word misspelt, p50 / p95, ms"] = f"{times[len(times) // 2]:,.1f} / {times[len(times) * 95 // 100]:,.1f}"
    client.close()


def measure(server, mails, counts):
    results = {}
    say(f"{server.name}: filling")
    server.prepare(mails, counts)
    say(f"{server.name}: indexing")
    started = time.monotonic()
    cpu_s = server.index(mails)
    seconds = time.monotonic() - started
    results["indexed, mails/s"] = f"{mails.count / seconds:,.0f}"
    results["indexed, mails by CPU second"] = f"{mails.count / cpu_s:,.0f}"
    say(f"{server.name}: searching")
    measure_searches(server, mails, results)
    results["index, bytes a mail"] = f"{server.index_bytes() / mails.count:,.0f}"
    results["index, of the mails' size"] = f"{server.index_bytes() / mails.bytes:.2f}"
    say(f"{server.name}: {results}")
    server.stop()
    return results


def print_table(mails, columns):
    rows = dict.fromkeys(name for results in columns.values() for name in results)
    print(f"{mails.count:,} mails of {mails.bytes // mails.count:,} bytes; load {os.getloadavg()[0]:.1f}\n")
    print(f"| | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(columns))
    for row in rows:
        print(f"| {row} | {' | '.join(results.get(row, '') for results in columns.values())} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mails", type=int, default=100000)
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--only", default=",".join(SERVERS))
    asked = parser.parse_args()
    mails = Mails(asked.mails, asked.searches)
    columns = {}
    for name in asked.only.split(","):
        folder = tempfile.mkdtemp(prefix="holdfast-bench-", dir="/var/tmp")
        server = SERVERS[name](folder)
        try:
            columns[server.name] = measure(server, mails, counts=not columns)
        finally:
            if server.process and server.process.poll() is None:
                server.stop()
            shutil.rmtree(folder, ignore_errors=True)
    print_table(mails, columns)


if __name__ == "__main__":
    main()
