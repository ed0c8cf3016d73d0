"""Static pods, and pods that change their size while they run."""

import json

from conftest import eventually


def test_static_pod(cluster, registry):
    directory = cluster.directory / "manifests"
    directory.mkdir(exist_ok=True)
    node = cluster.get("nodes", "-o", "jsonpath={.items[0].metadata.name}")
    manifest = f"""
apiVersion: v1
kind: Pod
metadata: {{name: fixed, labels: {{version: one}}}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{{name: main, image: {registry}/e2e/tools:1, command: [sleep, "3600"]}}]
"""
    name = f"fixed-{node}"

    def pod():
        found = json.loads(cluster.get("pod", name, "-o", "json"))
        return found if found["status"]["phase"] == "Running" else None
    try:
        (directory / "fixed.yaml").write_text(manifest)
        first = eventually(pod, what="the pod of the file")
        assert first["metadata"]["annotations"]["kubernetes.io/config.source"] == "file"
        cluster.kubectl("delete", "pod", name, "--wait=false")
        eventually(lambda: (pod() or first)["metadata"]["uid"] != first["metadata"]["uid"], what="the pod's return")
        (directory / "fixed.yaml").write_text(manifest.replace("one", "two"))
        eventually(lambda: (pod() or first)["metadata"]["labels"]["version"] == "two", what="the changed pod")
    finally:
        (directory / "fixed.yaml").unlink()
    eventually(lambda: cluster.kubectl("get", "pod", name, check=False).returncode == 1, what="the pod's end")


def test_resize_in_place(namespace, registry):
    namespace.run_pod("worker", f"""
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sleep, "3600"]
    resources: {{requests: {{cpu: 100m, memory: 32Mi}}, limits: {{cpu: 200m, memory: 64Mi}}}}
    resizePolicy: [{{resourceName: memory, restartPolicy: RestartContainer}}]
""")

    def resize(resources):
        patch = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
        namespace.kubectl("patch", "pod", "worker", "--subresource", "resize", "-p", json.dumps(patch))

    def container():
        return json.loads(namespace.get("pod", "worker", "-o", "json"))["status"]["containerStatuses"][0]
    resize({"requests": {"cpu": "150m"}, "limits": {"cpu": "300m"}})
    eventually(lambda: container()["resources"]["limits"]["cpu"] == "300m", what="the new limit in the status")
    quota = ("cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max")
    assert namespace.kubectl("exec", "worker", "--", "sh", "-c", quota).stdout.strip() == "30000"
    assert container()["restartCount"] == 0
    resize({"limits": {"memory": "96Mi"}})
    eventually(
        lambda: container()["restartCount"] == 1 and "running" in container()["state"], what="the restart with more memory")
    assert container()["resources"]["limits"]["memory"] == "96Mi"
    resize({"requests": {"cpu": "900"}, "limits": {"cpu": "1000"}})
    reason = ("jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}")
    eventually(lambda: namespace.get("pod", "worker", "-o", reason) == "Infeasible", what="the refusal")
    assert container()["resources"]["limits"]["cpu"] == "300m"
