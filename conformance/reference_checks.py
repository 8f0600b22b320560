"""Compares answers with what was asked, for the reference adapter: what every client must refuse."""

import base64
import math

import local
import values
from messages import pb

UNCENTRED = ("rms", "l2")


def sets(args: dict) -> tuple[list[int], list[int]]:
    """The axes that are pooled, and the shape of the sets."""
    shape, kind = args["input"]["shape"], args["kind"]
    rank = len(shape)
    channels = args.get("channel_axis", 1) % max(rank, 1)
    defaults = {
        "batch": set(range(rank)) - {channels},
        "layer": {rank - 1} if rank <= 3 else set(range(1, rank)),
        "instance": set(range(1, rank)) - {channels},
        "group": set(range(1, rank)),
        "l2": {min(1, rank - 1)},
    }
    pooled = {axis % max(rank, 1) for axis in args.get("axes", [])} or defaults.get(kind, defaults["layer"])
    kept = {axis: [dim] for axis, dim in enumerate(shape) if axis not in pooled}
    if kind == "group":
        pooled, kept = pooled | {channels}, kept | {channels: [args.get("groups", 0)]}
    return sorted(pooled), [dim for axis in sorted(kept) for dim in kept[axis]]


def require(right: bool) -> None:
    if not right:
        raise local.Incomplete


def like(given, sent) -> None:
    """A tensor that is there if, and only if, another was sent, with its form."""
    require((given is None) == (sent is None))
    if given is not None:
        formed(given, sent["dtype"], sent["shape"], sent.get("name"))


def formed(given: dict, dtype: str, shape: list[int], name: str | None = None) -> None:
    require((given.get("name"), given["dtype"], given["shape"]) == (name, dtype, shape))
    require(len(values.elements(given)) == math.prod(shape) * values.SIZES[dtype])


def normalize(args: dict, result: dict) -> None:
    axes, shape = sets(args)
    require(result["axes"] == axes)
    like(result.get("output"), args["input"])
    for name, due in (("mean", args["kind"] not in UNCENTRED), ("rstd", True)):
        require((name in result) == (due and args.get("return_statistics", False)))
        if name in result:
            formed(result[name], "float64" if args["input"]["dtype"] == "float64" else "float32", shape)
    for name in ("running_mean", "running_var"):
        if name in result:
            like(result[name], args.get(name))


def normalize_backward(args: dict, result: dict) -> None:
    for name in ("input", "weight", "bias"):
        like(result.get(f"grad_{name}"), args.get(name))


def dropout(args: dict, result: dict) -> None:
    like(result.get("output"), args["input"])
    require(int(result["kept"]) <= math.prod(args["input"]["shape"]))
    shape = args["input"]["shape"]
    if args.get("kind") in ("channel", "feature_alpha"):
        shape = [shape[0], shape[args.get("channel_axis", 1)]]
    if "mask" in result:
        require(len(base64.b64decode(result["mask"])) == (math.prod(shape) + 7) // 8)


def dropout_backward(args: dict, result: dict) -> None:
    like(result.get("grad_input"), args["grad_output"])


def clip_gradients(args: dict, result: dict) -> None:
    require(len(result["gradients"]) == len(args["gradients"]))
    for given, sent in zip(result["gradients"], args["gradients"], strict=True):
        like(given, {**sent, "name": sent.get("name") or None})
    require(len(result["tensor_norms"]) == (len(args["gradients"]) if args["mode"] == "norm_per_tensor" else 0))


def measure_gradients(args: dict, result: dict) -> None:
    partial = pb.NormPartial.FromString(base64.b64decode(result["partial"]))
    require(partial.norm_type == values.number(args.get("norm_type", 2)))
    require(partial.elements == sum(math.prod(tensor["shape"]) for tensor in args["gradients"]))
    try:
        _, norm = local.merge_norms(pb, [base64.b64decode(result["partial"])])
    except local.Refused as fault:
        raise local.Incomplete from fault
    require(values.jsonable(norm) == result["total_norm"])


def measure_statistics(args: dict, result: dict) -> None:
    partial, (_, shape) = pb.StatisticsPartial.FromString(base64.b64decode(result["partial"])), sets(args)
    require(pb.NormKind.Name(partial.kind) == f"NORM_KIND_{args['kind'].upper()}")
    require(list(partial.shape) == shape and len(partial.sets) == math.prod(shape))
    for part in partial.sets:
        require(part.elements == math.prod(args["input"]["shape"]) // len(partial.sets))
        require(part.HasField("sum_of_gradients") == ("grad_output" in args))


CALLS = (
    normalize,
    normalize_backward,
    dropout,
    dropout_backward,
    clip_gradients,
    measure_gradients,
    measure_statistics,
)
CHECKS = {call.__name__: call for call in CALLS}


def check(op: str, args: dict, result: dict) -> None:
    """Raises Incomplete for an answer that breaks the contract."""
    if op in CHECKS:
        CHECKS[op](args, result)
