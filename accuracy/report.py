"""Measures the whole grid against a running evenkeel and writes docs/accuracy.md and its plots.

    python report.py --target 127.0.0.1:50051           the whole report
    python report.py --target 127.0.0.1:50051 --short   a part of the grid, without PyTorch; writes nothing

Exits with 1, and prints the points, if an error is above the contract's limit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import sys
import time
import traceback
import warnings
from datetime import date
from pathlib import Path

import torch

import grid
import measure
import named
import plot
import self_test
import tables
from service import Service
from yardstick import LIMITS

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = Path(__file__).resolve().parent / "report.md"

worker: Service | None = None


def start(target: str) -> None:
    """Prepares a process. PyTorch gets one thread, since its sums depend on the number of threads."""
    global worker
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)
    worker = Service(target)


def of_point(task: tuple[int, grid.Point, bool]) -> tuple[int, list[measure.Figure] | str]:
    index, point, with_peer = task
    try:
        return index, measure.figures(worker, point, with_peer)
    except Exception:  # every exception reaches the parent, as text
        return index, f"{point}\n{traceback.format_exc()}"


def measured(target: str, points: list[grid.Point], with_peer: bool) -> list[measure.Figure]:
    """The figures in the order of the points. The longest rows are measured first, one at a time in each process."""
    tasks = sorted(enumerate(points), key=lambda task: -task[1].length)
    results: dict[int, list[measure.Figure]] = {}
    context = multiprocessing.get_context("spawn")
    jobs = min(4, len(os.sched_getaffinity(0)))
    with context.Pool(jobs, start, (target,)) as pool:
        for index, figures in pool.imap_unordered(of_point, [(i, point, with_peer) for i, point in tasks]):
            if isinstance(figures, str):
                raise SystemExit(f"could not be measured: {figures}")
            results[index] = figures
            if len(results) % 2000 == 0:
                print(f"{len(results)} of {len(points)} points", file=sys.stderr, flush=True)
    return [figure for index in range(len(points)) for figure in results[index]]


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def write(figures: list[measure.Figure], cases: list[named.Named], seconds: float) -> None:
    points = len({figure.point for figure in figures})
    versions = f"PyTorch {torch.__version__.split('+')[0]}, Python {platform.python_version()}, {cpu_model()}"
    values = {
        "DATE": date.today().isoformat(),
        "VERSIONS": versions,
        "MINUTES": f"{seconds / 60:.0f}",
        "POINTS": f"{points:,}",
        "ELEMENTS": f"{sum(figure.ours.elements for figure in figures) / 1e6:,.0f}",
        "LEFT_OUT": str(sum(figure.peer is None for figure in figures)),
        "OUTPUTS": f"{len(figures):,}",
        "VERDICT": verdict(figures, cases),
        "BY_OPERATION": "\n".join(tables.by_operation(figures)).strip(),
        "BY_SCALE": "\n".join(tables.by_field(figures, "scale", lambda value: f"{value:g}")).strip(),
        "BY_OFFSET": "\n".join(tables.by_field(figures, "offset", lambda value: f"{value:g}")).strip(),
        "BY_LENGTH": "\n".join(tables.by_field(figures, "length", lambda value: f"{value:,}")).strip(),
        "STRICT": "\n".join(tables.strict(figures)).strip(),
        "NAMED": "\n".join(tables.by_name(cases)).strip(),
    }
    text = TEXT.read_text()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    DOCS.mkdir(exist_ok=True)
    (DOCS / "accuracy.md").write_text(text)
    for name, theme in (("accuracy.svg", plot.LIGHT), ("accuracy-dark.svg", plot.DARK)):
        (DOCS / name).write_text(plot.svg(figures, theme, versions))


def verdict(figures: list[measure.Figure], cases: list[named.Named]) -> str:
    parts = []
    for dtype, limit in LIMITS.items():
        of_dtype = [figure for figure in figures if figure.point.dtype == dtype]
        worst = max(figure.ours.worst for figure in of_dtype)
        broken = sum(figure.broken for figure in of_dtype)
        kept = f"**{broken} outputs are beyond" if broken else "within"
        kept += f" the promised {limit:g}" + ("**" if broken else "")
        parts.append(f"- {dtype}: the worst error is {tables.number(worst)} ulp, {kept}.")
    worst = max(case.figure.ours.worst for case in cases)
    return "\n".join([*parts, f"- The [named failures](#named-failures): {tables.number(worst)} ulp at worst."])


def check(figures: list[measure.Figure], shown: int = 10) -> int:
    """Prints the outputs that are beyond the limits, the worst of each dtype first."""
    status = 0 if figures else 1
    for dtype, limit in LIMITS.items():
        of_dtype = sorted(
            (figure for figure in figures if figure.point.dtype == dtype), key=lambda figure: -figure.ours.worst
        )
        broken = [figure for figure in of_dtype if figure.broken]
        worst = max((figure.ours.worst for figure in of_dtype), default=0.0)
        print(f"{dtype}: worst {worst:.4g} ulp, limit {limit:g}, {len(broken)} of {len(of_dtype)} outputs above it")
        for figure in broken[:shown]:
            error = figure.ours
            print(f"  {figure.output} of {figure.point}")
            print(f"    {error.worst:.4g} ulp at element {error.place}: {error.got!r} instead of {error.expected!r}")
        status |= bool(broken)
    return status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="where evenkeel listens")
    parser.add_argument("--short", action="store_true", help="a part of the grid, without PyTorch; writes nothing")
    options = parser.parse_args()
    self_test.run()
    begun = time.monotonic()
    figures = measured(options.target, grid.short() if options.short else grid.full(), not options.short)
    cases = []
    if not options.short:
        start(options.target)
        cases = named.cases(worker)
        write(figures, cases, time.monotonic() - begun)
    print(f"{len(figures)} outputs in {time.monotonic() - begun:.0f} s")
    return check(figures + [case.figure for case in cases])


if __name__ == "__main__":
    sys.exit(main())
