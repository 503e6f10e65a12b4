"""Runs a session transcript against a server. A transcript is a text of several named connections:

    # A sentence that says what is shown.
    = mail INBOX 3                 three small messages, before anything else
    = connect a [tls]              a connection that does not sign in by itself
    = other b                      this connection is another user's, whose name is {{$user_b}}
    = quota BYTES MESSAGES         the account's limits, from now on
    = start_tls a                  the handshake that follows STARTTLS
    = compress a                   both ways, after COMPRESS was answered
    = close a                      the client goes away without a word
    a> STORE 1 +FLAGS (\\Answered)  a command; the tag is added
    a< * 1 FETCH (FLAGS (\\Answered))
    a< OK ...                      its tagged answer; OK where none is written
    a>+ dGVzdA==                   a line without a tag, where the server said "+"

A connection signs in when it is first named. Where any `a<` follows a command, all lines of the answer
must match, one for one; `...` stands for any text, alone for any number of lines; `{{regex}}` for what it
matches; `{{name=regex}}` also remembers it, and `{{$name}}` is what was remembered. `{{"text"}}` is a
literal, sent and received."""

import ast
import io
import re
import socket
import ssl
import zlib

TIMEOUT = 20
TOKEN = re.compile(r'\{\{(?:"(?P<literal>(?:[^"\\]|\\.)*)"|\$(?P<use>\w+)|(?P<regex>.*?))\}\}|(?P<any>\.\.\.)', re.S)


class TranscriptError(AssertionError):
    pass


def unescape(text):
    return ast.literal_eval('b"' + text + '"')


def escape(data):
    return "".join(
        {0x5C: "\\\\", 0x22: '\\"', 0x0D: "\\r", 0x0A: "\\n"}.get(byte)
        or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")
        for byte in data
    )


