"""Stands between a CQL client and the nodes of a cluster, and loses what a test tells it to lose: the answer to
a write that was carried out (nobody can know but by reading), or the request itself.

    with CqlProxy({"127.0.0.1": "127.0.1.1"}, seed=7) as proxy:
        fault = proxy.add(Fault(DROP_REPLY, match=is_lwt, nth=3))
        ...
        assert fault.fired == 1

Clients connect to the second address of each pair, on the same port. They get protocol v4 without compression,
whatever they ask for: that is what is read here. The faults may be changed at any time, from any thread."""

import asyncio
import collections
import dataclasses
import random
import re
import struct
import threading

PORT = 9042
HEADER = struct.Struct(">BBhBi")  # version, flags, stream, opcode, length of the body
FRAME_MAX = 256 << 20

ERROR, STARTUP, SUPPORTED, QUERY, RESULT, PREPARE, EXECUTE, BATCH = 0x00, 0x01, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0D
FLAG_COMPRESSED, FLAG_TRACING, FLAG_PAYLOAD, FLAG_WARNING = 1, 2, 4, 8
RESULT_PREPARED = 4
ERROR_PROTOCOL = 0x000A
SERIAL, LOCAL_SERIAL = 8, 9

# What a fault does
PASS = "pass"  # nothing: shields a request from the faults that stand after it
DROP_REQUEST = "drop request"  # never forwarded: certainly not carried out
DROP_REPLY = "drop reply"  # forwarded, and the node's answer awaited and thrown away: certainly decided
CUT = "cut"  # forwarded, and the connection closed at once: nobody knows
DELAY_REQUEST = "delay request"
DELAY_REPLY = "delay reply"

# What the client sees of a loss
CLOSE = "close"
SILENT = "silent"

WRITE_WORD = re.compile(r"\s*(INSERT|UPDATE|DELETE|BEGIN)\b", re.IGNORECASE)
LITERAL = re.compile(r"'(?:[^']|'')*'")
CONDITION = re.compile(r"\bIF\b", re.IGNORECASE)


@dataclasses.dataclass
class Request:
    node: str  # the node's own address
    opcode: int
    stream: int
    statements: tuple  # texts; of a batch all of them
    consistency: int = None

    @property
    def is_write(self):
        return any(WRITE_WORD.match(text) for text in self.statements)

    @property
    def is_lwt(self):
        return self.is_write and any(CONDITION.search(LITERAL.sub("", text)) for text in self.statements)


def is_write(request):
    return request.is_write


def is_lwt(request):
    return request.is_lwt


def is_plain_write(request):
    return request.is_write and not request.is_lwt


def is_serial_read(request):
    return not request.is_write and request.consistency in (SERIAL, LOCAL_SERIAL)


def names(word):
    """Requests with this word in one of their statements."""
    return lambda request: any(word in text for text in request.statements)


class Fault:
    """Does `action` to requests that match: to the nth one only, or to each with a probability, at most
    `times` times. `seen` counts those that matched, `fired` those it was done to."""

    def __init__(self, action, match=is_write, nth=None, probability=1.0, times=None, then=CLOSE, seconds=0.0, node=None):
        self.action, self.match, self.then, self.seconds, self.node = action, match, then, seconds, node
        self.nth, self.probability, self.times = nth, probability, times
        self.seen = self.fired = 0

    def takes(self, request, chance):
        if (self.node and request.node != self.node) or not self.match(request):
            return False
        self.seen += 1
        if self.nth is not None and self.seen != self.nth:
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        if self.probability < 1.0 and chance.random() >= self.probability:
            return False
        self.fired += 1
        return True


