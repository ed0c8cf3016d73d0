"""A framework on the unmodified pymesos that is told what to do by lines of JSON, and tells what it hears in such lines.

survivor.py MASTER   with FRAMEWORK_ID in the environment it comes back as that framework; with DIE_AT=STATE it is gone
before it acknowledges the first status of that state.

{"launch": [TASK…]}  a TASK is {"name", "command"} or {"name", "executor": COMMAND, "id": EXECUTOR, "data": …}.
   It may have "resources" [[name, amount]…] and "more" of a TaskInfo.
{"group": [TASK…]}   the same, as one group on the executor.
{"kill": name, "seconds": grace}
{"stop": failover}   ends it; the framework stays when failover is true.
"""

import base64
import json
import os
import sys
import threading
import time

from pymesos import MesosSchedulerDriver, Scheduler


def say(**line):
    print(json.dumps(line), flush=True)


def scalar(name, value):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def info(task, agent):
    result = {
        "task_id": {"value": task["name"]}, "name": task["name"], "agent_id": agent,
        "resources": [scalar("cpus", 0.01), scalar("mem", 8)]}
    if "executor" in task:
        result["data"] = base64.b64encode(json.dumps(task["data"]).encode()).decode()
        result["executor"] = {
            "executor_id": {"value": task["id"]}, "name": "survivor", "command": {"value": task["executor"]},
            "resources": [scalar("cpus", 0.01), scalar("mem", 64)]}
    else:
        result["command"] = {"value": task["command"]}
    for resource in task.get("resources", []):
        result["resources"].append(scalar(*resource))
    result.update(task.get("more", {}))
    return result


def operation(group, agent):
    """LAUNCH_GROUP on the executor of its tasks."""
    tasks = [info(task, agent) for task in group]
    executor = tasks[0].pop("executor")
    for task in tasks[1:]:
        del task["executor"]
    executor["type"] = "CUSTOM"
    return executor, {"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": tasks}}}


class Survivor(Scheduler):
    def __init__(self):
        self.lock = threading.Lock()
        self.wanted, self.group = [], []
        self.die_at = os.environ.get("DIE_AT")

    def registered(self, driver, framework_id, master):
        say(registered=framework_id["value"])

    def reregistered(self, driver, master):
        say(registered=driver.framework_id)

    def resourceOffers(self, driver, offers):
        for offer in offers:
            with self.lock:
                tasks, self.wanted = self.wanted, []
                group, self.group = self.group, []
            # A server that is killed in the middle of this takes the driver along when it is not caught.
            try:
                if group:
                    executor, launch = operation(group, offer["agent_id"])
                    executor["framework_id"] = {"value": driver.framework_id}
                    driver.acceptOffers([offer["id"]], [launch], {"refuse_seconds": 0.1})
                    continue
                driver.launchTasks(
                    offer["id"], [info(task, offer["agent_id"]) for task in tasks], {"refuse_seconds": 0.1})
                if tasks:
                    say(accepted=[task["name"] for task in tasks])
            except Exception as error:
                say(failed=[task["name"] for task in tasks], error=str(error))

    def statusUpdate(self, driver, update):
        say(
            task=update["task_id"]["value"], state=update["state"], uuid=update.get("uuid"),
            reason=update.get("reason"), message=update.get("message"), check=update.get("check_status"),
            healthy=update.get("healthy"))
        if update["state"] == self.die_at:
            os._exit(9)
        try:
            driver.acknowledgeStatusUpdate(update)
            if update["state"] == "TASK_FINISHED":
                say(acknowledged=update["task_id"]["value"])
        except Exception as error:
            say(unacknowledged=update["task_id"]["value"], error=str(error))

    def executorLost(self, driver, executor, agent, status):
        say(lost=executor["value"], status=status)


def main(master):
    survivor = Survivor()
    framework = {
        "user": "root", "name": "survivor", "failover_timeout": 120.0, "checkpoint": True,
        "capabilities": [{"type": "PARTITION_AWARE"}]}
    if os.environ.get("FRAMEWORK_ID"):
        framework["id"] = {"value": os.environ["FRAMEWORK_ID"]}
    secret = os.environ.get("PRINCIPAL", "").split()
    if secret:
        framework["principal"] = secret[0]
    driver = MesosSchedulerDriver(
        survivor, framework, master, implicit_acknowledgements=False, principal=secret[0] if secret else None,
        secret=secret[1] if secret else None)
    driver.start()
    for line in sys.stdin:
        order = json.loads(line)
        if "stop" in order:
            driver.stop(order["stop"])
            break
        if "kill" in order:
            # pymesos has no way to say how.
            driver._send({
                "type": "KILL", "framework_id": {"value": driver.framework_id}, "kill": {
                    "task_id": {"value": order["kill"]},
                    "kill_policy": {"grace_period": {"nanoseconds": int(order["seconds"] * 1e9)}}}})
            continue
        with survivor.lock:
            survivor.wanted += order.get("launch", [])
            survivor.group += order.get("group", [])
    driver.join()


main(*sys.argv[1:])
