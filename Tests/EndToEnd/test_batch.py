"""Jobs by the clock and by index, and scaling by use."""

import json

from conftest import eventually


def test_cron_job(namespace, registry):
    namespace.apply(f"""
apiVersion: batch/v1
kind: CronJob
metadata: {{name: tick}}
spec:
  schedule: "@every 2s"
  successfulJobsHistoryLimit: 1
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{{name: main, image: {registry}/e2e/tools:1, command: ["true"]}}]
""")
    eventually(
        lambda: namespace.get("cronjob", "tick", "-o", "jsonpath={.status.lastSuccessfulTime}"), what="a first success")
    events = eventually(lambda: namespace.get("events"), what="events")
    assert "Created job tick-" in events
    eventually(lambda: "Deleted job tick-" in namespace.get("events"), 180, "a trimmed history")
    namespace.kubectl("patch", "cronjob", "tick", "-p", '{"spec": {"suspend": true}}')
    namespace.kubectl("create", "job", "now", "--from=cronjob/tick")
    namespace.kubectl("wait", "--for=condition=Complete", "job/now", "--timeout=50s")
    bad = namespace.kubectl("create", "cronjob", "bad", "--image=x", "--schedule=61 * * * *", check=False)
    assert "spec.schedule: Invalid value" in bad.stderr


def test_job_with_limits_per_index(namespace, registry):
    namespace.apply(f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: mixed}}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  backoffLimitPerIndex: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - {{name: main, image: {registry}/e2e/tools:1, command: [sh, -c, "test $JOB_COMPLETION_INDEX != 1"]}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: leader}}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  successPolicy: {{rules: [{{succeededIndexes: "0"}}]}}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: main, image: {registry}/e2e/tools:1, command: [sh, -c, "test $JOB_COMPLETION_INDEX = 0 || sleep 3600"]}}
""")

    def ended(name, condition):
        status = json.loads(namespace.get("job", name, "-o", "json"))["status"]
        return status if any(
            c["type"] == condition and c["status"] == "True" for c in status.get("conditions", [])) else None
    mixed = eventually(lambda: ended("mixed", "Failed"), what="the failed job")
    assert (mixed["completedIndexes"], mixed["failedIndexes"]) == ("0,2", "1")
    assert any(c.get("reason") == "FailedIndexes" for c in mixed["conditions"])
    leader = eventually(lambda: ended("leader", "Complete"), what="the successful job")
    assert any(c.get("reason") == "SuccessPolicy" for c in leader["conditions"])


def test_autoscaler(namespace, registry):
    namespace.apply(f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: busy}}
spec:
  selector: {{matchLabels: {{app: busy}}}}
  template:
    metadata: {{labels: {{app: busy}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {registry}/e2e/tools:1
        command: [sh, -c, "dd if=/dev/zero of=/dev/shm/x bs=1M count=24; sleep 3600"]
        resources: {{requests: {{memory: 8Mi, cpu: 1m}}}}
        volumeMounts: [{{name: ram, mountPath: /dev/shm}}]
      volumes: [{{name: ram, emptyDir: {{medium: Memory}}}}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: busy}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: busy}}
  minReplicas: 1
  maxReplicas: 2
  metrics: [{{type: Resource, resource: {{name: memory, target: {{type: Utilization, averageUtilization: 50}}}}}}]
""")
    eventually(
        lambda: namespace.get("deployment", "busy", "-o", "jsonpath={.spec.replicas}") == "2", 120, "a second replica")
    conditions = json.loads(namespace.get("hpa", "busy", "-o", "json"))["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["ScalingActive"] == "True"
    eventually(lambda: "SuccessfulRescale" in namespace.get("events"), what="the event")
