"""Turns the record of a soak into docs/soak.md and its plots. Needs nothing but Python."""

from __future__ import annotations

import json
import math
import platform
import statistics
import sys
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from plot import FONT, THEMES, Theme

WIDTH, LEFT, RIGHT, PANEL, GAP, TOP = 800, 64, 24, 170, 66, 44
# The seconds of each point of a line.
STEP = 4


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def points(samples: list[dict], value) -> list[tuple[float, float]]:
    groups = [samples[i : i + STEP] for i in range(0, len(samples), STEP)]
    return [(g[0]["second"], statistics.median(value(sample) for sample in g)) for g in groups]


def panel(title: str, top: float, lines: dict, end: float, ticks: list[float], log: bool, theme: Theme) -> list[str]:
    scale = math.log10 if log else float
    low, high = scale(ticks[0]), scale(ticks[-1])
    out: list[str] = []

    def x(second: float) -> float:
        return LEFT + second / end * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return top + PANEL - (scale(min(max(value, ticks[0]), ticks[-1])) - low) / (high - low) * PANEL

    def text(at: float, where: float, words: str, anchor: str, colour: str, weight: str = "normal") -> None:
        style = f'text-anchor="{anchor}" font-size="12" font-weight="{weight}" fill="{colour}"'
        out.append(f'<text x="{at:.1f}" y="{where:.1f}" {style}>{escape(words)}</text>')

    text(16, top - 16, title, "start", theme.ink, "bold")
    at = 16 + 7.2 * len(title) + 24
    for tick in ticks:
        out.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="{theme.faint}"/>')
        text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end", theme.ink)
    for minute in range(int(end // 60) + 1):
        text(x(minute * 60), top + PANEL + 18, f"{minute} min", "middle", theme.ink)
    for (name, line), colour in zip(lines.items(), theme.colours, strict=False):
        path = "L".join(f"{x(second):.1f} {y(value):.1f}" for second, value in line)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<path d="M{at:.1f} {top - 20:.1f}h16" stroke="{colour}" stroke-width="3"/>')
        text(at + 21, top - 16, name, "start", theme.ink)
        at += 44 + 6.6 * len(name)
    return out


def svg(record: dict, theme: Theme) -> str:
    samples = record["samples"]
    end = max(samples[-1]["second"], 1)
    memory = {
        "resident": points(samples, lambda s: s["resident_mib"]),
        "in flight, counted": points(samples, lambda s: s["in_flight_mib"]),
        "unused in the pool": points(samples, lambda s: s["pool_mib"]),
    }
    latency = {
        name: points(samples, lambda s, key=key: s["small"][key])
        for name, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"))
    }
    top = max(value for line in memory.values() for _, value in line)
    step = 50 if top < 300 else 100
    memory_ticks = [float(tick) for tick in range(0, int(top) + 2 * step, step)]
    second = TOP + PANEL + GAP
    height = second + PANEL + 34
    title = "Memory and latency of evenkeel under mixed traffic"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{title}" font-family="{FONT}">',
            f'<rect width="{WIDTH}" height="{height}" fill="{theme.paper}"/>',
            *panel("Memory, MiB", TOP, memory, end, memory_ticks, False, theme),
            *panel("Calls up to 64 KiB, ms", second, latency, end, [0.1, 1, 10, 100, 1000], True, theme),
            "</svg>",
            "",
        ]
    )


def report(record: dict, when: datetime) -> str:
    calls = dict(record["calls"])
    settled = [sample for sample in record["samples"] if sample["second"] > record["warm_up_seconds"]]
    rows = []
    for name, key in (("up to 64 KiB", "small"), ("1 MiB and 17 MiB", "large")):
        medians = [statistics.median(sample[key][part] for sample in settled) for part in ("calls", "p50", "p99", "p999")]
        rows.append(f"| {name} | {medians[0]:,.0f} | {medians[1]:.2f} | {medians[2]:.1f} | {medians[3]:.1f} |")
    findings = [
        f"| {finding['what']} | {finding['said'].replace(chr(10), '; ')} | {'yes' if finding['good'] else '**no**'} |"
        for finding in record["verdict"]
    ]
    return f"""# Soak

Written by `just soak`; [benches/README.md](../benches/README.md#the-soak) describes the traffic and what makes a run fail.

{record["seconds"] // 60} minutes of mixed traffic on {when:%Y-%m-%d}, {cpu()}, {record["cores"]} cores, server and callers on
both: {sum(calls.values()):,} calls and connections, {calls["Right"]:,} of them answered with the right bits.

<picture>
  <source media="(prefers-color-scheme: dark)" srcset="soak-dark.svg">
  <img alt="Memory and latency over the run" src="soak.svg">
</picture>

Each point is the median of {STEP} seconds. The bytes in flight count a request twice from the moment its length is known.

| check | measured | passed |
|---|---|---|
{chr(10).join(findings)}

Times of calls in ms: medians over the seconds after {record["warm_up_seconds"]} s. The callers share the cores with the server, and send
ten calls of 17 MiB at once every three seconds.

| calls | per second | p50 | p99 | p99.9 |
|---|---|---|---|---|
{chr(10).join(rows)}
"""


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "target/benchmarks/soak.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    when = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    docs = Path("docs")
    for suffix, theme in THEMES.items():
        (docs / f"soak{suffix}.svg").write_text(svg(record, theme), encoding="utf-8")
    (docs / "soak.md").write_text(report(record, when), encoding="utf-8")


if __name__ == "__main__":
    main()
