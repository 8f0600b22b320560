"""Fills the examples of the operations' pages from the files of the clients; `--check` fails if a page is stale.

A part of a page between `<!-- snippet: clients/go/examples/normalize/main.go -->` and `<!-- end -->` is that file in a fenced block.
A file that has lines with `snippet begin` and `snippet end` in comments is shown between them, without common indentation. A file
that is missing fails in both modes. `--root go=FOLDER` takes files below `clients/go/` from another checkout while this one has
none. Python 3.11 without packages.
"""

import argparse
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PART = re.compile(r"(?P<begin><!-- snippet: (?P<path>\S+) -->\n)(?P<shown>.*?)(?P<end><!-- end -->)", re.DOTALL)
LANGUAGES = {".py": "python", ".go": "go", ".mjs": "js", ".ts": "ts", ".java": "java", ".cpp": "cpp", ".rs": "rust", ".txt": "text"}


def pages() -> list[Path]:
    """The index, and the pages of the operations."""
    return [ROOT / "docs/operations.md", *sorted((ROOT / "docs/operations").glob("*.md"))]


def find(path: str, roots: dict[str, Path]) -> Path | None:
    """The file in this checkout, or else in the one that `--root` names for its language."""
    folders = path.split("/")
    others = [roots[folders[1]]] if folders[0] == "clients" and folders[1] in roots else []
    return next((root / path for root in [ROOT, *others] if (root / path).is_file()), None)


def part(path: str, text: str) -> str:
    """What a page shows of a file."""
    lines = text.splitlines()
    begins = [i for i, line in enumerate(lines) if "snippet begin" in line]
    ends = [i for i, line in enumerate(lines) if "snippet end" in line]
    if begins or ends:
        if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
            raise ValueError(f"{path}: `snippet begin` and `snippet end` come once each, in this order")
        lines = lines[begins[0] + 1 : ends[0]]
    return textwrap.dedent("\n".join(lines)).strip("\n")


def filled(page: str, roots: dict[str, Path], faults: list[str]) -> str:
    """The page with the examples as they are in the files; what cannot be shown stays, and is in `faults`."""

    def fill(found: re.Match[str]) -> str:
        path = found["path"]
        file = find(path, roots)
        language = LANGUAGES.get(Path(path).suffix)
        if file is None or language is None:
            faults.append(f"{path}: " + ("no such file" if file is None else "no language is known for this ending"))
            return found[0]
        try:
            shown = part(path, file.read_text(encoding="utf-8"))
        except ValueError as fault:
            faults.append(str(fault))
            return found[0]
        return f"{found['begin']}```{language}\n{shown}\n```\n{found['end']}"

    return PART.sub(fill, page)


def root(argument: str) -> tuple[str, Path]:
    """An argument of `--root`."""
    language, equals, folder = argument.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError("expected LANGUAGE=PATH")
    return language, Path(folder)


def main() -> int:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description="Fill the examples of docs/operations from files.")
    parser.add_argument("--check", action="store_true", help="change nothing, and fail if a page is stale")
    parser.add_argument("--root", action="append", type=root, default=[], metavar="LANGUAGE=PATH")
    arguments = parser.parse_args()
    faults: list[str] = []
    count = 0
    for path in pages():
        page = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        opened, parts = page.count("<!-- snippet: "), len(PART.findall(page))
        if not opened == parts == page.count("<!-- end -->"):
            faults.append(f"{name}: {opened} beginnings of examples, and {page.count('<!-- end -->')} ends")
            continue
        count += parts
        new = filled(page, dict(arguments.root), faults)
        if new != page and arguments.check:
            faults.append(f"{name} is stale: run docs/operations/snippets.py")
        elif new != page:
            path.write_text(new, encoding="utf-8")
    if count == 0:
        faults.append("the pages show no examples")
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{count} examples are as in the files")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
