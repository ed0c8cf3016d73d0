"""What outlives what. Runs last: it kills the cluster of the run."""

import json
import subprocess

from conftest import eventually


def pids(pattern):
    return sorted(subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split())


def containerd(cluster):
    return pids(f"containerd --config {cluster.directory}")


# A number that no other program on the machine has.
PROGRAM = "sleep 7743128"


def deploy(namespace, registry):
    namespace.run_pod("long", f"""
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: {registry}/e2e/tools:1, command: [{PROGRAM.replace(" ", ", '")}']}}
""")
    return status(namespace)


def status(namespace):
    return namespace.get("pod", "long", "-o", "jsonpath={.status.containerStatuses[0].containerID} "
                         "{.status.containerStatuses[0].restartCount} {.status.podIP}")


def test_killed_apus_and_containerd(namespace, registry, cluster):
    before = deploy(namespace, registry)
    programs = pids(f"^{PROGRAM}$")
    assert programs

    cluster.kill()
    assert pids(f"^{PROGRAM}$") == programs
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 30, "the pod, ready")
    assert status(namespace) == before and pids(f"^{PROGRAM}$") == programs

    runtime = containerd(cluster)
    assert runtime
    subprocess.run(["kill", "-9", *runtime], check=True)
    eventually(lambda: containerd(cluster) not in ([], runtime), 30, "a new containerd")
    eventually(lambda: namespace.kubectl("exec", "long", "--", "true", check=False).returncode == 0, 30, "exec again")
    assert status(namespace) == before and pids(f"^{PROGRAM}$") == programs

    cluster.kill()
    subprocess.run(["kill", "-9", *containerd(cluster)], check=True)
    cluster.start()
    eventually(lambda: namespace.kubectl("exec", "long", "--", "true", check=False).returncode == 0, 30, "exec again")
    assert status(namespace) == before and pids(f"^{PROGRAM}$") == programs

    assert cluster.stop() == 0
    assert pids(f"^{PROGRAM}$") == programs
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 30, "the pod, ready")
    assert status(namespace) == before


def test_down_leaves_nothing(namespace, registry, cluster):
    deploy(namespace, registry)
    assert cluster.stop() == 0
    result = cluster.down()
    assert result.returncode == 0, result.stderr
    assert pids(f"^{PROGRAM}$") == [] and containerd(cluster) == []
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    identity = json.loads((cluster.directory / "cluster.json").read_text())
    assert f"apus_{identity['clusterID']}" not in tables
    mounts = open("/proc/mounts").read()
    assert str(cluster.directory) not in mounts
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 60, "the pod, started anew")
