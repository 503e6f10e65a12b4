"""The search index in a real OpenSearch: its contract, and searches through IMAP that stay right whatever
becomes of it."""

import json
import os
import pathlib
import shutil
import subprocess
import urllib.request
import uuid

import pytest

from support.engines import SCRIPTS, run
from support.mailbox import Mailbox
from support.patience import timed, until
from support.searching import answers, fill, index, mail, wait_for_index
from support.server import Server

BUILD = pathlib.Path(os.environ["HOLDFAST_BUILD"])
URL = "http://127.0.0.1:9200"


def opensearch(*arguments, **environment):
    return run("opensearch/server", *arguments, environment=environment)


def request(method, path, body=None):
    asked = urllib.request.Request(URL + path, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, None if body is None else json.dumps(body).encode(), timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def engine():
    opensearch("up", "--fresh")
    yield
    opensearch("down", "--wipe")


@pytest.fixture(scope="module")
def searched(engine, tmp_path_factory):
    settings = {
        "search.index": "opensearch",
        "opensearch.hosts": URL,
        "opensearch.name": "searched",
        "opensearch.refresh_interval": "50 ms",
        "opensearch.replicas": "0",
    }
    with Server(tmp_path_factory.mktemp("opensearch"), settings) as server:
        server.start()
        server.add_domain("example.org")
        yield server


@pytest.fixture
def mailbox(request, searched):
    return Mailbox.for_test(searched, request.node.name)


def asked(server):
    lines = server.ctl("metrics").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith('holdfast_search_texts_total{path="index"}')]
    return int(line.split()[1])


def audit(mailbox):
    task = mailbox.server.ctl_json("task", "submit", "index-audit", mailbox.address)["id"]
    return mailbox.server.ctl_json("task", "await", task)["counts"]


def then_whole(mailbox, messages):
    counts = audit(mailbox)
    assert counts["checked"] == messages
    assert [counts[name] for name in ("missing", "stale", "orphaned", "behind")] == [0, 0, 0, 0]


def test_it_keeps_the_contract_of_an_index(engine):
    name = f"contract-{uuid.uuid4().hex[:8]}"
    command = [BUILD / "src/test_opensearch_contract", URL, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_searches_are_narrowed_and_find_the_same(mailbox):
    fill(mailbox)
    wait_for_index(mailbox)
    before = asked(mailbox.server)
    found = answers(mailbox)
    assert asked(mailbox.server) > before
    assert found['SUBJECT "number 7"'] == b"7"
    assert found['BODY "in bold"'] == b"6"
    assert found['BODY "report.pdf"'] == b"8"
    mailbox.server.deliver(mail(13), to=mailbox.address)
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX")
    assert client.uid("SEARCH", 'SUBJECT "number 13"')[1] == [b"13"]
    client.copy("1:4", "Archive")
    client.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
    client.expunge()
    wait_for_index(mailbox)
    assert client.uid("SEARCH", 'BODY "apples"')[1] == [b"6 9 12"]
    client.select("Archive")
    assert client.uid("SEARCH", 'BODY "apples"')[1] == [b"3"]
    client.logout()
    assert index(mailbox)["places"] == 16
    then_whole(mailbox, 16)


def test_what_is_lost_there_is_found_by_the_audit_and_mended(mailbox):
    fill(mailbox)
    wait_for_index(mailbox)
    lost = {"query": {"bool": {"filter": [{"term": {"uid": 5}}, {"term": {"account": account(mailbox)}}]}}}
    assert request("POST", "/searched-write/_delete_by_query?refresh=true", lost)["deleted"] == 1
    assert audit(mailbox)["missing"] == 1
    task = mailbox.server.ctl_json("task", "submit", "reindex-stale", mailbox.address)["id"]
    assert mailbox.server.ctl_json("task", "await", task)["counts"]["fixed"] == 1
    then_whole(mailbox, 12)
    task = mailbox.server.ctl_json("task", "submit", "reindex", mailbox.address)["id"]
    assert mailbox.server.ctl_json("task", "await", task)["counts"]["rebuilt"] == 1
    then_whole(mailbox, 12)


def account(mailbox):
    return mailbox.server.ctl_json("user", "show", mailbox.address)["account"]


def block_writes(blocks):
    request("PUT", "/searched-write/_settings", {"index.blocks.read_only_allow_delete": True if blocks else None})


def test_whatever_becomes_of_it_searches_find_the_same(mailbox):
    fill(mailbox)
    wait_for_index(mailbox)
    found = answers(mailbox)

    # Its disk is full: what comes is found all the same, and is indexed later.
    block_writes(True)
    mailbox.server.deliver(mail(7), to=mailbox.address)
    found['SUBJECT "number 7"'] += b" 13"
    now = answers(mailbox)
    assert now['SUBJECT "number 7"'] == found['SUBJECT "number 7"']
    assert index(mailbox)["indexed"] == 12
    block_writes(False)
    wait_for_index(mailbox)
    found = answers(mailbox)
    assert found['SUBJECT "number 7"'] == b"7 13"

    # Silent: nobody waits for it again and again.
    opensearch("pause")
    now, seconds = timed(answers, mailbox)
    assert now == found
    assert seconds < 30
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX")
    assert timed(client.uid, "SEARCH", "SEEN UID 1:4")[1] < 2
    client.logout()
    opensearch("resume")
    wait_for_index(mailbox)

    # Killed, and back without the files of the index: red.
    opensearch("kill")
    assert answers(mailbox) == found
    node = pathlib.Path(os.environ.get("HOLDFAST_ENGINES", SCRIPTS.parents[1] / "build-engines")) / "opensearch/node"
    for shard in node.glob("data/nodes/0/indices/*/0"):
        shutil.rmtree(shard)
    opensearch("start", HOLDFAST_OPENSEARCH_STATUS="any")
    assert request("GET", "/_cluster/health")["status"] == "red"
    assert answers(mailbox) == found

    # Empty: all of it is made anew.
    opensearch("up", "--fresh")
    assert answers(mailbox) == found

    def is_asked():
        before = asked(mailbox.server)
        assert answers(mailbox) == found
        return asked(mailbox.server) > before

    until(is_asked)
    wait_for_index(mailbox)
    then_whole(mailbox, 13)
