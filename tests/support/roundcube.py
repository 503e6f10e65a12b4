"""Roundcube as Debian packages it, served by PHP's own web server, with configuration, database, temporary files and
logs in a folder of the test."""

import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import urllib.request

from support.server import needs

PROGRAM = pathlib.Path("/var/lib/roundcube")
DEFAULTS = pathlib.Path("/etc/roundcube")

CONFIGURATION = """<?php
$config['db_dsnw'] = 'sqlite:///{folder}/roundcube.db';
$config['imap_host'] = 'ssl://localhost:{imap}';
$config['smtp_host'] = 'tls://localhost:{submission}';
$config['imap_conn_options'] = $config['smtp_conn_options'] = ['ssl' => ['cafile' => '{certificate}', 'verify_peer' => true]];
$config['des_key'] = 'as many as it is to have';
$config['log_dir'] = '{folder}/logs/';
$config['temp_dir'] = '{folder}/temp/';
$config['language'] = 'en_GB';
$config['timezone'] = 'UTC';
$config['plugins'] = [];
$config['skip_deleted'] = true;
$config['check_all_folders'] = true;
$config['imap_cache'] = $config['messages_cache'] = 'db';
"""


class Roundcube:
    def __init__(self, folder, server):
        self.folder = folder
        folder.mkdir()
        for name in ("config", "logs", "temp"):
            (folder / name).mkdir()
        for name in ("defaults.inc.php", "mimetypes.php"):
            (folder / "config" / name).symlink_to(DEFAULTS / name)
        (folder / "config/config.inc.php").write_text(
            CONFIGURATION.replace("{folder}", str(folder))
            .replace("{imap}", str(server.port("imap_tls")))
            .replace("{submission}", str(server.port("submission")))
            .replace("{certificate}", str(server.folder / "certificate.pem"))
        )
        with sqlite3.connect(folder / "roundcube.db") as database:
            database.executescript((PROGRAM / "SQL/sqlite.initial.sql").read_text())
        database.close()
        address = f"127.0.0.1:{server.port('webmail')}"
        self.url = f"http://{address}/"
        self.output = (folder / "output").open("wb")
        environment = dict(os.environ, ROUNDCUBE_CONFIG_DIR=str(folder / "config"), PHP_CLI_SERVER_WORKERS="3")
        command = [needs("php8.2"), "-d", "opcache.enable_cli=1", "-d", f"session.save_path={folder}/temp", "-S", address, "-t", PROGRAM]
        # A group of its own: the workers do not end by themselves.
        self.process = subprocess.Popen(command, env=environment, stdout=self.output, stderr=self.output, start_new_session=True)
        self.wait_until_ready()

    def wait_until_ready(self):
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(self.url, timeout=60) as answer:
                    assert b"rcmlogin" in answer.read()
                    return
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, (self.folder / "output").read_text()
                time.sleep(0.05)

    def close(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(30)
        self.output.close()

    def log(self, name):
        path = self.folder / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""
