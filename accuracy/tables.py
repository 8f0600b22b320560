"""The report's tables, in Markdown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

from grid import ClipPoint, DropoutPoint, NormPoint
from measure import Figure
from named import Named
from shapes import KINDS
from yardstick import LIMITS, Error

DTYPES = tuple(LIMITS)
ORDERS = {1.0: "order 1", 2.0: "order 2", math.inf: "order ∞"}


@dataclass
class Tally:
    """The errors of one row of a table."""

    elements: int = 0
    worst: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    strict: list[float] = field(default_factory=list)

    def add(self, error: Error) -> None:
        self.elements += error.elements
        self.worst.append(error.worst)
        self.medians.append(error.median)
        self.strict.append(error.strict)

    @property
    def wrong(self) -> int:
        """Points with a NaN or an infinity where there is a number."""
        return sum(math.isinf(worst) for worst in self.worst)


class Group(defaultdict):
    """Figures grouped by a key: for each key a tally of evenkeel's errors and one of PyTorch's."""

    def __init__(self, figures: Iterable[Figure], key: Callable[[Figure], object]):
        super().__init__(lambda: (Tally(), Tally()))
        for figure in figures:
            if (place := key(figure)) is not None:
                ours, peer = self[place]
                ours.add(figure.ours)
                if figure.peer is not None:
                    peer.add(figure.peer)


def number(value: float) -> str:
    if math.isinf(value) or math.isnan(value):
        return "NaN, inf"
    if value == 0 or 0.01 <= value < 1000:
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def worst(tally: Tally) -> str:
    return number(max(tally.worst)) if tally.worst else "–"


def middle(values: list[float]) -> str:
    return number(median(values)) if values else "–"


def table(header: list[str], rows: list[list[str]], left: int) -> list[str]:
    """The first `left` columns are text."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return ["", *("| " + " | ".join(row) + " |" for row in (header, rule, *rows)), ""]


def operation(figure: Figure) -> tuple[str, str] | None:
    """The section of an output and its name there; None if no table has it."""
    point = figure.point
    if isinstance(point, DropoutPoint):
        return ("Dropout", "Dropout" if figure.output == "output" else "DropoutBackward"), point.kind.upper()
    if isinstance(point, ClipPoint):
        mode = point.mode.upper()
        order = "" if mode == "VALUE" else ", " + ORDERS[point.order]
        if figure.output == "gradients":
            return ("ClipGradients", "gradients"), mode + order
        return None if mode == "VALUE" else (("ClipGradients", "norms"), mode + order)
    assert isinstance(point, NormPoint)
    if figure.output == "output":
        return ("Normalize", "output"), point.operation.upper()
    if figure.output in ("mean", "rstd", "running_mean", "running_var"):
        # Running statistics that are used are returned as they were sent.
        return None if point.mode == "running" else (("Normalize", "statistics"), figure.output)
    if figure.output == "grad_input":
        return ("NormalizeBackward", "grad_input"), point.operation.upper()
    return ("NormalizeBackward", "parameters"), figure.output


SECTIONS = {
    ("Normalize", "output"): "Normalize: output",
    ("Normalize", "statistics"): "Normalize: statistics of all kinds",
    ("NormalizeBackward", "grad_input"): "NormalizeBackward: grad_input",
    ("NormalizeBackward", "parameters"): "NormalizeBackward: gradients of weight and bias, all kinds",
    ("Dropout", "Dropout"): "Dropout",
    ("Dropout", "DropoutBackward"): "DropoutBackward",
    ("ClipGradients", "norms"): "ClipGradients: norms",
    ("ClipGradients", "gradients"): "ClipGradients: clipped gradients",
}


def by_operation(figures: list[Figure]) -> list[str]:
    header = ["", "data", "points", "elements", "ours worst", "median", "PyTorch worst", "median", "NaN, inf at"]
    lines = []
    groups = Group(figures, lambda figure: (named := operation(figure)) and (*named, figure.point.dtype))
    for family, title in SECTIONS.items():
        names = list(dict.fromkeys(name for section, name, _ in groups if section == family))
        names.sort(key=lambda name: KINDS.index(name.lower()) if name.lower() in KINDS else len(KINDS))
        rows = []
        for name, dtype in ((name, dtype) for name in names for dtype in DTYPES):
            if (family, name, dtype) not in groups:
                continue
            ours, peer = groups[family, name, dtype]
            points = [str(len(ours.worst)), number_of(ours.elements)]
            wrong = f"{peer.wrong} of {len(peer.worst)}" if peer.wrong else ("0" if peer.worst else "–")
            figures_of = [worst(ours), middle(ours.medians), worst(peer), middle(peer.medians), wrong]
            rows.append([name, dtype, *points, *figures_of])
        lines += [f"### {title}", *table(header, rows, 2)]
    return lines


def number_of(elements: int) -> str:
    return f"{elements:,}" if elements < 10_000_000 else f"{elements / 1e6:,.0f}e6"


def by_field(figures: list[Figure], name: str, values: Callable[[object], str]) -> list[str]:
    """The worst over all operations by one of the data's parameters."""
    header = [name, *(f"{dtype} {whose}" for dtype in DTYPES for whose in ("ours", "PyTorch"))]
    groups = Group(figures, lambda figure: (getattr(figure.point, name), figure.point.dtype))
    rows = []
    for value in sorted({value for value, _ in groups}):
        row = [values(value)]
        for dtype in DTYPES:
            if (value, dtype) not in groups:
                row += ["", ""]
                continue
            ours, peer = groups[value, dtype]
            row += [f"**{worst(ours)}**", f"{worst(peer)} ({middle(peer.worst)})"]
        rows.append(row)
    return table(header, rows, 1)


def strict(figures: list[Figure]) -> list[str]:
    """The sums whose terms may cancel, in ulp of the result itself."""
    header = ["output", "data", "ours by the contract", "ours in ulp of the result", "PyTorch by the contract",
              "PyTorch in ulp of the result"]  # fmt: skip

    def key(figure: Figure) -> tuple[str, str]:
        operation = "Dropout " if isinstance(figure.point, DropoutPoint) else ""
        return operation + figure.output, figure.point.dtype

    groups = Group((figure for figure in figures if figure.cancels), key)
    rows = []
    for name, dtype in sorted(groups, key=lambda key: (key[0], DTYPES.index(key[1]))):
        ours, peer = groups[name, dtype]
        own, theirs = (number(max(tally.strict)) if tally.strict else "–" for tally in (ours, peer))
        rows.append([name, dtype, worst(ours), own, worst(peer), theirs])
    return table(header, rows, 2)


def by_name(cases: list[Named]) -> list[str]:
    header = ["thread", "data, and what was reported", "ours worst", "median", "this PyTorch worst", "median"]
    rows = []
    for case in cases:
        ours, peer = case.figure.ours, case.figure.peer
        errors = [ours.worst, ours.median, peer.worst, peer.median]
        rows.append([case.thread, case.what, *map(number, errors)])
    return table(header, rows, 2)
