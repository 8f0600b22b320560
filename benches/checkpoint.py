"""Large files through servers and a client that the operating system holds to a little memory.

    python3 benches/checkpoint.py [--gib 8] [--limit-mib 256] [--folder DIR]

A checkpoint in four shards is clipped by its global norm over two servers, and its elements are dropped with one seed; images are
normalized by batch in two passes. Every byte of the results is compared with NumPy's (the images within one unit in the last
place; `tests/cli/two_passes.rs` compares them with a call that has all of them). Needs Linux with control groups of memory, root,
NumPy, the program as built with `--profile image`, and three times the size of the checkpoint on the disk.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROGRAM = Path("target/image/evenkeel").resolve()
SEED = 42
DROPPED = 0.1
THRESHOLD = 1.0
EPSILON = 1e-6
# A server of these limits needs no more than 256 MiB: see SECURITY.md.
LIMITS = ["--max-bytes-in-flight", str(96 << 20), "--max-message-bytes", str(16 << 20), "--buffer-pool-bytes", str(16 << 20)]
# Elements that are made and compared at a time.
BLOCK = 1 << 23


class Group:
    """A control group, which holds processes to so many bytes, with what they read and write kept in memory by the system."""

    def __init__(self, name: str, limit: int) -> None:
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        self.folder = Path("/sys/fs/cgroup" if unified else "/sys/fs/cgroup/memory") / f"evenkeel-{os.getpid()}-{name}"
        self.folder.mkdir()
        # Swap would hide what does not fit.
        names = ("memory.max", "memory.swap.max") if unified else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        (self.folder / names[0]).write_text(str(limit))
        with contextlib.suppress(OSError):
            (self.folder / names[1]).write_text("0" if unified else str(limit))
        self.failures = self.folder / ("memory.events" if unified else "memory.oom_control")

    def enter(self) -> None:
        """Moves this process into the group; for a child before it runs its program."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def killed(self) -> int:
        """How many processes the system ended because they did not fit."""
        for line in self.failures.read_text().splitlines():
            key, value = line.split()
            if key == "oom_kill":
                return int(value)
        return 0

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()


