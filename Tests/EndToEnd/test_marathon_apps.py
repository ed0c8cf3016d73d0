"""What Marathon does with apps that run, through its own client: data that stays, ways of updating and of going back."""

import collections
import collections.abc
import json
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pytest
from conftest import Cluster, eventually, free_port

# The client was written for Pythons that still had it there.
collections.Iterable = collections.abc.Iterable
from marathon import MarathonClient, MarathonHttpError  # noqa: E402
from marathon.models import MarathonApp, MarathonGroup  # noqa: E402


class Apps(Cluster):
    """A node for plain programs, with Marathon on a port of its own."""

    def __init__(self, directory):
        port = free_port()
        super().__init__(
            directory, "--marathon-port", str(port), "--mesos-port", "0", "--mesos-agent-port", "0",
            "--metronome-port", "0", "--mesos-dns-port", "0")
        self.url = f"http://127.0.0.1:{port}"
        self.client = MarathonClient(self.url, timeout=30)

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def create(self, name, cmd, **members):
        """Makes an app and waits until its deployment is over."""
        body = {"id": name, "cmd": cmd, "cpus": 0.02, "mem": 16, "portDefinitions": [], **members}
        self.call("POST", "/v2/apps", body)
        self.settled(name)

    def update(self, name, force=False, **members):
        return self.call("PUT", f"/v2/apps/{name}" + ("?force=true" if force else ""), members)["deploymentId"]

    def deployments(self, name):
        return [d for d in self.call("GET", "/v2/deployments") if f"/{name}" in d["affectedApps"] + d["affectedPods"]]

    def settled(self, name):
        eventually(lambda: not self.deployments(name), 40, f"the end of the deployment of {name}")

    def tasks(self, name):
        return self.call("GET", f"/v2/apps/{name}/tasks")["tasks"]

    def ids(self, name):
        return sorted(task["id"] for task in self.tasks(name))

    def program(self, name):
        return self.call("GET", f"/v2/apps/{name}")["app"]["cmd"]

    def logs(self, name):
        return self.kubectl("logs", "-l", f"marathon.apus.dev/app={name}", "--tail=-1").stdout


