"""Receives the data that the collector forwards: OTLP over HTTP, in JSON."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink:
    """Listens on a free port of loopback, at `url`."""

    def __init__(self):
        self.changed = threading.Condition()
        self.spans = []  # (resource, span)
        self.metrics = []  # (resource, metric)
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                sink.take(self.path, json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def take(self, path: str, message: dict) -> None:
        with self.changed:
            for resource in message.get("resourceSpans", []):
                for scope in resource["scopeSpans"]:
                    self.spans += [(resource["resource"], span) for span in scope["spans"]]
            for resource in message.get("resourceMetrics", []):
                for scope in resource["scopeMetrics"]:
                    self.metrics += [(resource["resource"], metric) for metric in scope["metrics"]]
            self.changed.notify_all()

    def forget(self) -> None:
        with self.changed:
            self.spans, self.metrics = [], []

    def await_that(self, what: str, condition) -> None:
        """Waits until `condition` holds. The limit of a minute is for a machine that hangs."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout=60):
                raise AssertionError(f"{what}: not within a minute; spans {self.spans}, metrics {self.metrics}")
