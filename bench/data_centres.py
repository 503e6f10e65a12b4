"""What a cut link between two data centres costs: delivers mail by LMTP on one connection while the link is whole, cut
and whole again, notes how long each mail took and at which level writes went out, prints the figures and draws them.

    build-venv/bin/python bench/data_centres.py [--build build] [--svg docs/data-centres.svg]

Starts two data centres of three Cassandra nodes (tests/engines/README.md; as root, for the cut) and a server in the
first, and ends them. Nothing else should run on the machine."""

import argparse
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
BODY = "\r\n".join(f"{n:04} " + "lorem ipsum dolor sit amet " * 2 for n in range(70)) + "\r\n"  # 4 KiB
WARM_UP_S = 20
PRIMARY, FALLBACK = "each_quorum", "local_quorum"


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Deliveries(threading.Thread):
    """One after the other, until stopped."""

    def __init__(self, server, address):
        super().__init__()
        self.server, self.address = server, address
        self.seen = []  # (begun, seconds)
        self.is_stopped = False
        self.problem = None

    def run(self):
        try:
            with self.server.lmtp() as client:
                while not self.is_stopped:
                    begun = time.time()
                    client.sendmail("s@example.net", [self.address], f"Subject: {begun}\r\n\r\n{BODY}")
                    self.seen.append((begun, time.time() - begun))
        except Exception as error:
            self.problem = error

    def stop(self):
        self.is_stopped = True
        self.join()
        if self.problem:
            raise self.problem


class Levels:
    """When which level came in force for writes."""

    def __init__(self, server):
        self.server = server
        self.changes = []  # (since, level)

    def look(self):
        now = time.time()
        levels = self.server.ctl_json("consistency", "status")["levels"]
        write = next(level for level in levels if level["kind"] == "write")
        if not self.changes or self.changes[-1][1] != write["in_force"]:
            self.changes.append((now - write["in_force_ms"] / 1000, write["in_force"]))
        return write

    def watch(self, seconds):
        end = time.time() + seconds
        while time.time() < end:
            self.look()
            time.sleep(0.5)

    def watch_until(self, level, seconds):
        end = time.time() + seconds
        while self.look()["in_force"] != level:
            if time.time() > end:
                raise TimeoutError(f"writes are not at {level} after {seconds} s")
            time.sleep(0.5)

    def at(self, moment):
        return [level for since, level in self.changes if since <= moment][-1]


def measure(cluster, server, options):
    """(deliveries, levels, {what happened: when})"""
    deliveries, levels = Deliveries(server, "alice@example.org"), Levels(server)
    levels.look()
    deliveries.start()
    try:
        levels.watch(WARM_UP_S)
        events = {"begun": time.time()}
        levels.watch(options.before)
        cluster.partition("dc1", "dc2")
        events["cut"] = time.time()
        levels.watch(options.cut)
        cluster.heal()
        events["heal"] = time.time()
        levels.watch_until(PRIMARY, 180)
        levels.watch(options.after)
        events["ended"] = time.time()
    finally:
        deliveries.stop()
    deliveries.seen = [(begun, seconds) for begun, seconds in deliveries.seen if begun > events["begun"]]
    return deliveries.seen, levels, events


def parts(seen, levels, events):
    """(when writes fell back, when they came back, {phase: seconds of each delivery}). `first` are those under way
    when the link was cut, until the level fell."""
    fallen = next(since for since, level in levels.changes if level == FALLBACK)
    back = next(since for since, level in levels.changes if level == PRIMARY and since > fallen)
    return fallen, back, {
        "before": [seconds for begun, seconds in seen if begun + seconds < events["cut"]],
        "first": [seconds for begun, seconds in seen if begun + seconds >= events["cut"] and begun < fallen],
        "fallback": [seconds for begun, seconds in seen if begun >= fallen and begun + seconds < back],
        "after": [seconds for begun, seconds in seen if begun >= back],
    }


def machine(cluster):
    model = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    with cluster.session() as session:
        version = session.execute("SELECT release_version FROM system.local").one().release_version
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    return (
        f"{os.cpu_count()} processors ({model}), Linux {platform.release()}; Cassandra {version}, Paxos v2, "
        f"6 nodes on this machine; Holdfast {commit.strip()}; load {os.getloadavg()[0]:.1f}"
    )


