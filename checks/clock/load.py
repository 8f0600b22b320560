"""A steady load of calls with deadlines, whose results are known."""

import threading

import grpc
import numpy as np

import stubs

# The deadline of each call, in seconds. Calls are much shorter: one that reaches it waits for the clock that was set.
DEADLINE = 30


class Caller:
    """A client that calls over TLS and with a token."""

    def __init__(self, port: int, certificate: bytes, token: str):
        self.pb, rpc = stubs.load()
        credentials = grpc.ssl_channel_credentials(certificate)
        # A connection of its own, also where another caller has the same settings.
        self.channel = grpc.secure_channel(f"localhost:{port}", credentials, [("grpc.use_local_subchannel_pool", 1)])
        self.service = rpc.TensorOpsServiceStub(self.channel)
        self.metadata = [("authorization", f"Bearer {token}")]

    def tensor(self, array: np.ndarray):
        return self.pb.Tensor(dtype=self.pb.DATA_TYPE_FLOAT32, shape=array.shape, data=array.tobytes())

    def normalize(self, array: np.ndarray) -> np.ndarray:
        request = self.pb.NormalizeRequest(kind=self.pb.NORM_KIND_LAYER, input=self.tensor(array))
        answer = self.service.Normalize(request, timeout=DEADLINE, metadata=self.metadata)
        return np.frombuffer(answer.output.data, np.float32).reshape(array.shape)

    def measure(self, messages, timeout: float):
        """A call of MeasureGradients that has begun, and sends messages, lists of arrays, as they come."""
        requests = (self.pb.MeasureGradientsRequest(gradients=map(self.tensor, arrays)) for arrays in messages)
        return self.service.MeasureGradients.future(requests, timeout=timeout, metadata=self.metadata)


class Load:
    """Threads that call until `stop`. They keep errors and wrong results for the thread that waits."""

    def __init__(self, callers: list[Caller]):
        self.changed = threading.Condition()
        self.right, self.wrong, self.stopped = 0, [], False
        self.threads = [
            threading.Thread(target=self.run, args=(caller, seed), daemon=True) for seed, caller in enumerate(callers)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, caller: Caller, seed: int) -> None:
        # From few rows, which the serving thread computes, to many, which go to the compute threads.
        rows = np.random.default_rng(seed).standard_normal((4 ** (seed + 3), 128), np.float32)
        exact = rows.astype(np.float64)
        exact = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
        first = None
        while not self.stopped:
            try:
                got = caller.normalize(rows)
                np.testing.assert_allclose(got, exact, rtol=1e-6, atol=1e-7)
                first = got if first is None else first
                np.testing.assert_array_equal(got.view(np.uint32), first.view(np.uint32))
                wrong = None
            except (grpc.RpcError, AssertionError) as error:
                wrong = error
            with self.changed:
                if wrong:
                    self.wrong.append(wrong)
                self.right += wrong is None
                self.changed.notify_all()
            if wrong:
                return

    def await_calls(self, count: int) -> None:
        """Waits until `count` more calls have succeeded, and fails if a call fails or has a wrong result."""
        with self.changed:
            end = self.right + count
            if not self.changed.wait_for(lambda: self.right >= end or self.wrong, timeout=120):
                raise AssertionError(f"{count} calls: not within two minutes")
            if self.wrong:
                raise AssertionError(f"after {self.right} right answers: {self.wrong[0]!r}")

    def stop(self) -> None:
        self.stopped = True
        for thread in self.threads:
            thread.join()
        if self.wrong:
            raise AssertionError(f"after {self.right} right answers: {self.wrong[0]!r}")
