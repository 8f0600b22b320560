"""An adapter on the bare stubs, for the tests of the runner. `--wrong HOW` makes it a wrong one.

It answers all that one unary call or the reference of the local operations can answer. It is no client: no retries, no streams.
"""

import base64
import json
import os
import sys
import time
from pathlib import Path

import bare
import grpc
from run import digested

WRONG = sys.argv[2] if sys.argv[1:2] == ["--wrong"] else None


def channel(client: dict):
    """A channel with the settings of a client."""
    address, token = client["address"], client.get("token")
    options = list(bare.OPTIONS)
    if address.startswith("unix:"):
        options.append(("grpc.default_authority", "localhost"))  # the path is no authority that the server takes
    if "server_name" in client:
        options.append(("grpc.ssl_target_name_override", client["server_name"]))
    if "ca" not in client:
        return grpc.insecure_channel(address, options), token
    read = {key: Path(client[key]).read_bytes() if key in client else None for key in ("ca", "key", "cert")}
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(read["ca"], read["key"], read["cert"]), options), token


class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):
    """Sends a token with each call, also without TLS."""

    def __init__(self, token: str):
        self.metadata = (("authorization", f"Bearer {token}"),)

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(details._replace(metadata=self.metadata), request)

    intercept_stream_unary = intercept_unary_unary


def spoil(answer: dict, request: dict) -> dict:
    """An answer that is wrong in the way that the test asks for."""
    output = answer.get("result", {}).get("output", {})
    match WRONG:
        case "bit" if output.get("data"):
            data = bytearray(base64.b64decode(output["data"]))
            data[0] ^= 1
            output["data"] = base64.b64encode(data).decode()
        case "code" if "error" in answer:
            answer["error"]["code"] = "UNKNOWN"
        case "fields" if "error" in answer:
            answer["error"]["fields"] = answer["error"]["fields"][:-1]
        case "success" if "error" in answer:
            return {"result": {}}
        case "missing" if "result" in answer:
            answer["result"].popitem()
        case "extra" if "result" in answer:
            answer["result"]["extra"] = 1
        case "id":
            answer["id"] = -1
        case "text":
            print("started")
        case "dies":
            os._exit(3)
        case "silent":
            time.sleep(3600)
        case "unsupported":
            return {"unsupported": "nothing is"}
        case "slow":
            time.sleep(3)
    return answer


def main() -> None:
    channels = {}
    for line in sys.stdin:
        request = json.loads(line)
        client = request.get("client")
        if client:
            key = json.dumps(client, sort_keys=True)
            if key not in channels:
                made, token = channel(client)
                channels[key] = grpc.intercept_channel(made, Bearer(token)) if token else made
            answer = bare.answer(channels[key], request)
        else:
            answer = bare.answer(None, request)
        if request.get("digest") and "result" in answer:
            answer["result"] = digested(answer["result"])
        print(json.dumps({"id": request["id"], **spoil(answer, request)}), flush=True)


if __name__ == "__main__":
    main()
