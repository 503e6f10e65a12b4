"""An IMAP client that hides nothing: answers as nested lists of what was sent."""

import re
import socket

STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S)
ESCAPE = re.compile(rb"\\(.)", re.S)
LITERAL = re.compile(rb"~?\{(\d+)\}\r\n")
ATOM = re.compile(rb"[^ ()]+")


def parse(data):
    """What stands in an answer: strings as bytes, NIL as None, lists as lists, all else as str."""
    open_lists = [[]]
    at = 0
    while at < len(data):
        byte = data[at : at + 1]
        if byte == b"(":
            open_lists.append([])
            at += 1
        elif byte == b")":
            done = open_lists.pop()
            open_lists[-1].append(done)
            at += 1
        elif byte == b" ":
            at += 1
        elif byte == b'"':
            string = STRING.match(data, at)
            open_lists[-1].append(ESCAPE.sub(rb"\1", string[1]) if b"\\" in string[1] else string[1])
            at = string.end()
        elif literal := LITERAL.match(data, at):
            at = literal.end() + int(literal[1])
            open_lists[-1].append(data[literal.end() : at])
        else:
            atom = ATOM.match(data, at)
            open_lists[-1].append(None if atom[0] == b"NIL" else atom[0].decode())
            at = atom.end()
    (whole,) = open_lists
    return whole


class ImapClient:
    def __init__(self, port, user, password):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.stream = self.socket.makefile("rb")
        self.stream.readline()
        self.ask(b"LOGIN %s %s" % (user.encode(), password.encode()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, command):
        self.socket.sendall(b"t " + command + b"\r\n")

    def read(self):
        """One answer with its literals, without its line break."""
        answer = b""
        while True:
            line = self.stream.readline()
            assert line.endswith(b"\r\n"), answer + line
            answer += line
            literal = re.search(rb"\{(\d+)\}\r\n$", line)
            if not literal:
                return answer[:-2]
            answer += self.stream.read(int(literal[1]))

    def finish(self):
        """What comes up to the tagged answer, and that."""
        untagged = []
        while (answer := self.read()).startswith((b"* ", b"+ ")):
            untagged.append(answer)
        return answer[2:], untagged

    def ask(self, command):
        self.send(command)
        tagged, untagged = self.finish()
        assert tagged.startswith(b"OK"), (command[:200], tagged)
        return untagged

    def fetch(self, messages, items):
        """{sequence number: {item: value}}"""
        found = {}
        for answer in self.ask(b"FETCH %s (%s)" % (messages.encode(), items.encode())):
            number, kind, rest = answer[2:].split(b" ", 2)
            if kind == b"FETCH":
                (values,) = parse(rest)
                found[int(number)] = dict(zip(values[::2], values[1::2]))
        return found

    def search(self, keys):
        (answer,) = [line for line in self.ask(b"UID SEARCH " + keys) if line.startswith(b"* SEARCH")]
        return {int(word) for word in answer.split()[2:]}
