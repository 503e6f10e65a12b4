"""Of a server: when it listens, and what its process and all that came of it cost."""

import contextlib
import os
import pathlib
import socket
import time

TICKS = os.sysconf("SC_CLK_TCK")


def await_port(port, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise TimeoutError(f"nobody listens on port {port}")


def fields_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def tree(root):
    """The process and its descendants, by pid."""
    parents = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int(fields_of(process.name)[1])
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def cpu_seconds(root):
    """Spent by them, and by those of them that have ended."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += sum(int(ticks) for ticks in fields_of(pid)[11:15])
    return total / TICKS


def memory_kib(root):
    """Shared pages are divided among those that share them (PSS)."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            total += int(pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().split("\nPss:")[1].split()[0])
    return total
