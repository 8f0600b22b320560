"""gRPC's interop cases that apply to any server, against evenkeel's own calls, from grpcio.

    python cases.py --target 127.0.0.1:50051

One line for each case, by its name in grpc/grpc's doc/interop-test-descriptions.md; exits with 1 if one fails.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import runner  # noqa: E402
import stubs  # noqa: E402

SERVICE = "evenkeel.v1.TensorOpsService"
# The descriptions prescribe the bytes of a large request and of the messages of a stream, and the special message.
LARGE = 271828
STREAMED = (27182, 8, 1828, 45904)
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
# The limit for a response, in seconds: long enough that no case depends on it.
PATIENCE = 60


def equal(got, expected) -> None:
    if got != expected:
        raise AssertionError(f"{got!r} instead of {expected!r}")


def refused(call) -> grpc.RpcError:
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call was not refused")


class Cases:
    def __init__(self, target: str):
        self.channel = grpc.insecure_channel(target)
        self.pb, rpc = stubs.load()
        self.service = rpc.TensorOpsServiceStub(self.channel)

    # Health and reflection have so few fields that their messages are written by hand.
    def raw(self, kind: str, method: str):
        return getattr(self.channel, kind)(method, request_serializer=None, response_deserializer=None)

    def reflection(self):
        return self.raw("stream_stream", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")

    def tensor(self, dtype: str, array) -> object:
        number = getattr(self.pb, f"DATA_TYPE_{dtype}")
        return self.pb.Tensor(dtype=number, shape=array.shape, data=array.tobytes())

    def dropout(self, array, **fields):
        request = self.pb.DropoutRequest(
            p=0.0,
            kind=self.pb.DROPOUT_KIND_ELEMENT,
            scaling=self.pb.DROPOUT_SCALING_INVERTED,
            input=self.tensor("FLOAT32", array),
        )
        return self.service.Dropout.with_call(request, timeout=PATIENCE, **fields)

    def ones(self):
        for size in STREAMED:
            gradient = self.tensor("FLOAT16", np.ones(size // 2, np.float16))
            yield self.pb.MeasureGradientsRequest(norm_type=1.0, gradients=[gradient])

    def empty_unary(self) -> None:
        check = self.raw("unary_unary", "/grpc.health.v1.Health/Check")
        equal(check(b"", timeout=PATIENCE), b"\x08\x01")  # SERVING

    def large_unary(self) -> None:
        array = np.arange(LARGE // 4, dtype=np.float32)
        answer, call = self.dropout(array)
        equal(answer.output.data, array.tobytes())
        equal(call.code(), grpc.StatusCode.OK)

    def concurrent_large_unary(self) -> None:
        with ThreadPoolExecutor(16) as threads:
            for done in [threads.submit(self.large_unary) for _ in range(100)]:
                done.result()

    def client_streaming(self) -> None:
        answer = self.service.MeasureGradients(self.ones(), timeout=PATIENCE)
        equal(answer.total_norm, float(sum(STREAMED) // 2))

    def server_streaming(self) -> None:
        watch = self.raw("unary_stream", "/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE)
        equal(next(watch), b"\x08\x01")
        watch.cancel()

    def ping_pong(self) -> None:
        # `list_services` is field 7, its response field 6. Each question is sent after the response to the one before.
        questions = SimpleQueue()
        answers = self.reflection()(iter(questions.get, None), timeout=PATIENCE)
        for _ in range(4):
            questions.put(b"\x3a\x00")
            answer = next(answers)
            if SERVICE.encode() not in answer:
                raise AssertionError(f"no {SERVICE} in {answer!r}")
        questions.put(None)
        equal(list(answers), [])

    def empty_stream(self) -> None:
        equal(list(self.reflection()(iter(()), timeout=PATIENCE)), [])

    def custom_metadata(self) -> None:
        pairs = (("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"))
        array = np.ones(4, np.float32)
        answer, call = self.dropout(array, metadata=pairs)
        equal(answer.output.data, array.tobytes())
        names = {name for name, _ in (*call.initial_metadata(), *call.trailing_metadata())}
        equal(names & {name for name, _ in pairs}, set())

    def status_code_and_message(self) -> None:
        error = refused(lambda: self.service.Dropout(self.pb.DropoutRequest(p=2.0), timeout=PATIENCE))
        equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        field, _, reason = error.details().partition(": ")
        if not field or not reason or " " in field:
            raise AssertionError(f"{error.details()!r} names no field")

    def special_status_message(self) -> None:
        symbol = SPECIAL.encode()
        question = bytes([0x22, len(symbol)]) + symbol  # `file_containing_symbol` is field 4
        error = refused(lambda: list(self.reflection()(iter([question]), timeout=PATIENCE)))
        equal(error.code(), grpc.StatusCode.NOT_FOUND)
        equal(error.details(), f"symbol '{SPECIAL}' not found")

    def unimplemented_method(self) -> None:
        call = self.raw("unary_unary", f"/{SERVICE}/UnimplementedCall")
        equal(refused(lambda: call(b"", timeout=PATIENCE)).code(), grpc.StatusCode.UNIMPLEMENTED)

    def unimplemented_service(self) -> None:
        call = self.raw("unary_unary", "/grpc.testing.UnimplementedService/UnimplementedCall")
        equal(refused(lambda: call(b"", timeout=PATIENCE)).code(), grpc.StatusCode.UNIMPLEMENTED)

    def cancel_after_begin(self) -> None:
        call = self.service.MeasureGradients.future(self.ones(), timeout=PATIENCE)
        call.cancel()
        equal(call.code(), grpc.StatusCode.CANCELLED)
        self.large_unary()  # on the same connection

    def cancel_after_first_response(self) -> None:
        call = self.raw("unary_stream", "/grpc.health.v1.Health/Watch")(b"", timeout=PATIENCE)
        next(call)
        call.cancel()
        equal(refused(lambda: next(call)).code(), grpc.StatusCode.CANCELLED)
        self.large_unary()

    def timeout_on_sleeping_server(self) -> None:
        # The stream stays open, and the server sends nothing more.
        call = self.raw("unary_stream", "/grpc.health.v1.Health/Watch")(b"", timeout=0.001)
        equal(refused(lambda: list(call)).code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.large_unary()


CASES = (
    "empty_unary large_unary concurrent_large_unary client_streaming server_streaming ping_pong empty_stream custom_metadata "
    "status_code_and_message special_status_message unimplemented_method unimplemented_service cancel_after_begin "
    "cancel_after_first_response timeout_on_sleeping_server"
).split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, help="HOST:PORT")
    return runner.run(Cases(parser.parse_args().target), CASES)


if __name__ == "__main__":
    sys.exit(main())