@pytest.fixture(scope="module")
def apps():
    directory = tempfile.mkdtemp(prefix="apus-e2e.")
    cluster = Apps(directory)
    cluster.start()
    eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
    eventually(lambda: cluster.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    eventually(lambda: cluster.client.ping(), 30, "Marathon")
    # Measurements come every 15 seconds: what is scaled by them starts first and is looked at last.
    cluster.create(
        "busy", "while :; do :; done", cpus=0.1, resourceLimits={"cpus": 0.2},
        autoscaling={"minInstances": 1, "maxInstances": 2, "targetCpuPercent": 50})
    cluster.create("idle", "sleep 1000", instances=2, autoscaling={"maxInstances": 3, "targetCpuPercent": 50})
    yield cluster
    if cluster.process.poll() is None:
        cluster.stop()
    assert cluster.down("--purge").returncode == 0
    shutil.rmtree(directory, ignore_errors=True)


NOWHERE = [["rack", "IS", "none"]]


def test_data_stays_with_its_instance_until_the_app_goes(apps):
    volume = {"containerPath": "data", "mode": "RW", "persistent": {"type": "root", "size": 10}}
    apps.create(
        "db", "echo start >> data/starts; wc -l < data/starts; exec sleep 1000",
        container={"type": "MESOS", "volumes": [volume]})
    first = apps.tasks("db")[0]
    assert first["id"].endswith("._app.1") and first["localVolumes"][0]["containerPath"] == "data"
    claim = apps.get("pvc", "-l", "marathon.apus.dev/app=db", "-o", "name")
    volume = apps.get(claim, "-o", "jsonpath={.spec.volumeName}")
    path = apps.get("pv", volume, "-o", "jsonpath={.spec.local.path}{.spec.hostPath.path}")
    apps.client.kill_task("db", first["id"])
    again = eventually(
        lambda: [t for t in apps.tasks("db") if t["state"] == "TASK_RUNNING" and t["id"] != first["id"]], 30,
        "the next start")[0]
    assert again["id"] == first["id"][:-1] + "2" and again["host"] == first["host"]
    assert again["localVolumes"] == first["localVolumes"]
    eventually(lambda: apps.logs("db").split()[-1:] == ["2"], 20, "the data of the first start")
    assert apps.get("pvc", "-l", "marathon.apus.dev/app=db", "-o", "name") == claim
    with pytest.raises(MarathonHttpError) as refused:
        apps.client.update_app("db", MarathonApp(mem=64))
    assert refused.value.status_code == 422
    apps.client.delete_app("db")
    eventually(lambda: not apps.get("pvc", "-l", "marathon.apus.dev/app=db", "-o", "name"), 30, "no claim")
    eventually(lambda: volume not in apps.get("pv", "-o", "name"), 30, "no volume")
    with pytest.raises(FileNotFoundError):
        open(path + "/starts")


def test_killing_may_scale(apps):
    apps.create("many", "sleep 1000", instances=3)
    ids = apps.ids("many")
    apps.client.kill_task("many", ids[0], scale=True)
    apps.settled("many")
    assert apps.ids("many") == ids[1:] and apps.client.get_app("many").instances == 2
    apps.client.kill_given_tasks([ids[1]])
    replaced = eventually(
        lambda: [i for i in [apps.ids("many")] if len(i) == 2 and ids[1] not in i], 30, "another in its place")[0]
    assert ids[2] in replaced
    with pytest.raises(urllib.error.HTTPError):
        apps.call("DELETE", "/v2/apps/many/tasks?scale=true&wipe=true")
    apps.client.kill_tasks("many", scale=True)
    apps.settled("many")
    assert apps.ids("many") == [] and apps.client.get_app("many").instances == 0
    apps.kubectl("scale", "marathonapp", "many", "--replicas=1")
    eventually(lambda: len(apps.ids("many")) == 1, 30, "the instance that kubectl asked for")


def test_an_update_is_held_taken_back_and_forced(apps):
    apps.create("web", "sleep 1001")
    before = apps.ids("web")
    stuck = apps.update("web", cmd="sleep 1002", constraints=NOWHERE)
    assert [d["id"] for d in apps.deployments("web")] == [stuck]
    with pytest.raises(MarathonHttpError) as refused:
        apps.client.scale_app("web", 2)
    assert refused.value.status_code == 409 and "locked" in refused.value.error_message
    assert apps.client.delete_deployment(stuck)["deploymentId"] != stuck
    apps.settled("web")
    assert apps.ids("web") == before and apps.client.get_app("web").cmd == "sleep 1001"
    # A new attempt, whose deployment a forced update replaces.
    apps.update("web", cmd="sleep 1003", constraints=NOWHERE)
    forced = apps.update("web", force=True, cmd="sleep 1004", constraints=[])
    assert [d["id"] for d in apps.deployments("web")] in ([forced], [])
    apps.settled("web")
    assert apps.ids("web") != before and apps.client.get_app("web").cmd == "sleep 1004"
    # Cancelled without a way back, an update leaves what it wrote.
    stuck = apps.update("web", cmd="sleep 1005", constraints=NOWHERE)
    apps.client.delete_deployment(stuck, force=True)
    apps.settled("web")
    assert apps.client.get_app("web").cmd == "sleep 1005"
    apps.client.delete_app("web", force=True)


def test_a_deadline_takes_an_update_back(apps):
    apps.create("timely", "sleep 1001")
    before = apps.ids("timely")
    apps.update("timely", cmd="sleep 1002", constraints=NOWHERE, deploymentDeadlineSeconds=2)
    assert apps.program("timely") == "sleep 1002"
    eventually(lambda: apps.program("timely") == "sleep 1001", 20, "the way back")
    apps.settled("timely")
    assert apps.ids("timely") == before
    apps.client.delete_app("timely")


def test_a_canary_pauses_at_its_step(apps):
    apps.create("bird", "sleep 1001", instances=2)
    apps.update("bird", cmd="sleep 1002", canary={"steps": [1], "pauseSeconds": 3})
    apps.settled("bird")
    version = apps.call("GET", "/v2/apps/bird")["app"]["version"]
    tasks = sorted(apps.tasks("bird"), key=lambda task: task["stagedAt"])
    assert [task["version"] for task in tasks] == [version] * 2
    seconds = [float(task["stagedAt"][17:-1]) for task in tasks]
    assert 1.5 < (seconds[1] - seconds[0]) % 60 < 50, tasks
    apps.client.delete_app("bird")


def test_one_instance_per_node(apps):
    apps.create("agent", "sleep 1000", instances=7, onePerNode=True, constraints=[["hostname", "UNIQUE"]])
    assert len(apps.ids("agent")) == 1
    apps.client.delete_app("agent")


def test_strategies_for_unreachable_instances(apps):
    apps.create("far", "sleep 1000", instances=0, unreachableStrategy={
        "inactiveAfterSeconds": 300, "expungeAfterSeconds": 600})
    shown = lambda: apps.call("GET", "/v2/apps/far")["app"]["unreachableStrategy"]  # noqa: E731
    assert shown() == {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}
    apps.update("far", unreachableStrategy="disabled")
    apps.settled("far")
    assert shown() == "disabled"
    with pytest.raises(urllib.error.HTTPError) as refused:
        apps.update("far", unreachableStrategy={"inactiveAfterSeconds": 9, "expungeAfterSeconds": 3})
    assert refused.value.code == 422 and b"expungeAfterSeconds" in refused.value.read()
    apps.client.delete_app("far")


def test_groups_start_what_others_need_first(apps):
    def app(name, cmd, **members):
        return {"id": name, "cmd": cmd, "cpus": 0.02, "mem": 16, **members}

    server = app("db", "sleep 1; exec python3 -m http.server $PORT0", healthChecks=[
        {"protocol": "MESOS_TCP", "intervalSeconds": 1, "gracePeriodSeconds": 60}])
    group = {"id": "/shop", "groups": [
        {"id": "/shop/front", "dependencies": ["/shop/back"], "apps": [app("/shop/front/web", "sleep 1000")]},
        {"id": "/shop/back", "apps": [{**server, "id": "/shop/back/db"}]}]}
    apps.client.create_group(MarathonGroup.from_json(group))
    plan = eventually(lambda: apps.call("GET", "/v2/deployments"), 10, "the deployment")[0]
    verbs = [sorted((a["action"], a["app"]) for a in step["actions"]) for step in plan["steps"]]
    assert verbs[1:] == [[("ScaleApplication", "/shop/back/db")], [("ScaleApplication", "/shop/front/web")]], verbs
    apps.settled("shop/back/db")
    database, web = apps.tasks("shop/back/db")[0], apps.tasks("shop/front/web")[0]
    assert web["stagedAt"] > database["startedAt"] and database["healthCheckResults"][0]["alive"]
    with pytest.raises(MarathonHttpError) as refused:
        apps.client.update_app("/shop/back/db", MarathonApp(dependencies=["/shop/front"]))
    assert refused.value.status_code == 422
    apps.client.delete_group("/shop")
    eventually(lambda: not apps.call("GET", "/v2/deployments"), 20, "the removal")


def test_secrets_are_read_from_the_cluster(apps):
    apps.kubectl("create", "secret", "generic", "vault", "--from-literal=password=swordfish")
    apps.create(
        "secretive", 'echo "$PASSWORD $(cat key)"; exec sleep 1000', env={"PASSWORD": {"secret": "word"}},
        secrets={"word": {"source": "vault/password"}},
        container={"type": "MESOS", "volumes": [{"containerPath": "key", "secret": "word"}]})
    eventually(lambda: apps.logs("secretive") == "swordfish swordfish\n", 20, "the secret")
    assert "swordfish" not in json.dumps(apps.call("GET", "/v2/apps/secretive"))
    apps.client.delete_app("secretive")


def test_an_update_waits_for_readiness(apps, tmp_path):
    # Programs of the host have a /tmp of their own: the server itself is what becomes ready.
    script = tmp_path / "server.py"
    script.write_text(
        "import http.server, os\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    asked = 0\n"
        "    def do_GET(self):\n"
        "        Handler.asked += 1\n"
        "        self.send_response(200 if Handler.asked > 2 else 503)\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'state')\n"
        "http.server.HTTPServer(('', int(os.environ['PORT0'])), Handler).serve_forever()\n")
    apps.call("POST", "/v2/apps", {
        "id": "warm", "cmd": f"exec python3 {script}", "cpus": 0.1, "mem": 32,
        "portDefinitions": [{"port": 0, "name": "api"}], "readinessChecks": [{
            "portName": "api", "path": "/", "intervalSeconds": 2, "timeoutSeconds": 1, "preserveLastResponse": True}]})
    results = eventually(
        lambda: [r for d in apps.deployments("warm") for a in d["currentActions"]
                 for r in a["readinessCheckResults"] if r.get("lastResponse")], 30, "an answer that is no yet")
    assert not results[0]["ready"] and results[0]["lastResponse"]["status"] == 503
    assert results[0]["lastResponse"]["body"] == "state" and results[0]["taskId"] == apps.ids("warm")[0]
    apps.settled("warm")
    apps.client.delete_app("warm")


def test_events_of_the_types_that_were_asked_for(apps):
    heard = []
    wanted = ["deployment_success", "status_update_event"]
    stream = apps.client.event_stream(event_types=wanted, raw=True)
    reader = threading.Thread(target=lambda: [heard.append(json.loads(text)) for text in stream], daemon=True)
    reader.start()
    time.sleep(0.5)
    apps.create("told", "sleep 1000")
    eventually(lambda: any(e["eventType"] == "deployment_success" for e in heard), 20, "the end of the deployment")
    eventually(lambda: any(e.get("taskStatus") == "TASK_RUNNING" and e["appId"] == "/told" for e in heard), 20,
               "the task that runs")
    assert {event["eventType"] for event in heard} == set(wanted), heard
    apps.client.delete_app("told")


def test_failures_are_waited_for_unless_told_otherwise(apps):
    body = {"id": "broken", "cmd": "exit 3", "cpus": 0.02, "mem": 16, "backoffSeconds": 500,
            "maxLaunchDelaySeconds": 1000}
    apps.call("POST", "/v2/apps", body)

    def waiting():
        items = [i for i in apps.call("GET", "/v2/queue")["queue"] if i["app"]["id"] == "/broken"]
        return items and not items[0]["delay"]["overdue"] and items[0]

    item = eventually(waiting, 30, "the wait")
    assert 400 < item["delay"]["timeLeftSeconds"] <= 575 and item["count"] == 1
    failure = apps.call("GET", "/v2/apps/broken")["app"]["lastTaskFailure"]
    assert failure["state"] == "TASK_FAILED" and "3" in failure["message"]
    apps.client.reset_delay("/broken")
    eventually(lambda: apps.call("GET", "/v2/apps/broken")["app"]["lastTaskFailure"]["taskId"] != failure["taskId"],
               30, "another start")
    apps.client.delete_app("broken", force=True)
    apps.settled("broken")


def test_options_of_docker_reach_the_container(apps, registry):
    options = {
        "env": "WORD=hello", "hostname": "box", "user": "1000", "add-host": "db:10.9.8.7", "ulimit": "nofile=100:200",
        "tmpfs": "/fast:size=1m", "workdir": "/var", "label": "team=web"}
    docker = {"image": f"{registry}/e2e/tools:1", "parameters": [
        {"key": key, "value": value} for key, value in options.items()]}
    command = (
        'echo $WORD $(hostname) $(id -u) $(pwd) $(ulimit -Sn) $(ulimit -Hn); '
        'grep db /etc/hosts; grep /fast /proc/mounts')
    body = {"cmd": f"{command}; exec sleep 1000", "networks": [{"mode": "container", "name": "dcos"}],
            "container": {"type": "DOCKER", "docker": docker}}
    apps.call("POST", "/v2/apps", {"id": "boxed", "cpus": 0.02, "mem": 16, **body})
    apps.settled("boxed")
    lines = eventually(lambda: [n for n in [apps.logs("boxed").splitlines()] if len(n) == 3], 20, "what it says")[0]
    assert lines[0] == "hello box 1000 /var 100 200" and lines[1].split() == ["10.9.8.7", "db"], lines
    assert "tmpfs" in lines[2] and apps.get("pods", "-l", "team=web", "-o", "name")
    docker["parameters"].append({"key": "log-driver", "value": "syslog"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        apps.update("boxed", container=body["container"])
    assert refused.value.code == 422 and b"log-driver" in refused.value.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        apps.update("boxed", networks=[{"mode": "container", "name": "elsewhere"}])
    assert refused.value.code == 422 and b"known are: dcos" in refused.value.read()
    apps.client.delete_app("boxed")


def test_instances_follow_their_use(apps):
    eventually(lambda: len(apps.ids("busy")) == 2, 60, "two instances of what needs more")
    assert apps.call("GET", "/v2/apps/busy")["app"]["instances"] == 2
    # What does nothing goes down to the least that is allowed, which is one.
    eventually(lambda: len(apps.ids("idle")) == 1, 60, "one instance of what is idle")
