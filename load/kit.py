"""What the scripts of this folder share: the cases, the service, payloads and configurations of ghz, and CPU time.

Needs nothing but the standard library.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "target" / "load"
READY = "listening on "
# In seconds: more than the service takes to answer its last calls.
STOPPED = 60
SIZES = ["typed", "4k", "256k", "4m"]
# Calls whose messages are bytes alone have no typed form.
STREAMS = ["NormalizeStream", "DropoutStream", "ClipGradientsStream", "MeasureStatistics"]
PROTO = {"proto": "proto/evenkeel/v1/tensor_ops.proto", "import-paths": ["proto"]}


class Case:
    """A call of one kind and size."""

    def __init__(self, name, call, arguments, size):
        self.name, self.call, self.arguments, self.size = name, call, arguments, size
        # ghz reads each request from a file: JSON where people would type it.
        self.data = RESULTS / f"{name}.{'json' if size == 'typed' else 'bin'}"

    def method(self):
        """The call with its service."""
        return self.call if "/" in self.call else f"evenkeel.v1.TensorOpsService/{self.call}"


def cases():
    """All cases by their names."""
    table = json.loads((ROOT / "load/cases.json").read_text())
    found = []
    for case in table["cases"]:
        for kind, shape in case["shape"].items():
            for size in SIZES:
                if size == "typed" and case["call"] in STREAMS:
                    continue
                arguments = ["--set", f"{case['set']}={kind}", "--shape", table["shapes"][shape][size]]
                arguments += case.get("flags", []) + table["more"].get(kind, [])
                arguments += ["--float-data"] if size == "typed" else []
                found.append(Case(f"{case['name']}-{kind}-{size}", case["call"], arguments, size))
    for case in table["without-size"]:
        found.append(Case(case["name"], case["call"], [], "typed"))
    return {case.name: case for case in found}


def write_payload(binary, case):
    """Has the program write the request of a case."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    command = [binary, "payload", case.call, *case.arguments, "--output", str(case.data), "--quiet"]
    if subprocess.run(command, check=False).returncode != 0:
        sys.exit(f"{case.name}: the request was not written")


def write_configuration(case, settings, with_reflection):
    """Writes the configuration with which ghz runs a case; returns its path, which is relative to the repository."""
    is_typed = case.data.suffix == ".json"
    configuration = {
        "name": case.name,
        "call": case.method(),
        "data-file" if is_typed else "binary-file": str(case.data.relative_to(ROOT)),
        "insecure": True,
        "concurrency": 8,
        "connections": 4,
        # Without it ghz reports the calls in flight at the end as failed.
        "duration-stop": "wait",
        # Without these ghz renders and parses the request again for each call.
        "disable-template-functions": True,
        "disable-template-data": True,
        # The answer to 4 MiB is longer than ghz's default.
        "max-recv-message-size": "16MB",
        "max-send-message-size": "16MB",
        **settings,
    }
    # The proto of the health check is not in the repository: ghz asks the server for it.
    if not with_reflection and "/" not in case.call:
        configuration |= PROTO
    path = RESULTS / f"{case.name}.ghz.json"
    path.write_text(json.dumps(configuration, indent=2) + "\n")
    return str(path.relative_to(ROOT))


@contextlib.contextmanager
def service(binary):
    """Runs the service on a free port of the loopback interface; yields its process id and address."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline().strip()
            if not line.startswith(READY):
                sys.exit(f"the service did not start: its first line is {line!r}")
            yield process.pid, line.removeprefix(READY)
        finally:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED)
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f"the service was still there {STOPPED} s after it was told to stop")
        if process.returncode != 0:
            sys.exit(f"the service exited with {process.returncode} when it was told to stop")


def cpu_seconds(pid):
    """User and system time of a process so far, or None where there is no /proc."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may contain spaces
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def percentile(report, wanted):
    """A percentile of the latency in a report, in milliseconds; None if there is none."""
    for point in report.get("latencyDistribution") or []:
        if point["percentage"] == wanted:
            return point["latency"] / 1e6
    return None
