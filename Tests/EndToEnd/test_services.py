"""Services, DNS, deployments and what a rolling update costs the clients."""

import subprocess
import threading
import time
import urllib.request

from conftest import eventually

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  strategy: {{type: RollingUpdate, rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: {registry}/e2e/web:1
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: NodePort, selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: http}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web-headless}}
spec: {{clusterIP: None, selector: {{app: web}}, ports: [{{name: http, port: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: elsewhere}}
spec: {{type: ExternalName, externalName: web.{namespace}.svc.cluster.local}}
"""


def fetch(address):
    with urllib.request.urlopen(f"http://{address}/cgi-bin/info", timeout=3) as answer:
        return answer.read().decode()


def deploy(namespace, registry):
    namespace.apply(WEB.format(registry=registry, namespace=namespace.name))
    namespace.kubectl("rollout", "status", "deploy/web", "--timeout=50s")
    return namespace.get("service", "web", "-o", "jsonpath={.spec.clusterIP}")


def test_service_reaches_every_replica(namespace, registry):
    address = deploy(namespace, registry)
    eventually(lambda: len({fetch(address) for _ in range(20)}) == 3, 20, "answers of three replicas")
    port = namespace.get("service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
    assert "version=1" in fetch(f"127.0.0.1:{port}")
    assert namespace.apply(WEB.format(registry=registry, namespace=namespace.name)).stdout.count("unchanged") == 4

    pod = namespace.get("pod", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")

    def lookup(name):
        return namespace.kubectl("exec", pod, "--", "nslookup", name, check=False).stdout

    full = f"{namespace.name}.svc.cluster.local"
    assert address in lookup(f"web.{full}")
    assert lookup(f"web-headless.{full}").count("Address") >= 4
    assert address in lookup(f"elsewhere.{full}")
    assert "NXDOMAIN" in lookup(f"nothing.{full}") or "can't find" in lookup(f"nothing.{full}")
    inside = namespace.kubectl("exec", pod, "--", "wget", "-qO-", f"http://web.{full}/cgi-bin/info").stdout
    assert "version=1" in inside
    # A pod that reaches itself through its service (hairpin): ask until the answer is its own.
    eventually(
        lambda: pod in namespace.kubectl("exec", pod, "--", "wget", "-qO-", "http://web/cgi-bin/info").stdout, 20,
        "a pod's answer to itself")

    namespace.kubectl("scale", "deploy/web", "--replicas=0")
    eventually(lambda: refused(address), 30, "refused connections without endpoints")


def refused(address):
    try:
        fetch(address)
    except OSError as error:
        return "refused" in str(error)
    return False


def test_rolling_update_loses_no_request(namespace, registry):
    address = deploy(namespace, registry)
    failures, done, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            try:
                fetch(address)
                done[0] += 1
            except OSError as error:
                failures.append(str(error))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        namespace.kubectl("set", "image", "deploy/web", f"web={registry}/e2e/web:2")
        namespace.kubectl("rollout", "status", "deploy/web", "--timeout=55s")
        time.sleep(3)
    finally:
        stop.set()
        thread.join()
    assert not failures and done[0] > 20, (failures[:5], done)
    assert "version=2" in fetch(address)
    namespace.kubectl("rollout", "undo", "deploy/web")
    namespace.kubectl("rollout", "status", "deploy/web", "--timeout=55s")
    eventually(lambda: "version=1" in fetch(address), 10, "the old version")


def test_port_forward_and_copy(namespace, registry, tmp_path):
    deploy(namespace, registry)
    pod = namespace.get("pod", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    forward = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "-n", namespace.name, "port-forward",
         f"pod/{pod}", ":8080"], stdout=subprocess.PIPE, text=True)
    try:
        port = forward.stdout.readline().split("127.0.0.1:")[1].split()[0]
        for _ in range(3):
            assert "version=1" in fetch(f"127.0.0.1:{port}")
    finally:
        forward.terminate()
        forward.wait()
    original = tmp_path / "data"
    original.write_bytes(bytes(i * i % 251 for i in range(400_000)))
    namespace.kubectl("cp", str(original), f"{pod}:/tmp/data")
    namespace.kubectl("cp", f"{pod}:/tmp/data", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == original.read_bytes()
