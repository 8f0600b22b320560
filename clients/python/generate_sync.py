"""Makes the synchronous client from the asynchronous one.

python generate_sync.py            writes src/evenkeel_client/_sync
python generate_sync.py --check    fails if a file there is not what would be written
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "src" / "evenkeel_client"
SOURCE, TARGET = PACKAGE / "_async", PACKAGE / "_sync"

# Patterns and what replaces them, in this order.
RULES = (
    (r"\A\"\"\".*?\"\"\"", '"""Made from `_async/{name}` by generate_sync.py; edit that file."""'),
    # What only the calls of grpc.aio need.
    (r"from \.\._aio_statuses import Statuses\n", ""),
    (r" +statuses = Statuses\(call\)\n", ""),
    (r"await statuses\.error\(error\)", "error"),
    (r"call = (make\([^\n]*\))\n +answer: bytes = await call", r"answer: bytes = \1"),
    (r"async (def|with|for)", r"\1"),
    (r"\bawait ", ""),
    (r"Awaitable\[(\w+)\]", r"\1"),
    (r"import Awaitable, Callable", "import Callable"),
    (r"__aenter__", "__enter__"),
    (r"__aexit__", "__exit__"),
    (r"AsyncClient", "Client"),
    (r"import grpc\.aio\n", ""),
    (r"grpc\.aio\.", "grpc."),
    (r"import asyncio\n", "import time\n"),
    (r"asyncio\.sleep", "time.sleep"),
    (r"import time\nimport warnings", "import time\nimport warnings"),
    (r", in the event loop that runs then\.", "."),
    (r", for asyncio\.", "."),
    (
        r"It belongs to the event loop of its first call\. Cancelling a task cancels its call,\n    also in the server\.",
        "Threads may share it. Closing it\n    cancels its calls, also in the server.",
    ),
)


def synchronous(name: str, source: str) -> str:
    """Return the synchronous form of a file, formatted anew."""
    for pattern, replacement in RULES:
        source = re.sub(pattern, replacement.replace("{name}", name), source, flags=re.DOTALL)
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET / name), "-"]
    formatted = subprocess.run(command, input=source, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return formatted.stdout


def main() -> int:
    """Write or check all files."""
    made = {TARGET / path.name: synchronous(path.name, path.read_text()) for path in sorted(SOURCE.glob("*.py"))}
    if "--check" in sys.argv[1:]:
        there = set(TARGET.glob("*.py"))
        stale = {path for path, text in made.items() if path not in there or path.read_text() != text}
        for path in sorted(stale | (there - set(made))):
            print(f"{path.relative_to(PACKAGE)} is stale: run generate.sh", file=sys.stderr)
        return 1 if stale or there - set(made) else 0
    TARGET.mkdir(exist_ok=True)
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
