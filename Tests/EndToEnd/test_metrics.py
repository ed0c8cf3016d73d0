"""The page of metrics, read as Prometheus reads it, and the names that dashboards ask for."""

import re

from conftest import eventually
from wire import API

NUMBER = r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf|NaN)"
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*=\"(?:[^\"\\\n]|\\.)*\",?)*)\})? (%s)" % NUMBER)
WANTED = [
    "apiserver_request_total", "apiserver_request_duration_seconds_bucket", "apiserver_request_duration_seconds_count",
    "apiserver_current_inflight_requests", "apiserver_current_inqueue_requests", "apiserver_longrunning_requests",
    "apiserver_storage_objects", "apiserver_watch_events_total", "apiserver_response_sizes_bucket",
    "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "kubernetes_build_info",
    "workqueue_depth", "workqueue_adds_total", "workqueue_retries_total", "workqueue_work_duration_seconds_bucket",
]


def parse(text):
    """Samples by name; every rule of the format that a scraper relies on is checked."""
    assert text.endswith("\n")
    types, samples, seen, current = {}, {}, set(), None
    for line in text.splitlines():
        if line.startswith("# "):
            word, name, *rest = line[2:].split(" ", 2)
            assert word in ("HELP", "TYPE")
            if word == "TYPE":
                assert name not in types, f"two types of {name}"
                types[name] = current = rest[0]
                family = name
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        name, labels, value = found.groups()
        base = re.sub("_(bucket|sum|count)$", "", name) if current == "histogram" else name
        assert base == family, f"{name} stands under {family}"
        assert (name, labels) not in seen, f"twice: {line}"
        seen.add((name, labels))
        samples.setdefault(name, []).append((dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")), float(value)))
    for name, kind in types.items():
        if kind != "histogram":
            continue
        series = {}
        for labels, value in samples.get(f"{name}_bucket", []):
            series.setdefault(tuple(sorted((k, v) for k, v in labels.items() if k != "le")), []).append(
                (float(labels["le"]), value))
        counts = {tuple(sorted(labels.items())): value for labels, value in samples.get(f"{name}_count", [])}
        for key, buckets in series.items():
            assert buckets == sorted(buckets) and [v for _, v in buckets] == sorted(v for _, v in buckets)
            assert buckets[-1] == (float("inf"), counts[key])
    return samples


def test_metrics(shared_plane):
    api = API(shared_plane)
    api.exchange("GET", "/api/v1/namespaces?watch=true&timeoutSeconds=1")
    api.exchange("GET", "/api/v1/nothing")
    api.call("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "counted"}})
    api.call("GET", "/api/v1/namespaces/default/configmaps/counted")

    def read():
        samples = parse(api.exchange("GET", "/metrics")[2].decode())
        missing = [name for name in WANTED if name not in samples]
        assert not missing, missing
        return samples

    samples = eventually(read, 20, "all metrics")
    made = [value for labels, value in samples["apiserver_request_total"]
            if (labels["verb"], labels["resource"], labels["code"]) == ("POST", "configmaps", "201")]
    assert made and made[0] >= 1
    events = {labels["kind"]: value for labels, value in samples["apiserver_watch_events_total"]}
    assert events["Namespace"] >= 4
    queues = {labels["name"]: value for labels, value in samples["workqueue_adds_total"]}
    assert queues["service-account-controller"] >= 4, queues
