"""Stands in Tika's place where it must fail: a file says what comes of it ("please crash"), or what its text is ("say
something")."""

import collections
import contextlib
import socketserver
import threading
import time


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            while self.answer_one():
                pass

    def answer_one(self):
        line = self.rfile.readline()
        if not line:
            return False
        length = 0
        while (header := self.rfile.readline().strip()):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self.rfile.read(length)
        if line.startswith(b"GET /version "):
            return self.say(200, b"Apache Tika, not really")
        return self.become(body.decode().strip())

    def say(self, status, text=b""):
        self.wfile.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(text), text))
        return True

    def become(self, wish):
        fake = self.server.fake
        fake.asked[wish] += 1
        verb, _, what = wish.partition(" ")
        if verb == "say" or fake.is_mended:
            return self.say(200, b"mended" if fake.is_mended else what.encode())
        if what.isdigit():
            return self.say(int(what))
        if what == "garbage":
            self.wfile.write(b"\x00\xff nothing like HTTP\r\n" * 10)
        elif what == "silent":
            time.sleep(2)
        elif what == "cut":
            self.wfile.write(b"HTTP/1.1 200 x\r\nContent-Length: 1000\r\n\r\nhalf")
        elif what == "endless":
            self.wfile.write(b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                self.wfile.write(b"10000\r\n" + b"endless " * 0x2000 + b"\r\n")
        elif what == "crash":
            fake.go_away()
        return False


class FakeTika:
    def __init__(self):
        self.asked = collections.Counter()
        self.is_mended = False
        self.port = None
        self._listen()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._close()

    def _listen(self):
        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port or 0), Handler)
        self.server.daemon_threads = True
        self.server.fake = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def _close(self):
        self.server.shutdown()
        self.server.server_close()

    def go_away(self):
        """As a process that falls over, and is started again after a moment."""

        def come_back():
            self._close()
            time.sleep(0.3)
            self._listen()

        threading.Thread(target=come_back, daemon=True).start()
