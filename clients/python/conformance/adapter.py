"""Answers the requests of the conformance runner with the public functions of the client, line by line."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from values import Unsupported, array_of, base64_of, number, tensor_of, written

from evenkeel_client import (
    AsyncClient,
    Client,
    EvenkeelError,
    NormPartial,
    Overloaded,
    StatisticsPartial,
    VersionWarning,
    convert,
    errors,
    keep_mask,
)

TENSORS = ("input", "grad_output", "weight", "bias", "running_mean", "running_var")
NUMBERS = ("eps", "momentum", "p", "threshold", "norm_type", "total_norm", "epsilon")
INTEGERS = ("seed", "offset", "n")


class Adapter:
    """The clients, by their settings, and the operations."""

    def __init__(self, client_class: type[Client | AsyncClient]) -> None:
        self.client_class = client_class
        self.clients: dict[str, Any] = {}
        self.warned: set[str] = set()
        self.loop = asyncio.new_event_loop()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        try:
            result = self.result(request)
        except Unsupported as lack:
            return {"id": request["id"], "unsupported": str(lack)}
        except EvenkeelError as error:
            return {"id": request["id"], "error": described(error)}
        except asyncio.CancelledError:
            return {"id": request["id"], "error": {"code": "CANCELLED", "reason": None, "fields": []}}
        return {"id": request["id"], "result": {key: value for key, value in result.items() if value is not None}}

    def result(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make the call, and return its result."""
        arguments, digest = converted(request.get("args", {})), request.get("digest", False)
        if "client" not in request:
            return LOCAL[request["op"]](arguments, digest)
        is_cancelled = "cancel_after_ms" in request
        kind = AsyncClient if is_cancelled else self.client_class
        settings = json.dumps([kind.__name__, request["client"]], sort_keys=True)
        if settings not in self.clients:
            self.clients[settings] = kind(**request["client"])
        if "timeout_ms" in request:
            arguments["timeout"] = request["timeout_ms"] / 1000
        call, finish = REMOTE[request["op"]]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = call(self.clients[settings], arguments)
            if inspect.isawaitable(made):
                made = self.loop.run_until_complete(self.awaited(made, request.get("cancel_after_ms")))
        if any(issubclass(warning.category, VersionWarning) for warning in caught):
            self.warned.add(settings)
        result = finish(made, digest)
        if request["op"] == "server_info":
            result["warned"] = settings in self.warned
        return result

    async def awaited(self, call: Any, cancel_after_ms: float | None) -> Any:
        """Wait for a call, and cancel its task after some time."""
        task = asyncio.ensure_future(call)
        if cancel_after_ms is not None:
            self.loop.call_later(cancel_after_ms / 1000, task.cancel)
        return await task


