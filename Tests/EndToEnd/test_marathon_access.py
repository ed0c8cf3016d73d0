"""Who may see and change which apps, groups and jobs: roles with names, bindings in namespaces, and paths of groups."""

import base64
import json
import urllib.error
import urllib.request

from conftest import ControlPlane, eventually, free_port

RULES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: everything-of-marathon}
rules:
- {apiGroups: [marathon.apus.dev], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: dev, namespace: default}
rules:
- {apiGroups: [marathon.apus.dev], resources: [marathongroups], resourceNames: [dev], verbs: ["*"]}
- {apiGroups: [marathon.apus.dev], resources: [marathonapps], resourceNames: [shop.web], verbs: [get]}
- {apiGroups: [metronome.apus.dev], resources: [metronomejobs], resourceNames: [mine], verbs: ["*"]}
- {apiGroups: [metronome.apus.dev], resources: [metronomejobs], resourceNames: [shown], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dev, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: dev}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "mesos:dev"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: web}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everything-of-marathon}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "mesos:web"}]
"""


def test_principals_have_apps_groups_and_jobs_of_their_own(tmp_path, tmp_path_factory):
    credentials = tmp_path_factory.mktemp("credentials") / "file"
    credentials.write_text("ops x\ndev x\nweb x\n")
    marathon, metronome = free_port(), free_port()
    plane = ControlPlane(
        tmp_path, "--mesos-port", "0", "--mesos-dns-port", "0", "--marathon-port", str(marathon), "--metronome-port",
        str(metronome), "--credentials", str(credentials))
    plane.start()

    def call(who, method, path, body=None, port=marathon):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": "Basic " + base64.b64encode(f"{who}:x".encode()).decode(),
                     "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def app(name, **members):
        return {"id": name, "cmd": "sleep 1000", "instances": 0, **members}

    def names(who):
        return sorted(item["id"] for item in call(who, "GET", "/v2/apps")[1]["apps"])

    try:
        eventually(lambda: call("ops", "GET", "/v2/apps")[0] == 200, 30, "Marathon, open to all principals at first")
        for made in [app("/dev/one"), app("/shop/web"), app("/shop/db"), app("/site", role="web")]:
            assert call("ops", "POST", "/v2/apps", made)[0] == 201
        eventually(lambda: not call("ops", "GET", "/v2/deployments")[1], 20, "the end of the deployments")
        plane.kubectl("apply", "-f", "-", text=RULES)
        plane.kubectl(
            "patch", "clusterrolebinding", "apus:mesos-operator", "--type=merge", "-p", json.dumps({
                "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mesos:ops"}]}))

        # Lists show what each may see.
        eventually(lambda: names("dev") == ["/dev/one", "/shop/web"], 10, "the group and the app of dev")
        assert names("web") == ["/site"] and len(names("ops")) == 4
        root = call("dev", "GET", "/v2/groups")[1]
        assert sorted(group["id"] for group in root["groups"]) == ["/dev", "/shop"] and root["apps"] == []
        assert [a["id"] for g in root["groups"] for a in g["apps"]] == ["/dev/one", "/shop/web"]
        # What is not to be seen is refused whether it is there or not.
        for path in ["/v2/apps/shop/db", "/v2/apps/shop/none", "/v2/apps/shop/db/tasks", "/v2/apps/shop/db/versions"]:
            code, body = call("dev", "GET", path)
            assert code == 403 and 'may not get marathonapps.marathon.apus.dev "shop.' in body["message"], (path, body)
        assert call("dev", "GET", "/v2/apps/dev/none")[0] == 404

        # What is allowed for a group is allowed for everything below it, and nothing else.
        assert call("dev", "POST", "/v2/apps", app("/dev/team/two"))[0] == 201
        assert call("dev", "PUT", "/v2/apps/dev/one", {"mem": 64})[0] == 200
        assert call("dev", "PUT", "/v2/apps/shop/web", {"mem": 64})[0] == 403
        assert call("dev", "POST", "/v2/apps", app("/elsewhere"))[0] == 403
        assert call("dev", "POST", "/v2/apps", app("/dev/three", role="web"))[0] == 403
        assert call("dev", "DELETE", "/v2/apps/shop/web")[0] == 403
        assert call("dev", "PUT", "/v2/groups/shop", {"apps": []})[0] == 403
        assert call("dev", "DELETE", "/v2/groups/shop?force=true")[0] == 403
        assert call("dev", "PUT", "/v2/groups", {"groups": []})[0] == 403
        assert call("web", "POST", "/v2/apps", app("/new", role="web"))[0] == 201
        assert call("web", "POST", "/v2/apps", app("/new2"))[0] == 403
        assert call("web", "PUT", "/v2/apps/site", {"role": "*"})[0] == 403
        assert call("dev", "GET", "/v2/events")[0] in (403, 406)
        assert call("dev", "GET", "/v2/info")[0] == 200

        # A deployment is taken back by who may change all that it changes.
        assert call("ops", "PUT", "/v2/apps/shop/web?force=true", {"instances": 1})[0] == 200
        deployment = [d for d in call("dev", "GET", "/v2/deployments")[1] if d["affectedApps"] == ["/shop/web"]][0]
        assert call("web", "GET", "/v2/deployments")[1] == []
        for force in ["", "?force=true"]:
            assert call("dev", "DELETE", f"/v2/deployments/{deployment['id']}{force}")[0] == 403
        assert call("dev", "DELETE", "/v2/apps/shop/web/tasks")[0] in (200, 403)
        assert call("ops", "DELETE", f"/v2/deployments/{deployment['id']}")[0] == 200
        eventually(lambda: not call("ops", "GET", "/v2/deployments")[1], 20, "the end of the deployments")
        assert call("dev", "DELETE", "/v2/groups/dev?force=true")[0] == 200

        def job(name):
            return {"id": name, "run": {"cmd": "true", "cpus": 0.1, "mem": 32, "disk": 0}}

        for name in ["mine", "shown", "hidden"]:
            assert call("ops", "POST", "/v1/jobs", job(name), port=metronome)[0] == 201
        assert [j["id"] for j in call("dev", "GET", "/v1/jobs", port=metronome)[1]] == ["mine", "shown"]
        assert call("dev", "PUT", "/v1/jobs/mine", job("mine"), port=metronome)[0] == 200
        assert call("dev", "GET", "/v1/jobs/shown", port=metronome)[0] == 200
        for method, path, body in [
                ("PUT", "/v1/jobs/shown", job("shown")), ("POST", "/v1/jobs/shown/runs", {}),
                ("DELETE", "/v1/jobs/shown", None), ("GET", "/v1/jobs/hidden", None), ("GET", "/v1/jobs/none", None),
                ("GET", "/v1/jobs/hidden/runs", None), ("POST", "/v1/jobs", job("other"))]:
            assert call("dev", method, path, body, port=metronome)[0] == 403, (method, path)
        assert call("dev", "DELETE", "/v1/jobs/mine", port=metronome)[0] == 200
    finally:
        if plane.process.poll() is None:
            plane.kill()
