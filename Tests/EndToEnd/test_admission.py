"""Webhooks and admission policies, as whoever runs kubectl meets them."""

import json

import pytest

from conftest import eventually
from hook import Hook, json_patch


@pytest.fixture
def webhook(namespace, tmp_path):
    """A webhook behind the service `hook` of the test's namespace; its configurations are removed at the end."""
    hook = Hook(tmp_path, [f"DNS:hook.{namespace.name}.svc"], "0.0.0.0")
    address = namespace.cluster.get(
        "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}")
    namespace.apply(f"""
apiVersion: v1
kind: Service
metadata: {{name: hook}}
spec: {{ports: [{{port: 443, targetPort: {hook.port}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: hook-1, labels: {{kubernetes.io/service-name: hook}}}}
addressType: IPv4
ports: [{{name: "", port: {hook.port}, protocol: TCP}}]
endpoints: [{{addresses: ["{address}"], conditions: {{ready: true}}}}]
""")
    yield hook
    hook.stop()
    for kind in ("mutating", "validating"):
        namespace.cluster.kubectl(
            "delete", f"{kind}webhookconfigurations", "-l", f"test={namespace.name}", "--ignore-not-found")


def configure(namespace, hook, kind, path, rule, more=""):
    """A configuration with one webhook for this namespace only."""
    name = f"{namespace.name}-{path}"
    namespace.cluster.kubectl("apply", "-f", "-", text=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: {kind}WebhookConfiguration
metadata: {{name: {name}, labels: {{test: {namespace.name}}}}}
webhooks:
- name: {path}.example.com
  clientConfig:
    service: {{namespace: {namespace.name}, name: hook, path: /{path}}}
    caBundle: {hook.bundle}
  sideEffects: None
  admissionReviewVersions: [v1]
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace.name}}}}}
  rules:
  - {rule}
{more}
""")
    return name


CONFIG_MAPS = '{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE, UPDATE]}'


def test_webhooks_change_warn_and_refuse(namespace, webhook):
    webhook.answers["/change"] = lambda request: {
        "allowed": True, "warnings": ["changed by a webhook"],
        **json_patch({"op": "add", "path": "/data", "value": {"added": "yes"}})}
    webhook.answers["/check"] = lambda request: (
        {"allowed": False, "status": {"code": 403, "message": "forbidden words"}}
        if request["name"] == "bad" else {"allowed": True})
    configure(namespace, webhook, "Mutating", "change", CONFIG_MAPS)
    configure(namespace, webhook, "Validating", "check", CONFIG_MAPS)
    # In force at once: its own write was answered.
    made = namespace.kubectl("create", "configmap", "good")
    assert "Warning: changed by a webhook" in made.stderr
    assert namespace.get("configmap", "good", "-o", "jsonpath={.data.added}") == "yes"
    path, request = webhook.requests[-1]
    assert path == "/check" and request["object"]["data"] == {"added": "yes"}
    assert request["userInfo"]["username"] and request["options"]["fieldManager"] == "kubectl-create"
    bad = namespace.kubectl("create", "configmap", "bad", check=False)
    assert bad.returncode != 0
    assert 'admission webhook "check.example.com" denied the request: forbidden words' in bad.stderr
    dry = namespace.kubectl("create", "configmap", "dry", "--dry-run=server", "-o", "jsonpath={.data}")
    assert dry.stdout == '{"added":"yes"}' and webhook.requests[-1][1]["dryRun"] is True


def test_a_webhook_refuses_a_connection(namespace, webhook, registry):
    namespace.run_pod("p", f"  containers: [{{name: main, image: {registry}/e2e/tools:1, command: [sleep, '600']}}]\n")
    webhook.answers["/exec"] = lambda request: {
        "allowed": False, "status": {"message": f"no {request['object']['kind']} here"}}
    rule = '{apiGroups: [""], apiVersions: [v1], resources: [pods/exec], operations: [CONNECT]}'
    configure(namespace, webhook, "Validating", "exec", rule)
    refused = namespace.kubectl("exec", "p", "--", "true", check=False)
    assert refused.returncode != 0 and "no PodExecOptions here" in refused.stderr, refused.stderr
    assert webhook.requests[-1][1]["operation"] == "CONNECT"


def test_who_cannot_be_asked(namespace, webhook):
    name = configure(namespace, webhook, "Validating", "gone", CONFIG_MAPS, "  timeoutSeconds: 2")
    namespace.kubectl("delete", "endpointslice", "hook-1")
    failed = namespace.kubectl("create", "configmap", "a", check=False)
    assert 'failed calling webhook "gone.example.com": failed to call webhook: Post "https://hook.' in failed.stderr
    assert "/gone?timeout=2s" in failed.stderr and "no endpoints available" in failed.stderr
    namespace.cluster.kubectl(
        "patch", "validatingwebhookconfiguration", name, "--type=json", "-p",
        '[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]')
    namespace.kubectl("create", "configmap", "a")


def test_match_conditions_of_a_webhook(namespace, webhook):
    webhook.answers["/cel"] = lambda request: {"allowed": False, "status": {"message": "asked"}}
    condition = "  matchConditions: [{name: not-mine, expression: \"request.name != 'mine'\"}]"
    configure(namespace, webhook, "Validating", "cel", CONFIG_MAPS, condition)
    namespace.kubectl("create", "configmap", "mine")
    assert "asked" in namespace.kubectl("create", "configmap", "other", check=False).stderr
    broken = namespace.cluster.kubectl("get", "validatingwebhookconfiguration", f"{namespace.name}-cel", "-o", "yaml")
    result = namespace.cluster.kubectl(
        "apply", "-f", "-", text=broken.stdout.replace("request.name !=", "request.name !"), check=False)
    assert "compilation failed" in result.stderr


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE, UPDATE]}}
  variables:
  - {{name: most, expression: "has(params.data) ? int(params.data.most) : 5"}}
  paramKind: {{apiVersion: v1, kind: ConfigMap}}
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "string(variables.most) + ' is enough in ' + namespaceObject.metadata.name"
  - expression: "!object.metadata.name.startsWith('root')"
    message: that name is reserved
    reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  paramRef: {{name: limits, parameterNotFoundAction: Deny}}
  validationActions: [{actions}]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"""


