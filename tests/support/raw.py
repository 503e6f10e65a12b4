"""A line-by-line client that does exactly what it is told: for what well-behaved libraries never send."""

import contextlib
import socket

TIMEOUT = 20


class Raw:
    def __init__(self, port, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.stream = self.socket.makefile("rb")
        self.greeting = self.line() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def send_bytewise(self, data):
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data if isinstance(data, bytes) else data.encode():
            self.socket.sendall(bytes([byte]))

    def line(self):
        return self.stream.readline().decode().rstrip("\r\n")

    def reply(self):
        """One SMTP reply: its last line; "" at the end."""
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def say(self, command):
        self.send(command + "\r\n")
        return self.reply()

    def say_all(self, *commands):
        return [self.say(command) for command in commands]

    def dotted(self):
        """A POP3 answer of several lines, without its dot."""
        lines = []
        while (line := self.line()) != ".":
            lines.append(line)
        return lines

    def is_closed(self):
        """Nothing more comes, and then the end."""
        return self.stream.read() == b""

    def start_tls(self, context):
        self.stream.close()
        self.socket = context.wrap_socket(self.socket)
        self.stream = self.socket.makefile("rb")

    def cut(self):
        """As a line that breaks: no goodbye, whatever was not read is lost."""
        with contextlib.suppress(OSError):
            self.stream.close()
            self.socket.close()

    def close(self):
        self.cut()
