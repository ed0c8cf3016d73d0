"""The containers of the Mesos agent's API: standalone ones and those nested in a task, which are pods; across a killed
server too. And the operator's other orders to the agent."""

import base64
import http.server
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import Cluster, eventually, free_port
from test_mesos_agent import STREAM, call, executor, frame, get, records, running

TASK = "sleeper-1"


@pytest.fixture(scope="module")
def cluster_of_agent(tmp_path_factory):
    port = free_port()
    cluster = Cluster(
        tmp_path_factory.mktemp("containers"), "--mesos-port", "0", "--mesos-agent-port", str(port),
        "--marathon-port", "0", "--metronome-port", "0", "--mesos-dns-port", "0", "--dns-port", str(free_port()),
        "--node-ip", "127.0.0.1", "--pod-cidr", "10.236.0.0/16", "--service-cidr", "10.176.0.0/16")
    cluster.start()
    cluster.base = f"http://127.0.0.1:{port}"
    cluster.node = eventually(
        lambda: cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}").stdout, 30, "the node")
    try:
        make_task(cluster, "sleeper", host=True)
        eventually(lambda: running(cluster.base), 60, "the task")
        yield cluster
    finally:
        if cluster.process.poll() is None:
            cluster.stop()
        cluster.down("--purge")


def make_task(cluster, name, host, label="f-0000"):
    task = {"name": name, "task_id": {"value": f"{name}-1"}, "agent_id": {"value": "a"}, "command": {"value": "sleep"}}
    cluster.kubectl("apply", "-f", "-", text=json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"mesos.apus.dev/framework-id": label},
            "annotations": {"mesos.apus.dev/task": json.dumps(task)}},
        "spec": {
            "nodeName": cluster.node, "runtimeClassName": "process", "hostNetwork": host, "restartPolicy": "Never",
            "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "task", "image": "host", "command": ["/bin/sh", "-c", "exec sleep 1000"]}]}}))


@pytest.fixture
def agent(cluster_of_agent):
    return cluster_of_agent.base


def status(base, type, body=None, stream=False, **headers):
    """The code of an answer and its text."""
    message = {"type": type}
    if body is not None:
        message[type.lower()] = body
    request = urllib.request.Request(
        base + "/api/v1", json.dumps(message).encode(), {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait(base, container):
    return call(base, "WAIT_CONTAINER", {"container_id": container}).get("wait_container", {})


def output(base, path, name="stdout"):
    return get(base, f"/files/read?path={path}/{name}&offset=0")["data"]


def listed(base, **show):
    answer = call(base, "GET_CONTAINERS", show)["get_containers"]
    return [entry["container_id"] for entry in answer.get("containers", [])]


def of_task(base, name):
    return {"value": name, "parent": {"value": executor(base)["container"]}}


def test_a_standalone_container_from_its_launch_to_its_removal(agent, cluster_of_agent):
    container = {"value": "alone-1"}
    wish = {
        "container_id": container, "command": {
            "value": "echo on $(id -un); echo $WORD > word; exec sleep 1000", "user": "nobody",
            "environment": {"variables": [{"name": "WORD", "value": "so $(be) it"}]}},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 48}}],
        "limits": {"mem": {"value": 64}}}
    assert status(agent, "LAUNCH_CONTAINER", wish)[0] == 200
    assert status(agent, "LAUNCH_CONTAINER", wish)[0] == 202
    eventually(lambda: output(agent, "/containers/alone-1") == "on nobody\n", 20, "its output")
    eventually(lambda: output(agent, "/containers/alone-1", "word") == "so $(be) it\n", 20, "its file")
    # It is a pod, with what was asked for as its limits, and shown only to who asks for it.
    pods = json.loads(cluster_of_agent.kubectl(
        "get", "pods", "-l", "mesos.apus.dev/container=standalone", "-o", "json").stdout)["items"]
    assert [p["spec"]["containers"][0]["resources"] for p in pods] == [
        {"requests": {"cpu": "100m", "memory": "48Mi"}, "limits": {"memory": "64Mi"}}]
    assert container in listed(agent, show_standalone=True)
    assert container not in listed(agent, show_nested=True)
    assert status(agent, "REMOVE_CONTAINER", {"container_id": container})[0] == 500
    # A signal reaches it, and KILL ends it.
    assert status(agent, "KILL_CONTAINER", {"container_id": container, "signal": 15})[0] == 200
    assert wait(agent, container)["exit_status"] == 15
    assert status(agent, "KILL_CONTAINER", {"container_id": container})[0] == 200
    assert status(agent, "REMOVE_CONTAINER", {"container_id": container})[0] == 200
    assert status(agent, "WAIT_CONTAINER", {"container_id": container})[0] == 404
    # Its id is free again.
    assert status(agent, "LAUNCH_CONTAINER", {"container_id": container, "command": {"value": "exit 3"}})[0] == 200
    assert wait(agent, container)["exit_status"] == 3 << 8
    assert status(agent, "REMOVE_CONTAINER", {"container_id": container})[0] == 200


