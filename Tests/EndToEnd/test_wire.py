"""The wire: proxies, streams of every kubectl generation, protobuf."""

import base64
import json
import os
import re
import socket
import ssl
import subprocess

import pytest
from conftest import eventually, free_port
from wire import API

SERVER = """  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command:
    - sh
    - -c
    - |
      mkdir -p /www/cgi-bin && echo '<a href="/rewriteme">test</a>' > /www/index.html
      printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n"; env; cat\\n' > /www/cgi-bin/env
      printf '#!/bin/sh\\nprintf "Status: 302 Found\\\\r\\\\nLocation: /there\\\\r\\\\n\\\\r\\\\n"\\n' > /www/cgi-bin/moved
      printf '#!/bin/sh\\nwhile read -r l; do [ ${{#l}} -le 1 ] && break; done; ' > /up
      printf 'printf "HTTP/1.1 101 Switching Protocols\\\\r\\\\nConnection: Upgrade\\\\r\\\\nUpgrade: echo\\\\r\\\\n\\\\r\\\\n"; ' >> /up
      printf 'exec cat\\n' >> /up
      chmod +x /up /www/cgi-bin/*
      nc -ll -p 81 -e /up &
      httpd -f -p 80 -h /www &
      exec cat
    stdin: true
    ports: [{{name: http, containerPort: 80}}]
    readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 1}}
"""


@pytest.fixture
def web(namespace, registry):
    namespace.run_pod("web", SERVER.format(registry=registry))
    namespace.apply(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
        "spec: {selector: {app: web}, ports: [{name: www, port: 8080, targetPort: http}]}\n")
    return namespace


def raw(space, path, check=True):
    return space.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{space.name}/{path}", check=check)


def connect(cluster):
    """A TLS connection to the server as the administrator."""
    view = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json").stdout)
    user = view["users"][0]["user"]
    context = ssl._create_unverified_context()
    paths = []
    for name in ("client-certificate", "client-key"):
        if name in user:
            paths.append(user[name])
        else:
            path = cluster.directory / f"{name}.pem"
            path.write_bytes(base64.b64decode(user[name + "-data"]))
            paths.append(path)
    context.load_cert_chain(*paths)
    connection = socket.create_connection(("127.0.0.1", cluster.port), 10)
    connection.settimeout(20)
    return context.wrap_socket(connection)


def exchange(cluster, method, path, content=b"", accept="*/*"):
    """One request as it is written, and all of the answer."""
    with connect(cluster) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: apus\r\nAccept: {accept}\r\nConnection: close\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_proxies_to_pods_and_services(web):
    link = f"/api/v1/namespaces/{web.name}/pods/web/proxy/rewriteme"
    assert raw(web, "pods/web/proxy/").stdout == f'<a href="{link}">test</a>\n'
    for name in ("web", "web:www", "web:8080", "http:web:www"):
        page = eventually(lambda: raw(web, f"services/{name}/proxy/index.html", check=False).stdout, 30, name)
        assert f"/services/{name}/proxy/rewriteme" in page
    env = raw(web, "pods/web:80/proxy/cgi-bin/env?a=b%20c").stdout
    assert "QUERY_STRING=a=b" in env and "REQUEST_METHOD=GET" in env
    assert "no service port" in raw(web, "services/web:9/proxy/", check=False).stderr
    assert "error trying to reach service" in raw(web, "pods/web:82/proxy/", check=False).stderr

    path = f"/api/v1/namespaces/{web.name}/pods/web/proxy"
    redirect = exchange(web.cluster, "GET", path).decode()
    assert redirect.startswith("HTTP/1.1 301") and f"location: {path}/\r\n" in redirect.lower()
    # In pieces both ways, so that the text is not found in one.
    echo = exchange(web.cluster, "POST", path + "/cgi-bin/env", b"x" * 200_000)
    assert echo.startswith(b"HTTP/1.1 200") and echo.count(b"x") >= 200_000
    assert f"{path}/there".encode() in exchange(web.cluster, "GET", path + "/cgi-bin/moved")
    assert exchange(web.cluster, "DELETE", path + "/index.html").startswith(b"HTTP/1.1 501")


