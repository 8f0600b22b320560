"""An evenkeel whose wall clock can be set while it serves."""

import json
import os
import signal
import subprocess
import threading
import urllib.request
from datetime import datetime
from pathlib import Path

DAY = 86400
# In seconds. The other timeouts are much longer than all of this takes, and much shorter than a day.
HANDSHAKE_TIMEOUT = 5


class Server:
    """A server with TLS, a token and metrics."""

    def __init__(self, evenkeel: str, faketime: str, folder: Path, cert: Path, key: Path, token: Path):
        self.clock = folder / "clock"
        self.set_clock(0)
        clock = {
            "LD_PRELOAD": faketime,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            # Setting the clock of a machine does not change its monotonic clock either. The name of the variable depends on the
            # version of libfaketime.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        flags = {
            "listen": "127.0.0.1:0",
            "metrics-listen": "127.0.0.1:0",
            "tls-cert": cert,
            "tls-key": key,
            "auth-token-file": token,
            "log-format": "json",
            "handshake-timeout": f"{HANDSHAKE_TIMEOUT}s",
            "idle-timeout": "10m",
            "body-timeout": "10m",
            "keep-alive-interval": "10m",
            "max-connection-age": "1h",
            "drain-timeout": "10m",
        }
        command = [evenkeel, "serve", *(f"--{name}={value}" for name, value in flags.items())]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env={**os.environ, **clock}, stdout=pipe, stderr=pipe, text=True)
        self.heard = threading.Condition()
        self.log = []
        # By how many seconds the time of the newest line of the log is ahead of this program's.
        self.ahead = 0.0
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        self.port = int(line.removeprefix("listening on ").rpartition(":")[2])
        self.await_line("serving metrics")
        self.metrics_at = next(line["fields"]["address"] for line in self.log if said(line) == "serving metrics")

    def read(self) -> None:
        for text in self.process.stderr:
            line = json.loads(text)
            ahead = datetime.fromisoformat(line["timestamp"]).timestamp() - datetime.now().timestamp()
            with self.heard:
                self.ahead = ahead
                # There are too many lines of calls to keep them.
                if said(line) != "call ended":
                    self.log.append(line)
                self.heard.notify_all()

    def await_that(self, what: str, condition) -> None:
        """Waits until `condition` holds, checked at each line of the log. The limit of a minute is for a machine that hangs."""
        with self.heard:
            if not self.heard.wait_for(condition, timeout=60):
                raise AssertionError(f"{what}: not within a minute; {self.ahead:.0f} s ahead, log {self.log[-5:]}")

    def await_line(self, message: str, count: int = 1) -> None:
        self.await_that(message, lambda: sum(message in said(line) for line in self.log) >= count)

    def set_clock(self, days: int) -> None:
        """Sets the server's clock to so many days after the machine's."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{days:+d}d\n" if days else "+0\n")
        new.replace(self.clock)

    def await_clock(self, days: int) -> None:
        """Waits until a line of the log has the time that was set, which shows that libfaketime works."""
        self.await_that(f"a line {days} days ahead", lambda: abs(self.ahead - days * DAY) < DAY / 2)

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.metrics_at}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        series = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in series}

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        code = self.process.wait(timeout=60)
        self.reader.join()
        return code


def said(line: dict) -> str:
    return line["fields"].get("message", "")
