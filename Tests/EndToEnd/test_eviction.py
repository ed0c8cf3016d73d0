"""What a node does when pods take more than they may."""

import json
import shutil
import tempfile

from conftest import Cluster, Namespace, eventually


def status(namespace, pod):
    return json.loads(namespace.get("pod", pod, "-o", "json"))["status"]


def evicted(namespace, pod):
    found = status(namespace, pod)
    return found if found.get("reason") == "Evicted" else None


def test_limits_of_local_storage(namespace, registry):
    def pod(name, resources, volumes, command):
        namespace.run_pod(name, f"""
  terminationGracePeriodSeconds: 1
  restartPolicy: Never
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sh, -c, "{command}; sleep 3600"]
    resources: {resources}
    volumeMounts: [{{name: scratch, mountPath: /scratch}}]
  volumes: [{{name: scratch, emptyDir: {volumes}}}]
""", wait=False)
    fill = "dd if=/dev/zero of=%s/file bs=1M count=8"
    pod("volume", "{}", "{sizeLimit: 1Mi}", fill % "/scratch")
    pod("layer", "{limits: {ephemeral-storage: 2Mi}}", "{}", fill % "/tmp")
    pod("modest", "{limits: {ephemeral-storage: 64Mi}}", "{sizeLimit: 32Mi}", fill % "/scratch")
    found = eventually(lambda: evicted(namespace, "volume"), what="the eviction for the volume")
    assert found["phase"] == "Failed"
    assert found["message"] == 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '
    condition = next(c for c in found["conditions"] if c["type"] == "DisruptionTarget")
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
    found = eventually(lambda: evicted(namespace, "layer"), what="the eviction for the written layer")
    assert "exceeds the total limit of containers 2Mi" in found["message"]
    eventually(
        lambda: "terminated" in status(namespace, "volume")["containerStatuses"][0]["state"], what="the container's end")
    assert status(namespace, "modest").get("reason") is None
    eventually(lambda: "Evicted" in namespace.get("events"), what="the event")


def test_node_pressure(registry):
    """A node that always has too few process ids left: it says so, evicts, and refuses."""
    directory = tempfile.mkdtemp(prefix="apus-e2e-pressure.")
    cluster = Cluster(directory)
    pod = f"""
apiVersion: v1
kind: Pod
metadata: {{name: %s}}
spec:
  nodeName: %s
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: {registry}/e2e/tools:1, command: [sleep, "3600"]}}]
"""
    try:
        cluster.start()
        space = Namespace(cluster, "default")
        eventually(lambda: space.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
        eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
        node = cluster.get("nodes", "-o", "jsonpath={.items[0].metadata.name}")
        space.apply(pod % ("early", node))
        space.kubectl("wait", "--for=condition=Ready", "pod/early", "--timeout=45s")
        cluster.stop()
        cluster.arguments += ["--eviction-hard", "pid.available<100%"]
        cluster.start()
        found = eventually(lambda: evicted(space, "early"), what="the eviction")
        assert found["message"].startswith("The node was low on resource: pids. Threshold quantity: ")

        def pressure():
            kind = "jsonpath={.status.conditions[?(@.type=='PIDPressure')].status}"
            taints = cluster.get("node", node, "-o", "jsonpath={.spec.taints[*].key}")
            return cluster.get("node", node, "-o", kind) == "True" and "node.kubernetes.io/pid-pressure" in taints
        eventually(pressure, what="the condition and its taint")
        space.apply(pod % ("late", node))
        found = eventually(lambda: evicted(space, "late"), what="the refusal")
        assert found["message"] == "The node had condition: [PIDPressure]. "
    finally:
        if cluster.process and cluster.process.poll() is None:
            cluster.stop()
        cluster.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)
