"""Several holdfastd over one cluster."""

import contextlib

from support.server import Server


def cassandra_settings(cluster, keyspace, datacentre=1):
    """Of a node in a data centre (1, 2) of the cluster."""
    first = (datacentre - 1) * cluster.nodes + 1
    contacts = [cluster.address(node) for node in range(first, first + cluster.nodes)]
    copies = min(cluster.nodes, 3)
    settings = {
        "engine.kind": "cassandra",
        "consistency.data_centre": f"dc{datacentre}",
        "cassandra.contact_points": ", ".join(contacts),
        "cassandra.keyspace": keyspace,
        "cassandra.replication": ", ".join(f"dc{n + 1}={copies}" for n in range(cluster.datacentres)),
    }
    if cluster.datacentres > 1:
        settings["consistency.preset"] = "multi-dc"
    return settings


class Nodes:
    """Servers over one keyspace, whose tables the first one's settings make."""

    def __init__(self, folder, cluster, keyspace):
        self.folder, self.cluster, self.keyspace = folder, cluster, keyspace
        self.servers = []

    def make_schema(self):
        maker = self.new()
        maker.write_configuration()
        maker.ctl("--config", maker.config, "schema", "create", seconds=300)
        self.servers.remove(maker)

    def new(self, datacentre=1, **settings):
        """One more server, not started; settings as `section__key`."""
        folder = self.folder / f"node{len(self.servers) + 1}"
        folder.mkdir(exist_ok=True)
        more = {name.replace("__", "."): value for name, value in settings.items()}
        server = Server(folder, {**cassandra_settings(self.cluster, self.keyspace, datacentre), **more})
        self.servers.append(server)
        return server

    def start(self, datacentre=1, **settings):
        return self.new(datacentre, **settings).start()

    def close(self):
        for server in self.servers:
            if server.is_running():
                server.stop()
            server.check_log()


@contextlib.contextmanager
def nodes_over(folder, cluster, keyspace, count=2):
    """`count` running nodes with example.org, alice and bob."""
    nodes = Nodes(folder, cluster, keyspace)
    nodes.make_schema()
    try:
        for _ in range(count):
            nodes.start()
        first = nodes.servers[0]
        first.add_domain("example.org")
        first.add_user("alice@example.org")
        first.add_user("bob@example.org")
        yield nodes
    except BaseException:
        for server in nodes.servers:
            if server.is_running():
                server.kill()
        raise
    else:
        nodes.close()
