"""kill -9 at random moments: of the server, of a framework, of an executor and of the supervisors of programs, while tasks
come and go. Then all is counted.

CHAOS_SECONDS says for how long (20), CHAOS_SEED repeats a run.
"""

import collections
import os
import pathlib
import random
import signal
import time

import pytest
from conftest import eventually
from survivors import PYMESOS, TERMINAL, Framework
from test_mesos_survival import mesos, tasks  # noqa: F401 (fixtures)

pytestmark = pytest.mark.skipif(not PYMESOS, reason="PYMESOS names no Python with pymesos")
VICTIMS = ["server", "server", "framework", "server and framework", "executor", "supervisor", "nobody"]


def supervisors(cluster):
    """Processes that watch over the programs of this cluster."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if b"\0process-shim" in (entry / "cmdline").read_bytes():
                if os.readlink(entry / "cwd").startswith(str(cluster.directory)):
                    found.append(int(entry.name))
        except OSError:
            continue
    return found


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, TypeError):
        pass  # There is none, or none any more.


def test_nothing_is_lost_or_told_twice_whoever_is_killed(mesos, tasks):  # noqa: F811
    seed = int(os.environ.get("CHAOS_SEED") or random.randrange(10**6))
    print("seed", seed)
    dice = random.Random(seed)
    runs = [Framework(mesos)]
    end = time.monotonic() + float(os.environ.get("CHAOS_SECONDS", "20"))
    number = 0
    while time.monotonic() < end:
        batch = []
        for _ in range(dice.randrange(1, 5)):
            number += 1
            kind = dice.choice([tasks.command, tasks.command, tasks.custom])
            batch.append(kind(f"chaos-{number}", dice.choice([0, 0.1, 0.5, 1, 2])))
        runs[-1].launch(batch)
        time.sleep(dice.random() * 1.5)
        victim = dice.choice(VICTIMS)
        if "server" in victim:
            mesos.kill()
        if "framework" in victim:
            runs[-1].kill()
        if victim == "executor":
            kill(tasks.pid())
        if victim == "supervisor":
            kill(dice.choice(supervisors(mesos) or [None]))
        time.sleep(dice.random())
        if "server" in victim:
            mesos.start()
        if "framework" in victim:
            runs.append(Framework(mesos, runs[0].id))

    def ends():
        found = collections.defaultdict(dict)
        for run in runs:
            for update in run.updates():
                if update["state"] in TERMINAL:
                    found[update["task"]][update["uuid"]] = update["state"]
        return found

    accepted = {name for run in runs for names in run.all("accepted") for name in names}
    assert accepted
    eventually(lambda: accepted <= set(ends()), 120, f"all ends, seed {seed}")
    assert {name: told for name, told in ends().items() if len(told) > 1} == {}, f"seed {seed}"
    counts = tasks.counts()
    assert [line for line, count in counts.items() if count > 1] == [], f"seed {seed}"
    finished = {name for name, told in ends().items() if "TASK_FINISHED" in told.values()}
    assert {name for name in finished if not counts[f"end {name}"]} == set(), f"seed {seed}"
    assert finished, "some were left alone"
    runs[-1].stop()
