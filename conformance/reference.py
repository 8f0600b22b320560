"""An adapter on the bare stubs, for the tests of the runner. `--wrong HOW` makes it a wrong one."""

import base64
import json
import os
import sys
import time

import bare
import reference_client
from reference_client import Client
from run import digested

WRONG = sys.argv[2] if sys.argv[1:2] == ["--wrong"] else None


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
    clients: dict[str, Client] = {}
    if WRONG == "impatient":
        reference_client.RETRIES = 0
    if WRONG == "unary":
        reference_client.STREAMS = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "client" in request:
            key = json.dumps(request["client"], sort_keys=True)
            if key not in clients:
                clients[key] = Client(request["client"])
            for _ in range(2 if WRONG == "twice" else 1):
                answer = clients[key].answer(request)
        else:
            answer = bare.answer(None, request)
        if request.get("digest") and "result" in answer:
            answer["result"] = digested(answer["result"])
        print(json.dumps({"id": request["id"], **spoil(answer, request)}), flush=True)


if __name__ == "__main__":
    main()
