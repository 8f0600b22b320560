"""Measures what the merging of many workers' partials takes: their bytes, and the time of the fastest of nine calls.

    python merging.py --target 127.0.0.1:50051 --channels 256

Each worker has statistics of 4 images of 8x8 with so many channels, and the norm of 1,000 elements: normal numbers.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from service import Service

REPETITIONS = 9


def measure(target: str, channels: int = 8, workers: int = 1000) -> None:
    """Prints a line for each kind of partial."""
    service = Service(target)
    random = np.random.default_rng(1)

    def images() -> np.ndarray:
        return random.standard_normal((4, channels, 8, 8), dtype=np.float32)

    forward = [service.measure([images()]) for _ in range(workers)]
    report(f"statistics of {channels} channels", forward, service.merge_statistics)
    backward = [service.measure([images()], [images()]) for _ in range(workers)]
    report("the same with gradients", backward, service.merge_statistics)
    norms = [service.measure_gradient(random.standard_normal(1000, dtype=np.float32)) for _ in range(workers)]
    report("norms", norms, service.merge_norms)


def report(name: str, partials: list[bytes], merge: Callable[[list[bytes]], object]) -> None:
    seconds = []
    for _ in range(REPETITIONS):
        begun = time.perf_counter()
        merge(partials)
        seconds.append(time.perf_counter() - begun)
    size = sum(map(len, partials)) / len(partials)
    print(f"{name}: {size:.0f} bytes from each of {len(partials)} workers, merged in {min(seconds) * 1e3:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="HOST:PORT of a server")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1000)
    arguments = parser.parse_args()
    measure(arguments.target, arguments.channels, arguments.workers)


if __name__ == "__main__":
    main()
