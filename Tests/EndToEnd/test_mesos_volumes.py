"""Volumes that outlive tasks, limits of time in groups, and what is left of an executor, as a framework without any
library sees them."""

import http.client
import json
import pathlib
import shutil
import tempfile
import threading
import urllib.error
import urllib.request

import pytest
from conftest import Cluster, eventually, free_port

ENDS = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR"}
CAPABILITIES = ["MULTI_ROLE", "RESERVATION_REFINEMENT", "SHARED_RESOURCES"]


def scalar(name, value, **more):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


SHARE = [scalar("cpus", 0.05), scalar("mem", 32)]
OWN = [{"type": "DYNAMIC", "role": "store"}]


def disk(amount, name=None, **more):
    """Reserved disk; with a name, a volume of it."""
    if name:
        more["disk"] = {"persistence": {"id": name}, "volume": {"container_path": "data", "mode": "RW"}}
    return scalar("disk", amount, reservations=OWN, **more)


def holds(*resources):
    """Tells offers that have all of these: disk of one's own in the same amount, with or without a volume."""
    def key(resource):
        volume = resource.get("disk", {}).get("persistence", {}).get("id")
        return resource["name"], resource.get("scalar", {}).get("value"), volume, bool(resource.get("reservations"))
    return lambda offer: {key(r) for r in resources} <= {key(r) for r in offer["resources"]}


class Scheduler:
    """A framework of the role "store" that looks at everything it hears, and takes note of statuses."""

    def __init__(self, cluster):
        self.address, self.events, self.used = cluster.master, [], set()
        info = {
            "user": "root", "name": "volumes", "roles": ["store"], "failover_timeout": 0,
            "capabilities": [{"type": name} for name in CAPABILITIES]}
        self.connection = http.client.HTTPConnection(self.address, timeout=300)
        self.connection.request(
            "POST", "/api/v1/scheduler", json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}),
            {"Content-Type": "application/json", "Accept": "application/json"})
        self.answer = self.connection.getresponse()
        self.stream = self.answer.getheader("Mesos-Stream-Id")
        threading.Thread(target=self.read, daemon=True).start()
        self.id = eventually(lambda: self.all("SUBSCRIBED"), 30, "the subscription")[0]["framework_id"]

    def read(self):
        while size := self.answer.readline():
            event = json.loads(self.answer.read(int(size)))
            self.events.append(event)
            status = event.get("update", {}).get("status", {})
            if "uuid" in status:
                self.call("ACKNOWLEDGE", **{name: status[name] for name in ("agent_id", "task_id", "uuid")})

    def all(self, kind):
        return [event[kind.lower()] for event in list(self.events) if event["type"] == kind]

    def call(self, kind, **members):
        body = {"type": kind, "framework_id": self.id, kind.lower(): members}
        request = urllib.request.Request(
            f"http://{self.address}/api/v1/scheduler", json.dumps(body).encode(),
            {"Content-Type": "application/json", "Mesos-Stream-Id": self.stream})
        assert urllib.request.urlopen(request, timeout=20).status in (200, 202)

    def decline(self, offers):
        self.used |= {offer["id"]["value"] for offer in offers}
        if offers:
            self.call("DECLINE", offer_ids=[offer["id"] for offer in offers], filters={"refuse_seconds": 0.01})

    def offer(self, fits=lambda offer: True):
        """An offer that fits; parts of what is looked for come back to be offered as one."""
        def look():
            gone = self.used | {event["offer_id"]["value"] for event in self.all("RESCIND")}
            offers = [o for event in self.all("OFFERS") for o in event["offers"] if o["id"]["value"] not in gone]
            found = [offer for offer in offers if fits(offer)]
            if not found:
                self.decline(offers)
            return found
        return eventually(look, 60, "an offer")[0]

    def accept(self, offer, *operations):
        self.used.add(offer["id"]["value"])
        self.call(
            "ACCEPT", offer_ids=[offer["id"]], operations=list(operations), filters={"refuse_seconds": 0.01})

    def state(self, operation):
        """How an operation ended."""
        def look():
            return [
                event["status"]["state"] for event in self.all("UPDATE_OPERATION_STATUS")
                if event["status"].get("operation_id") == {"value": operation}]
        return eventually(look, 30, f"the end of {operation}")[0]

    def status(self, task, states=ENDS):
        def look():
            found = [event["status"] for event in self.all("UPDATE")]
            return [s for s in found if s["task_id"]["value"] == task and s["state"] in states]
        return eventually(look, 60, f"{states} of {task}")[0]