@pytest.fixture
def policies(namespace):
    """Removes the policies that bear the namespace's name."""
    yield
    for kind in ("validatingadmissionpolicy", "mutatingadmissionpolicy"):
        for resource in (f"{kind}binding", kind):
            namespace.cluster.kubectl("delete", resource, namespace.name, "--ignore-not-found")


def test_a_policy_refuses_and_warns(namespace, policies):
    def policy(actions):
        return POLICY.format(name=namespace.name, namespace=namespace.name, actions=actions)

    namespace.cluster.kubectl("apply", "-f", "-", text=policy("Deny"))
    deployment = ("create", "deployment", "--image=x:1")
    start = f"ValidatingAdmissionPolicy '{namespace.name}' with binding '{namespace.name}' denied request: "
    missing = namespace.kubectl(*deployment, "web", check=False)
    assert start + "failed to configure binding: no params found for policy binding" in missing.stderr
    namespace.kubectl("create", "configmap", "limits", "--from-literal=most=2")
    many = namespace.kubectl(*deployment, "web", "--replicas=3", check=False)
    assert f'deployments.apps "web" is forbidden: {start}2 is enough in {namespace.name}' in many.stderr
    assert start + "that name is reserved" in namespace.kubectl(*deployment, "root", check=False).stderr
    namespace.kubectl(*deployment, "web", "--replicas=2")
    namespace.cluster.kubectl("apply", "-f", "-", text=policy("Warn, Audit"))
    warned = namespace.kubectl("scale", "deployment", "web", "--replicas=1")
    assert warned.returncode == 0
    warned = namespace.kubectl(*deployment, "more", "--replicas=4")
    assert f"Warning: Validation failed for ValidatingAdmissionPolicy '{namespace.name}'" in warned.stderr


def test_types_of_a_policy_are_checked(namespace, policies):
    text = POLICY.format(name=namespace.name, namespace=namespace.name, actions="Warn")
    namespace.cluster.kubectl("apply", "-f", "-", text=text.replace("object.spec.replicas", "object.spec.replicasss"))
    warning = eventually(
        lambda: namespace.cluster.get(
            "validatingadmissionpolicy", namespace.name, "-o",
            "jsonpath={.status.typeChecking.expressionWarnings[0].warning}"), 20, "the type check")
    assert "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replicasss'" in warning
    broken = namespace.cluster.kubectl("apply", "-f", "-", text=text.replace("<=", "<+"), check=False)
    assert "compilation failed" in broken.stderr


def test_a_policy_changes_what_is_written(namespace, policies):
    namespace.cluster.kubectl("apply", "-f", "-", text=f"""
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {namespace.name}}}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], resources: [deployments], operations: [CREATE]}}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >
        Object{{metadata: Object.metadata{{labels: {{"set": "by-policy"}}}},
        spec: Object.spec{{template: Object.spec.template{{spec: Object.spec.template.spec{{
        containers: object.spec.template.spec.containers.map(c, Object.spec.template.spec.containers{{
        name: c.name, imagePullPolicy: "Never"}})}}}}}}}}
  - patchType: JSONPatch
    jsonPatch:
      expression: >
        [JSONPatch{{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: "c"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {namespace.name}}}
spec:
  policyName: {namespace.name}
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace.name}}}}}}}
""")
    namespace.kubectl("create", "deployment", "web", "--image=x:1")
    made = json.loads(namespace.get("deployment", "web", "-o", "json"))
    assert made["metadata"]["labels"] == {"app": "web", "set": "by-policy", "a/b": "c"}
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["imagePullPolicy"] == "Never" and container["image"] == "x:1"
