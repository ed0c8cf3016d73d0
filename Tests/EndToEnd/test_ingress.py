"""The ingress: a cluster of its own, the real HAProxy, ingresses and what a reload costs the clients."""

import base64
import http.client
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import Cluster, Namespace, eventually, free_port

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed")

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  strategy: {{type: RollingUpdate, rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: {image}
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [one.example.org], secretName: one}]
  rules:
  - host: one.example.org
    http:
      paths:
      - {path: /cgi-bin, pathType: Prefix, backend: {service: {name: first, port: {name: http}}}}
      - {path: /healthz, pathType: Exact, backend: {service: {name: second, port: {number: 80}}}}
  - host: "*.two.example.org"
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: second, port: {number: 80}}}}
"""


@pytest.fixture(scope="module")
def ingress(registry):
    directory = tempfile.mkdtemp(prefix="apus-e2e-ingress.")
    ports = free_port(), free_port()
    cluster = Cluster(
        directory, "--dns-port", str(free_port()), "--ingress-http-port", str(ports[0]), "--ingress-https-port",
        str(ports[1]))
    cluster.start()
    cluster.kubectl("create", "namespace", "web")
    namespace = Namespace(cluster, "web")
    for name, version in (("first", 1), ("second", 2)):
        namespace.apply(WEB.format(name=name, replicas=2, image=f"{registry}/e2e/web:{version}"))
    key, certificate = f"{directory}/one.key", f"{directory}/one.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=one.example.org",
         "-addext", "subjectAltName=DNS:one.example.org", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    namespace.kubectl("create", "secret", "tls", "one", f"--key={key}", f"--cert={certificate}")
    for name in ("first", "second"):
        namespace.kubectl("rollout", "status", f"deploy/{name}", "--timeout=50s")
    namespace.apply(INGRESS)
    yield namespace, ports, certificate
    cluster.stop()
    down = cluster.down("--purge")
    assert down.returncode == 0, down.stderr
    assert not listens(ports[0]), "the balancer ends with the cluster"


def listens(port):
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=2).connect()
        return True
    except OSError:
        return False


def fetch(port, host, path="/cgi-bin/info", tls=None):
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=tls)
        # The certificate is chosen by the name that is asked for.
        connection._create_connection = lambda *_, **__: __import__("socket").create_connection(("127.0.0.1", port), 5)
        connection.host = host
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_hosts_and_paths_choose_the_service(ingress):
    namespace, (port, _), _ = ingress
    eventually(lambda: "version=1" in fetch(port, "one.example.org")[1], 30, "the first service")
    pods = eventually(
        lambda: (found := {fetch(port, "one.example.org")[1] for _ in range(20)}) and len(found) == 2 and found, 20,
        "both replicas")
    assert all("version=1" in pod for pod in pods)
    assert "version=2" in fetch(port, "a.two.example.org")[1]
    assert "version=1" in fetch(port, "ONE.example.org:80")[1]
    assert fetch(port, "one.example.org", "/healthz")[0] == 200
    for host, path in (("one.example.org", "/cgi-binx"), ("one.example.org", "/healthz/"), ("two.example.org", "/"),
                       ("a.b.two.example.org", "/"), ("other.example.org", "/")):
        assert fetch(port, host, path)[0] == 404, (host, path)


def test_its_status_and_class(ingress):
    namespace, _, _ = ingress
    eventually(lambda: namespace.get("ingress", "shop", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"), 20,
               "the address")
    assert namespace.get("ingress", "shop", "-o", "jsonpath={.spec.ingressClassName}") == "apus"


def test_tls_with_the_certificate_of_the_secret(ingress):
    _, (_, port), certificate = ingress
    context = ssl.create_default_context(cafile=certificate)
    eventually(lambda: "version=1" in fetch(port, "one.example.org", tls=context)[1], 20, "HTTPS")


def test_a_bad_certificate_hurts_nobody(ingress):
    namespace, (port, secure), certificate = ingress
    data = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode()
    namespace.apply(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ntype: kubernetes.io/tls\n"
        f"data: {{tls.crt: {data}, tls.key: {data}}}\n---\n"
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: bad}\nspec:\n"
        "  tls: [{hosts: [bad.example.org], secretName: bad}]\n"
        "  rules: [{host: bad.example.org, http: {paths: [{path: /, pathType: Prefix, "
        "backend: {service: {name: second, port: {number: 80}}}}]}}]\n")
    eventually(lambda: "version=2" in fetch(port, "bad.example.org")[1], 20, "the new ingress")
    context = ssl.create_default_context(cafile=certificate)
    assert "version=1" in fetch(secure, "one.example.org", tls=context)[1]


def test_a_rolling_update_costs_no_request(ingress, registry):
    """Every replaced endpoint is a reload; no connection is refused or cut by them."""
    namespace, (port, _), _ = ingress
    eventually(lambda: "version=1" in fetch(port, "one.example.org")[1], 30, "the first service")
    failures, answers, done = [], [], threading.Event()

    def client():
        while not done.is_set():
            try:
                status, body = fetch(port, "one.example.org")
                (answers if status == 200 else failures).append((status, body))
            except OSError as error:
                failures.append(error)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    try:
        namespace.kubectl("set", "image", "deploy/first", f"web={registry}/e2e/web:2")
        namespace.kubectl("rollout", "status", "deploy/first", "--timeout=50s")
        eventually(lambda: all("version=2" in fetch(port, "one.example.org")[1] for _ in range(8)), 20, "version 2")
        time.sleep(1)
    finally:
        done.set()
        for thread in clients:
            thread.join()
    assert len(answers) > 50
    assert not failures, f"{len(failures)} of {len(answers) + len(failures)}: {failures[:3]}"


def test_it_outlives_the_server(ingress):
    namespace, (port, _), _ = ingress
    cluster = namespace.cluster
    cluster.kill()
    assert "version=2" in fetch(port, "a.two.example.org")[1]
    cluster.start()
    assert "version=2" in fetch(port, "a.two.example.org")[1]
