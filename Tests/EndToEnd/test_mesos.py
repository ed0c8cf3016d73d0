"""The scheduler API of Mesos with the unmodified pymesos, on the nodes that kubectl sees."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

import pytest
from conftest import Cluster, eventually, free_port

HERE = pathlib.Path(__file__).parent
PYMESOS = os.environ.get("PYMESOS")
pytestmark = pytest.mark.skipif(not PYMESOS, reason="PYMESOS names no Python with pymesos")


@pytest.fixture(scope="module")
def mesos():
    directory = tempfile.mkdtemp(prefix="apus-e2e-mesos.")
    port = free_port()
    cluster = Cluster(
        directory, "--mesos-port", str(port), "--mesos-agent-port", str(free_port()), "--marathon-port", "0",
        "--mesos-dns-port", "0", "--dns-port", str(free_port()))
    cluster.master = f"127.0.0.1:{port}"
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        cluster.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)


def framework(cluster, *steps, framework_id=""):
    result = subprocess.run(
        [PYMESOS, str(HERE / "framework.py"), cluster.master, *steps], capture_output=True, text=True, timeout=240,
        env={**os.environ, "FRAMEWORK_ID": framework_id})
    assert result.returncode == 0, result.stdout + result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def call(cluster, body, headers=None, method="POST", kind="application/json"):
    request = urllib.request.Request(
        f"http://{cluster.master}/api/v1/scheduler", data=body.encode(), method=method,
        headers={"Content-Type": kind, **(headers or {})})
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code


def test_tasks_end_as_their_programs_do(mesos):
    (batch,) = framework(mesos, "batch")
    assert all(batch["states"][f"ok-{index}"] == "TASK_FINISHED" for index in range(10)), batch
    assert batch["states"]["bad"] == "TASK_FAILED"
    assert "status 3" in batch["message"]


def test_a_framework_comes_back_after_a_kill_of_the_server(mesos):
    long, *_ = framework(mesos, "long", "keep")
    pods = mesos.get("pods", "-A", "-l", f"mesos.apus.dev/framework-id={long['framework']}", "-o", "name")
    assert len(pods.splitlines()) == 1
    mesos.kill()
    mesos.start()
    framework(mesos, "reconcile", "kill", framework_id=long["framework"])
    eventually(lambda: not mesos.get(
        "pods", "-A", "-l", f"mesos.apus.dev/framework-id={long['framework']}", "-o", "name"), 30, "the end of its pods")


def test_kubectl_delete_is_told_to_the_framework(mesos):
    process = subprocess.Popen(
        [PYMESOS, str(HERE / "framework.py"), mesos.master, "long", "deleted"], stdout=subprocess.PIPE, text=True)
    try:
        fid = json.loads(process.stdout.readline())["framework"]
        pod = mesos.get(
            "pods", "-A", "-l", f"mesos.apus.dev/framework-id={fid}", "-o",
            "jsonpath={.items[0].metadata.namespace} {.items[0].metadata.name}").split()
        mesos.kubectl("-n", pod[0], "delete", "pod", pod[1], "--wait=false")
        assert "deleted" in json.loads(process.stdout.readline())["message"]
    finally:
        process.terminate()
        process.wait()


def test_bad_calls_are_refused_with_the_originals_codes(mesos):
    assert call(mesos, "{}", method="PUT") == 405
    assert call(mesos, "{}", kind="text/plain") == 415
    assert call(mesos, "{") == 400
    assert call(mesos, "{}") == 400
    assert call(mesos, '{"type": "TEARDOWN", "framework_id": {"value": "nobody"}}') == 400
    info = '{"user": "root", "name": "x"}'
    subscribe = '{"type": "SUBSCRIBE", "subscribe": {"framework_info": ' + info + "}}"
    assert call(mesos, subscribe, {"Mesos-Stream-Id": "x"}) == 400
    assert call(mesos, subscribe, {"Accept": "text/html"}) == 406
