"""The report's plot, written as SVG by hand: the same figures give the same bytes, whatever is installed.

One row for each operation, one panel for each dtype. A bar reaches from the median error to the worst one. Blue circles
and orange diamonds (Okabe and Ito's palette) differ in shape too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from statistics import median

from grid import ClipPoint, DropoutPoint
from measure import Figure
from tables import Group, Tally

PANELS = ("float32", "bfloat16", "float16")
ROWS = (
    "Layer", "RMS", "Batch", "Instance", "Group", "L2", "statistics",
    "Layer backward", "RMS backward", "Batch backward", "Instance backward", "Group backward", "L2 backward",
    "weight, bias backward",
    "dropout, both ways", "total norm", "clipped gradients",
)  # fmt: skip
NAMES = {"layer": "Layer", "rms": "RMS", "batch": "Batch", "instance": "Instance", "group": "Group", "l2": "L2"}

LEFT, TOP, ROW, PANEL, GAP, EDGE = 148, 92, 22, 170, 14, 34
WIDTH = LEFT + 3 * (PANEL + EDGE) + 2 * GAP + 12
HEIGHT = TOP + len(ROWS) * ROW + 84
# Decades on the axis.
LOW, HIGH = -2, 10


@dataclass(frozen=True)
class Theme:
    paper: str
    ink: str
    faint: str
    band: str
    ours: str
    peer: str


LIGHT = Theme("#ffffff", "#1f2328", "#d0d7de", "#f3f5f7", "#0072b2", "#d55e00")
DARK = Theme("#0d1117", "#e6edf3", "#3d444d", "#161b22", "#56b4e9", "#e69f00")


def row_of(figure: Figure) -> str | None:
    point = figure.point
    if isinstance(point, DropoutPoint):
        return "dropout, both ways"
    if isinstance(point, ClipPoint):
        return "clipped gradients" if figure.output == "gradients" else "total norm"
    if figure.output == "output":
        return NAMES[point.operation]
    if figure.output == "grad_input":
        return NAMES[point.operation] + " backward"
    return "weight, bias backward" if figure.output.startswith("grad") else "statistics"


def x_of(value: float, left: float) -> float:
    """Values above the axis are in the column beyond it, values below it at its beginning."""
    if value > 10.0**HIGH:
        return left + PANEL + EDGE / 2
    decades = max(math.log10(value), LOW) if value > 0 else LOW
    return left + (decades - LOW) / (HIGH - LOW) * PANEL


class Drawing:
    def __init__(self, theme: Theme):
        self.theme, self.lines = theme, []

    def add(self, line: str) -> None:
        self.lines.append(line)

    def text(self, x: float, y: float, words: str, anchor="start", size=11, weight="normal", fill=None) -> None:
        attributes = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{fill or self.theme.ink}"'
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1.0, dashes="") -> None:
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.add(f'<line {place} stroke="{colour}" stroke-width="{width}"{dash}/>')

    def circle(self, x, y, filled: bool) -> None:
        colour = self.theme.ours
        fill = colour if filled else self.theme.paper
        self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>')

    def diamond(self, x, y, filled: bool) -> None:
        colour = self.theme.peer
        fill = colour if filled else self.theme.paper
        points = f"{x:.1f},{y - 4.8:.1f} {x + 4.8:.1f},{y:.1f} {x:.1f},{y + 4.8:.1f} {x - 4.8:.1f},{y:.1f}"
        self.add(f'<polygon points="{points}" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>')

    def bar(self, tally: Tally, left: float, y: float, mark, colour: str) -> None:
        if tally.worst:
            middle, worst = x_of(median(tally.medians), left), x_of(max(tally.worst), left)
            self.line(middle, y, worst, y, colour, 2)
            mark(middle, y, False)
            mark(worst, y, True)


def svg(figures: list[Figure], theme: Theme, versions: str) -> str:
    draw, groups = Drawing(theme), Group(figures, lambda figure: (row_of(figure), figure.point.dtype))
    draw.text(16, 24, "Error in units of the last place: evenkeel and PyTorch on the same data", size=15, weight="bold")
    legend(draw)
    for number, dtype in enumerate(PANELS):
        left = LEFT + number * (PANEL + EDGE + GAP)
        panel(draw, left, dtype)
        for index, row in enumerate(ROWS):
            if (row, dtype) in groups:
                ours, peer = groups[row, dtype]
                y = TOP + (index + 0.5) * ROW
                draw.bar(peer, left, y + 4.5, draw.diamond, theme.peer)
                draw.bar(ours, left, y - 4.5, draw.circle, theme.ours)
    for index, row in enumerate(ROWS):
        draw.text(LEFT - 12, TOP + (index + 0.5) * ROW + 4, row, "end")
    bottom = TOP + len(ROWS) * ROW
    for line, words in enumerate(
        (
            "Ulp of the exact result, of the largest term where terms cancel. The strong line, 1 ulp, is the promise.",
            "Last column: above 1e10, or NaN or infinity where there is a number.",
            "Scales 1e-38 to 1e38 (float16: 1e-7 to 2e4), offsets up to 1e6 spreads, rows of 2 to 1e7. " + versions,
        )
    ):
        draw.text(16, bottom + 44 + 16 * line, words)
    style = "font-family=\"-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif\""
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {size} {style} role="img">'
    title = "<title>Worst and median error of evenkeel and of PyTorch, by operation and dtype</title>"
    paper = f'<rect {size} rx="8" fill="{theme.paper}"/>'
    return "\n".join([head, title, paper, *draw.lines, "</svg>", ""])


def legend(draw: Drawing) -> None:
    for x, mark, colour, name in (
        (22, draw.circle, draw.theme.ours, "evenkeel"),
        (232, draw.diamond, draw.theme.peer, "PyTorch"),
    ):
        draw.line(x, 46, x + 34, 46, colour, 2)
        mark(x, 46, False)
        mark(x + 34, 46, True)
        draw.text(x + 46, 50, f"{name}: median to worst")


def panel(draw: Drawing, left: float, dtype: str) -> None:
    theme, bottom = draw.theme, TOP + len(ROWS) * ROW
    draw.text(left + PANEL / 2, TOP - 10, dtype, "middle", 13, "bold")
    for index in range(0, len(ROWS), 2):
        place = f'x="{left - 8}" y="{TOP + index * ROW}" width="{PANEL + EDGE + 8}" height="{ROW}"'
        draw.add(f'<rect {place} fill="{theme.band}"/>')
    for decade in range(LOW, HIGH + 1, 2):
        x = x_of(10.0**decade, left)
        draw.line(x, TOP, x, bottom, theme.faint)
        if decade < HIGH:
            draw.text(x, bottom + 14, {-2: "0.01", 0: "1"}.get(decade, f"1e{decade}"), "middle", 10)
    one = x_of(1.0, left)
    draw.line(one, TOP - 2, one, bottom, theme.ink, 1.4)
    draw.line(left + PANEL + 8, TOP, left + PANEL + 8, bottom, theme.faint, 1, "2 3")
    draw.text(left + PANEL + EDGE / 2, bottom + 14, "NaN, inf", "middle", 10)
