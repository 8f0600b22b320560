"""Writes src/wire/fields.hpp: the field numbers and method names of the contract, which the encoder and decoder use.

The client has no code of protoc: generated C++ fits one version of protobuf alone, and would clash with the stubs that a
program has of the same proto. This reads the proto in the plain form in which the repository keeps it.
"""

import re
import sys
from pathlib import Path

HEAD = '''/// @file
/// The numbers of the contract's fields, and the paths of its methods. Written by generate.sh from
/// proto/evenkeel/v1/tensor_ops.proto: do not edit.
#pragma once

#include <cstdint>

namespace evenkeel::wire {

/// The number of a field in a message.
using field_number = std::uint32_t;'''

FIELD = re.compile(r"(?:optional |repeated )?[\w.]+ (\w+) = (\d+)\s*(?:\[[^]]*\])?;")
METHOD = re.compile(r"rpc (\w+)\(")
KEYWORDS = {"default", "namespace", "template"}


def snake(name: str) -> str:
    """NormalizeRequest -> normalize_request."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def blocks(text: str, word: str) -> list[tuple[str, str]]:
    """The name and the body of each top-level block that begins with the word."""
    return re.findall(rf"^{word} (\w+) \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)


def main() -> None:
    proto, output = map(Path, sys.argv[1:])
    text = re.sub(r"[ \t]*//[^\n]*", "", proto.read_text(encoding="utf-8"))
    package = re.search(r"^package ([\w.]+);", text, re.MULTILINE).group(1)
    lines = [HEAD]
    for name, body in blocks(text, "message"):
        fields = [match.groups() for line in body.splitlines() if (match := FIELD.search(line))]
        count = len(re.findall(r"= \d+", body))
        if count != len(fields):
            sys.exit(f"{name}: {count} fields, of which {len(fields)} can be read")
        if not fields:
            continue
        lines.append(f"\nnamespace {snake(name)} {{")
        for field, number in fields:
            field += "_" if field in KEYWORDS else ""
            lines.append(f"inline constexpr field_number {field} = {number};")
        lines.append(f"}}  // namespace {snake(name)}")
    ((service, body),) = blocks(text, "service")
    lines.append("\nnamespace method {")
    for method in METHOD.findall(body):
        path = f'"/{package}.{service}/{method}"'
        lines.append(f"inline constexpr const char* {snake(method)} = {path};")
    lines.append("}  // namespace method\n\n}  // namespace evenkeel::wire")
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
