"""Users without permission learn nothing: what exists, what is missing and what makes no sense are refused alike."""

import pytest
from wire import API

METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT", "patch": "PATCH",
           "delete": "DELETE", "deletecollection": "DELETE"}
# Everybody may ask these about themselves.
OPEN = ("selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews")


@pytest.fixture(scope="module")
def stranger(shared_plane):
    """Somebody with a valid token and no role, and the administrator."""
    admin = API(shared_plane)
    assert admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": "here"}})[0] == 201
    path = "/api/v1/namespaces/here/serviceaccounts"
    assert admin.call("POST", path, {"metadata": {"name": "stranger"}})[0] == 201
    code, answer = admin.call("POST", f"{path}/stranger/token", {"spec": {}})
    assert code == 201, answer
    return API(shared_plane, token=answer["status"]["token"]), admin


def resources(admin):
    """All of discovery: the path of the version, and the resource."""
    roots = ["/api/v1"]
    for group in admin.call("GET", "/apis")[1]["groups"]:
        roots += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    for root in roots:
        for resource in admin.call("GET", root)[1]["resources"]:
            yield root, resource


def test_refusals_say_nothing(stranger):
    """Code, headers and body of a refusal are the same but for names that the client sent, whatever is there."""
    user, admin = stranger
    existing = {}
    for root, resource in resources(admin):
        if "list" in resource["verbs"]:
            for item in admin.call("GET", f"{root}/{resource['name']}?limit=1")[1]["items"]:
                existing[resource["name"]] = item["metadata"]
    assert len(existing) > 10
    count = 0
    for root, resource in resources(admin):
        name, _, subresource = resource["name"].partition("/")
        if name in OPEN:
            continue
        known = existing.get(name, {"name": "thing", "namespace": "default"})
        for verb in resource["verbs"]:
            answers = set()
            for space, item, content, query in (
                (known.get("namespace", "default"), known["name"], b"", ""),
                ("zz-none", "zz-missing", b"", ""),
                ("zz-none", "zz-missing", b'{"nonsense', "&limit=x&fieldSelector=%3D&labelSelector=((&timeoutSeconds=x"),
            ):
                path = root + (f"/namespaces/{space}" if resource["namespaced"] else "") + f"/{name}"
                if subresource or verb in ("get", "update", "patch", "delete"):
                    path += f"/{item}"
                if subresource:
                    path += f"/{subresource}"
                if verb == "watch":
                    path += "?watch=true"
                if query:
                    path += query if "?" in path else "?" + query[1:]
                code, headers, body = user.exchange(METHODS[verb], path, content)
                assert code == 403, f"{METHODS[verb]} {path}: {code} {body[:200]}"
                text = body.decode()
                for own, neutral in ((space, "NAME"), (item, "NAME")):
                    text = text.replace(f'"{own}"', f'"{neutral}"').replace(f'\\"{own}\\"', f'\\"{neutral}\\"')
                answers.add((text, tuple(sorted(h for h in headers))))
                count += 1
            assert len(answers) == 1, f"{verb} {root}/{resource['name']}: {answers}"
    assert count > 1500


@pytest.mark.parametrize("path", [
    "/api/v1/nothing", "/api/v1/namespaces/default/nothing/x", "/apis/none.example.com/v1/things",
    "/apis/none.example.com/v1/namespaces/default/things/x", "/api/v1/namespaces/default/pods/x/nothing",
    "/metrics", "/debug/anything", "/apis/apps/v9/deployments"])
def test_unknown_paths(stranger, path):
    """Not even which kinds exist."""
    user, _ = stranger
    assert user.exchange("GET", path)[0] == 403


def test_streams(stranger):
    """Exec, attach, port-forward and proxies are refused before anybody looks for the pod or upgrades anything."""
    user, _ = stranger
    for tail in ("exec?command=id", "attach", "portforward?ports=1", "proxy/x", "log"):
        answers = set()
        for name in ("zz-a", "zz-b"):
            headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                       "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io"}
            code, _, body = user.exchange("GET", f"/api/v1/namespaces/default/pods/{name}/{tail}", headers=headers)
            assert code == 403, body
            answers.add(body.decode().replace(name, ""))
        assert len(answers) == 1
    for path in ("/api/v1/nodes/n/proxy/healthz", "/api/v1/namespaces/default/services/s/proxy/"):
        assert user.exchange("GET", path)[0] == 403


def test_reviews_of_oneself_tell_only_of_oneself(stranger):
    user, _ = stranger
    root = "/apis/authorization.k8s.io/v1"
    for name in ("kube-system", "zz-none"):
        spec = {"spec": {"resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": name, "name": "x"}}}
        code, answer = user.call("POST", f"{root}/selfsubjectaccessreviews", spec)
        assert code == 201 and answer["status"] == {"allowed": False}, answer
    rules = [user.call("POST", f"{root}/selfsubjectrulesreviews", {"spec": {"namespace": name}})[1]["status"]
             for name in ("kube-system", "zz-none")]
    assert rules[0] == rules[1]
    asked = {"spec": {"user": "admin", "resourceAttributes": {"verb": "get", "resource": "pods"}}}
    assert user.call("POST", f"{root}/subjectaccessreviews", asked)[0] == 403
    big = {"spec": {"resourceAttributes": {"verb": "x" * (4 << 20)}}}
    assert user.exchange("POST", f"{root}/selfsubjectaccessreviews", big)[0] == 413
    user.close()


def test_impersonation_is_refused_alike(stranger):
    user, _ = stranger
    answers = set()
    for name in ("kubernetes-admin", "zz-nobody"):
        code, _, body = user.exchange("GET", "/api/v1/pods", headers={"Impersonate-User": name})
        assert code == 403
        answers.add(body.decode().replace(name, ""))
    assert len(answers) == 1


def test_wrong_tokens_are_refused_alike(stranger, shared_plane):
    user, _ = stranger
    head, claims, signature = user.token.split(".")
    answers = set()
    for token in ("x", f"{head}.{claims}.AAAA", f"{head}..{signature}", "a.b.c", "abcdef.0123456789abcdef"):
        code, _, body = API(shared_plane, token=token).exchange("GET", "/api/v1/pods")
        assert code == 401, body
        answers.add(body)
    assert len(answers) == 1
