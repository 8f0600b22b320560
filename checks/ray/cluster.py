"""Ray on this machine alone. The other files import it from here: it reads these variables when it is imported."""

import logging
import os
import secrets

os.environ |= {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listens on loopback, as on Windows, and not on all addresses
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
}
# Workers inherit the token of their driver. Without one, Ray writes a new one to the home directory.
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import ray

WORKERS = 4  # at a time


def start() -> None:
    """Starts a cluster without a dashboard, for so many workers, also on a machine with fewer cores."""
    ray.init(
        num_cpus=WORKERS,
        object_store_memory=200 << 20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    addresses = [node["NodeManagerAddress"] for node in ray.nodes()]
    if addresses != ["127.0.0.1"]:
        raise SystemExit(f"Ray listens on {addresses}")