def operation(kind, name, **members):
    return {"type": kind, "id": {"value": name}, kind.lower(): members}


def task(offer, name, command, *resources, user=None, **more):
    command = {"value": command, **({"user": user} if user else {})}
    return {
        "task_id": {"value": name}, "name": name, "agent_id": offer["agent_id"], "command": command,
        "resources": [*SHARE, *resources], **more}


def launch(*tasks):
    return {"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}


@pytest.fixture(scope="module")
def mesos():
    directory = tempfile.mkdtemp(prefix="apus-e2e-volumes.")
    # As folders of data are elsewhere: users other than root look into their sandboxes and volumes.
    pathlib.Path(directory).chmod(0o755)
    port, agent = free_port(), free_port()
    cluster = Cluster(
        directory, "--mesos-port", str(port), "--mesos-agent-port", str(agent), "--marathon-port", "0",
        "--metronome-port", "0", "--mesos-dns-port", "0", "--dns-port", str(free_port()), "--node-ip", "127.0.0.1",
        "--pod-cidr", "10.236.0.0/16", "--service-cidr", "10.176.0.0/16")
    cluster.master, cluster.agent = f"127.0.0.1:{port}", f"127.0.0.1:{agent}"
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.process.poll() is None:
            cluster.stop()
        cluster.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def framework(mesos):
    framework = Scheduler(mesos)
    yield framework
    framework.call("TEARDOWN")


def ask(address, path, body=None):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{address}{path}", body and json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_volume_is_its_users_until_it_is_destroyed(mesos, framework):
    volume = disk(16, "own")
    offer = framework.offer()
    framework.accept(
        offer, operation("RESERVE", "reserve", resources=[disk(32)]), operation("CREATE", "create", volumes=[volume]),
        launch(task(offer, "first", "echo one > data/file", volume, user="nobody")))
    assert (framework.state("reserve"), framework.state("create")) == ("OPERATION_FINISHED", "OPERATION_FINISHED")
    assert framework.status("first")["state"] == "TASK_FINISHED"
    offer = framework.offer(holds(volume))
    framework.accept(
        offer, launch(task(offer, "second", "echo two >> data/file; sleep 3", volume, user="nobody")))
    framework.status("second", {"TASK_RUNNING"})
    agent = offer["agent_id"]
    status, text = ask(
        mesos.master, "/api/v1",
        {"type": "DESTROY_VOLUMES", "destroy_volumes": {"agent_id": agent, "volumes": [volume]}})
    assert status == 400 and "in use" in text
    assert framework.status("second")["state"] == "TASK_FINISHED"
    folder = pathlib.Path(mesos.directory) / "mesos/volumes/roles/store/own"
    assert (folder / "file").read_text() == "one\ntwo\n"
    # What is grown can be used from the next offer on.
    offer = framework.offer(holds(volume, disk(16)))
    grown = disk(24, "own")
    framework.accept(
        offer, operation("GROW_VOLUME", "grow", volume=volume, addition=disk(8)),
        launch(task(offer, "early", "true", grown)))
    assert framework.state("grow") == "OPERATION_FINISHED"
    assert framework.status("early")["state"] == "TASK_ERROR"
    offer = framework.offer(holds(grown, disk(8)))
    framework.accept(
        offer, operation("DESTROY", "destroy", volumes=[grown]), operation("UNRESERVE", "free", resources=[disk(32)]))
    assert (framework.state("destroy"), framework.state("free")) == ("OPERATION_FINISHED", "OPERATION_FINISHED")
    eventually(lambda: not folder.exists(), 20, "the end of its files")


def test_a_shared_volume_has_many_users(framework):
    volume = disk(8, "common", shared={})
    offer = framework.offer()
    framework.accept(
        offer, operation("RESERVE", "reserve", resources=[disk(8)]), operation("CREATE", "create", volumes=[volume]),
        launch(*(task(offer, name, "echo in > data/file; exec sleep 600", volume) for name in ("left", "right"))))
    for name in ("left", "right"):
        assert framework.status(name, ENDS | {"TASK_RUNNING"})["state"] == "TASK_RUNNING"
    offer = framework.offer(holds(volume))
    framework.accept(
        offer, operation("DESTROY", "early", volumes=[volume]),
        launch(task(offer, "third", "grep in data/file", volume)))
    assert framework.state("early") == "OPERATION_ERROR"
    assert framework.status("third")["state"] == "TASK_FINISHED"
    for name in ("left", "right"):
        framework.call("KILL", task_id={"value": name})
        framework.status(name)
    offer = framework.offer(holds(volume))
    framework.accept(
        offer, operation("DESTROY", "destroy", volumes=[volume]), operation("UNRESERVE", "free", resources=[disk(8)]))
    assert framework.state("free") == "OPERATION_FINISHED"


def test_the_time_of_one_member_of_a_group(framework):
    def group(offer, name, *tasks):
        executor = {
            "type": "DEFAULT", "executor_id": {"value": name}, "framework_id": framework.id, "resources": SHARE}
        return {"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": list(tasks)}}}

    def limit(seconds):
        return {"max_completion_time": {"nanoseconds": int(seconds * 1e9)}}

    offer = framework.offer()
    framework.accept(
        offer, group(
            offer, "late", task(offer, "limited", "exec sleep 600", **limit(1)),
            task(offer, "patient", "exec sleep 600", **limit(600)), task(offer, "endless", "exec sleep 600")))
    end = framework.status("limited")
    assert (end["state"], end["reason"]) == ("TASK_FAILED", "REASON_MAX_COMPLETION_TIME_REACHED")
    assert [framework.status(name)["state"] for name in ("patient", "endless")] == ["TASK_KILLED"] * 2
    # Who has ended in time is no reason to end the others.
    offer = framework.offer()
    framework.accept(
        offer, group(offer, "timely", task(offer, "quick", "true", **limit(2)), task(offer, "slow", "sleep 6")))
    assert [framework.status(name)["state"] for name in ("quick", "slow")] == ["TASK_FINISHED"] * 2


