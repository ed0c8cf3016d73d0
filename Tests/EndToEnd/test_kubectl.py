"""The breadth of kubectl: what people type, and what must come back."""

import os
import subprocess
import threading
import time
import urllib.request

from conftest import eventually


def test_create_and_describe_every_common_kind(namespace, registry):
    k = namespace.kubectl
    k("create", "deployment", "web", f"--image={registry}/e2e/web:1")
    k("expose", "deployment", "web", "--port=80", "--target-port=8080")
    k("create", "configmap", "c", "--from-literal=a=1")
    k("create", "secret", "generic", "s", "--from-literal=a=1")
    k("create", "secret", "docker-registry", "d", "--docker-server=x", "--docker-username=u", "--docker-password=p")
    k("create", "serviceaccount", "robot")
    k("create", "role", "reader", "--verb=get,list", "--resource=pods")
    k("create", "rolebinding", "readers", "--role=reader", f"--serviceaccount={namespace.name}:robot")
    k("create", "job", "once", f"--image={registry}/e2e/tools:1", "--", "echo", "hi")
    k("create", "cronjob", "often", f"--image={registry}/e2e/tools:1", "--schedule=*/5 * * * *", "--", "echo", "hi")
    k("create", "job", "now", "--from=cronjob/often")
    k("create", "ingress", "in", "--rule=foo.com/bar=web:80")
    k("create", "pdb", "budget", "--selector=app=web", "--min-available=1")
    k("create", "service", "externalname", "ext", "--external-name=example.com")
    k("create", "service", "loadbalancer", "lb", "--tcp=80:80")
    k("autoscale", "deploy", "web", "--min=1", "--max=3")
    k("wait", "--for=condition=complete", "job/once", "job/now", "--timeout=40s")
    assert k("logs", "job/once").stdout == "hi\n"
    k("create", "quota", "few", "--hard=pods=50")
    assert k("create", "token", "robot").stdout.count(".") == 2
    for what, word in (
        ("deploy/web", "NewReplicaSet:"), ("rs", "Controlled By:  Deployment/web"), ("pod", "QoS Class:"),
        ("svc/web", "Endpoints:"), ("configmap/c", "a:"), ("secret/s", "1 bytes"), ("sa/robot", "robot"),
        ("role/reader", "[get list]"), ("rolebinding/readers", "robot"), ("job/once", "1 Succeeded"),
        ("cronjob/often", "*/5 * * * *"), ("ingress/in", "web:80"), ("pdb/budget", "Min available:"),
        ("hpa/web", "Deployment/web"), ("quota/few", "pods"), ("node", "Allocated resources:"),
        (f"ns/{namespace.name}", "Active"),
    ):
        assert word in k("describe", *what.split()).stdout, what
    user = f"--as=system:serviceaccount:{namespace.name}:robot"
    assert k("auth", "can-i", "list", "pods", user).stdout.strip() == "yes"
    assert k("auth", "can-i", "delete", "pods", user, check=False).stdout.strip() == "no"
    assert "Forbidden" in k("delete", "pod", "--all", user, check=False).stderr


def test_changing_things(namespace, registry, tmp_path):
    k = namespace.kubectl
    k("create", "deployment", "web", f"--image={registry}/e2e/web:1")
    # What is paused before it has a replica set never has this revision.
    eventually(lambda: namespace.get("rs", "-o", "name"), 30, "the first replica set")
    k("rollout", "pause", "deploy/web")
    k("set", "image", "deploy/web", f"web={registry}/e2e/web:2")
    k("set", "env", "deploy/web", "A=b")
    k("set", "resources", "deploy/web", "--requests=cpu=10m", "--limits=memory=64Mi")
    k("rollout", "resume", "deploy/web")
    k("rollout", "status", "deploy/web", "--timeout=50s")
    assert k("rollout", "history", "deploy/web").stdout.count("<none>") == 2
    k("rollout", "undo", "deploy/web", "--to-revision=1")
    k("rollout", "status", "deploy/web", "--timeout=50s")
    image = ("deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert namespace.get(*image).endswith("web:1")
    k("label", "deploy", "web", "x=old")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/x: old/x: edited/' \"$1\"\n")
    editor.chmod(0o755)
    subprocess.run(
        ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "-n", namespace.name, "edit", "deploy", "web"],
        env={**os.environ, "KUBE_EDITOR": str(editor)}, check=True, capture_output=True, timeout=30)
    assert namespace.get("deploy", "-l", "x=edited", "-o", "name") == "deployment.apps/web"
    k("scale", "deploy", "web", "--replicas=0")
    two = "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{g: p}}}}\n" for name in ("p1", "p2"))
    namespace.apply(two)
    pruned = k("apply", "--prune", "-l", "g=p", "--prune-allowlist=core/v1/ConfigMap", "-f", "-",
               text=two[:two.rindex("---")]).stdout
    assert "configmap/p2 pruned" in pruned and "p1 unchanged" in pruned
    assert "server dry run" in k("apply", "--dry-run=server", "-f", "-", text=two).stdout
    assert "not found" in k("get", "configmap", "p2", check=False).stderr
    k("replace", "--force", "-f", "-", text=two[:two.rindex("---")])
    k("delete", "deploy", "web", "--cascade=orphan")
    assert namespace.get("rs", "-o", "name")
    k("delete", "rs", "--all", "--cascade=foreground")
    assert not namespace.get("rs", "-o", "name")


