"""Runs ghz and `evenkeel load` in turns against the same server, and prints one table of both in Markdown.

The cells are medians over the rounds. Both send the same bytes, over as many connections, with as many calls in flight. The
figures of a round are not compared with those of another one, since a machine is never idle for long. Called by compare.sh.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys

import kit

CASES = ["normalize-layer", "dropout-element", "clip-norm", "normalize-stream-layer"]
SIZES = ["4k", "256k", "4m"]
GENERATORS = ["ghz", "evenkeel load"]


def own_seconds():
    """User and system time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def turn(generator, case, binary, pid, address, seconds):
    """Runs one generator on a case; returns its figures."""
    report = kit.RESULTS / f"{case.name}.compared.json"
    if generator == "ghz":
        configuration = kit.write_configuration(case, {"duration": f"{seconds}s"}, with_reflection=False)
        command = ["ghz", "--config", configuration, "--format", "json", "--output", str(report), address]
    else:
        command = [binary, "load", "--quiet", "--call", case.call, "--binary-file", str(case.data), "--server", address]
        command += ["--concurrency", "8", "--connections", "4", "--duration", f"{seconds}s"]
        command += ["--server-pid", str(pid), "--format", "json", "--output", str(report)]
    before, before_load = kit.cpu_seconds(pid), own_seconds()
    status = subprocess.run(command, cwd=kit.ROOT, check=False).returncode
    server, load = kit.cpu_seconds(pid) - before, own_seconds() - before_load
    content = json.loads(report.read_text())
    calls = content["count"]
    succeeded = (content.get("statusCodeDistribution") or {}).get("OK", 0)
    if status != 0 or not calls or succeeded != calls:
        sys.exit(f"{case.name}: {generator} exited with {status}; {succeeded} of {calls} calls succeeded")
    return {
        "calls/s": content["rps"],
        "p50 ms": kit.percentile(content, 50),
        "p99 ms": kit.percentile(content, 99),
        "server CPU µs": server / calls * 1e6,
        "own CPU µs": load / calls * 1e6,
    }


def cell(number):
    """A number with three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def main():
    parser = argparse.ArgumentParser(description="Compares ghz with `evenkeel load`.")
    parser.add_argument("--server", required=True, help="the evenkeel binary")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="the length of a turn (default: 3)")
    arguments = parser.parse_args()
    cases = kit.cases()
    names = [f"{case}-{size}" for case in CASES for size in SIZES]
    for name in names:
        kit.write_payload(arguments.server, cases[name])

    rows = []
    with kit.service(arguments.server) as (pid, address):
        for name in names:
            turns = {generator: [] for generator in GENERATORS}
            for number in range(arguments.rounds):
                # Each round in the reverse order of the one before.
                for generator in GENERATORS if number % 2 == 0 else reversed(GENERATORS):
                    figures = turn(generator, cases[name], arguments.server, pid, address, arguments.seconds)
                    turns[generator].append(figures)
            for generator in GENERATORS:
                figures = turns[generator]
                medians = {key: statistics.median(round[key] for round in figures) for key in figures[0]}
                rows.append([name, generator, *map(cell, medians.values())])
                print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    header = ["case", "generator", *turns["ghz"][0]]
    print(f"{arguments.rounds} turns of {arguments.seconds} s each, 8 calls in flight on 4 connections, on {platform.machine()}.\n")
    print("| " + " | ".join(header) + " |")
    print("|---|---|" + "--:|" * (len(header) - 2))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
