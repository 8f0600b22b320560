"""Counts the glue in the first program of each client, and fails above three lines.

    python3 clients/glue.py            # print the table; fail above three lines, or if docs/clients.md has another table
    python3 clients/glue.py --write    # write the table into docs/clients.md

Glue is every line of a program that is there for the sake of the client: its import, its making, its closing, its address, and
whatever else this script does not know. A line is no glue only if it is

- empty, or nothing but a comment;
- ceremony: a line that a program in this language has without any client, from the list of its language below. These are the
  lines around `main`, closing braces, imports of the standard library and of the library of the user's arrays, and Go's three
  lines for an error, which follow every call of a Go program that can fail. A line that names the client, evenkeel or an
  address is never ceremony;
- the user's data: it has the numbers of the row, and does not name the client;
- the call: it has the operation's name on the client's object, and makes no client;
- printing: it prints the result and nothing else, in the language's own way, or is a loop over the result for it.

Nothing in a program can take a line out of the count: there are no marks, and what the lists do not name is glue. A statement
over two lines counts as two, two statements in a line are refused, and so is a program that lacks the data, the call or the
printing, or has the call or the data twice. Python 3.11 without packages.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/clients.md"
BEGIN, END = "<!-- glue: begin -->", "<!-- glue: end -->"
MOST = 3
# The rows of a table in a page and a formatter's limit: a longer line hides more than one thing.
LONGEST_LINE = 120

DATA = r".*\b40000(\.0)?(_f32)?, 40001(\.0)?, 40002(\.0)?, 40003(\.0)?\b.*"
# What belongs to the client, wherever it stands.
CLIENT = re.compile(r"evenkeel|client|address|\burl\b|50051", re.IGNORECASE)
MAKING = re.compile(r"\bClient\s*\(|\bClient(::|\.)connect\b|\bevenkeel\.New\b|\bclient\s+client\b|50051")


@dataclass
class Language:
    """A language's quick start, and the lines of it that are not glue. The patterns match whole lines without indentation."""

    name: str
    path: str
    comment: str
    ceremony: list[str]
    call: str
    printing: list[str]
    # Two statements in one line.
    joined: str = r";\s*\S"


JS_CALL = r"const \{ output \} = await client\.layerNorm\(.*\);"
PYTHON_LIBRARY = "|".join(sorted(sys.stdlib_module_names))
LANGUAGES = [
    Language(
        "Python",
        "clients/python/examples/first_call.py",
        r'#.*|""".*"""',
        [rf"import ({PYTHON_LIBRARY})", "import numpy as np"],
        r"(y = |print\()client\.layer_norm\(.*\)",
        [r"print\(y\)"],
        r";|^(with|if|for|while|try|else)\b.*:\s*\S",
    ),
    Language(
        "Go",
        "clients/go/examples/first_call/main.go",
        "//.*",
        [
            "package main",
            r"import \(",
            r'"[a-z]+(/[a-z]+)*"',
            r"func main\(\) \{",
            r"if err != nil \{",
            r"log\.Fatal\(err\)",
            r"[)}]",
        ],
        r"y, err := client\.LayerNorm\(context\.Background\(\), .*\)",
        [r"fmt\.Println\(y\.Output\.Float32\(\)\)"],
    ),
    Language(
        "TypeScript in Node",
        "clients/typescript/examples/first_call.mjs",
        "//.*",
        [],
        JS_CALL,
        [r"console\.log\(output\.data\);"],
    ),
    Language(
        "TypeScript in a browser",
        "clients/typescript/examples/first_call_browser.mjs",
        "//.*",
        [],
        JS_CALL,
        [r"document\.body\.textContent = output\.data\.join\(\" \"\);"],
    ),
    Language(
        "Java",
        "clients/java/examples/FirstCall.java",
        r"//.*|/\*\*.*\*/",
        [
            r"import java\.[A-Za-z.]+;",
            r"public final class \w+ \{",
            r"public static void main\(String\[\] arguments\) \{",
            r"\}",
        ],
        r"float\[\] \w+ = client\.layerNorm\(.*\)\.call\(\)\.output\(\)\.floats\(\);",
        [r"System\.out\.println\(Arrays\.toString\(normalized\)\);"],
    ),
    Language(
        "C++",
        "clients/cpp/examples/first_call.cpp",
        "//.*",
        [r"#include <[a-z_]+>", r"int main\(\) \{", r"\}"],
        r"const auto y = client\.layer_norm\(.*\);",
        [r"std::cout << (value << ' '|'\\n');", r"for \(const float value : y\.output\) \{"],
    ),
    Language(
        "Rust",
        "crates/client/examples/first_call.rs",
        "//.*",
        [
            r"#!\[expect\(clippy::print_stdout, reason = \"[^\"]*\"\)\]",
            r"use (std|ndarray)::[A-Za-z:{}, ]+;",
            r"#\[tokio::main\]",
            r"async fn main\(\) -> Result<\(\), Box<dyn std::error::Error>> \{",
            r"Ok\(\(\)\)",
            r"\}",
        ],
        r"let y = client\.normalize\(&x\)\.kind\(NormKind::Layer\)\.send\(\)\.await\?;",
        [r"println!\(\"\{\}\", y\.output\);"],
    ),
]


