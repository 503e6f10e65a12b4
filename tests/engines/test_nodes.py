"""Two nodes over one Cassandra: what one does the other shows, at once when asked and soon when not."""

import re
import smtplib
import threading

import pytest

from support.nodes import nodes_over
from support.vault import wait_for

MAIL = "From: a@example.net\r\nSubject: {}\r\n\r\nbody {}\r\n"


@pytest.fixture(scope="module")
def nodes(cluster, tmp_path_factory):
    cluster.up(1, 1)
    with cluster.keyspace() as keyspace, nodes_over(tmp_path_factory.mktemp("nodes"), cluster, keyspace) as nodes:
        yield nodes


@pytest.fixture
def account(nodes, request):
    """A user of the test's own."""
    name = f"u{abs(hash(request.node.name)) % 10**8}@example.org"
    nodes.servers[0].add_user(name)
    return name


def uids(client):
    return [int(uid) for uid in client.uid("SEARCH", "ALL")[1][0].split()]


# The fixture is there for its order: tests are put by the size of the cluster that they name.
pytestmark = pytest.mark.usefixtures("cassandra")


def test_what_one_node_takes_every_node_shows(nodes, account):
    one, other = nodes.servers
    one.deliver(MAIL.format("first", 1), to=account)
    client = other.imap(account)
    client.select("INBOX")
    assert client.fetch("1", "(BODY[TEXT])")[1][0][1] == b"body 1\r\n"
    other.deliver(MAIL.format("second", 2), to=account)
    reader = one.pop3(account)
    assert len(reader.list()[1]) == 2
    reader.quit()
    client.logout()


def test_flags_set_on_one_node_are_seen_on_the_other_at_noop(nodes, account):
    one, other = (server.imap(account) for server in nodes.servers)
    one.append("INBOX", None, None, MAIL.format("x", 1).encode())
    for client in (one, other):
        client.select("INBOX")
    one.store("1", "+FLAGS", "(\\Flagged $Work)")
    other.noop()
    assert b"\\Flagged" in other.response("FETCH")[1][-1]
    assert b"$Work" in other.fetch("1", "FLAGS")[1][0]
    other.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
    other.expunge()
    one.noop()
    assert one.response("EXPUNGE")[1][-1] == b"1"


def test_a_mailbox_that_another_node_has_emptied_takes_mail(nodes, account):
    one, other = nodes.servers
    one.ctl("user", "quota", account, "0", "1")
    one.deliver(MAIL.format("only", 1), to=account)
    with other.lmtp() as client:
        client.ehlo_or_helo_if_needed()

        def is_taken():
            client.mail("sender@example.net")
            code, said = client.rcpt(account)
            client.rset()
            return code, said

        # The limits may be as old as five seconds, what is used may not be.
        wait_for(lambda: is_taken()[0] != 250, 15)
        assert is_taken()[0] in (452, 552)
        with one.imap(account) as emptied:
            emptied.select("INBOX")
            emptied.store("1", "+FLAGS", "\\Deleted")
            emptied.expunge()
        assert is_taken()[0] == 250
        client.sendmail("sender@example.net", [account], MAIL.format("next", 2))
    # This node has not heard of that: it says so before it takes the whole mail, or after it.
    with one.lmtp() as client, pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)):
        client.sendmail("sender@example.net", [account], MAIL.format("too many", 3))
    with other.imap(account) as client:
        client.select("INBOX")
        assert client.fetch("1:*", "(BODY[TEXT])")[1][0][1] == b"body 2\r\n"


def test_idle_hears_of_the_other_nodes_mail(nodes, account):
    client = nodes.servers[0].imap(account)
    client.select("INBOX")
    tag = client._new_tag()
    client.send(tag + b" IDLE\r\n")
    assert client.readline().startswith(b"+")
    client.sock.settimeout(20)
    nodes.servers[1].deliver(MAIL.format("news", 1), to=account)
    while True:
        line = client.readline()
        if re.match(rb"\* 1 EXISTS", line):
            break
        assert line, "the session ended"
    client.send(b"DONE\r\n")


