"""A SCRAM-SHA-256 client (RFC 5802, RFC 7677), with or without channel binding, for smtplib and poplib alike:
`step` takes the server's bytes and gives the client's."""

import base64
import hashlib
import hmac
import os


class ScramError(Exception):
    pass


class Scram:
    def __init__(self, user, password, binding=None, header=None):
        self.password = password.encode()
        self.binding = binding or b""
        self.header = header or ("p=tls-exporter,," if binding else "n,,")
        self.nonce = base64.b64encode(os.urandom(18)).decode()
        self.first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"
        self.expected = None

    def step(self, challenge=b""):
        if not challenge:
            return (self.header + self.first).encode()
        fields = dict(part.split("=", 1) for part in challenge.decode().split(","))
        if "v" in fields:
            if base64.b64decode(fields["v"]) != self.expected:
                raise ScramError("the server does not know the password")
            return b""
        return self.final(challenge.decode(), fields)

    def final(self, challenge, fields):
        if not fields["r"].startswith(self.nonce):
            raise ScramError("not our nonce")
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]), int(fields["i"]))

        def mac(key, text):
            return hmac.digest(key, text, "sha256")

        bound = base64.b64encode(self.header.encode() + self.binding).decode()
        without_proof = f"c={bound},r={fields['r']}"
        message = f"{self.first},{challenge},{without_proof}".encode()
        client_key = mac(salted, b"Client Key")
        signature = mac(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.expected = mac(mac(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()
