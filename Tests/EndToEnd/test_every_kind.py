"""Every stored kind through every verb and form: made, read in all representations, patched in all ways, applied, deleted."""

import json

import pytest
from conftest import eventually
from wire import API

LABELS = {"matchLabels": {"a": "b"}}
POD = {"containers": [{"name": "c", "image": "none:1"}], "restartPolicy": "Always"}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
RULES = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["none"], "operations": ["CREATE"]}]}
HOOK = {"name": "a.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": "https://127.0.0.1:1/"}}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "none"}
CLASS = {"provisioner": "example.com/none"}
CAPACITY = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}

# The least that makes a valid object of each kind that needs more than a name.
NEEDED = {
    "pods": {"spec": dict(POD, schedulingGates=[{"name": "example.com/never"}])},
    "podtemplates": {"template": TEMPLATE},
    "replicationcontrollers": {"spec": {"replicas": 0, "selector": {"a": "b"}, "template": TEMPLATE}},
    "replicasets": {"spec": {"replicas": 0, "selector": LABELS, "template": TEMPLATE}},
    "controllerrevisions": {"revision": 1, "data": {"spec": {}}},
    "deployments": {"spec": {"replicas": 0, "selector": LABELS, "template": TEMPLATE}},
    "statefulsets": {"spec": {"replicas": 0, "selector": LABELS, "template": TEMPLATE, "serviceName": "x"}},
    "daemonsets": {"spec": {"selector": LABELS, "template": TEMPLATE}},
    "jobs": {"spec": {"suspend": True, "template": {"spec": dict(POD, restartPolicy="Never")}}},
    "cronjobs": {"spec": {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {
        "spec": {"template": {"spec": dict(POD, restartPolicy="Never")}}}}},
    "services": {"spec": {"ports": [{"port": 80}]}},
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]},
    "endpointslices": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.1.2.3"]}]},
    "events": {"involvedObject": {"kind": "Pod", "name": "x", "namespace": "kinds"}, "reason": "Test", "message": "m",
               "type": "Normal"},
    "events.events.k8s.io": {
        "regarding": {"kind": "Pod", "name": "x", "namespace": "kinds"}, "reason": "Test", "note": "m", "type": "Normal",
        "eventTime": "2026-01-01T00:00:00.000000Z", "action": "Testing", "reportingController": "example.com/test",
        "reportingInstance": "test-1"},
    "limitranges": {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
    "resourcequotas": {"spec": {"hard": {"count/widgets.example.com": "5"}}},
    "persistentvolumes": {"spec": dict(CAPACITY, hostPath={"path": "/none"})},
    "persistentvolumeclaims": {"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none",
                                        "resources": {"requests": {"storage": "1Gi"}}}},
    "horizontalpodautoscalers": {"spec": {"maxReplicas": 2, "scaleTargetRef": {
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "none"}}},
    "poddisruptionbudgets": {"spec": {"minAvailable": 1, "selector": LABELS}},
    "ingresses": {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}},
    "ingressclasses": {"spec": {"controller": "example.com/none"}},
    "networkpolicies": {"spec": {"podSelector": {}}},
    "servicecidrs": {"spec": {"cidrs": ["10.77.0.0/24"]}},
    "ipaddresses": {"name": "10.99.1.2", "spec": {"parentRef": {
        "resource": "services", "namespace": "kinds", "name": "none"}}},
    "runtimeclasses": {"handler": "none"},
    "priorityclasses": {"value": 5},
    "storageclasses": CLASS,
    "csidrivers": {"spec": {}}, "csinodes": {"spec": {"drivers": []}},
    "csistoragecapacities": {"storageClassName": "none"},
    "volumeattachments": {"spec": {"attacher": "example.com/none", "nodeName": "none", "source": {
        "persistentVolumeName": "none"}}},
    "volumeattributesclasses": {"driverName": "example.com/none"},
    "rolebindings": {"roleRef": ROLE}, "clusterrolebindings": {"roleRef": dict(ROLE, kind="ClusterRole")},
    "certificatesigningrequests": None,
    "leases": {"spec": {"holderIdentity": "x"}},
    "mutatingwebhookconfigurations": {"webhooks": [HOOK]}, "validatingwebhookconfigurations": {"webhooks": [HOOK]},
    "validatingadmissionpolicies": {"spec": {"matchConstraints": RULES, "validations": [{"expression": "true"}]}},
    "validatingadmissionpolicybindings": {"spec": {"policyName": "none", "validationActions": ["Deny"]}},
    "mutatingadmissionpolicies": {"spec": {"matchConstraints": RULES, "reinvocationPolicy": "Never", "mutations": [
        {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}]}},
    "mutatingadmissionpolicybindings": {"spec": {"policyName": "none"}},
    "flowschemas": {"spec": {"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 1000}},
    "prioritylevelconfigurations": {"spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}},
    "customresourcedefinitions": {"name": "kinds.every.example.com", "spec": {
        "group": "every.example.com", "scope": "Namespaced", "names": {"plural": "kinds", "kind": "Kind"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
    "apiservices": {"name": "v1.none.example.com", "spec": {
        "group": "none.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1,
        "insecureSkipTLSVerify": True, "service": {"name": "none", "namespace": "kinds"}}},
    "resourceclaims": {"spec": {}}, "resourceclaimtemplates": {"spec": {"spec": {}}}, "deviceclasses": {"spec": {}},
    "resourceslices": {"spec": {"driver": "example.com", "nodeName": "none", "pool": {
        "name": "none", "generation": 1, "resourceSliceCount": 1}}},
    "componentstatuses": None,
}
# What a list without a strategic key says to a patch of its own kind; everything else takes all four.
PATCHES = {
    "application/json-patch+json": [{"op": "add", "path": "/metadata/labels", "value": {"json": "1"}}],
    "application/merge-patch+json": {"metadata": {"labels": {"merge": "1"}}},
    "application/strategic-merge-patch+json": {"metadata": {"labels": {"strategic": "1"}}},
}


@pytest.fixture(scope="module")
def api(shared_plane):
    api = API(shared_plane)
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kinds"}})
    eventually(lambda: api.exchange("GET", "/api/v1/namespaces/kinds/serviceaccounts/default")[0] == 200, 20, "account")
    return api


def served(api):
    roots = ["/api/v1"] + [f"/apis/{version['groupVersion']}" for group in api.call("GET", "/apis")[1]["groups"]
                           for version in group["versions"]]
    for root in roots:
        answer = api.call("GET", root)[1]
        for resource in answer["resources"]:
            yield root, answer["groupVersion"], resource, [other["name"] for other in answer["resources"]]


def test_every_kind(api):
    problems = []
    seen = set()
    for root, version, resource, names in served(api):
        name = resource["name"]
        if "/" in name or not {"create", "get", "delete"} <= set(resource["verbs"]):
            continue
        key = f"{name}.{version.split('/')[0]}" if f"{name}.{version.split('/')[0]}" in NEEDED else name
        content = NEEDED.get(key, {})
        # Custom resources, ours too, have neither protobuf nor strategic merge.
        if content is None or "metrics.k8s.io" in version or ".apus.dev/" in version:
            continue
        seen.add(key)
        item = dict(content)
        own = item.pop("name", "every-kind")
        made = {"apiVersion": version, "kind": resource["kind"], "metadata": {"name": own}, **item}
        space = "/namespaces/kinds" if resource["namespaced"] else ""
        try:
            walk(api, f"{root}{space}/{name}", made, resource, names)
        except (AssertionError, KeyError, ValueError) as error:
            problems.append(f"{version} {name}: {error!r}"[:700])
            api.exchange("DELETE", f"{root}{space}/{name}/{own}?gracePeriodSeconds=0")
    assert not problems, "\n".join(problems)
    assert len(seen) > 50, sorted(seen)


def expect(answer, *codes):
    code, _, body = answer
    assert code in codes, f"{code} instead of {codes}: {body[:500]}"
    return body


def walk(api, path, made, resource, names):
    own = f"{path}/{made['metadata']['name']}"
    dry = json.loads(expect(api.exchange("POST", path + "?dryRun=All&fieldValidation=Strict", made), 201))
    assert dry["kind"] == made["kind"] and dry["metadata"]["uid"]
    expect(api.exchange("GET", own), 404)
    created = json.loads(expect(api.exchange("POST", path + "?fieldManager=test", made), 201))
    # What says no more than an object in which nobody set anything has no owner.
    if set(made) > {"apiVersion", "kind", "metadata"} and made.get("spec") not in ({}, {"spec": {}}):
        assert created["metadata"]["managedFields"][0]["manager"] == "test"
    expect(api.exchange("POST", path, made), 409)

    whole = json.loads(expect(api.exchange("GET", own), 200))
    assert whole["kind"] == made["kind"] and whole["apiVersion"] == made["apiVersion"]
    if "customresourcedefinitions" not in path and "apiservices" not in path:
        protobuf = expect(api.exchange("GET", own, accept="application/vnd.kubernetes.protobuf"), 200)
        assert protobuf[:4] == b"k8s\0"
        expect(api.exchange("PUT", own, protobuf, kind="application/vnd.kubernetes.protobuf"), 200, 409)
    yaml = expect(api.exchange("GET", own, accept="application/yaml"), 200).decode()
    assert f"\nkind: \"{made['kind']}\"\n" in yaml
    table = json.loads(expect(api.exchange("GET", own, accept="application/json;as=Table;v=v1;g=meta.k8s.io"), 200))
    assert table["kind"] == "Table" and len(table["rows"]) == 1
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])
    assert table["rows"][0]["cells"][0] or "events" in path
    partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    partial = json.loads(expect(api.exchange("GET", own, accept=partial), 200))
    assert partial["kind"] == "PartialObjectMetadata" and set(partial) == {"kind", "apiVersion", "metadata"}
    for query in ("", "?limit=1", "?labelSelector=none%3Dx", f"?fieldSelector=metadata.name%3D{made['metadata']['name']}"):
        listed = json.loads(expect(api.exchange("GET", path + query), 200))
        assert listed["kind"] == made["kind"] + "List" and listed["apiVersion"] == made["apiVersion"]
        assert ("none%3Dx" in query) == (not listed["items"])

    for kind, patch in PATCHES.items():
        changed = json.loads(expect(api.exchange("PATCH", own, patch, kind=kind), 200))
        assert "1" in changed["metadata"]["labels"].values()
    applied = dict(made, metadata={"name": made["metadata"]["name"], "annotations": {"applied": "yes"}})
    kind = "application/apply-patch+yaml"
    applied = json.loads(expect(api.exchange("PATCH", own + "?fieldManager=a&force=true", applied, kind=kind), 200))
    assert applied["metadata"]["annotations"]["applied"] == "yes"
    assert any(entry["operation"] == "Apply" for entry in applied["metadata"]["managedFields"])
    # Nothing changed: nothing is written.
    again = json.loads(expect(api.exchange("PATCH", own, {}, kind="application/merge-patch+json"), 200))
    same = json.loads(expect(api.exchange("PUT", own, again), 200, 409))
    assert same.get("code") == 409 or same["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    stale = dict(again, metadata=dict(again["metadata"], resourceVersion="1"))
    expect(api.exchange("PUT", own, stale), 409)

    if f"{resource['name']}/status" in names:
        status = json.loads(expect(api.exchange("GET", own + "/status"), 200))
        assert status["kind"] == made["kind"]
        expect(api.exchange("PATCH", own + "/status", {"metadata": {"annotations": {"s": "t"}}},
                            kind="application/merge-patch+json"), 200)
        expect(api.exchange("PUT", own + "/status", json.loads(expect(api.exchange("GET", own), 200))), 200, 409)
    if f"{resource['name']}/scale" in names:
        scale = json.loads(expect(api.exchange("GET", own + "/scale"), 200))
        assert scale["kind"] == "Scale" and scale["spec"].get("replicas", 0) == 0
        expect(api.exchange("PATCH", own + "/scale", {"spec": {"replicas": 0}}, kind="application/merge-patch+json"), 200)

    api.send("GET", f"{path}?watch=true&timeoutSeconds=2&fieldSelector=metadata.name%3D{made['metadata']['name']}")
    assert api.head()[0] == 200
    assert next(iter(api.lines()))["type"] == "ADDED"
    api.close()
    expect(api.exchange("DELETE", own + "?dryRun=All"), 200, 202)
    expect(api.exchange("GET", own), 200)
    expect(api.exchange("DELETE", own + "?gracePeriodSeconds=0"), 200, 202)
    if "deletecollection" in resource["verbs"]:
        expect(api.exchange("DELETE", path + "?labelSelector=none%3Dx"), 200)
