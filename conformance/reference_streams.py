"""The streams of tensors by the stubs, for the reference adapter: the same answers as the unary calls of bare.py."""

import base64
import math

import bare
import local
import values
from messages import pb

CHUNK = 64 << 10


def chunks(data: bytes, limit: int):
    size = min(limit, CHUNK)
    return (data[i : i + size] for i in range(0, len(data), size))


def emptied(tensor: dict) -> dict:
    return {key: value for key, value in tensor.items() if key not in ("data", "repeat")} | {"data": ""}


def size_of(op: str, args: dict) -> int:
    """The bytes of the tensors of a request or of its answer, whichever are more."""
    found = [value for value in args.values() if values.is_tensor(value)] + list(args.get("gradients", []))
    mask = math.prod(args["input"]["shape"]) // 8 if args.get("return_mask") else 0
    names = sum(100 + len(tensor.get("name", "")) for tensor in found)
    sizes = sum(len(values.elements(tensor)) for tensor in found)
    return sizes * (3 if args.get("return_statistics") else 1) + names + mask


def with_data(tensor, data: bytearray) -> dict:
    return bare.from_message(tensor) | {"data": base64.b64encode(data).decode()}


def normalize(calls, args, timeout, chunk):
    header = pb.NormalizeRequest(**bare.normalize_fields(args | {"input": emptied(args["input"])}))

    def requests():
        yield pb.NormalizeStreamRequest(header=header)
        for data in chunks(values.elements(args["input"]), chunk):
            yield pb.NormalizeStreamRequest(data=data)

    data, summary = bytearray(), None
    for answer in calls.NormalizeStream(requests(), timeout=timeout):
        match answer.WhichOneof("part"):
            case "header":
                head = answer.header
            case "summary":
                summary = answer.summary
            case "data":
                data += answer.data
    if summary is None:
        raise local.Incomplete
    result = {"axes": list(head.axes), "output": with_data(head.output, data)}
    return result | bare.tensors(summary, ("mean", "rstd", "running_mean", "running_var"))


def dropout(calls, args, timeout, chunk):
    return dropped(calls, args, timeout, chunk, "input")


def dropout_backward(calls, args, timeout, chunk):
    return {"grad_input": dropped(calls, args, timeout, chunk, "grad_output")["output"]}


def dropped(calls, args, timeout, chunk, name):
    fields = bare.dropout_fields(args | {name: emptied(args[name])})
    if name == "input":
        first = pb.DropoutStreamRequest(header=pb.DropoutRequest(**fields))
    else:
        first = pb.DropoutStreamRequest(backward_header=pb.DropoutBackwardRequest(**fields))

    def requests():
        yield first
        for data in chunks(values.elements(args[name]), chunk):
            yield pb.DropoutStreamRequest(data=data)

    data, mask, tensor, kept = bytearray(), bytearray(), None, None
    for answer in calls.DropoutStream(requests(), timeout=timeout):
        match answer.WhichOneof("part"):
            case "header":
                tensor = answer.header.output
            case "backward_header":
                tensor = answer.backward_header.grad_input
            case "summary":
                kept = str(answer.summary.kept)
            case "mask":
                mask += answer.mask
            case "data":
                data += answer.data
    if kept is None:
        raise local.Incomplete
    masked = {"mask": base64.b64encode(mask).decode()} if args.get("return_mask") else {}
    return {"output": with_data(tensor, data), "kept": kept} | masked


def clip_gradients(calls, args, timeout, chunk):
    mode = bare.enum(pb.ClipMode, "CLIP_MODE_", args["mode"])

    def requests():
        yield pb.ClipGradientsStreamRequest(header=pb.ClipGradientsRequest(mode=mode, **bare.pick(args, bare.CLIP)))
        for gradient in args["gradients"]:
            yield pb.ClipGradientsStreamRequest(tensor=bare.to_message(emptied(gradient)))
            for data in chunks(values.elements(gradient), chunk):
                yield pb.ClipGradientsStreamRequest(data=data)

    parts, summary = [], None
    for answer in calls.ClipGradientsStream(requests(), timeout=timeout):
        match answer.WhichOneof("part"):
            case "tensor":
                parts.append((answer.tensor, bytearray()))
            case "data":
                parts[-1][1].extend(answer.data)
            case "summary":
                summary = answer.summary
    if summary is None:
        raise local.Incomplete
    return {"gradients": [with_data(*part) for part in parts]} | bare.clipped(summary)


def measure_gradients(calls, args, timeout, chunk):
    def requests():
        yield pb.MeasureGradientsRequest(**bare.pick(args, ("norm_type",)))
        for gradient in args["gradients"]:
            size = values.SIZES[gradient["dtype"]]
            for data in chunks(values.elements(gradient), chunk - chunk % 8):
                piece = {"dtype": gradient["dtype"], "shape": [len(data) // size], "data": base64.b64encode(data)}
                yield pb.MeasureGradientsRequest(gradients=[bare.to_message(piece)])

    return bare.measured(calls.MeasureGradients(requests(), timeout=timeout))


def measure_statistics(calls, args, timeout, chunk):
    bare_tensors = {name: emptied(args[name]) for name in ("input", "grad_output") if name in args}
    header = bare.statistics_header(args | bare_tensors)
    data = values.elements(args["input"])
    gradients = values.elements(args["grad_output"]) if "grad_output" in args else b""

    def requests():
        yield header
        for piece, beside in zip(chunks(data, chunk), chunks(gradients or data, chunk), strict=True):
            yield pb.MeasureStatisticsRequest(data=piece, grad_data=beside if gradients else b"")

    return {"partial": bare.encode(calls.MeasureStatistics(requests(), timeout=timeout))}


STREAMS = (normalize, dropout, dropout_backward, clip_gradients, measure_gradients, measure_statistics)
STREAMS = {call.__name__: call for call in STREAMS}
