"""A Dovecot that keeps the same promise: every write on disk before it is acknowledged."""

import os
import pathlib
import pwd
import signal
import subprocess

from processes import await_port

CONF = """
base_dir = {run}
state_dir = {run}
log_path = {folder}/log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = {format}:{folder}/mail/%u
mail_fsync = {fsync}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
default_internal_user = dovecot
default_login_user = dovenull
default_process_limit = 1200
default_client_limit = 8000
mail_max_userip_connections = 100000
passdb {{
  driver = static
  args = password=holdfast
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  service_count = 0
  process_min_avail = 2
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  process_min_avail = 16
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
namespace inbox {{
  inbox = yes
}}
"""


class Dovecot:
    user = "user%u@example.org"
    any_user = "user%v@example.org"
    more = ""  # of the configuration

    def __init__(self, folder, base, format="sdbox"):
        self.name = f"Dovecot, {format}"
        self.format = format
        self.folder = pathlib.Path(folder)
        self.base = base
        self.process = None

    def port(self, name):
        return self.base + {"lmtp": 424, "imap": 143}[name]

    def start(self, fsync="always"):
        owner = pwd.getpwnam("nobody")
        (self.folder / "mail").mkdir(parents=True, exist_ok=True)
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        conf = self.folder / "dovecot.conf"
        conf.write_text(
            CONF.format(
                format=self.format, folder=self.folder, run=self.folder / "run", uid=owner.pw_uid, gid=owner.pw_gid,
                imap=self.port("imap"), lmtp=self.port("lmtp"), fsync=fsync,
            )
            + self.more
        )
        self.process = subprocess.Popen(["dovecot", "-F", "-c", conf])
        await_port(self.port("imap"))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def start_for_filling(self):
        """What is not measured need not be synced: a mailbox of a million takes an hour otherwise."""
        self.stop()
        self.start("never")

    def add_domain(self, name):
        """Everybody is known."""

    def add_user(self, address):
        """Everybody is known."""