class Reader:
    """The types of the protocol, one after another."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, size):
        part = self.body[self.at : self.at + size]
        if len(part) != size:
            raise ValueError("a frame ends too early")
        self.at += size
        return part

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def short_bytes(self):
        return self.take(self.number(">H"))

    def string(self):
        return self.short_bytes().decode()

    def long_string(self):
        return self.take(self.number(">i")).decode()

    def skip_value(self):
        self.take(max(self.number(">i"), 0))

    def skip_payload(self):
        for _ in range(self.number(">H")):
            self.string()
            self.skip_value()


def string(text):
    return struct.pack(">H", len(text)) + text.encode()


def error_frame(stream, message):
    body = struct.pack(">i", ERROR_PROTOCOL) + string(message)
    return HEADER.pack(0x84, 0, stream, ERROR, len(body)) + body


def only_what_is_read_here(body):
    """A SUPPORTED answer without compression and without other versions."""
    reader = Reader(body)
    options = {}
    for _ in range(reader.number(">H")):
        name = reader.string()
        options[name] = [reader.string() for _ in range(reader.number(">H"))]
    options["COMPRESSION"] = []
    options["PROTOCOL_VERSIONS"] = ["4/v4"]
    out = struct.pack(">H", len(options))
    for name, values in options.items():
        out += string(name) + struct.pack(">H", len(values)) + b"".join(map(string, values))
    return out


class Link:
    """One client's connection and its counterpart at the node."""

    def __init__(self, proxy, node, reader, writer):
        self.proxy, self.node, self.client, self.to_client = proxy, node, reader, writer
        self.to_node = None
        self.preparing = {}  # stream: text
        self.replies = {}  # stream: fault to be done to the reply

    async def run(self):
        try:
            from_node, self.to_node = await asyncio.open_connection(self.node, self.proxy.port)
            pumps = [asyncio.ensure_future(self.pump_requests()), asyncio.ensure_future(self.pump_replies(from_node))]
            _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pending:
                pump.cancel()
            for outcome in await asyncio.gather(*pumps, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, (OSError, asyncio.IncompleteReadError)):
                    self.proxy.problems.append(outcome)
        except OSError:
            pass  # the node is down: the client loses its connection
        finally:
            self.close()

    def close(self):
        for writer in (self.to_client, self.to_node):
            if writer:
                writer.transport.abort()

    @staticmethod
    async def frame(reader):
        header = await reader.readexactly(HEADER.size)
        version, flags, stream, opcode, length = HEADER.unpack(header)
        if not 0 <= length <= FRAME_MAX:
            raise ValueError(f"a frame of {length} bytes")
        return version, flags, stream, opcode, header, await reader.readexactly(length)

    # ---- towards the node ----

    async def pump_requests(self):
        while True:
            version, flags, stream, opcode, header, body = await self.frame(self.client)
            if version != 4:
                # The shape of the header is that of v3 to v5, and a client that hears this comes again.
                self.to_client.write(error_frame(stream, "Invalid or unsupported protocol version; supported: 4/v4"))
                await self.to_client.drain()
                self.proxy.count("refused versions")
            elif flags & FLAG_COMPRESSED or (opcode == STARTUP and b"COMPRESSION" in body):
                self.to_client.write(error_frame(stream, "no compression here"))
                self.proxy.count("refused compression")
            else:
                await self.request(flags, stream, opcode, header + body, body)

    async def request(self, flags, stream, opcode, frame, body):
        request = self.parse(flags, stream, opcode, body)
        fault = self.proxy.decide(request) if request else None
        if fault is None or fault.action == PASS:
            await self.forward(frame)
        elif fault.action == DROP_REQUEST:
            self.lose(fault)
        elif fault.action == CUT:
            await self.forward(frame)
            # Gone from our hands before the connection is: what the node has taken in, it may carry out.
            while self.to_node.transport.get_write_buffer_size():
                await asyncio.sleep(0.001)
            await asyncio.sleep(fault.seconds)
            self.to_client.transport.abort()
            self.to_node.close()
        elif fault.action == DELAY_REQUEST:
            self.proxy.later(fault.seconds, self.forward, frame)
        else:
            self.replies[stream] = fault
            await self.forward(frame)

    async def forward(self, frame):
        self.to_node.write(frame)
        await self.to_node.drain()

    def lose(self, fault):
        if fault.then == CLOSE:
            self.close()

    def parse(self, flags, stream, opcode, body):
        """None for what is no statement."""
        if opcode not in (QUERY, PREPARE, EXECUTE, BATCH):
            return None
        reader = Reader(body)
        if flags & FLAG_PAYLOAD:
            reader.skip_payload()
        if opcode == PREPARE:
            self.preparing[stream] = reader.long_string()
            return None
        if opcode == QUERY:
            statements = (reader.long_string(),)
        elif opcode == EXECUTE:
            statements = (self.proxy.prepared.get(reader.short_bytes(), ""),)
        else:
            statements = self.parse_batch(reader)
        return Request(self.node, opcode, stream, statements, reader.number(">H"))

    def parse_batch(self, reader):
        statements = []
        reader.take(1)
        for _ in range(reader.number(">H")):
            is_prepared = reader.number(">B") == 1
            statements.append(self.proxy.prepared.get(reader.short_bytes(), "") if is_prepared else reader.long_string())
            for _ in range(reader.number(">H")):
                reader.skip_value()
        return tuple(statements)

    # ---- towards the client ----

    async def pump_replies(self, from_node):
        while True:
            _, flags, stream, opcode, header, body = await self.frame(from_node)
            if opcode == SUPPORTED:
                body = only_what_is_read_here(body)
                header = header[:5] + struct.pack(">i", len(body))
            text = self.preparing.pop(stream, None)
            if text is not None and opcode == RESULT:
                self.learn(flags, body, text)
            fault = self.replies.pop(stream, None)
            if fault is None:
                await self.answer(header + body)
                continue
            self.proxy.replies.append((fault, opcode, body))
            if fault.action == DELAY_REPLY:
                self.proxy.later(fault.seconds, self.answer, header + body)
            else:
                self.lose(fault)

    async def answer(self, frame):
        self.to_client.write(frame)
        await self.to_client.drain()

    def learn(self, flags, body, text):
        reader = Reader(body)
        if flags & FLAG_TRACING:
            reader.take(16)
        if flags & FLAG_WARNING:
            for _ in range(reader.number(">H")):
                reader.string()
        if flags & FLAG_PAYLOAD:
            reader.skip_payload()
        if reader.number(">i") == RESULT_PREPARED:
            self.proxy.prepared[reader.short_bytes()] = text


