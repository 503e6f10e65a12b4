"""Debian's Dovecot as somebody else's server: the one of the benchmarks. Everybody is known, with one password."""

import contextlib
import pathlib
import sys
import tempfile

from support.server import free_port_base

sys.path.append(str(pathlib.Path(__file__).parents[2] / "bench"))

from dovecot import Dovecot  # noqa: E402


@contextlib.contextmanager
def running():
    # Its processes run as somebody else, who cannot look into the folders of the tests.
    with tempfile.TemporaryDirectory(prefix="dovecot") as folder:
        made = Dovecot(folder, free_port_base(), "maildir")
        made.start("never")
        try:
            yield made
        finally:
            made.stop()
