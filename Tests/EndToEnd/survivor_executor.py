"""An executor on the unmodified pymesos. A task is a sleep with a line in a file before and after it.

The task's data: {"file", "seconds"}.
"""

import base64
import json
import sys
import threading
import time

from pymesos import Executor, MesosExecutorDriver


class Survivor(Executor):
    def launchTask(self, driver, task):
        threading.Thread(target=self.run, args=(driver, task), daemon=True).start()

    def launchTaskGroup(self, driver, tasks):
        print("a group of", sorted(task["name"] for task in tasks), file=sys.stderr, flush=True)
        for task in tasks:
            self.launchTask(driver, task)

    def run(self, driver, task):
        name, data = task["task_id"]["value"], json.loads(base64.b64decode(task["data"]))

        def note(what):
            with open(data["file"], "a") as file:
                file.write(f"{what} {name}\n")

        note("start")
        print(f"hello from {name}", file=sys.stderr, flush=True)
        self.tell(driver, task, "TASK_RUNNING")
        time.sleep(data["seconds"])
        note("end")
        self.tell(driver, task, "TASK_FINISHED")

    def tell(self, driver, task, state):
        """Until the agent took it: pymesos keeps nothing that could not be sent."""
        status = {"task_id": task["task_id"], "state": state, "timestamp": time.time()}
        for _ in range(600):
            try:
                return driver.sendStatusUpdate(status)
            except Exception as error:
                print(f"{state} of {task['task_id']['value']}: {error}", file=sys.stderr, flush=True)
                time.sleep(0.2)


MesosExecutorDriver(Survivor()).run()
