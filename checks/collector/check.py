"""Checks the traces and metrics that an OpenTelemetry Collector receives from evenkeel, in plain text and over TLS.

    python check.py --evenkeel PATH --collector PATH --certificates FOLDER

The folder has `cert.pem`, a self-signed certificate for localhost, and `key.pem`. Exits with 1 if something differs from
docs/operating.md.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np

from sink import Sink

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import stubs  # noqa: E402

SERVICE = "evenkeel.v1.TensorOpsService"
# The ids of the caller's trace and span: the example of W3C's Trace Context.
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
KIND_SERVER = 2
OK, INVALID_ARGUMENT = "0", "3"

COLLECTOR = """
receivers:
  otlp/plain: {{ protocols: {{ grpc: {{ endpoint: "127.0.0.1:{plain}" }} }} }}
  otlp/tls:
    protocols:
      grpc:
        endpoint: "127.0.0.1:{tls}"
        tls: {{ cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem" }}
exporters:
  otlp_http:
    endpoint: "{sink}"
    encoding: json
    compression: none
    sending_queue: {{ enabled: false }}
service:
  telemetry: {{ logs: {{ level: warn }}, metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp/plain, otlp/tls], exporters: [otlp_http] }}
    metrics: {{ receivers: [otlp/plain, otlp/tls], exporters: [otlp_http] }}
"""


def equal(what: str, got, expected) -> None:
    if got != expected:
        raise AssertionError(f"{what}: {got!r} instead of {expected!r}")


# The attributes of spans about the work, beside those of every call of gRPC.
TIMES = ("evenkeel.queue_us", "evenkeel.compute_us")
SIZES = ("evenkeel.received_bytes", "evenkeel.sent_bytes")
WORK = {
    "Normalize": {"evenkeel.kind": "layer", "evenkeel.dtype": "float32", "evenkeel.shape": "[8]"},
    "Dropout": {"evenkeel.kind": "element", "evenkeel.dtype": "float32", "evenkeel.shape": "[8]"},
    "ClipGradients": {},
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def await_port(port: int, process: subprocess.Popen) -> None:
    """Waits until the process accepts connections. The limit of a minute is for a machine that hangs."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None:
                raise SystemExit(f"the collector has ended with {process.returncode}") from None
            if time.monotonic() > end:
                raise SystemExit("the collector does not listen within a minute") from None
            time.sleep(0.1)


def attributes(of: dict) -> dict:
    """The attributes by name. OTLP's JSON has integers as strings."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in of.get("attributes", [])}


@contextlib.contextmanager
def serving(evenkeel: str, *flags: str):
    """Runs an evenkeel that sends its data soon, and checks that it ends with 0 and logs no warning."""
    soon = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    command = [evenkeel, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn", *flags]
    process = subprocess.Popen(command, env={**os.environ, **soon}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=60)
        equal("the exit code and the log", (process.returncode, log), (0, ""))
    finally:
        process.kill()


def call(target: str) -> tuple[int, int]:
    """Makes a call with a parent span, one without and one that is wrong. Returns begin and end, in nanoseconds."""
    pb, rpc = stubs.load()
    began = time.time_ns()
    with grpc.insecure_channel(target) as channel:
        service = rpc.TensorOpsServiceStub(channel)
        data = np.arange(8, dtype=np.float32)
        tensor = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=data.shape, data=data.tobytes())
        request = pb.NormalizeRequest(kind=pb.NORM_KIND_LAYER, input=tensor)
        answer = service.Normalize(request, metadata=[("traceparent", f"00-{TRACE}-{PARENT}-01")])
        got = np.frombuffer(answer.output.data, np.float32)
        np.testing.assert_allclose(got, (data - data.mean()) / np.sqrt(data.var() + 1e-5), rtol=1e-6)
        service.Dropout(pb.DropoutRequest(p=0.5, seed=1, input=tensor))
        try:
            service.ClipGradients(pb.ClipGradientsRequest())
            raise AssertionError("an empty request is not refused")
        except grpc.RpcError as error:
            equal("the code of an empty request", error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    return began, time.time_ns()


def check_spans(sink: Sink, began: int, ended: int) -> None:
    expected = {"Normalize": OK, "Dropout": OK, "ClipGradients": INVALID_ARGUMENT}
    found = {span["name"]: (resource, span) for resource, span in sink.spans}
    equal("the spans", sorted(found), sorted(f"{SERVICE}/{method}" for method in expected))
    for method, status in expected.items():
        resource, span = found[f"{SERVICE}/{method}"]
        equal("the service", attributes(resource)["service.name"], "evenkeel")
        equal(f"the kind of {method}", span["kind"], KIND_SERVER)
        got = attributes(span)
        # Times differ from run to run, and a call that is refused has none.
        times = [int(got.pop(name)) for name in TIMES if name in got]
        equal(f"the times of {method}", len(times), len(TIMES) if status == OK else 0)
        sizes = [int(got.pop(name)) for name in SIZES]
        equal(f"whether {method} has bytes", [size > 0 for size in sizes], [True, status == OK])
        rpc = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": method, "rpc.grpc.status_code": status}
        equal(f"the attributes of {method}", got, rpc | WORK[method])
        # The client was wrong, not the server: no span is an error.
        equal(f"the status of {method}", span.get("status", {}).get("code", 0), 0)
        times = (began, int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]), ended)
        equal(f"the order of times of {method}", sorted(times), list(times))
        parents = (span["traceId"], span.get("parentSpanId", ""))
        if method == "Normalize":
            equal("the trace and the parent", parents, (TRACE, PARENT))
        elif parents[0] == TRACE or parents[1]:
            raise AssertionError(f"{method} has a parent, and nobody named one")


def points(sink: Sink) -> dict:
    """How many calls of each method and status the metrics have; they are cumulative."""
    return {
        (attributes(point)["rpc.method"], attributes(point)["rpc.grpc.status_code"]): int(point["count"])
        for _, metric in sink.metrics
        if metric["name"] == "rpc.server.duration"
        for point in metric["histogram"]["dataPoints"]
    }


def check_metrics(sink: Sink) -> None:
    equal("the names of the metrics", {metric["name"] for _, metric in sink.metrics}, {"rpc.server.duration"})
    for resource, metric in sink.metrics:
        equal("the service", attributes(resource)["service.name"], "evenkeel")
        equal("the unit", metric["unit"], "ms")
        for point in metric["histogram"]["dataPoints"]:
            named = attributes(point)
            equal("the attributes", sorted(named), ["rpc.grpc.status_code", "rpc.method", "rpc.service", "rpc.system"])
            equal("the count of the buckets", sum(map(int, point["bucketCounts"])), int(point["count"]))
            if not 0 < point["sum"] < 60_000:
                raise AssertionError(f"{point['sum']} ms for {named}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag in ("--evenkeel", "--collector", "--certificates"):
        parser.add_argument(flag, required=True)
    arguments = parser.parse_args()
    folder = Path(arguments.certificates).resolve()
    sink, plain, tls = Sink(), free_port(), free_port()
    settings = folder / "collector.yaml"
    settings.write_text(COLLECTOR.format(plain=plain, tls=tls, folder=folder, sink=sink.url))
    collector = subprocess.Popen([arguments.collector, "--config", f"file:{settings}"])
    try:
        for port in (plain, tls):
            await_port(port, collector)
        for way, flags in {
            "in plain text": ["--otlp-endpoint", f"http://127.0.0.1:{plain}"],
            "over TLS": ["--otlp-endpoint", f"https://localhost:{tls}", "--otlp-ca", str(folder / "cert.pem")],
        }.items():
            sink.forget()
            with serving(arguments.evenkeel, *flags) as target:
                began, ended = call(target)
                # The server sends while it serves, and not only when it ends.
                sink.await_that("three spans", lambda: len(sink.spans) >= 3)
                sink.await_that("three counts", lambda: len(points(sink)) >= 3)
            check_spans(sink, began, ended)
            check_metrics(sink)
            counts = {("Normalize", OK): 1, ("Dropout", OK): 1, ("ClipGradients", INVALID_ARGUMENT): 1}
            equal("the counts", points(sink), counts)
            print(f"{way}: {len(sink.spans)} spans, one a child of the caller's, and {len(counts)} counts arrived")
    finally:
        collector.terminate()
        collector.wait(timeout=60)


if __name__ == "__main__":
    main()
