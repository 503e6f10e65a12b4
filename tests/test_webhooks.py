"""Webhooks through the whole server: what is told, signed, tried again, given up on, redelivered, and what a kill leaves."""

import re

import pytest

from support import certificates
from support.patience import until
from support.receiver import Receiver
from support.server import Server

KEY = b"a key that both know"
TRIES = 4
MAIL = "Subject: {}\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def receiver():
    made = Receiver(KEY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory, receiver):
    """A server with two receivers, of which tests make one fail."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "key").write_bytes(KEY + b"\n")
    (folder / "hooks").write_text(
        f"# name url key events\none {receiver.url}/one {folder}/key delivered\n"
        f"two {receiver.url}/two {folder}/key delivered,moved,flagged,expunged\n"
    )
    settings = {
        "webhook.hooks": folder / "hooks",
        "webhook.timeout": "500 ms",
        "consumer.tries": TRIES,
        "consumer.retry_first": "20 ms",
        "usage.delay": "50 ms",
    }
    with Server(folder, settings) as server:
        server.start()
        for domain in ("example.org", "example.com"):
            server.add_domain(domain)
        yield server


@pytest.fixture
def user(told, request):
    """A new account for each test."""
    address = f"{re.sub('[^a-z0-9]', '', request.node.name)[:40]}@example.org"
    told.add_user(address)
    return address


def letters(server, *options):
    return server.ctl_json("dead-letter", "list", *options)["dead_letters"]


def consumer(server, name):
    return next(one for one in server.ctl_json("consumer", "list")["consumers"] if one["name"] == name)


def findings(server):
    return " ".join(server.ctl_json("health")["findings"])


def fail(receiver, path, *answers):
    with receiver.lock:
        receiver.behave[path] = list(answers)


def given_letters(told, receiver, address, count, path="/one"):
    fail(receiver, path, *[410] * count)
    for number in range(count):
        told.deliver(MAIL.format(number), to=address)
    until(lambda: len(letters(told, "--address", address)) == count)


def test_what_is_delivered_is_told_with_what_happens_to_it(told, receiver, user):
    told.deliver(MAIL.format("one"), to=user)
    until(lambda: receiver.of("/one", user) and receiver.of("/two", user))
    body, _, _ = receiver.of("/one", user)[0]
    change = body["changes"][0]
    assert (change["event"], change["mailbox"], change["uid"], len(body["changes"])) == ("delivered", "INBOX", 1, 1)
    assert re.fullmatch(r"[0-9a-f-]{36}", change["message"]) and change["size"] > len(MAIL)
    assert re.fullmatch(r"[0-9a-f-]{36}", body["operation"]) and body["id"].endswith(f"-{body['modseq']}")
    with told.imap(user) as client:
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
    until(lambda: len(receiver.of("/two", user)) == 3)
    kinds = [body["changes"][0]["event"] for body, _, _ in receiver.of("/two", user)]
    assert kinds == ["delivered", "flagged", "expunged"]
    assert len(receiver.of("/one", user)) == 1


def test_a_receiver_that_fails_is_asked_again_and_in_order(told, receiver, user):
    fail(receiver, "/one", 500, 404, 302)
    for number in range(3):
        told.deliver(MAIL.format(number), to=user)
    until(lambda: len(receiver.of("/one", user)) >= 6)
    uids = [body["changes"][0]["uid"] for body, _, status in receiver.of("/one", user)]
    assert uids == [1, 1, 1, 1, 2, 3]
    operations = {body["operation"] for body, _, _ in receiver.of("/one", user)[:4]}
    assert len(operations) == 1
    assert not letters(told, "--address", user)


@pytest.mark.parametrize("status", (429, 503))
def test_a_receiver_may_ask_for_time(told, receiver, user, status):
    fail(receiver, "/one", (status, {"Retry-After": "1"}))
    told.deliver(MAIL.format("one"), to=user)
    until(lambda: len(receiver.of("/one", user)) == 2)
    first, second = (when for _, when, _ in receiver.of("/one", user))
    assert second - first >= 1


def test_one_that_hangs_is_given_up_on_and_holds_up_no_other(told, receiver, user):
    fail(receiver, "/one", *["hang"] * TRIES)
    told.deliver(MAIL.format("one"), to=user)
    until(lambda: receiver.of("/two", user))
    assert consumer(told, "webhook-one")["waiting"] >= 1
    until(lambda: letters(told, "--address", user))
    letter = letters(told, "--address", user)[0]
    assert letter["attempts"] == TRIES and "imeout" in letter["error"] and letter["consumer"] == "webhook-one"
    told.ctl("dead-letter", "delete", letter["id"])
    assert not letters(told, "--address", user)


def test_what_a_receiver_never_wants_is_dead_at_once_and_redelivered(told, receiver, user):
    assert "given up on" not in findings(told)
    given_letters(told, receiver, user, 1)
    assert len(receiver.of("/one", user)) == 1
    assert "1 event given up on" in findings(told)
    assert "holdfast_dead_letters 1\n" in told.ctl("metrics").stdout
    assert consumer(told, "webhook-one")["dead_letters"] == 1
    letter = letters(told)[0]["id"]
    shown = told.ctl_json("dead-letter", "show", letter)
    assert shown["attempts"] == 1 and "410" in shown["error"] and shown["address"] == user
    assert (shown["changes"][0]["change"], shown["changes"][0]["uids"]) == ("came", "1")
    assert user in told.ctl("dead-letter", "list", "--consumer", "webhook-one").stdout
    # It fails once more, and is the letter again.
    fail(receiver, "/one", 500)
    assert told.ctl("dead-letter", "redeliver", letter, check=False).returncode == 1
    shown = told.ctl_json("dead-letter", "show", letter)
    assert shown["attempts"] == 2 and "500" in shown["error"]
    assert "redelivered: 1" in told.ctl("dead-letter", "redeliver", letter).stdout
    assert not letters(told) and "given up on" not in findings(told)
    bodies = [body for body, _, _ in receiver.of("/one", user)]
    assert len(bodies) == 3 and all(body == bodies[0] for body in bodies)
    assert told.ctl("dead-letter", "redeliver", letter, check=False).returncode == 1


def test_groups_are_redelivered_and_deleted(told, receiver, user):
    other = "somebody@example.com"
    told.add_user(other)
    given_letters(told, receiver, user, 3)
    given_letters(told, receiver, other, 2, path="/two")
    assert len(letters(told)) == 5 and len(letters(told, "--domain", "example.com")) == 2
    before = len(receiver.of("/one", user))
    assert "redelivered: 0" in told.ctl("dead-letter", "redeliver", "--all", "--consumer", "webhook-one",
                                        "--domain", "example.com").stdout
    assert "redelivered: 3" in told.ctl("dead-letter", "redeliver", "--all", "--consumer", "webhook-one").stdout
    assert len(receiver.of("/one", user)) == before + 3
    given_letters(told, receiver, user, 2)
    assert "deleted: 2" in told.ctl("dead-letter", "delete", "--all", "--domain", "example.org").stdout
    assert len(receiver.of("/one", user)) == before + 5
    fail(receiver, "/two", 500)
    assert "redelivered: 1, failed: 1" in told.ctl("dead-letter", "redeliver", "--all", check=False).stdout
    assert "redelivered: 1" in told.ctl("dead-letter", "redeliver", "--all").stdout
    assert not letters(told)


def test_usage_is_counted_by_domain(told, user):
    def usage(domain):
        found = told.ctl_json("usage", domain)["domains"]
        return {one["domain"]: one for one in found}[domain]

    before = usage("example.org")
    told.deliver(MAIL.format("one"), to=user)
    until(lambda: usage("example.org")["messages"] == before["messages"] + 1)
    assert usage("example.org")["accounts"] == before["accounts"] + 1
    size = told.ctl_json("user", "show", user)["used"]["bytes"]
    assert usage("example.org")["bytes"] == before["bytes"] + size
    assert "example.com" in told.ctl("usage").stdout
    task = told.ctl_json("task", "submit", "usage")["id"]
    told.ctl("task", "await", task)
    assert told.ctl_json("task", "show", task)["counts"]["failed"] == 0
    assert usage("example.org")["messages"] == before["messages"] + 1


def test_the_bus_tells_how_it_is(told):
    shown = told.ctl_json("bus", "status")
    assert (shown["kind"], shown["connected"], shown["reaches_others"]) == ("local", True, False)


def test_after_kill_9_every_event_comes_and_the_cursor_is_right(told, receiver):
    users = [f"killed{number}@example.org" for number in range(3)]
    for user in users:
        told.add_user(user)
    receiver.fails_first = {"/one"}
    for number in range(12):
        for user in users:
            told.deliver(MAIL.format(number), to=user)
        if number % 4 == 3:
            told.kill()
            told.start()
    for user in users:
        until(lambda user=user: {body["changes"][0]["uid"] for body, _, status in receiver.of("/one", user) if status == 204}
              == set(range(1, 13)))
        until(lambda user=user: len({body["id"] for body, _, _ in receiver.of("/two", user)}) == 12)
        statuses = [status for _, _, status in receiver.of("/one", user)]
        assert statuses.count(500) == 12
        seen = [body["modseq"] for body, _, _ in receiver.of("/one", user)]
        assert len(set(seen)) == 12
        # A repeat is of one event that was under way; nothing goes back further.
        assert all(later >= earlier for earlier, later in zip(seen, seen[1:]))
    until(lambda: all(one["waiting"] == 0 for one in told.ctl_json("consumer", "list")["consumers"]))
    receiver.fails_first = set()
    count = len(receiver.events)
    told.restart()
    told.deliver(MAIL.format("last"), to=users[0])
    until(lambda: len(receiver.of("/one", users[0])) and receiver.of("/one", users[0])[-1][0]["changes"][0]["uid"] == 13)
    until(lambda: receiver.of("/two", users[0])[-1][0]["changes"][0]["uid"] == 13)
    assert len(receiver.events) == count + 2
    assert not letters(told)


def test_letters_of_a_hook_that_is_gone_are_in_nobody_s_way(told, receiver, user):
    given_letters(told, receiver, user, 1, path="/two")
    fail(receiver, "/one", 410)
    told.deliver(MAIL.format("other"), to=user)
    until(lambda: len(letters(told)) == 2)
    hooks = told.folder / "hooks"
    hooks.write_text("".join(line for line in hooks.read_text().splitlines(True) if not line.startswith("two")))
    told.restart()
    gone = letters(told, "--consumer", "webhook-two")[0]["id"]
    assert "no consumer webhook-two" in told.ctl("dead-letter", "redeliver", gone, check=False).stderr
    assert "redelivered: 1, failed: 1" in told.ctl("dead-letter", "redeliver", "--all", check=False).stdout
    assert "deleted: 1" in told.ctl("dead-letter", "delete", "--all").stdout
    assert not letters(told)


def test_over_tls_only_who_has_the_name_and_the_authority_is_told(bare_server):
    folder = bare_server.folder
    known, unknown = (certificates.make(folder / name, "hooks.example") for name in ("known", "unknown"))
    trusted, stranger = Receiver(KEY, known), Receiver(KEY, unknown)
    (folder / "key").write_bytes(KEY)
    (folder / "hooks").write_text(
        f"right {trusted.url}/right {folder}/key delivered\n"
        f"name https://localhost:{trusted.port}/name {folder}/key delivered\n"
        f"authority {stranger.url}/authority {folder}/key delivered\n"
    )
    bare_server.settings = {
        "webhook.hooks": folder / "hooks",
        "webhook.ca_file": known / "ca.pem",
        "consumer.tries": 2,
        "consumer.retry_first": "20 ms",
    }
    bare_server.start()
    bare_server.add_domain("example.org")
    bare_server.add_user("ann@example.org")
    bare_server.deliver(MAIL.format("one"), to="ann@example.org")
    until(lambda: trusted.of("/right", "ann@example.org"))
    until(lambda: len(letters(bare_server)) == 2)
    errors = {letter["consumer"]: letter["error"] for letter in letters(bare_server)}
    assert set(errors) == {"webhook-name", "webhook-authority"}
    assert "localhost" in errors["webhook-name"] and "certificate" in errors["webhook-authority"]
    assert len(trusted.events) == 1 and not stranger.events
    trusted.close()
    stranger.close()


def test_a_wrong_list_of_hooks_stops_the_start(bare_server):
    (bare_server.folder / "hooks").write_text("one ftp://nobody /nowhere delivered\n")
    bare_server.settings = {"webhook.hooks": bare_server.folder / "hooks"}
    with pytest.raises(RuntimeError, match="webhook.hooks: .*line 1: the URL"):
        bare_server.start()
