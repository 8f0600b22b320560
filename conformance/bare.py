"""The operations of the protocol by the generated stubs alone: what `run.py --write` asks the server.

Each makes one call with one message, on a channel without a limit.
"""

import base64

import grpc
from google.protobuf.message import DecodeError

import local
import values
from messages import DOMAIN, TRAILER, details, pb, rpc, status_pb2

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
NORMALIZE = ("eps", "channel_axis", "training", "momentum", "axes", "groups", "return_statistics")
TENSORS = ("weight", "bias", "running_mean", "running_var", "input", "grad_output")
# The most of a message that an error has: a server's may be of any length.
TEXT_BYTES = 1000
DROPOUT = ("p", "channel_axis", "return_mask")
CLIP = ("threshold", "norm_type", "error_if_nonfinite", "total_norm", "epsilon", "not_above")
FLOATS = ("eps", "momentum", "p", "threshold", "norm_type", "total_norm", "epsilon")


def enum(kind, prefix: str, name: str) -> int:
    try:
        return kind.Value(prefix + name.upper())
    except ValueError:
        raise local.Refused(prefix) from None


def to_message(tensor: dict):
    return pb.Tensor(
        name=tensor.get("name", ""),
        dtype=enum(pb.DataType, "DATA_TYPE_", tensor["dtype"]),
        shape=tensor["shape"],
        data=values.elements(tensor),
    )


def from_message(tensor) -> dict:
    dtype = pb.DataType.Name(tensor.dtype).removeprefix("DATA_TYPE_").lower()
    name = {"name": tensor.name} if tensor.name else {}
    return {**name, "dtype": dtype, "shape": list(tensor.shape), "data": base64.b64encode(tensor.data).decode()}


def pick(args: dict, names) -> dict:
    return {name: values.number(args[name]) if name in FLOATS else args[name] for name in names if name in args}


def tensors(message, names) -> dict:
    return {name: from_message(getattr(message, name)) for name in names if message.HasField(name)}


def normalize_fields(args: dict) -> dict:
    fields = pick(args, NORMALIZE) | {name: to_message(args[name]) for name in TENSORS if name in args}
    if "kind" in args:
        fields["kind"] = enum(pb.NormKind, "NORM_KIND_", args["kind"])
    if "statistics" in args:
        fields["statistics"] = local.decoded(pb.StatisticsPartial, base64.b64decode(args["statistics"]), "statistics")
    return fields


def dropout_fields(args: dict) -> dict:
    fields = pick(args, DROPOUT) | {name: to_message(args[name]) for name in TENSORS if name in args}
    for name in ("seed", "offset"):
        if name in args:
            fields[name] = int(args[name])
    if "kind" in args:
        fields["kind"] = enum(pb.DropoutKind, "DROPOUT_KIND_", args["kind"])
    if "scaling" in args:
        fields["scaling"] = enum(pb.DropoutScaling, "DROPOUT_SCALING_", args["scaling"])
    return fields


def normalize(stub, args, timeout):
    answer = stub.Normalize(pb.NormalizeRequest(**normalize_fields(args)), timeout=timeout)
    return {"axes": list(answer.axes)} | tensors(answer, ("output", "mean", "rstd", "running_mean", "running_var"))


def normalize_backward(stub, args, timeout):
    answer = stub.NormalizeBackward(pb.NormalizeBackwardRequest(**normalize_fields(args)), timeout=timeout)
    return tensors(answer, ("grad_input", "grad_weight", "grad_bias"))


def dropout(stub, args, timeout):
    answer = stub.Dropout(pb.DropoutRequest(**dropout_fields(args)), timeout=timeout)
    mask = {"mask": base64.b64encode(answer.mask).decode()} if args.get("return_mask") else {}
    return {"output": from_message(answer.output), "kept": str(answer.kept)} | mask


def dropout_backward(stub, args, timeout):
    return tensors(
        stub.DropoutBackward(pb.DropoutBackwardRequest(**dropout_fields(args)), timeout=timeout), ("grad_input",)
    )


def clip_gradients(stub, args, timeout):
    mode = {"mode": enum(pb.ClipMode, "CLIP_MODE_", args["mode"])} if "mode" in args else {}
    gradients = [to_message(tensor) for tensor in args["gradients"]]
    answer = stub.ClipGradients(
        pb.ClipGradientsRequest(gradients=gradients, **mode, **pick(args, CLIP)), timeout=timeout
    )
    return {"gradients": [from_message(tensor) for tensor in answer.gradients]} | clipped(answer)


