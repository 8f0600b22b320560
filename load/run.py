"""Starts the service, runs ghz against it with every case that is asked for, prints one table, stops the service.

Exits with 1 if any call failed, if a case made no call, or if the service did not stop cleanly. Called by run.sh, which
builds the service first. Needs nothing but the standard library and ghz.
"""

import argparse
import json
import subprocess
import sys

import kit

# What runs where nothing is named: small JSON, and each size in binary.
USUAL = [f"{case}-{size}" for case in ["normalize-layer", "dropout-element", "clip-norm"] for size in kit.SIZES]


def run(case, address, configuration, form, suffix):
    """Runs ghz and returns the path of its report."""
    report = kit.RESULTS / f"{case.name}.report.{suffix}"
    command = ["ghz", "--config", configuration, "--format", form, "--output", str(report), address]
    status = subprocess.run(command, cwd=kit.ROOT, check=False).returncode
    if status != 0:
        sys.exit(f"{case.name}: ghz exited with {status}")
    return report


def measure(case, pid, address, arguments):
    """Runs one case, prints its row and its errors, and returns whether all calls succeeded."""
    settings = {"total": arguments.calls} if arguments.calls else {"duration": arguments.duration}
    if arguments.calls:
        settings["concurrency"] = min(8, arguments.calls)
        settings["connections"] = min(4, arguments.calls)
    if arguments.schedule:
        settings |= json.loads((kit.ROOT / "load/schedules.json").read_text())[arguments.schedule]
    configuration = kit.write_configuration(case, settings, arguments.reflection)
    before = kit.cpu_seconds(pid)
    report = json.loads(run(case, address, configuration, "json", "json").read_text())
    after = kit.cpu_seconds(pid)
    calls = report["count"]
    failed = calls - (report.get("statusCodeDistribution") or {}).get("OK", 0)
    cpu = "-" if before is None or after is None or not calls else f"{(after - before) / calls * 1e6:.0f}"
    p50, p99 = ("-" if time is None else f"{time:.2f}" for time in (kit.percentile(report, at) for at in (50, 99)))
    print(f"{case.name:42} {calls:9} {failed:8} {report['rps']:12.0f} {p50:>9} {p99:>9} {cpu:>16}", flush=True)
    for message, count in (report.get("errorDistribution") or {}).items():
        print(f"    {count} x {message}")
    if arguments.html:
        # ghz writes one form of report in a run.
        print(f"    {run(case, address, configuration, 'html', 'html').relative_to(kit.ROOT)}", flush=True)
    return calls > 0 and failed == 0


def main():
    cases = kit.cases()
    parser = argparse.ArgumentParser(description="Loads the service with ghz.")
    parser.add_argument("--server", required=True, help="the evenkeel binary to start")
    parser.add_argument("--duration", default="10s", help="how long each case runs, such as 30s (default: 10s)")
    parser.add_argument("--short", action="store_const", const="1s", dest="duration", help="one second each")
    parser.add_argument("--calls", type=int, help="so many calls of each case, in place of a duration")
    parser.add_argument("--all", action="store_true", help="every call and kind in every size")
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    parser.add_argument("--schedule", choices=["const", "step", "ramp"], help="a rate out of schedules.json, in place of a closed loop")
    parser.add_argument("--reflection", action="store_true", help="ask the server for the proto, in place of the file")
    parser.add_argument("--html", action="store_true", help="run each case again for a report in HTML")
    parser.add_argument("cases", nargs="*", metavar="NAME", help="of those that --list prints; a part of a name means all that have it")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(cases))
        return 0
    names = list(cases) if arguments.all else USUAL
    if arguments.cases:
        for part in arguments.cases:
            if not any(part in name for name in cases):
                parser.error(f"no case has {part} in its name")
        names = [name for name in cases if name in arguments.cases or any(part in name for part in arguments.cases)]

    for name in names:
        kit.write_payload(arguments.server, cases[name])
    with kit.service(arguments.server) as (pid, address):
        print(f"{'':42} {'calls':>9} {'failed':>8} {'calls/s':>12} {'p50 ms':>9} {'p99 ms':>9} {'server CPU us':>16}")
        passed = [measure(cases[name], pid, address, arguments) for name in names]
    print("\nThe last column is per call. From 256 KiB up ghz measures mostly itself: see load/README.md.")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