def test_too_much_memory_ends_a_standalone_container(agent):
    container = {"value": "greedy"}
    assert status(agent, "LAUNCH_CONTAINER", {
        "container_id": container, "command": {"value": "sleep 1; exec tail /dev/zero"},
        "resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]})[0] == 200
    result = wait(agent, container)
    assert (result["exit_status"], result["reason"]) == (9, "REASON_CONTAINER_LIMITATION_MEMORY"), result
    call(agent, "REMOVE_CONTAINER", {"container_id": container})


def test_a_container_with_an_image_in_a_container(agent, registry):
    """With files that were fetched, and a container nested in it."""
    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"fetched\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    nested = of_task(agent, "imaged")
    image = {"type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": f"{registry}/e2e/tools:1"}}}}
    try:
        assert status(agent, "LAUNCH_NESTED_CONTAINER", {
            "container_id": nested, "container": image, "command": {
                "value": "cat /mnt/mesos/sandbox/note; id -u; ls /bin/busybox; exec sleep 1000", "user": "app",
                "uris": [{"value": f"http://127.0.0.1:{server.server_port}/note"}]}}) == (200, "")
    finally:
        server.shutdown()
    folder = f"/framework/f-0000/executor/{TASK}/latest/containers/imaged"
    eventually(lambda: output(agent, folder) == "fetched\n1000\n/bin/busybox\n", 20, "its output")
    inner = {"value": "inner", "parent": nested}
    assert status(agent, "LAUNCH_CONTAINER", {"container_id": inner, "command": {"value": "sleep 1000"}})[0] == 200
    assert inner in listed(agent, show_nested=True) and nested in listed(agent, show_nested=True)
    # Which ends with what it is nested in.
    result = {}
    waiter = threading.Thread(target=lambda: result.update(wait(agent, inner)))
    waiter.start()
    assert status(agent, "KILL_NESTED_CONTAINER", {"container_id": nested})[0] == 200
    assert wait(agent, nested)["exit_status"] == 9
    waiter.join(30)
    assert result, "the inner container did not end"
    eventually(lambda: status(agent, "WAIT_CONTAINER", {"container_id": inner})[0] == 404, 20, "the end of its record")
    assert status(agent, "REMOVE_NESTED_CONTAINER", {"container_id": nested})[0] == 200


def test_a_nested_container_uses_its_parents_network(agent, cluster_of_agent):
    make_task(cluster_of_agent, "networked", host=False, label="f-0001")

    def address():
        pod = json.loads(cluster_of_agent.get("pod", "networked", "-o", "json"))
        return pod["status"].get("podIP") and pod
    pod = eventually(address, 40, "the pod's address")
    cluster_of_agent.kubectl("wait", "--for=condition=Ready", "pod/networked", "--timeout=40s")
    nested = {"value": "same-net", "parent": {"value": pod["metadata"]["uid"]}}
    assert status(agent, "LAUNCH_NESTED_CONTAINER", {
        "container_id": nested, "command": {"value": "hostname -I; cat /proc/net/fib_trie"}}) == (200, "")
    assert wait(agent, nested)["exit_status"] == 0
    folder = "/framework/f-0001/executor/networked-1/latest/containers/same-net"
    eventually(lambda: pod["status"]["podIP"] in output(agent, folder), 20, "the parent's address")
    # A nested container ends with its task.
    other = {"value": "outlived", "parent": {"value": pod["metadata"]["uid"]}}
    assert status(agent, "LAUNCH_NESTED_CONTAINER", {"container_id": other, "command": {"value": "sleep 1000"}})[0] == 200
    cluster_of_agent.kubectl("delete", "pod", "networked", "--wait=true")
    eventually(lambda: status(agent, "WAIT_CONTAINER", {"container_id": other})[0] == 404, 30, "its end")


