"""Feeds the cases to the clients' adapters, and compares what comes back. README.md explains cases and options."""

import argparse
import base64
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import grpc

import bare
import cases
import compare
import matrix
import values
from adapter import Adapter, Fault
from messages import ROOT
from scripted import Scripted
from servers import Servers

HERE = Path(__file__).resolve().parent
# How long an adapter may take for a request, in seconds, also to start on a busy machine.
PATIENCE = 90
WARM_UP = {"op": "keep_mask", "args": {"seed": "1", "n": "1", "p": 0.5}}
# How long a server may take to see that a client has left, in seconds.
LEAVING = 5


class Runner:
    """Runs cases against servers."""

    def __init__(self, servers: Servers):
        self.servers = servers

    def run(self, adapter: Adapter, case: dict) -> tuple[str, list[str]]:
        """The outcome, `passed`, `gap` or `failed`, and lines that explain it."""
        server = case.get("server")
        try:
            if server is None:
                return self.asked(adapter, case, {}, None)
            if isinstance(server, dict):
                scripted = Scripted(server, self.servers.version)
                try:
                    client = {"address": scripted.address, **case.get("client", {})}
                    return self.asked(adapter, case, {"client": client}, scripted)
                finally:
                    scripted.close()
            client = self.servers.client(server, case.get("client", {}))
            return self.asked(adapter, case, {"client": client}, self.servers.get(server))
        except Fault as fault:
            return "failed", [str(fault)]

    def asked(self, adapter: Adapter, case: dict, client: dict, server) -> tuple[str, list[str]]:
        expect = self.filled(case["expect"])
        request = cases.request(case) | client
        counted = "attempts" in expect or "connections" in expect
        if "at_most_ms" in expect:
            adapter.ask(WARM_UP, PATIENCE)  # the start of the adapter does not count
        before = dict(counts(server)) if counted else {}
        began = time.monotonic()
        for _ in range(case.get("times", 1)):
            answer = adapter.ask(request, PATIENCE)
            if "unsupported" in answer:
                return "gap", [str(answer["unsupported"])]
            if wrong := compare.differences(expect, answer):
                return "failed", wrong
            if missing := compare.gaps(expect, answer):
                return "gap", missing
        elapsed = (time.monotonic() - began) * 1000
        return self.judged(expect, elapsed, before, counts(server) if counted else {}, server)

    def judged(self, expect: dict, elapsed: float, before: dict, after: dict, server) -> tuple[str, list[str]]:
        """What is expected beside the answer."""
        wrong = []
        if elapsed < expect.get("at_least_ms", 0):
            wrong.append(f"took {elapsed:.0f} ms; expected {expect['at_least_ms']} at least")
        if elapsed > expect.get("at_most_ms", 1e9):
            wrong.append(f"took {elapsed:.0f} ms; expected {expect['at_most_ms']} at most")
        if "chunk_at_most" in expect and not 0 < server.longest <= expect["chunk_at_most"]:
            wrong.append(f"the longest chunk had {server.longest} bytes; expected {expect['chunk_at_most']} at most")
        wanted = dict(expect.get("attempts", {}))
        if "connections" in expect:
            wanted["connections"] = expect["connections"]
        for method, count in wanted.items():
            if (seen := after.get(method, 0) - before.get(method, 0)) != count:
                wrong.append(f"the server saw {seen} of {method}; expected {count}")
        for method, count in expect.get("cancelled", {}).items():
            if (seen := server.wait_left(method, count, LEAVING)) != count:
                wrong.append(f"the server saw {seen} of {method} given up; expected {count}")
        return ("failed" if wrong else "passed"), wrong

    def filled(self, value):
        """Replaces `$version` by the version of the servers."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        return self.servers.version if value == "$version" else value

    def write(self, case: dict) -> None:
        """Sets what is expected of a case: the answer of the server by bare stubs, or of the reference."""
        expect = case.get("expect", {})
        if isinstance(case.get("server"), dict) or expect.get("by_hand"):
            return
        channel = None
        if "server" in case:
            channel = grpc.insecure_channel(self.servers.get("default").address, options=bare.OPTIONS)
        answer = bare.answer(channel, cases.request(case))
        answer.get("error", {}).pop("message", None)  # its words are the server's own
        if channel:
            channel.close()
        kept = {key: value for key, value in expect.items() if key not in ("result", "error")}
        if "result" in answer and case.get("digest"):
            answer["result"] = digested(answer["result"])
        case["expect"] = answer | kept


def counts(server) -> dict:
    return dict(server.calls) if isinstance(server, Scripted) else server.counts()


def digested(value):
    """The same with `sha256` instead of `data` in tensors."""
    if values.is_tensor(value):
        data = base64.b64decode(value["data"])
        kept = {key: item for key, item in value.items() if key != "data"}
        return kept | {"sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(value, dict):
        return {key: digested(item) for key, item in value.items()}
    return [digested(item) for item in value] if isinstance(value, list) else value


def chosen(options) -> list[dict]:
    """The clients to run, with their folders and commands."""
    if options.adapter:
        return [{"name": "adapter", "prepare": ["true"], "start": shlex.split(options.adapter)}]
    folders = dict(pair.split("=", 1) for pair in options.client_dir)
    names = set(options.client) | set(folders)
    clients = json.loads((HERE / "clients.json").read_text())
    if unknown := names - {client["name"] for client in clients}:
        raise SystemExit(f"no client has the name {sorted(unknown)[0]}")
    target = str((ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve())
    result = []
    for client in clients:
        if names and client["name"] not in names:
            continue
        folder = str(Path(folders.get(client["name"], ROOT / client["folder"])).resolve())
        commands = {
            key: [word.format(folder=folder, target=target) for word in client[key]] for key in ("prepare", "start")
        }
        result.append(client | commands)
    return result


def run_client(
    client: dict, chosen_cases: list[dict], runner: Runner, table: matrix.Matrix, verbose: bool
) -> list[str]:
    """Runs the cases of a client. Returns the failures, each with what is wrong."""
    name, failures = client["name"], []
    print(f"==> {name}", flush=True)
    if subprocess.run(client["prepare"], cwd=ROOT, stdout=sys.stderr).returncode:
        return [f"{name}: cannot be built"]
    adapter = Adapter(client["start"], ROOT)
    for case in chosen_cases:
        began = time.monotonic()
        outcome, lines = runner.run(adapter, case)
        table.add(case["group"], name, outcome)
        if outcome == "failed":
            failures.append("\n    ".join([f"{name} {case['name']}", *lines]))
        if outcome != "passed" or verbose:
            print(f"{outcome} {name} {case['name']} ({time.monotonic() - began:.1f} s)", flush=True)
            print("".join(f"    {line}\n" for line in lines), end="", flush=True)
    if wrong := adapter.finish():
        failures.append(f"{name}: {wrong}")
        print(f"failed {name}: {wrong}")
    return failures


def write_expected(runner: Runner, prefix: str) -> None:
    for file in sorted(cases.FOLDER.glob("*.json")):
        found = json.loads(file.read_text())
        for case in found:
            if case["name"].startswith(prefix):
                runner.write(case)
        cases.write(found, file)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", default=[], help="a client of clients.json; default: all")
    parser.add_argument(
        "--client-dir", action="append", default=[], metavar="NAME=FOLDER", help="a client in another folder"
    )
    parser.add_argument("--adapter", metavar="COMMAND", help="an adapter that is none of clients.json")
    parser.add_argument("--case", default="", metavar="PREFIX", help="the cases whose names begin so")
    parser.add_argument("--evenkeel", type=Path, help="the server's program; default: the release build")
    parser.add_argument("--write", action="store_true", help="write what is expected into the cases, from the server")
    parser.add_argument("--write-docs", action="store_true", help="write the matrix into docs/clients.md")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    return parser.parse_args()


def check_page(options, table: matrix.Matrix) -> list[str]:
    """Compares the matrix with the documentation, or writes it there."""
    if options.client or options.client_dir or options.adapter or options.case:
        if options.write_docs:
            raise SystemExit("the page needs all clients and all cases")
        return []
    if options.write_docs:
        matrix.write(table.markdown())
    elif matrix.committed() != table.markdown():
        return [f"{matrix.PAGE.relative_to(ROOT)} has another matrix: run with --write-docs"]
    return []


def main() -> int:
    options = arguments()
    evenkeel = options.evenkeel or ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "evenkeel"
    found = cases.read(options.case)
    table, failures = matrix.Matrix(), []
    with Servers(evenkeel.resolve()) as servers:
        runner = Runner(servers)
        if options.write:
            write_expected(runner, options.case)
            return 0
        for client in chosen(options):
            failures += run_client(client, found, runner, table, options.verbose)
    print(table.text())
    if not failures:
        failures += check_page(options, table)
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures or not found else 0


if __name__ == "__main__":
    sys.exit(main())
