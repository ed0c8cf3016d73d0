"""A disk that fills up while the server runs: a clear answer, nothing lost, and writes again once there is room."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import APUS, eventually, free_port


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(directory)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=False)


def test_full_and_free_again(small_disk):
    data = small_disk / "data"
    config = small_disk.parent / "kubeconfig"
    arguments = [APUS, "server", "--data-dir", str(data), "--port", str(free_port()), "--kubeconfig", str(config),
                 "--node-ip", "127.0.0.1", "--bind-address", "127.0.0.1"]

    def kubectl(*arguments):
        return subprocess.run(
            ["kubectl", "--kubeconfig", str(config), *arguments], capture_output=True, text=True, timeout=60)

    def start():
        with open(small_disk.parent / "log", "ab") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        eventually(lambda: kubectl("get", "--raw", "/readyz").stdout == "ok", 90, "readiness")
        return process

    def create(name):
        return kubectl("create", "configmap", name, f"--from-file=blob={blob}")
    blob = small_disk.parent / "blob"
    blob.write_text("x" * 200_000)
    ballast = small_disk / "ballast"
    process = start()
    try:
        assert create("before").returncode == 0
        free = shutil.disk_usage(small_disk).free
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free - (1 << 20), 1))
        acknowledged, refused = [], None
        for number in range(200):
            result = create(f"c{number}")
            if result.returncode == 0:
                acknowledged.append(f"c{number}")
            else:
                refused = result.stderr
                break
        assert refused and "full; free some space" in refused, refused
        # Reading goes on, and the server lives.
        assert kubectl("get", "configmap", "before").returncode == 0
        assert process.poll() is None
        ballast.unlink()
        eventually(lambda: create("after").returncode == 0, 30, "a write after space was freed")
        # A kill and a restart find every write that was acknowledged.
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start()
        names = kubectl("get", "configmaps", "-o", "name").stdout.split()
        for name in ["before", "after", *acknowledged]:
            assert f"configmap/{name}" in names
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_failed_start_leaves_no_containerd(tmp_path):
    """The DNS port is taken: one sentence, and nothing of the start goes on."""
    blocker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    blocker.bind(("0.0.0.0", 0))
    port = blocker.getsockname()[1]
    data = tmp_path / "data"
    try:
        result = subprocess.run(
            [APUS, "up", "--data-dir", str(data), "--port", str(free_port()), "--dns-port", str(port)],
            capture_output=True, text=True, timeout=120)
        assert result.returncode not in (0, -6, -11) and str(port) in result.stderr, result.stdout + result.stderr
        mine = [
            entry for entry in pathlib.Path("/proc").iterdir()
            if entry.name.isdigit() and str(data).encode() in read(entry / "cmdline")]
        assert mine == []
    finally:
        blocker.close()
        subprocess.run([APUS, "down", "--data-dir", str(data), "--purge"], capture_output=True, timeout=120)


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
