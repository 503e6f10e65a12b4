"""holdfastctl and the admin interface under it."""

import http.client
import json
import os
import re
import socket
import subprocess
import time

import pytest

from support.server import HOLDFASTCTL, Server

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    """With HTTP too."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "token").write_text(TOKEN + "\n")
    with Server(folder) as made:
        made.settings = {
            "admin.listen": f"127.0.0.1:{made.port('admin')}",
            "admin.listen_tls": f"127.0.0.1:{made.port('admin_tls')}",
            "admin.token_file": folder / "token",
            "admin.failure_delay": "20 ms",
        }
        made.start()
        made.add_domain("example.org")
        yield made


def ask(server, method, path, body=None, token=TOKEN, tls=False):
    if tls:
        client = http.client.HTTPSConnection("127.0.0.1", server.port("admin_tls"), timeout=30, context=server.tls_context())
    else:
        client = http.client.HTTPConnection("127.0.0.1", server.port("admin"), timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    client.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = client.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if "json" in (answer.headers["Content-Type"] or "") else text


def test_domains_come_and_go(server):
    server.ctl("domain", "add", "example.com")
    assert {domain["name"] for domain in server.ctl_json("domain", "list")["domains"]} == {"example.org", "example.com"}
    assert "exists" in server.ctl("domain", "add", "example.com", check=False).stderr
    server.ctl("domain", "remove", "example.com")
    assert server.ctl("domain", "remove", "example.com", check=False).returncode == 1
    assert server.ctl("domain", "remove", "example.org", check=False).returncode == 1


def test_users_come_and_go(server):
    server.add_user("carol@example.org", "first")
    assert "carol@example.org" in server.ctl("user", "list").stdout
    server.imap("carol@example.org", "first").logout()
    server.ctl("user", "password", "carol@example.org", text="second\n")
    with pytest.raises(Exception, match="(?i)auth"):
        server.imap("carol@example.org", "first")
    server.imap("carol@example.org", "second").logout()
    server.ctl("user", "disable", "carol@example.org")
    with pytest.raises(Exception):
        server.imap("carol@example.org", "second")
    server.ctl("user", "enable", "carol@example.org")
    server.imap("carol@example.org", "second").logout()
    server.ctl("user", "remove", "carol@example.org")
    assert server.ctl("user", "show", "carol@example.org", check=False).returncode == 1


def test_aliases_deliver_to_their_targets(server):
    server.ctl("alias", "set", "team@example.org", "alice@example.org", "bob@example.org")
    assert server.ctl_json("alias", "list")["aliases"][0]["targets"] == ["alice@example.org", "bob@example.org"]
    server.deliver("Subject: all\r\n\r\nhello\r\n", to="team@example.org")
    for user in ("alice@example.org", "bob@example.org"):
        assert server.folders(user)["INBOX"]["messages"] == 1
    server.ctl("alias", "remove", "team@example.org")
    assert server.ctl_json("alias", "list")["aliases"] == []


def test_quotas_are_set_and_shown(server):
    server.ctl("domain", "quota", "example.org", "5000", "10")
    server.ctl("user", "quota", "bob@example.org", "0", "1")
    assert server.ctl_json("user", "show", "alice@example.org")["limit"] == {"bytes": 5000, "count": 10}
    assert server.ctl_json("user", "show", "bob@example.org")["limit"]["count"] == 1


def test_tables_show_limits_and_dates_for_people(server):
    server.ctl("user", "quota", "bob@example.org", "2048", "0")
    title, *lines = server.ctl("user", "list").stdout.splitlines()
    assert title.split() == ["USER", "ENABLED", "QUOTA", "MAX", "MESSAGES", "SINCE"]
    rows = {line.split()[0]: line.split()[2:-2] for line in lines}
    assert rows == {"alice@example.org": ["-", "-"], "bob@example.org": ["2.0", "KiB", "-"]}
    server.ctl("domain", "quota", "example.org", "0", "7")
    title, line = server.ctl("domain", "list").stdout.splitlines()
    assert title.split() == ["DOMAIN", "QUOTA", "MAX", "MESSAGES"]
    assert line.split() == ["example.org", "-", "7"]
    shown = dict(line.split(None, 1) for line in server.ctl("user", "show", "bob@example.org").stdout.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown["created"].strip())
    assert "created_us" not in shown
    assert [shown[name].strip() for name in ("quota.bytes", "quota.count", "used.count", "limit.count")] == ["2048", "-", "0", "7"]
    assert isinstance(server.ctl_json("user", "show", "bob@example.org")["created_us"], int)


def test_folders_are_made_and_removed(server):
    server.ctl("folder", "add", "alice@example.org", "Work/Größe")
    assert "Work/Größe" in server.folders("alice@example.org")
    shown = subprocess.run(
        [HOLDFASTCTL, "--data", server.data, "folder", "list", "alice@example.org"],
        capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"}, check=True,
    )
    assert "Work/Größe" in shown.stdout
    server.ctl("folder", "remove", "alice@example.org", "Work/Größe")
    assert "Work/Größe" not in server.folders("alice@example.org")


def test_metrics_are_prometheus_text(server):
    text = server.ctl("metrics").stdout
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names and all(name.startswith("holdfast_") for name in names)
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) is not None


def test_status_and_health(server):
    assert server.ctl_json("status")["ready"] is True
    assert server.ctl_json("health")["status"] == "well"
    assert server.ctl_json("uncertain", "list")["uncertain"] == []


def test_content_is_held_against_what_refers_to_it(server):
    server.deliver("Subject: one\r\n\r\nhello\r\n")
    counts = {"blobs": 1, "live": 1, "waiting": 0, "orphaned": 0}
    assert server.ctl_json("blobs", "audit") == server.ctl_json("audit") == counts
    assert server.ctl_json("blobs", "tidy") == {**counts, "left": 0}


def test_http_wants_the_token(open_server):
    assert ask(open_server, "GET", "/v1/users")[0] == 200
    assert ask(open_server, "GET", "/v1/users", token=None)[0] == 401
    assert ask(open_server, "GET", "/v1/users", token=TOKEN[:-1] + "x")[0] == 401
    assert ask(open_server, "GET", "/metrics", token=None)[0] == 401
    assert ask(open_server, "GET", "/ready", token=None)[0] == 200
    assert ask(open_server, "GET", "/nothing", token=None)[0] == 401


def make_token(server, *arguments):
    return server.ctl_json("token", "create", *arguments)


def test_tokens_are_made_used_and_revoked(open_server):
    made = make_token(open_server, "reader", "read", "7")
    (shown,) = [token for token in open_server.ctl_json("token", "list")["tokens"] if token["id"] == made["id"]]
    assert (shown["name"], shown["role"], shown["domain"], shown["used_us"]) == ("reader", "read", None, None)
    assert shown["expires_us"] - shown["created_us"] == pytest.approx(7 * 86400e6, rel=1e-3)
    assert ask(open_server, "GET", "/v1/users", token=made["token"])[0] == 200
    assert ask(open_server, "POST", "/v1/domains", {"name": "x.example"}, token=made["token"])[0] == 403
    assert ask(open_server, "GET", "/v1/tokens", token=made["token"])[0] == 403
    (shown,) = [token for token in open_server.ctl_json("token", "list")["tokens"] if token["id"] == made["id"]]
    assert shown["used_us"] > shown["created_us"]
    open_server.ctl("token", "revoke", made["id"])
    assert ask(open_server, "GET", "/v1/users", token=made["token"])[0] == 401
    assert open_server.ctl("token", "revoke", made["id"], check=False).returncode == 1
    assert made["token"] not in open_server.log_text()


def test_roles_go_as_far_as_they_go(open_server):
    operate = make_token(open_server, "operator", "operate")["token"]
    admin = make_token(open_server, "administrator", "admin")["token"]
    task = {"kind": "recount"}
    assert ask(open_server, "POST", "/v1/tasks", task, token=operate)[0] == 201
    assert ask(open_server, "POST", "/v1/tokens", {"name": "x", "role": "admin"}, token=operate)[0] == 403
    assert ask(open_server, "POST", "/v1/tokens", {"name": "x", "role": "read"}, token=admin)[0] == 201
    assert 'by="administrator"' in open_server.log_text() or "by=administrator" in open_server.log_text()


def test_a_token_of_one_domain_sees_that_domain_alone(open_server):
    open_server.add_domain("theirs.example")
    open_server.add_domain("ours.example")
    open_server.add_user("a@theirs.example")
    token = make_token(open_server, "ours", "admin", "0", "Ours.Example")["token"]

    def status(method, path, body=None):
        return ask(open_server, method, path, body, token=token)[0]

    assert status("POST", "/v1/users", {"address": "b@OURS.example", "password": "x"}) == 201
    assert status("POST", "/v1/users", {"address": "b@theirs.example", "password": "x"}) == 403
    assert status("GET", "/v1/users/b@ours.example") == 200
    assert status("GET", "/v1/users/a@theirs.example") == 403
    assert status("PUT", "/v1/aliases/c@theirs.example", {"targets": ["b@ours.example"]}) == 403
    assert status("PUT", "/v1/aliases/c@ours.example", {"targets": ["b@ours.example"]}) == 204
    assert status("GET", "/v1/users?domain=theirs.example") == 403
    users = ask(open_server, "GET", "/v1/users", token=token)[1]["users"]
    assert [user["address"] for user in users] == ["b@ours.example"]
    domains = ask(open_server, "GET", "/v1/domains", token=token)[1]["domains"]
    assert [domain["name"] for domain in domains] == ["ours.example"]
    for method, path in [("GET", "/v1/status"), ("GET", "/metrics"), ("GET", "/v1/tokens"), ("GET", "/v1/sessions"),
                         ("DELETE", "/v1/domains/ours.example"), ("GET", "/v1/uncertain")]:
        assert status(method, path) == 403, path
    account = ask(open_server, "GET", "/v1/users/a@theirs.example")[1]["account"]
    assert status("GET", f"/v1/users/{account}/vault") == 403
    assert status("GET", "/v1/users/b@ours.example/vault") == 200
    message = "00000000-0000-7000-8000-000000000000"
    restore = f"/v1/users/b@ours.example/vault/{message}/restore"
    assert status("POST", restore, {"mailbox": "INBOX", "to": "a@theirs.example"}) == 403


def test_it_is_served_over_tls(open_server):
    assert ask(open_server, "GET", "/v1/users", tls=True)[0] == 200
    assert ask(open_server, "GET", "/v1/users", token=None, tls=True)[0] == 401
    description = ask(open_server, "GET", "/openapi.json", tls=True)[1]
    assert description["openapi"] == "3.1.0"
    # More than one run of bytes, both ways.
    targets = [f"{number:0300}@example.org" for number in range(100)]
    assert ask(open_server, "PUT", "/v1/aliases/many@example.org", {"targets": targets}, tls=True)[0] == 422


def test_a_wrong_token_waits_and_others_do_not(open_server):
    wrong = "hf_" + "0" * 64
    before = open_server.ctl("metrics").stdout
    begun = time.monotonic()
    clients = [ask(open_server, "GET", "/v1/users", token=wrong)[0] for _ in range(4)]
    assert clients == [401] * 4
    assert time.monotonic() - begun > 0.02 + 0.04 + 0.08 + 0.16
    begun = time.monotonic()
    assert ask(open_server, "GET", "/v1/users")[0] == 200
    assert time.monotonic() - begun < 1

    def refused(text):
        return int(re.search(r"admin_tokens_refused_total (\d+)", text).group(1))

    assert refused(open_server.ctl("metrics").stdout) - refused(before) == 4
    assert "admin-token-refused" in open_server.log_text() and wrong not in open_server.log_text()


def test_http_tells_what_is_wrong(open_server):
    assert ask(open_server, "GET", "/nothing")[0] == 404
    assert ask(open_server, "PUT", "/v1/users")[0] == 405
    status, body = ask(open_server, "POST", "/v1/users", {"address": "x@example.org", "passwort": "x"})
    assert (status, body["status"], body["title"]) == (400, 400, "Bad Request") and "passwort" in body["detail"]
    assert ask(open_server, "POST", "/v1/users", {"address": "x@nowhere.example", "password": "x"})[0] == 404
    assert ask(open_server, "POST", "/v1/users", {"address": "x", "password": "x"})[0] == 400
    assert ask(open_server, "POST", "/v1/users", {"address": "x@@", "password": "x"})[0] == 422
    assert ask(open_server, "POST", "/v1/domains", {"name": "example.org"})[0] == 409
    assert ask(open_server, "GET", "/v1/users/%zz")[0] == 404
    assert ask(open_server, "GET", "/v1/users/a%00b")[0] == 404
    assert ask(open_server, "GET", "/v1/users?domain=a&domain=b")[0] == 400
    assert ask(open_server, "GET", "/v1/users?limit=0")[0] == 400
    assert ask(open_server, "GET", "/v1/users?colour=red")[0] == 400


def test_what_is_no_json_or_too_much_is_refused(open_server):
    client = http.client.HTTPConnection("127.0.0.1", open_server.port("admin"), timeout=30)

    def post(body, kind):
        client.request("POST", "/v1/domains", body, {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})
        answer = client.getresponse()
        assert answer.headers["Content-Type"] == "application/problem+json"
        return json.loads(answer.read())["status"]

    assert post("name=x", "application/x-www-form-urlencoded") == 415
    assert post("{", "application/json") == 400
    assert post('{"name": "x.example", "name": "y.example"}', "application/json") == 400
    assert post(json.dumps({"name": "x" * 2**21}), "application/json; charset=utf-8") == 413


def test_what_was_made_says_where_it_is(open_server):
    client = http.client.HTTPConnection("127.0.0.1", open_server.port("admin"), timeout=30)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    client.request("POST", "/v1/users", json.dumps({"address": "New+Er@Example.Org", "password": "x"}), headers)
    assert client.getresponse().read() and client
    client.request("POST", "/v1/users", json.dumps({"address": "New.Er@Example.Org", "password": "x"}), headers)
    answer = client.getresponse()
    made = json.loads(answer.read())
    assert (answer.status, answer.headers["Location"]) == (201, "/v1/users/new.er@example.org")
    client.request("GET", answer.headers["Location"], headers=headers)
    shown = json.loads(client.getresponse().read())
    assert {name: shown[name] for name in made} == made
    client.request("DELETE", answer.headers["Location"], headers=headers)
    answer = client.getresponse()
    assert json.loads(answer.read()) == {"account": made["account"]}


def test_lists_are_read_page_by_page(open_server):
    addresses = [f"page{number}@example.org" for number in range(5)]
    for address in addresses:
        assert ask(open_server, "PUT", f"/v1/aliases/{address}", {"targets": ["a@example.org"]})[0] == 204
    seen, after = [], ""
    for _ in range(3):
        page = ask(open_server, "GET", f"/v1/aliases?limit=2&contains=PAGE{after}")[1]
        seen += [alias["address"] for alias in page["aliases"]]
        after = f"&after={page['next']}"
    assert seen == addresses and page["next"] is None
    assert len(open_server.ctl_json("alias", "list", "example.org")["aliases"]) == 5


def test_every_request_has_a_command_and_every_command_a_request(open_server):
    description = ask(open_server, "GET", "/openapi.json", token=None)[1]
    described = {f"{method.upper()} {path}" for path, item in description["paths"].items() for method in item}
    commands = {" ".join(line.split()[:2]) for line in open_server.ctl("requests").stdout.splitlines()}
    assert described == commands


def test_sessions_are_listed_and_ended(server):
    first = server.imap()
    second = server.imap("bob@example.org")
    sessions = server.ctl_json("session", "list")["sessions"]
    assert {session["address"] for session in sessions} == {"alice@example.org", "bob@example.org"}
    (of_alice,) = server.ctl_json("session", "list", "alice@example.org")["sessions"]
    assert (of_alice["protocol"], of_alice["peer"], of_alice["tls"]) == ("imap", "127.0.0.1", False)
    server.ctl("session", "disconnect", str(of_alice["session"]))
    assert b"* BYE The administrator" in first.sock.recv(100)
    assert second.noop()[0] == "OK"
    assert server.ctl("session", "disconnect", "999", check=False).returncode == 1


def steps_of(server, *arguments):
    begun = time.monotonic()
    shown = server.ctl_json("trace", *arguments)
    assert time.monotonic() - begun < 2
    return shown, {(step["step"], step["outcome"]) for step in shown["steps"]}


def wait_for_step(server, step, *arguments):
    end = time.monotonic() + 10
    while step not in (found := steps_of(server, *arguments))[1]:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_one_mail_is_traced_from_acceptance_to_index(server):
    server.deliver("Subject: other\r\nMessage-ID: <other@example.net>\r\n\r\nhello\r\n")
    with server.lmtp() as client:
        client.ehlo()
        client.mail("sender@example.net")
        client.rcpt("alice@example.org")
        code, said = client.data("Subject: one\r\nMessage-ID: <one@example.net>\r\n\r\nhello\r\n")
    answer = said.decode().split()[-1]
    assert code == 250 and answer in server.log_text()
    for name in (answer, "<one@example.net>", "one@example.net"):
        shown, steps = wait_for_step(server, ("index", "indexed"), name)
        assert {("accepted", "to be delivered"), ("commit", "applied"), ("append", "done"), ("content", "stored"),
                ("mailbox", "there"), ("copies", "written")} <= steps
        assert (shown["places"], shown["complete"]) == (1, True)
        assert any("try 1" in step["detail"] for step in shown["steps"] if step["step"] == "commit")
        assert any("INBOX, UID 2," in step["detail"] for step in shown["steps"])
    assert "INBOX, UID 2," in server.ctl("trace", answer).stdout
    server.restart()
    # What is in memory alone has gone, and that is said.
    assert server.ctl("trace", answer, check=False).returncode == 1
    for name in (answer, "<one@example.net>"):
        shown, steps = steps_of(server, name, "alice@example.org")
        assert {("tries", "not known"), ("mailbox", "there"), ("index", "indexed")} <= steps and shown["places"] == 1
    assert ("mailbox", "not there") in steps_of(server, "<none@example.net>", "alice@example.org")[1]


def test_changes_are_in_the_log_and_passwords_are_not(server):
    server.add_user("carol@example.org", "open sesame")
    lines = [line for line in server.log_text().splitlines() if "admin-change" in line]
    assert any("/v1/users" in line and "socket" in line and "201" in line for line in lines)
    assert "sesame" not in server.log_text()


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: b\r\n",
        "X-Odd: a\x01b\r\n",
    ],
)
def test_requests_that_could_be_read_in_two_ways_are_refused(open_server, head):
    with socket.create_connection(("127.0.0.1", open_server.port("admin")), timeout=10) as client:
        request = f"PUT /v1/domains/smuggled.example HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{head}\r\nabc"
        client.sendall(request.encode())
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400") or answer == b"", answer
    assert "smuggled.example" not in open_server.ctl("domain", "list").stdout


def test_the_local_socket_is_for_the_server_and_root_only(server):
    assert (server.data / "control").stat().st_mode & 0o777 == 0o600
