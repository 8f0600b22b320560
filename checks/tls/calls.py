"""Calls evenkeel over TLS, mutual TLS and with a token, from grpcio.

    python calls.py --target 127.0.0.1:50051 --certificates FOLDER CASE...

certificates.sh has made the folder. Prints one line for each case, by its method's name; exits with 1 if one fails.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
import runner  # noqa: E402
import stubs  # noqa: E402

# The limit for a response, in seconds: long enough that no case depends on it.
PATIENCE = 60
Code = grpc.StatusCode


class Cases:
    def __init__(self, target: str, certificates: Path):
        self.target, self.certificates = target, certificates
        self.pb, self.rpc = stubs.load()

    def channel(self, authority: str, client: str | None = None, token: str | None = None, name: str | None = None):
        """A new connection that trusts this authority, presents this client's certificate and sends this token."""
        read = lambda file: (self.certificates / file).read_bytes()  # noqa: E731
        identity = (read(f"{client}.key"), read(f"{client}.pem")) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(read(f"{authority}.pem"), *identity)
        if token is not None:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        options = [("grpc.use_local_subchannel_pool", 1)]
        if name is not None:
            options.append(("grpc.ssl_target_name_override", name))
        return grpc.secure_channel(self.target, credentials, options)

    def normalize(self, channel) -> None:
        """Makes one call, and compares its numbers with NumPy's in float64, rounded once."""
        x = np.arange(24, dtype="<f4").reshape(4, 6) ** 2
        request = self.pb.NormalizeRequest(
            kind=self.pb.NORM_KIND_LAYER,
            eps=1e-5,
            input=self.pb.Tensor(dtype=self.pb.DATA_TYPE_FLOAT32, shape=x.shape, data=x.tobytes()),
        )
        answer = self.rpc.TensorOpsServiceStub(channel).Normalize(request, timeout=PATIENCE)
        got = np.frombuffer(answer.output.data, "<f4").reshape(answer.output.shape)
        exact = x.astype(np.float64)
        exact -= exact.mean(axis=1, keepdims=True)
        exact /= np.sqrt(np.square(exact).mean(axis=1, keepdims=True) + 1e-5)
        np.testing.assert_array_max_ulp(got, exact.astype(np.float32), maxulp=1)

    def refused(self, channel, code, words: str) -> None:
        try:
            self.normalize(channel)
        except grpc.RpcError as error:
            if error.code() != code or words not in error.details():
                raise AssertionError(f"{error.code()} {error.details()!r} instead of {code} {words!r}") from error
            return
        raise AssertionError("the call was not refused")

    def encrypted(self) -> None:
        self.normalize(self.channel("root"))
        self.normalize(self.channel("root", name="evenkeel.example"))

    def untrusted(self) -> None:
        self.refused(self.channel("other"), Code.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED")
        self.refused(self.channel("root", name="other.example"), Code.UNAVAILABLE, "Hostname Verification Check failed")

    # A server that is not there is UNAVAILABLE as well: the cases below also make a call that must succeed.

    def plain(self) -> None:
        self.refused(grpc.insecure_channel(self.target), Code.UNAVAILABLE, "")
        self.encrypted()

    def mutual(self) -> None:
        self.normalize(self.channel("root", client="client", token="first"))
        self.normalize(self.channel("root", client="client", token="second"))

    def anonymous(self) -> None:
        self.refused(self.channel("root", token="first"), Code.UNAVAILABLE, "")
        self.mutual()

    def stranger(self) -> None:
        self.refused(self.channel("root", client="stranger", token="first"), Code.UNAVAILABLE, "")
        self.mutual()

    def no_token(self) -> None:
        self.refused(self.channel("root", client="client"), Code.UNAUTHENTICATED, "token")

    def wrong_token(self) -> None:
        self.refused(self.channel("root", client="client", token="third"), Code.UNAUTHENTICATED, "token")

    def reloaded(self) -> None:
        """Replaces the server's certificate by one of another authority, without a restart."""
        old = self.channel("root")
        self.normalize(old)
        for new, file in (("next.pem", "server.pem"), ("next.key", "server.key")):
            shutil.copy(self.certificates / new, self.certificates / f"{file}.new")
            os.replace(self.certificates / f"{file}.new", self.certificates / file)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.normalize(self.channel("other"))
                break
            except grpc.RpcError:
                if time.monotonic() > until:
                    raise
        self.refused(self.channel("root"), Code.UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED")
        # The old connection goes on: this channel would not trust the new certificate.
        self.normalize(old)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", required=True, help="HOST:PORT")
    parser.add_argument("--certificates", required=True, type=Path, help="the folder that certificates.sh has made")
    parser.add_argument("cases", nargs="+", metavar="CASE")
    arguments = parser.parse_args()
    return runner.run(Cases(arguments.target, arguments.certificates), arguments.cases)


if __name__ == "__main__":
    sys.exit(main())
