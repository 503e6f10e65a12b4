"""mbsync between alice's mailboxes and Maildirs in a folder."""

import subprocess

from support.server import PASSWORD, needs


def start(folder, server, near="near"):
    configuration = folder / "mbsyncrc"
    (folder / near).mkdir(exist_ok=True)
    configuration.write_text(
        f"""IMAPAccount holdfast
Host 127.0.0.1
Port {server.port("imap_tls")}
User alice@example.org
Pass {PASSWORD}
SSLType IMAPS
CertificateFile {server.folder}/certificate.pem
SystemCertificates no

IMAPStore far
Account holdfast

MaildirStore near
Path {folder}/{near}/
Inbox {folder}/{near}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""
    )
    return subprocess.Popen(
        [needs("mbsync"), "-c", configuration, "-a"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def synchronise(folder, server, near="near"):
    process = start(folder, server, near)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
