"""A server that follows the script of a case, and counts what clients do.

A script names for each method the steps that its calls take, one after the other; the last is repeated. Without steps a
call is answered. A step is one of

    {"answer": true}                    an answer of the right form, with the tensors of the request
    {"answer": "short"}                 the same with four bytes too few
    {"answer": "no summary"}            a stream without its last message
    {"set": CHANGE}                     an answer of the right form with other fields: see lies.py
    {"messages": N}                     N times the message of an answer that is one, and the status OK
    {"fail": CODE, ...}                 a status, with "reason", "domain", "retry_ms" and "metadata", with "violations"
                                        (their number), or with "details" (the base64 of the trailer). "retry_delay" has
                                        seconds and nanoseconds of a delay, "text" the length of the message
    {"cut": N}                          an answer whose connection breaks after some N bytes
    {"hang": true}                      no answer until the client leaves

`version`, `max_message_bytes` and `max_stream_chunk_bytes` are those of GetServerInfo. With `closed` nobody listens.
"""

import base64
import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import duration_pb2, message_factory

import lies
from messages import DOMAIN, TRAILER, details, pb, status_pb2
from relay import Relay

OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
DEFAULTS = {"max_message_bytes": 64 << 20, "max_stream_chunk_bytes": 1 << 20}
# The longest that a call hangs, in seconds: a client that never leaves must not stop the run.
PATIENCE = 60
# The ports that clients were given, of all servers of this process.
USED_PORTS: set[int] = set()
# The bytes of a unary answer whose connection breaks: more than all windows of a client may hold back.
CUT_BYTES = 1 << 20


class Scripted:
    """`calls` counts the calls of each method, `left` those that the client gave up.

    The method of a call's name gets the step and the request, and returns the message of the answer, or yields its messages.
    """

    def __init__(self, script: dict, version: str):
        self.script, self.version = script, version
        self.calls: Counter[str] = Counter()
        self.left: Counter[str] = Counter()
        self.seen = threading.Condition()
        cuts = any("cut" in step for steps in script.values() if isinstance(steps, list) for step in steps)
        self.server, self.relay, port = self.listening(cuts)
        self.address = f"127.0.0.1:{port}"
        self.longest = 0  # the bytes of the longest chunk that came
        if script.get("closed"):
            self.server.stop(None).wait()

    def listening(self, with_relay: bool):
        """A server that has started, a relay in front of it or None, and the port for clients.

        No port is used twice: an adapter may keep the client of an earlier server of the same address.
        """
        service = pb.DESCRIPTOR.services_by_name["TensorOpsService"]
        handlers = {method.name: self.handler(method) for method in service.methods if hasattr(self, method.name)}
        while True:
            server = grpc.server(ThreadPoolExecutor(16), options=OPTIONS)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
            own = server.add_insecure_port("127.0.0.1:0")
            server.start()
            relay = Relay(own) if with_relay else None
            port = relay.port if relay else own
            if port not in USED_PORTS:
                USED_PORTS.add(port)
                return server, relay, port
            if relay:
                relay.close()
            server.stop(None).wait()

    def close(self) -> None:
        if self.relay:
            self.relay.close()
        self.server.stop(None).wait()

    def wait_left(self, method: str, count: int, seconds: float) -> int:
        """How many calls of the method the client gave up, after `count` of them or `seconds`."""
        with self.seen:
            self.seen.wait_for(lambda: self.left[method] >= count, seconds)
            return self.left[method]

    def begin(self, method: str, context) -> dict:
        """Takes the next step of the method. Returns if the call is to be answered."""
        with self.seen:
            number = self.calls[method]
            self.calls[method] += 1
        steps = self.script.get(method) or [{"answer": True}]
        step = steps[min(number, len(steps) - 1)]
        if "fail" in step:
            fail(context, step)
        if "hang" in step:
            self.hang(method, context)
        if "cut" in step:
            self.relay.cut_after(step["cut"])
        return step

    def handler(self, method):
        """The handler of a method. All answers are streams for it, so that their number is free."""
        answer = getattr(self, method.name)

        def answered(request, context):
            step = self.begin(method.name, context)
            made = answer(step, request)
            for message in made if method.server_streaming else [made] * step.get("messages", 1):
                lies.change(message, step.get("set", {}))
                yield message

        form = (
            grpc.stream_stream_rpc_method_handler if method.client_streaming else grpc.unary_stream_rpc_method_handler
        )
        request = message_factory.GetMessageClass(method.input_type)
        response = message_factory.GetMessageClass(method.output_type)
        return form(answered, request.FromString, response.SerializeToString)

    def hang(self, method: str, context) -> None:
        gone = threading.Event()
        if context.add_callback(gone.set):
            gone.wait(PATIENCE)
        with self.seen:
            self.left[method] += gone.is_set() or not context.is_active()
            self.seen.notify_all()
        context.abort(grpc.StatusCode.CANCELLED, "the client has left")

    def GetServerInfo(self, step, request):
        limits = {name: self.script.get(name, default) for name, default in DEFAULTS.items()}
        return pb.GetServerInfoResponse(
            version=versioned(self.script.get("version", "same"), self.version),
            dtypes=[1, 2, 3, 4],
            norm_kinds=[1, 2, 3, 4, 5, 6],
            **limits,
        )

    def Normalize(self, step, request):
        output = request.input
        if "cut" in step:
            output.data = bytes(max(CUT_BYTES, len(output.data)))
        shorten(step, output)
        return pb.NormalizeResponse(axes=[len(output.shape) - 1], output=output, **statistics(request))

    def NormalizeBackward(self, step, request):
        return pb.NormalizeBackwardResponse(grad_input=request.grad_output)

    def Dropout(self, step, request):
        shorten(step, request.input)
        return pb.DropoutResponse(kept=math.prod(request.input.shape), output=request.input)

    def DropoutBackward(self, step, request):
        return pb.DropoutBackwardResponse(grad_input=request.grad_output)

    def ClipGradients(self, step, request):
        for gradient in request.gradients:
            shorten(step, gradient)
        return pb.ClipGradientsResponse(total_norm=1, scale=1, gradients=request.gradients)

    def MeasureGradients(self, step, requests):
        """The norm of elements that are all 0."""
        read = list(requests)
        count = sum(math.prod(tensor.shape) for request in read for tensor in request.gradients)
        order = next((request.norm_type for request in read if request.HasField("norm_type")), 2)
        return pb.MeasureGradientsResponse(partial=pb.NormPartial(norm_type=order, elements=count))

    def MeasureStatistics(self, step, requests):
        """The statistics of rows whose elements are all 0."""
        first = next(requests)
        header = getattr(first, first.WhichOneof("part"))
        for _ in requests:
            pass
        *rows, length = header.input.shape
        one = pb.SetStatistics(elements=length, sum=pb.ExactSum(), sum_of_squares=pb.ExactSum())
        return pb.StatisticsPartial(kind=header.kind, shape=rows, sets=[one] * math.prod(rows))

    def NormalizeStream(self, step, requests):
        header = next(requests).header
        axes = [len(header.input.shape) - 1]
        yield pb.NormalizeStreamResponse(header=pb.NormalizeResponse(axes=axes, output=header.input))
        for data in self.echoed(step, (request.data for request in requests)):
            yield pb.NormalizeStreamResponse(data=data)
        if step.get("answer") != "no summary":
            yield pb.NormalizeStreamResponse(summary=pb.NormalizeResponse(**statistics(header)))

    def DropoutStream(self, step, requests):
        first = next(requests)
        forward = first.WhichOneof("part") == "header"
        if forward:
            yield pb.DropoutStreamResponse(header=pb.DropoutResponse(output=first.header.input))
        else:
            answer = pb.DropoutBackwardResponse(grad_input=first.backward_header.grad_output)
            yield pb.DropoutStreamResponse(backward_header=answer)
        for data in self.echoed(step, (request.data for request in requests)):
            yield pb.DropoutStreamResponse(data=data)
        kept = math.prod(first.header.input.shape) if forward else 0
        if step.get("answer") != "no summary":
            yield pb.DropoutStreamResponse(summary=pb.DropoutResponse(kept=kept))

    def ClipGradientsStream(self, step, requests):
        yield pb.ClipGradientsStreamResponse(header=pb.ClipGradientsResponse())
        header = next(requests).header
        for request in requests:
            if request.WhichOneof("part") == "tensor":
                yield pb.ClipGradientsStreamResponse(tensor=request.tensor)
            else:
                for data in self.echoed(step, [request.data]):
                    yield pb.ClipGradientsStreamResponse(data=data)
        norm = header.total_norm if header.HasField("total_norm") else 1
        if step.get("answer") != "no summary":
            yield pb.ClipGradientsStreamResponse(summary=pb.ClipGradientsResponse(total_norm=norm, scale=1))

    def echoed(self, step: dict, chunks):
        """The chunks of a stream; the first is too short where the step says so."""
        short = 4 if step.get("answer") == "short" else 0
        for data in chunks:
            self.longest = max(self.longest, len(data))
            yield data[: len(data) - short]
            short = 0


