"""When webhooks are asked, and what they are told: connections, subresources, conditions, second rounds, dry runs."""

import json

import pytest
from conftest import eventually
from hook import Hook, json_patch
from wire import API

ROOT = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/hooked/configmaps"
MERGE = "application/merge-patch+json"


@pytest.fixture(scope="module")
def plane(shared_plane, tmp_path_factory):
    hook = Hook(tmp_path_factory.mktemp("hook"))
    api = API(shared_plane)
    assert api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "hooked"}})[0] == 201
    account = "/api/v1/namespaces/hooked/serviceaccounts/default"
    eventually(lambda: api.exchange("GET", account)[0] == 200, 20, "the default service account")
    yield api, hook
    hook.stop()


@pytest.fixture
def hooks(plane):
    """Registers webhooks for the namespace `hooked`; they are gone after the test."""
    api, hook = plane
    made = []

    def register(kind, *webhooks):
        name = f"test-{len(made)}"
        content = {"metadata": {"name": name}, "webhooks": [
            {"name": f"{path.strip('/')}.example.com", "clientConfig": hook.client_config(path), "sideEffects": "None",
             "admissionReviewVersions": ["v1"], "timeoutSeconds": 5, "rules": [rule],
             "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hooked"}}, **more}
            for path, rule, more in webhooks]}
        path = f"{ROOT}/{kind}webhookconfigurations"
        code, answer = api.call("POST", path, content)
        assert code == 201, answer
        made.append(f"{path}/{name}")

    hook.requests.clear()
    hook.answers.clear()
    yield register
    for path in made:
        api.call("DELETE", path)


def rule(resources, *operations, group="", scope="*"):
    return {"apiGroups": [group], "apiVersions": ["v1"], "resources": resources, "operations": list(operations),
            "scope": scope}


POD = {"metadata": {"name": "p"}, "spec": {
    "schedulingGates": [{"name": "example.com/never"}], "containers": [{"name": "c", "image": "none:1"}]}}
PODS = "/api/v1/namespaces/hooked/pods"


UPGRADE = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}


def test_connections(plane, hooks):
    api, hook = plane
    assert api.call("POST", PODS, POD)[0] == 201
    hook.answers["/c"] = lambda request: {"allowed": False, "status": {"code": 418, "message": "no streams"}}
    hooks("validating", ("/c", rule(["pods/exec", "pods/attach", "pods/portforward", "pods/proxy"], "CONNECT"), {}))
    kinds = {"exec?command=id&stdin=true": "PodExecOptions", "attach?container=c&stdout=true": "PodAttachOptions",
             "portforward?ports=80": "PodPortForwardOptions", "proxy/x": "PodProxyOptions"}
    for tail, kind in kinds.items():
        code, answer = api.call("POST", f"{PODS}/p/{tail}", headers=UPGRADE)
        assert code == 418 and answer["message"] == 'admission webhook "c.example.com" denied the request: no streams'
        request = hook.requests[-1][1]
        assert request["operation"] == "CONNECT" and request["object"]["kind"] == kind, request
        assert request["subResource"] == tail.split("?")[0].split("/")[0]
        assert (request["name"], request["namespace"], request["oldObject"]) == ("p", "hooked", None)
        assert request["resource"] == {"group": "", "version": "v1", "resource": "pods"}
    assert hook.requests[0][1]["object"] | {"stdin": True, "command": ["id"]} == hook.requests[0][1]["object"]
    hook.answers["/c"] = lambda request: {"allowed": True}
    code, answer = api.call("POST", f"{PODS}/p/exec?command=id&stdin=true", headers=UPGRADE)
    assert code >= 400 and "denied" not in answer["message"], "it was let through, to a pod that runs nowhere"


