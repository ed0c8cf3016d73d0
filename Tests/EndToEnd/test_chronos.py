"""Chronos's window through its own client: jobs by intervals and by what they follow, across a killed server."""

import shutil
import tempfile
import time
import urllib.request

import pytest
from chronos import ChronosAPIError, ChronosClient
from conftest import Cluster, eventually, free_port


class Chronos(Cluster):
    def __init__(self, directory):
        self.own = free_port()
        super().__init__(
            directory, "--chronos-port", str(self.own), "--mesos-port", "0", "--mesos-agent-port", "0",
            "--marathon-port", "0", "--metronome-port", "0", "--mesos-dns-port", "0")
        self.client = ChronosClient(f"127.0.0.1:{self.own}")

    def is_serving(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.own}/ping", timeout=10) as answer:
            return answer.read() == b"pong"

    def job(self, name):
        return [job for job in self.client.list() if job["name"] == name][0]

    def logs(self, name):
        return self.kubectl("logs", "-l", f"chronos.apus.dev/job={name}", "--tail=-1").stdout


@pytest.fixture(scope="module")
def chronos():
    directory = tempfile.mkdtemp(prefix="apus-e2e.")
    cluster = Chronos(directory)
    cluster.start()
    eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
    eventually(lambda: cluster.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    eventually(cluster.is_serving, 30, "Chronos")
    yield cluster
    if cluster.process.poll() is None:
        cluster.stop()
    assert cluster.down("--purge").returncode == 0
    shutil.rmtree(directory, ignore_errors=True)


def job(name, command, **members):
    return {"name": name, "command": command, "owner": "zeus@example.com", "disabled": False, "cpus": 0.05, "mem": 32,
            "disk": 0, **members}


FAR = "R/2040-01-01T00:00:00.000Z/PT1H"


def test_a_job_repeats_as_often_as_it_says(chronos):
    chronos.client.add(job("often", 'echo "$CHRONOS_JOB_NAME $WORD"', schedule="R2//PT2S", concurrent=True,
                           environmentVariables=[{"name": "WORD", "value": "hello"}]))
    eventually(lambda: chronos.job("often")["successCount"] == 2, 40, "two runs")
    done = chronos.job("often")
    assert done["schedule"].startswith("R0/") and done["lastSuccess"] and done["errorCount"] == 0
    eventually(lambda: chronos.logs("often") == "often hello\n" * 2, 20, "what both said")
    statistic = chronos.client.job_stat("often")
    assert statistic["histogram"]["count"] == 2
    assert [entry["status"] for entry in statistic["taskStatHistory"]] == ["Success"] * 2
    assert {"jobNameLabel", "time"} == set(chronos.client.scheduler_stat_99th()[0])
    assert chronos.get("chronosjobs", "often", "-o", "jsonpath={.status.successCount}") == "2"
    chronos.client.delete("often")
    eventually(lambda: not chronos.get("jobs", "-o", "name"), 30, "no runs")


def test_jobs_follow_others(chronos):
    for name, members in [("first", {"schedule": FAR}), ("other", {"schedule": FAR}),
                          ("Second_job", {"parents": ["first", "other"]}), ("third", {"parents": ["Second_job"]})]:
        chronos.client.add(job(name, "true", **members))
    assert sorted(j["name"] for j in chronos.client.search(name="OND")) == ["Second_job"]
    graph = chronos.client.scheduler_graph().splitlines()
    assert "node,first,fresh,idle" in graph and "link,first,Second_job" in graph and "link,Second_job,third" in graph
    with pytest.raises(ChronosAPIError):
        chronos.client.add(job("lost", "true", parents=["nobody"]))
    eventually(lambda: "parents" in chronos.get("chronosjobs", "third", "-o", "jsonpath={.status}"), 10, "a look")
    chronos.client.run("first")
    eventually(lambda: chronos.job("first")["successCount"] == 1, 30, "the run")
    time.sleep(0.5)
    assert chronos.job("Second_job")["successCount"] == 0
    chronos.client.run("other")
    eventually(lambda: chronos.job("third")["successCount"] == 1, 30, "the runs that follow")
    assert "node,third,success,idle" in chronos.client.scheduler_graph()
    # What follows a removed job follows what that followed.
    chronos.client.delete("Second_job")
    assert chronos.job("third")["parents"] == ["first", "other"]
    for name in ["third", "first", "other"]:
        chronos.client.delete(name)
    assert chronos.client.list() == []


def test_failures_kills_and_restarts(chronos):
    chronos.client.add(job("broken", "exit 3", schedule=FAR, retries=0))
    chronos.client.add(job("long", "sleep 1000", schedule="R1//PT1H", retries=0))
    chronos.client.run("broken")
    eventually(lambda: chronos.job("broken")["errorCount"] == 1, 30, "the failure")
    assert chronos.job("broken")["errorsSinceLastSuccess"] == 1 and chronos.job("broken")["lastError"]
    eventually(lambda: "node,long,fresh,1 running" in chronos.client.scheduler_graph(), 30, "the run")
    runs = chronos.get("jobs", "-l", "chronos.apus.dev/job=long", "-o", "name")
    chronos.kill()
    chronos.start()
    eventually(chronos.is_serving, 30, "Chronos")
    time.sleep(1)
    assert chronos.get("jobs", "-l", "chronos.apus.dev/job=long", "-o", "name") == runs
    chronos.client.delete_tasks("long")
    eventually(lambda: chronos.job("long")["errorCount"] == 1, 30, "the end")
    # What kubectl changes is what runs.
    chronos.kubectl("patch", "chronosjob", "broken", "--type=merge", "-p", '{"spec":{"command":"true"}}')
    eventually(lambda: chronos.job("broken")["command"] == "true", 10, "the change")
    chronos.client.run("broken")
    eventually(lambda: chronos.job("broken")["successCount"] == 1, 30, "the success")
    for wrong in [job("bad", "true", schedule="daily"), job("bad", "true", schedule="R//P"), job("a b", "x", schedule=FAR)]:
        with pytest.raises(ChronosAPIError):
            chronos.client.add(wrong)
    for name in ["broken", "long"]:
        chronos.client.delete(name)
    with pytest.raises(ChronosAPIError):
        chronos.client.delete("broken")
