#!/usr/bin/env python3
"""Mixed load on an API server with clients that misbehave, for as long as one likes; what must hold is checked at the end.

  soak.py --apus .build/release/apus --data-dir /tmp/soak --minutes 30

Starts `apus server` in an empty data directory. Writers create, change, apply and delete objects of several kinds and of
a custom one; readers list and page; informers watch. Meanwhile connections are broken in the middle of requests, answers,
handshakes and TLS records, and some clients read slowly or not at all. Every minute the writers rest and what the informers
know is compared with a list. Fails when an informer is wrong, the memory keeps growing, the server ends, logs an error or
answers 5xx. Needs Python and openssl's libraries only; with kubectl in PATH, it watches over HTTP/2 too.
"""

import argparse
import base64
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

NAMESPACES = ["soak-0", "soak-1", "soak-2"]
POOL = 40  # names of each kind in each namespace
KINDS = {
    "configmaps": ("/api/v1", "v1", "ConfigMap"),
    "secrets": ("/api/v1", "v1", "Secret"),
    "services": ("/api/v1", "v1", "Service"),
    "pods": ("/api/v1", "v1", "Pod"),
    "deployments": ("/apis/apps/v1", "apps/v1", "Deployment"),
    "leases": ("/apis/coordination.k8s.io/v1", "coordination.k8s.io/v1", "Lease"),
    "widgets": ("/apis/soak.example.com/v1", "soak.example.com/v1", "Widget"),
}


def definition(plural, kind):
    """A custom resource definition with one rule, defaults and a column."""
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-validations": [{"rule": "self.size <= 1000000"}], "properties": {
            "size": {"type": "integer", "default": 1}, "color": {"type": "string", "maxLength": 64}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.soak.example.com"},
        "spec": {"group": "soak.example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
                 "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                               "schema": {"openAPIV3Schema": schema},
                               "additionalPrinterColumns": [
                                   {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}]}}


def body(resource, name, shade=None):
    """A valid object of a kind with a random part."""
    _, version, kind = KINDS[resource]
    number = random.randrange(1000)
    made = {"apiVersion": version, "kind": kind,
            "metadata": {"name": name, "labels": {"shade": shade or random.choice(["light", "dark"])},
                         "annotations": {"number": str(number)}}}
    if resource == "configmaps":
        made["data"] = {"number": str(number), "filler": "x" * random.choice([10, 200, 5000])}
    elif resource == "secrets":
        made["data"] = {"number": base64.b64encode(str(number).encode()).decode()}
    elif resource == "services":
        made["spec"] = {"ports": [{"port": 80 + number}], "selector": {"app": name}}
    elif resource == "pods":
        made["spec"] = {"schedulingGates": [{"name": "soak.example.com/never"}],
                        "containers": [{"name": "main", "image": "none:1"}]}
    elif resource == "deployments":
        labels = {"app": name}
        made["spec"] = {"replicas": number % 3, "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels},
                                     "spec": {"containers": [{"name": "main", "image": f"none:{number % 5}"}]}}}
    elif resource == "leases":
        made["spec"] = {"holderIdentity": f"holder-{number}"}
    else:
        made["spec"] = {"size": number, "color": f"#{number:06}"}
    return made


class Gone(Exception):
    """410: what was asked for is too old."""


