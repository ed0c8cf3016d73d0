"""What kubectl and bad clients see of the API."""

import socket
import ssl
import subprocess
import urllib.error
import urllib.request


def refused(cluster, text, *arguments, manifest=None):
    result = cluster.kubectl(*arguments, text=manifest, check=False)
    assert result.returncode != 0 and text in result.stderr, result.stdout + result.stderr


def test_discovery_and_explain(cluster):
    resources = cluster.kubectl("api-resources").stdout
    assert "deployments" in resources and "networkpolicies" in resources
    assert "maxUnavailable" in cluster.kubectl("explain", "deployment.spec.strategy.rollingUpdate").stdout
    assert cluster.kubectl("auth", "can-i", "create", "pods").stdout.strip() == "yes"
    assert "system:masters" in cluster.kubectl("auth", "whoami").stdout
    for name in cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split():
        cluster.kubectl("get", name, "-A")


def test_apply_diff_and_patch(namespace):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: '1', b: '2'}\n"
    namespace.apply(text)
    assert namespace.kubectl("diff", "-f", "-", text=text).returncode == 0
    assert namespace.kubectl("diff", "-f", "-", text=text.replace("'2'", "'3'"), check=False).returncode == 1
    namespace.kubectl("patch", "configmap", "one", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    assert namespace.get("configmap", "one", "-o", "jsonpath={.data}") == '{"b":"2"}'


def test_bad_input_gets_a_clear_answer(cluster, namespace):
    refused(cluster, "must consist of lower case alphanumeric", "create", "ns", "Not_OK")
    refused(cluster, 'pods "nope" not found', "get", "pod", "nope")
    refused(cluster, "AlreadyExists", "create", "ns", namespace.name)
    refused(
        cluster, 'unknown field "spec.replica"', "create", "-f", "-",
        manifest="{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {replica: 1, selector: {matchLabels: "
        "{a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}")
    refused(cluster, "unable to parse requirement", "get", "pods", "-l", "a in (")


def request(cluster, method, path, body, content_type="application/json"):
    """A raw request with the administrator's certificate; the status and the text of the answer."""
    import base64
    import re
    import tempfile
    config = cluster.kubeconfig.read_text()
    files = {}
    for name in ("client-certificate", "client-key"):
        data = base64.b64decode(re.search(name + r"-data: *(\S+)", config).group(1))
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(data)
        files[name] = file.name
    context = ssl._create_unverified_context()
    context.load_cert_chain(files["client-certificate"], files["client-key"])
    message = urllib.request.Request(
        f"https://127.0.0.1:{cluster.port}{path}", data=body, method=method, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(message, timeout=20, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_malformed_bodies(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace.name}/configmaps"
    assert request(cluster, "POST", path, b'{"a":')[0] == 400
    assert request(cluster, "POST", path, b'{"a":' * 10_000 + b"1" + b"}" * 10_000)[0] in (400, 422)
    assert request(cluster, "POST", path, b"[]")[0] == 400
    assert request(cluster, "POST", path, b" " * (4 << 20))[0] == 413
    assert request(cluster, "POST", path, b"{}", "application/x-unknown")[0] == 415
    twice = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"},"data":{"a":"1","a":"2"}}'
    code, text = request(cluster, "POST", path + "?fieldValidation=Strict", twice)
    assert code == 400 and 'duplicate field' in text
    assert cluster.get("--raw", "/readyz") == "ok"


def test_without_credentials(cluster):
    context = ssl._create_unverified_context()
    for path, allowed in (("/api/v1/secrets", False), ("/version", True), ("/healthz", True)):
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{cluster.port}{path}", timeout=5, context=context) as answer:
                assert allowed, path
        except urllib.error.HTTPError as error:
            assert not allowed and error.code in (401, 403), path


def test_idle_connections_do_no_harm(cluster):
    sockets = [socket.create_connection(("127.0.0.1", cluster.port), 5) for _ in range(500)]
    try:
        assert cluster.get("--raw", "/readyz") == "ok"
    finally:
        for connection in sockets:
            connection.close()


def test_second_server_on_the_port_is_told(cluster, tmp_path):
    from conftest import APUS
    result = subprocess.run(
        [APUS, "up", "--data-dir", str(tmp_path / "other"), "--port", str(cluster.port)], capture_output=True,
        text=True, timeout=60)
    assert result.returncode != 0 and "in use" in result.stderr + result.stdout
    result = subprocess.run([APUS, "up", *cluster.arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "in use by process" in result.stderr + result.stdout
