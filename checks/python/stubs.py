"""The stubs, generated from the repository's proto into a temporary folder and imported from there."""

import atexit
import sys
import tempfile
from importlib import resources
from pathlib import Path

PROTO = Path(__file__).resolve().parents[2] / "proto"
FILE = "evenkeel/v1/tensor_ops.proto"


def load():
    """The modules of the messages and of the service."""
    from grpc_tools import protoc

    folder = tempfile.TemporaryDirectory(prefix="evenkeel-stubs-")
    atexit.register(folder.cleanup)
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder.name}", f"--grpc_python_out={folder.name}"]
    if protoc.main(["protoc", *arguments, FILE]):
        raise SystemExit(f"{PROTO / FILE} does not compile")
    sys.path.insert(0, folder.name)
    from evenkeel.v1 import tensor_ops_pb2, tensor_ops_pb2_grpc

    return tensor_ops_pb2, tensor_ops_pb2_grpc
