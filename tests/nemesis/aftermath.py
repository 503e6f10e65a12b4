"""After the faults: all machines run again, Holdfast must come to rest by itself in bounded time, and then everything is
read once more, by fresh clients of each node. Written into the history like everything before it."""

import time

from nemesis.checker import SEARCHES
from nemesis.clients import MAILBOXES, Deliverer, ImapClient, fetch, identity

BOUND_S = 60


def heal(world):
    if world.cluster:
        world.cluster.make_whole()
    if world.s3:
        world.s3.make_whole()
    world.recorder.note("all is whole")
    number = world.recorder.invoke("nemesis", 0, "healed", {"account": "", "final": True, "bound": BOUND_S})
    begun = time.monotonic()
    while (unrest := find_unrest(world)) and time.monotonic() < begun + 2 * BOUND_S:
        time.sleep(0.5)
    world.recorder.end(number, "ok", {"seconds": round(time.monotonic() - begun, 3), "unrest": unrest})


def find_unrest(world):
    """What is not yet as it must be; None when all is well."""
    for node, server in enumerate(world.servers, 1):
        if server.ctl("ready", check=False).returncode != 0:
            return f"node {node} is not ready"
        if server.ctl_json("uncertain", "list")["uncertain"]:
            return f"node {node} does not know all outcomes"
    return None


def read_back(world):
    for client in world.clients:
        if isinstance(client, Deliverer) and client.waiting:
            attempt(lambda client=client: send_again(client))
    for node in range(1, len(world.servers) + 1):
        for account in world.accounts:
            attempt(lambda node=node, account=account: read_everything(world, node, account))
            ask(world, node, "counts", account)
        ask(world, node, "uncertain")
    for account in world.accounts:
        ask(world, 1, "solve", account)
    ask(world, 1, "audit")


def attempt(work):
    """What does not work is in the history as not ok, where the checker finds it."""
    try:
        work()
    except Exception as error:  # noqa: BLE001: recorded
        print(f"after healing: {error!r}")


def send_again(client):
    """Its sender does not give up: what was not acknowledged goes out once more, and must be taken."""
    token, content = client.waiting
    client.node = 1
    client.session = client.connect(client.servers[0])
    deliver = lambda: client.session.deliver(client.account, content)  # noqa: E731
    client.perform("deliver", deliver, token=token, final=True, **identity(content))
    client.leave()


def read_everything(world, node, account):
    client = ImapClient(world.servers, world.recorder, f"last reader of node {node}", account, 0)
    client.node = node
    client.session = client.connect(world.servers[node - 1])
    for mailbox in MAILBOXES:
        where = {"mailbox": mailbox, "final": True}
        for uid, token, _, _ in client.look("list", lambda: client.session.list(mailbox), **where)["entries"]:  # noqa: B023
            fetch(client, mailbox, uid, token, final=True)
        client.look("status", lambda: client.session.status(mailbox), **where)  # noqa: B023
        for key in SEARCHES:
            client.look("search", lambda: client.session.search(mailbox, key), key=key, **where)  # noqa: B023
    client.leave()


def ask(world, node, do, account="", final=True):
    """holdfastctl on one node."""
    server = world.servers[node - 1]
    number = world.recorder.invoke("nemesis", node, do, {"account": account, "final": final})
    try:
        result = ASK[do](server, account)
    except AssertionError as error:
        world.recorder.end(number, "fail", {"why": str(error)})
    else:
        world.recorder.end(number, "ok", result)


ASK = {
    "counts": lambda server, account: {
        "folders": server.folders(account),
        "used": server.ctl_json("user", "show", account)["used"],
    },
    "uncertain": lambda server, _: {"entries": server.ctl_json("uncertain", "list")["uncertain"]},
    "solve": lambda server, account: server.ctl_json("user", "solve", account),
    "audit": lambda server, _: server.ctl_json("blobs", "audit"),
}
