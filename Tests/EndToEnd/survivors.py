"""What the tests of frameworks on pymesos share: a framework that does as it is told, and tasks that leave traces."""

import collections
import json
import os
import pathlib
import subprocess
import threading

from conftest import eventually

HERE = pathlib.Path(__file__).parent
PYMESOS = os.environ.get("PYMESOS")
TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"}


class Framework:
    """A run of survivor.py and what it told."""

    def __init__(self, cluster, framework_id="", die_at="", principal=""):
        self.process = subprocess.Popen(
            [PYMESOS, str(HERE / "survivor.py"), cluster.master], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "FRAMEWORK_ID": framework_id, "DIE_AT": die_at, "PRINCIPAL": principal})
        self.lines = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.id = eventually(lambda: self.all("registered"), 40, "registration")[0]

    def read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def all(self, name):
        return [line[name] for line in list(self.lines) if name in line]

    def updates(self, task=None):
        return [line for line in list(self.lines) if "state" in line and task in (None, line["task"])]

    def ends(self):
        """The different statuses that told a task's end, by task."""
        result = collections.defaultdict(dict)
        for update in self.updates():
            if update["state"] in TERMINAL:
                result[update["task"]][update["uuid"]] = update
        return {task: list(statuses.values()) for task, statuses in result.items()}

    def order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def launch(self, tasks):
        self.order(launch=tasks)

    def end(self, task, seconds=60):
        """The status of a task's end."""
        return eventually(lambda: self.ends().get(task), seconds, f"the end of {task}")[0]

    def wait_for(self, states, names, seconds=90):
        eventually(
            lambda: all(any(u["state"] in states for u in self.updates(name)) for name in names), seconds,
            f"{states} of {names}")

    def stop(self, failover=False):
        self.order(stop=failover)
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(10)


class Tasks:
    """Tasks that leave a line when they begin and one when they end."""

    def __init__(self, path):
        self.file = path / "lines"
        self.file.touch()
        self.names = []
        # Its end is one that labels may have, whatever the folder is called.
        self.executor_id = f"{path.name}-survivor"
        self.executor = f"{PYMESOS} {HERE / 'survivor_executor.py'} {path}"

    def command(self, name, seconds):
        self.names.append(name)
        return {
            "name": name,
            "command": f"echo start {name} >> {self.file}; sleep {seconds}; echo end {name} >> {self.file}"}

    def custom(self, name, seconds):
        self.names.append(name)
        return {
            "name": name, "executor": self.executor, "id": self.executor_id, "data": {"file": str(self.file), "seconds": seconds}}

    def counts(self):
        return collections.Counter(self.file.read_text().split("\n")[:-1])

    def assert_once(self, framework, names=None):
        expected = collections.Counter(f"{what} {name}" for name in self.names for what in ("start", "end"))
        assert self.counts() == expected
        for name, ends in framework.ends().items():
            if name in (names or self.names):
                assert [end["state"] for end in ends] == ["TASK_FINISHED"], (name, ends)

    def pid(self):
        """The executor's process on this machine."""
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 2 and words[1].endswith(b"survivor_executor.py") and words[2].decode() in self.executor:
                return int(entry.name)
        return None
