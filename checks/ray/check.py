"""Trains with 1, 2 and 4 workers and in shuffled orders, through two servers, and compares the digests.

    python check.py --evenkeel PATH

The expected digests are those of README.md. Exits with 1 if one differs.
"""

import argparse
import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cluster
import merging
from cluster import ray
from service import MAX_NORM, Service
from train import Training

README = Path(__file__).with_name("README.md")
RUNS = [(1, None), (2, None), (4, None), (2, 1), (4, 2), (4, 3)]  # the number of workers, and the seed


@contextlib.contextmanager
def serving(evenkeel: str) -> Iterator[str]:
    """Runs a server, and checks that it ends with 0."""
    command = [evenkeel, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=60):
            raise SystemExit(f"the server has ended with {process.returncode}")
    finally:
        process.kill()


def expected() -> dict[str, str]:
    return dict(re.findall(r"^(\w+) +([0-9a-f]{64})$", README.read_text(encoding="utf-8"), re.MULTILINE))


def faults(training: Training, digests: dict[str, str], service: Service) -> list[str]:
    """What is not as README.md says."""
    differing = []
    if digests != expected():
        differing.append("the digests are not those of README.md")
    if service.clip(training.averaged()).tobytes() != training.clipped.tobytes():
        differing.append("the clipped pieces are not the whole, clipped in one call by its own norm")
    if min(training.norms) <= MAX_NORM or training.losses[-1] >= training.losses[0]:
        differing.append(f"nothing is clipped, or nothing learned: norms {training.norms}, losses {training.losses}")
    return differing


def compare(targets: list[str]) -> bool:
    """Trains in each way, and prints how each ended. Returns whether all digests are as expected."""
    same = True
    for workers, seed in RUNS:
        begun = time.monotonic()
        training = Training(workers, targets, seed)
        training.run()
        digests = training.digests()
        found = faults(training, digests, Service(targets[0]))
        training.end()
        order = "as they come" if seed is None else f"shuffled by seed {seed}"
        print(f"{'FAILED' if found else 'ok':7} {workers} workers, {order}, {time.monotonic() - begun:.1f} s")
        print(*(f"        {name:10} {digest}" for name, digest in digests.items()), sep="\n")
        print(*(f"        {fault}\n" for fault in found), sep="", end="", flush=True)
        same &= not found
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evenkeel", required=True, help="the binary")
    arguments = parser.parse_args()
    with serving(arguments.evenkeel) as first, serving(arguments.evenkeel) as second:
        cluster.start()
        try:
            same = compare([first, second])
        finally:
            ray.shutdown()
        merging.measure(first)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
