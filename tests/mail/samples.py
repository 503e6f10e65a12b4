"""The mails: our own hostile ones, and what Debian's packages ship (tools/install-mail-samples)."""

import pathlib

from corpora import hostile

UNPACKED = pathlib.Path(__file__).parents[2] / "build-samples"


def shipped():
    assert (UNPACKED / "unpacked").exists(), "there are no sample mails: tools/install-mail-samples"
    files = sorted(file for file in UNPACKED.glob("*/**/*") if file.is_file())
    # An empty file is no mail, and is refused.
    return {str(file.relative_to(UNPACKED)): content for file in files if (content := file.read_bytes())}


def everything():
    return {**hostile.MESSAGES, **shipped()}
