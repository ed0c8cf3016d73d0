"""What outlives what. Runs last: it kills the cluster of the run."""

import subprocess

from conftest import eventually


def pids(pattern):
    return sorted(subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split())


def containerd(cluster):
    return pids(f"containerd --config {cluster.directory}")


def deploy(namespace, registry):
    namespace.run_pod("long", f"""
  containers:
  - {{name: main, image: {registry}/e2e/web:1, readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}}}
""")
    return status(namespace)


def status(namespace):
    return namespace.get("pod", "long", "-o", "jsonpath={.status.containerStatuses[0].containerID} "
                         "{.status.containerStatuses[0].restartCount} {.status.podIP}")


def test_killed_apus_and_containerd(namespace, registry, cluster):
    before = deploy(namespace, registry)
    programs = pids("httpd -f -p 8080")
    assert programs

    cluster.kill()
    assert pids("httpd -f -p 8080") == programs
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 30, "the pod, ready")
    assert status(namespace) == before and pids("httpd -f -p 8080") == programs

    runtime = containerd(cluster)
    assert runtime
    subprocess.run(["kill", "-9", *runtime], check=True)
    eventually(lambda: containerd(cluster) not in ([], runtime), 30, "a new containerd")
    eventually(lambda: namespace.kubectl("exec", "long", "--", "true", check=False).returncode == 0, 30, "exec again")
    assert status(namespace) == before and pids("httpd -f -p 8080") == programs

    cluster.kill()
    subprocess.run(["kill", "-9", *containerd(cluster)], check=True)
    cluster.start()
    eventually(lambda: namespace.kubectl("exec", "long", "--", "true", check=False).returncode == 0, 30, "exec again")
    assert status(namespace) == before and pids("httpd -f -p 8080") == programs

    assert cluster.stop() == 0
    assert pids("httpd -f -p 8080") == programs
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 30, "the pod, ready")
    assert status(namespace) == before


def test_down_leaves_nothing(namespace, registry, cluster):
    deploy(namespace, registry)
    assert cluster.stop() == 0
    result = cluster.down()
    assert result.returncode == 0, result.stderr
    assert pids("httpd -f -p 8080") == [] and containerd(cluster) == []
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    assert "apus" not in tables
    mounts = open("/proc/mounts").read()
    assert str(cluster.directory) not in mounts
    cluster.start()
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 60, "the pod, started anew")
