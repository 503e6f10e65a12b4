"""Debian's Cyrus, unpacked by bench/run: its package cannot be installed beside Dovecot's."""

import os
import pathlib
import pwd
import signal
import subprocess

from processes import await_port

ROOT = pathlib.Path(__file__).parents[1] / "build-bench/cyrus"
BIN = ROOT / "usr/lib/cyrus/bin"

IMAPD_CONF = """
configdirectory: {folder}/conf
partition-default: {folder}/mail
defaultpartition: default
cyrus_user: nobody
admins: cyrus
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
unixhierarchysep: yes
altnamespace: yes
virtdomains: off
autocreate_quota: 0
autocreate_post: yes
lmtpsocket: {folder}/conf/socket/lmtp
idlesocket: {folder}/conf/socket/idle
notifysocket: {folder}/conf/socket/notify
proc_path: {folder}/conf/proc
mboxname_lockpath: {folder}/conf/lock
duplicatesuppression: no
conversations: no
"""

CYRUS_CONF = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {folder}/imapd.conf -r"
  idled cmd="{bin}/idled -C {folder}/imapd.conf"
}}
SERVICES {{
  imap cmd="{bin}/imapd -C {folder}/imapd.conf -U 1000000" listen="127.0.0.1:{imap}" prefork=4 maxchild=2000
  lmtp cmd="{bin}/lmtpd -C {folder}/imapd.conf -a" listen="127.0.0.1:{lmtp}" prefork=4 maxchild=200
}}
EVENTS {{
}}
"""


class Cyrus:
    name = "Cyrus"
    user = "user%u"
    any_user = "user%v"

    def __init__(self, folder, base):
        self.folder = pathlib.Path(folder)
        self.base = base
        self.process = None

    def port(self, name):
        return self.base + {"lmtp": 424, "imap": 143}[name]

    def start(self):
        owner = pwd.getpwnam("nobody")
        self.folder.chmod(0o755)
        for name in ("mail", "conf", "conf/socket", "conf/db", "conf/proc", "conf/lock"):
            path = self.folder / name
            path.mkdir(exist_ok=True)
            os.chown(path, owner.pw_uid, owner.pw_gid)
        places = {"folder": self.folder, "bin": BIN, "imap": self.port("imap"), "lmtp": self.port("lmtp")}
        (self.folder / "imapd.conf").write_text(IMAPD_CONF.format(**places))
        (self.folder / "cyrus.conf").write_text(CYRUS_CONF.format(**places))
        self.process = subprocess.Popen(
            [BIN / "master", "-C", self.folder / "imapd.conf", "-M", self.folder / "cyrus.conf", "-p", self.folder / "pid"],
            env={**os.environ, "LD_LIBRARY_PATH": str(ROOT / "usr/lib/x86_64-linux-gnu")},
        )  # fmt: skip
        await_port(self.port("imap"))
        await_port(self.port("lmtp"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def start_for_filling(self):
        """As it is: it has no other way."""

    def add_domain(self, name):
        """Everybody is known."""

    def add_user(self, address):
        """Everybody is known, and has an INBOX with the first mail or sign-in."""
