"""Who webhooks tell: an HTTP server that does to each request what the test says, and keeps what came."""

import hashlib
import hmac
import http.server
import json
import re
import ssl
import threading
import time


class Receiver:
    """`behave[path]` is a list: each request takes one answer off its front, then all are taken (204). An answer is a
    status, (status, headers), or "hang". `fails_first`: the paths at which each event fails when it comes first.
    `certificates`: a folder of support.certificates, for HTTPS."""

    def __init__(self, key, certificates=None):
        self.key = key
        self.behave = {}
        self.fails_first = set()
        self.events = []  # (path, body, when, status) of what came rightly signed
        self.faults = []
        self.lock = threading.Lock()
        self.released = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver._take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, request):
        text = request.rfile.read(int(request.headers["Content-Length"]))
        fault = self.fault_of(request.headers["Holdfast-Signature"], text)
        body = json.loads(text)
        if request.headers["Holdfast-Event"] != body["id"] or request.headers["Content-Type"] != "application/json":
            fault = "the headers are wrong"
        with self.lock:
            waiting = self.behave.get(request.path, [])
            answer = waiting.pop(0) if waiting else 204
            if request.path in self.fails_first and not any((request.path, body["id"]) == (at, seen["id"]) for at, seen, _, _ in self.events):
                answer = 500
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.events.append((request.path, body, time.time(), status))
            if fault:
                self.faults.append(fault)
        if status == "hang":
            self.released.wait(60)
            request.close_connection = True
            return
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def fault_of(self, signature, text):
        """As docs/operating.md tells receivers to check it."""
        parts = re.fullmatch(r"key=([0-9a-f]{8}), time=(\d+), sha256=([0-9a-f]{64})", signature)
        if not parts or parts[1] != hashlib.sha256(self.key).hexdigest()[:8]:
            return "it is signed by another key"
        if abs(time.time() - int(parts[2])) > 300:
            return "it is old: it may have been sent by somebody who heard it"
        expected = hmac.new(self.key, parts[2].encode() + b"." + text, hashlib.sha256).hexdigest()
        return None if hmac.compare_digest(expected, parts[3]) else "the signature is wrong"

    def of(self, path, address):
        with self.lock:
            return [(body, when, status) for at, body, when, status in self.events if at == path and body["account"] == address]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        assert not self.faults, self.faults
