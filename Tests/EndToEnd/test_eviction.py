"""What a node does when pods take more than they may."""

import json

from conftest import eventually


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
