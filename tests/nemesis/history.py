"""What clients asked for and what they were told, in order of time: the only thing the checker sees. A line of JSON for
each event, so that a run can be checked again from its file:

    {"at": 1.25, "event": "invoke", "id": 7, "client": "writer 2", "node": 1, "do": "append", "arguments": {…}}
    {"at": 1.31, "event": "ok", "id": 7, "result": {…}}

`ok`: it happened as `result` says. `fail`: certainly nothing happened. `unknown`: a change that may have happened, may
still happen, or never will; its `result`, if there is one, says why. What has no end in the file is unknown too.
Times are seconds on one monotonic clock."""

import dataclasses
import json
import math
import threading
import time

ENDINGS = ("ok", "fail", "unknown")


@dataclasses.dataclass
class Operation:
    """One invocation with its end; `end` is endless if that was never heard."""

    id: int
    client: str
    node: int
    do: str
    arguments: dict
    begin: float
    end: float = math.inf
    outcome: str = "unknown"
    result: dict = dataclasses.field(default_factory=dict)

    @property
    def is_ok(self):
        return self.outcome == "ok"

    def __str__(self):
        end = "…" if math.isinf(self.end) else f"{self.end:.3f}"
        result = json.dumps(self.result, sort_keys=True)
        result = result if len(result) < 400 else result[:400] + "…"
        arguments = json.dumps(self.arguments, sort_keys=True)
        return f"{self.begin:.3f} to {end} [{self.id}] {self.client}, node {self.node}: {self.do} {arguments} -> {self.outcome} {result}"


class Recorder:
    """Writes a history; any thread."""

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "w", encoding="utf-8")  # noqa: SIM115: closed by close()
        self.begun = time.monotonic()
        self.last_id = 0

    def now(self):
        return time.monotonic() - self.begun

    def write(self, **event):
        with self.lock:
            event = {"at": round(self.now(), 6), **event}
            self.file.write(json.dumps(event) + "\n")
            self.file.flush()

    def invoke(self, client, node, do, arguments):
        with self.lock:
            self.last_id += 1
            number = self.last_id
        self.write(event="invoke", id=number, client=client, node=node, do=do, arguments=arguments)
        return number

    def end(self, number, outcome, result):
        assert outcome in ENDINGS, outcome
        self.write(event=outcome, id=number, result=result)

    def note(self, what):
        """What the nemesis did: for the reader of a history."""
        self.write(event="nemesis", what=what)

    def close(self):
        self.file.close()


def operations(events):
    """Pairs invocations with their ends; in order of invocation."""
    found = {}
    for event in events:
        if event["event"] == "invoke":
            fields = {name: event[name] for name in ("id", "client", "node", "do", "arguments")}
            found[event["id"]] = Operation(begin=event["at"], **fields)
        elif event["event"] in ENDINGS:
            operation = found[event["id"]]
            operation.outcome, operation.result = event["event"], event.get("result") or {}
            # An answer that says nothing sure leaves the change open for good.
            operation.end = event["at"] if event["event"] != "unknown" else math.inf
    return list(found.values())


def load(path):
    with open(path, encoding="utf-8") as lines:
        return operations(json.loads(line) for line in lines)
