"""A holdfastd for one test: its own data directory and ports, started, killed, restarted, and looked at
through holdfastctl. HOLDFAST_BUILD names the build directory that it comes from."""

import imaplib
import json
import os
import pathlib
import poplib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time
import uuid

BUILD = pathlib.Path(os.environ.get("HOLDFAST_BUILD", pathlib.Path(__file__).parents[2] / "build"))
HOLDFASTD = BUILD / "src/holdfastd"
HOLDFASTCTL = BUILD / "src/holdfastctl"
PASSWORD = "holdfast"
# Settings for every server of a run, as JSON: tests/engines runs tests over a cluster by them. Each server then has
# a keyspace of its own.
EVERYWHERE = json.loads(os.environ.get("HOLDFAST_TEST_SETTINGS", "{}"))
COMPLAINTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion `")

OFFSETS = {
    "smtp": 525,
    "submission": 587,
    "submission_tls": 465,
    "lmtp": 424,
    "imap": 143,
    "imap_tls": 993,
    "pop3": 110,
    "pop3_tls": 995,
    "admin": 80,
    "admin_tls": 443,
    "webmail": 880,
}


# Those of tests that run beside each other are apart.
FIRST_PORT = int(os.environ.get("HOLDFAST_PORTS", "10000"))
given_out = []


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port_base():
    """Below the ports that the system hands out by itself, apart for each test process. No two OFFSETS are a multiple of
    125 apart: servers of one process have no port in common."""
    for step in range(200):
        base = FIRST_PORT + (os.getpid() * 7 + step * 125) % 5000
        if base not in given_out and all(is_free(base + offset) for offset in OFFSETS.values()):
            given_out.append(base)
            del given_out[:-10]  # a long run of tests comes back to the first ones
            return base
    raise RuntimeError("no free ports")


class Server:
    def __init__(self, folder, settings=None):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.config = self.folder / "holdfast.conf"
        self.log = self.folder / "log"
        self.base = free_port_base()
        self.settings = settings or {}
        self.everywhere = dict(EVERYWHERE)
        if self.everywhere.get("engine.kind") == "cassandra":
            self.everywhere["cassandra.keyspace"] = f"server_{uuid.uuid4().hex[:16]}"
        self.has_schema = False
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.is_running():
            self.stop()
        if kind is None:
            self.check_log()

    def port(self, name):
        return self.base + OFFSETS[name]

    # ---- configuration ----

    def configuration(self):
        """{"section.key" or "key": value}; `settings` given by the test come last."""
        local = "127.0.0.1:{}".format
        values = {
            "log.level": "info",
            "server.name": "mail.example.org",
            "tls.certificate": self.folder / "certificate.pem",
            "tls.key": self.folder / "key.pem",
            "tls.self_sign": "yes",
            "smtp.listen": local(self.port("smtp")),
            "submission.listen": local(self.port("submission")),
            "submission.listen_tls": local(self.port("submission_tls")),
            "lmtp.listen": local(self.port("lmtp")),
            "imap.listen": local(self.port("imap")),
            "imap.listen_tls": local(self.port("imap_tls")),
            "pop3.listen": local(self.port("pop3")),
            "pop3.listen_tls": local(self.port("pop3_tls")),
            "rocksdb.min_free": "16 MiB",
            # Hashes that cost what they should would be most of what the tests wait for.
            "password.memory": "64 KiB",
            "password.rounds": "1",
            "password.scram_iterations": "4096",
        }
        if os.geteuid() == 0:
            values["user"] = "root"
        values.update(self.everywhere)
        values.update(self.settings)
        return values

    def write_configuration(self):
        sections = {}
        for name, value in self.configuration().items():
            section, _, key = name.rpartition(".")
            sections.setdefault(section, []).append((key, value))
        lines = []
        for section in sorted(sections):
            if section:
                lines.append(f"{section}:")
            indent = "  " if section else ""
            lines += [f'{indent}{key}: "{value}"' for key, value in sections[section]]
        self.config.write_text("\n".join(lines) + "\n")

    # ---- life ----

    def start(self, wait=True, prefix=()):
        self.write_configuration()
        if self.everywhere.get("engine.kind") == "cassandra" and not self.has_schema:
            self.ctl("--config", self.config, "schema", "create", seconds=300)
            self.has_schema = True
        with self.log.open("ab") as log:
            command = [*prefix, HOLDFASTD, "--config", self.config, "--data", self.data]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"holdfastd ended with {self.process.returncode}:\n{self.log_text()}")
            if self.ctl("ready", check=False).returncode == 0:
                return
            time.sleep(0.02)
        raise TimeoutError(f"holdfastd is not ready:\n{self.log_text()}")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        """SIGTERM, and a clean end."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert code == 0, f"holdfastd ended with {code}:\n{self.log_text()}"

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        """SIGHUP, and what the log says of it."""
        self.write_configuration()
        before = len(self.log_text())
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while "reload" not in self.log_text()[before:] and time.monotonic() < end:
            time.sleep(0.02)
        return self.log_text()[before:]

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def check_log(self):
        text = self.log_text()
        for complaint in COMPLAINTS:
            assert complaint not in text, text

    def alarms(self):
        """What it said at warning or above."""
        calm = (" info ", " debug ", '"level":"info"', '"level":"debug"')
        return [line for line in self.log_text().splitlines() if not any(level in line[:60] for level in calm)]

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    # ---- administration ----

    def ctl(self, *arguments, check=True, text=None, as_json=False, seconds=60):
        command = [HOLDFASTCTL, "--data", self.data, *(["--json"] if as_json else []), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def ctl_json(self, *arguments):
        return json.loads(self.ctl(*arguments, as_json=True).stdout)

    def add_domain(self, name):
        self.ctl("domain", "add", name)

    def add_user(self, address, password=PASSWORD):
        self.ctl("user", "add", address, text=password + "\n")

    def folders(self, address):
        return {folder["path"]: folder for folder in self.ctl_json("folder", "list", address)["folders"]}

    # ---- clients ----

    def tls_context(self):
        """Trusts the self-made certificate on nobody's word: the tests are not about that."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def imap(self, user="alice@example.org", password=PASSWORD, tls=False):
        if tls:
            client = imaplib.IMAP4_SSL("127.0.0.1", self.port("imap_tls"), ssl_context=self.tls_context())
        else:
            client = imaplib.IMAP4("127.0.0.1", self.port("imap"))
        if user:
            client.login(user, password)
        return client

    def pop3(self, user="alice@example.org", password=PASSWORD):
        client = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=30)
        if user:
            client.user(user)
            client.pass_(password)
        return client

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port("smtp"), timeout=60)

    def submission(self, user="alice@example.org", password=PASSWORD):
        client = smtplib.SMTP("127.0.0.1", self.port("submission"), timeout=60)
        client.starttls(context=self.tls_context())
        if user:
            client.login(user, password)
        return client

    def lmtp(self):
        return smtplib.LMTP("127.0.0.1", self.port("lmtp"))

    def deliver(self, content, to="alice@example.org", sender="sender@example.net"):
        """One mail by LMTP, on a connection of its own."""
        with self.lmtp() as client:
            return client.sendmail(sender, to if isinstance(to, list) else [to], content)


def needs(program):
    """The path of a client program that ./test has installed."""
    path = shutil.which(program)
    assert path, f"{program} is not installed: tools/install-packages test"
    return path