def append_many(server, account, count, said, failures):
    try:
        client = server.imap(account)
        for number in range(count):
            kind, data = client.append("INBOX", None, None, MAIL.format(number, number).encode())
            assert kind == "OK", data
            said.append(int(re.search(rb"APPENDUID \d+ (\d+)", data[0]).group(1)))
        client.logout()
    except Exception as error:
        failures.append(error)


def reflag(server, account, keyword, failures):
    try:
        client = server.imap(account)
        client.select("Drafts")
        for number in range(50):
            kind, data = client.store("1", "+FLAGS", f"({keyword}{number})")
            assert kind == "OK", data
        client.logout()
    except Exception as error:
        failures.append(error)


def test_two_nodes_change_one_account_at_once(nodes, account):
    """500 appends each into one mailbox, and 50 keywords each on one message."""
    starter = nodes.servers[0].imap(account)
    starter.append("Drafts", None, None, MAIL.format("flags", 0).encode())
    said, failures = ([], []), []
    work = [
        threading.Thread(target=append_many, args=(server, account, 500, said[n], failures))
        for n, server in enumerate(nodes.servers)
    ]
    work += [
        threading.Thread(target=reflag, args=(server, account, f"node{n}-", failures))
        for n, server in enumerate(nodes.servers)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert not failures
    assert sorted(said[0] + said[1]) == list(range(1, 1001))
    assert said[0] == sorted(said[0]) and said[1] == sorted(said[1])
    for server in nodes.servers:
        client = server.imap(account)
        client.select("INBOX", readonly=True)
        assert uids(client) == list(range(1, 1001))
        client.select("Drafts", readonly=True)
        flags = client.fetch("1", "FLAGS")[1][0].decode()
        assert {f"node{n}-{number}" for n in range(2) for number in range(50)} <= set(re.findall(r"node[\w-]+", flags))
        assert server.folders(account)["INBOX"]["messages"] == 1000


def test_nodes_are_listed(nodes):
    listed = nodes.servers[1].ctl_json("nodes")["nodes"]
    assert len(listed) == 2 and all(node["data_center"] == "dc1" for node in listed)


def test_levels_are_shown_and_have_no_fallback_to_pin_in_one_data_centre(nodes):
    server = nodes.servers[0]
    levels = {level["kind"]: level for level in server.ctl_json("consistency", "status")["levels"]}
    assert {kind: level["in_force"] for kind, level in levels.items()} == dict.fromkeys(
        ("read", "write", "delete"), "local_quorum"
    )
    refused = server.ctl("consistency", "pin", "read", "fallback", check=False)
    assert refused.returncode != 0 and "no fallback" in refused.stderr


def test_a_schema_is_made_once_and_checked(nodes):
    server = nodes.servers[0]
    for verb in ("check", "create", "upgrade", "check"):
        assert "as it should be" in server.ctl("--config", server.config, "schema", verb).stdout


def test_a_wrong_data_centre_stops_the_start(nodes):
    stray = nodes.new(consistency__data_centre="dc9")
    nodes.servers.remove(stray)
    with pytest.raises(RuntimeError, match="dc9"):
        stray.start()


def test_a_killed_nodes_work_is_finished_by_the_others(nodes, account):
    one, other = nodes.servers
    client = one.imap(account)
    for number in range(20):
        client.append("INBOX", None, None, MAIL.format(number, number).encode())
    one.kill()
    reader = other.imap(account)
    reader.select("INBOX")
    assert uids(reader) == list(range(1, 21))
    assert reader.append("INBOX", None, None, MAIL.format(20, 20).encode())[0] == "OK"
    one.start()
    again = one.imap(account)
    again.select("INBOX")
    assert uids(again) == list(range(1, 22))