def test_run_attach_debug(namespace, registry):
    tools = f"--image={registry}/e2e/tools:1"
    result = namespace.kubectl("run", "r", "--rm", "-i", "--restart=Never", tools, "--", "sh", "-c", "cat; echo out",
                               text="hello\n")
    assert "hello\nout\n" in result.stdout
    result = namespace.kubectl("run", "f", "--attach", "--restart=Never", tools, "--", "sh", "-c", "sleep 1; exit 3",
                               check=False)
    assert result.returncode == 3
    namespace.run_pod("p", f"  terminationGracePeriodSeconds: 1\n  containers: [{{name: c, image: {registry}/e2e/tools:1, "
                      "command: [sleep, '1000']}]\n")
    assert namespace.kubectl("exec", "p", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert namespace.kubectl("exec", "-i", "p", "--", "cat", text="in").stdout == "in"
    assert "executable file not found" in namespace.kubectl("exec", "p", "--", "nosuch", check=False).stderr
    # A debug container's input is not closed with the session, so the end of ours would end the session before the
    # answer; and the command waits for a line, because what it wrote before the attach is in the log only. What it says
    # in its last moment may be there only, too (docs/unsupported.md): it stays for one more.
    debug = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "-n", namespace.name, "debug", "p", "-i", tools,
         "--target=c", "--", "sh", "-c", "read line; ps; sleep 1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    watchdog = threading.Timer(60, debug.kill)
    watchdog.start()
    debug.stdin.write(b"go\n")
    debug.stdin.flush()
    output = debug.stdout.read().decode()
    watchdog.cancel()
    debug.stdin.close()
    debug.wait()
    assert "sleep 1000" in output
    namespace.kubectl("delete", "pod", "p", "--grace-period=0", "--force")
    assert namespace.kubectl("wait", "--for=delete", "pod/p", "--timeout=10s").returncode == 0


def test_port_forward_outlives_connections_that_end(namespace, registry):
    namespace.run_pod("web", f"  containers: [{{name: c, image: {registry}/e2e/web:1}}]\n")
    namespace.kubectl("expose", "pod", "web", "--port=80", "--target-port=8080")
    forward = subprocess.Popen(
        ["kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "-n", namespace.name, "port-forward", "svc/web",
         ":80"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        port = forward.stdout.readline().split("127.0.0.1:")[1].split()[0]
        failures = []

        def load():
            for _ in range(10):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                        assert answer.read() == b"ok\n"
                except OSError as error:
                    failures.append(str(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and forward.poll() is None, failures[:3]
    finally:
        forward.terminate()
        forward.wait()


def test_failing_pods_do_not_spin(namespace, registry):
    """A deployment whose pods are refused tries again more and more seldom."""
    namespace.kubectl("create", "quota", "q", "--hard=cpu=1")
    eventually(lambda: namespace.get("quota", "q", "-o", "jsonpath={.status.hard.cpu}") == "1", 20, "the quota")
    namespace.kubectl("create", "deployment", "web", f"--image={registry}/e2e/web:1")
    condition = 'jsonpath={.items[0].status.conditions[?(@.type=="ReplicaFailure")].status}'
    eventually(lambda: namespace.get("rs", "-o", condition) == "True", 20, "the ReplicaFailure condition")

    def version():
        return int(namespace.get("rs", "-o", "jsonpath={.items[0].metadata.resourceVersion}"))

    first = version()
    time.sleep(2)
    assert version() == first
    namespace.kubectl("delete", "quota", "q")
    namespace.kubectl("rollout", "restart", "deploy/web")
    namespace.kubectl("rollout", "status", "deploy/web", "--timeout=40s")


def test_cordon_drain_taint(namespace, registry, cluster):
    node = cluster.get("nodes", "-o", "jsonpath={.items[0].metadata.name}")
    namespace.kubectl("create", "deployment", "web", f"--image={registry}/e2e/web:1")
    namespace.kubectl("rollout", "status", "deploy/web", "--timeout=40s")
    try:
        cluster.kubectl("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data",
                        "--pod-selector=app=web", "--timeout=50s")
        assert "SchedulingDisabled" in cluster.get("nodes")
        eventually(lambda: "node(s) were unschedulable" in namespace.get("events"), 20, "the reason why it waits")
    finally:
        cluster.kubectl("uncordon", node)
    namespace.kubectl("rollout", "status", "deploy/web", "--timeout=40s")
    cluster.kubectl("taint", "node", node, "k=v:NoSchedule")
    cluster.kubectl("taint", "node", node, "k=v:NoSchedule-")
    eventually(lambda: "web-" in namespace.kubectl("top", "pods", check=False).stdout, 30, "usage of the pod")
    assert node in cluster.kubectl("top", "nodes").stdout
