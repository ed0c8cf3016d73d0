"""The Mesos agent's window: files, usage and sessions in a task that a plain pod stands for."""

import base64
import json
import threading
import urllib.error
import urllib.request

import pytest

from conftest import Cluster, eventually, free_port

TASK = "sleeper-1"


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    port = free_port()
    cluster = Cluster(
        tmp_path_factory.mktemp("agent"), "--mesos-port", "0", "--mesos-agent-port", str(port),
        "--marathon-port", "0", "--mesos-dns-port", "0", "--dns-port", str(free_port()), "--node-ip", "127.0.0.1",
        "--pod-cidr", "10.231.0.0/16", "--service-cidr", "10.171.0.0/16")
    cluster.start()
    task = {"name": "sleeper", "task_id": {"value": TASK}, "agent_id": {"value": "a"}, "command": {"value": "sleep"}}
    node = cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout
    cluster.kubectl("apply", "-f", "-", text=json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "sleeper", "namespace": "default", "labels": {"mesos.apus.dev/framework-id": "f-0000"},
            "annotations": {"mesos.apus.dev/task": json.dumps(task)}},
        "spec": {
            "nodeName": node, "runtimeClassName": "process", "hostNetwork": True, "restartPolicy": "Never",
            "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "task", "image": "host",
                "command": ["/bin/sh", "-c", "echo hello; ln -s /etc/passwd out; ln -s / up; ln -s .. above; exec sleep 1000"]}]}}))
    base = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: running(base), 60, "the task")
        yield base
    finally:
        cluster.kubectl("delete", "pod", "sleeper", "--wait=true", check=False)
        cluster.stop()
        cluster.down("--purge")


def get(base, path):
    with urllib.request.urlopen(base + path, timeout=20) as response:
        return json.load(response)


def call(base, type, body=None, stream=False, **headers):
    message = {"type": type}
    if body is not None:
        message[type.lower()] = body
    request = urllib.request.Request(
        base + "/api/v1", json.dumps(message).encode(), {"Content-Type": "application/json", **headers})
    response = urllib.request.urlopen(request, timeout=30)
    if stream:
        return response
    text = response.read()
    return json.loads(text) if text else None


def executor(base):
    return get(base, "/slave(1)/state")["frameworks"][0]["executors"][0]


def running(base):
    frameworks = get(base, "/state")["frameworks"]
    if not frameworks:
        return None
    found = executor(base)
    return [t for t in found["tasks"] if t["state"] == "TASK_RUNNING"] and found


def records(response):
    while True:
        length = response.readline()
        if not length:
            return
        message = json.loads(response.read(int(length)))
        if message["type"] == "DATA":
            yield message["data"]["type"], base64.b64decode(message["data"].get("data", ""))


def frame(message):
    body = json.dumps(message).encode()
    return b"%d\n%s" % (len(body), body)


STREAM = {"Accept": "application/recordio", "Message-Accept": "application/json"}


def test_the_sandbox_is_read_and_nothing_else(agent):
    found = executor(agent)
    for base in [found["directory"], f"/framework/f-0000/executor/{TASK}/latest"]:
        read = eventually(
            lambda: [r for r in [get(agent, f"/files/read?path={base}/stdout&offset=0")] if r["data"]], 20)
        assert read[0]["data"] == "hello\n"
        names = [entry["path"].rsplit("/", 1)[1] for entry in get(agent, f"/files/browse?path={base}")]
        assert "stdout" in names and "stderr" in names
        for outside in ["out", "up/etc/passwd", "up/proc/self/environ", "above/above", "../../../../etc/passwd"]:
            for question in [f"read?path={base}/{outside}&offset=0", f"download?path={base}/{outside}"]:
                with pytest.raises(urllib.error.HTTPError) as error:
                    get(agent, f"/files/{question}")
                assert error.value.code == 404, question
            with pytest.raises(urllib.error.HTTPError) as error:
                call(agent, "READ_FILE", {"path": f"{base}/{outside}", "offset": 0})
            assert error.value.code in (400, 404)
        for folder in ["up", "above", "up/etc", "../.."]:
            with pytest.raises(urllib.error.HTTPError) as error:
                get(agent, f"/files/browse?path={base}/{folder}")
            assert error.value.code == 404
            with pytest.raises(urllib.error.HTTPError) as error:
                call(agent, "LIST_FILES", {"path": f"{base}/{folder}"})
            assert error.value.code in (400, 404)


def test_what_it_uses(agent):
    eventually(lambda: get(agent, "/monitor/statistics"), 30, "statistics")
    statistics = get(agent, "/monitor/statistics")[0]
    assert statistics["executor_id"] == TASK
    assert statistics["statistics"]["mem_rss_bytes"] > 0
    containers = call(agent, "GET_CONTAINERS")["get_containers"]["containers"]
    assert containers[0]["executor_id"]["value"] == TASK


def test_a_session_has_output_input_and_an_exit_status(agent):
    parent = {"value": executor(agent)["container"]}
    session = {"value": "session-1", "parent": parent}
    response = call(agent, "LAUNCH_NESTED_CONTAINER_SESSION", {
        "container_id": session, "command": {"value": "read line; echo got $line; echo bad >&2; exit 3"},
    }, stream=True, **STREAM)
    assert response.headers["Message-Content-Type"] == "application/json"
    exit = {}
    waiter = threading.Thread(
        target=lambda: exit.update(call(agent, "WAIT_NESTED_CONTAINER", {"container_id": session})))
    waiter.start()

    def attach(*messages):
        stream = [{"type": "CONTAINER_ID", "container_id": session}] + list(messages)
        body = b"".join(frame({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": m}) for m in stream)
        request = urllib.request.Request(agent + "/api/v1", body, {
            "Content-Type": "application/recordio", "Message-Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status

    # The Mesos command line tries whether there is an input before it gives any.
    assert attach() == 200
    data = {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(b"word\n").decode()}}
    assert attach({"type": "PROCESS_IO", "process_io": data}) == 200
    output = list(records(response))
    assert b"".join(d for t, d in output if t == "STDOUT") == b"got word\n"
    assert b"".join(d for t, d in output if t == "STDERR") == b"bad\n"
    waiter.join(20)
    assert exit["wait_nested_container"]["exit_status"] == 3 << 8


def test_a_kill_right_after_the_launch_finds_its_program(agent):
    parent = {"value": executor(agent)["container"]}
    for number in range(4):
        nested = {"value": f"short-{number}", "parent": parent}
        call(agent, "LAUNCH_NESTED_CONTAINER", {
            "container_id": nested, "command": {"value": "trap '' TERM; sleep 1000; sleep 1000"}})
        call(agent, "KILL_NESTED_CONTAINER", {"container_id": nested})
        exit = call(agent, "WAIT_NESTED_CONTAINER", {"container_id": nested})
        assert exit["wait_nested_container"]["exit_status"] == 9


def test_a_session_ends_with_its_client(agent):
    parent = {"value": executor(agent)["container"]}
    session = {"value": "session-2", "parent": parent}
    response = call(agent, "LAUNCH_NESTED_CONTAINER_SESSION", {
        "container_id": session, "command": {"value": "echo started; exec sleep 1000"},
    }, stream=True, **STREAM)
    assert next(records(response)) == ("STDOUT", b"started\n")
    response.close()
    eventually(lambda: call(agent, "WAIT_CONTAINER", {"container_id": session}), 20, "the session's end")