def report(phases, events, fallen, back):
    lines = []
    for name in ("before", "fallback", "after"):
        ms = [seconds * 1000 for seconds in phases[name]]
        half, most, top = percentile(ms, 0.5), percentile(ms, 0.99), max(ms)
        lines.append(f"{name:9} {len(ms):6} mails  p50 {half:7.1f} ms  p99 {most:7.1f} ms  slowest {top:7.1f} ms")
    added = (percentile(phases["fallback"], 0.99) - percentile(phases["before"], 0.99)) * 1000
    lines.append(f"the first after the cut took {max(phases['first'], default=0) * 1000:.0f} ms")
    lines.append(
        f"at the fallback level {fallen - events['cut']:.2f} s after the cut, "
        f"back {back - events['heal']:.2f} s after the link was whole"
    )
    lines.append(f"p99 added by the fallback level: {added:+.1f} ms")
    return lines


WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 960, 420, 70, 70, 340
FLOOR_MS, CEILING_MS = 1, 10000


def draw(seen, levels, events, caption):
    """The level as a band, each mail as a dot over the time it began; milliseconds by decades."""
    begun, ended = events["begun"], events["ended"]

    def x(moment):
        return LEFT + (WIDTH - LEFT - 20) * (min(max(moment, begun), ended) - begun) / (ended - begun)

    def y(ms):
        share = math.log(min(max(ms, FLOOR_MS), CEILING_MS) / FLOOR_MS) / math.log(CEILING_MS / FLOOR_MS)
        return BOTTOM - (BOTTOM - TOP - 10) * share

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="15">Deliveries while the link between two data centres is cut</text>',
    ]
    for number, (since, level) in enumerate(levels.changes):
        until = levels.changes[number + 1][0] if number + 1 < len(levels.changes) else ended
        if until <= begun:
            continue
        fill = "#d7e8d4" if level == PRIMARY else "#f6dfc2"
        size = f'width="{x(until) - x(since):.1f}" height="{BOTTOM - 36}"'
        out.append(f'<rect x="{x(since):.1f}" y="36" {size} fill="{fill}"/>')
        out.append(f'<text x="{x(since) + 4:.1f}" y="52">{level}</text>')
    for decade in (1, 10, 100, 1000, 10000):
        out.append(f'<path d="M{LEFT} {y(decade):.1f}H{WIDTH - 20}" stroke="#999" stroke-width="0.5"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(decade) + 4:.1f}" text-anchor="end">{decade} ms</text>')
    for second in range(0, int(ended - begun) + 1, 10):
        out.append(f'<text x="{x(begun + second):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{second} s</text>')
    for name, word in (("cut", "link cut"), ("heal", "link whole")):
        out.append(f'<path d="M{x(events[name]):.1f} 36V{BOTTOM}" stroke="#b00" stroke-dasharray="4 3"/>')
        out.append(f'<text x="{x(events[name]) + 4:.1f}" y="{TOP}" fill="#b00">{word}</text>')
    dots = "".join(f"M{x(start):.1f} {y(seconds * 1000):.1f}h0" for start, seconds in seen)
    out.append(f'<path d="{dots}" stroke="#235" stroke-width="2.4" stroke-linecap="round" opacity="0.7"/>')
    for number, line in enumerate(caption):
        out.append(f'<text x="{LEFT}" y="{BOTTOM + 38 + 16 * number}" font-size="11">{line}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--build", default=ROOT / "build", type=pathlib.Path)
    arguments.add_argument("--svg", default=ROOT / "docs/data-centres.svg", type=pathlib.Path)
    for phase, seconds in (("before", 30), ("cut", 45), ("after", 20)):
        arguments.add_argument(f"--{phase}", default=seconds, type=float, help="seconds")
    options = arguments.parse_args()
    os.environ["HOLDFAST_CASSANDRA_JIT"] = "full"
    os.environ["HOLDFAST_BUILD"] = str(options.build.resolve())
    from support.engines import Cassandra
    from support.nodes import Nodes

    cluster = Cassandra()
    try:
        cluster.up(3, 2)
        with tempfile.TemporaryDirectory() as folder:
            nodes = Nodes(pathlib.Path(folder), cluster, "bench")
            nodes.make_schema()
            server = nodes.start()
            server.add_domain("example.org")
            server.add_user("alice@example.org")
            seen, levels, events = measure(cluster, server, options)
            about = machine(cluster)
            nodes.close()
    finally:
        cluster.down()
    fallen, back, phases = parts(seen, levels, events)
    lines = report(phases, events, fallen, back)
    print(about, *lines, sep="\n")
    options.svg.write_text(draw(seen, levels, events, [about, lines[-1]]))


main()
