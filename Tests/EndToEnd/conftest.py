"""One cluster for the whole run: the release binary, a real registry, the real kubectl."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zlib

import pytest

HERE = pathlib.Path(__file__).parent
APUS = os.environ.get("APUS", str(HERE.parents[1] / ".build/release/apus"))


def eventually(check, seconds=60, what="the condition"):
    """Waits for check() to give something true; tells the last thing it gave or raised when it never does."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (AssertionError, subprocess.SubprocessError, OSError) as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true in {seconds} s; last seen: {last!r}")
        time.sleep(0.1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """A cluster of one node in a data directory of its own."""

    command = "up"

    def __init__(self, directory, *arguments):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.kubeconfig = self.directory / "kubeconfig"
        self.arguments = [
            "--data-dir", str(self.directory), "--kubeconfig", str(self.kubeconfig), "--port", str(self.port),
            *arguments,
        ]
        # What is judged is Apus, not how full this machine's disk is; tests of eviction set their own.
        if self.command == "up" and "--eviction-hard" not in arguments:
            self.arguments += ["--eviction-hard", "memory.available<50Mi,nodefs.available<1%,imagefs.available<1%"]
        self.process = None

    def start(self):
        with open(self.directory / "apus.log", "ab") as log:
            self.process = subprocess.Popen(
                [APUS, self.command, *self.arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True)
        eventually(self.is_ready, 90, f"readiness (see {self.directory}/apus.log)")

    def is_ready(self):
        assert self.process.poll() is None, f"apus ended with {self.process.returncode}: {self.log_tail()}"
        return self.kubectl("get", "--raw", "/readyz", check=False).stdout.strip() == "ok"

    def log_tail(self):
        return (self.directory / "apus.log").read_text(errors="replace")[-3000:]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def down(self, *arguments):
        return subprocess.run(
            [APUS, "down", "--data-dir", str(self.directory), *arguments], capture_output=True, text=True, timeout=120)

    def kubectl(self, *arguments, check=True, text=None, timeout=60):
        result = subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments], input=text, capture_output=True, text=True,
            timeout=timeout)
        if check:
            assert result.returncode == 0, f"kubectl {' '.join(arguments)}: {result.stdout}{result.stderr}"
        return result

    def get(self, *arguments):
        return self.kubectl("get", *arguments).stdout.strip()


class ControlPlane(Cluster):
    """A cluster without a node: quick to start, and nothing of it is left when its process ended."""

    command = "server"

    def __init__(self, directory, *arguments):
        super().__init__(directory, "--bind-address", "127.0.0.1", "--node-ip", "127.0.0.1", *arguments)


class Namespace:
    """kubectl in one namespace."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name

    def kubectl(self, *arguments, **options):
        return self.cluster.kubectl("-n", self.name, *arguments, **options)

    def get(self, *arguments):
        return self.kubectl("get", *arguments).stdout.strip()

    def apply(self, text):
        return self.kubectl("apply", "-f", "-", text=text)

    def run_pod(self, name, spec, wait=True):
        """Creates a pod from the YAML of its spec (indented by two) and waits until it is ready."""
        self.apply(f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  labels: {{app: {name}}}\nspec:\n{spec}")
        if wait:
            self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=45s")


@pytest.fixture(scope="session")
def registry():
    """A real registry on a loopback port with the test images; its address."""
    address = f"127.0.0.1:{free_port()}"
    directory = pathlib.Path(tempfile.mkdtemp(prefix="apus-e2e-registry."))
    config = directory / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\nhttp: {{addr: {address}}}\n")
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        host, port = address.split(":")
        eventually(lambda: socket.create_connection((host, int(port)), 1), 20, "the registry")
        subprocess.run([str(HERE / "build-images.sh"), address], check=True, timeout=300)
        yield address
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(registry):
    directory = tempfile.mkdtemp(prefix="apus-e2e.")
    cluster = Cluster(directory)
    cluster.start()
    eventually(lambda: " Ready " in cluster.get("nodes"), 60, "a Ready node")
    eventually(lambda: cluster.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    yield cluster
    if cluster.process.poll() is None:
        cluster.stop()
    result = cluster.down("--purge")
    assert result.returncode == 0, result.stdout + result.stderr
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def control_plane(tmp_path):
    """A control plane of the test's own."""
    plane = ControlPlane(tmp_path)
    plane.start()
    yield plane
    if plane.process.poll() is None:
        plane.kill()


@pytest.fixture(scope="module")
def shared_plane(tmp_path_factory):
    """A control plane for the tests of one file."""
    plane = ControlPlane(tmp_path_factory.mktemp("plane"))
    plane.start()
    yield plane
    if plane.process.poll() is None:
        plane.kill()


@pytest.fixture
def namespace(cluster, request):
    """A namespace of the test's own, deleted without waiting."""
    # A long name is cut: the number keeps tests apart that differ in their parameters alone.
    word = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:40].strip("-")
    name = f"t-{word}-{zlib.crc32(request.node.nodeid.encode()):08x}"
    cluster.kubectl("create", "namespace", name)
    space = Namespace(cluster, name)
    eventually(lambda: space.get("serviceaccount", "default", "-o", "name"), 30, "the default service account")
    yield space
    cluster.kubectl("delete", "namespace", name, "--wait=false", check=False)
