"""The configuration file, as holdfastd tells what is wrong with it."""

import pathlib
import subprocess

import pytest

from support.server import HOLDFASTD

ROOT = pathlib.Path(__file__).parent.parent
EX_CONFIG = 78


def check(tmp_path, text):
    file = tmp_path / "holdfast.conf"
    file.write_text(text)
    done = subprocess.run([HOLDFASTD, "--config", file, "--check"], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr.replace(str(file), "FILE")


def test_the_sample_is_right(tmp_path):
    sample = subprocess.run([HOLDFASTD, "--sample"], capture_output=True, text=True, check=True).stdout
    assert check(tmp_path, "user: root\n" + sample) == (0, "")


def test_the_sample_that_is_shipped_is_the_one_printed():
    sample = subprocess.run([HOLDFASTD, "--sample"], capture_output=True, text=True, check=True).stdout
    with (ROOT / "etc/holdfast.conf").open(encoding="utf-8") as shipped:
        assert shipped.read() == sample, "print it again: holdfastd --sample > etc/holdfast.conf"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("log:\n  levle: info\n", 'FILE:2: there is no setting "log.levle"'),
        ("logs:\n  level: info\n", 'FILE:1: there is no section "logs"'),
        ("log:\n  level: loud\n", 'FILE:2: log.level: "loud" is none of debug, info, warning, error'),
        ("log:\n  level: info\n  level: info\n", 'FILE:3: "log.level" stands here a second time'),
        ("net:\n  handshake_timeout: soon\n", "FILE:2: net.handshake_timeout: "),
        ("log: &a\n  level: info\n", "FILE:1: anchors and tags are not understood here"),
        ("user: root\ntls:\n  certificate: /nonexistent/file.pem\n  key: /nonexistent/key.pem\n", "FILE:3: tls.certificate: "),
        ("user: root\nadmin:\n  listen_tls: 127.0.0.1:1\n", "FILE:3: admin.listen_tls: needs tls.certificate"),
        (
            "user: root\nsmtp:\n  listen: 127.0.0.1:99999\n",
            'FILE:3: smtp.listen: "127.0.0.1:99999" is not address:port with a port up to 65535',
        ),
        ("user: root\npop3:\n  listen: 127.0.0.1:1, 127.0.0.1:65536\n", 'FILE:3: pop3.listen: "127.0.0.1:65536" is not'),
        ("user: root\nadmin:\n  listen: 127.0.0.1:99999\n", 'FILE:3: admin.listen: "127.0.0.1:99999" is not'),
        ("user: root\nimap:\n  listen: banana\n", 'FILE:3: imap.listen: "banana" is not address:port'),
        ("user: root\nimap:\n  listen: 127.0.0.1:imap\n", 'FILE:3: imap.listen: "127.0.0.1:imap" is not address:port'),
        ("user: root\nlmtp:\n  listen: '127.0.0.1:24 127.0.0.1:25'\n", "FILE:3: lmtp.listen: listen on "),
        ("user: root\nadmin:\n  listen: banana\n", 'FILE:3: admin.listen: "banana" is not address:port'),
        ("user: root\nimap:\n  listen_tls: 127.0.0.1:993\n", "FILE:3: imap.listen_tls: needs tls.certificate and tls.key"),
        (
            "user: root\ntls:\n  self_sign: yes\npop3:\n  listen_tls: 127.0.0.1:995\n",
            "FILE:5: pop3.listen_tls: needs tls.certificate and tls.key",
        ),
        ("user: root\ntls:\n  certificate: /etc/hostname\n", "FILE:3: tls.certificate: needs tls.key"),
        ("user: root\ntls:\n  key: /etc/hostname\n", "FILE:3: tls.key: needs tls.certificate"),
        (
            "user: root\ntls:\n  certificate: /etc/hostname\n  key: /etc/hostname\n  self_sign: yes\n",
            "FILE:3: tls.certificate: ",
        ),
        ("user: root\nserver:\n  name: mail example.org\n", "FILE:3: server.name: spaces and control characters"),
        ('user: root\nserver:\n  name: "mail\\texample.org"\n', "FILE:3: server.name: spaces and control characters"),
        ('user: root\nserver:\n  name: "mail\\r\\nexample.org"\n', "FILE:3: server.name: spaces and control characters"),
        ("user: no-such-user\n", "FILE:1: user: "),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path, text, complaint):
    code, said = check(tmp_path, text)
    assert code == EX_CONFIG
    assert said.startswith(complaint)
    assert said.count("\n") == 1


def test_a_certificate_that_will_be_made_is_no_fault(tmp_path):
    tls = f"tls:\n  certificate: {tmp_path}/certificate.pem\n  key: {tmp_path}/key.pem\n  self_sign: yes\n"
    assert check(tmp_path, f"user: root\n{tls}imap:\n  listen_tls: '127.0.0.1:993, [::1]:993'\n") == (0, "")
    assert not (tmp_path / "certificate.pem").exists()


def test_a_file_that_is_not_there_is_a_fault(tmp_path):
    done = subprocess.run(
        [HOLDFASTD, "--config", tmp_path / "none", "--check"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == EX_CONFIG
    assert "cannot be read" in done.stderr


def test_a_check_that_finds_nothing_says_so(tmp_path):
    file = tmp_path / "holdfast.conf"
    file.write_text("user: root\n")
    done = subprocess.run([HOLDFASTD, "--config", file, "--check"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file} is fine\n", "")


def test_a_fault_is_all_that_a_check_says(tmp_path):
    file = tmp_path / "holdfast.conf"
    file.write_text("log:\n  level: loud\n")
    done = subprocess.run([HOLDFASTD, "--config", file, "--check"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (EX_CONFIG, "")


def test_an_unknown_option_is_a_usage_error():
    done = subprocess.run([HOLDFASTD, "--chekc"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 64
