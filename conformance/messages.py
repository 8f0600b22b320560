"""The stubs and google.rpc's messages of errors."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "checks" / "python"))
import stubs  # noqa: E402

pb, rpc = stubs.load()

from google.rpc import error_details_pb2 as details  # noqa: E402
from google.rpc import status_pb2  # noqa: E402

DOMAIN = "evenkeel"
TRAILER = "grpc-status-details-bin"

__all__ = ["DOMAIN", "ROOT", "TRAILER", "details", "pb", "rpc", "status_pb2"]
