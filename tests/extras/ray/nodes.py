"""A Ray cluster on this machine, in a process of its own: `python nodes.py VARIABLES`.

VARIABLES is a JSON list: one machine of a core for each mapping of environment variables, the first
of them the head. Prints the address and the raylets' process numbers, the head's first, and the
head's own; ends when its standard input closes.
"""

import json
import os
import sys

from ray.cluster_utils import Cluster

SIZE = {"num_cpus": 1, "object_store_memory": 100 << 20}

# Ray lets its tasks give way to all other work (niceness 15): beside a busy test they would starve.
os.environ.update(RAY_worker_niceness="0")

if __name__ == "__main__":
    first, *others = json.loads(sys.argv[1])
    head = {**SIZE, "env_vars": first, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.head_node, *(cluster.add_node(**SIZE, env_vars=given) for given in others)]
    found = {
        "address": cluster.address,
        "raylets": [node.all_processes["raylet"][0].process.pid for node in nodes],
        "head": cluster.head_node.all_processes["gcs_server"][0].process.pid,
    }
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()
