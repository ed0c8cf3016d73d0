"""What a container sees and how its pod fares."""

import json
import subprocess

from conftest import eventually


def status(namespace, pod):
    return json.loads(namespace.get("pod", pod, "-o", "json"))["status"]


def test_environment_files_and_identity(namespace, registry):
    namespace.apply("""
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {COLOUR: blue, file.txt: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: door}
stringData: {key: sesame}
""")
    namespace.run_pod("probe", f"""
  hostname: tower
  securityContext: {{runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}}
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sh, -c, 'trap exit TERM; while true; do sleep 0.2; done']
    envFrom: [{{configMapRef: {{name: settings}}}}]
    env:
    - {{name: BASE, value: /srv}}
    - {{name: DATA, value: $(BASE)/data}}
    - {{name: IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
    - {{name: KEY, valueFrom: {{secretKeyRef: {{name: door, key: key}}}}}}
    - {{name: LIMIT, valueFrom: {{resourceFieldRef: {{resource: limits.memory}}}}}}
    resources: {{limits: {{memory: 48Mi, cpu: 500m}}}}
    volumeMounts:
    - {{name: door, mountPath: /door}}
    - {{name: all, mountPath: /all}}
    - {{name: scratch, mountPath: /scratch}}
    - {{name: ram, mountPath: /ram}}
    - {{name: settings, mountPath: /one.txt, subPath: file.txt}}
  volumes:
  - {{name: door, secret: {{secretName: door, defaultMode: 0440}}}}
  - {{name: settings, configMap: {{name: settings}}}}
  - name: all
    projected:
      sources:
      - downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}
      - configMap: {{name: settings, items: [{{key: file.txt, path: sub/file}}]}}
      - serviceAccountToken: {{path: token, audience: vault}}
  - {{name: scratch, emptyDir: {{}}}}
  - {{name: ram, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}
""")

    def run(command):
        return namespace.kubectl("exec", "probe", "--", "sh", "-c", command).stdout.strip()

    assert run("echo $COLOUR $DATA $KEY $LIMIT") == f"blue /srv/data sesame {48 << 20}"
    assert run("echo $IP") == status(namespace, "probe")["podIP"]
    assert run("hostname; id -u; id -g") == "tower\n1000\n1000"
    assert "2000" in run("id -G").split()
    assert run("cat /door/key; stat -L -c ' %a' /door/key") == "sesame 440"
    assert run("cat /all/labels") == 'app="probe"'
    assert run("cat /all/sub/file /one.txt") == "hellohello"
    assert run("cut -d. -f2 /all/token | wc -c") != "0"
    assert run("touch /scratch/x /ram/x && echo ok") == "ok"
    assert "tmpfs" in run("mount | grep ' /ram '")
    assert run("test -s /var/run/secrets/kubernetes.io/serviceaccount/ca.crt && echo yes") == "yes"
    assert namespace.kubectl("exec", "probe", "--", "sh", "-c", "exit 9", check=False).returncode == 9

    namespace.kubectl("patch", "configmap", "settings", "-p", '{"data":{"file.txt":"changed"}}')
    eventually(lambda: run("cat /all/sub/file") == "changed", 120, "the new config map in the running pod")


def test_init_sidecar_and_completion(namespace, registry):
    namespace.run_pod("job", f"""
  restartPolicy: Never
  initContainers:
  - {{name: first, image: {registry}/e2e/tools:1, command: [sh, -c, 'echo one > /share/log'], volumeMounts: [{{name: share, mountPath: /share}}]}}
  - name: helper
    image: {registry}/e2e/tools:1
    restartPolicy: Always
    command: [sh, -c, 'echo helper >> /share/log; trap exit TERM; while true; do sleep 0.2; done']
    volumeMounts: [{{name: share, mountPath: /share}}]
    startupProbe: {{exec: {{command: [grep, helper, /share/log]}}, periodSeconds: 1}}
  containers:
  - {{name: main, image: {registry}/e2e/tools:1, command: [sh, -c, 'cat /share/log; echo bye > /dev/termination-log; exit 3'], volumeMounts: [{{name: share, mountPath: /share}}]}}
  volumes: [{{name: share, emptyDir: {{}}}}]
""", wait=False)
    eventually(lambda: status(namespace, "job")["phase"] == "Failed", 45, "the pod's end")
    ended = status(namespace, "job")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["message"]) == (3, "Error", "bye\n")
    assert namespace.kubectl("logs", "job", "-c", "main").stdout == "one\nhelper\n"


