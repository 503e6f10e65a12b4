"""Rows as a store keeps them, and damage to them, past everything that the server would do about it."""

import collections
import os
import pathlib
import random
import subprocess
import time

BUILD = pathlib.Path(os.environ.get("HOLDFAST_BUILD", pathlib.Path(__file__).parents[2] / "build"))

Row = collections.namedtuple("Row", "partition key version value")

# Kinds of rows in `message`: the first byte of their keys.
SUMMARY, PLACE, GONE = 1, 2, 3


class RocksRows:
    """Of a server that has been stopped."""

    def __init__(self, server):
        self.directory = server.data / "rows"

    def _run(self, table, verb, lines=""):
        command = [BUILD / "tests/damage/rocksdb_rows", self.directory, table, verb]
        done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dump(self, table):
        words = (line.split(" ") for line in self._run(table, "dump").splitlines())
        return [Row(bytes.fromhex(p), bytes.fromhex(k), int(version), bytes.fromhex(v)) for p, k, version, v in words]

    def put(self, table, rows):
        lines = (f"put {r.partition.hex()} {r.key.hex()} {r.version} {r.value.hex()}\n" for r in rows)
        self._run(table, "write", "".join(lines))

    def remove(self, table, rows):
        lines = (f"delete {r.partition.hex()} {r.key.hex()} {r.version}\n" for r in rows)
        self._run(table, "write", "".join(lines))


def index_file(server, address):
    account = server.ctl_json("user", "show", address)["account"]
    (file,) = (server.data / "index").glob(f"*/{account}.sqlite")
    return file


def change_index(file, sql):
    """Of a server that has been stopped, as if by a fault of its own: nothing in the file tells of it."""
    done = subprocess.run([BUILD / "tests/damage/index_rows", file, sql], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class CassandraRows:
    """Of a cluster, while nodes serve from it."""

    def __init__(self, session, keyspace):
        self.session, self.keyspace = session, keyspace

    def dump(self, table):
        found = self.session.execute(
            f"SELECT partition, key, writetime(value) AS version, value FROM {self.keyspace}.{table}"
        )
        return [Row(row.partition, row.key, row.version, row.value) for row in found]

    def put(self, table, rows):
        text = f"INSERT INTO {self.keyspace}.{table} (partition, key, value) VALUES (%s, %s, %s) USING TIMESTAMP %s"
        for row in rows:
            self.session.execute(text, (row.partition, row.key, row.value, row.version))

    def remove(self, table, rows):
        text = f"DELETE FROM {self.keyspace}.{table} USING TIMESTAMP %s WHERE partition = %s AND key = %s"
        for row in rows:
            self.session.execute(text, (row.version, row.partition, row.key))


def flipped(row, chance):
    """One bit of the value set that was not: of the same version, since at equal ones the larger value wins."""
    value = bytearray(row.value)
    while True:
        at, bit = chance.randrange(len(value)), 1 << chance.randrange(8)
        if not value[at] & bit:
            value[at] |= bit
            return row._replace(value=bytes(value))


def damage(store, table, share, seed, kind=None):
    """Deletes, flips, cuts and exchanges that share of the rows (of a kind), and four at least; what was done to
    how many."""
    chance = random.Random(seed)
    rows = [row for row in store.dump(table) if kind is None or row.key[0] == kind]
    count = min(len(rows), max(4, int(len(rows) * share)))
    chosen = chance.sample(rows, count)
    removed, bits, cut, exchanged = (chosen[n::4] for n in range(4))
    store.remove(table, removed)
    store.put(table, [flipped(row, chance) for row in bits])
    store.put(table, [row._replace(value=row.value[: len(row.value) // 2], version=row.version + 1) for row in cut])
    store.put(
        table,
        [row._replace(value=chance.choice(rows).value, version=row.version + 1) for row in exchanged],
    )
    return {"removed": len(removed), "flipped": len(bits), "cut": len(cut), "exchanged": len(exchanged)}


def resurrect(store, table, old, share, seed, kind=None):
    """Rows that were there once and are no longer, or are others now, come back as they were, as of now; how many."""
    now = {(row.partition, row.key): row.value for row in store.dump(table)}
    gone = [
        row
        for row in old
        if (kind is None or row.key[0] == kind) and now.get((row.partition, row.key)) != row.value
    ]
    chosen = random.Random(seed).sample(gone, min(len(gone), max(4, int(len(gone) * share))))
    store.put(table, [row._replace(version=int(time.time() * 1e6)) for row in chosen])
    return len(chosen)
