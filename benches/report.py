"""Turns the records of a full run into docs/benchmarks.md and its plots.

    python report.py [--records target/benchmarks]
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tomllib
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import plot

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BENCHES = {
    "loopback": "Loopback: against the cost of moving the bytes",
    "client": "The Rust client: against its path through tonic's codec",
    "peers": "Peers: against common servers",
    "mixed": "Mixed load: small calls beside large ones",
    "memory": "Memory",
    "streams": "Streams: against unary calls, and against Arrow Flight",
    "kernels": "Kernels: against torch on one thread",
}


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(head: list[str], rows: list[list[str]], left: int) -> list[str]:
    """Markdown; all columns but the first `left` are numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return [f"| {' | '.join(row)} |" for row in [head, rule, *rows]] + [""]


def goals_of(record: dict, goals: dict[str, dict]) -> list[list[str]]:
    rows = []
    for measured in record["goals"]:
        goal, ratio = goals[measured["id"]], measured["median"]
        least, most = goal.get("at_least"), goal.get("at_most")
        reached = ratio >= least if least is not None else ratio <= most
        limit = f">= {least}" if least is not None else f"<= {most}"
        span = f"{measured['min']:.2f} .. {measured['max']:.2f}"
        verdict = "reached" if reached else "**not reached**"
        rows.append([goal["what"], limit, f"{ratio:.2f}", span, verdict])
    return rows


def figures_of(record: dict) -> list[str]:
    """One table for all cases: a row for each contender, a column for each quantity."""
    columns = list(dict.fromkeys(figure["what"] for figure in record["figures"]))
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for figure in record["figures"]:
        row = cells.setdefault((figure["case"], figure["contender"]), {})
        row[figure["what"]] = number(figure["median"])
    rows = [[*key, *(row.get(column, "") for column in columns)] for key, row in cells.items()]
    return table(["", "", *columns], rows, 2)


def machine() -> list[str]:
    """The machine, by lscpu, and its memory."""
    described = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    pairs = dict(line.split(":", 1) for line in described.splitlines() if ":" in line)
    wanted = ["Model name", "CPU(s)", "Thread(s) per core", "L1d cache", "L2 cache", "L3 cache", "Hypervisor vendor"]
    rows = [[key, pairs[key].strip()] for key in wanted if key in pairs]
    flags = pairs.get("Flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "sse2") if name in flags), "")
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    rows += [["Widest vectors", widest], ["Memory", f"{int(total.split()[1]) / 2**20:.1f} GiB"]]
    return table(["", ""], rows, 2)


def versions() -> str:
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    locked = {package["name"]: package["version"] for package in packages}
    crates = [f"{name} {locked[name]}" for name in ("tonic", "hyper", "h2", "rayon")]
    python = [f"{name} {metadata.version(name).split('+')[0]}" for name in ("torch", "grpcio", "protobuf", "numpy")]
    pins = (ROOT / "benches" / "requirements-mlserver.txt").read_text().split()
    mlserver = next(pin.removeprefix("mlserver==") for pin in pins if pin.startswith("mlserver=="))
    rust = f"Rust {rustc.split()[1]}"
    kernel = f"Linux {platform.release().split('-')[0]}"
    return ", ".join([kernel, rust, *crates, f"Python {platform.python_version()}", *python, f"MLServer {mlserver}"])


def peers_plot(record: dict) -> plot.Plot:
    names = ("evenkeel", "grpcio + torch, sync", "grpcio + torch, aio", "MLServer + NumPy")
    groups: dict[str, list[plot.Bar]] = {}
    for figure in record["figures"]:
        if figure["what"] == "calls/s":
            bar = plot.Bar(names.index(figure["contender"]), figure["median"], figure["min"], figure["max"])
            groups.setdefault(figure["case"].split(",")[0], []).append(bar)
    title = "Layer normalization over gRPC, calls per second, each server on one core"
    sizes = tuple((size, tuple(bars)) for size, bars in groups.items())
    return plot.Plot(title, names, sizes, 0.1, "calls per second, 8 at a time (logarithmic)", 10)


def kernels_plot(record: dict, goals: dict[str, dict]) -> plot.Plot:
    groups: dict[str, list[plot.Bar]] = {}
    for measured in record["goals"]:
        goal = goals[measured["id"]]
        name, _, size = goal["what"].rpartition(", ")
        bar = plot.Bar(int(size == "64 MiB"), measured["median"], measured["min"], measured["max"], goal["at_least"])
        groups.setdefault(name, []).append(bar)
    operations = tuple((name, tuple(bars)) for name, bars in groups.items())
    title = "Kernels: how many times as fast as torch, both on one thread"
    return plot.Plot(title, ("1 MiB", "64 MiB"), operations, 1.0, "torch's time / evenkeel's (logarithmic)", 2)


def picture(name: str, words: str) -> list[str]:
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="{name}-dark.svg">',
        f'  <img alt="{words}" src="{name}.svg">',
        "</picture>",
        "",
    ]


def report(records: dict[str, dict], goals: dict[str, dict], plots: dict[str, plot.Plot]) -> str:
    date = datetime.fromtimestamp(min(record["began"] for record in records.values()), UTC).date()
    minutes = sum(record["seconds"] for record in records.values()) / 60
    rows = {bench: goals_of(record, goals) for bench, record in records.items()}
    reached = sum(row[-1] == "reached" for bench in rows.values() for row in bench)
    lines = [
        "# Benchmarks",
        "",
        "The speed of evenkeel, against the cost of moving the bytes and against other implementations. Written by",
        "",
        "    bash benches/run.sh",
        "",
        f"on {date} in {minutes:.0f} minutes. {reached} of {sum(map(len, rows.values()))} goals are reached.",
        "",
        "[benches/README.md](../benches/README.md) describes each benchmark and how to read it. The contenders took turns in",
        "one run, and every ratio is the median of the ratios of the rounds. Ratios carry over to other machines to some",
        "extent; absolute numbers do not.",
        "",
        *machine(),
        versions() + ".",
        "",
    ]
    for bench, title in BENCHES.items():
        lines += [f"## {title}", ""]
        if rows[bench]:
            lines += table(["", "goal", "median", "min .. max", ""], rows[bench], 1)
        for name, drawn in plots.items():
            if name.endswith(bench):
                lines += picture(name, drawn.title)
        lines += ["<details><summary>All medians</summary>", "", *figures_of(records[bench]), "</details>", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes docs/benchmarks.md and its plots.")
    parser.add_argument("--records", type=Path, default=ROOT / "target" / "benchmarks")
    arguments = parser.parse_args()
    goals = {goal["id"]: goal for goal in json.loads((ROOT / "benches" / "goals.json").read_text())}
    records = {bench: json.loads((arguments.records / f"{bench}.json").read_text()) for bench in BENCHES}
    if missing := goals.keys() - {goal["id"] for record in records.values() for goal in record["goals"]}:
        raise SystemExit(f"not measured: {', '.join(sorted(missing))}")
    plots = {
        "benchmarks-peers": peers_plot(records["peers"]),
        "benchmarks-kernels": kernels_plot(records["kernels"], goals),
    }
    for name, drawn in plots.items():
        for suffix, theme in plot.THEMES.items():
            (DOCS / f"{name}{suffix}.svg").write_text(plot.svg(drawn, theme))
    (DOCS / "benchmarks.md").write_text(report(records, goals, plots))
    print(f"wrote {DOCS / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