def test_restart_back_off_and_previous_log(namespace, registry):
    namespace.run_pod("crash", f"""
  containers:
  - {{name: main, image: {registry}/e2e/tools:1, command: [sh, -c, 'echo dying; exit 1']}}
""", wait=False)
    eventually(lambda: "CrashLoopBackOff" in namespace.get("pods"), 60, "CrashLoopBackOff")
    assert status(namespace, "crash")["containerStatuses"][0]["restartCount"] >= 1
    assert namespace.kubectl("logs", "crash", "--previous").stdout == "dying\n"
    eventually(lambda: "Back-off restarting failed container" in namespace.get("events"), 30, "the event")


def test_out_of_memory_is_told(namespace, registry):
    namespace.run_pod("greedy", f"""
  restartPolicy: Never
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sh, -c, 'tail /dev/zero']
    resources: {{limits: {{memory: 16Mi}}}}
""", wait=False)
    eventually(lambda: status(namespace, "greedy")["phase"] == "Failed", 60, "the pod's end")
    ended = status(namespace, "greedy")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_images_that_cannot_be_had(namespace, registry):
    namespace.run_pod("gone", f"  containers: [{{name: main, image: '{registry}/e2e/none:1'}}]\n", wait=False)
    namespace.run_pod("never", "  containers: [{name: main, image: 'x/y:1', imagePullPolicy: Never}]\n", wait=False)
    eventually(lambda: "ImagePull" in namespace.get("pod", "gone"), 60, "ErrImagePull")
    eventually(lambda: "ErrImageNeverPull" in namespace.get("pod", "never"), 60, "ErrImageNeverPull")


def test_probes_restart_and_gate(namespace, registry):
    namespace.run_pod("probed", f"""
  containers:
  - name: main
    image: {registry}/e2e/web:1
    readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
    livenessProbe: {{exec: {{command: [test, '!', -e, /tmp/sick]}}, periodSeconds: 1, failureThreshold: 2}}
    startupProbe: {{tcpSocket: {{port: 8080}}, periodSeconds: 1}}
""")
    namespace.kubectl("exec", "probed", "--", "mv", "/www/healthz", "/www/away")
    eventually(lambda: "0/1" in namespace.get("pod", "probed"), 30, "an unready pod")
    namespace.kubectl("exec", "probed", "--", "touch", "/tmp/sick")
    eventually(lambda: status(namespace, "probed")["containerStatuses"][0]["restartCount"] == 1, 60, "a restart")
    eventually(lambda: "1/1" in namespace.get("pod", "probed"), 30, "a ready pod again")


def test_hooks_and_graceful_end(namespace, registry):
    namespace.run_pod("polite", f"""
  terminationGracePeriodSeconds: 10
  containers:
  - name: main
    image: {registry}/e2e/tools:1
    command: [sh, -c, 'trap "echo term >> /out/log; exit 0" TERM; while true; do sleep 0.1; done']
    lifecycle:
      postStart: {{exec: {{command: [sh, -c, 'echo start > /out/log']}}}}
      preStop: {{exec: {{command: [sh, -c, 'echo stop >> /out/log']}}}}
    volumeMounts: [{{name: out, mountPath: /out}}]
  volumes: [{{name: out, hostPath: {{path: /tmp/apus-e2e-hooks, type: DirectoryOrCreate}}}}]
""")
    namespace.kubectl("delete", "pod", "polite", "--timeout=40s")
    assert open("/tmp/apus-e2e-hooks/log").read() == "start\nstop\nterm\n"
    subprocess.run(["rm", "-r", "/tmp/apus-e2e-hooks"], check=True)


def test_logs(namespace, registry):
    namespace.run_pod("talk", f"""
  containers:
  - {{name: main, image: {registry}/e2e/tools:1, command: [sh, -c, 'for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo oops >&2; sleep 600']}}
""")
    eventually(lambda: "oops" in namespace.kubectl("logs", "talk").stdout, 20, "the log")
    assert namespace.kubectl("logs", "talk", "--tail=2").stdout == "line 5\noops\n"
    assert namespace.kubectl("logs", "talk", "--timestamps", "--tail=1").stdout.startswith("20")
    assert namespace.kubectl("logs", "talk", "--limit-bytes=6").stdout == "line 1"
    follow = subprocess.run(
        ["timeout", "3", "kubectl", "--kubeconfig", str(namespace.cluster.kubeconfig), "-n", namespace.name, "logs",
         "-f", "talk"], capture_output=True, text=True)
    assert follow.returncode == 124 and follow.stdout.endswith("oops\n")
