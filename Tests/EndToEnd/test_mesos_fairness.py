"""Quotas, weights and reservations of Mesos roles over both windows, on simulated nodes."""

import json
import shutil
import signal
import subprocess
import tempfile
import urllib.request

import pytest
from conftest import APUS, eventually
from test_mesos_operator import Windows, refusal

POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: none, resources: {requests: {cpu: "%s", memory: 16Mi}}}]
"""


class Plane(Windows):
    command = "server"

    def __init__(self, directory):
        super().__init__(directory)
        self.arguments += ["--bind-address", "127.0.0.1", "--node-ip", "127.0.0.1"]

    def start_nodes(self):
        self.nodes = subprocess.Popen(
            [APUS, "bench", "nodes", "--kubeconfig", str(self.kubeconfig), "--count", "1", "--cpu", "4"],
            stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert "ready" in self.nodes.stdout.readline()
        eventually(lambda: self.call("GET_AGENTS").get("agents"), 30, "an agent")

    def stop_nodes(self):
        self.nodes.send_signal(signal.SIGTERM)
        self.nodes.wait(60)

    def space(self, name, role=None):
        self.kubectl("create", "namespace", name, check=False)
        if role:
            self.kubectl("annotate", "--overwrite", "namespace", name, f"mesos.apus.dev/role={role}")
        eventually(lambda: self.get("-n", name, "serviceaccount", "default", "-o", "name"), 20, "a service account")

    def pod(self, space, name, cpu):
        self.kubectl("apply", "-f", "-", text=POD % (name, space, cpu))

    def node_of(self, space, name):
        return self.get("-n", space, "pod", name, "-o", "jsonpath={.spec.nodeName}")

    def runs(self, space, name):
        return eventually(lambda: self.node_of(space, name), 30, f"a node for {name}")

    def waits(self, space, name, *words):
        """The pod has no node, and its condition says why."""
        path = '{range .status.conditions[?(@.type=="PodScheduled")]}{.status} {.reason} {.message}{end}'
        message = eventually(
            lambda: self.get("-n", space, "pod", name, "-o", f"jsonpath={path}"), 20, f"a condition of {name}")
        assert message.startswith("False Unschedulable"), message
        assert all(word in message for word in words), message
        assert not self.node_of(space, name)

    def delete(self, space, *names):
        self.kubectl("-n", space, "delete", "pod", "--grace-period=0", "--force", *names)

    def quota(self, role, force=False, **parts):
        config = {"role": role, **{part: {name: {"value": value} for name, value in amounts.items()}
                                   for part, amounts in parts.items()}}
        self.call("UPDATE_QUOTA", force=force, quota_configs=[config])

    def metric(self, name):
        return self.ask("/metrics/snapshot").get(name)


@pytest.fixture(scope="module")
def mesos():
    directory = tempfile.mkdtemp(prefix="apus-e2e-fair.")
    plane = Plane(directory)
    plane.start()
    try:
        plane.start_nodes()
        yield plane
        plane.stop_nodes()
    finally:
        plane.kill()
        shutil.rmtree(directory, ignore_errors=True)


def test_a_limit_holds_pods_back_until_there_is_room(mesos):
    mesos.space("ads")
    mesos.space("ads-web", role="ads/web")
    mesos.quota("ads", limits={"cpus": 1})
    mesos.pod("ads", "first", "0.6")
    mesos.runs("ads", "first")
    mesos.pod("ads-web", "second", "0.6")
    mesos.waits("ads-web", "second", "role 'ads'", "limits cpus to 1, of which 0.6 are used", "asks for 0.6")
    assert "FailedScheduling" in mesos.get("-n", "ads-web", "events")
    path = "allocator/mesos/quota/roles/ads/resources/cpus"
    assert mesos.metric(f"{path}/limit") == 1
    eventually(lambda: mesos.metric(f"{path}/offered_or_allocated") == 0.6, 10, "the use of the quota in the metrics")
    mesos.delete("ads", "first")
    mesos.runs("ads-web", "second")
    # Raised, forced below what is used, and taken away.
    mesos.pod("ads", "third", "0.6")
    mesos.waits("ads", "third", "role 'ads'")
    mesos.quota("ads", limits={"cpus": 1.5})
    mesos.runs("ads", "third")
    eventually(lambda: mesos.metric(f"{path}/offered_or_allocated") == 1.2, 10, "the use of the quota by both")
    assert refusal(lambda: mesos.quota("ads", limits={"cpus": 1})) == 400
    mesos.quota("ads", force=True, limits={"cpus": 1})
    assert mesos.node_of("ads", "third"), "what runs is not ended"
    mesos.pod("ads", "fourth", "0.1")
    mesos.waits("ads", "fourth", "limits cpus to 1, of which 1.2 are used")
    # A killed server knows the limit before it places anything.
    mesos.kill()
    mesos.start()
    eventually(lambda: mesos.call("GET_AGENTS").get("agents"), 30, "the agent")
    mesos.pod("default", "after", "0.1")
    mesos.runs("default", "after")
    assert not mesos.node_of("ads", "fourth")
    mesos.call("REMOVE_QUOTA", role="ads")
    mesos.runs("ads", "fourth")
    mesos.delete("ads", "third", "fourth")
    mesos.delete("ads-web", "second")
    mesos.delete("default", "after")


def test_a_guarantee_is_kept_free(mesos):
    mesos.space("other")
    mesos.space("vip")
    mesos.quota("vip", guarantees={"cpus": 2})
    mesos.pod("other", "big", "2.5")
    mesos.waits("other", "big", "guarantee 2 cpus", "asks for 2.5")
    mesos.pod("other", "fits", "1.5")
    mesos.runs("other", "fits")
    mesos.pod("vip", "entitled", "2")
    mesos.runs("vip", "entitled")
    assert mesos.metric("allocator/mesos/quota/roles/vip/resources/cpus/guarantee") == 2
    mesos.delete("vip", "entitled")
    mesos.quota("vip")
    mesos.runs("other", "big")
    mesos.delete("other", "big", "fits")


def test_quotas_by_the_old_endpoint_and_what_is_refused(mesos):
    def request(**members):
        return mesos.ask("/quota", json.dumps({
            "role": "old", "guarantee": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}], **members,
        }).encode(), "POST")

    request()
    status = mesos.ask("/quota")
    assert status["infos"][0]["role"] == "old" and status["configs"][0]["limits"]["cpus"]["value"] == 1
    assert mesos.call("GET_QUOTA")["status"]["infos"][0]["guarantee"][0]["scalar"]["value"] == 1
    huge = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1000}}]
    assert refusal(request) == 400, "the old endpoint changes no quota that is there"
    mesos.ask("/quota/old", method="DELETE")
    assert refusal(lambda: request(guarantee=huge)) == 400
    request(guarantee=huge, force=True)
    assert refusal(lambda: request(guarantee=[])) == 400
    mesos.ask("/quota/old", method="DELETE")
    assert refusal(lambda: mesos.ask("/quota/old", method="DELETE")) == 400
    assert refusal(lambda: mesos.ask("/quota", b"no JSON", "POST")) == 400
    for config in [
        {"role": "a/b", "limits": {"cpus": {"value": 1}}}, {"role": "a b", "limits": {"cpus": {"value": 1}}},
        {"role": "a", "limits": {"cpus": {"value": -1}}},
        {"role": "a", "guarantees": {"cpus": {"value": 2}}, "limits": {"cpus": {"value": 1}}},
    ]:
        assert refusal(lambda: mesos.call("UPDATE_QUOTA", quota_configs=[config])) == 400, config
    twice = {"role": "a", "limits": {"cpus": {"value": 1}}}
    assert refusal(lambda: mesos.call("UPDATE_QUOTA", quota_configs=[twice, twice])) == 400
    mesos.call("SET_QUOTA", quota_request={"role": "v1", "guarantee": huge, "force": True})
    mesos.call("REMOVE_QUOTA", role="v1")
    assert not mesos.ask("/quota").get("configs")


def test_weights_and_roles(mesos):
    mesos.call("UPDATE_WEIGHTS", weight_infos=[{"role": "heavy", "weight": 3}, {"role": "heavy/part", "weight": 2}])
    assert {"role": "heavy", "weight": 3.0} in mesos.call("GET_WEIGHTS")["weight_infos"]
    mesos.ask("/weights", json.dumps([{"role": "heavy", "weight": 1.5}]).encode(), "PUT")
    assert {"role": "heavy", "weight": 1.5} in mesos.ask("/weights")
    for bad in [[{"role": "heavy", "weight": 0}], [{"role": "/x", "weight": 1}], {"role": "heavy"}]:
        assert refusal(lambda: mesos.ask("/weights", json.dumps(bad).encode(), "PUT")) == 400
    mesos.space("heavy")
    mesos.pod("heavy", "one", "0.5")
    mesos.runs("heavy", "one")

    def role():
        return next((role for role in mesos.ask("/roles")["roles"] if role["name"] == "heavy"), None)

    eventually(lambda: role() and role()["resources"].get("cpus") == 0.5, 10, "the role's use")
    assert role()["weight"] == 1.5
    listed = {role["name"]: role for role in mesos.call("GET_ROLES")["roles"]}
    assert listed["heavy"]["weight"] == 1.5 and "heavy/part" in listed
    mesos.delete("heavy", "one")


def test_a_reservation_is_for_pods_of_its_role(mesos):
    agent = mesos.agent_state()["agent_info"]["id"]
    held = [{"name": name, "type": "SCALAR", "scalar": {"value": value},
             "reservations": [{"type": "DYNAMIC", "role": "eng", "principal": "ops"}]}
            for name, value in [("cpus", 3), ("mem", 64), ("disk", 64)]]
    mesos.space("eng")
    mesos.space("other")
    mesos.call("RESERVE_RESOURCES", agent_id=agent, resources=held)
    assert mesos.ask("/slaves")["slaves"][0]["reserved_resources"]["eng"]["cpus"] == 3
    mesos.pod("other", "outside", "1.5")
    mesos.waits("other", "outside", "Insufficient cpu")
    mesos.pod("eng", "inside", "2")
    mesos.runs("eng", "inside")
    # One CPU of the reservation and one of everybody's are left.
    mesos.pod("other", "rest", "1")
    mesos.runs("other", "rest")
    assert refusal(lambda: mesos.call("UNRESERVE_RESOURCES", agent_id=agent, resources=held)) == 409, "it is in use"
    for name, roles, runs in [("star", ["*"], False), ("only", ["eng"], True), ("late", ["eng"], False)]:
        app = {"id": f"/{name}", "role": "eng", "cmd": "sleep 1000", "cpus": 0.7, "mem": 1, "instances": 1,
               "acceptedResourceRoles": roles}
        mesos.ask("/v2/apps", json.dumps(app).encode(), "POST", port=mesos.marathon,
                  headers={"Content-Type": "application/json"})

        def pods():
            return json.loads(mesos.get("pods", "-A", "-l", f"marathon.apus.dev/app={name}", "-o", "json"))["items"]

        def condition():
            return next((c for c in pods()[0].get("status", {}).get("conditions", [])
                         if c["type"] == "PodScheduled"), None) if pods() else None

        scheduled = eventually(condition, 20, f"what becomes of {name}")
        assert (scheduled["status"] == "True") == runs, scheduled
    for name in ["star", "only", "late"]:
        mesos.ask(f"/v2/apps/{name}?force=true", method="DELETE", port=mesos.marathon)
    eventually(lambda: not mesos.get("pods", "-A", "-l", "marathon.apus.dev/app", "-o", "name"), 30, "no instances")
    mesos.delete("eng", "inside")
    eventually(lambda: mesos.form("/unreserve", slaveId=agent["value"], resources=json.dumps(held)) is None, 10,
               "the end of the reservation")
    mesos.runs("other", "outside")
    assert mesos.metric("master/operations/reserve/finished") >= 1
    mesos.delete("other", "outside", "rest")


def test_offers_go_where_pods_need_the_room(mesos):
    body = json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": {
        "name": "holder", "user": "root", "roles": ["holder"], "capabilities": [{"type": "MULTI_ROLE"}]}}})
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesos.master}/api/v1/scheduler", data=body.encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as stream:
        def event(kind):
            while True:
                message = json.loads(stream.read(int(stream.readline())))
                if message["type"] == kind:
                    return message

        event("SUBSCRIBED")
        offer = event("OFFERS")["offers"]["offers"][0]
        assert mesos.metric("allocator/mesos/allocation_runs") >= 1
        assert mesos.metric("allocator/mesos/allocation_run_ms/p50") >= 0
        assert mesos.metric("allocator/mesos/roles/holder/shares/dominant") > 0
        assert mesos.metric("registrar/state_store_ms/count") >= 1
        mesos.pod("default", "needs", "3.5")
        mesos.runs("default", "needs")
        assert event("RESCIND")["rescind"]["offer_id"] == offer["id"]
        # What is left is offered again, beside the pod.
        left = event("OFFERS")["offers"]["offers"][0]["resources"]
        assert next(r for r in left if r["name"] == "cpus")["scalar"]["value"] <= 0.5
    mesos.delete("default", "needs")
