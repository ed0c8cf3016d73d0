"""What Mesos promises of single tasks, with the unmodified pymesos: limits of time and disk, kill policies, checks, groups
on executors of one's own, and executors where the windows ask for credentials."""

import base64
import json
import pathlib
import shutil
import tempfile
import time
import urllib.error
import urllib.request

import pytest
from conftest import Cluster, eventually, free_port
from survivors import PYMESOS, Framework, Tasks

pytestmark = pytest.mark.skipif(not PYMESOS, reason="PYMESOS names no Python with pymesos")
SECRET = "ops s3cret"


@pytest.fixture(scope="module")
def mesos():
    """A cluster whose windows are open to the principal "ops" only."""
    directory = tempfile.mkdtemp(prefix="apus-e2e-tasks.")
    port, agent = free_port(), free_port()
    data = pathlib.Path(directory) / "data"
    data.mkdir()
    (pathlib.Path(directory) / "credentials").write_text(SECRET + "\n")
    cluster = Cluster(
        data, "--mesos-port", str(port), "--mesos-agent-port", str(agent), "--marathon-port", "0",
        "--metronome-port", "0",
        "--mesos-dns-port", "0", "--dns-port", str(free_port()), "--node-ip", "127.0.0.1",
        "--pod-cidr", "10.234.0.0/16", "--service-cidr", "10.174.0.0/16",
        "--credentials", f"{directory}/credentials")
    cluster.master = f"127.0.0.1:{port}"
    cluster.agent = f"127.0.0.1:{agent}"
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.process.poll() is None:
            cluster.stop()
        cluster.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def framework(mesos):
    framework = Framework(mesos, principal=SECRET)
    yield framework
    framework.stop()


@pytest.fixture
def tasks():
    with tempfile.TemporaryDirectory(prefix="apus-e2e-", dir="/var/tmp") as directory:
        yield Tasks(pathlib.Path(directory))


def post(address, body, authorization=None):
    """The status of an executor's call."""
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    request = urllib.request.Request(f"http://{address}/api/v1/executor", json.dumps(body).encode(), headers)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_time_limit_ends_a_task(framework):
    framework.launch([{
        "name": "limited", "command": "exec sleep 600",
        "more": {"max_completion_time": {"nanoseconds": 1_000_000_000}}}])
    end = framework.end("limited")
    assert (end["state"], end["reason"]) == ("TASK_FAILED", "REASON_MAX_COMPLETION_TIME_REACHED"), end


def test_more_disk_than_asked_for_ends_a_task(framework):
    framework.launch([{
        "name": "greedy", "command": "head -c 20000000 /dev/zero > big; exec sleep 600", "resources": [["disk", 4]]}])
    end = framework.end("greedy", 90)
    assert (end["state"], end["reason"]) == ("TASK_FAILED", "REASON_CONTAINER_LIMITATION_DISK"), end


def test_a_kill_has_its_own_patience(framework):
    framework.launch([{
        "name": "stubborn", "command": "trap '' TERM; touch ready; while :; do sleep 0.1; done",
        "more": {"kill_policy": {"grace_period": {"nanoseconds": int(300e9)}}}}])
    framework.wait_for({"TASK_RUNNING"}, ["stubborn"])
    framework.order(kill="stubborn", seconds=1)
    end = framework.end("stubborn", 30)
    assert end["state"] == "TASK_KILLED", end


def test_failures_of_a_health_check_end_a_task(framework):
    framework.launch([{
        "name": "sick", "command": "exec sleep 600", "more": {"health_check": {
            "type": "COMMAND", "command": {"value": "exit 1"}, "delay_seconds": 0, "interval_seconds": 0.2,
            "grace_period_seconds": 0, "consecutive_failures": 2}}}])
    end = framework.end("sick")
    assert (end["state"], end["healthy"]) == ("TASK_KILLED", False), end
    assert end["message"] == "Command terminated with signal Terminated"


def test_volumes_with_relative_paths_are_in_the_sandbox(framework, tasks):
    folder = tasks.file.parent
    framework.launch([{
        "name": "volume", "command": "cd $MESOS_SANDBOX && echo in > data/written", "more": {"container": {
            "type": "MESOS",
            "volumes": [{"container_path": "data", "host_path": str(folder), "mode": "RW"}]}}}])
    assert framework.end("volume")["state"] == "TASK_FINISHED"
    assert (folder / "written").read_text() == "in\n"