def without_comment(language: Language, line: str) -> str:
    """The line without a comment at its end. A `//` in a string, as in an address, is none."""
    if re.fullmatch(language.comment, line):
        return ""
    return re.sub(r"\s+(//|#) [^\"]*$", "", line)


def kinds(language: Language, text: str) -> Iterator[tuple[str, str]]:
    """Each line that counts, and what it is: ceremony, data, call, printing or glue. A call on its own data is a call."""
    for line in text.splitlines():
        code = without_comment(language, line.strip())
        if not code:
            continue
        is_call = re.fullmatch(language.call, code) is not None
        if MAKING.search(code):
            yield "glue", code
        elif is_call:
            yield "call", code
        elif any(re.fullmatch(pattern, code) for pattern in language.printing):
            yield "printing", code
        elif CLIENT.search(code):
            yield "glue", code
        elif re.fullmatch(DATA, code):
            yield "data", code
        elif any(re.fullmatch(pattern, code) for pattern in language.ceremony):
            yield "ceremony", code
        else:
            yield "glue", code


def glue(language: Language, text: str) -> list[str]:
    """The lines of glue in a quick start; an error if it is no such program."""
    found = list(kinds(language, text))
    for _, line in found:
        bare = re.sub(r'"[^"]*"|\'[^\']*\'', '""', line)
        if re.search(language.joined, bare):
            raise ValueError(f"two statements in a line: {line}")
        if len(line) > LONGEST_LINE:
            raise ValueError(f"a line of {len(line)} characters: {line}")
    calls = [line for kind, line in found if kind == "call"]
    rows = [line for _, line in found if re.fullmatch(DATA, line)]
    printing = [line for kind, line in found if kind == "printing" or (kind == "call" and line.startswith("print"))]
    if len(calls) != 1 or len(rows) != 1 or not printing:
        raise ValueError(
            f"{len(calls)} calls, {len(rows)} lines of data and {len(printing)} of printing; expected 1, 1 and some"
        )
    return [line for kind, line in found if kind == "glue"]


def table(counted: list[tuple[Language, list[str]]]) -> str:
    """The table of docs/clients.md."""
    lines = ["| language | lines | the glue |", "|---|---|---|"]
    for language, found in counted:
        shown = "<br>".join(f"`{line}`" for line in found)
        lines.append(f"| [{language.name}](../{language.path}) | {len(found)} | {shown} |")
    return "\n".join(lines)


def main() -> int:
    """Count, print, and compare with the page or write it."""
    parser = argparse.ArgumentParser(description="Count the lines of glue in the clients' quick starts.")
    parser.add_argument("--write", action="store_true", help="write the table into docs/clients.md")
    write = parser.parse_args().write
    counted, faults = [], []
    for language in LANGUAGES:
        try:
            found = glue(language, (ROOT / language.path).read_text(encoding="utf-8"))
        except ValueError as fault:
            faults.append(f"{language.path}: {fault}")
            continue
        counted.append((language, found))
        print(f"{language.name:24} {len(found)}", *found, sep="\n    ")
        if len(found) > MOST:
            faults.append(f"{language.path}: {len(found)} lines of glue, and {MOST} are the most")
    page = PAGE.read_text(encoding="utf-8")
    before, begin, rest = page.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"\n{END}")
    if not begin or not end:
        faults.append(f"docs/clients.md has no lines {BEGIN} and {END}")
    elif not faults:
        new = before + begin + table(counted) + end + after
        if write:
            PAGE.write_text(new, encoding="utf-8")
        elif new != page:
            faults.append("docs/clients.md has another table: run clients/glue.py --write")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
