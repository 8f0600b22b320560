"""What a client adds to the stubs, in the least code: retries, deadlines, cancellation, streams, faults of arguments.

The reference adapter uses it, so that the cases and the scripted server are tested without any of the clients.
"""

import itertools
import math
import random
import threading
import time
from pathlib import Path

import grpc

import bare
import local
import reference_checks
import values
from messages import pb, rpc
from reference_streams import STREAMS, size_of

RETRIES = 4
# The longest delay of a server that is waited for, in seconds.
LONGEST_DELAY = 60
# The least limit of any server: shorter messages are sent without asking for it.
LEAST = 1 << 10
VERSION = (0, 1)


class Failed(Exception):
    """A call without a result; `error` is as in the protocol."""

    def __init__(self, code: str, **details):
        self.error = {"code": code, "message": code, "reason": None, "fields": [], "retry_after_ms": None} | details


def whole(answer):
    """The one message of an answer. grpc has None for the status OK without one."""
    if answer is None:
        raise local.Incomplete
    return answer


class Calls:
    """The stub of a call, with a token and a way to give up."""

    def __init__(self, stub, token: str | None):
        self.stub, self.current = stub, None
        self.cancelled = threading.Event()
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __getattr__(self, method: str):
        call = getattr(self.stub, method)

        def make(request, timeout):
            how = call if method.endswith("Stream") else call.future
            self.current = how(request, timeout=timeout, metadata=self.metadata)
            if self.cancelled.is_set():
                self.current.cancel()
            return self.current if how is call else whole(self.current.result())

        return make

    def cancel(self) -> None:
        self.cancelled.set()
        if self.current:
            self.current.cancel()


class Client:
    """Channels to one server."""

    def __init__(self, settings: dict):
        self.settings = settings
        channels = [channel(settings) for _ in range(settings.get("connections", 1))]
        self.stubs = itertools.cycle([rpc.TensorOpsServiceStub(made) for made in channels])
        self.info = None

    def answer(self, request: dict) -> dict:
        """The answer to a request of the protocol, without `id`."""
        calls = Calls(next(self.stubs), self.settings.get("token"))
        timer = (
            threading.Timer(request["cancel_after_ms"] / 1000, calls.cancel) if "cancel_after_ms" in request else None
        )
        if timer:
            timer.start()
        try:
            until = time.monotonic() + request.get("timeout_ms", 60_000) / 1000
            result = self.made(calls, request["op"], checked(request["op"], request.get("args", {})), until)
            reference_checks.check(request["op"], request.get("args", {}), result)
            return {"result": result}
        except local.Incomplete:
            return {"error": Failed("INTERNAL").error}
        except local.Refused as fault:
            return {"error": Failed("INVALID_ARGUMENT", fields=[str(fault)]).error}
        except Failed as failed:
            return {"error": failed.error}
        finally:
            if timer:
                timer.cancel()

    def made(self, calls: Calls, op: str, args: dict, until: float) -> dict:
        """Makes the call, as a stream where it must be one, and in two passes where one is refused."""
        size = size_of(op, args)
        if op == "server_info":
            info = self.retried(calls, until, lambda left: bare.server_info(calls, args, left))
            major, minor = (int(part) for part in info["version"].split(".")[:2])
            return info | {"warned": major != VERSION[0] or abs(minor - VERSION[1]) > 1}
        if size <= LEAST:
            return self.retried(calls, until, lambda left: bare.REMOTE[op](calls, args, left))
        if self.info is None:
            self.info = self.asked(calls, until)
        fits = size + LEAST < int(self.info["max_message_bytes"])
        if fits or op not in STREAMS or self.info["max_stream_chunk_bytes"] == "0":
            return self.retried(calls, until, lambda left: bare.REMOTE[op](calls, args, left))
        try:
            return self.streamed(calls, op, args, until)
        except Failed as failed:
            if failed.error["reason"] != "NEEDS_TWO_PASSES" or args.get("mode") == "value":
                raise
        if op == "clip_gradients":
            measured = self.streamed(
                calls, "measure_gradients", {k: args[k] for k in ("gradients", "norm_type") if k in args}, until
            )
            return self.streamed(calls, op, args | {"total_norm": measured["total_norm"]}, until)
        measured = self.streamed(calls, "measure_statistics", args, until)
        return self.streamed(calls, op, args | {"statistics": measured["partial"]}, until)

    def asked(self, calls: Calls, until: float) -> dict:
        """The limits of the server, or none if it does not tell them."""
        try:
            return self.retried(calls, until, lambda left: bare.server_info(calls, {}, left))
        except Failed as failed:
            if failed.error["code"] != "UNIMPLEMENTED":
                raise
            return {"max_message_bytes": str(2**63), "max_stream_chunk_bytes": "0"}

    def streamed(self, calls: Calls, op: str, args: dict, until: float) -> dict:
        chunk = int(self.info["max_stream_chunk_bytes"])
        return self.retried(calls, until, lambda left: STREAMS[op](calls, args, left, chunk))

    @staticmethod
    def retried(calls: Calls, until: float, attempt):
        for number in itertools.count():
            try:
                return attempt(max(until - time.monotonic(), 0.001))
            except grpc.FutureCancelledError:
                raise Failed("CANCELLED") from None
            except grpc.RpcError as failure:
                error = bare.error(failure)
            if error["reason"] == "OVERLOADED" and (error["retry_after_ms"] or 0) > 0:
                delay = error["retry_after_ms"] / 1000
            elif error["code"] == "UNAVAILABLE" or error["reason"] == "OVERLOADED":
                delay = min(0.1 * 2**number, 5) * random.uniform(0.8, 1.2)
            else:
                raise Failed(**error)
            if number == RETRIES or delay > LONGEST_DELAY or delay > until - time.monotonic():
                raise Failed(**error)
            if calls.cancelled.wait(delay):
                raise Failed("CANCELLED")
        raise AssertionError


def complete(value) -> bool:
    """Whether a tensor has all its elements."""
    if not values.is_tensor(value):
        return True
    return len(values.elements(value)) == math.prod(value["shape"]) * values.SIZES[value["dtype"]]


def checked(op: str, args: dict) -> dict:
    """Refuses what can be seen before anything is sent."""
    ranges = {"seed": (0, 2**64), "offset": (0, 2**64), "groups": (0, 2**32), "channel_axis": (-(2**31), 2**31)}
    for name, (least, end) in ranges.items():
        if not least <= int(args.get(name, 0)) < end:
            raise local.Refused(name)
    if any(not -(2**31) <= axis < 2**31 for axis in args.get("axes", [])):
        raise local.Refused("axes")
    for name, value in args.items():
        if values.is_tensor(value) and (min(value["shape"], default=0) < 0 or not complete(value)):
            raise local.Refused(f"{name}.shape")
    kinds = pb.DropoutKind if "dropout" in op else pb.NormKind
    for name, kind in (("kind", kinds), ("scaling", pb.DropoutScaling)):
        if name in args and not any(key.endswith(f"_{args[name].upper()}") for key in kind.keys()):
            raise local.Refused(name)
    return args


def channel(settings: dict):
    """A channel with the settings of a client."""
    address = settings["address"]
    options = [*bare.OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
    if address.startswith("unix:"):
        options.append(("grpc.default_authority", "localhost"))  # the path is no authority that the server takes
    if "server_name" in settings:
        options.append(("grpc.ssl_target_name_override", settings["server_name"]))
    if "ca" not in settings:
        return grpc.insecure_channel(address, options)
    ca, key, cert = (Path(settings[name]).read_bytes() if name in settings else None for name in ("ca", "key", "cert"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert), options)
