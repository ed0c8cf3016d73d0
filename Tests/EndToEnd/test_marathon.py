"""Marathon's window: through /v2 and through kubectl, across a killed server, and with thousands of apps."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import APUS, ControlPlane, eventually, free_port


class Marathon(ControlPlane):
    """A control plane with Marathon on a port of its own. Without a node nothing is placed."""

    def __init__(self, directory):
        self.marathon_port = free_port()
        super().__init__(
            directory, "--marathon-port", str(self.marathon_port), "--mesos-port", "0", "--mesos-dns-port", "0")

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.marathon_port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def is_serving(self):
        return self.call("GET", "/v2/info")[0] == 200

    def start(self):
        super().start()
        eventually(self.is_serving, 30, "Marathon")


@pytest.fixture(scope="module")
def marathon(tmp_path_factory):
    plane = Marathon(tmp_path_factory.mktemp("marathon"))
    plane.start()
    yield plane
    if plane.process.poll() is None:
        plane.kill()


def test_kubectl_and_v2_are_one(marathon):
    code, app = marathon.call("POST", "/v2/apps", {"id": "/team/web", "cmd": "sleep 1000", "instances": 0})
    assert code == 201, app
    eventually(lambda: not marathon.call("GET", "/v2/deployments")[1], what="the end of the deployment")
    spec = json.loads(marathon.get("marathonapp", "team.web", "-o", "json"))["spec"]
    assert spec["id"] == "/team/web" and spec["version"] == app["version"]
    marathon.kubectl("patch", "marathonapp", "team.web", "--type=merge", "-p", '{"spec":{"mem":256}}')
    changed = eventually(
        lambda: [a for a in [marathon.call("GET", "/v2/apps/team/web")[1]["app"]] if a["mem"] == 256], what="the change")
    assert changed[0]["version"] > app["version"]
    assert len(marathon.call("GET", "/v2/apps/team/web/versions")[1]["versions"]) == 2
    marathon.kubectl("delete", "marathonapp", "team.web")
    eventually(lambda: marathon.call("GET", "/v2/apps/team/web")[0] == 404, what="the removal")


def test_a_deployment_survives_a_killed_server(marathon):
    code, _ = marathon.call("POST", "/v2/apps", {"id": "/wait", "cmd": "sleep 1000", "instances": 2})
    assert code == 201
    pods = ["get", "pods", "-l", "marathon.apus.dev/app=wait", "-o", "name"]
    before = eventually(
        lambda: [p for p in [sorted(marathon.kubectl(*pods).stdout.split())] if len(p) == 2], what="two instances")[0]
    deployments = marathon.call("GET", "/v2/deployments")[1]
    assert [d["affectedApps"] for d in deployments] == [["/wait"]] and deployments[0]["currentStep"] == 2
    marathon.kill()
    marathon.start()
    after = marathon.call("GET", "/v2/deployments")[1]
    assert [d["id"] for d in after] == [d["id"] for d in deployments]
    time.sleep(1)
    assert sorted(marathon.kubectl(*pods).stdout.split()) == before
    assert marathon.call("PUT", "/v2/apps/wait", {"cmd": "sleep 2"})[0] == 409
    queue = marathon.call("GET", "/v2/queue")[1]["queue"]
    assert [(q["app"]["id"], q["count"]) for q in queue] == [("/wait", 2)]
    assert marathon.call("DELETE", f"/v2/deployments/{after[0]['id']}")[0] == 200
    eventually(lambda: marathon.call("GET", "/v2/apps/wait")[0] == 404, what="the way back")
    eventually(lambda: not marathon.kubectl(*pods).stdout.split(), what="no instances")


def test_thousands_of_apps_are_listed_quickly(marathon):
    for first in range(0, 2000, 200):
        apps = [{"id": f"/many/a{n}", "cmd": "sleep 1000", "instances": 0} for n in range(first, first + 200)]
        code, body = marathon.call("PUT", "/v2/apps", apps)
        assert code == 200, body
        eventually(lambda: not marathon.call("GET", "/v2/deployments")[1], what="the end of the deployment")
    assert len(marathon.call("GET", "/v2/apps")[1]["apps"]) >= 2000
    assert len(marathon.call("GET", "/v2/apps?id=many/a77")[1]["apps"]) == 11
    assert marathon.call("DELETE", "/v2/groups/many?force=true")[0] in (200, 422)


def test_a_large_app_runs_on_simulated_nodes_and_yields_to_priority(marathon):
    nodes = subprocess.Popen(
        [APUS, "bench", "nodes", "--kubeconfig", str(marathon.kubeconfig), "--count", "4", "--cpu", "5"],
        stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert "ready" in nodes.stdout.readline()
        checks = [{"protocol": "MESOS_TCP", "portIndex": 0}]
        low = {"id": "/low", "cmd": "sleep 1000", "cpus": 0.1, "mem": 1, "instances": 200, "healthChecks": checks}
        assert marathon.call("POST", "/v2/apps", low)[0] == 201

        def healthy(app):
            return marathon.call("GET", f"/v2/apps/{app}")[1]["app"]["tasksHealthy"]

        eventually(lambda: healthy("low") == 200, what="200 instances")
        eventually(lambda: not marathon.call("GET", "/v2/deployments")[1], what="the end of the deployment")
        # The nodes are full: what has a higher priority takes the place of others, which wait.
        marathon.kubectl("create", "priorityclass", "high", "--value=1000")
        high = {**low, "id": "/high", "cpus": 1, "instances": 2, "priorityClassName": "high"}
        assert marathon.call("POST", "/v2/apps", high)[0] == 201
        eventually(lambda: healthy("high") == 2, what="the instances of higher priority")
        eventually(lambda: healthy("low") == 180, what="180 instances that are left")
        for app in ["high", "low"]:
            assert marathon.call("DELETE", f"/v2/apps/{app}")[0] == 200
        eventually(lambda: not marathon.call("GET", "/v2/deployments")[1], what="the removal")
    finally:
        nodes.send_signal(signal.SIGTERM)
        nodes.wait(60)
