"""The command line that scripts rely on: messages, exit codes, and two clusters on one machine."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

import pytest

from conftest import APUS, Cluster, eventually, free_port


def run(*arguments, **options):
    return subprocess.run([APUS, *arguments], capture_output=True, text=True, timeout=60, **options)


def refused(text, *arguments, **options):
    """The command fails with one sentence that says `text`."""
    result = run(*arguments, **options)
    assert result.returncode not in (0, -6, -11), result.stdout + result.stderr
    assert text in result.stderr and result.stderr.startswith("Error: "), result.stdout + result.stderr
    return result


def test_values_that_make_no_sense(tmp_path):
    data = str(tmp_path / "d")
    up = ["up", "--data-dir", data, "--port", str(free_port())]
    refused("--port is \"99999\"", "up", "--data-dir", data, "--port", "99999")
    refused("give an IPv4 range", *up, "--pod-cidr", "banana")
    refused("overlap", *up, "--pod-cidr", "10.99.0.0/16", "--service-cidr", "10.99.0.0/16")
    refused("--node-name", *up, "--node-name", "Not_OK")
    refused("--log-level", *up, "--log-level", "loud")
    refused("no containerd socket", *up, "--containerd", str(tmp_path / "none.sock"))
    refused("cannot be read", *up, "--config", str(tmp_path / "none.yaml"))
    config = tmp_path / "apus.yaml"
    config.write_text("prot: 6443\n")
    refused('unknown key "prot"', *up, "--config", str(config))
    config.write_text("port: many\n")
    refused('--port is "many"', "up", "--data-dir", data, "--config", str(config))
    refused('--dns-port is "x"', *up, env={**os.environ, "APUS_DNS_PORT": "x"})
    refused("apt-get install containerd", *up, env={"PATH": str(tmp_path)})
    assert not (tmp_path / "d").exists()


def test_without_root(tmp_path):
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    result = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", APUS, "up", "--data-dir", str(tmp_path / "d")],
        capture_output=True, text=True, timeout=60)
    # Where others may not even read the program, there is nothing to see.
    assert result.returncode != 0 and ("needs root" in result.stderr or "ermission denied" in result.stderr)


def test_folders_that_are_not_ours(tmp_path):
    port = str(free_port())
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "resume.txt").write_text("mine")
    refused("files of something else", "up", "--data-dir", str(tmp_path / "letters"), "--port", port)
    assert os.listdir(tmp_path / "letters") == ["resume.txt"]
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "cluster.json").write_text("{]")
    for command in ("up", "down", "status"):
        refused("cannot be understood", command, "--data-dir", str(tmp_path / "torn"))
    assert os.listdir(tmp_path / "torn") == ["cluster.json"]
    result = run("down", "--data-dir", str(tmp_path / "nothing"), "--purge")
    assert result.returncode == 0 and "nothing to do" in result.stdout
    assert not (tmp_path / "nothing").exists()
    refused("there is no cluster", "status", "--data-dir", str(tmp_path / "nothing"))


def test_full_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)]).returncode != 0:
        pytest.skip("may not mount")
    try:
        refused("is full", "up", "--data-dir", str(mount / "d"), "--port", str(free_port()))
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_two_clusters_side_by_side(cluster, namespace, registry):
    namespace.run_pod("first", f"  containers: [{{name: c, image: {registry}/e2e/web:1}}]\n")
    directory = tempfile.mkdtemp(prefix="apus-e2e-second.")
    second = Cluster(directory, "--node-name", "second")
    try:
        second.start()
        ours, other = (json.loads((c.directory / "cluster.json").read_text()) for c in (cluster, second))
        for name in ("clusterID", "podCIDR", "serviceCIDR"):
            assert ours[name] != other[name]
        eventually(lambda: second.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
        second.kubectl("create", "deployment", "web", f"--image={registry}/e2e/web:2")
        second.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
        second.kubectl("rollout", "status", "deploy/web", "--timeout=50s")
        address = second.get("service", "web", "-o", "jsonpath={.spec.clusterIP}")

        def fetch():
            with urllib.request.urlopen(f"http://{address}/cgi-bin/info", timeout=3) as answer:
                return "version=2" in answer.read().decode()

        eventually(fetch, 10, "the service of the second cluster")
        assert second.kubectl("exec", "deploy/web", "--", "nslookup", "web.default.svc.cluster.local").stdout.count(address)
        # The service outlives the server, and both clusters know nothing of each other's end.
        assert second.stop() == 0 and fetch()
        assert run("status", "--data-dir", directory).returncode == 3
        for arguments in ((), ("--purge",), ("--purge",)):
            result = second.down(*arguments)
            assert result.returncode == 0, result.stdout + result.stderr
        with pytest.raises(OSError):
            fetch()
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
        assert other["clusterID"] not in tables and ours["clusterID"] in tables
        assert namespace.get("pod", "first", "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].restartCount}"
                             ) == "Running 0"
        status = run("status", "--data-dir", str(cluster.directory))
        assert status.returncode == 0 and "FAIL" not in status.stdout, status.stdout
    finally:
        if second.process.poll() is None:
            second.kill()
        second.down("--purge")
        shutil.rmtree(directory, ignore_errors=True)