def test_subresources(plane, hooks):
    api, hook = plane
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}}
    path = "/apis/apps/v1/namespaces/hooked/deployments"
    assert api.call("POST", path, {"metadata": {"name": "d"}, "spec": spec})[0] == 201
    hook.answers["/s"] = lambda request: {"allowed": request["userInfo"]["username"].startswith("system:")}
    hooks("validating", ("/s", rule(["deployments/scale", "deployments/status"], "UPDATE", group="apps"), {}))
    assert api.call("PATCH", f"{path}/d", {"metadata": {"labels": {"x": "y"}}}, kind=MERGE)[0] == 200, "not asked"
    code, answer = api.call("PATCH", f"{path}/d/scale", {"spec": {"replicas": 1}}, kind=MERGE)
    assert code == 400 and "without explanation" in answer["message"], answer
    request = [r for _, r in hook.requests if r["subResource"] == "scale"][-1]
    assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert request["object"]["spec"]["replicas"] == 1 and request["oldObject"]["spec"].get("replicas", 0) == 0
    code, answer = api.call("PATCH", f"{path}/d/status", {"status": {"replicas": 1}}, kind=MERGE)
    assert code == 400 and [r for _, r in hook.requests if r["subResource"] == "status"][-1]["kind"]["kind"] == "Deployment"

    hook.answers["/e"] = lambda request: {"allowed": False, "status": {"message": "stays"}}
    hooks("validating", ("/e", rule(["pods/eviction"], "CREATE"), {}))
    code, answer = api.call("POST", f"{PODS}/p/eviction", {
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": "hooked"}})
    assert code == 400 and "stays" in answer["message"], answer
    assert [r for path, r in hook.requests if path == "/e"][-1]["object"]["kind"] == "Eviction"


def test_conditions_with_authorizer(plane, hooks):
    api, hook = plane
    hook.answers["/a"] = lambda request: {"allowed": False, "status": {"message": "asked"}}
    allowed = "authorizer.group('').resource('configmaps').namespace('hooked').check('breakglass').allowed()"
    hooks("validating", ("/a", rule(["configmaps"], "CREATE"), {"matchConditions": [
        {"name": "not-privileged", "expression": f"!{allowed}"},
        {"name": "not-mine", "expression": "!(has(object.data) && 'mine' in object.data)"}]}))
    assert api.call("POST", MAPS, {"metadata": {"name": "root"}})[0] == 201, "the administrator may do anything"
    api.call("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/hooked/rolebindings", {
        "metadata": {"name": "edit"}, "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]})
    jane = {"Impersonate-User": "jane"}
    dry = {"metadata": {"name": "dry"}, "data": {"mine": ""}}
    eventually(lambda: api.exchange("POST", MAPS + "?dryRun=All", dry, headers=jane)[0] == 201, 20, "Jane's permission")
    code, answer = api.call("POST", MAPS, {"metadata": {"name": "janes"}}, headers=jane)
    assert code == 400 and "asked" in answer["message"], answer
    assert api.call("POST", MAPS, {"metadata": {"name": "janes"}, "data": {"mine": ""}}, headers=jane)[0] == 201
    assert [path for path, _ in hook.requests] == ["/a"]


def test_second_round(plane, hooks):
    """A webhook that wants it is asked again when a later one changed the object, once."""
    api, hook = plane
    calls = []

    def sidecar(request):
        calls.append("first")
        labels = request["object"]["metadata"].get("labels", {})
        if "late" in labels and "seen" not in labels:
            return {"allowed": True, **json_patch({"op": "add", "path": "/metadata/labels/seen", "value": "yes"})}
        return {"allowed": True}

    def late(request):
        calls.append("late")
        return {"allowed": True, **json_patch({"op": "add", "path": "/metadata/labels", "value": {"late": "yes"}})}

    hook.answers |= {"/first": sidecar, "/late": late}
    maps = rule(["configmaps"], "CREATE")
    hooks("mutating", ("/first", maps, {"reinvocationPolicy": "IfNeeded"}), ("/late", maps, {}))
    made = api.call("POST", MAPS, {"metadata": {"name": "twice"}})[1]
    assert made["metadata"]["labels"] == {"late": "yes", "seen": "yes"} and calls == ["first", "late", "first"]
    calls.clear()
    hook.answers["/late"] = lambda request: calls.append("late") or {"allowed": True}
    assert api.call("POST", MAPS, {"metadata": {"name": "once"}})[0] == 201
    assert calls == ["first", "late"], "nothing changed after the first"


@pytest.mark.parametrize("effects", ["None", "NoneOnDryRun"])
def test_dry_run(plane, hooks, effects):
    api, hook = plane
    hook.answers["/m"] = lambda request: {
        "allowed": True, **json_patch({"op": "add", "path": "/data", "value": {"dry": str(request["dryRun"])}})}
    hooks("mutating", ("/m", rule(["configmaps"], "CREATE", "UPDATE", "DELETE"), {"sideEffects": effects}))
    code, made = api.call("POST", MAPS + "?dryRun=All", {"metadata": {"name": "dry"}})
    assert code == 201 and made["data"] == {"dry": "True"}
    assert api.exchange("GET", MAPS + "/dry")[0] == 404
    assert hook.requests[-1][1]["options"]["dryRun"] == ["All"]
    code, made = api.call("POST", MAPS, {"metadata": {"name": f"wet-{effects.lower()}"}})
    assert code == 201 and made["data"] == {"dry": "False"}


def test_side_effects_must_be_known(plane, hooks):
    """v1 takes only webhooks without effects on a dry run, so there is none that would have to be refused then."""
    api, hook = plane
    for effects in ("Some", "Unknown", None):
        webhook = {"name": "x.example.com", "clientConfig": hook.client_config("/x"), "admissionReviewVersions": ["v1"],
                   "rules": [rule(["configmaps"], "CREATE")]}
        if effects:
            webhook["sideEffects"] = effects
        code, answer = api.call("POST", f"{ROOT}/validatingwebhookconfigurations", {
            "metadata": {"name": "effects"}, "webhooks": [webhook]})
        assert code == 422 and "sideEffects" in answer["message"], json.dumps(answer)


def test_delete_and_its_old_object(plane, hooks):
    api, hook = plane
    api.call("POST", MAPS, {"metadata": {"name": "kept"}, "data": {"keep": "yes"}})
    hook.answers["/d"] = lambda request: {"allowed": "keep" not in (request["oldObject"].get("data") or {}),
                                          "status": {"message": "it is kept"}}
    hooks("validating", ("/d", rule(["configmaps"], "DELETE"), {}))
    code, answer = api.call("DELETE", MAPS + "/kept")
    assert code == 400 and "it is kept" in answer["message"]
    assert hook.requests[-1][1]["object"] is None
    code, answer = api.call("DELETE", MAPS)
    assert code == 400 and "it is kept" in answer["message"], answer
    assert api.exchange("GET", MAPS + "/kept")[0] == 200
