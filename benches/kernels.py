"""Times the kernels of evenkeel and of torch, in turns, on one core and one thread, and compares their results.

    python kernels.py --bench target/image/evenkeel-bench [--short]

Both get the same data. torch is called as programs call it: a call allocates its result. The kernels of evenkeel write
to a buffer that is reused, as in its server; large results of torch are fresh memory each time, which is a part of its
time. Clipping works in place on both sides; the gradients are restored before each call, which is not timed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn import functional

HERE = Path(__file__).resolve().parent
CORE = 0
ROW, IMAGE, GROUPS = 1024, (64, 32, 32), 32
P, SEED = 0.1, 42
SIZES = {"1m": 1 << 20, "64m": 64 << 20}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
OPERATIONS = ["layer", "rms", "group", "batch", "clip", "dropout"]
CASES = [*((operation, "f32") for operation in OPERATIONS), ("layer", "bf16"), ("layer", "f16")]
# The largest difference of results, relative to the larger of the number and 1: torch adds in float32.
TOLERANCE = {"f32": 1e-5, "bf16": 2**-7, "f16": 2**-10}
# One thread of torch adds up the squares of a whole gradient in float32.
NORM_TOLERANCE = 1e-3
TURN_NS = 60e6


@dataclass(frozen=True)
class Case:
    operation: str
    dtype: str
    size: str

    @property
    def bytes(self) -> int:
        return SIZES[self.size]

    @property
    def goal(self) -> str:
        return f"kernel-{self.operation}-{self.dtype}-{self.size}"

    def input(self) -> torch.Tensor:
        """`value` of data.rs: 24 bits of a multiplicative hash, in [-1, 1)."""
        dtype = DTYPES[self.dtype]
        index = np.arange(self.bytes // dtype.itemsize, dtype=np.uint32)
        hashed = (index * np.uint32(2654435761)) >> np.uint32(8)
        values = hashed.astype(np.float32) / np.float32(1 << 23) - np.float32(1)
        shape = (-1, *IMAGE) if self.operation in ("group", "batch") else (-1, ROW)
        return torch.from_numpy(values).to(dtype).reshape(shape)


class Ours:
    """The process that times the kernels of evenkeel."""

    def __init__(self, program: str):
        command = ["taskset", "-c", str(CORE), program, "kernels"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, verb: str, case: Case, last) -> str:
        self.process.stdin.write(f"{verb} {case.operation} {case.dtype} {case.bytes} {last}\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"evenkeel-bench kernels ended, with {self.process.wait()}")
        return answer

    def nanoseconds(self, case: Case, iterations: int) -> float:
        return float(self.ask("run", case, iterations))

    def result(self, case: Case) -> torch.Tensor:
        with tempfile.NamedTemporaryFile() as file:
            self.ask("save", case, file.name)
            data = bytearray(Path(file.name).read_bytes())
        return torch.frombuffer(data, dtype=DTYPES[case.dtype])


class Torch:
    """The same operation by torch."""

    def __init__(self, case: Case):
        self.case, self.x = case, case.input()
        self.parameter = torch.nn.Parameter(self.x)
        self.parameter.grad = self.x.clone() if case.operation == "clip" else None

    def prepare(self) -> None:
        if self.case.operation == "clip":
            self.parameter.grad.copy_(self.x)

    def call(self) -> torch.Tensor:
        x = self.x
        match self.case.operation:
            case "layer":
                return functional.layer_norm(x, (ROW,))
            case "rms":
                return functional.rms_norm(x, (ROW,))
            case "group":
                return functional.group_norm(x, GROUPS)
            case "batch":
                return functional.batch_norm(x, None, None, training=True)
            case "dropout":
                return functional.dropout(x, P, training=True)
            case "clip":
                torch.nn.utils.clip_grad_norm_(self.parameter, 1.0)
                return self.parameter.grad
        raise AssertionError(self.case.operation)

    def nanoseconds(self, iterations: int) -> float:
        times = []
        for _ in range(iterations):
            self.prepare()
            started = time.perf_counter_ns()
            result = self.call()
            times.append(time.perf_counter_ns() - started)
            del result
        return median(times)


def check(case: Case, ours: Ours, peer: Torch) -> None:
    """Compares both results. The masks of dropout differ by design: evenkeel's is that of NumPy's Philox stream."""
    got = ours.result(case)
    if case.operation == "dropout":
        count = got.numel()
        words = np.random.Philox(key=SEED).random_raw((count + 1) // 2).view("<u4")[:count]
        keep = torch.from_numpy(words >= np.uint64(math.ceil(P * 2**32)))
        wanted = torch.where(keep, peer.x.flatten().double() / (1 - P), 0.0)
    else:
        peer.prepare()
        wanted = peer.call().flatten().double()
    limit, floor = (NORM_TOLERANCE, 1e-9) if case.operation == "clip" else (TOLERANCE[case.dtype], 1.0)
    error = ((got.double() - wanted).abs() / wanted.abs().clamp(min=floor)).max().item()
    if not error <= limit:
        raise SystemExit(f"{case}: the results differ by {error:.3g}, which is above {limit:.3g}")


def measure(case: Case, ours: Ours, rounds: int) -> tuple[list[float], list[float]]:
    """Nanoseconds of a call, turn by turn: of evenkeel, of torch."""
    peer = Torch(case)
    check(case, ours, peer)
    # As many calls as fill a turn of torch, and at least three.
    iterations = max(3, min(2000, int(TURN_NS / peer.nanoseconds(3))))
    turns = [[], []]
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            times = peer.nanoseconds(iterations) if side else ours.nanoseconds(case, iterations)
            turns[side].append(times)
    return turns[0], turns[1]


def summary(numbers: list[float]) -> dict[str, float]:
    return {"median": median(numbers), "min": min(numbers), "max": max(numbers)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Times the kernels of evenkeel and of torch.")
    parser.add_argument("--bench", required=True, help="the program evenkeel-bench")
    parser.add_argument("--records", type=Path, default=Path("target/benchmarks"))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--short", action="store_true", help="1 MiB only")
    arguments = parser.parse_args()

    os.sched_setaffinity(0, {CORE})
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    began, clock = int(time.time()), time.monotonic()
    goals = {goal["id"]: goal for goal in json.loads((HERE / "goals.json").read_text())}
    ours = Ours(arguments.bench)
    record = {"bench": "kernels", "began": began, "rounds": arguments.rounds, "goals": [], "figures": []}
    print(f"{'':34} {'evenkeel us':>12} {'torch us':>12} {'goal':>7} {'ratio':>7} {'min .. max':>16}")
    for size in ["1m"] if arguments.short else SIZES:
        for operation, dtype in CASES:
            case = Case(operation, dtype, size)
            mine, theirs = measure(case, ours, arguments.rounds)
            ratio = summary([b / a for a, b in zip(mine, theirs, strict=True)])
            goal = goals[case.goal]
            record["goals"].append({"id": case.goal, **ratio})
            for contender, times in (("evenkeel", mine), ("torch", theirs)):
                micros = summary([time / 1e3 for time in times])
                record["figures"].append({"case": goal["what"], "contender": contender, "what": "us", **micros})
            verdict = "reached" if ratio["median"] >= goal["at_least"] else "NOT reached"
            span = f"{ratio['min']:.2f} .. {ratio['max']:.2f}"
            print(
                f"{goal['what']:34} {median(mine) / 1e3:12.1f} {median(theirs) / 1e3:12.1f}"
                f" {goal['at_least']:7} {ratio['median']:7.2f} {span:>16}  {verdict}",
                flush=True,
            )
    record["seconds"] = time.monotonic() - clock
    arguments.records.mkdir(parents=True, exist_ok=True)
    (arguments.records / "kernels.json").write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
