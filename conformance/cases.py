"""The cases: reading, choosing and writing them."""

import json
from pathlib import Path

import values

FOLDER = Path(__file__).resolve().parent / "cases"
# What the adapter gets of a case.
REQUEST = ("op", "timeout_ms", "cancel_after_ms", "digest")


def read(prefix: str = "") -> list[dict]:
    """All cases whose names begin with the prefix."""
    found = [case for file in sorted(FOLDER.glob("*.json")) for case in json.loads(file.read_text())]
    names = [case["name"] for case in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit(f"two cases have the name {sorted(twice)[0]}")
    return [case for case in found if case["name"].startswith(prefix)]


def request(case: dict) -> dict:
    """The request without the settings of the client."""
    request = {key: case[key] for key in REQUEST if key in case}
    return request | {"args": values.expand_all(case.get("args", {}))}


def write(cases: list[dict], file: Path) -> None:
    """A line for each key of a case, which is easy to read and to compare."""
    text = ",\n".join(block(case) for case in cases)
    file.write_text(f"[\n{text}\n]\n")


def block(case: dict) -> str:
    lines = []
    for key, value in case.items():
        if key in ("args", "expect") and len(json.dumps(value)) > 110:
            inner = ",\n".join(f"      {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
            lines.append(f"    {json.dumps(key)}: {{\n{inner}\n    }}")
        else:
            lines.append(f"    {json.dumps(key)}: {json.dumps(value)}")
    return "  {\n" + ",\n".join(lines) + "\n  }"
