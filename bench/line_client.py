"""A client of IMAP and LMTP that is not what is measured."""

import socket


class LineClient:
    """Just enough of a client that the client is not what is measured."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb", 1 << 16)
        self.file.readline()

    def close(self):
        self.socket.close()

    def lmtp(self, line, expect=b"2"):
        self.socket.sendall(line)
        while True:
            answer = self.file.readline()
            if answer[3:4] != b"-":
                assert answer.startswith(expect), answer
                return

    def imap(self, line):
        """Sends one command; the lines of its answer, without literals."""
        self.socket.sendall(b"a " + line + b"\r\n")
        lines = []
        while True:
            answer = self.file.readline()
            lines.append(answer)
            if answer.startswith(b"a "):
                assert answer.startswith(b"a OK"), answer
                return lines
            if answer.endswith(b"}\r\n"):
                self.file.read(int(answer[answer.rindex(b"{") + 1 : -3]))
