"""A server killed in the middle of writes: what it acknowledged is there, and watches go on without a gap."""

import threading
import time

from wire import API

PATH = "/api/v1/namespaces/default/configmaps"


class Writer(threading.Thread):
    """Creates, changes and deletes objects of its own until the server is gone; remembers what was acknowledged."""

    def __init__(self, cluster, name):
        super().__init__(daemon=True)
        self.api = API(cluster)
        self.name_prefix = name
        self.acknowledged = {}
        self.deleted = set()
        self.versions = []

    def run(self):
        count = 0
        try:
            while True:
                count += 1
                name = f"{self.name_prefix}-{count}"
                made = {"metadata": {"name": name, "labels": {"test": "kill"}}, "data": {"n": "0"}}
                self.write("POST", PATH, made, name)
                self.write("PATCH", f"{PATH}/{name}", {"data": {"n": "1"}}, name)
                if count % 3 == 0:
                    self.acknowledged.pop(name)
                    self.api.call("DELETE", f"{PATH}/{name}")
                    self.deleted.add(name)
        except (OSError, ValueError):
            pass

    def write(self, method, path, content, name):
        kind = "application/json" if method == "POST" else "application/merge-patch+json"
        code, answer = self.api.call(method, path, content, kind=kind)
        assert code in (200, 201), answer
        version = answer["metadata"]["resourceVersion"]
        self.acknowledged[name] = (version, content["data"]["n"])
        self.versions.append(version)


class Watcher(threading.Thread):
    """Watches from a revision until the connection breaks."""

    def __init__(self, cluster, version):
        super().__init__(daemon=True)
        self.api = API(cluster)
        self.last = version
        self.events = []
        self.error = None

    def run(self):
        try:
            self.api.send("GET", f"{PATH}?watch=true&resourceVersion={self.last}&labelSelector=test%3Dkill")
            assert self.api.head()[0] == 200
            for event in self.api.lines():
                if event["type"] == "ERROR":
                    self.error = event
                    return
                metadata = event["object"]["metadata"]
                self.last = metadata["resourceVersion"]
                self.events.append((int(self.last), event["type"], metadata["name"]))
        except (OSError, ValueError):
            pass


def test_killed_under_load(control_plane):
    api = API(control_plane)
    last = api.call("GET", PATH)[1]["metadata"]["resourceVersion"]
    events, versions, acknowledged, deleted = [], [], {}, set()
    for turn in range(3):
        watcher = Watcher(control_plane, last)
        writers = [Writer(control_plane, f"w{turn}-{number}") for number in range(8)]
        for thread in (watcher, *writers):
            thread.start()
        time.sleep(0.7 + 0.4 * turn)
        control_plane.kill()
        for thread in (*writers, watcher):
            thread.join(20)
        assert watcher.error is None, watcher.error
        events += watcher.events
        last = watcher.last
        for writer in writers:
            versions += writer.versions
            acknowledged |= writer.acknowledged
            deleted |= writer.deleted
        control_plane.start()
        api.close()
        found = {item["metadata"]["name"]: item for item in api.call("GET", PATH)[1]["items"]}
        for name, (version, text) in acknowledged.items():
            assert name in found, f"{name} was acknowledged with {version}"
            # A later write that nobody was told of may have come through.
            now = found[name]
            assert int(now["metadata"]["resourceVersion"]) >= int(version)
            assert now["data"]["n"] == text or now["metadata"]["resourceVersion"] != version
        assert not deleted & found.keys()

    watcher = Watcher(control_plane, last)
    watcher.start()
    assert api.call("POST", PATH, {"metadata": {"name": "last", "labels": {"test": "kill"}}})[0] == 201
    end = time.monotonic() + 20
    while watcher.is_alive() and time.monotonic() < end and "last" not in [name for _, _, name in watcher.events]:
        time.sleep(0.05)
    assert watcher.error is None, watcher.error
    events += watcher.events
    assert events[-1][2] == "last"
    seen = [revision for revision, _, _ in events]
    assert seen == sorted(set(seen)), "events out of order or twice"
    assert len(versions) > 100 and not {int(version) for version in versions} - set(seen), "a gap"
    assert deleted <= {name for _, kind, name in events if kind == "DELETED"}
