"""Who may do what, as the real kubectl shows it."""

import base64
import json
import ssl
import subprocess
import urllib.error
import urllib.request

from conftest import eventually


def refused(namespace, text, *arguments, manifest=None):
    result = namespace.kubectl(*arguments, text=manifest, check=False)
    assert result.returncode != 0 and text in result.stderr, result.stdout + result.stderr


def can(namespace, who, *what):
    return namespace.kubectl("auth", "can-i", *what, f"--as={who}", check=False).stdout.strip()


def account(namespace, name):
    return f"system:serviceaccount:{namespace.name}:{name}"


def status(cluster, path, token=None):
    """HTTP status and body of a GET, with a token or without."""
    request = urllib.request.Request(f"https://127.0.0.1:{cluster.port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def certificate_request(cluster, name, signer, subject, usages):
    """A key and a request for it, applied to the cluster; the key's path."""
    key, request = cluster.directory / f"{name}.key", cluster.directory / f"{name}.csr"
    subprocess.run(
        ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request, "-subj", subject],
        check=True, capture_output=True, timeout=60)
    encoded = base64.b64encode(request.read_bytes()).decode()
    cluster.kubectl(
        "apply", "-f", "-", text="apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\n"
        f"metadata: {{name: {name}}}\nspec:\n  signerName: kubernetes.io/{signer}\n  expirationSeconds: 3600\n"
        f"  usages: [{usages}]\n  request: {encoded}\n")
    return key


def test_nobody_grants_more_than_they_have(namespace):
    namespace.kubectl("create", "serviceaccount", "bob")
    bob = account(namespace, "bob")
    namespace.kubectl("create", "role", "maker", "--verb=create,get,list,patch", "--resource=roles,rolebindings")
    namespace.kubectl("create", "rolebinding", "maker", "--role=maker", f"--serviceaccount={namespace.name}:bob")
    eventually(lambda: can(namespace, bob, "create", "roles") == "yes", what="bob's permission")
    refused(
        namespace, "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}',
        "create", "role", "big", "--verb=get", "--resource=secrets", f"--as={bob}")
    refused(
        namespace, "permissions not currently held", "create", "rolebinding", "big", "--clusterrole=edit",
        f"--serviceaccount={namespace.name}:bob", f"--as={bob}")
    namespace.kubectl(
        "create", "role", "small", "--verb=get", "--resource=roles.rbac.authorization.k8s.io", f"--as={bob}")
    refused(
        namespace, "not currently held", "patch", "role", "small", f"--as={bob}", "--type=json", "-p",
        '[{"op": "replace", "path": "/rules/0/verbs", "value": ["*"]}]')
    namespace.kubectl("create", "role", "binder", "--verb=bind", "--resource=clusterroles", "--resource-name=view")
    namespace.kubectl("create", "rolebinding", "binder", "--role=binder", f"--serviceaccount={namespace.name}:bob")
    view = ("create", "rolebinding", "seer", "--clusterrole=view", f"--serviceaccount={namespace.name}:bob")
    eventually(
        lambda: namespace.kubectl(*view, f"--as={bob}", check=False).returncode == 0, what="the binding by the verb bind")


def test_can_i_and_reconcile(namespace):
    role = f"""apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {namespace.name}}}
rules:
- {{apiGroups: [""], resources: [configmaps], verbs: [get, list]}}
- {{apiGroups: [""], resources: [secrets], resourceNames: [mine], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {namespace.name}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: rosa}}]
"""
    assert "reconciled" in namespace.kubectl("auth", "reconcile", "-f", "-", text=role).stdout
    more = role.replace("verbs: [get, list]", "verbs: [watch]")
    assert "missing rules added" in namespace.kubectl("auth", "reconcile", "-f", "-", text=more).stderr
    eventually(lambda: can(namespace, "rosa", "watch", "configmaps") == "yes", what="the reconciled rule")
    assert can(namespace, "rosa", "get", "configmaps") == "yes"
    assert can(namespace, "rosa", "get", "secrets/mine") == "yes"
    assert can(namespace, "rosa", "get", "secrets/other") == "no"
    assert can(namespace, "rosa", "get", "/metrics") == "no"
    listed = namespace.kubectl("auth", "can-i", "--list", "--as=rosa").stdout
    assert "[mine]" in listed and "selfsubjectrulesreviews" in listed and "/healthz" in listed
    who = namespace.kubectl("auth", "whoami", "--as=rosa", "--as-group=dev", "--as-uid=7", "-o", "json").stdout
    info = json.loads(who)["status"]["userInfo"]
    assert info == {"username": "rosa", "uid": "7", "groups": ["dev", "system:authenticated"]}


def test_aggregated_role_follows_its_parts(namespace, cluster):
    name = namespace.name
    cluster.kubectl("apply", "-f", "-", text=f"""apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}-sum}}
aggregationRule: {{clusterRoleSelectors: [{{matchLabels: {{sum: {name}}}}}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {name}-part, labels: {{sum: {name}}}}}
rules: [{{apiGroups: [boats.example.com], resources: [boats], verbs: [sail]}}]
""")
    try:
        eventually(
            lambda: "boats.example.com" in cluster.get("clusterrole", f"{name}-sum", "-o", "jsonpath={.rules}"),
            what="the aggregated rule")
    finally:
        cluster.kubectl("delete", "clusterrole", f"{name}-sum", f"{name}-part")


