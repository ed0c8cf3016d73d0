"""Metronome's window: jobs, schedules and runs as plain programs, through DC/OS's front door and by kubectl."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request

import pytest
from conftest import Cluster, eventually, free_port


class Metronome(Cluster):
    def __init__(self, directory):
        self.own, self.front = free_port(), free_port()
        super().__init__(
            directory, "--metronome-port", str(self.own), "--mesos-port", str(self.front), "--mesos-agent-port",
            str(free_port()), "--marathon-port", "0", "--mesos-dns-port", "0")

    def call(self, method, path, body=None, port=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port or self.own}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                code, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read()
        try:
            return code, json.loads(text or b"null")
        except ValueError:
            return code, text.decode()

    def runs(self, job):
        code, runs = self.call("GET", f"/v1/jobs/{job}/runs")
        assert code == 200, runs
        return runs

    def history(self, job):
        return self.call("GET", f"/v1/jobs/{job}?embed=history")[1]["history"]


@pytest.fixture(scope="module")
def metronome():
    directory = tempfile.mkdtemp(prefix="apus-e2e.")
    cluster = Metronome(directory)
    cluster.start()
    eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
    eventually(lambda: cluster.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    eventually(lambda: cluster.call("GET", "/ping")[0] == 200, 30, "Metronome")
    yield cluster
    if cluster.process.poll() is None:
        cluster.stop()
    assert cluster.down("--purge").returncode == 0
    shutil.rmtree(directory, ignore_errors=True)


def job(name, cmd, **run):
    return {"id": name, "description": "a try", "labels": {"owner": "zeus"},
            "run": {"cmd": cmd, "cpus": 0.1, "mem": 32, "disk": 0, **run}}


def test_documents_and_refusals(metronome):
    assert metronome.call("GET", "/ping") == (200, "pong")
    assert "version" in metronome.call("GET", "/info")[1]
    assert "gauges" in metronome.call("GET", "/v1/metrics")[1]
    assert metronome.call("GET", "/service/metronome/v1/jobs", port=metronome.front)[0] == 200
    assert metronome.call("GET", "/v1/jobs/none") == (404, {"id": "none", "message": "Job not found"})
    assert metronome.call("GET", "/v1/nothing")[0] == 404
    code, body = metronome.call("POST", "/v1/jobs", job("bad", "true", mem=1))
    assert code == 422 and body["details"][0]["path"] == "/run/mem", body
    assert metronome.call("POST", "/v1/jobs", job("bad", "true", volumes=[
        {"containerPath": "/a", "hostPath": "..", "mode": "RW"}]))[0] == 422
    assert metronome.call("GET", "/v1/jobs?embed=everything")[0] == 400


def test_a_run_from_start_to_history(metronome):
    definition = job(
        "team.report", 'echo "$METRONOME_JOB_ID $WORD" > result; cat result', env={"WORD": "hello"})
    code, made = metronome.call("POST", "/v1/jobs", definition)
    assert code == 201 and made["run"]["restart"] == {"policy": "NEVER"}, made
    assert metronome.call("POST", "/v1/jobs", definition)[0] == 409
    code, run = metronome.call("POST", "/v1/jobs/team.report/runs", {})
    assert code == 201 and run["jobId"] == "team.report" and run["completedAt"] is None, run
    history = eventually(
        lambda: [h for h in [metronome.history("team.report")] if h["successCount"] == 1], 60, "the success")[0]
    entry = history["successfulFinishedRuns"][0]
    assert entry["id"] == run["id"] and len(entry["tasks"]) == 1 and history["lastSuccessAt"], history
    code, ended = metronome.call("GET", f"/v1/jobs/team.report/runs/{run['id']}")
    assert ended["status"] == "SUCCESS" and ended["tasks"][0]["status"] == "TASK_FINISHED"
    assert metronome.runs("team.report") == []
    pod = entry["tasks"][0].rsplit(".", 1)[0]
    assert metronome.kubectl("logs", pod).stdout == "team.report hello\n"
    assert metronome.get("metronomejobs", "team.report", "-o", "jsonpath={.status.successCount}") == "1"

    # What kubectl changes is what runs.
    metronome.kubectl("patch", "metronomejob", "team.report", "--type=merge", "-p", '{"spec":{"run":{"cmd":"exit 3"}}}')
    eventually(lambda: metronome.call("GET", "/v1/jobs/team.report")[1]["run"]["cmd"] == "exit 3", 10, "the change")
    metronome.call("POST", "/v1/jobs/team.report/runs")
    eventually(lambda: metronome.history("team.report")["failureCount"] == 1, 60, "the failure")
    code, gone = metronome.call("DELETE", "/v1/jobs/team.report")
    assert code == 200 and gone["id"] == "team.report"
    eventually(lambda: not metronome.get("jobs,cronjobs", "-o", "name"), 30, "nothing left")


def test_stopping_and_forced_deletion(metronome):
    assert metronome.call("POST", "/v1/jobs", job("long", "sleep 1000"))[0] == 201
    run = metronome.call("POST", "/v1/jobs/long/runs")[1]
    other = metronome.call("POST", "/v1/jobs/long/runs")[1]
    eventually(lambda: [r["status"] for r in metronome.runs("long")] == ["ACTIVE", "ACTIVE"], 60, "two active runs")

    def frameworks():
        tasks = metronome.call("GET", "/tasks?limit=-1", port=metronome.front)[1]["tasks"]
        return [t["framework_id"] for t in tasks if t["name"] == "long"]

    eventually(lambda: frameworks() == ["metronome"] * 2, 20, "both in the Mesos window")
    embedded = metronome.call("GET", "/v1/jobs?embed=activeRuns&embed=schedules,historySummary")[1]
    assert len([j for j in embedded if j["id"] == "long"][0]["activeRuns"]) == 2
    assert metronome.call("DELETE", "/v1/jobs/long")[0] == 409
    assert metronome.call("POST", f"/v1/jobs/long/runs/{run['id']}/actions/stop")[0] == 200
    eventually(lambda: [r["id"] for r in metronome.runs("long")] == [other["id"]], 30, "the end of one")
    assert metronome.call("POST", f"/v1/jobs/long/runs/{run['id']}/actions/stop")[0] == 404
    assert metronome.call("DELETE", "/v1/jobs/long?stopCurrentJobRuns=true")[0] == 200
    eventually(lambda: not metronome.get("pods", "-o", "name"), 30, "the end of the other")


def test_limits_of_starting_and_retrying(metronome):
    nowhere = job("nowhere", "true", maxLaunchDelay=2, placement={
        "constraints": [{"attribute": "rack", "operator": "EQ", "value": "none"}]})
    assert metronome.call("POST", "/v1/jobs", nowhere)[0] == 201
    again = job("again", "exit 1", restart={"policy": "ON_FAILURE", "activeDeadlineSeconds": 3})
    assert metronome.call("POST", "/v1/jobs", again)[0] == 201
    run = metronome.call("POST", "/v1/jobs/nowhere/runs")[1]
    metronome.call("POST", "/v1/jobs/again/runs")
    queue = metronome.call("GET", "/v1/queue")[1]
    assert {"jobId": "nowhere", "runs": [{"runId": run["id"]}]} in queue, queue
    eventually(lambda: metronome.history("nowhere")["failureCount"] == 1, 30, "the end of what has no node")
    eventually(lambda: metronome.history("again")["failureCount"] == 1, 30, "the end of the retries")
    for name in ["nowhere", "again"]:
        assert metronome.call("DELETE", f"/v1/jobs/{name}")[0] == 200


def test_schedules_survive_a_killed_server(metronome):
    assert metronome.call("POST", "/v0/scheduled-jobs", {
        **job("ticker", "true"),
        "schedules": [{"id": "every", "cron": "* * * * *", "timezone": "Europe/Berlin", "enabled": False}]})[0] == 201
    schedule = metronome.call("GET", "/v1/jobs/ticker/schedules/every")[1]
    assert schedule["nextRunAt"] and schedule["concurrencyPolicy"] == "ALLOW"
    other = {"id": "other", "cron": "1 * * * *"}
    assert metronome.call("POST", "/v1/jobs/ticker/schedules", other)[0] == 409
    assert metronome.call("PUT", "/v1/jobs/ticker/schedules/none", {**other, "id": "none"})[0] == 404
    cron = eventually(
        lambda: json.loads(metronome.get("cronjobs", "-o", "json"))["items"], 20, "the CronJob")[0]
    assert cron["spec"]["suspend"] and cron["spec"]["timeZone"] == "Europe/Berlin"
    metronome.kill()
    metronome.start()
    eventually(lambda: metronome.call("GET", "/ping")[0] == 200, 30, "Metronome")
    code, changed = metronome.call(
        "PUT", "/v1/jobs/ticker/schedules/every", {**schedule, "enabled": True, "concurrencyPolicy": "FORBID"})
    assert code == 200 and changed["enabled"], changed
    eventually(lambda: metronome.history("ticker")["successCount"] >= 1, 90, "a run by the clock")
    assert metronome.call("DELETE", "/v1/jobs/ticker/schedules/every")[0] == 200
    eventually(lambda: not metronome.get("cronjobs", "-o", "name"), 20, "no CronJob")
    assert metronome.call("GET", "/v1/jobs/ticker/schedules")[1] == []
    assert metronome.history("ticker")["successCount"] >= 1
    assert metronome.call("DELETE", "/v1/jobs/ticker?stopCurrentJobRuns=true")[0] == 200


def test_dependencies(metronome):
    for name, parents in [("first", []), ("second", ["first"])]:
        body = {**job(name, "true"), "dependencies": [{"id": parent} for parent in parents]}
        assert metronome.call("POST", "/v1/jobs", body)[0] == 201
    assert metronome.call("DELETE", "/v1/jobs/first")[0] == 409
    eventually(lambda: metronome.get("metronomejob", "second", "-o", "jsonpath={.status.parents}"), 10, "a look")
    metronome.call("POST", "/v1/jobs/first/runs")
    eventually(lambda: metronome.history("second")["successCount"] == 1, 60, "the run that follows")
    assert metronome.history("first")["successCount"] == 1
    for name in ["second", "first"]:
        assert metronome.call("DELETE", f"/v1/jobs/{name}")[0] == 200
