"""The real servers that cases name, each started when the first case needs it, and their certificates."""

import re
import subprocess
import tempfile
import threading
import urllib.request
from collections import Counter
from pathlib import Path

from messages import ROOT

TOKENS = "first\nsecond\n"
CERTIFICATES = ROOT / "checks" / "tls" / "certificates.sh"
# The longest that a server takes to start, in seconds.
PATIENCE = 30

# Flags of each server; {folder} has certificates and tokens.
SERVERS = {
    "default": [],
    # Larger tensors than 16 KiB go through streams.
    "small": ["--max-message-bytes", "16384", "--max-stream-chunk-bytes", "4096"],
    # A stream that needs more memory than some 100 KiB is refused: it takes two passes.
    "tight": ["--max-message-bytes", "16384", "--max-stream-chunk-bytes", "4096", "--max-bytes-in-flight", "262144"],
    # Streams of many MiB, which block unless a client reads while it sends.
    "long": ["--max-message-bytes", "1048576", "--max-stream-chunk-bytes", "65536", "--stream-window-bytes", "65536"],
    # Connections that the server closes while a client still uses them.
    "aging": ["--max-connection-age", "200ms", "--max-connection-age-grace", "10s"],
    "token": ["--auth-token-file", "{folder}/tokens"],
    "tls": ["--tls-cert", "{folder}/server.pem", "--tls-key", "{folder}/server.key"],
    "mutual": [
        *("--tls-cert", "{folder}/server.pem", "--tls-key", "{folder}/server.key"),
        *("--tls-client-ca", "{folder}/clients.pem", "--auth-token-file", "{folder}/tokens"),
        *("--max-message-bytes", "16384"),
    ],
    "unix": ["--listen", "unix:{folder}/socket", "--max-message-bytes", "16384"],
}


class Real:
    """A server process on a free port."""

    def __init__(self, evenkeel: Path, name: str, folder: Path):
        flags = [flag.replace("{folder}", str(folder)) for flag in SERVERS[name]]
        listen = [] if "--listen" in flags else ["--listen", "127.0.0.1:0"]
        command = [str(evenkeel), "serve", *listen, "--metrics-listen", "127.0.0.1:0", "--log-level", "info", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.metrics = None
        self.log: list[str] = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        if not line.startswith("listening on ") or not self.ready.wait(PATIENCE):
            self.close()
            raise SystemExit(f"{' '.join(command)} does not start:\n{''.join(self.log)}")
        self.address = line.removeprefix("listening on ").strip()

    def read_log(self) -> None:
        for line in self.process.stderr:
            self.log = [*self.log[-50:], line]
            if found := re.search(r"serving metrics.*?(127\.0\.0\.1:\d+)", line):
                self.metrics = found.group(1)
                self.ready.set()

    def counts(self) -> Counter:
        """The calls of each method that have started."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=PATIENCE) as page:
            text = page.read().decode()
        pattern = r'^grpc_server_started_total\{.*?"evenkeel\.v1\.TensorOpsService",grpc_method="(\w+)".*?\} (\d+)'
        counts = Counter({method: int(count) for method, count in re.findall(pattern, text, re.MULTILINE)})
        accepted = re.search(r"^evenkeel_connections_accepted_total (\d+)", text, re.MULTILINE)
        counts["connections"] = int(accepted.group(1)) if accepted else 0
        return counts

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()


class Servers:
    """All servers of a run; a context manager that stops them."""

    def __init__(self, evenkeel: Path):
        self.evenkeel = evenkeel
        self.running: dict[str, Real] = {}
        self.temporary = tempfile.TemporaryDirectory(prefix="evenkeel-conformance-")
        self.folder = Path(self.temporary.name)
        self.version = subprocess.check_output([evenkeel, "--version"], text=True).split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.running.values():
            server.close()
        self.temporary.cleanup()

    def get(self, name: str) -> Real:
        if name not in self.running:
            if any("{folder}" in flag for flag in SERVERS[name]):
                self.make_files()
            self.running[name] = Real(self.evenkeel, name, self.folder)
        return self.running[name]

    def make_files(self) -> None:
        if not (self.folder / "tokens").exists():
            script = f'set -euo pipefail; certificates=$1; . "{CERTIFICATES}"'
            subprocess.run(["bash", "-c", script, "bash", str(self.folder)], check=True)
            (self.folder / "tokens").write_text(TOKENS)

    def client(self, name: str, settings: dict) -> dict:
        """The settings of a client, with the address and the paths of files."""
        server = self.get(name)
        files = {key: str(self.folder / settings[key]) for key in ("ca", "cert", "key") if key in settings}
        return {"address": server.address, **settings, **files}
