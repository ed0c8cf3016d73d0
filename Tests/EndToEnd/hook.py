"""A real HTTPS server that plays a webhook, with an authority of its own."""

import base64
import http.server
import json
import ssl
import subprocess
import threading


class Hook:
    """Answers paths by functions from the review's request to its response."""

    def __init__(self, directory, names=("IP:127.0.0.1",), address="127.0.0.1"):
        self.answers = {}
        self.requests = []
        key, certificate = directory / "hook.key", directory / "hook.crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out",
             certificate, "-subj", "/CN=hook", "-addext", "subjectAltName=" + ",".join(names)],
            check=True, capture_output=True, timeout=60)
        self.bundle = base64.b64encode(certificate.read_bytes()).decode()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = self.path.split("?")[0]
                hook.requests.append((path, review["request"]))
                response = {"uid": review["request"]["uid"], **hook.answers[path](review["request"])}
                body = json.dumps(
                    {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def client_config(self, path):
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.bundle}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def json_patch(*operations):
    """The part of an admission response that changes the object."""
    return {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(operations).encode()).decode()}
