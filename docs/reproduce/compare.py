"""Compares the outputs of the programs of this folder with the results of a running evenkeel, byte by byte.

    python compare.py --target HOST:PORT CASES PRINTED PRINTED...

Prints one line for each comparison; exits with 1 if one fails.
"""

import argparse
import itertools
import math
import struct
import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "checks" / "python"))
import stubs

pb, rpc = stubs.load()
DTYPES = {"float32": (pb.DATA_TYPE_FLOAT32, 4), "float64": (pb.DATA_TYPE_FLOAT64, 8)}


class Server:
    """Answers a case with the lines that the programs should have printed."""

    def __init__(self, target: str):
        self.service = rpc.TensorOpsServiceStub(grpc.insecure_channel(target))

    def mask(self, p: str, seed: str, offset: str, n: str) -> list[str]:
        ones = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=[int(n)], data=struct.pack("<f", 1.0) * int(n))
        request = pb.DropoutRequest(p=float(p), seed=int(seed), offset=int(offset), return_mask=True, input=ones)
        answer = self.service.Dropout(request)
        kept = [x != 0 for x in struct.unpack(f"<{n}f", answer.output.data)]
        bits = [bool(answer.mask[i // 8] >> i % 8 & 1) for i in range(int(n))]
        same = kept == bits and answer.kept == sum(bits)
        return [f"mask {p} {seed} {offset} {n} {written(answer.mask) if same else 'is not what became of the elements'}"]

    def norm(self, name: str, *elements: str) -> list[str]:
        cut = elements.index("/")
        first, second = tensors(elements[:cut]), tensors(elements[cut + 1 :])
        partials = [self.measure([first]).partial, self.measure([second]).partial]
        streamed = self.measure([first, second])  # two messages of one call
        merged = self.service.MeasureGradients(iter([pb.MeasureGradientsRequest(partials=partials)]))
        if merged != streamed:
            return [f"norm {name} measured apart, and merged by the server, is not what it is measured at once"]
        clip = pb.ClipGradientsRequest(mode=pb.CLIP_MODE_NORM, threshold=math.inf, gradients=first + second)
        clipped = self.service.ClipGradients(clip).total_norm
        if bits_of(clipped) != bits_of(streamed.total_norm):
            return [f"norm {name} ClipGradients has {bits_of(clipped)}, MeasureGradients {bits_of(streamed.total_norm)}"]
        lines = []
        for which, part in zip(("first", "second", "merged"), [*partials, streamed.partial]):
            counts = f"{part.elements} {part.nan_elements} {part.infinite_elements}"
            lines.append(f"norm {name} {which} {counts} {written(part.sum)}")
        return [*lines, f"norm {name} total {bits_of(clipped)} {clipped:.16e}"]

    def measure(self, messages: list):
        requests = [pb.MeasureGradientsRequest(gradients=gradients) for gradients in messages]
        return self.service.MeasureGradients(iter(requests))


def tensors(elements: tuple[str, ...]) -> list:
    """Tensors of the elements: neighbours of the same dtype are one tensor."""
    made = []
    for name, group in itertools.groupby((element.split(":") for element in elements), key=lambda pair: pair[0]):
        dtype, size = DTYPES[name]
        bits = [int(digits, 16).to_bytes(size, "little") for _, digits in group]
        made.append(pb.Tensor(dtype=dtype, shape=[len(bits)], data=b"".join(bits)))
    return made


def written(data: bytes) -> str:
    return data.hex() or "-"


def bits_of(x: float) -> str:
    return struct.pack(">d", x).hex()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("cases", type=Path)
    parser.add_argument("printed", type=Path, nargs="+")
    arguments = parser.parse_args()
    server = Server(arguments.target)
    printed = {path.name: path.read_text("ascii").splitlines() for path in arguments.printed}
    cases = [words for words in map(str.split, arguments.cases.open(encoding="ascii")) if words and words[0] != "#"]
    expected, failed = 0, 0
    for operation, *words in cases:
        answer = {"mask": server.mask, "norm": server.norm}[operation](*words)
        name = " ".join([operation, *words] if operation == "mask" else [operation, words[0]])
        for who, lines in printed.items():
            theirs = lines[expected : expected + len(answer)]
            failed += theirs != answer
            print(f"{'same' if theirs == answer else 'DIFFERENT'}: {who} and the server, {name}")
            for ours, other in zip(answer, [*theirs, *[""] * len(answer)]):
                if ours != other:
                    print(f"    server  {ours}\n    {who}  {other}")
        expected += len(answer)
    for who, lines in printed.items():
        if len(lines) != expected:
            failed += 1
            print(f"DIFFERENT: {who} printed {len(lines)} lines, not {expected}")
    print(f"{len(cases)} cases, {len(printed)} programs, {failed} differences")
    return int(failed > 0 or not cases)


if __name__ == "__main__":
    sys.exit(main())