def converted(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a request as the client takes them."""
    out = dict(arguments)
    for name in TENSORS:
        if name in out:
            out[name] = array_of(out[name])
    for name in NUMBERS:
        if name in out:
            out[name] = number(out[name])
    for name in INTEGERS:
        if name in out:
            out[name] = int(out[name])
    if "gradients" in out:
        names = [gradient.get("name") for gradient in out["gradients"]]
        arrays = [array_of(gradient) for gradient in out["gradients"]]
        if not any(names):
            out["gradients"] = arrays
        elif None in names or len(set(names)) < len(names):
            raise Unsupported("gradients have names, which differ, or none")
        else:
            out["gradients"] = dict(zip(names, arrays, strict=True))
    if "statistics" in out:
        out["statistics"] = StatisticsPartial.from_bytes(base64.b64decode(out["statistics"]))
    return out


def described(error: EvenkeelError) -> dict[str, Any]:
    """Return an error for JSON."""
    delay = error.retry_after if isinstance(error, Overloaded) else None
    norm = {}
    if isinstance(error, errors.NonfiniteNorm):
        counts = ("nan_elements", "infinite_elements", "nonfinite_gradients")
        norm = {
            "total_norm": written(error.total_norm),
            **{name: str(getattr(error, name)) for name in counts},
            "gradients": {str(index): name for index, name in error.gradients},
        }
    return {
        **({"norm": norm} if norm else {}),
        "code": error.code.name,
        "message": str(error),
        "reason": error.reason,
        "fields": [field.path for field in error.fields] if isinstance(error, errors.InvalidArgument) else [],
        "retry_after_ms": None if delay is None else round(delay * 1000),
    }


def tensors(result: Any, names: tuple[str, ...], digest: bool) -> dict[str, Any]:
    """Return those tensors of a result that it has."""
    arrays = {name: getattr(result, name) for name in names}
    return {name: tensor_of(array, digest=digest) for name, array in arrays.items() if array is not None}


def clip(client: Any, arguments: dict[str, Any]) -> Any:
    """Call the function of a mode."""
    gradients, mode, threshold = (arguments.pop(name) for name in ("gradients", "mode", "threshold"))
    if mode == "value":
        return client.clip_grad_value(gradients, threshold, **arguments)
    return client.clip_grad_norm(gradients, threshold, per_tensor=mode == "norm_per_tensor", **arguments)


def clipped(result: Any, digest: bool) -> dict[str, Any]:
    """Return the result of a clipping."""
    gradients = result.gradients
    named = gradients.items() if isinstance(gradients, dict) else (("", array) for array in gradients)
    return {
        "gradients": [{"name": name, **tensor_of(array, digest=digest)} for name, array in named],
        "total_norm": written(result.total_norm),
        "scale": written(result.scale),
        "clipped_elements": str(result.clipped_elements),
        "tensor_norms": [written(norm) for norm in result.tensor_norms],
    }


def dropped(result: Any, digest: bool) -> dict[str, Any]:
    """Return the result of a dropout, with the mask as the server packs it."""
    mask = None if result.mask is None else base64_of(np.packbits(result.mask, bitorder="little").tobytes())
    return {"output": tensor_of(result.output, digest=digest), "kept": str(result.kept), "mask": mask}


def norm(partial: NormPartial, _: bool) -> dict[str, Any]:
    """Return a norm that merges."""
    return {"partial": base64_of(partial.to_bytes()), "total_norm": written(partial.total_norm)}


def merged(kind: Any, arguments: dict[str, Any]) -> Any:
    """Merge partials of a kind."""
    first, *others = (kind.from_bytes(base64.b64decode(partial)) for partial in arguments["partials"])
    return first.merge(*others)


def server(info: Any, _: bool) -> dict[str, Any]:
    """Return what a server tells about itself."""
    limits = ("max_message_bytes", "max_stream_chunk_bytes")
    return {"version": info.version, **{name: str(getattr(info, name)) for name in limits}}


FORWARD = ("output", "mean", "rstd", "running_mean", "running_var")
BACKWARD = ("grad_input", "grad_weight", "grad_bias")

Call = Callable[[Any, dict[str, Any]], Any]
Finish = Callable[[Any, bool], dict[str, Any]]

REMOTE: dict[str, tuple[Call, Finish]] = {
    "normalize": (
        lambda client, it: client.normalize(it.pop("input"), it.pop("kind", None), **it),
        lambda result, digest: {**tensors(result, FORWARD, digest), "axes": list(result.axes)},
    ),
    "normalize_backward": (
        lambda client, it: client.normalize_backward(
            it.pop("input"), it.pop("grad_output"), it.pop("kind", None), **it
        ),
        lambda result, digest: tensors(result, BACKWARD, digest),
    ),
    "dropout": (lambda client, it: client.dropout(it.pop("input"), it.pop("p", None), **it), dropped),
    "dropout_backward": (
        lambda client, it: client.dropout_backward(it.pop("grad_output"), it.pop("p", None), **it),
        lambda gradient, digest: {"grad_input": tensor_of(gradient, digest=digest)},
    ),
    "clip_gradients": (clip, clipped),
    "measure_gradients": (lambda client, it: client.measure_gradients(it.pop("gradients"), **it), norm),
    "measure_statistics": (
        lambda client, it: client.measure_statistics(it.pop("input"), it.pop("kind", None), **it),
        lambda partial, _: {"partial": base64_of(partial.to_bytes())},
    ),
    "server_info": (lambda client, it: client.server_info(timeout=it.get("timeout")), server),
}

LOCAL: dict[str, Callable[[dict[str, Any], bool], dict[str, Any]]] = {
    "keep_mask": lambda it, _: {"keep": base64_of(keep_mask(**it).tobytes())},
    "convert": lambda it, digest: {"output": tensor_of(convert(it["input"], it["dtype"]), digest=digest)},
    "merge_norms": lambda it, digest: norm(merged(NormPartial, it), digest),
    "merge_statistics": lambda it, _: {"partial": base64_of(merged(StatisticsPartial, it).to_bytes())},
}


def main() -> None:
    """Answer each line of standard input."""
    adapter = Adapter(AsyncClient if "--async" in sys.argv[1:] else Client)
    for line in sys.stdin:
        print(json.dumps(adapter.answer(json.loads(line)), allow_nan=False), flush=True)


if __name__ == "__main__":
    main()
