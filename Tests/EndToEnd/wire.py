"""The API as bytes on a connection, for tests that want to see codes and headers."""

import base64
import json
import socket
import ssl


class API:
    """One HTTP/1.1 connection, made anew when it was closed."""

    def __init__(self, cluster, token=None, anonymous=False):
        """As the administrator, or with a token, or as nobody."""
        self.cluster = cluster
        self.token = token
        self.context = ssl._create_unverified_context()
        if not token and not anonymous:
            view = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json").stdout)
            paths = []
            for name in ("client-certificate", "client-key"):
                path = view["users"][0]["user"].get(name)
                if not path:
                    path = cluster.directory / f"{name}.pem"
                    # Made aside: other threads may be reading it.
                    made = path.with_suffix(f".{id(self)}")
                    made.write_bytes(base64.b64decode(view["users"][0]["user"][name + "-data"]))
                    made.replace(path)
                paths.append(path)
            self.context.load_cert_chain(*paths)
        self.socket = self.file = None

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = self.file = None

    def send(self, method, path, content=b"", kind="application/json", accept="application/json", headers=None):
        if not self.socket:
            self.socket = self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.cluster.port), 10))
            self.socket.settimeout(30)
            self.file = self.socket.makefile("rb")
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        head = {"Host": "apus", "Accept": accept, "Content-Type": kind, "Content-Length": len(content)}
        if self.token:
            head["Authorization"] = f"Bearer {self.token}"
        head.update(headers or {})
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content)

    def head(self):
        """Code and headers (names in lower case) of an answer."""
        line = self.file.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        headers = {}
        while text := self.file.readline().strip():
            name, _, value = text.decode().partition(":")
            headers[name.lower()] = value.strip()
        return int(line.split()[1]), headers

    def chunks(self):
        """The pieces of a body as the server wrote them."""
        while size := int(self.file.readline() or b"0", 16):
            yield self.file.read(size)
            self.file.readline()
        self.file.readline()

    def lines(self):
        """The lines of a body: the events of a watch."""
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)

    def exchange(self, method, path, content=b"", **options):
        """One request; code, headers and body."""
        try:
            self.send(method, path, content, **options)
            code, headers = self.head()
            length = headers.get("content-length")
            if method == "HEAD" or code == 204:
                body = b""
            elif length is not None:
                body = self.file.read(int(length))
            else:
                body = b"".join(self.chunks())
            if headers.get("connection") == "close":
                self.close()
            return code, headers, body
        except (OSError, ValueError):
            self.close()
            raise

    def call(self, method, path, content=b"", **options):
        """One request; code and the JSON of the answer."""
        code, _, body = self.exchange(method, path, content, **options)
        return code, json.loads(body)