class Server:
    """`apus server` and ways to talk to it."""

    def __init__(self, binary, directory, port):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.kubeconfig = self.directory / "kubeconfig"
        self.log = self.directory / "server.log"
        self.port = port
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "server", "--data-dir", str(self.directory / "data"), "--kubeconfig", str(self.kubeconfig),
                 "--port", str(port), "--bind-address", "127.0.0.1", "--node-ip", "127.0.0.1"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        self.context = None
        end = time.monotonic() + 60
        while True:
            try:
                if self.context is None:
                    self.context = self.make_context()
                if Client(self).request("GET", "/readyz")[0] == 200:
                    return
            except (OSError, ValueError, IndexError):
                self.context = None
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"the server does not answer: {self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)

    def make_context(self):
        """TLS settings with the administrator's certificate out of the kubeconfig."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        text = self.kubeconfig.read_text()
        paths = []
        for name in ("client-certificate", "client-key"):
            for line in text.splitlines():
                key, _, value = line.strip().partition(":")
                value = value.strip().strip('"')
                if key == name:
                    paths.append(value)
                elif key == name + "-data":
                    path = self.directory / f"{name}.pem"
                    path.write_bytes(base64.b64decode(value))
                    paths.append(str(path))
        context.load_cert_chain(*paths)
        return context

    def raw(self, buffer=None):
        made = socket.socket()
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.settimeout(30)
        made.connect(("127.0.0.1", self.port))
        return made

    def connect(self, buffer=None):
        return self.context.wrap_socket(self.raw(buffer))

    def memory(self):
        """Resident MiB, of which anonymous."""
        found = {}
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(("VmRSS", "RssAnon", "Threads")):
                found[line.split(":")[0]] = int(line.split()[1])
        return found["VmRSS"] / 1024, found["RssAnon"] / 1024, found["Threads"]

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Client:
    """One HTTP/1.1 connection, made anew when it broke."""

    def __init__(self, server):
        self.server = server
        self.socket = None
        self.file = None

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = self.file = None

    def send(self, method, path, content=b"", kind="application/json", accept="application/json"):
        if not self.socket:
            self.socket = self.server.connect()
            self.file = self.socket.makefile("rb")
        self.socket.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: apus\r\nAccept: {accept}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n".encode() + content)

    def head(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        headers = {}
        while (text := self.file.readline().strip()):
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def chunks(self):
        while True:
            size = int(self.file.readline() or b"0", 16)
            content = self.file.read(size)
            self.file.readline()
            if not size:
                return
            yield content

    def request(self, method, path, content=None, kind="application/json", accept="application/json"):
        if content is not None and not isinstance(content, bytes):
            content = json.dumps(content).encode()
        try:
            self.send(method, path, content or b"", kind, accept)
            code, headers = self.head()
            if "content-length" in headers:
                answer = self.file.read(int(headers["content-length"]))
            else:
                answer = b"".join(self.chunks())
            if headers.get("connection") == "close":
                self.close()
            return code, answer
        except (OSError, ValueError):
            self.close()
            raise


class Soak:
    def __init__(self, server, arguments):
        self.server = server
        self.arguments = arguments
        self.stopping = threading.Event()
        self.resting = threading.Event()
        self.problems = []
        self.counts = {}
        self.busy = 0
        self.lock = threading.Lock()

    def note(self, name, number=1):
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + number

    def problem(self, text):
        with self.lock:
            if len(self.problems) < 50:
                self.problems.append(text)
        print(f"PROBLEM {text}", flush=True)

    def loop(self, function, pause):
        """Calls a function again and again in a thread, at its own pace."""
        def run():
            while not self.stopping.wait(random.uniform(0, 2 * pause)):
                if self.resting.is_set():
                    continue
                with self.lock:
                    self.busy += 1
                try:
                    function()
                except (OSError, ValueError) as error:
                    if not self.stopping.is_set():
                        self.problem(f"{function.__name__}: {error!r}")
                finally:
                    with self.lock:
                        self.busy -= 1
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

    # MARK: well-behaved clients

    def writer(self):
        client = Client(self.server)

        def write():
            resource = random.choice(list(KINDS))
            root, _, _ = KINDS[resource]
            space, name = random.choice(NAMESPACES), f"o-{random.randrange(POOL)}"
            path = f"{root}/namespaces/{space}/{resource}"
            verb = random.choices(
                ["create", "update", "merge", "json", "apply", "delete", "collection"],
                [30, 20, 15, 8, 15, 20, 0.4])[0]
            made = body(resource, name)
            if verb == "create":
                code, answer = client.request("POST", path, made)
            elif verb == "update":
                code, answer = client.request("GET", f"{path}/{name}")
                if code == 200:
                    old = json.loads(answer)
                    old["metadata"]["labels"] = made["metadata"]["labels"]
                    old["metadata"]["annotations"] = made["metadata"]["annotations"]
                    code, answer = client.request("PUT", f"{path}/{name}", old)
            elif verb == "merge":
                code, answer = client.request(
                    "PATCH", f"{path}/{name}", {"metadata": made["metadata"]}, "application/merge-patch+json")
            elif verb == "json":
                code, answer = client.request(
                    "PATCH", f"{path}/{name}",
                    [{"op": "replace", "path": "/metadata/labels/shade", "value": random.choice(["light", "dark"])}],
                    "application/json-patch+json")
            elif verb == "apply":
                code, answer = client.request(
                    "PATCH", f"{path}/{name}?fieldManager=m{random.randrange(3)}&force=true", made,
                    "application/apply-patch+yaml")
            elif verb == "delete":
                code, answer = client.request("DELETE", f"{path}/{name}?gracePeriodSeconds=0")
            else:
                code, answer = client.request("DELETE", f"{path}?labelSelector=shade%3Ddark")
            self.note(f"{verb} {code}")
            expected = [200, 201, 202, 404, 409] + ([422] if resource in ("services", "pods", "deployments") else [])
            if code not in expected:
                self.problem(f"{verb} {path}/{name}: {code} {answer[:300]!r}")
        return write

    def reader(self):
        client = Client(self.server)
        table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

        def read():
            resource = random.choice(list(KINDS))
            root, _, kind = KINDS[resource]
            accept = random.choice(["application/json", table, "application/yaml"] + (
                ["application/vnd.kubernetes.protobuf"] if resource != "widgets" else []))
            path = f"{root}/{resource}"
            if random.random() < 0.5:
                path = f"{root}/namespaces/{random.choice(NAMESPACES)}/{resource}"
            query = random.choice(["", "?labelSelector=shade%3Dlight", "?resourceVersion=0", "?limit=7"])
            code, answer = client.request("GET", path + query, accept=accept)
            self.note(f"list {code}")
            if code != 200:
                return self.problem(f"list {path}{query}: {code} {answer[:300]!r}")
            if query == "?limit=7" and accept == "application/json":
                for _ in range(random.randrange(20)):  # pages are left open too
                    token = json.loads(answer)["metadata"].get("continue")
                    if not token:
                        break
                    code, answer = client.request("GET", f"{path}?limit=7&continue={token}")
                    self.note(f"page {code}")
        return read

    # MARK: clients that misbehave

    def half_handshake(self):
        """The start of a client's hello, or noise, and then nothing or a reset."""
        with self.server.raw() as made:
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(32)
            made.sendall(random.choice([hello[:random.randrange(1, len(hello))], os.urandom(50), b"GET / HTTP/1.1\r\n"]))
            time.sleep(random.choice([0, 0.1, 2, 20]))
            if random.random() < 0.5:
                reset(made)

    def half_record(self):
        """A handshake, and then a TLS record that says it is longer than what comes, or is no TLS at all."""
        made = self.server.connect()
        made.sendall(b"GET /api/v1/namespaces HTTP/1.1\r\nHost: apus\r\n")
        below = socket.socket(fileno=made.detach())
        below.sendall(random.choice([b"\x17\x03\x03\x40\x00" + os.urandom(100), b"\x17", os.urandom(300)]))
        time.sleep(random.choice([0, 0.1, 5]))
        if random.random() < 0.5:
            reset(below)
        below.close()

    def half_request(self):
        """A request that ends somewhere in its line, headers or body."""
        made = self.server.connect()
        content = json.dumps(body("configmaps", "half")).encode()
        whole = (f"POST /api/v1/namespaces/{NAMESPACES[0]}/configmaps HTTP/1.1\r\nHost: apus\r\n"
                 f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n").encode() + content
        made.sendall(whole[:random.randrange(1, len(whole) - 1)])
        time.sleep(random.choice([0, 0.05, 3]))
        if random.random() < 0.5:
            reset(made)
        made.close()

    def half_answer(self):
        """A list or a write that nobody waits for to the end."""
        made = self.server.connect()
        resource = random.choice(list(KINDS))
        made.sendall(f"GET {KINDS[resource][0]}/{resource} HTTP/1.1\r\nHost: apus\r\n\r\n".encode() * random.randrange(1, 4))
        if random.random() < 0.7:
            made.recv(random.randrange(1, 500))
        if random.random() < 0.5:
            reset(made)
        made.close()

    def short_watch(self):
        """A watch that is dropped at any moment."""
        made = self.server.connect()
        resource = random.choice(list(KINDS))
        query = random.choice([
            "?watch=true", "?watch=true&timeoutSeconds=1", "?watch=true&labelSelector=shade%3Ddark",
            "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"])
        made.sendall(f"GET {KINDS[resource][0]}/{resource}{query} HTTP/1.1\r\nHost: apus\r\n\r\n".encode())
        made.settimeout(random.uniform(0.05, 3))
        try:
            while made.recv(4096):
                pass
        except TimeoutError:
            pass
        if random.random() < 0.5:
            reset(made)
        made.close()

    def slow_reader(self):
        """A list or a watch with initial events that is read by drops, then not at all."""
        made = self.server.connect(buffer=4096)
        query = random.choice(["", "?watch=true&resourceVersion=0"])
        made.sendall(f"GET /api/v1/configmaps{query} HTTP/1.1\r\nHost: apus\r\n\r\n".encode())
        end = time.monotonic() + random.choice([3, 30, 80])
        while time.monotonic() < end and not self.stopping.is_set():
            try:
                if not made.recv(200):
                    break
            except OSError:
                break
            time.sleep(0.5)
        reset(made)
        made.close()

    def nonsense(self):
        """Bodies and questions that mean nothing are refused with 4xx."""
        client = Client(self.server)
        path = f"/api/v1/namespaces/{NAMESPACES[0]}/configmaps"
        protobuf = "application/vnd.kubernetes.protobuf"
        made = random.choice([
            ("POST", path, b'{"kind":"ConfigMap"', "application/json"),
            ("POST", path, b"[" * 100_000, "application/json"),
            ("POST", path, b"k8s\0" + os.urandom(100), protobuf),
            ("POST", path, b"a: &a [*a, *a]\nb: *a", "application/yaml"),
            ("PATCH", path + "/o-1", b'[{"op": "test", "path": "/nowhere", "value": 1}]', "application/json-patch+json"),
            ("POST", "/apis/soak.example.com/v1/namespaces/soak-0/widgets",
             json.dumps(dict(body("widgets", "w"), spec={"size": 10**9})).encode(), "application/json"),
            ("GET", path + "?continue=" + "A" * 5000, b"", "application/json"),
            ("GET", path + "?fieldSelector=nothing%3D1", b"", "application/json"),
            ("GET", "/" + "a/" * 5000, b"", "application/json")])
        code, answer = client.request(*made)
        self.note(f"nonsense {code}")
        if not 400 <= code < 500:
            self.problem(f"nonsense {made[0]} {made[1][:80]} {made[2][:40]!r}: {code} {answer[:200]!r}")
        client.close()

    def passing_kind(self):
        """A custom resource definition that comes, is used and goes."""
        client = Client(self.server)
        plural = f"pass{random.randrange(5)}"
        all_kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        client.request("POST", all_kinds, definition(plural, plural.capitalize()))
        made = {"apiVersion": "soak.example.com/v1", "kind": plural.capitalize(), "metadata": {"name": "one"}}
        for _ in range(30):
            code, _ = client.request("POST", f"/apis/soak.example.com/v1/namespaces/soak-0/{plural}", made)
            if code != 404:
                break
            time.sleep(0.1)
        self.note(f"passing kind {code}")
        client.request("GET", "/openapi/v2")
        client.request("DELETE", f"{all_kinds}/{plural}.soak.example.com")
        client.close()

    def kubectl_watch(self):
        """HTTP/2, ended by a signal."""
        process = subprocess.Popen(
            ["kubectl", "--kubeconfig", str(self.server.kubeconfig), "get", random.choice(list(KINDS)), "-A", "-w",
             *random.choice([[], ["-o", "json"]])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stopping.wait(random.uniform(0.2, 8))
        process.send_signal(random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        process.wait()

    # MARK: the run

    def run(self):
        client = Client(self.server)
        for name in NAMESPACES:
            client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        client.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition("widgets", "Widget"))
        time.sleep(2)
        informers = [Informer(self, resource, selector) for resource in KINDS for selector in ("", "shade=dark")]
        pace = 1 / self.arguments.rate
        for _ in range(4):
            self.loop(self.writer(), 4 * pace)
        for _ in range(2):
            self.loop(self.reader(), 8 * pace)
        for _ in range(2):
            for bad in (self.half_handshake, self.half_record, self.half_request, self.half_answer, self.short_watch,
                        self.slow_reader, self.nonsense):
                self.loop(bad, 3)
        self.loop(self.passing_kind, 20)
        if shutil.which("kubectl"):
            self.loop(self.kubectl_watch, 10)
        samples = []
        end = time.monotonic() + self.arguments.minutes * 60
        cpu = self.server.cpu()
        while time.monotonic() < end:
            time.sleep(min(50, max(1, end - time.monotonic())))
            if self.server.process.poll() is not None:
                self.problem(f"the server ended with {self.server.process.returncode}")
                break
            self.compare(informers)
            sample, now = self.server.memory(), self.server.cpu()
            samples.append(sample[0])
            with self.lock:
                requests, mean = sum(self.counts.values()), 100 * (now - cpu) / 60
            cpu = now
            print(f"{len(samples):4} min  RSS {sample[0]:7.1f} MiB  anonymous {sample[1]:7.1f}  threads {sample[2]}"
                  f"  files {self.server.descriptors()}  CPU {mean:.0f} %  requests {requests}"
                  f"  events {sum(i.events for i in informers)}  watches {sum(i.watches for i in informers)}", flush=True)
        self.stopping.set()
        self.finish(samples)

    def compare(self, informers):
        """While nobody writes, an informer knows exactly what a list says."""
        self.resting.set()
        client = Client(self.server)
        seen = None
        try:
            for _ in range(60):  # until controllers are done too
                time.sleep(1)
                now = {i: i.list(client) for i in informers}
                if now == seen:
                    break
                seen = now
            for informer in informers:
                for _ in range(100):
                    if informer.known == seen[informer]:
                        break
                    time.sleep(0.1)
                else:
                    listed, known = seen[informer], dict(informer.known)
                    again = informer.list(client)
                    if again != listed:
                        continue  # somebody wrote meanwhile
                    differing = {k for k in listed.keys() | known.keys() if listed.get(k) != known.get(k)}
                    self.problem(f"{informer.resource} {informer.selector}: differs in {sorted(differing)[:5]}, "
                                 f"{len(listed)} listed, {len(known)} known")
        finally:
            client.close()
            self.resting.clear()

    def finish(self, samples):
        alive = self.server.process.poll() is None
        if alive:
            metrics = Client(self.server).request("GET", "/metrics")[1].decode()
            for line in metrics.splitlines():
                if line.startswith("apiserver_request_total") and 'code="5' in line:
                    self.problem(f"answered 5xx: {line}")
            self.server.process.send_signal(signal.SIGTERM)
            code = self.server.process.wait(timeout=60)
            if code != 0:
                self.problem(f"the server ended with {code}")
        for line in self.server.log.read_text(errors="replace").splitlines():
            if any(word in line for word in (" error ", " critical ", "Fatal error", "warning")):
                self.problem(f"log: {line[:300]}")
        warm = samples[min(len(samples) // 3, 8):]
        if len(warm) >= 6:
            early, late = sum(warm[:3]) / 3, sum(warm[-3:]) / 3
            print(f"memory after warming up {early:.1f} MiB, at the end {late:.1f} MiB")
            if late > early * 1.1 + 8:
                self.problem(f"memory grew from {early:.1f} to {late:.1f} MiB")
        print(json.dumps(self.counts, sort_keys=True))
        print("no problem" if not self.problems else f"{len(self.problems)} problems")


class Informer:
    """Lists, watches from there, and watches on from what it saw last, like every controller."""

    def __init__(self, soak, resource, selector):
        self.soak, self.resource = soak, resource
        self.selector = selector
        self.query = f"labelSelector={selector.replace('=', '%3D')}" if selector else ""
        self.path = f"{KINDS[resource][0]}/{resource}"
        self.known = {}
        self.version = None
        self.events = self.watches = 0
        threading.Thread(target=self.run, daemon=True).start()

    def list(self, client):
        code, answer = client.request("GET", f"{self.path}?{self.query}")
        if code != 200:
            raise ValueError(f"list {self.path}: {code}")
        found = json.loads(answer)
        self.listed = found["metadata"]["resourceVersion"]
        return {key(item): item["metadata"]["resourceVersion"] for item in found["items"]}

    def run(self):
        client = Client(self.soak.server)
        while not self.soak.stopping.is_set():
            try:
                if self.version is None:
                    known = self.list(client)
                    self.known, self.version = known, self.listed
                self.watch(client)
            except Gone:
                self.version = None
                self.soak.note("gone")
            except (OSError, ValueError) as error:
                if not self.soak.stopping.is_set():
                    self.soak.note(f"informer {type(error).__name__}")
                    time.sleep(0.2)
            finally:
                client.close()

    def watch(self, client):
        """Until the server ends it, or this client does in the middle of anything."""
        self.watches += 1
        until = time.monotonic() + random.choice([2, 20, 120])
        client.send("GET", f"{self.path}?watch=true&allowWatchBookmarks=true&resourceVersion={self.version}"
                    f"&timeoutSeconds={random.choice([5, 60, 300])}&{self.query}")
        code, headers = client.head()
        if code == 410:
            raise Gone
        if code != 200:
            raise ValueError(f"watch {self.path}: {code}")
        client.socket.settimeout(90)
        rest = b""
        for chunk in client.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.event(json.loads(line))
            if time.monotonic() > until and not self.soak.resting.is_set():
                return

    def event(self, event):
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise Gone
            raise ValueError(f"watch error {item}")
        self.events += 1
        metadata = item["metadata"]
        if int(metadata["resourceVersion"]) < int(self.version):
            self.soak.problem(f"{self.path}: an event of {metadata['resourceVersion']} after {self.version}")
        self.version = metadata["resourceVersion"]
        if kind == "DELETED":
            self.known.pop(key(item), None)
        elif kind != "BOOKMARK":
            self.known[key(item)] = self.version


def key(item):
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def reset(made):
    """Closing sends a reset, not a goodbye."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apus", default=".build/release/apus", help="the binary")
    parser.add_argument("--data-dir", required=True, help="an empty directory")
    parser.add_argument("--port", type=int, default=7443)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=60, help="writes a second, about")
    arguments = parser.parse_args()
    server = Server(arguments.apus, arguments.data_dir, arguments.port)
    soak = Soak(server, arguments)
    try:
        soak.run()
    finally:
        if server.process.poll() is None:
            server.process.kill()
    sys.exit(1 if soak.problems else 0)


if __name__ == "__main__":
    main()