def test_tokens(namespace, cluster):
    namespace.kubectl("create", "serviceaccount", "robot")
    token = namespace.kubectl("create", "token", "robot", "--duration=10m").stdout.strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == account(namespace, "robot") and claims["exp"] - claims["iat"] == 600
    assert status(cluster, "/api", token)[0] == 200
    assert status(cluster, "/api", token + "x")[0] == 401
    other = namespace.kubectl("create", "token", "robot", "--audience=vault").stdout.strip()
    assert status(cluster, "/api", other)[0] == 401, "a token for somebody else is none for the API"
    assert status(cluster, "/openid/v1/jwks")[0] == 403
    code, keys = status(cluster, "/openid/v1/jwks", token)
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert code == 200 and head["kid"] in [key["kid"] for key in json.loads(keys)["keys"]]

    namespace.kubectl("create", "secret", "generic", "anchor")
    bound = namespace.kubectl(
        "create", "token", "robot", "--bound-object-kind=Secret", "--bound-object-name=anchor").stdout.strip()
    assert status(cluster, "/api", bound)[0] == 200
    namespace.kubectl("delete", "secret", "anchor")
    assert status(cluster, "/api", bound)[0] == 401, "the token goes with what it is bound to"

    namespace.apply(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: kept\n"
        "  annotations: {kubernetes.io/service-account.name: robot}\ntype: kubernetes.io/service-account-token\n")
    kept = eventually(
        lambda: namespace.get("secret", "kept", "-o", "jsonpath={.data.token}"), what="the token in the secret")
    kept = base64.b64decode(kept).decode()
    assert status(cluster, "/api", kept)[0] == 200
    namespace.kubectl("delete", "serviceaccount", "robot")
    assert status(cluster, "/api", kept)[0] == 401 and status(cluster, "/api", token)[0] == 401
    eventually(lambda: "kept" not in namespace.get("secret", "-o", "name"), what="the secret gone with its account")


def test_certificate_requests(cluster):
    key = certificate_request(cluster, "e2e-jane", "kube-apiserver-client", "/O=e2e-dev/CN=jane", "client auth")
    assert "Pending" in cluster.get("csr", "e2e-jane")
    cluster.kubectl("certificate", "approve", "e2e-jane")
    signed = eventually(
        lambda: cluster.get("csr", "e2e-jane", "-o", "jsonpath={.status.certificate}"), what="the certificate")
    certificate = cluster.directory / "e2e-jane.crt"
    certificate.write_bytes(base64.b64decode(signed))
    who = subprocess.run(
        ["kubectl", "--kubeconfig", "/dev/null", "--server", f"https://127.0.0.1:{cluster.port}",
         "--insecure-skip-tls-verify", "--client-certificate", certificate, "--client-key", key, "auth", "whoami",
         "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}"],
        capture_output=True, text=True, timeout=30)
    assert who.stdout.strip() == 'jane ["e2e-dev","system:authenticated"]', who.stdout + who.stderr
    denied = cluster.kubectl("certificate", "deny", "e2e-jane", check=False)
    assert denied.returncode != 0 and "already Approved" in denied.stderr

    node = "/O=system:nodes/CN=system:node:e2e"
    certificate_request(
        cluster, "e2e-node", "kube-apiserver-client-kubelet", node, "client auth, digital signature")
    eventually(lambda: "Approved,Issued" in cluster.get("csr", "e2e-node"), what="a node's approval by permission")
    certificate_request(
        cluster, "e2e-serving", "kubelet-serving", node, "server auth, digital signature")
    cluster.kubectl("certificate", "approve", "e2e-serving")
    eventually(lambda: "Failed" in cluster.get("csr", "e2e-serving"), what="the refusal of a server without names")
    cluster.kubectl("delete", "csr", "e2e-jane", "e2e-node", "e2e-serving")


def test_node_agents_see_what_their_pods_need(namespace, cluster):
    for name in ("needed", "other"):
        namespace.kubectl("create", "secret", "generic", name)
    namespace.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  nodeName: e2e-nowhere\n"
        "  containers: [{name: c, image: x:1, envFrom: [{secretRef: {name: needed}}]}]\n")
    agent = ("--as=system:node:e2e-nowhere", "--as-group=system:nodes")
    eventually(
        lambda: namespace.kubectl("get", "secret", "needed", *agent, check=False).returncode == 0,
        what="the agent's permission")
    refused(namespace, "no relationship found between node", "get", "secret", "other", *agent)
    refused(namespace, "forbidden", "get", "secrets", *agent)
    refused(namespace, "forbidden", "get", "pods", *agent)
    assert "pod/p" in namespace.kubectl(
        "get", "pods", "--field-selector=spec.nodeName=e2e-nowhere", "-o", "name", *agent).stdout


def test_health_and_strangers(cluster):
    code, text = status(cluster, "/readyz?verbose&exclude=scheduler")
    assert code == 200 and text.endswith(b"readyz check passed\n"), text
    assert b"[+]store ok" in text and b"[+]controllers ok" in text and b"[+]scheduler excluded: ok" in text
    assert status(cluster, "/livez") == (200, b"ok")
    assert cluster.kubectl("get", "--raw", "/livez/ping").stdout == "ok"
    # Whether it exists or not, a stranger hears the same.
    existing = status(cluster, "/api/v1/namespaces/kube-system")
    missing = status(cluster, "/api/v1/namespaces/none-there")
    assert existing[0] == missing[0] == 403
    assert existing[1].replace(b"kube-system", b"none-there") == missing[1]
