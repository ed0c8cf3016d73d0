"""A custom resource in two versions that a webhook converts: v1 has `spec.hostPort`, v2 has `spec.host` and `spec.port`."""

import copy
import threading
import time

import pytest
from conftest import eventually
from hook import Hook
from wire import API

GROUP = "wires.example.com"
V1, V2 = (f"/apis/{GROUP}/{version}/namespaces/default/plugs" for version in ("v1", "v2"))
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def convert(request):
    """What a well-behaved webhook does; objects named `stuck…` it cannot convert."""
    wanted = request["desiredAPIVersion"]
    result = []
    for old in request["objects"]:
        new = copy.deepcopy(old)
        if new["metadata"]["name"].startswith("stuck"):
            return {"result": {"status": "Failed", "message": "that plug is stuck"}}
        new["apiVersion"] = wanted
        spec = new.get("spec", {})
        if wanted.endswith("/v2") and "hostPort" in spec:
            host, _, port = spec.pop("hostPort").partition(":")
            spec |= {"host": host, "port": port}
        elif wanted.endswith("/v1") and "host" in spec:
            spec["hostPort"] = f"{spec.pop('host')}:{spec.pop('port')}"
        result.append(new)
    return {"result": {"status": "Success"}, "convertedObjects": result}


def version(name, fields, stored):
    spec = {"type": "object", "properties": {field: {"type": "string", "maxLength": 100} for field in fields}}
    return {"name": name, "served": True, "storage": stored, "subresources": {"status": {}},
            "selectableFields": [{"jsonPath": f".spec.{fields[0]}"}],
            "additionalPrinterColumns": [{"name": field, "type": "string", "jsonPath": f".spec.{field}"} for field in fields],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": spec, "status": {"type": "object", "properties": {"lit": {"type": "boolean"}}}}}}}


@pytest.fixture(scope="module")
def plugs(shared_plane, tmp_path_factory):
    hook = Hook(tmp_path_factory.mktemp("hook"))
    hook.answers["/convert"] = convert
    api = API(shared_plane)
    made = {
        "metadata": {"name": f"plugs.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "plugs", "kind": "Plug"},
                 "versions": [version("v1", ["hostPort"], True), version("v2", ["host", "port"], False)],
                 "conversion": {"strategy": "Webhook", "webhook": {
                     "clientConfig": hook.client_config("/convert"), "conversionReviewVersions": ["v1"]}}}}
    code, answer = api.call("POST", DEFINITION, made)
    assert code == 201, answer
    eventually(lambda: api.exchange("GET", V2)[0] == 200, 20, "the kind")
    yield api, hook
    hook.stop()


def plug(name, served="v1", **spec):
    return {"apiVersion": f"{GROUP}/{served}", "kind": "Plug", "metadata": {"name": name}, "spec": spec}


def test_every_verb_in_both_versions(plugs):
    api, hook = plugs
    assert api.call("POST", V1, plug("a", hostPort="sun:80"))[0] == 201
    code, made = api.call("POST", V2, plug("b", "v2", host="moon", port="443"))
    assert code == 201 and made["apiVersion"] == f"{GROUP}/v2" and made["spec"] == {"host": "moon", "port": "443"}
    assert api.call("GET", V1 + "/b")[1]["spec"] == {"hostPort": "moon:443"}
    found = api.call("GET", V2 + "/a")[1]
    assert found["apiVersion"] == f"{GROUP}/v2" and found["spec"] == {"host": "sun", "port": "80"}

    listed = api.call("GET", V2)[1]
    assert listed["apiVersion"] == f"{GROUP}/v2"
    assert [(item["metadata"]["name"], item["spec"]) for item in listed["items"]] == [
        ("a", {"host": "sun", "port": "80"}), ("b", {"host": "moon", "port": "443"})]
    table = api.call("GET", V2, accept="application/json;as=Table;v=v1;g=meta.k8s.io")[1]
    assert [row["cells"] for row in table["rows"]] == [["a", "sun", "80"], ["b", "moon", "443"]]

    code, patched = api.call("PATCH", V2 + "/a", {"spec": {"port": "81"}}, kind="application/merge-patch+json")
    assert code == 200 and patched["spec"] == {"host": "sun", "port": "81"} and patched["metadata"]["generation"] == 2
    assert api.call("GET", V1 + "/a")[1]["spec"] == {"hostPort": "sun:81"}
    change = [{"op": "replace", "path": "/spec/hostPort", "value": "sun:82"}]
    assert api.call("PATCH", V1 + "/a", change, kind="application/json-patch+json")[0] == 200
    whole = api.call("GET", V2 + "/a")[1]
    assert whole["spec"]["port"] == "82"
    whole["spec"]["host"] = "star"
    code, replaced = api.call("PUT", V2 + "/a", whole)
    assert code == 200 and replaced["spec"] == {"host": "star", "port": "82"}
    code, stale = api.call("PUT", V2 + "/a", whole)
    assert code == 409, stale
    code, lit = api.call("PATCH", V2 + "/a/status", {"status": {"lit": True}}, kind="application/merge-patch+json")
    assert code == 200 and lit["apiVersion"] == f"{GROUP}/v2" and lit["status"] == {"lit": True}
    code, wrong = api.call("PATCH", V2 + "/a", {"spec": {"host": 5}}, kind="application/merge-patch+json")
    assert code == 422 and "spec.host" in wrong["message"], wrong

    request = hook.requests[-1][1]
    assert set(request) == {"uid", "desiredAPIVersion", "objects"}
    assert request["objects"][0]["metadata"]["name"] in ("a", "b")
    code, gone = api.call("DELETE", V2 + "/b")
    assert code == 200
    assert api.call("DELETE", V2)[0] == 200 and api.call("GET", V1)[1]["items"] == []


def test_fields_of_the_other_version_select(plugs):
    api, _ = plugs
    for name, host in (("one", "sun"), ("two", "moon"), ("three", "sun")):
        assert api.call("POST", V2, plug(name, "v2", host=host, port="1"))[0] == 201
    code, chosen = api.call("GET", V2 + "?fieldSelector=spec.host%3Dsun")
    assert code == 200 and [item["metadata"]["name"] for item in chosen["items"]] == ["one", "three"], chosen
    code, first = api.call("GET", V2 + "?fieldSelector=spec.host%3Dsun,metadata.name%21%3Done&limit=3")
    assert [item["metadata"]["name"] for item in first["items"]] == ["three"], first
    assert api.call("GET", V1 + "?fieldSelector=spec.host%3Dsun")[0] == 400

    watcher = API(api.cluster)
    start = chosen["metadata"]["resourceVersion"]
    watcher.send("GET", f"{V2}?watch=true&resourceVersion={start}&timeoutSeconds=20&fieldSelector=spec.host%3Dmars")
    assert watcher.head()[0] == 200
    for host in ("mars", "sun", "mars"):
        assert api.call("PATCH", V2 + "/one", {"spec": {"host": host}}, kind="application/merge-patch+json")[0] == 200
    assert api.call("PATCH", V2 + "/two", {"spec": {"port": "2"}}, kind="application/merge-patch+json")[0] == 200
    assert api.call("DELETE", V2)[0] == 200
    seen = []
    for event in watcher.lines():
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if len(seen) == 4:
            break
    watcher.close()
    assert seen == [("ADDED", "one"), ("DELETED", "one"), ("ADDED", "one"), ("DELETED", "one")], seen


def test_apply(plugs):
    """Who applies in one version owns its fields in that version."""
    api, _ = plugs
    kind = "application/apply-patch+yaml"
    code, made = api.call("PATCH", V2 + "/s?fieldManager=one", plug("s", "v2", host="h", port="1"), kind=kind)
    assert code == 201, made
    assert [(entry["apiVersion"], entry["manager"]) for entry in made["metadata"]["managedFields"]] == [
        (f"{GROUP}/v2", "one")]
    code, again = api.call("PATCH", V2 + "/s?fieldManager=one", plug("s", "v2", host="h", port="2"), kind=kind)
    assert code == 200 and again["spec"] == {"host": "h", "port": "2"}
    assert api.call("GET", V1 + "/s")[1]["spec"] == {"hostPort": "h:2"}
    code, refused = api.call("PATCH", V2 + "/s?fieldManager=two", plug("s", "v2", port="3"), kind=kind)
    assert code == 409 and 'conflict with "one"' in refused["message"], refused
    api.call("DELETE", V1 + "/s")


def test_watches_in_both_versions(plugs):
    api, _ = plugs
    start = api.call("GET", V1)[1]["metadata"]["resourceVersion"]
    seen = {"v1": [], "v2": []}

    def watch(name, path):
        watcher = API(api.cluster)
        watcher.send("GET", f"{path}?watch=true&resourceVersion={start}&timeoutSeconds=20")
        assert watcher.head()[0] == 200
        for event in watcher.lines():
            item = event["object"]
            seen[name].append((event["type"], item["apiVersion"], item.get("spec")))
            if event["type"] == "DELETED":
                return watcher.close()

    threads = [threading.Thread(target=watch, args=item, daemon=True) for item in (("v1", V1), ("v2", V2))]
    for thread in threads:
        thread.start()
    api.call("POST", V2, plug("w", "v2", host="a", port="1"))
    api.call("PATCH", V1 + "/w", {"spec": {"hostPort": "b:2"}}, kind="application/merge-patch+json")
    api.call("DELETE", V1 + "/w")
    for thread in threads:
        thread.join(15)
    one, two = ([kind, spec] for kind, spec in ((f"{GROUP}/v1", {"hostPort": "b:2"}), (f"{GROUP}/v2", {"host": "b", "port": "2"})))
    assert seen["v1"] == [("ADDED", one[0], {"hostPort": "a:1"}), ("MODIFIED", *one), ("DELETED", *one)]
    assert seen["v2"] == [("ADDED", two[0], {"host": "a", "port": "1"}), ("MODIFIED", *two), ("DELETED", *two)]


def test_what_cannot_be_converted(plugs):
    """An object that the webhook refuses spoils what shows it, in the words that operators search for."""
    api, hook = plugs
    assert api.call("POST", V1, plug("stuck", hostPort="x:1"))[0] == 201
    assert api.call("GET", V1 + "/stuck")[0] == 200, "the stored version needs no webhook"
    text = f"conversion webhook for {GROUP}/v1, Kind=Plug failed: that plug is stuck"
    for path in (V2 + "/stuck", V2):
        code, answer = api.call("GET", path)
        assert code == 500 and text in answer["message"], answer
    code, answer = api.call("POST", V2, plug("stuck-too", "v2", host="x", port="1"))
    assert code == 500 and "that plug is stuck" in answer["message"], answer
    assert api.call("DELETE", V1 + "/stuck")[0] == 200

    assert api.call("POST", V1, plug("c", hostPort="x:1"))[0] == 201
    spoiled = {
        "expected 1 converted objects, got 0": lambda request: {"result": {"status": "Success"}, "convertedObjects": []},
        "must not change": lambda request: {"result": {"status": "Success"}, "convertedObjects": [
            dict(item, apiVersion=request["desiredAPIVersion"], metadata=dict(item["metadata"], name="other"))
            for item in request["objects"]]},
        "expected converted objects": lambda request: {
            "result": {"status": "Success"}, "convertedObjects": request["objects"]},
    }
    for text, answers in spoiled.items():
        hook.answers["/convert"] = answers
        # A new version of the object: what was converted once is remembered.
        api.call("PATCH", V1 + "/c", {"spec": {"hostPort": f"x:{len(text)}"}}, kind="application/merge-patch+json")
        code, answer = api.call("GET", V2 + "/c")
        assert code == 500 and text in answer["message"], (text, answer)
    hook.answers["/convert"] = convert
    assert api.call("GET", V2 + "/c")[0] == 200


def test_another_stored_version(plugs):
    """The stored version may change; old objects are converted when they are read, and written in the new one."""
    api, _ = plugs
    path = f"{DEFINITION}/plugs.{GROUP}"
    definition = api.call("GET", path)[1]
    for one in definition["spec"]["versions"]:
        one["storage"] = one["name"] == "v2"
    code, definition = api.call("PUT", path, definition)
    assert code == 200 and definition["status"]["storedVersions"] == ["v1", "v2"], definition
    time.sleep(0.5)
    assert api.call("POST", V1, plug("new", hostPort="n:1"))[0] == 201
    assert [item["spec"] for item in api.call("GET", V2)[1]["items"]][-1] == {"host": "n", "port": "1"}
    code, answer = api.call("PATCH", V1 + "/c", {"metadata": {"labels": {"x": "y"}}}, kind="application/merge-patch+json")
    assert code == 200 and answer["spec"]["hostPort"].startswith("x:"), answer