def clipped(answer) -> dict:
    """The numbers of a ClipGradientsResponse."""
    return {
        "total_norm": values.jsonable(answer.total_norm),
        "scale": values.jsonable(answer.scale),
        "clipped_elements": str(answer.clipped_elements),
        "tensor_norms": [values.jsonable(norm) for norm in answer.tensor_norms],
    }


def measure_gradients(stub, args, timeout):
    gradients = [to_message(tensor) for tensor in args["gradients"]]
    request = pb.MeasureGradientsRequest(gradients=gradients, **pick(args, ("norm_type",)))
    return measured(stub.MeasureGradients(iter([request]), timeout=timeout))


def measured(answer) -> dict:
    """The result of a MeasureGradientsResponse."""
    return {"partial": encode(answer.partial), "total_norm": values.jsonable(answer.total_norm)}


def measure_statistics(stub, args, timeout):
    return {"partial": encode(stub.MeasureStatistics(iter([statistics_header(args)]), timeout=timeout))}


def statistics_header(args):
    """The first message of MeasureStatistics."""
    if "grad_output" in args:
        return pb.MeasureStatisticsRequest(backward_header=pb.NormalizeBackwardRequest(**normalize_fields(args)))
    return pb.MeasureStatisticsRequest(header=pb.NormalizeRequest(**normalize_fields(args)))


def server_info(stub, args, timeout):
    info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=timeout)
    limits = {
        "max_message_bytes": str(info.max_message_bytes),
        "max_stream_chunk_bytes": str(info.max_stream_chunk_bytes),
    }
    return {"version": info.version, **limits, "warned": False}


def encode(message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def partials(args) -> list[bytes]:
    return [base64.b64decode(partial) for partial in args["partials"]]


def keep_mask(args):
    keep = local.keep_mask(int(args["seed"]), int(args["n"]), values.number(args["p"]), int(args.get("offset", 0)))
    return {"keep": base64.b64encode(keep).decode()}


def convert(args):
    return {"output": local.convert(args["input"], args["dtype"])}


def merge_norms(args):
    merged, norm = local.merge_norms(pb, partials(args))
    return {"partial": base64.b64encode(merged).decode(), "total_norm": values.jsonable(norm)}


def merge_statistics(args):
    return {"partial": base64.b64encode(local.merge_statistics(pb, partials(args))).decode()}


REMOTE = (normalize, normalize_backward, dropout, dropout_backward, clip_gradients)
REMOTE = {call.__name__: call for call in (*REMOTE, measure_gradients, measure_statistics, server_info)}
LOCAL = {call.__name__: call for call in (keep_mask, convert, merge_norms, merge_statistics)}


def error(failure: grpc.RpcError) -> dict:
    """A status as the protocol has it."""
    text = (failure.details() or "")[:TEXT_BYTES]
    answer = {"code": failure.code().name, "message": text, "reason": None, "fields": [], "retry_after_ms": None}
    trailer = dict(failure.trailing_metadata() or ()).get(TRAILER, b"")
    try:
        packed = status_pb2.Status.FromString(trailer).details
    except DecodeError:
        packed = ()
    for any_detail in packed:
        for message in (details.BadRequest(), details.ErrorInfo(), details.RetryInfo()):
            if any_detail.Unpack(message):
                describe(answer, message)
    return answer


def describe(answer: dict, message) -> None:
    match message:
        case details.BadRequest():
            answer["fields"] = [violation.field for violation in message.field_violations]
        case details.RetryInfo():
            answer["retry_after_ms"] = message.retry_delay.ToMilliseconds()
        case details.ErrorInfo() if message.domain == DOMAIN:
            answer["reason"] = message.reason
            if message.reason == "NONFINITE_NORM":
                answer["norm"] = nonfinite(message.metadata)


def nonfinite(metadata) -> dict:
    """The metadata of a norm that is NaN or infinite."""
    names = {
        key.removeprefix("gradient_"): name for key, name in sorted(metadata.items()) if key.startswith("gradient_")
    }
    counts = {name: metadata[name] for name in ("nan_elements", "infinite_elements", "nonfinite_gradients")}
    return {"total_norm": values.jsonable(float(metadata["total_norm"])), **counts, "gradients": names}


def answer(channel, request: dict) -> dict:
    """The answer to a request of the protocol, without `id`."""
    op, args = request["op"], request.get("args", {})
    try:
        if op in LOCAL:
            return {"result": LOCAL[op](args)}
        timeout = request.get("timeout_ms", 60_000) / 1000
        return {"result": REMOTE[op](rpc.TensorOpsServiceStub(channel), args, timeout)}
    except local.Refused as fault:
        return {"error": {"code": "INVALID_ARGUMENT", "reason": None, "fields": [str(fault)], "retry_after_ms": None}}
    except grpc.RpcError as failure:
        return {"error": error(failure)}