def statistics(request) -> dict:
    """Mean and rstd of float32 rows, if they are asked for: all are 0."""
    if not request.return_statistics:
        return {}
    rows = request.input.shape[:-1]
    zeros = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=rows, data=bytes(4 * math.prod(rows)))
    return {"mean": zeros, "rstd": zeros}


def shorten(step: dict, tensor) -> None:
    if step.get("answer") == "short":
        tensor.data = tensor.data[:-4]


def versioned(wanted: str, version: str) -> str:
    """`same`, `minor+N`: relative to the version of the clients; else the version itself."""
    major, minor, _ = version.split(".", 2)
    if wanted == "same":
        return f"{major}.{minor}.99"
    if wanted.startswith("minor+"):
        return f"{major}.{int(minor) + int(wanted.removeprefix('minor+'))}.0"
    return wanted


def fail(context, step: dict) -> None:
    """Ends the call with the status of a step."""
    code = grpc.StatusCode[step["fail"]]
    message = "x" * step["text"] if "text" in step else f"{step['fail']} as the script says"
    trailers = []
    if "details" in step:
        trailers = [(TRAILER, base64.b64decode(step["details"]))]
    elif packed := list(described(step)):
        status = status_pb2.Status(code=code.value[0], message=message)
        for detail in packed:
            status.details.add().Pack(detail)
        trailers = [(TRAILER, status.SerializeToString())]
    if "retry_ms" in step:
        trailers.append(("grpc-retry-pushback-ms", str(step["retry_ms"])))
    context.set_trailing_metadata(tuple(trailers))
    context.abort(code, message)


def described(step: dict):
    """The details of the status of a step."""
    if "reason" in step:
        yield details.ErrorInfo(reason=step["reason"], domain=step.get("domain", DOMAIN), metadata=step.get("metadata"))
    if "retry_ms" in step:
        retry = details.RetryInfo()
        retry.retry_delay.FromMilliseconds(step["retry_ms"])
        yield retry
    if "retry_delay" in step:
        seconds, nanos = step["retry_delay"]
        yield details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=seconds, nanos=nanos))
    if "violations" in step:
        bad = details.BadRequest()
        for number in range(step["violations"]):
            bad.field_violations.add(field=f"gradients[{number}].shape", description=f"is wrong, as in {number} others")
        yield bad
