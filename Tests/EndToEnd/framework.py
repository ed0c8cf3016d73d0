"""A framework on the unmodified pymesos: runs the steps that its arguments name, and prints one JSON line for each.

framework.py MASTER STEP…   with FRAMEWORK_ID in the environment it comes back as that framework.
"""

import json
import os
import sys
import threading
import time

from pymesos import MesosSchedulerDriver, Scheduler

TERMINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE"}


def scalar(name, value):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


class Framework(Scheduler):
    def __init__(self):
        self.lock = threading.RLock()
        self.ready = threading.Event()
        self.wanted, self.states, self.history, self.last = [], {}, {}, {}

    def registered(self, driver, framework_id, master):
        self.ready.set()

    def reregistered(self, driver, master):
        self.ready.set()

    def resourceOffers(self, driver, offers):
        with self.lock:
            for offer in offers:
                tasks = []
                while self.wanted:
                    task = self.wanted.pop(0)
                    task["agent_id"] = offer["agent_id"]
                    tasks.append(task)
                driver.launchTasks(offer["id"], tasks, {"refuse_seconds": 1})

    def statusUpdate(self, driver, update):
        with self.lock:
            task = update["task_id"]["value"]
            self.last[task] = update
            self.states[task] = update["state"]
            self.history.setdefault(task, []).append(update["state"])

    def want(self, name, command, cpus=0.01):
        with self.lock:
            self.wanted.append({
                "task_id": {"value": name}, "name": name, "command": {"shell": True, "value": command},
                "resources": [scalar("cpus", cpus), scalar("mem", 16)]})

    def wait(self, condition, seconds=90):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self.lock:
                if condition():
                    return
            time.sleep(0.05)
        raise AssertionError(f"timed out: {self.states}")


def main(master, *steps):
    framework = Framework()
    info = {
        "user": "root", "name": "pymesos", "failover_timeout": 120.0, "checkpoint": True, "roles": ["batch"],
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "TASK_KILLING_STATE"}]}
    if os.environ.get("FRAMEWORK_ID"):
        info["id"] = {"value": os.environ["FRAMEWORK_ID"]}
    driver = MesosSchedulerDriver(framework, info, master, use_addict=False)
    driver.start()
    assert framework.ready.wait(20), "not registered within 20 s"
    states = framework.states
    for step in steps:
        result = {}
        if step == "batch":
            for index in range(10):
                framework.want(f"ok-{index}", "echo in $MESOS_SANDBOX")
            framework.want("bad", "exit 3")
            framework.wait(lambda: len([s for s in states.values() if s in TERMINAL]) >= 11)
            history = framework.history["ok-0"]
            assert history.index("TASK_RUNNING") < history.index("TASK_FINISHED"), history
            result = {"states": states, "message": framework.last["bad"]["message"]}
        elif step == "long":
            framework.want("long", "exec sleep 100000")
            framework.wait(lambda: states.get("long") == "TASK_RUNNING")
        elif step == "reconcile":
            states.clear()
            driver.reconcileTasks([])
            framework.wait(lambda: states.get("long") == "TASK_RUNNING")
            driver.reconcileTasks([{"task_id": {"value": "never-was"}}])
            framework.wait(lambda: states.get("never-was") == "TASK_UNKNOWN")
        elif step == "kill":
            driver.killTask({"value": "long"})
            framework.wait(lambda: states.get("long") == "TASK_KILLED")
        elif step == "deleted":
            # Somebody else ends it.
            framework.wait(lambda: states.get("long") == "TASK_KILLED")
            result = {"message": framework.last["long"].get("message")}
        elif step == "keep":
            continue
        print(json.dumps({"step": step, "framework": driver.framework_id, **result}), flush=True)
    driver.stop("keep" in steps)
    driver.join()


main(*sys.argv[1:])
