"""The plots of the report, written as SVG by hand: the same records give the same bytes, whatever is installed.

Each plot is a list of groups, each group a list of bars on a logarithmic axis. Colours are Okabe and Ito's; light and
dark variants are two files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, TOP, BAR, GAP = 800, 190, 24, 74, 15, 12
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    paper: str
    ink: str
    faint: str
    colours: tuple[str, ...]


THEMES = {
    "": Theme("#ffffff", "#1f2328", "#d0d7de", ("#0072b2", "#d55e00", "#9a7bb0", "#6e7781")),
    "-dark": Theme("#0d1117", "#e6edf3", "#3d444d", ("#56b4e9", "#e69f00", "#cc99cc", "#9198a1")),
}


@dataclass(frozen=True)
class Bar:
    # The index of the plot's series, which has its colour.
    series: int
    value: float
    low: float
    high: float
    # A value to reach, marked on the bar's line.
    goal: float | None = None


@dataclass(frozen=True)
class Plot:
    title: str
    series: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]
    # The axis: where bars begin, and its name.
    origin: float
    axis: str
    # The base of the grid: 10, or 2 for ratios.
    base: int

    def bounds(self) -> tuple[int, int]:
        """The exponents of the axis's ends."""
        ends = [end for _, bars in self.groups for bar in bars for end in (bar.low, bar.high, bar.goal or bar.low)]
        log = [math.log(end, self.base) for end in (*ends, self.origin)]
        return math.floor(min(log)), math.ceil(max(log) + 0.15)


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def svg(plot: Plot, theme: Theme) -> str:
    low, high = plot.bounds()
    room = WIDTH - LEFT - RIGHT - 50

    def x(value: float) -> float:
        return LEFT + (math.log(value, plot.base) - low) / (high - low) * room

    lines: list[str] = []

    def text(at: float, y: float, words: str, anchor: str = "start", size: int = 12, weight: str = "normal") -> None:
        style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{theme.ink}"'
        lines.append(f'<text x="{at:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>')

    def stroke(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> None:
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        lines.append(f'<line {place} stroke="{colour}" stroke-width="{width}"/>')

    def box(at: float, y: float, width: float, height: float, colour: str) -> None:
        place = f'x="{at:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        lines.append(f'<rect {place} fill="{colour}"/>')

    bottom = TOP + sum(len(bars) * BAR + GAP for _, bars in plot.groups)
    text(16, 24, plot.title, size=15, weight="bold")
    at = 16.0
    for name, colour in zip(plot.series, theme.colours, strict=False):
        box(at, 39, 12, 12, colour)
        text(at + 18, 49, name)
        at += 40 + 6.6 * len(name)
    if any(bar.goal for _, bars in plot.groups for bar in bars):
        stroke(at + 4, 37, at + 4, 53, theme.ink, 2)
        text(at + 14, 49, "goal")
    for exponent in range(low, high + 1):
        tick = float(plot.base) ** exponent
        stroke(x(tick), TOP - 8, x(tick), bottom - GAP + 4, theme.faint)
        text(x(tick), bottom + 8, number(tick), "middle", 11)
    text(LEFT + room / 2, bottom + 28, plot.axis, "middle")
    y = float(TOP)
    for name, bars in plot.groups:
        text(LEFT - 12, y + len(bars) * BAR / 2 + 4, name, "end")
        for bar in bars:
            begin, end = sorted((x(plot.origin), x(bar.value)))
            box(begin, y + 2, max(end - begin, 1), BAR - 4, theme.colours[bar.series])
            stroke(x(bar.low), y + BAR / 2, x(bar.high), y + BAR / 2, theme.ink)
            if bar.goal:
                stroke(x(bar.goal), y, x(bar.goal), y + BAR, theme.ink, 2)
            text(max(end, x(bar.high), x(bar.goal or bar.value)) + 6, y + BAR - 4, number(bar.value), size=11)
            y += BAR
        y += GAP
    if plot.origin > float(plot.base) ** low:
        stroke(x(plot.origin), TOP - 8, x(plot.origin), bottom - GAP + 4, theme.ink)
    height = bottom + 42
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img" aria-label="{escape(plot.title)}" font-family="{FONT}">'
    )
    paper = f'<rect width="{WIDTH}" height="{height:.0f}" fill="{theme.paper}"/>'
    return "\n".join([head, paper, *lines, "</svg>", ""])
