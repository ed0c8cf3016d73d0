"""Persistent volumes: made by hand and by the node, bound, mounted, kept and removed."""

import json
import pathlib

from conftest import eventually

CLASS = """
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: %s}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"""


def claim(name, *, size="1Mi", storage_class=None, extra=""):
    chosen = "" if storage_class is None else f"\n  storageClassName: \"{storage_class}\""
    return (f"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n"
            f"  accessModes: [ReadWriteOnce]\n  resources: {{requests: {{storage: {size}}}}}{chosen}\n{extra}")


def pod_spec(registry, claim_name, command="sleep 3600"):
    return f"""
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sh, -c, "{command}"]
    volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim_name}}}}}]
"""


def phase(namespace, name):
    return namespace.get("pvc", name, "-o", "jsonpath={.status.phase}")


def test_default_class_makes_a_volume_and_removes_it(cluster, namespace, registry):
    namespace.apply(claim("data"))
    assert namespace.get("pvc", "data", "-o", "jsonpath={.spec.storageClassName}") == "local"
    eventually(lambda: "WaitForFirstConsumer" in namespace.get("events"), what="the event")
    assert phase(namespace, "data") == "Pending"
    namespace.run_pod("writer", pod_spec(registry, "data", "echo kept > /data/file && sleep 3600"))
    assert phase(namespace, "data") == "Bound"
    volume = namespace.get("pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    path = pathlib.Path(cluster.get("pv", volume, "-o", "jsonpath={.spec.local.path}"))
    eventually(lambda: (path / "file").read_text() == "kept\n", what="the file")

    # A claim in use waits for its pod; the data of the volume are there for the next one.
    namespace.kubectl("delete", "pod", "writer")
    namespace.run_pod("reader", pod_spec(registry, "data", "cat /data/file && sleep 3600"))
    eventually(lambda: namespace.kubectl("logs", "reader").stdout == "kept\n", what="the old content")
    namespace.kubectl("delete", "pvc", "data", "--wait=false")
    assert phase(namespace, "data") == "Bound"
    namespace.kubectl("delete", "pod", "reader")
    eventually(lambda: cluster.kubectl("get", "pv", volume, check=False).returncode == 1, what="the volume's removal")
    assert not path.exists()


def test_made_by_hand(cluster, namespace, registry, tmp_path):
    name = namespace.name
    node = cluster.get("nodes", "-o", "jsonpath={.items[0].metadata.name}")

    def volume(volume_name, size, source, storage_class, labels="{}"):
        return f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}-{volume_name}, labels: {labels}}}
spec:
  capacity: {{storage: {size}}}
  accessModes: [ReadWriteOnce]
  storageClassName: {storage_class}
  {source}
---"""
    affinity = (f"nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, "
                "operator: In, values: [%s]}]}]}}")
    (tmp_path / "local").mkdir()
    try:
        namespace.apply(
            volume("big", "2Gi", f"hostPath: {{path: {tmp_path}/big}}", name)
            + volume("small", "1Gi", f"hostPath: {{path: {tmp_path}/small}}", name)
            + volume("marked", "3Gi", f"hostPath: {{path: {tmp_path}/marked}}", name, "{mark: x}"))
        eventually(
            lambda: [cluster.get("pv", f"{name}-{one}", "-o", "jsonpath={.status.phase}")
                     for one in ("big", "small", "marked")] == ["Available"] * 3, what="the volumes")
        # The smallest that fits; the one with the label; the one that is named.
        namespace.apply(claim("first", size="500Mi", storage_class=name))
        namespace.apply(claim("second", storage_class=name, extra="  selector: {matchLabels: {mark: x}}\n"))
        namespace.apply(claim("third", storage_class=name, extra=f"  volumeName: {name}-big\n"))
        for claim_name, volume_name in [("first", "small"), ("second", "marked"), ("third", "big")]:
            eventually(lambda: phase(namespace, claim_name) == "Bound", what=f"{claim_name} bound")
            assert namespace.get("pvc", claim_name, "-o", "jsonpath={.spec.volumeName}") == f"{name}-{volume_name}"
        namespace.apply(claim("fourth", storage_class=""))
        eventually(lambda: "no storage class is set" in namespace.get("events"), what="the reason")

        # Retained: released, and not given to the next.
        namespace.kubectl("delete", "pvc", "first")
        eventually(lambda: cluster.get("pv", f"{name}-small", "-o", "jsonpath={.status.phase}") == "Released")

        # The scheduler chooses a local volume by its node.
        namespace.apply(
            CLASS % f"{name}-late"
            + "---" + volume("there", "1Gi", f"local: {{path: {tmp_path}/local}}\n  " + affinity % node, f"{name}-late")
            + volume("elsewhere", "1Gi", f"local: {{path: /none}}\n  " + affinity % "other", f"{name}-late"))
        namespace.apply(claim("late", storage_class=f"{name}-late"))
        namespace.run_pod("user", pod_spec(registry, "late"))
        assert namespace.get("pvc", "late", "-o", "jsonpath={.spec.volumeName}") == f"{name}-there"
        namespace.apply(claim("later", storage_class=f"{name}-late"))
        namespace.run_pod("unlucky", pod_spec(registry, "later"), wait=False)
        eventually(
            lambda: "didn't find available persistent volumes to bind" in namespace.get("events"), what="the reason")
    finally:
        namespace.kubectl("delete", "pod", "--all", "--wait=false", check=False)
        volumes = [f"{name}-{v}" for v in ("big", "small", "marked", "there", "elsewhere")]
        namespace.kubectl("delete", "pvc", "--all", "--wait=false", check=False)
        cluster.kubectl("delete", "pv", *volumes, "--wait=false", "--ignore-not-found", check=False)
        cluster.kubectl("delete", "storageclass", f"{name}-late", "--ignore-not-found", check=False)


def test_stateful_set_with_claims(cluster, namespace, registry):
    namespace.apply(f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  replicas: 2
  persistentVolumeClaimRetentionPolicy: {{whenScaled: Delete, whenDeleted: Retain}}
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {registry}/e2e/tools:1
        command: [sh, -c, "echo $HOSTNAME >> /data/log; sleep 3600"]
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
""")
    namespace.kubectl("rollout", "status", "statefulset/db", "--timeout=60s", timeout=70)
    namespace.kubectl("delete", "pod", "db-1")
    eventually(
        lambda: namespace.kubectl("exec", "db-1", "--", "cat", "/data/log", check=False).stdout == "db-1\ndb-1\n",
        what="both starts in the log of the second pod's volume")
    namespace.kubectl("scale", "statefulset/db", "--replicas=1")
    eventually(lambda: "data-db-1" not in namespace.get("pvc"), what="the second claim's removal")
    namespace.kubectl("delete", "statefulset/db")
    assert phase(namespace, "data-db-0") == "Bound"


def test_generic_ephemeral_volume(cluster, namespace, registry):
    namespace.run_pod("scratch", f"""
  terminationGracePeriodSeconds: 1
  containers:
  - {{name: main, image: {registry}/e2e/tools:1, command: [sleep, "3600"], volumeMounts: [{{name: tmp, mountPath: /tmp}}]}}
  volumes:
  - name: tmp
    ephemeral:
      volumeClaimTemplate: {{spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}}}
""")
    owner = json.loads(namespace.get("pvc", "scratch-tmp", "-o", "json"))["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Pod", "scratch")
    namespace.kubectl("delete", "pod", "scratch")
    eventually(lambda: "scratch-tmp" not in namespace.get("pvc"), what="the claim's removal")