@dataclass
class Server:
    process: subprocess.Popen[str]
    group: Group
    url: str

    def peak(self) -> int:
        """The most memory that it had, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the process has no VmHWM")


@contextlib.contextmanager
def servers(count: int, limit: int) -> Iterator[list[Server]]:
    started: list[Server] = []
    groups = [Group(f"server-{index}", limit) for index in range(count)]
    try:
        for group in groups:
            process = subprocess.Popen(
                [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--log-level", "off", *LIMITS],
                preexec_fn=group.enter,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("listening on ").strip()
            started.append(Server(process, group, f"http://{address}"))
        yield started
    finally:
        for server in started:
            server.process.terminate()
            server.process.wait()
        for group in groups:
            group.close()


def blocks(count: int) -> Iterator[int]:
    for start in range(0, count, BLOCK):
        yield min(BLOCK, count - start)


def header(name: str, shape: list[int]) -> bytes:
    """The beginning of a .safetensors file with one float32 tensor."""
    text = json.dumps({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * math.prod(shape)]}})
    text += " " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text.encode()


def make_shard(path: Path, name: str, shape: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(header(name, shape))
        for count in blocks(math.prod(shape)):
            file.write(rng.standard_normal(count, dtype=np.float32).tobytes())


@contextlib.contextmanager
def elements(path: Path) -> Iterator[Iterator[NDArray[np.float32]]]:
    """The elements of a file with one tensor, in blocks."""
    with path.open("rb") as file:
        file.seek(int.from_bytes(file.read(8), "little"), os.SEEK_CUR)
        count = (path.stat().st_size - file.tell()) // 4
        yield (np.fromfile(file, dtype="<f4", count=part) for part in blocks(count))


def sum_of_squares(paths: list[Path]) -> Fraction:
    """The exact sum of the squares of all elements."""
    # An element is a whole number below 2^24 in units of its exponent; its square is cut into halves of 24 bits, of which
    # float64 adds 2^29 exactly.
    high, low = np.zeros(256), np.zeros(256)
    for path in paths:
        with elements(path) as parts:
            for part in parts:
                bits = part.view(np.uint32)
                exponents = ((bits >> 23) & 255).astype(np.int64)
                mantissas = ((bits & 0x7FFFFF) | np.where(exponents > 0, np.uint32(1 << 23), np.uint32(0))).astype(np.uint64)
                squares = mantissas * mantissas
                high += np.bincount(exponents, weights=(squares >> np.uint64(24)).astype(np.float64), minlength=256)
                low += np.bincount(exponents, weights=(squares & np.uint64(0xFFFFFF)).astype(np.float64), minlength=256)
    total = Fraction(0)
    for exponent in range(255):
        units = int(high[exponent]) * (1 << 24) + int(low[exponent])
        total += Fraction(units) * Fraction(2) ** (2 * (max(exponent, 1) - 150))
    return total


def root(square: Fraction) -> float:
    """The square root, rounded once."""
    # Enough bits that a float64 is decided, with the rest folded into the last one.
    shift = 140 - (square.numerator.bit_length() - square.denominator.bit_length()) // 2
    scaled = square * Fraction(4) ** shift
    whole = math.isqrt(scaled.numerator // scaled.denominator)
    exact = whole * whole == scaled
    return float(Fraction(2 * whole + (0 if exact else 1), 2) / Fraction(2) ** shift)


def draws(start: int, count: int) -> NDArray[np.uint32]:
    """Draws `start` to `start + count` of the stream that decides which elements are kept."""
    skipped = start % 8
    stream = np.random.Philox(key=SEED, counter=start // 8)
    return stream.random_raw((skipped + count + 1) // 2).view("<u4")[skipped : skipped + count]


def run(command: list[str | Path], limit: int, used: list[Server]) -> float:
    """Runs a command of the program within the limit, and prints what it took."""
    group = Group("client", limit)
    before = [server.group.killed() for server in used]
    begun = time.monotonic()
    process = subprocess.Popen([PROGRAM, *command, "--quiet"], preexec_fn=group.enter)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    killed = group.killed() + sum(server.group.killed() for server in used) - sum(before)
    group.close()
    code = os.waitstatus_to_exitcode(status)
    if code != 0 or killed:
        sys.exit(f"FAILED: {command[0]} ended with {code}; the system ended {killed} processes that did not fit")
    peaks = ", ".join(f"{server.peak() >> 20}" for server in used)
    print(f"  {command[0]}: {seconds:.1f} s; most memory: client {usage.ru_maxrss >> 10} MiB, servers {peaks} MiB", flush=True)
    return seconds


def compare(before: Path, after: Path, expected: object) -> None:
    """Compares every byte of a result with what a function makes of the elements before, and of the index of the first."""
    assert callable(expected)
    start = 0
    with elements(before) as olds, elements(after) as news:
        for old, new in zip(olds, news, strict=True):
            want = expected(old, start)
            if want.tobytes() != new.tobytes():
                at = start + int(np.flatnonzero(want.view(np.uint32) != new.view(np.uint32))[0])
                sys.exit(f"FAILED: {after}: element {at} differs")
            start += len(old)


def checkpoint(folder: Path, gib: float, limit: int) -> None:
    rows = max(1, int(gib * (1 << 30)) // 4 // 4 // 4096)
    shards = [folder / f"model-{index}-of-4.safetensors" for index in range(1, 5)]
    for index, path in enumerate(shards):
        make_shard(path, f"layer.{index}.weight", [rows, 4096], index)
    index_file = folder / "model.safetensors.index.json"
    names = {f"layer.{index}.weight": path.name for index, path in enumerate(shards)}
    index_file.write_text(json.dumps({"metadata": {"total_size": rows * 4096 * 16}, "weight_map": names}))
    out = folder / "out"
    print(f"a checkpoint of {gib} GiB in four shards, two servers, each process held to {limit >> 20} MiB")
    with servers(2, limit) as two:
        urls = ",".join(server.url for server in two)
        out.mkdir()
        run(["clip", index_file, "-o", out, "--threshold", str(THRESHOLD), "--servers", urls], limit, two)
        norm = root(sum_of_squares(shards))
        scale = min(1.0, THRESHOLD / (norm + EPSILON))
        for path in shards:
            compare(path, out / path.name, lambda old, _: (old.astype(np.float64) * scale).astype(np.float32))
        print(f"  every byte is NumPy's: norm {norm!r}, factor {scale!r}", flush=True)
        shutil.rmtree(out)

        out.mkdir()
        run(["dropout", index_file, "-o", out, "--p", str(DROPPED), "--seed", str(SEED), "--servers", urls], limit, two)
        threshold, factor = math.ceil(Fraction(DROPPED) * (1 << 32)), 1.0 / (1.0 - DROPPED)
        for index, path in enumerate(shards):
            offset = index * rows * 4096

            def expected(old: NDArray[np.float32], start: int, offset: int = offset) -> NDArray[np.float32]:
                kept = draws(offset + start, len(old)) >= threshold
                return np.where(kept, (old.astype(np.float64) * factor).astype(np.float32), np.float32(0))

            compare(path, out / path.name, expected)
        print("  every byte is NumPy's", flush=True)
        shutil.rmtree(out)
    for path in [*shards, index_file]:
        path.unlink()


def images(folder: Path, gib: float, limit: int) -> None:
    samples = max(1, int(gib * (1 << 30)) // 4 // (64 * 128 * 128))
    before, after = folder / "images.safetensors", folder / "normalized.safetensors"
    make_shard(before, "images", [samples, 64, 128, 128], 7)
    print(f"images of {gib} GiB, normalized by batch in two passes, one server, each process held to {limit >> 20} MiB")
    with servers(1, limit) as one:
        command: list[str | Path] = ["normalize", before, "--kind", "batch", "-o", after, "--server", one[0].url]
        run(command, limit, one)
    sums, squares = np.zeros(64), np.zeros(64)
    with elements(before) as parts:
        for part in parts:
            wide = part.astype(np.float64).reshape(-1, 64, 128 * 128)
            sums += wide.sum(axis=(0, 2))
            squares += (wide * wide).sum(axis=(0, 2))
    count = samples * 128 * 128
    mean = sums / count
    rstd = 1.0 / np.sqrt(squares / count - mean * mean + 1e-5)
    with elements(before) as olds, elements(after) as news:
        for old, new in zip(olds, news, strict=True):
            wide = old.astype(np.float64).reshape(-1, 64, 128 * 128)
            want = ((wide - mean[:, None]) * rstd[:, None]).astype(np.float32).reshape(-1)
            far = np.abs(new.astype(np.float64) - want) > np.spacing(np.maximum(np.abs(want), np.float32(1e-6)))
            if far.any():
                sys.exit(f"FAILED: {after}: {int(far.sum())} elements are further than one unit in the last place")
    print("  every element is NumPy's within a unit in the last place", flush=True)
    before.unlink()
    after.unlink()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=8.0, help="the size of the checkpoint; images have a quarter of it")
    parser.add_argument("--limit-mib", type=int, default=256, help="the memory of each process")
    parser.add_argument("--folder", help="where the files are made; default: a folder for temporary files")
    arguments = parser.parse_args()
    # The files of a run are removed, also when it fails.
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        checkpoint(Path(folder), arguments.gib, arguments.limit_mib << 20)
        images(Path(folder), arguments.gib / 4, arguments.limit_mib << 20)
    print(f"this script itself took {resource.getrusage(resource.RUSAGE_SELF).ru_utime:.0f} s of processor time")


if __name__ == "__main__":
    main()
