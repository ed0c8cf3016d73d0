"""Host ports that the scheduler chooses, Marathon's constraints, and virtual addresses of tasks."""

import json
import urllib.request

import pytest

from conftest import eventually

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels: {labels}
  annotations: {annotations}
spec:
  hostNetwork: {host}
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: {registry}/e2e/web:1
    command: [sh, -c, "exec httpd -f -p {listen} -h /www"]
    env:
    - name: PORT0
      valueFrom: {{fieldRef: {{fieldPath: "metadata.annotations['ports.apus.dev/0']"}}}}
    readinessProbe: {{httpGet: {{path: /healthz, port: {probe}}}, periodSeconds: 1}}
"""


def create(namespace, registry, name, ports, host=True, probe="ports.apus.dev/0", listen="$PORT0", labels=None, **more):
    annotations = {"ports.apus.dev/request": json.dumps(ports), **{key: json.dumps(more[key]) for key in more}}
    namespace.apply(POD.format(
        name=name, registry=registry, host=json.dumps(host), probe=probe, listen=listen, labels=json.dumps(labels or {}),
        annotations=json.dumps(annotations)))


def assigned(namespace, name):
    pod = json.loads(namespace.get("pod", name, "-o", "json"))
    text = pod["metadata"]["annotations"].get("ports.apus.dev/assigned", "")
    return [int(port) for port in text.split(",") if port]


def fetch(address):
    with urllib.request.urlopen(f"http://{address}/cgi-bin/info", timeout=3) as answer:
        return answer.read().decode()


def ready(namespace, *names):
    namespace.kubectl("wait", "--for=condition=Ready", *[f"pod/{name}" for name in names], "--timeout=45s")


def test_every_pod_gets_ports_of_its_own(namespace, registry):
    """The programs listen where they are told to, and their probes, which name the port, find them."""
    for name in ("one", "two"):
        create(namespace, registry, name, [{"name": "web", "port": 0}, {"port": 0, "protocol": "udp,tcp"}])
    ready(namespace, "one", "two")
    ports = assigned(namespace, "one") + assigned(namespace, "two")
    assert len(set(ports)) == 4 and all(31000 <= port <= 32000 for port in ports)
    for name in ("one", "two"):
        assert "version=1" in fetch(f"127.0.0.1:{assigned(namespace, name)[0]}")
        assert namespace.kubectl("exec", name, "--", "sh", "-c", "echo $PORT0").stdout.strip() == str(
            assigned(namespace, name)[0])


def test_a_port_leads_into_a_pod_with_its_own_network(namespace, registry):
    create(namespace, registry, "inside", [{"name": "web", "port": 0, "containerPort": 8080}], host=False, probe="web",
           listen="8080")
    ready(namespace, "inside")
    port = assigned(namespace, "inside")[0]
    eventually(lambda: "version=1" in fetch(f"127.0.0.1:{port}"), 10, "the host port on loopback")


def test_a_fixed_port_is_given_once(namespace, registry):
    create(namespace, registry, "first", [{"port": 31999}])
    ready(namespace, "first")
    create(namespace, registry, "second", [{"port": 31999}])

    def refused():
        pod = json.loads(namespace.get("pod", "second", "-o", "json"))
        conditions = pod["status"].get("conditions", [])
        return any("didn't have free ports for the requested pod ports" in c.get("message", "") for c in conditions)

    eventually(refused, 20, "FailedScheduling of the second")
    namespace.kubectl("delete", "pod", "first", "--timeout=30s")
    ready(namespace, "second")


def test_unique_hosts_take_one_instance_each(namespace, registry):
    constraint = [["hostname", "UNIQUE"]]
    for name in ("a", "b"):
        create(namespace, registry, name, [{"port": 0}], labels={"marathon.apus.dev/app": "unique"},
               **{"marathon.apus.dev/constraints": constraint})

    def states():
        pods = [json.loads(namespace.get("pod", name, "-o", "json")) for name in ("a", "b")]
        messages = [c.get("message", "") for pod in pods for c in pod["status"].get("conditions", [])]
        bound = [pod for pod in pods if pod["spec"].get("nodeName")]
        return len(bound) == 1 and any("node(s) didn't satisfy Marathon constraint" in m for m in messages)

    eventually(states, 20, "one placed, one refused")


@pytest.mark.parametrize("vip", ["/shop:8000", "10.254.3.4:8000"])
def test_a_virtual_address_reaches_ready_tasks(namespace, registry, vip):
    task = {"discovery": {"visibility": "CLUSTER", "ports": {"ports": [{
        "number": 0, "protocol": "tcp", "labels": {"labels": [{"key": "VIP_0", "value": vip}]}}]}}}
    for name in ("one", "two"):
        create(namespace, registry, name, [{"port": 0}], labels={"marathon.apus.dev/app": "shop"},
               **{"mesos.apus.dev/task": task})
    ready(namespace, "one", "two")
    # The address of `shop.marathon` never changes.
    address = "11.215.96.105:8000" if vip.startswith("/") else vip
    eventually(lambda: "version=1" in fetch(address), 10, "the address")
    namespace.kubectl("delete", "pod", "one", "--timeout=30s")
    eventually(lambda: all("version=1" in fetch(address) for _ in range(5)), 10, "the address of the other alone")
    namespace.kubectl("delete", "pod", "two", "--timeout=30s")
    eventually(lambda: not reachable(address), 10, "the end of the address")


def reachable(address):
    try:
        return bool(fetch(address))
    except OSError:
        return False