def test_proxies_upgrades(web):
    with connect(web.cluster) as connection:
        connection.sendall(
            f"GET /api/v1/namespaces/{web.name}/pods/web:81/proxy/x HTTP/1.1\r\nHost: apus\r\n"
            "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        assert head.startswith(b"HTTP/1.1 101") and b"echo" in head, head
        for word in (b"hello", b"again" * 10_000):
            connection.sendall(word)
            echo = b""
            while len(echo) < len(word):
                echo += connection.recv(65536)
            assert echo == word


def test_proxies_to_nodes(cluster, web):
    node = cluster.get("nodes", "-o", "jsonpath={.items[0].metadata.name}")
    path = f"/api/v1/nodes/{node}/proxy"
    assert cluster.kubectl("get", "--raw", path + "/healthz").stdout == "ok"
    assert "kubelet_running_pods" in cluster.kubectl("get", "--raw", path + "/metrics").stdout
    assert json.loads(cluster.kubectl("get", "--raw", path + "/configz").stdout)["kubeletconfig"]
    assert json.loads(cluster.kubectl("get", "--raw", path + "/stats/summary").stdout)["node"]["nodeName"] == node
    pods = json.loads(cluster.kubectl("get", "--raw", path + "/pods").stdout)["items"]
    assert web.name in [pod["metadata"]["namespace"] for pod in pods]
    cluster.kubectl("get", "--raw", f"{path}/containerLogs/{web.name}/web/main")


def test_kubectl_proxy(web):
    port = free_port()
    process = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(web.cluster.kubeconfig), "proxy", f"--port={port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/api/v1/namespaces/{web.name}/pods/web/proxy/"
        fetch = lambda: subprocess.run(["curl", "-sS", url], capture_output=True, text=True).stdout
        assert "rewriteme" in eventually(fetch, 20, "kubectl proxy")
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_streams_of_every_generation(web, websockets, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
    text = "".join(f"line {number}\n" for number in range(5000))
    assert web.kubectl("exec", "-i", "web", "--", "cat", text=text).stdout == text
    failed = web.kubectl("exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (failed.returncode, failed.stdout) == (7, "out\n") and "err" in failed.stderr
    file = tmp_path / "file"
    file.write_bytes(os.urandom(300_000))
    web.kubectl("cp", str(file), "web:/tmp/file")
    web.kubectl("cp", "web:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    process = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(web.cluster.kubeconfig), "-n", web.name, "port-forward", "pod/web", ":80"],
        stdout=subprocess.PIPE, text=True)
    try:
        port = re.search(r":(\d+) ->", process.stdout.readline()).group(1)
        for _ in range(3):
            page = subprocess.run(["curl", "-sS", f"http://127.0.0.1:{port}/"], capture_output=True, text=True)
            assert page.stdout == '<a href="/rewriteme">test</a>\n', page.stderr
    finally:
        process.terminate()
        process.wait()


def test_debug_adds_a_container(web, registry):
    web.kubectl(
        "debug", "web", f"--image={registry}/e2e/tools:1", "--container=aside", "--profile=general", "--", "sh", "-c",
        "echo beside; sleep 60")
    eventually(lambda: "beside" in web.kubectl("logs", "web", "-c", "aside", check=False).stdout, 40, "its log")


def test_protobuf(cluster):
    def kind(accept, path):
        answer = exchange(cluster, "GET", path, accept=accept)
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), b"k8s\x00" in body[:16]

    protobuf = "application/vnd.kubernetes.protobuf"
    assert kind(protobuf, "/api/v1/namespaces/default") == (200, True)
    assert kind(protobuf, "/apis/apps/v1/deployments") == (200, True)
    assert kind(protobuf + ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "/api/v1/namespaces") == (200, True)
    assert kind(protobuf + ";q=0.1,application/json", "/api/v1/namespaces/default") == (200, False)
    assert kind(protobuf, "/api/v1/namespaces/none") == (404, True)


def messages(file):
    """The messages of a server's WebSocket: kind (1 text, 2 binary, 8 end) and content."""
    while True:
        kind, length = file.read(2)
        if length >= 126:
            length = int.from_bytes(file.read(2 if length == 126 else 8), "big")
        yield kind & 15, file.read(length)


@pytest.mark.parametrize(
    "accept", ["application/json", "application/vnd.kubernetes.protobuf"], ids=["json", "protobuf"])
def test_watches_over_websocket(namespace, accept):
    """As consoles in browsers watch: one event a message, and never the subprotocol that carries a token."""
    api = API(namespace.cluster)
    path = f"/api/v1/namespaces/{namespace.name}/configmaps?watch=true&timeoutSeconds=8&fieldSelector=metadata.name%3Dseen"
    try:
        api.send("GET", path, accept=accept, headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": "base64url.bearer.authorization.k8s.io.eA, base64.binary.k8s.io"})
        code, headers = api.head()
        assert code == 101 and headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", headers
        assert headers["sec-websocket-protocol"] == "base64.binary.k8s.io"
        namespace.kubectl("create", "configmap", "seen", "--from-literal=a=b")
        namespace.kubectl("delete", "configmap", "seen")
        got = messages(api.file)
        for expected in ("ADDED", "DELETED"):
            kind, message = next(got)
            if accept == "application/json":
                event = json.loads(message)
                assert kind == 1 and event["type"] == expected and event["object"]["data"] == {"a": "b"}, event
            else:
                # WatchEvent: field 1 is the type, and no length precedes the message.
                assert kind == 2 and message.startswith(b"\x0a" + bytes([len(expected)]) + expected.encode()), message
        assert next(got)[0] == 8
    finally:
        api.close()