class CqlProxy:
    def __init__(self, addresses, port=PORT, seed=0):
        """`addresses`: {address of a node: the address to listen on for it}."""
        self.addresses = dict(addresses)
        self.port = port
        self.prepared = {}  # id: text; an id is a hash of the text, the same on every node
        self.problems = []  # what could not be read: a test that has any has shown nothing
        self.replies = []  # (fault, opcode, body) of answers that a fault was done to
        self._chance = random.Random(seed)
        self._faults = []
        self._counts = collections.Counter()
        self._lock = threading.Lock()
        self._listeners = {}
        self._links = {node: set() for node in self.addresses}
        self._later = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cql proxy", daemon=True)

    def __enter__(self):
        self._thread.start()
        for node in self.addresses:
            self.open(node)
        return self

    def __exit__(self, kind, *_):
        for node in self.addresses:
            self.close(node)
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if kind is None and self.problems:
            raise self.problems[0]

    # ---- what a test says ----

    def add(self, fault):
        """The first fault that takes a request is done to it."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault):
        with self._lock:
            self._faults.remove(fault)

    def clear(self):
        with self._lock:
            self._faults.clear()

    def open(self, node):
        """Takes connections for a node again."""
        if node not in self._listeners:
            self._listeners[node] = self._call(self._listen(node))

    def close(self, node):
        """Refuses connections for a node, and cuts those that there are."""
        listener = self._listeners.pop(node, None)
        if listener:
            self._call(self._close(node, listener))

    def counts(self):
        """{"requests", "writes", "lwts", each action: how often}"""
        with self._lock:
            return dict(self._counts)

    # ---- inside the loop ----

    def count(self, what):
        with self._lock:
            self._counts[what] += 1

    def decide(self, request):
        with self._lock:
            self._counts["requests"] += 1
            self._counts["writes"] += request.is_write
            self._counts["lwts"] += request.is_lwt
            for fault in self._faults:
                if fault.takes(request, self._chance):
                    self._counts[fault.action] += 1
                    return fault
        return None

    def later(self, seconds, action, *arguments):
        async def wait():
            await asyncio.sleep(seconds)
            try:
                await action(*arguments)
            except OSError:
                pass  # the connection has gone meanwhile

        task = asyncio.ensure_future(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self, node):
        async def serve(reader, writer):
            link = Link(self, node, reader, writer)
            self._links[node].add(link)
            try:
                await link.run()
            finally:
                self._links[node].discard(link)

        return await asyncio.start_server(serve, self.addresses[node], self.port)

    async def _close(self, node, listener):
        listener.close()
        for link in list(self._links[node]):
            link.close()

    async def _end(self):
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