def test_a_terminal_that_is_attached_to(agent):
    nested = of_task(agent, "terminal")
    assert status(agent, "LAUNCH_NESTED_CONTAINER", {
        "container_id": nested, "command": {"value": "test -t 0; t=$?; read a; echo $t and $a; read b; exit 4"},
        "container": {"type": "MESOS", "tty_info": {}}}) == (200, "")
    response = call(agent, "ATTACH_CONTAINER_OUTPUT", {"container_id": nested}, stream=True, **STREAM)

    def attach(text):
        data = {"type": "DATA", "data": {"type": "STDIN", "data": base64.b64encode(text).decode()}}
        stream = [
            {"type": "CONTAINER_ID", "container_id": nested}, {"type": "PROCESS_IO", "process_io": data}]
        def body():
            for message in stream:
                yield frame({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": message})
            # As somebody who types: the stream does not end with the last key.
            time.sleep(1)
        request = urllib.request.Request(agent + "/api/v1", body(), {
            "Content-Type": "application/recordio", "Message-Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status

    assert attach(b"word\n") == 200
    seen = b""
    for _, piece in records(response):
        seen += piece
        if b"0 and word" in seen:
            break
    assert b"0 and word" in seen
    response.close()
    assert attach(b"\n") == 200
    assert wait(agent, nested)["exit_status"] == 4 << 8


def test_a_terminal_has_its_size_from_the_start(agent):
    nested = of_task(agent, "sized")
    assert status(agent, "LAUNCH_NESTED_CONTAINER", {
        "container_id": nested, "command": {"value": "stty size"},
        "container": {"type": "MESOS", "tty_info": {"window_size": {"rows": 33, "columns": 77}}}}) == (200, "")
    assert wait(agent, nested)["exit_status"] == 0
    folder = f"/framework/f-0000/executor/{TASK}/latest/containers/sized"
    assert "33 77" in output(agent, folder)


def test_a_session_as_another_user(agent):
    session = of_task(agent, "as-nobody")
    response = call(agent, "LAUNCH_NESTED_CONTAINER_SESSION", {
        "container_id": session, "command": {"value": "id -un", "user": "nobody"}}, stream=True, **STREAM)
    assert b"".join(piece for _, piece in records(response)) == b"nobody\n"


def test_what_cannot_be(agent):
    alone = {"value": "never"}
    command = {"value": "true"}
    nobody = {"value": "x", "parent": {"value": "no-such-container"}}
    for type, body, code in [
        ("LAUNCH_CONTAINER", {"container_id": alone}, 400),
        ("LAUNCH_CONTAINER", {"container_id": {"value": "a/b"}, "command": command}, 400),
        ("LAUNCH_CONTAINER", {"container_id": nobody, "command": command}, 404),
        ("LAUNCH_NESTED_CONTAINER", {"container_id": alone, "command": command}, 400),
        ("LAUNCH_NESTED_CONTAINER_SESSION", {"container_id": nobody, "command": command}, 404),
        ("LAUNCH_CONTAINER", {"container_id": alone, "command": {**command, "user": "no-such-user"}}, 400),
        ("LAUNCH_CONTAINER", {
            "container_id": alone, "command": {**command, "uris": [{"value": "http://127.0.0.1:1/nothing"}]}}, 400),
        ("LAUNCH_CONTAINER", {"container_id": alone, "command": command, "container": {
            "type": "MESOS", "mesos": {"image": {"type": "DOCKER", "docker": {"name": "127.0.0.1:1/no:1"}}}}}, 400),
        ("LAUNCH_CONTAINER", {"container_id": alone, "command": command, "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 100000}}]}, 400),
        ("WAIT_CONTAINER", {"container_id": alone}, 404),
        ("KILL_CONTAINER", {"container_id": alone}, 404),
        ("KILL_CONTAINER", {"container_id": of_task(agent, "gone"), "signal": 99}, 400),
        ("REMOVE_CONTAINER", {"container_id": alone}, 404),
        ("ATTACH_CONTAINER_OUTPUT", {"container_id": alone}, 404),
    ]:
        found = status(agent, type, body, **(STREAM if "SESSION" in type or "ATTACH" in type else {}))
        assert found[0] == code, (type, body, found)


def test_images_that_nothing_uses_are_pruned(agent, cluster_of_agent, registry):
    def launch(name, tag):
        container = {"value": name}
        image = {"type": "DOCKER", "docker": {"name": f"{registry}/e2e/web:{tag}"}}
        assert status(agent, "LAUNCH_CONTAINER", {
            "container_id": container, "container": {"type": "MESOS", "mesos": {"image": image}},
            "command": {"value": "sleep 1"}})[0] == 200
        wait(agent, container)
        call(agent, "REMOVE_CONTAINER", {"container_id": container})
        return image

    def images():
        node = json.loads(cluster_of_agent.get("node", cluster_of_agent.node, "-o", "json"))
        return {name for image in node["status"]["images"] for name in image["names"]}

    kept, gone = launch("kept", 1), launch("gone", 2)
    names = [image["docker"]["name"] for image in (kept, gone)]
    eventually(lambda: set(names) <= images(), 90, "both images")

    def pruned():
        assert status(agent, "PRUNE_IMAGES", {"excluded_images": [kept]})[0] == 200
        return not set(names[1:]) & images()
    eventually(pruned, 120, "the removal")
    assert names[0] in images()


def test_the_log_says_more_for_a_while(agent):
    def level():
        return call(agent, "GET_LOGGING_LEVEL")["get_logging_level"]["level"]
    assert level() == 0
    assert status(agent, "SET_LOGGING_LEVEL", {"level": 2, "duration": {"nanoseconds": int(3e9)}})[0] == 202
    assert level() == 2
    eventually(lambda: level() == 0, 20, "the end of it")
    with urllib.request.urlopen(f"{agent}/logging/toggle?level=1&duration=1mins", timeout=10) as answer:
        assert answer.status == 200
    assert level() == 1
    assert status(agent, "SET_LOGGING_LEVEL", {"level": 0, "duration": {"nanoseconds": 1}})[0] == 202
    assert level() == 0
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{agent}/logging/toggle?level=1&duration=soon", timeout=10)
    assert error.value.code == 400


def test_containers_survive_a_killed_server(agent, cluster_of_agent):
    nested, alone = of_task(agent, "survivor"), {"value": "survivor"}
    program = {"value": "while [ ! -e go ]; do sleep 0.1; done; exit 5"}
    for container in (nested, alone):
        assert status(agent, "LAUNCH_CONTAINER", {"container_id": container, "command": program})[0] == 200
    cluster_of_agent.kill()
    time.sleep(1)
    cluster_of_agent.start()
    eventually(lambda: running(agent), 60, "the task")
    eventually(lambda: nested in listed(agent, show_nested=True), 30, "the nested container")
    assert alone in listed(agent, show_standalone=True)
    for pod in json.loads(cluster_of_agent.kubectl(
            "get", "pods", "-l", "mesos.apus.dev/container", "-o", "json").stdout)["items"]:
        cluster_of_agent.kubectl("exec", pod["metadata"]["name"], "--", "touch", "go", check=False)
    for container in (nested, alone):
        assert wait(agent, container)["exit_status"] == 5 << 8
        assert status(agent, "REMOVE_CONTAINER", {"container_id": container})[0] == 200
