"""The table of groups of cases and clients."""

import re
from collections import defaultdict

from messages import ROOT

PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- matrix: begin -->", "<!-- matrix: end -->"


class Matrix:
    """Outcomes by group and client."""

    def __init__(self):
        self.cells: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: {"passed": 0, "gap": 0, "failed": 0})
        self.groups: dict[str, None] = {}
        self.clients: dict[str, None] = {}

    def add(self, group: str, client: str, outcome: str) -> None:
        self.groups[group] = self.clients[client] = None
        self.cells[group, client][outcome] += 1

    def cell(self, group: str, client: str) -> str:
        counts = self.cells[group, client]
        total = sum(counts.values())
        if counts["failed"]:
            return f"{counts['passed']}/{total} FAILED"
        if not counts["passed"]:
            return "-"
        return f"{counts['passed']}/{total}"

    def rows(self) -> list[list[str]]:
        head = ["", *self.clients]
        return [head, *([group, *(self.cell(group, client) for client in self.clients)] for group in self.groups)]

    def text(self) -> str:
        """For a terminal."""
        rows = self.rows()
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def markdown(self) -> str:
        head, *rows = self.rows()
        lines = [head, ["---"] * len(head), *rows]
        return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


def between_markers(text: str) -> str:
    found = re.search(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", text, re.DOTALL)
    if not found:
        raise SystemExit(f"{PAGE} has no lines {BEGIN} and {END}")
    return found.group(1)


def committed() -> str:
    """The table in the documentation."""
    return between_markers(PAGE.read_text())


def write(table: str) -> None:
    """Replaces the table in the documentation."""
    text = PAGE.read_text()
    PAGE.write_text(text.replace(f"{BEGIN}\n{between_markers(text)}\n{END}", f"{BEGIN}\n{table}\n{END}"))
