"""Stands between a server and one that it asks, and hands every request on late."""

import contextlib
import socket
import threading
import time


class SlowProxy:
    """`delay_s` may be changed at any time; it is of requests that come after."""

    def __init__(self, target_port):
        self.target = ("127.0.0.1", target_port)
        self.delay_s = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            self.open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source, sink, is_late):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_late and self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
