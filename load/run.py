"""Starts the service, runs the ghz configurations of this folder against it, prints one table, stops the service.

Exits with 1 if any call failed, if a configuration made no call, or if the service did not stop cleanly. Called by
run.sh, which builds the service and the payloads first. Needs nothing but the standard library and ghz.
"""

import argparse
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
OPERATIONS = ["normalize", "dropout", "clip"]
# In seconds: more than the service takes to answer its last calls.
STOPPED = 60
SIZES = ["typed", "256k", "4m"]
CONFIGURATIONS = [f"{operation}-{size}" for operation in OPERATIONS for size in SIZES]


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


def run(name, address, duration):
    """Runs one configuration and returns ghz's report."""
    report = RESULTS / f"{name}.report.json"
    command = ["ghz", "--config", f"load/{name}.json", "--format", "json", "--output", str(report)]
    if duration:
        command += ["--duration", duration]
    status = subprocess.run([*command, address], cwd=ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"{name}: ghz exited with {status}")
    return json.loads(report.read_text())


def percentile(report, wanted):
    """A percentile of the latency, in milliseconds."""
    for point in report.get("latencyDistribution") or []:
        if point["percentage"] == wanted:
            return f"{point['latency'] / 1e6:.2f}"
    return "-"


def measure(name, pid, address, duration):
    """Runs one configuration, prints its row and its errors, and returns whether all calls succeeded."""
    before = cpu_seconds(pid)
    report = run(name, address, duration)
    after = cpu_seconds(pid)
    calls = report["count"]
    failed = calls - (report.get("statusCodeDistribution") or {}).get("OK", 0)
    cpu = "-" if before is None or after is None or not calls else f"{(after - before) / calls * 1e6:.0f}"
    p50, p99 = percentile(report, 50), percentile(report, 99)
    print(f"{name:16} {calls:9} {failed:8} {report['rps']:12.0f} {p50:>9} {p99:>9} {cpu:>16}", flush=True)
    for message, count in (report.get("errorDistribution") or {}).items():
        print(f"    {count} x {message}")
    return calls > 0 and failed == 0


def main():
    parser = argparse.ArgumentParser(description="Loads the service with ghz.")
    parser.add_argument("--server", required=True, help="the evenkeel binary to start")
    parser.add_argument("--duration", help="how long each configuration runs, such as 30s (default: the duration in its file)")
    parser.add_argument("--short", action="store_const", const="1s", dest="duration", help="one second each")
    parser.add_argument("configurations", nargs="*", metavar="NAME", help=f"of {', '.join(CONFIGURATIONS)}")
    arguments = parser.parse_args()
    names = arguments.configurations or CONFIGURATIONS
    if unknown := [name for name in names if name not in CONFIGURATIONS]:
        parser.error(f"no such configuration: {', '.join(unknown)}")

    with service(arguments.server) as (pid, address):
        print(f"{'':16} {'calls':>9} {'failed':>8} {'calls/s':>12} {'p50 ms':>9} {'p99 ms':>9} {'server CPU us':>16}")
        passed = [measure(name, pid, address, arguments.duration) for name in names]
    print("\nThe last column is per call. From 256 KiB up ghz measures mostly itself: see load/README.md.")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
