"""A certificate authority of a test's own."""

import pathlib
import subprocess


def make(folder, name):
    """In `folder`: ca.pem, and certificate.pem with key.pem by it, for 127.0.0.1 and for `name`."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / "names").write_text(f"subjectAltName = IP:127.0.0.1, DNS:{name}\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2",
        f"req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN={name}",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -out certificate.pem -days 2 -extfile names",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder
