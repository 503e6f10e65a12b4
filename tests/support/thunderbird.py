"""Thunderbird without a screen, with a profile of its own, driven by the protocol that its own tests use (Marionette)."""

import base64
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

from support.server import PASSWORD

PREFERENCES = {
    "mail.accountmanager.accounts": "account1",
    "mail.accountmanager.defaultaccount": "account1",
    "mail.account.account1.server": "server1",
    "mail.account.account1.identities": "id1",
    "mail.identity.id1.fullName": "Alice",
    "mail.identity.id1.valid": True,
    "mail.identity.id1.smtpServer": "smtp1",
    "mail.identity.id1.compose_html": False,
    "mail.server.server1.type": "imap",
    "mail.server.server1.hostname": "localhost",
    "mail.server.server1.socketType": 3,
    "mail.server.server1.authMethod": 3,
    "mail.server.server1.name": "Holdfast",
    "mail.server.server1.check_new_mail": True,
    "mail.server.server1.login_at_startup": False,
    "mail.server.server1.offline_download": True,
    "mail.server.server1.autosync_offline_stores": True,
    "mail.smtpservers": "smtp1",
    "mail.smtp.defaultserver": "smtp1",
    "mail.smtpserver.smtp1.hostname": "localhost",
    "mail.smtpserver.smtp1.try_ssl": 2,
    "mail.smtpserver.smtp1.authMethod": 3,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False,
    "mail.rights.version": 1,
    "app.update.enabled": False,
    "app.donation.eoy.version.viewed": 999,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "toolkit.telemetry.enabled": False,
    "browser.cache.disk.enable": False,
}

# As a person does who sees the certificate and then types the password, both to be kept.
TRUST = """
const [certificate, ports, user, password] = given;
const made = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).constructX509FromBase64(certificate);
const kept = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
for (const port of ports) kept.rememberValidityOverride("localhost", port, {}, made, false);
for (const scheme of ["imap", "smtp"]) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(`${scheme}://localhost`, null, `${scheme}://localhost`, user, password, "", "");
  await Services.logins.addLoginAsync(login);
}
"""

# For what the scripts of tests do.
COMMON = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const root = MailServices.accounts.accounts[0].incomingServer.rootFolder;
const pathOf = f => f.parent === root ? f.name : pathOf(f.parent) + "/" + f.name;
const folder = path => root.descendants.find(f => pathOf(f) === path);
const messages = path => [...folder(path).messages];
const message = (path, subject) => messages(path).find(m => m.mime2DecodedSubject === subject);
const until = work => new Promise((resolve, reject) => work((status, said) => status ? reject(said ?? status.toString(16)) : resolve()));
"""


class Thunderbird:
    def __init__(self, program, folder, server, address):
        self.folder = folder
        self.profile = folder / "profile"
        self.profile.mkdir(parents=True)
        port = server.port("webmail")
        preferences = dict(PREFERENCES)
        preferences |= {
            "marionette.port": port,
            "mail.identity.id1.useremail": address,
            "mail.server.server1.userName": address,
            "mail.server.server1.port": server.port("imap_tls"),
            "mail.smtpserver.smtp1.username": address,
            "mail.smtpserver.smtp1.port": server.port("submission"),
        }
        (self.profile / "user.js").write_text("".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()))
        self.output = (folder / "output").open("wb")
        command = [program, "--headless", "--no-remote", "--profile", self.profile, "--marionette", "--remote-allow-system-access"]
        environment = dict(os.environ, HOME=str(folder))
        self.process = subprocess.Popen(command, stdout=self.output, stderr=self.output, env=environment, start_new_session=True)
        self.connection = self.connect(port)
        self.received = b""
        self.read()
        self.number = 0
        self.call("WebDriver:NewSession", capabilities={})
        self.call("WebDriver:SetTimeouts", script=60000)
        self.call("Marionette:SetContext", value="chrome")
        certificate = ssl.PEM_cert_to_DER_cert((server.folder / "certificate.pem").read_text())
        ports = [server.port("imap_tls"), server.port("submission")]
        self.run(TRUST, base64.b64encode(certificate).decode(), ports, address, PASSWORD)

    def connect(self, port):
        end = time.monotonic() + 120
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=600)
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, (self.folder / "output").read_text()
                time.sleep(0.1)

    def read(self):
        while b":" not in self.received:
            self.received += self.connection.recv(65536)
        length, _, rest = self.received.partition(b":")
        while len(rest) < int(length):
            got = self.connection.recv(65536)
            assert got, "Thunderbird has gone"
            rest += got
        self.received = rest[int(length) :]
        return json.loads(rest[: int(length)])

    def call(self, name, **arguments):
        self.number += 1
        message = json.dumps([0, self.number, name, arguments]).encode()
        self.connection.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self.read()
        assert number == self.number and error is None, error
        return result

    def run(self, script, *arguments):
        """What the body of an async function returns."""
        body = (
            "const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);"
            + COMMON
            + "(async () => {" + script + "})().then(value => done({value: value ?? null}), error => done({error: String(error) + error?.stack}))"
        )
        answer = self.call("WebDriver:ExecuteAsyncScript", script=body, args=list(arguments), newSandbox=True)["value"]
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def folders(self):
        return self.run("return root.descendants.map(pathOf)")

    def stored(self, name):
        """The messages of its own file, an mbox with what it notes of each in fields before the others."""
        kept = (self.profile / "ImapMail/localhost" / name).read_bytes()
        found = []
        for one in re.split(rb"(?:^|(?<=\n))From [^\r\n]*\r?\n", kept)[1:]:
            while one.startswith(b"X-Mozilla-"):
                one = one.partition(b"\n")[2]
            found.append(re.sub(rb"(?m)^>(>*From )", rb"\1", one).removesuffix(b"\r\n"))  # an empty line stands between two
        return found

    def send(self, file, to):
        self.run(
            "const fields = Cc['@mozilla.org/messengercompose/composefields;1'].createInstance(Ci.nsIMsgCompFields);"
            "const identity = MailServices.accounts.accounts[0].defaultIdentity;"
            "fields.from = identity.email; fields.to = given[1];"
            "const file = Cc['@mozilla.org/file/local;1'].createInstance(Ci.nsIFile); file.initWithPath(given[0]);"
            "await until(done => Cc['@mozilla.org/messengercompose/send;1'].createInstance(Ci.nsIMsgSend).sendMessageFile("
            " identity, MailServices.accounts.accounts[0].key, fields, file, false, false, Ci.nsIMsgSend.nsMsgDeliverNow, null, {"
            " onStartSending() {}, onSendProgress() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {}, onSendNotPerformed() {},"
            " onTransportSecurityError() {}, onStopSending(id, status, message) { done(status); } }, null, ''));",
            str(file),
            to,
        )

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(60)
        self.output.close()
