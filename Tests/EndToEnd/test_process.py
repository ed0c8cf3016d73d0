"""Plain programs as containers: pods with runtimeClassName process."""

import http.server
import io
import json
import os
import pathlib
import subprocess
import tarfile
import threading

import pytest

from conftest import eventually


def pids(pattern):
    return sorted(subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True).stdout.split())


def run(namespace, name, script, wait=True, more="", container="", policy="Never", network="true"):
    """A pod of one plain program; `more` goes into its spec, `container` into its container."""
    namespace.apply(f"""
apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  runtimeClassName: process
  hostNetwork: {network}
  restartPolicy: {policy}
  terminationGracePeriodSeconds: 2
  {more}
  containers:
  - name: main
    image: host
    command: [sh, -c, {json.dumps(script)}]
    {container}
""")
    if wait:
        namespace.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")


def terminated(namespace, name):
    def look():
        text = namespace.get("pod", name, "-o", "jsonpath={.status.containerStatuses[0].state.terminated}")
        return json.loads(text) if text else None
    return eventually(look, 40, f"the end of {name}")


def phase(namespace, name, wanted):
    eventually(lambda: namespace.get("pod", name, "-o", "jsonpath={.status.phase}") == wanted, 30, f"{name} {wanted}")


def sandbox(cluster, namespace, name):
    uid = namespace.get("pod", name, "-o", "jsonpath={.metadata.uid}")
    return pathlib.Path(cluster.directory) / "process" / uid / "main"


def test_output_exit_and_sandbox(namespace, cluster):
    run(namespace, "ends", "echo out; echo err >&2; echo $MESOS_SANDBOX; exit 7", wait=False)
    end = terminated(namespace, "ends")
    assert (end["exitCode"], end["reason"]) == (7, "Error")
    assert end["containerID"].startswith("process://")
    phase(namespace, "ends", "Failed")
    folder = sandbox(cluster, namespace, "ends")
    assert sorted(namespace.kubectl("logs", "ends").stdout.split()) == sorted(["out", "err", str(folder)])
    assert (folder / "stdout").read_text() == f"out\n{folder}\n"
    assert (folder / "stderr").read_text() == "err\n"

    run(namespace, "good", "true", wait=False)
    assert terminated(namespace, "good")["reason"] == "Completed"
    phase(namespace, "good", "Succeeded")


def test_exec_and_probes(namespace):
    run(namespace, "probed", "until test -e go; do sleep 0.1; done; echo up > ready; exec sleep 10000", container="""
    readinessProbe: {exec: {command: [cat, ready]}, periodSeconds: 1}""".strip(), wait=False)
    phase(namespace, "probed", "Running")
    assert namespace.get("pod", "probed", "-o", "jsonpath={.status.containerStatuses[0].ready}") == "false"
    namespace.kubectl("exec", "probed", "--", "touch", "go")
    namespace.kubectl("wait", "--for=condition=Ready", "pod/probed", "--timeout=30s")
    result = namespace.kubectl("exec", "-i", "probed", "--", "sh", "-c", "cat ready; cat; exit 4", text="in\n", check=False)
    assert (result.returncode, result.stdout) == (4, "up\nin\n")
    assert len(namespace.kubectl("exec", "probed", "--", "ps", "-e", "-o", "pid=").stdout.split()) < 6
    namespace.kubectl("exec", "probed", "--", "rm", "ready")
    namespace.kubectl("wait", "--for=condition=Ready=false", "pod/probed", "--timeout=30s")


def test_memory_limit(namespace):
    run(namespace, "greedy", "exec python3 -c 'x = bytearray(300 << 20); print(len(x))'", wait=False,
        container="resources: {limits: {memory: 48Mi}}")
    end = terminated(namespace, "greedy")
    assert end["reason"] == "OOMKilled" and end["exitCode"] == 137, end


def test_volumes(namespace):
    namespace.kubectl("create", "configmap", "words", "--from-literal=word=hello")
    run(namespace, "volumes", """
cat /nowhere/on/this/machine/word; echo kept > /srv/data/file; cat /etc/hosts >/dev/null && echo hosts
test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token; echo last > /dev/termination-log
""", wait=False, more="""volumes:
  - {name: words, configMap: {name: words}}
  - {name: data, emptyDir: {}}""", container="""volumeMounts:
    - {name: words, mountPath: /nowhere/on/this/machine}
    - {name: data, mountPath: /srv/data}""")
    end = terminated(namespace, "volumes")
    assert end["exitCode"] == 0, namespace.kubectl("logs", "volumes").stdout
    assert end["message"] == "last\n"
    assert namespace.kubectl("logs", "volumes").stdout == "hellohosts\ntoken\n"
    assert not os.path.exists("/nowhere") and not os.path.exists("/srv/data")


