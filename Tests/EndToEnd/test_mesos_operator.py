"""What a Mesos operator does: the JSON endpoints, the operator API, maintenance, and names."""

import base64
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import pytest

from conftest import Cluster, ControlPlane, eventually, free_port

import shutil
import tempfile

PLAIN = """
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  runtimeClassName: process
  hostNetwork: true
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: host, command: [sleep, "1000"], resources: {requests: {cpu: 250m, memory: 32Mi}}}
"""


class Windows(Cluster):
    def __init__(self, directory):
        self.master, self.agent, self.marathon, self.names = (free_port() for _ in range(4))
        super().__init__(
            directory, "--mesos-port", str(self.master), "--mesos-agent-port", str(self.agent),
            "--marathon-port", str(self.marathon), "--mesos-dns-port", str(self.names))

    def ask(self, path, body=None, method=None, port=None, headers=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.master}{path}", data=body, method=method, headers=headers or {})
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def form(self, path, **fields):
        return self.ask(path, urllib.parse.urlencode(fields).encode(), "POST")

    def call(self, kind, **members):
        body = {"type": kind, **({kind.lower(): members} if members else {})}
        answer = self.ask(
            "/api/v1", json.dumps(body).encode(), "POST", headers={"Content-Type": "application/json"})
        return (answer or {}).get(kind.lower())

    def agent_state(self):
        return self.call("GET_AGENTS")["agents"][0]


