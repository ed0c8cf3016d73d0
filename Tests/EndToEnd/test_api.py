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


def test_server_side_apply(namespace):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {a: '1', b: '2'}\n"
    apply = ("apply", "--server-side", "-f", "-")
    assert "serverside-applied" in namespace.kubectl(*apply, "--field-manager=red", text=text).stdout
    version = namespace.get("configmap", "owned", "-o", "jsonpath={.metadata.resourceVersion}")
    namespace.kubectl(*apply, "--field-manager=red", text=text)
    assert namespace.get("configmap", "owned", "-o", "jsonpath={.metadata.resourceVersion}") == version
    other = text.replace("'1'", "'9'")
    refused(namespace, 'conflict with "red": .data.a', *apply, "--field-manager=blue", manifest=other)
    namespace.kubectl(*apply, "--field-manager=blue", "--force-conflicts", text=other)
    namespace.kubectl(*apply, "--field-manager=blue", text=other.replace(", b: '2'", ""))
    assert namespace.get("configmap", "owned", "-o", "jsonpath={.data}") == '{"a":"9","b":"2"}'
    namespace.kubectl(*apply, "--field-manager=red", text=text.replace("{a: '1', b: '2'}", "{}"))
    assert namespace.get("configmap", "owned", "-o", "jsonpath={.data}") == '{"a":"9"}'
    assert "managedFields" not in namespace.get("configmap", "owned", "-o", "yaml")
    assert "fieldsV1" in namespace.get("configmap", "owned", "-o", "yaml", "--show-managed-fields")
    refused(
        namespace, ".spec.foo: field not declared in schema", *apply, "--validate=false",
        manifest="apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {foo: 1, ports: [{port: 1}]}\n")


def test_client_side_apply_becomes_server_side(namespace):
    text = """apiVersion: apps/v1
kind: Deployment
metadata: {name: moved}
spec:
  replicas: 0
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: one, image: 'x:1', env: [{name: A, value: a}, {name: B, value: b}]}]}
"""
    namespace.apply(text)
    assert "unchanged" in namespace.kubectl("apply", "-f", "-", text=text).stdout
    less = text.replace(", {name: B, value: b}", "").replace("x:1", "x:2")
    namespace.kubectl("apply", "--server-side", "-f", "-", text=less)
    names = "jsonpath={.spec.template.spec.containers[0].env[*].name}"
    assert namespace.get("deployment", "moved", "-o", names) == "A"
    managers = namespace.get("deployment", "moved", "-o", "jsonpath={.metadata.managedFields[*].manager}").split()
    assert "kubectl" in managers and "kubectl-client-side-apply" not in managers
    assert namespace.kubectl("diff", "--server-side", "-f", "-", text=less).returncode == 0
    namespace.apply(text)
    assert namespace.get("deployment", "moved", "-o", names) == "A B"


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