def test_what_a_dead_executor_said_is_read(mesos, framework):
    offer = framework.offer()
    executor = {
        "executor_id": {"value": "dead"}, "framework_id": framework.id, "resources": SHARE,
        "command": {"value": "echo why >&2; exit 7"}}
    unit = task(offer, "orphan", "", executor=executor)
    del unit["command"]
    framework.accept(offer, launch(unit))
    assert framework.status("orphan")["reason"] == "REASON_EXECUTOR_TERMINATED"

    def said():
        state = ask(mesos.agent, "/state")[1]
        known = [f for f in state["frameworks"] + state["completed_frameworks"] if f["id"] == framework.id["value"]]
        for entry in (entry for f in known for entry in f["completed_executors"]):
            return ask(mesos.agent, f"/files/read?path={entry['directory']}/stderr&offset=0")

    # Also when its pod does not exist any more.
    eventually(
        lambda: not mesos.kubectl("get", "pods", "-n", "store", "-o", "name", "-l", "mesos.apus.dev/executor-id=dead")
        .stdout, 30, "the end of its pod")
    assert said()[0] == 200 and said()[1]["data"] == "why\n"


def test_a_volume_of_a_task_on_an_executor_of_ones_own(mesos, framework):
    volume = disk(8, "late")
    script = (
        "printf '{\"type\":\"SUBSCRIBE\",\"framework_id\":{\"value\":\"%s\"},\"executor_id\":{\"value\":\"%s\"},"
        "\"subscribe\":{}}' $MESOS_FRAMEWORK_ID $MESOS_EXECUTOR_ID > call; "
        "curl -sN -m 60 -H 'Content-Type: application/json' -H 'Accept: application/json' -d @call "
        "http://$MESOS_AGENT_ENDPOINT/api/v1/executor > events & "
        "until echo in > data/file; do sleep 0.1; done 2> /dev/null; kill $!")
    offer = framework.offer()
    unit = task(offer, "guest", "", volume, executor={
        "executor_id": {"value": "host"}, "framework_id": framework.id, "resources": SHARE,
        "command": {"value": script, "user": "nobody"}})
    del unit["command"]
    framework.accept(
        offer, operation("RESERVE", "reserve", resources=[disk(8)]), operation("CREATE", "create", volumes=[volume]),
        launch(unit))
    framework.status("guest")
    folder = pathlib.Path(mesos.directory) / "mesos/volumes/roles/store/late"
    assert (folder / "file").read_text() == "in\n"
    assert folder.stat().st_uid != 0