def test_restarts_and_errors(namespace):
    run(namespace, "again", "echo run >> runs; test $(wc -l < runs) -ge 3", wait=False, policy="OnFailure")
    phase(namespace, "again", "Succeeded")
    assert namespace.get("pod", "again", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "2"

    namespace.apply("""
apiVersion: v1
kind: Pod
metadata: {name: pictured}
spec:
  runtimeClassName: process
  hostNetwork: true
  containers: [{name: main, image: "nginx:1", command: ["true"]}]
""")
    message = "jsonpath={.status.containerStatuses[0].state.waiting.message}"
    eventually(lambda: 'must be "host"' in namespace.get("pod", "pictured", "-o", message), 30, "the error")
    refused = namespace.kubectl("run", "x", "--image=host", "--overrides", json.dumps(
        {"spec": {"runtimeClassName": "other"}}), check=False)
    assert refused.returncode != 0 and "not found" in refused.stderr


def test_own_network(namespace):
    run(namespace, "net", "ip -4 -o addr show | grep -c eth0; hostname; exec python3 -m http.server 8099",
        network="false")
    address = namespace.get("pod", "net", "-o", "jsonpath={.status.podIP}")
    eventually(lambda: subprocess.run(
        ["curl", "-fsS", "-m", "2", f"http://{address}:8099/stdout"], capture_output=True).stdout == b"1\nnet\n",
        20, "its page")
    namespace.kubectl("delete", "pod", "net")
    assert subprocess.run(["curl", "-fsS", "-m", "2", f"http://{address}:8099/"], capture_output=True).returncode != 0


PROGRAM = "sleep 7743190"


def test_killed_apus_and_delete(namespace, cluster):
    run(namespace, "long", f"{PROGRAM} & setsid {PROGRAM} & echo up; wait; wait")
    run(namespace, "late", "until test -e go; do sleep 0.1; done; touch gone; exit 9")
    folder = sandbox(cluster, namespace, "late")
    before = eventually(lambda: len(pids(f"^{PROGRAM}$")) == 2 and pids(f"^{PROGRAM}$"), 10, "the programs")
    cluster.kill()
    (folder / "go").touch()
    eventually((folder / "gone").exists, 10, "the end while nobody looks")
    assert pids(f"^{PROGRAM}$") == before
    cluster.start()
    assert terminated(namespace, "late")["exitCode"] == 9
    eventually(lambda: "1/1" in namespace.get("pod", "long"), 30, "the pod, ready")
    assert namespace.kubectl("exec", "long", "--", "echo", "here").stdout == "here\n"
    assert pids(f"^{PROGRAM}$") == before
    namespace.kubectl("delete", "pod", "long")
    assert pids(f"^{PROGRAM}$") == []


@pytest.fixture
def web(tmp_path):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo("inner/file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"inner"))
    (tmp_path / "pack.tar.gz").write_bytes(archive.getvalue())
    (tmp_path / "tool").write_text("#!/bin/sh\necho tool runs\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fetching(namespace, name, script, uris):
    namespace.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "annotations": {"mesos.apus.dev/uris": json.dumps({"main": uris})}},
        "spec": {
            "runtimeClassName": "process", "hostNetwork": True, "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "host", "command": ["sh", "-c", script]}]}}))
    return terminated(namespace, name)


def test_fetching(namespace, web):
    end = fetching(namespace, "fetches", "cat inner/file sub/again; ./tool; ls", [
        {"value": f"{web}/pack.tar.gz"}, {"value": f"{web}/tool", "executable": True},
        {"value": f"{web}/tool", "cache": True, "output_file": "sub/again"}, {"value": "/etc/hostname"}])
    text = namespace.kubectl("logs", "fetches").stdout
    assert end["exitCode"] == 0, text
    assert text.startswith("inner#!/bin/sh\necho tool runs\ntool runs\n")
    assert {"hostname", "inner", "pack.tar.gz", "sub", "tool"} <= set(text.split())

    for uri, words in [
        ({"value": f"{web}/nothing"}, "404"), ({"value": "hdfs://a/b"}, "only http"),
        ({"value": f"{web}/tool", "output_file": "../../up"}, "no path inside"),
    ]:
        end = fetching(namespace, "fails", "true", [uri])
        assert end["reason"] == "FetchFailed" and words in end["message"], end
        phase(namespace, "fails", "Failed")
        namespace.kubectl("delete", "pod", "fails")