def test_results_of_checks_are_told(framework):
    framework.launch([{
        "name": "checked", "command": "echo 7 > code; sleep 4; echo 0 > code; exec sleep 600", "more": {"check": {
            "type": "COMMAND", "command": {"command": {"value": "exit $(cat $MESOS_SANDBOX/code)"}},
            "delay_seconds": 0, "interval_seconds": 1}}}])

    def results():
        found = [u["check"].get("command", {}).get("exit_code") for u in framework.updates("checked") if u["check"]]
        return [code for code in found if code is not None]

    eventually(lambda: results() == [7, 0], 40, "the results of the check")
    assert framework.updates("checked")[-1]["reason"] == "REASON_TASK_CHECK_STATUS_UPDATED"
    framework.order(kill="checked", seconds=0)
    assert framework.end("checked")["state"] == "TASK_KILLED"


def test_a_check_beside_a_health_check_and_times_below_a_second(framework, mesos):
    """Both run: the check's results are told while the health check, of another opinion, decides about the task."""
    framework.launch([{
        "name": "both", "command": "echo 7 > code; exec sleep 600", "more": {
            "check": {
                "type": "COMMAND",
                "command": {"command": {"value": "date +%N >> times; exit $(cat $MESOS_SANDBOX/code)"}},
                "delay_seconds": 0, "interval_seconds": 0.2},
            "health_check": {
                "type": "COMMAND", "command": {"value": "date +%N >> health-times"}, "delay_seconds": 0,
                "grace_period_seconds": 5, "interval_seconds": 0.25}}}])

    def told():
        last = framework.updates("both")[-1:]
        return [u for u in last if u["check"] and u["check"].get("command", {}).get("exit_code") == 7 and u["healthy"]]

    eventually(told, 40, "the check's result and the task's health")
    pod = mesos.kubectl(
        "get", "pods", "-o", "name", "-l", "mesos.apus.dev/task-id=both").stdout.strip().split("/")[-1]

    def ran(name):
        return int(mesos.kubectl("exec", pod, "--", "sh", "-c", f"wc -l < {name}").stdout)

    for name in ("times", "health-times"):
        before, begin = ran(name), time.monotonic()
        time.sleep(3)
        # In whole seconds there would be one a second at most.
        assert ran(name) - before > (time.monotonic() - begin) * 1.5, name
    framework.order(kill="both", seconds=0)
    assert framework.end("both")["state"] == "TASK_KILLED"


def test_a_group_on_an_executor_of_ones_own(framework, tasks, mesos):
    names = ["member-1", "member-2"]
    framework.order(group=[tasks.custom(name, 0.2) for name in names])
    framework.wait_for({"TASK_FINISHED"}, names)
    tasks.assert_once(framework, names)
    logs = mesos.kubectl(
        "logs", "-l", f"mesos.apus.dev/framework-id={framework.id},mesos.apus.dev/executor-id", "--tail", "50").stdout
    assert "a group of ['member-1', 'member-2']" in logs


def test_executors_prove_who_they_are_or_are_of_this_machine(framework, tasks, mesos):
    # pymesos's executor has no token to say: it ran in the test before. Who says something must say it right.
    framework.launch([tasks.custom("own", 0.1)])
    framework.wait_for({"TASK_FINISHED"}, ["own"])
    call = {
        "type": "HEARTBEAT", "framework_id": {"value": framework.id}, "executor_id": {"value": tasks.executor_id}}
    pod = json.loads(mesos.kubectl(
        "get", "pods", "-o", "json", "-l", f"mesos.apus.dev/executor-id={tasks.executor_id}").stdout)["items"][0]
    environment = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
    token = environment["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"]
    assert post(mesos.agent, call, f"Bearer {token}") == 202
    assert post(mesos.agent, call) == 202
    assert post(mesos.agent, call, f"Bearer {token[:-2]}") == 401
    assert post(mesos.agent, {**call, "executor_id": {"value": "other"}}, f"Bearer {token}") == 401
    # It opens nothing else.
    for address, path in [(mesos.agent, "/state"), (mesos.master, "/state")]:
        for headers in [{}, {"Authorization": f"Bearer {token}"}]:
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers=headers), timeout=10)
            assert error.value.code == 401
    basic = base64.b64encode(SECRET.replace(" ", ":").encode()).decode()
    request = urllib.request.Request(f"http://{mesos.agent}/state", headers={"Authorization": f"Basic {basic}"})
    assert urllib.request.urlopen(request, timeout=10).status == 200
