"""Makes a table of what the clients' benches print: lines of `LANGUAGE {"bytes": ..., "client_seconds": ..., "stub_seconds": ...}`.

A cell has the median over a language's turns of `stub_seconds / client_seconds`, and of the milliseconds of the client's call.
Fails if a language lacks a size that another has. Python 3.11 without packages.
"""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable


def size(count: int) -> str:
    """The bytes in the largest unit that divides them."""
    for unit, name in [(1 << 20, "MiB"), (1 << 10, "KiB")]:
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


def table(lines: Iterable[str]) -> str:
    """The table, in Markdown."""
    measured: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        language, text = line.split(" ", 1)
        found = json.loads(text)
        client, stub = found["client_seconds"], found["stub_seconds"]
        measured[language][found["bytes"]].append((stub / client, 1000 * client))
    sizes = sorted({size for by_size in measured.values() for size in by_size})
    rows = [["client", *map(size, sizes)], ["---", *["---"] * len(sizes)]]
    for language, by_size in measured.items():
        if missing := [size(count) for count in sizes if count not in by_size]:
            raise SystemExit(f"{language} has not measured {', '.join(missing)}")
        medians = [[statistics.median(values) for values in zip(*by_size[count], strict=True)] for count in sizes]
        rows.append([language, *(f"{ratio:.2f} ({milliseconds:.3g} ms)" for ratio, milliseconds in medians)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(table(sys.stdin))