class Inflated(io.RawIOBase):
    """What a compressed stream says."""

    def __init__(self, stream):
        self.stream = stream
        self.inflate = zlib.decompressobj(-15)
        self.ready = b""

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.ready:
            data = self.stream.read1(65536)
            if not data:
                return 0
            self.ready = self.inflate.decompress(data)
        some, self.ready = self.ready[: len(buffer)], self.ready[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


class Connection:
    """One IMAP connection: lines with their literals."""

    def __init__(self, name, port, tls_context=None):
        self.name = name
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        if tls_context:
            self.socket = tls_context.wrap_socket(self.socket)
        self.stream = self.socket.makefile("rb")
        self.count = 0
        self.pending = None
        self.deflate = None
        self.greeting = self.read()

    def start_tls(self, context):
        self.stream.close()
        self.socket = context.wrap_socket(self.socket)
        self.stream = self.socket.makefile("rb")

    def compress(self):
        self.deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.stream = io.BufferedReader(Inflated(self.stream))

    def send_bytes(self, data):
        if self.deflate:
            data = self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(data)

    def send(self, data):
        self.send_bytes(data + b"\r\n")

    def command(self, data):
        self.count += 1
        self.pending = f"{self.name}{self.count}"
        self.send(self.pending.encode() + b" " + data)

    def read(self):
        """A response as text, its literals as {{"…"}}; None at the end of the stream."""
        text = ""
        while True:
            line = self.stream.readline()
            if not line:
                return None
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            literal = re.search(rb"~?\{(\d+)\}$", line)
            if not literal:
                return text + line.decode("utf-8", "surrogateescape")
            data = self.stream.read(int(literal[1]))
            text += line[: literal.start()].decode("utf-8", "surrogateescape") + '{{"' + escape(data) + '"}}'

    def close(self):
        self.stream.close()
        self.socket.close()


class Transcript:
    def __init__(self, path, server, user, password):
        self.path = path
        self.server = server
        self.user = user
        self.password = password
        self.connections = {}
        self.others = {}
        self.values = {"user": user, "password": password}

    # ---- patterns ----

    def pattern(self, text):
        out, at = "", 0
        for token in TOKEN.finditer(text):
            out += re.escape(text[at : token.start()])
            at = token.end()
            if token["any"]:
                out += ".*"
            elif token["literal"] is not None:
                out += re.escape('{{"' + escape(unescape(token["literal"])) + '"}}')
            elif token["use"]:
                out += re.escape(self.values[token["use"]])
            else:
                name, equals, regex = token["regex"].partition("=")
                named = equals and name.isidentifier()
                out += f"(?P<{name}>{regex})" if named else f"(?:{token['regex']})"
        return out + re.escape(text[at:])

    def matches(self, pattern, line):
        found = re.fullmatch(self.pattern(pattern), line, re.S)
        if found:
            self.values.update({name: value for name, value in found.groupdict().items() if value is not None})
        return bool(found)

    def outgoing(self, text):
        out, at = b"", 0
        for token in TOKEN.finditer(text):
            if token["any"] or token["regex"] is not None:
                continue
            out += text[at : token.start()].encode()
            at = token.end()
            if token["use"]:
                out += self.values[token["use"]].encode()
            else:
                data = unescape(token["literal"])
                out += b"{%d+}\r\n" % len(data) + data
        return out + text[at:].encode()

    # ---- connections ----

    def connect(self, name, sign_in=True, tls=False):
        context = self.server.tls_context() if tls else None
        port = self.server.port("imap_tls" if tls else "imap")
        connection = self.connections[name] = Connection(name, port, context)
        if sign_in:
            user = self.others.get(name, self.user)
            connection.command(f'LOGIN "{user}" "{self.password}"'.encode())
            lines = self.read_answer(connection)
            if not lines[-1].startswith("OK"):
                raise TranscriptError(f"{self.path}: {name} could not sign in: {lines}")
        return connection

    def named(self, name):
        return self.connections.get(name) or self.connect(name)

    def read_line(self, connection):
        """The next line, the tag taken off the answer's last one."""
        line = connection.read()
        tag = connection.pending
        if line is not None and tag and line.startswith(tag + " "):
            connection.pending = None
            return line[len(tag) + 1 :]
        return line

    def read_answer(self, connection):
        """Up to the tagged answer, a "+", or the end of the stream."""
        lines = []
        while connection.pending:
            line = self.read_line(connection)
            if line is None:
                break
            lines.append(line)
            if line.startswith("+"):
                break
        return lines

    # ---- steps ----

    def steps(self):
        """(number, kind, name, text, expected lines)"""
        steps = []
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("= "):
                steps.append((number, "=", None, line[2:], []))
                continue
            found = re.match(r"(\w+)(>\+?|<)(?: (.*))?$", line)
            if not found:
                raise TranscriptError(f"{self.path}:{number}: what is this: {line}")
            name, kind, text = found[1], found[2], found[3] or ""
            if kind == "<":
                if not steps or steps[-1][2] != name:
                    steps.append((number, "<", name, "", []))
                steps[-1][4].append(text)
            else:
                steps.append((number, kind, name, text, []))
        return steps

    def fail(self, number, reason, expected, got):
        raise TranscriptError(
            f"{self.path}:{number}: {reason}\nexpected:\n  " + "\n  ".join(expected) + "\ngot:\n  " + "\n  ".join(map(str, got))
        )

    def compare(self, number, expected, got):
        """All lines, one for one; "..." alone stands for any number of them."""
        if not expected:
            if got and not got[-1].startswith(("OK", "+")):
                self.fail(number, "the command failed", ["OK ..."], got)
            return
        if not expected[-1].startswith(("OK", "NO", "BAD", "+", "...")) and got and got[-1].startswith("OK"):
            got = got[:-1]
        at = 0
        for i, pattern in enumerate(expected):
            if pattern == "...":
                rest = expected[i + 1 :]
                if not rest:
                    return
                while at < len(got) and not self.matches(rest[0], got[at]):
                    at += 1
                continue
            if at == len(got) or not self.matches(pattern, got[at]):
                self.fail(number, f"no line matches <{pattern}>", expected, got)
            at += 1
        if at != len(got):
            self.fail(number, "there is more than expected", expected, got)

    def wait_for(self, number, connection, expected):
        """Lines that come by themselves, to a client that idles."""
        got = []
        for pattern in expected:
            line = self.read_line(connection)
            got.append(line)
            if line is None or not self.matches(pattern, line):
                self.fail(number, f"no line matches <{pattern}>", expected, got)

    def arrange(self, number, text):
        words = text.split()
        if words[0] == "mail":
            with self.server.imap(self.user, self.password) as client:
                for i in range(int(words[2])):
                    mail = f"From: s{i + 1}@example.net\r\nSubject: mail {i + 1}\r\nDate: Mon, 7 Feb 2022 21:52:25 -0800\r\n\r\nbody {i + 1}\r\n"
                    status, _ = client.append(words[1], None, None, mail.encode())
                    assert status == "OK"
        elif words[0] == "connect":
            connection = self.connect(words[1], sign_in=False, tls="tls" in words[2:])
            self.values["greeting"] = connection.greeting
        elif words[0] == "other":
            local, domain = self.user.split("@")
            user = self.others[words[1]] = self.values[f"user_{words[1]}"] = f"{local}-{words[1]}@{domain}"
            self.server.add_user(user)
        elif words[0] == "quota":
            self.server.ctl("user", "quota", self.user, *words[1:])
        elif words[0] == "start_tls":
            self.connections[words[1]].start_tls(self.server.tls_context())
        elif words[0] == "compress":
            self.connections[words[1]].compress()
        elif words[0] == "close":
            self.connections.pop(words[1]).close()
        else:
            raise TranscriptError(f"{self.path}:{number}: what is this: {text}")

    def step(self, number, kind, name, text, expected):
        if kind == "=":
            self.arrange(number, text)
            return
        connection = self.named(name)
        if kind == "<":
            self.wait_for(number, connection, expected)
            return
        if kind == ">":
            connection.command(self.outgoing(text))
        else:
            connection.send(self.outgoing(text))
        self.compare(number, expected, self.read_answer(connection))

    def run(self):
        try:
            for step in self.steps():
                self.step(*step)
        except (socket.timeout, ssl.SSLError) as err:
            raise TranscriptError(f"{self.path}:{step[0]}: {err}") from err
        finally:
            for connection in self.connections.values():
                connection.close()
