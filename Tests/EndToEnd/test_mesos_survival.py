"""kill -9 of the server, of an executor and of a framework at every phase of a task's life.

No task is lost or runs twice (each writes a line when it begins and one when it ends), and every end is told until it was
acknowledged.
"""

import os
import pathlib
import shutil
import signal
import tempfile
import time

import pytest
from conftest import Cluster, eventually, free_port
from survivors import PYMESOS, Framework, Tasks

pytestmark = pytest.mark.skipif(not PYMESOS, reason="PYMESOS names no Python with pymesos")


@pytest.fixture(scope="module")
def mesos():
    directory = tempfile.mkdtemp(prefix="apus-e2e-survival.")
    port = free_port()
    cluster = Cluster(
        directory, "--mesos-port", str(port), "--mesos-agent-port", str(free_port()), "--marathon-port", "0",
        "--metronome-port", "0",
        "--mesos-dns-port", "0", "--dns-port", str(free_port()), "--node-ip", "127.0.0.1",
        "--pod-cidr", "10.233.0.0/16", "--service-cidr", "10.173.0.0/16")
    cluster.master = f"127.0.0.1:{port}"
    try:
        cluster.start()
        yield cluster
    finally:
        if cluster.process.poll() is None:
            cluster.stop()
        cluster.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def tasks():
    # What a program writes to /tmp is its own.
    with tempfile.TemporaryDirectory(prefix="apus-e2e-", dir="/var/tmp") as directory:
        yield Tasks(pathlib.Path(directory))


def restart(cluster):
    cluster.kill()
    cluster.start()


def pods(cluster, framework):
    return cluster.get("pods", "-A", "-l", f"mesos.apus.dev/framework-id={framework.id}", "-o", "name").split()


def kept(cluster, framework):
    """What waits for acknowledgements."""
    held = cluster.get(
        "pods", "-A", "-l", f"mesos.apus.dev/framework-id={framework.id},!mesos.apus.dev/executor-id", "-o",
        "jsonpath={.items[*].metadata.finalizers}")
    return "mesos" in held or cluster.get("tasks.mesos.apus.dev", "-A", "-o", "name")


def test_an_executor_of_ones_own_runs_tasks_and_goes_with_its_framework(mesos, tasks):
    framework = Framework(mesos)
    framework.launch([tasks.custom("own-1", 0.2)])
    framework.wait_for({"TASK_FINISHED"}, ["own-1"])
    # The same executor takes the next one.
    pid = tasks.pid()
    framework.launch([tasks.custom("own-2", 0.2), tasks.custom("own-3", 0.2)])
    framework.wait_for({"TASK_FINISHED"}, ["own-2", "own-3"])
    assert pid and tasks.pid() == pid
    assert [u["state"] for u in framework.updates("own-1")] == ["TASK_RUNNING", "TASK_FINISHED"]
    logs = mesos.kubectl("logs", "-l", f"mesos.apus.dev/framework-id={framework.id}", "--tail", "50").stdout
    assert "hello from own-2" in logs
    tasks.assert_once(framework)
    framework.stop()
    eventually(lambda: not tasks.pid(), 30, "the executor's end")
    eventually(lambda: not pods(mesos, framework), 30, "the end of its pods")


def test_the_server_is_killed_when_it_has_answered_accept(mesos, tasks):
    framework = Framework(mesos)
    framework.launch([tasks.command("accepted", 0.1), tasks.custom("accepted-own", 0.1)])
    eventually(lambda: framework.all("accepted"), 30, "an accepted offer")
    restart(mesos)
    framework.wait_for({"TASK_FINISHED"}, tasks.names)
    tasks.assert_once(framework)
    framework.stop()


def test_the_server_is_killed_at_every_phase_of_many_tasks(mesos, tasks):
    framework = Framework(mesos)
    many = [tasks.command(f"many-{index}", index % 20 * 0.5) for index in range(30)]
    many += [tasks.custom(f"many-own-{index}", index * 0.8) for index in range(12)]
    framework.launch(many)
    framework.wait_for({"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"}, ["many-0"])
    for wait in [0.1, 1.5, 0.4]:
        time.sleep(wait)
        restart(mesos)
    framework.wait_for({"TASK_FINISHED"}, tasks.names, 120)
    tasks.assert_once(framework)
    eventually(
        lambda: not mesos.get("tasks.mesos.apus.dev", "-A", "-o", "name"), 30, "the end of acknowledged tasks")
    framework.stop()


@pytest.mark.parametrize("kind", ["command", "custom"])
def test_an_end_is_told_until_it_is_acknowledged(mesos, tasks, kind):
    name = f"told-{kind}"
    first = Framework(mesos, die_at="TASK_FINISHED")
    first.launch([getattr(tasks, kind)(name, 0.5)])
    assert first.process.wait(60) == 9
    restart(mesos)
    second = Framework(mesos, first.id, die_at="TASK_FINISHED")
    assert second.process.wait(60) == 9
    third = Framework(mesos, first.id)
    third.wait_for({"TASK_FINISHED"}, [name])
    first.reader.join(10)
    second.reader.join(10)
    uuids = {run.ends()[name][0]["uuid"] for run in (first, second, third)}
    assert len(uuids) == 1, "the same end came as different ones"
    # Taken note of, and that was written down.
    eventually(lambda: name in third.all("acknowledged"), 20, "the acknowledgement")
    eventually(lambda: not kept(mesos, third), 20, "the end of what was kept for it")
    third.kill()
    restart(mesos)
    last = Framework(mesos, first.id)
    time.sleep(1)
    assert not last.updates()
    tasks.assert_once(third)
    last.stop()


@pytest.mark.parametrize("kind", ["command", "custom"])
def test_a_framework_is_killed_and_hears_what_it_missed(mesos, tasks, kind):
    first = Framework(mesos)
    first.launch([getattr(tasks, kind)(f"missed-{kind}-{index}", index) for index in range(4)])
    first.wait_for({"TASK_RUNNING"}, tasks.names)
    first.kill()
    eventually(lambda: tasks.counts()[f"end missed-{kind}-3"], 30, "the last end")
    second = Framework(mesos, first.id)
    told = {name for name, ends in first.ends().items()}
    second.wait_for({"TASK_FINISHED"}, set(tasks.names) - told)
    tasks.assert_once(second)
    second.stop()


def test_an_executor_is_killed(mesos, tasks):
    framework = Framework(mesos)
    framework.launch([tasks.custom("doomed-1", 300), tasks.custom("doomed-2", 300)])
    framework.wait_for({"TASK_RUNNING"}, tasks.names)
    os.kill(tasks.pid(), signal.SIGKILL)
    framework.wait_for({"TASK_FAILED"}, tasks.names)
    assert all(end[0]["reason"] == "REASON_EXECUTOR_TERMINATED" for end in framework.ends().values())
    eventually(lambda: framework.all("lost") == [tasks.executor_id], 30, "the executor's loss")
    # Another takes its place.
    framework.launch([tasks.custom("after", 0.1)])
    framework.wait_for({"TASK_FINISHED"}, ["after"])
    assert tasks.counts()["end after"] == 1
    framework.stop()


def test_an_executor_is_killed_while_the_server_is_dead(mesos, tasks):
    framework = Framework(mesos)
    framework.launch([tasks.custom("unseen", 300)])
    framework.wait_for({"TASK_RUNNING"}, tasks.names)
    mesos.kill()
    os.kill(tasks.pid(), signal.SIGKILL)
    mesos.start()
    framework.wait_for({"TASK_FAILED"}, tasks.names)
    assert len(framework.ends()["unseen"]) == 1
    framework.stop()
