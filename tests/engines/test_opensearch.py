"""The search index in a real OpenSearch: its contract, and searches through IMAP that stay right whatever
becomes of it."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import time
import urllib.request
import uuid

import pytest

from support.engines import SCRIPTS, run
from support.mailbox import Mailbox
from support.patience import timed, until
from support.searching import answers, fill, fuzzy_answers, index, mail, wait_for_index
from support.server import Server
from support.slow_proxy import SlowProxy

BUILD = pathlib.Path(os.environ["HOLDFAST_BUILD"])
URL = "http://127.0.0.1:9200"
SETTINGS = {
    "search.index": "opensearch",
    "opensearch.hosts": URL,
    "opensearch.name": "searched",
    "opensearch.refresh_interval": "50 ms",
    "opensearch.replicas": "0",
}


def opensearch(*arguments, **environment):
    return run("opensearch/server", *arguments, environment=environment)


def request(method, path, body=None):
    asked = urllib.request.Request(URL + path, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, None if body is None else json.dumps(body).encode(), timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def searched(opensearch_engine, tmp_path_factory):
    with Server(tmp_path_factory.mktemp("opensearch"), SETTINGS) as server:
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


def test_it_keeps_the_contract_of_an_index(opensearch_engine):
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


def place(mailbox, uid):
    filters = [{"term": {"uid": uid}}, {"term": {"account": account(mailbox)}}]
    query = {"query": {"bool": {"filter": filters}}, "docvalue_fields": ["mailbox", "generation"]}
    (hit,) = request("POST", "/searched-write/_search", query)["hits"]["hits"]
    return hit


def write_place(mailbox, uid, hit, **fields):
    """As anybody may who knows what documents look like."""
    document = {
        "account": account(mailbox),
        "generation": hit["fields"]["generation"][0],
        "mailbox": hit["fields"]["mailbox"][0],
        "uid": uid,
        "whole": True,
        "message": str(uuid.uuid4()),
        "fingerprint": 1,
        **fields,
    }
    request("PUT", f"/searched-write/_doc/{hit['_id']}?routing={account(mailbox)}&refresh=true", document)


def is_mended(mailbox):
    counts = audit(mailbox)
    return not any(counts[name] for name in ("missing", "stale", "orphaned", "behind"))


def test_what_is_altered_there_is_found_at_once_and_mended_behind_it(mailbox):
    fill(mailbox)
    client = mailbox.server.imap(mailbox.address)
    client.select("INBOX")
    wait_for_index(mailbox)
    gone = place(mailbox, 3)
    client.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
    client.expunge()
    wait_for_index(mailbox)
    until(lambda: index(mailbox)["places"] == 11)
    found, near = answers(mailbox), fuzzy_answers(mailbox)
    assert found['UID 3:* BODY "apples"'] == b"6 9 12"

    # Removed, other texts, less of itself, and back again.
    lost = {"query": {"bool": {"filter": [{"term": {"uid": 9}}, {"term": {"account": account(mailbox)}}]}}}
    assert request("POST", "/searched-write/_delete_by_query?refresh=true", lost)["deleted"] == 1
    write_place(mailbox, 6, place(mailbox, 6), body="rubbish", body_words="rubbish")
    routing = f"routing={account(mailbox)}&refresh=true"
    partly = place(mailbox, 12)["_id"]
    request("POST", f"/searched-write/_update/{partly}?{routing}", {"doc": {"uid": 12}})
    write_place(mailbox, 3, gone, body="some apples for you")
    assert answers(mailbox) == found
    assert fuzzy_answers(mailbox) == near
    until(lambda: is_mended(mailbox))
    then_whole(mailbox, 11)
    assert answers(mailbox) == found
    assert index(mailbox)["places"] == 11

    # Nobody searches, but mail comes: that hides nothing.
    write_place(mailbox, 6, place(mailbox, 6), body="rubbish", body_words="rubbish")
    mailbox.server.deliver(mail(13), to=mailbox.address)
    until(lambda: is_mended(mailbox))
    then_whole(mailbox, 12)
    assert client.uid("SEARCH", 'BODY "apples"')[1] == [b"6 9 12"]
    client.logout()


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


def test_an_index_that_is_slow_slows_nothing_else(opensearch_engine, tmp_path):
    with SlowProxy(9200) as proxy:
        with Server(tmp_path, {**SETTINGS, "opensearch.hosts": f"http://127.0.0.1:{proxy.port}"}) as server:
            server.start()
            server.add_domain("example.org")
            mailbox = Mailbox(server, "slow@example.org")
            fill(mailbox)
            wait_for_index(mailbox)
            proxy.delay_s = 1
            assert timed(server.deliver, mail(13), mailbox.address)[1] < 1
            client = server.imap(mailbox.address)
            client.select("INBOX")
            assert timed(client.uid, "SEARCH", "UNSEEN UID 1:8")[1] < 1
            searched, seconds = timed(client.uid, "SEARCH", 'SUBJECT "number 13"')
            assert searched[1] == [b"13"] and seconds < 10
            client.logout()
            proxy.delay_s = 0
            wait_for_index(mailbox)
            then_whole(mailbox, 13)


def test_an_indexer_that_is_killed_at_any_point_leaves_nothing_out(opensearch_engine, tmp_path):
    chance = random.Random(7)
    with Server(tmp_path, {**SETTINGS, "opensearch.name": "killed"}) as server:
        server.start()
        server.add_domain("example.org")
        mailbox = Mailbox(server, "killed@example.org")
        sent = 0
        for _ in range(5):
            for _ in range(8):
                server.deliver(mail(sent), to=mailbox.address)
                sent += 1
            client = server.imap(mailbox.address)
            client.select("INBOX")
            client.uid("COPY", f"{sent - 3}:{sent}", "Archive")
            client.uid("STORE", str(sent - 5), "+FLAGS", r"(\Deleted)")
            client.expunge()
            client.shutdown()
            time.sleep(chance.random() * 0.15)
            server.kill()
            server.start()
        wait_for_index(mailbox)
        folders = server.folders(mailbox.address)
        assert folders["INBOX"]["messages"] == sent - 5 and folders["Archive"]["messages"] == 20
        then_whole(mailbox, sent - 5 + 20)
        client = server.imap(mailbox.address)
        client.select("INBOX")
        assert client.uid("SEARCH", f'SUBJECT "number {sent - 1}"')[1] == [b"%d" % sent]
        client.logout()


def documents(mailbox):
    """All that there are of the account, asked or not."""
    request("POST", "/searched-write/_refresh")
    query = {"query": {"bool": {"filter": [{"term": {"account": account(mailbox)}}, {"exists": {"field": "uid"}}]}}}
    return request("POST", "/searched-write/_count", query)["count"]


def test_what_was_half_made_anew_does_not_stay(mailbox):
    """Under traffic, and cancelled."""
    server = mailbox.server
    fill(mailbox)
    wait_for_index(mailbox)
    found = answers(mailbox)
    task = server.ctl_json("task", "submit", "reindex", mailbox.address, "2")["id"]
    until(lambda: documents(mailbox) > 12, 30)
    assert answers(mailbox) == found
    server.deliver(mail(13), to=mailbox.address)
    client = server.imap(mailbox.address)
    client.select("INBOX")
    assert client.uid("SEARCH", 'SUBJECT "number 13"')[1] == [b"13"]
    client.logout()
    server.ctl("task", "cancel", task)
    assert server.ctl("task", "await", task, check=False).returncode == 1
    wait_for_index(mailbox)
    until(lambda: documents(mailbox) == 13, 30)
    then_whole(mailbox, 13)


def indexes_of(alias):
    return set(request("GET", f"/_alias/{alias}"))


def count_of(alias, mailbox):
    request("POST", f"/{alias}/_refresh")
    query = {"query": {"bool": {"filter": [{"term": {"account": account(mailbox)}}, {"exists": {"field": "uid"}}]}}}
    return request("POST", f"/{alias}/_count", query)["count"]


def test_an_index_of_an_older_making_is_read_until_the_new_one_is_whole(opensearch_engine, tmp_path):
    """Under searches and deliveries, and with a kill half-way. What is not in the new one yet is asked of the old."""
    settings = {**SETTINGS, "opensearch.name": "older", "search.fuzzy": "no"}
    with Server(tmp_path, settings) as server:
        server.start()
        server.add_domain("example.org")
        mailbox = Mailbox(server, "older@example.org")
        other = Mailbox(server, "other@example.org")
        fill(mailbox, 15)
        client = server.imap(mailbox.address)
        for _ in range(3):
            client.select("INBOX")
            client.copy("1:*", "INBOX")
        client.logout()
        fill(other, 12)
        wait_for_index(mailbox)
        wait_for_index(other)
        found, near = answers(mailbox), answers(other)
        old = indexes_of("older-read")
        assert len(old) == 1 and indexes_of("older-write") == old
        server.stop()

        # The next version's documents have words. The account that is searched comes over, a page at a time.
        server.settings.update({"search.fuzzy": "yes", "search.rate": "1"})
        server.start()
        before = asked(server)
        assert answers(mailbox) == found
        assert asked(server) > before
        until(lambda: indexes_of("older-write") != old and count_of("older-write", mailbox) == 100, 30)
        assert indexes_of("older-read") == old
        assert answers(mailbox) == found
        assert fuzzy_answers(mailbox)['FUZZY SUBJECT "7 number"'] == found['SUBJECT "number 7"']
        server.kill()
        server.settings["search.rate"] = "1000"
        server.start()
        assert answers(mailbox) == found
        server.deliver(mail(7), to=mailbox.address)
        found['SUBJECT "number 7"'] += b" 121"
        now = answers(mailbox)
        assert now['SUBJECT "number 7"'] == found['SUBJECT "number 7"']
        wait_for_index(mailbox)
        until(lambda: count_of("older-write", mailbox) == 121)
        then_whole(mailbox, 121)

        # Who has not come over is still answered from the old one, until all have: then it goes.
        assert count_of("older-read", other) == 12
        assert answers(other) == near
        task = server.ctl_json("task", "submit", "reindex")["id"]
        server.ctl_json("task", "await", task)
        new = indexes_of("older-read")
        assert new != old and indexes_of("older-write") == new
        assert set(request("GET", "/older-*/_alias")) == new
        assert answers(other) == near
        assert answers(mailbox)['SUBJECT "number 7"'] == found['SUBJECT "number 7"']
        then_whole(mailbox, 121)
        then_whole(other, 12)


def older_index(name, made):
    """An index as a version before this one made it, with an account's document as `made` is one: of each message it knows
    that there is one, and not what it holds."""
    mapping = (SCRIPTS / "opensearch/older-mapping.json").read_text()
    for mark, value in {"@SHARDS@": "1", "@REPLICAS@": "0", "@REFRESH_MS@": "50"}.items():
        mapping = mapping.replace(mark, value)
    request("PUT", f"/{name}-00000001", json.loads(mapping))
    actions = [{"add": {"index": f"{name}-00000001", "alias": f"{name}-{use}"}} for use in ("read", "write")]
    request("POST", "/_aliases", {"actions": actions})
    source, routing = made["_source"], made["_routing"]
    request("PUT", f"/{name}-00000001/_doc/{made['_id']}?routing={routing}", {"account": routing, **source})
    for box, (_, uidnext) in source["covered"].items():
        for uid in range(1, uidnext):
            place = {"account": routing, "generation": source["generation"], "mailbox": box, "uid": uid, "whole": False}
            path = f"/{name}-00000001/_doc/{source['generation']}-{box}-{uid}?routing={routing}&refresh=true"
            request("PUT", path, place)


def test_an_index_of_an_older_mapping_is_known_as_such_and_filled_anew(opensearch_engine, tmp_path):
    """The mapping of a version before is kept beside the tests."""
    with Server(tmp_path, {**SETTINGS, "opensearch.name": "mapped"}) as server:
        server.start()
        server.add_domain("example.org")
        mailbox = Mailbox(server, "mapped@example.org")
        fill(mailbox, 12)
        wait_for_index(mailbox)
        found = answers(mailbox)
        server.stop()
        request("POST", "/mapped-write/_refresh")
        query = {"query": {"bool": {"must_not": [{"exists": {"field": "uid"}}]}}}
        (made,) = request("POST", "/mapped-write/_search", query)["hits"]["hits"]
        for current in indexes_of("mapped-write"):
            request("DELETE", f"/{current}")
        older_index("mapped", made)

        # It is asked, as far as it goes, and nothing is written to it.
        server.start()
        before = asked(server)
        assert answers(mailbox) == found
        assert asked(server) > before
        server.deliver(mail(13), to=mailbox.address)
        wait_for_index(mailbox)
        assert indexes_of("mapped-write").isdisjoint({"mapped-00000001"})
        assert count_of("mapped-00000001", mailbox) == 12
        then_whole(mailbox, 13)
        assert fuzzy_answers(mailbox)['FUZZY SUBJECT "7 number"'] == found['SUBJECT "number 7"']
        task = server.ctl_json("task", "submit", "reindex")["id"]
        server.ctl_json("task", "await", task)
        assert indexes_of("mapped-read") == indexes_of("mapped-write") == set(request("GET", "/mapped-*/_alias"))
        assert answers(mailbox)['SUBJECT "number 7"'] == found['SUBJECT "number 7"']
        then_whole(mailbox, 13)