@pytest.fixture(scope="module")
def mesos():
    directory = tempfile.mkdtemp(prefix="apus-e2e.")
    cluster = Windows(directory)
    cluster.start()
    eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
    eventually(lambda: cluster.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    eventually(lambda: cluster.call("GET_AGENTS").get("agents"), 30, "an agent")
    cluster.kubectl("apply", "-f", "-", text=PLAIN)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/plain", "--timeout=45s")
    yield cluster
    cluster.stop()
    assert cluster.down("--purge").returncode == 0
    shutil.rmtree(directory, ignore_errors=True)


def refusal(ask):
    with pytest.raises(urllib.error.HTTPError) as error:
        ask()
    return error.value.code


def test_documents(mesos):
    assert all(part.isdigit() for part in mesos.ask("/version")["version"].split("."))
    for path in ["/state", "/master/state.json", "/slaves", "/frameworks", "/master/frameworks/", "/tasks?limit=-1",
                 "/roles", "/metrics/snapshot", "/flags", "/state-summary", "/maintenance/schedule", "/weights", "/quota",
                 "/mesos/state-summary"]:
        mesos.ask(path)
    mesos.ask("/health")
    task = eventually(
        lambda: [t for f in mesos.ask("/state")["frameworks"] if f["name"] == "kubernetes" for t in f["tasks"]
                 if t["name"] == "plain" and t["state"] == "TASK_RUNNING"], 20, "Kubernetes's pod in /state")[0]
    assert task["resources"]["cpus"] == 0.25
    assert mesos.ask("/slaves")["slaves"][0]["used_resources"]["cpus"] >= 0.25


def test_the_page(mesos):
    def document(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{mesos.master}{path}", timeout=20) as answer:
            return answer.headers["Content-Type"].split(";")[0], answer.headers, answer.read().decode()

    for path in ["/", "/master", "/mesos/"]:
        kind, headers, page = document(path)
        assert kind == "text/html" and "script-src 'self'" in headers["Content-Security-Policy"]
    for name, expected in [("page.js", "text/javascript"), ("page.css", "text/css")]:
        assert f'"{name}"' in page
        assert document(f"/{name}")[0] == document(f"/mesos/{name}")[0] == expected
    # Marathon sends browsers there, by the name that they know the machine by.
    for path, name in [("/", "127.0.0.1"), ("/ui/", "localhost")]:
        browser = urllib.request.Request(f"http://{name}:{mesos.marathon}{path}", headers={"Accept": "text/html,*/*"})
        with urllib.request.urlopen(browser, timeout=20) as answer:
            assert answer.geturl() == f"http://{name}:{mesos.master}/#/apps"
    assert mesos.ask("/", port=mesos.marathon)["name"] == "marathon"
    # What it reads of a task's sandbox comes through the master.
    agent = mesos.agent_state()["agent_info"]["id"]["value"]
    assert mesos.ask(f"/agent/{agent}/state")["id"] == agent


def test_weights_and_quota(mesos):
    mesos.ask("/weights", json.dumps([{"role": "ads", "weight": 2.5}]).encode(), "PUT")
    assert {"role": "ads", "weight": 2.5} in mesos.ask("/weights")
    assert refusal(lambda: mesos.ask("/weights", b'[{"role": "ads", "weight": -1}]', "PUT")) == 400
    mesos.call("UPDATE_QUOTA", quota_configs=[
        {"role": "ads", "guarantees": {"cpus": {"value": 0.1}}, "limits": {"cpus": {"value": 0.5}}}])
    config = mesos.call("GET_QUOTA")["status"]["configs"][0]
    assert config["limits"]["cpus"]["value"] == 0.5
    assert refusal(lambda: mesos.call("UPDATE_QUOTA", quota_configs=[
        {"role": "ads", "guarantees": {"cpus": {"value": 1e6}}}])) == 400
    assert mesos.get("roles.mesos.apus.dev", "-o", "jsonpath={.items[0].spec.weight}") == "2.5"
    mesos.call("UPDATE_QUOTA", quota_configs=[{"role": "ads"}])
    assert not mesos.call("GET_QUOTA")["status"].get("configs")


def test_reservations_and_volumes(mesos):
    agent = mesos.agent_state()["agent_info"]["id"]["value"]

    def resources(**extra):
        return json.dumps([{
            "name": "disk", "type": "SCALAR", "scalar": {"value": 64},
            "reservations": [{"type": "DYNAMIC", "role": "ads", "principal": "ops"}], **extra}])

    mesos.form("/reserve", slaveId=agent, resources=resources())
    assert eventually(
        lambda: mesos.ask("/slaves")["slaves"][0]["reserved_resources"].get("ads", {}).get("disk") == 64, 10,
        "the reservation")
    names = ["resources", "reserved_resources", "unreserved_resources"]
    eventually(
        lambda: all(mesos.ask("/state", port=mesos.agent)[name] == mesos.ask("/slaves")["slaves"][0][name]
                    for name in names), 10, "the same at the agent")
    volume = {"disk": {"persistence": {"id": "v1", "principal": "ops"},
                       "volume": {"container_path": "data", "mode": "RW"}}}
    mesos.form("/create-volumes", slaveId=agent, volumes=resources(**volume))
    assert refusal(lambda: mesos.form("/unreserve", slaveId=agent, resources=resources())) in (400, 409)
    mesos.form("/destroy-volumes", slaveId=agent, volumes=resources(**volume))
    mesos.form("/unreserve", slaveId=agent, resources=resources())
    assert eventually(lambda: not mesos.ask("/slaves")["slaves"][0]["reserved_resources"], 10, "no reservation")
    huge = json.loads(resources())
    huge[0]["scalar"]["value"] = 1e12
    assert refusal(lambda: mesos.form("/reserve", slaveId=agent, resources=json.dumps(huge))) == 409


def test_maintenance_and_draining(mesos):
    machine = {"hostname": mesos.agent_state()["agent_info"]["hostname"]}
    start = int(time.time() + 3600) * 10**9
    window = {"machine_ids": [machine], "unavailability": {"start": {"nanoseconds": start}}}
    assert refusal(lambda: mesos.ask("/machine/down", json.dumps([machine]).encode(), "POST")) == 400
    mesos.ask("/maintenance/schedule", json.dumps({"windows": [window]}).encode(), "POST")
    assert mesos.ask("/maintenance/schedule")["windows"][0]["machine_ids"][0]["hostname"] == machine["hostname"]
    assert mesos.ask("/maintenance/status")["draining_machines"]
    mesos.call("START_MAINTENANCE", machines=[machine])
    assert mesos.ask("/maintenance/status")["down_machines"]
    assert mesos.agent_state()["deactivated"]
    mesos.call("STOP_MAINTENANCE", machines=[machine])
    assert not mesos.ask("/maintenance/schedule").get("windows")
    assert eventually(lambda: not mesos.agent_state().get("deactivated"), 10, "an active agent")

    agent = mesos.agent_state()["agent_info"]["id"]
    mesos.call("DRAIN_AGENT", agent_id=agent, max_grace_period="10s")
    eventually(lambda: mesos.agent_state()["drain_info"]["state"] == "DRAINED", 20, "a drained agent")
    mesos.call("REACTIVATE_AGENT", agent_id=agent)
    eventually(lambda: "drain_info" not in mesos.agent_state(), 10, "an active agent")
    mesos.call("DEACTIVATE_AGENT", agent_id=agent)
    assert mesos.agent_state()["deactivated"]
    mesos.call("REACTIVATE_AGENT", agent_id=agent)


def test_watching(mesos):
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesos.master}/api/v1", data=b'{"type":"SUBSCRIBE"}',
        headers={"Content-Type": "application/json", "Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as stream:
        def event():
            return json.loads(stream.read(int(stream.readline())))

        first = event()
        assert first["type"] == "SUBSCRIBED" and "get_state" in first["subscribed"]
        assert event()["type"] == "HEARTBEAT"
        assert refusal(lambda: mesos.form("/master/teardown", frameworkId="none")) == 400


HUGE = """
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  runtimeClassName: process
  restartPolicy: Never
  terminationGracePeriodSeconds: 9223372036854775807
  containers:
  - name: main
    image: host
    command: [sleep, "1000"]
    env: [{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "8E"}}}]
    resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {cpu: "9e18", memory: "9e18"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: huge}
spec:
  replicas: 1
  selector: {matchLabels: {a: huge}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 9223372036854775807%}}
  template:
    metadata: {labels: {a: huge}}
    spec: {nodeSelector: {no: where}, containers: [{name: main, image: none}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: huge}
spec:
  replicas: 2147483647
  podManagementPolicy: Parallel
  selector: {matchLabels: {b: huge}}
  template:
    metadata: {labels: {b: huge}}
    spec: {nodeSelector: {no: where}, containers: [{name: main, image: none}]}
"""


def test_no_number_ends_the_server(mesos):
    """A sum or a conversion that overflows would end the process, whoever sent the number."""
    quota = {"role": "huge", "guarantees": {"cpus": {"value": 1e30}}}
    assert refusal(lambda: mesos.call("UPDATE_QUOTA", quota_configs=[quota])) == 400
    mesos.call("UPDATE_QUOTA", force=True, quota_configs=[quota])
    for path in ["/quota", "/roles", "/state", "/metrics/snapshot"]:
        mesos.ask(path)
    mesos.call("UPDATE_QUOTA", quota_configs=[{"role": "huge"}])
    agent = mesos.agent_state()["agent_info"]["id"]
    for time in ["NaNs", "infs", "1e30s", "-1s", {"seconds": 1e30}]:
        assert refusal(lambda: mesos.call("DRAIN_AGENT", agent_id=agent, max_grace_period=time)) == 400
    for member in ["cpus", "mem", "disk"]:
        app = {"id": f"huge-{member}", "cmd": "sleep 1000", "instances": 1, member: 1e30}
        mesos.ask("/v2/apps", json.dumps(app).encode(), "POST", mesos.marathon, {"Content-Type": "application/json"})
        mesos.ask("/v2/queue", port=mesos.marathon)
        mesos.ask(f"/v2/apps/huge-{member}?force=true", method="DELETE", port=mesos.marathon)
    mesos.kubectl("apply", "-f", "-", text=HUGE)
    mesos.kubectl("wait", "--for=condition=Ready", "pod/huge", "--timeout=45s")
    # Made in bursts: there is no list of two billions of anything.
    eventually(lambda: mesos.get("pod", "huge-400", "--ignore-not-found", "-o", "name"), 60, "some of very many pods")
    mesos.kubectl("delete", "statefulset", "huge", "--cascade=orphan")
    mesos.kubectl("delete", "pod", "-l", "b=huge", "--grace-period=0", "--force", "--wait=false")
    mesos.kubectl("delete", "deployment/huge", "--wait=false")
    mesos.kubectl("delete", "pod/huge", "--timeout=40s")
    mesos.ask("/slaves")
    assert mesos.process.poll() is None, mesos.log_tail()


def test_marathon_stays(mesos):
    def own():
        frameworks = mesos.ask("/master/frameworks")["frameworks"]
        return [framework["id"] for framework in frameworks if framework["name"] == "marathon"]

    [marathon] = own()
    assert refusal(lambda: mesos.form("/master/teardown", frameworkId=marathon)) == 409
    assert own() == [marathon]


def test_names(mesos):
    service = mesos.get("-n", "kube-system", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")

    def dig(name, kind):
        return subprocess.run(
            ["dig", "+short", "+time=2", "+tries=1", f"@{service}", name, kind], capture_output=True, text=True,
            timeout=20).stdout.strip()

    address = mesos.get("pod", "plain", "-o", "jsonpath={.status.hostIP}")
    assert eventually(lambda: dig("plain.kubernetes.mesos", "A") == address, 20, "the pod's name")
    assert dig("leader.mesos", "A") and dig("_leader._tcp.mesos", "SRV").endswith(f"{mesos.master} leader.mesos.")
    assert dig("nothing.marathon.mesos", "A") == ""
    assert mesos.ask("/v1/hosts/plain.kubernetes.mesos", port=mesos.names)[0]["ip"] == address
    assert mesos.ask("/v1/version", port=mesos.names)["Service"] == "Mesos-DNS"
    listed = mesos.ask("/v1/enumerate", port=mesos.names)["frameworks"]
    assert any(task["name"] == "plain" for framework in listed for task in framework["tasks"])
    names = mesos.ask("/v1/axfr", port=mesos.names)["Records"]
    assert "plain.kubernetes.mesos." in names["As"] and "leader.mesos." in names["As"]
    assert names["SRVs"]["_leader._tcp.mesos."] == [f"leader.mesos.:{mesos.master}"]

    # Every task of a pod is published under the pod's name, its ports under those of its endpoints.
    pod = {
        "id": "/team/named", "networks": [{"mode": "host"}], "scaling": {"kind": "fixed", "instances": 1},
        "containers": [{
            "name": "one", "exec": {"command": {"shell": "exec sleep 600"}}, "resources": {"cpus": 0.01, "mem": 16},
            "endpoints": [{"name": "web", "hostPort": 0, "protocol": ["udp", "tcp"]}]}]}
    mesos.ask(
        "/v2/pods", json.dumps(pod).encode(), "POST", port=mesos.marathon, headers={"Content-Type": "application/json"})

    def task():
        return [task for task in mesos.ask("/tasks")["tasks"] if task["name"] == "one"]

    published = eventually(
        lambda: [one["discovery"]["ports"]["ports"] for one in task() if one["state"] == "TASK_RUNNING"], 60,
        "the pod's task")[0]
    assert [(port["name"], port["protocol"]) for port in published] == [("web", "udp"), ("web", "tcp")]
    number = published[0]["number"]
    assert 31000 <= number <= 32000 and "assigned" not in published[0]
    found = eventually(lambda: dig("_web._named-team._tcp.marathon.mesos", "SRV"), 20, "the endpoint's name")
    assert found.split()[2] == str(number)
    whole = subprocess.run(
        ["dig", "+noall", "+additional", "+time=2", f"@{service}", "_web._named-team._tcp.marathon.mesos", "SRV"],
        capture_output=True, text=True, timeout=20).stdout
    assert whole.split()[-2:] == ["A", address], whole
    assert dig("named.team.marathon.mesos", "A") == dig("named-team.marathon.mesos", "A") == address
    # Its deployment may not be over.
    mesos.ask("/v2/pods/team/named?force=true", None, "DELETE", port=mesos.marathon)


def test_what_the_command_line_of_dcos_looks_at(mesos):
    """`dcos cluster setup`, `dcos service` and `dcos node`; clusters are known by random UUIDs alone."""
    assert mesos.ask("/pkgpanda/active.buildinfo.full.json") == {}
    assert uuid.UUID(mesos.ask("/metadata")["CLUSTER_ID"]).version == 4
    # A framework that has no tasks yet, too.
    marathon = eventually(
        lambda: [one for one in mesos.ask("/mesos/frameworks")["frameworks"] if one["name"] == "marathon"], 30,
        "Marathon among the frameworks")
    assert [(one["active"], one["connected"]) for one in marathon] == [(True, True)]
    mesos.ask(
        "/v2/groups", json.dumps({
            "id": "/shares", "enforceRole": True,
            "apps": [{"id": "/shares/one", "cmd": "exec sleep 600", "cpus": 0.03, "mem": 16}]}).encode(),
        "POST", port=mesos.marathon, headers={"Content-Type": "application/json"})
    units = [unit["id"] for unit in mesos.ask("/system/health/v1/units")["units"]]
    assert "dcos-mesos-master.service" in units and "dcos-marathon.service" in units
    node = mesos.ask("/system/health/v1/nodes")["nodes"][0]
    assert mesos.ask(f"/system/health/v1/nodes/{node['host_ip']}/units")["units"][0]["health"] == 0
    assert refusal(lambda: mesos.ask("/system/health/v1/units/none")) == 404
    assert mesos.ask("/exhibitor/exhibitor/v1/cluster/status")[0]["isLeader"] is True

    # What an app holds is the role's, is no reservation, and names Marathon among its frameworks.
    def role():
        return next((one for one in mesos.ask("/roles")["roles"] if one["name"] == "shares"), None)

    found = eventually(lambda: role() and role()["allocated"]["cpus"] == 0.03 and role(), 60, "the app in its role")
    assert found["quota"]["consumed"] == {"cpus": 0.03, "mem": 16.0} and found["frameworks"] == [marathon[0]["id"]]
    task = eventually(
        lambda: mesos.ask("/v2/apps/shares/one/tasks", port=mesos.marathon)["tasks"], 20, "the task")[0]
    assert task["slaveId"] == mesos.agent_state()["agent_info"]["id"]["value"]
    mesos.ask("/v2/groups/shares?force=true", None, "DELETE", port=mesos.marathon)


@pytest.mark.parametrize("image", [False, True])
def test_a_named_address_of_an_app(mesos, registry, image):
    """`VIP_0` of a port definition, or of a mapping of a container's port: its name resolves to an address on which the
    port of the label leads to the app, wherever that listens."""
    service = mesos.get("-n", "kube-system", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    name = "images" if image else "files"
    port = {"protocol": "tcp", "labels": {"VIP_0": f"/{name}:8088"}}
    app = {"id": f"/team/{name}", "instances": 1, "cpus": 0.1, "mem": 64}
    if image:
        app["container"] = {
            "type": "MESOS", "docker": {"image": f"{registry}/e2e/web:1"},
            "portMappings": [{"containerPort": 8080, "hostPort": 0, **port}]}
        app["networks"] = [{"mode": "container/bridge"}]
    else:
        app["cmd"] = "mkdir cgi-bin && echo version=host >cgi-bin/info && exec python3 -m http.server $PORT0"
        app["portDefinitions"] = [{"port": 0, **port}]
    mesos.ask(
        "/v2/apps", json.dumps(app).encode(), "POST", port=mesos.marathon, headers={"Content-Type": "application/json"})

    def address():
        return subprocess.run(
            ["dig", "+short", "+time=2", "+tries=1", f"@{service}", f"{name}.marathon.l4lb.thisdcos.directory"],
            capture_output=True, text=True, timeout=20).stdout.strip()

    found = eventually(address, 60, "the name")
    assert found.startswith("11.")

    def answer():
        with urllib.request.urlopen(f"http://{found}:8088/cgi-bin/info", timeout=3) as response:
            return response.read().decode()
    eventually(lambda: "version=" in answer(), 60, "the app behind the address")
    mesos.ask(f"/v2/apps/team/{name}", None, "DELETE", port=mesos.marathon)
    eventually(lambda: not address(), 60, "the end of the name")


READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: web-framework}
rules:
- {apiGroups: [mesos.apus.dev], resources: [frameworks], verbs: [create]}
- {apiGroups: [mesos.apus.dev], resources: [roles], resourceNames: [web], verbs: [use]}
- {apiGroups: [mesos.apus.dev], resources: [users], resourceNames: [nobody], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: web-framework}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: web-framework}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "mesos:app"}]
"""


def test_principals_may_what_roles_say(tmp_path, tmp_path_factory):
    credentials = tmp_path_factory.mktemp("credentials") / "file"
    credentials.write_text("ops secret1\napp secret2\n")
    master, marathon, metronome = free_port(), free_port(), free_port()
    plane = ControlPlane(
        tmp_path, "--mesos-port", str(master), "--marathon-port", str(marathon), "--metronome-port", str(metronome),
        "--credentials", str(credentials))
    plane.start()

    def ask(who, path, body=None, method=None, port=master):
        secret = {"ops": "secret1", "app": "secret2"}[who]
        token = base64.b64encode(f"{who}:{secret}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", data=None if body is None else json.dumps(body).encode(), method=method,
            headers={"Authorization": f"Basic {token}", "Content-Type": "application/json",
                     "Accept": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            return error

    def subscribe(role, user):
        info = {"name": "try", "user": user, "roles": [role], "capabilities": [{"type": "MULTI_ROLE"}]}
        with ask("app", "/api/v1/scheduler", {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}) as stream:
            assert stream.status == 200, stream.read()
            return json.loads(stream.read(int(stream.readline())))

    try:
        eventually(lambda: ask("app", "/state").status == 200, 30, "the window, open to all principals at first")
        narrowed = {
            "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mesos:ops"}]}
        plane.kubectl(
            "patch", "clusterrolebinding", "apus:mesos-operator", "--type=merge", "-p", json.dumps(narrowed))
        eventually(lambda: ask("app", "/state").status == 403, 10, "the refusal")
        assert b'"app" may not list tasks.mesos.apus.dev' in ask("app", "/slaves").read()
        assert ask("app", "/health").status == 200
        for port, path in [(master, "/health"), (master, "/version"), (marathon, "/ping"), (metronome, "/ping")]:
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).status == 200, path
        assert ask("app", "/weights", [{"role": "web", "weight": 2}], "PUT").status == 403
        assert json.load(ask("app", "/v2/apps", port=marathon)) == {"apps": []}
        assert ask("app", "/v2/apps", {"id": "/a", "cmd": "true"}, port=marathon).status == 403
        assert json.load(ask("app", "/service/metronome/v1/jobs")) == []
        assert ask("app", "/api/v1", {"type": "GET_STATE"}).status == 403
        assert ask("ops", "/weights", [{"role": "web", "weight": 2}], "PUT").status == 200
        assert ask("ops", "/v2/apps", port=marathon).status == 200
        assert "may not create frameworks" in subscribe("web", "nobody")["error"]["message"]
        plane.kubectl("apply", "-f", "-", text=READER)
        eventually(lambda: subscribe("web", "nobody")["type"] == "SUBSCRIBED", 10, "a framework of its role")
        assert 'may not use roles.mesos.apus.dev "other"' in subscribe("other", "nobody")["error"]["message"]
        assert 'may not use users.mesos.apus.dev "root"' in subscribe("web", "root")["error"]["message"]
        # A restart leaves the narrowed binding as it is.
        plane.kill()
        plane.start()
        eventually(lambda: ask("ops", "/state").status == 200, 30, "the window")
        assert ask("app", "/state").status == 403
    finally:
        if plane.process.poll() is None:
            plane.kill()
