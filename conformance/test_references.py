"""Tests of what the expectations of local operations are computed with. EVENKEEL_BINARY names the server's program."""

import importlib.util
import math
import os
import random
import struct
import sys
import unittest
from fractions import Fraction
from pathlib import Path
from unittest import mock

import grpc
import numpy as np

import bare
import cases
import local
import values
from messages import ROOT, pb, rpc
from servers import Servers

EVENKEEL = os.environ["EVENKEEL_BINARY"]


class References(unittest.TestCase):
    """The local operations, against NumPy and docs/reproduce/reproduce.py."""

    def test_rounding(self):
        source = random.Random(1)
        numbers = [source.uniform(-1, 1) * 2.0 ** source.randint(-30, 20) for _ in range(2000)]
        numbers += [0.0, -0.0, math.inf, -math.inf, 65519.99, 65520.0, 2.0**-25, 2.0**-24, 3 * 2.0**-25, 5e-324]
        with np.errstate(over="ignore"):
            for dtype in ("float16", "float32", "float64"):
                self.assertEqual(values.pack(numbers, dtype), np.array(numbers).astype(dtype).tobytes())
        for bits in range(0, 1 << 16, 7):  # a bfloat16 is the upper half of a float32
            upper = struct.unpack("<f", struct.pack("<I", bits << 16))[0]
            if not math.isnan(upper):
                self.assertEqual(values.to_bits(upper, "bfloat16"), bits)
                self.assertEqual(values.from_bits(bits, "bfloat16"), upper)

    def test_roots(self):
        spec = importlib.util.spec_from_file_location("reproduce", ROOT / "docs" / "reproduce" / "reproduce.py")
        reproduce = importlib.util.module_from_spec(spec)
        with mock.patch.dict(sys.modules, reproduce=reproduce):
            spec.loader.exec_module(reproduce)
        source = random.Random(2)
        for _ in range(3000):
            total = source.getrandbits(source.randint(1, 4230))
            whole = source.getrandbits(54) << source.randint(0, 2000)  # also exact roots and ties
            for number in (total, whole * whole, whole * whole + 1):
                partial = pb.NormPartial(norm_type=2, elements=1, sum=local.little(number))
                expected = reproduce.norm(reproduce.Partial(1, 0, 0, number))
                self.assertEqual(local.total_norm(partial), expected)

    def test_sums(self):
        source = random.Random(3)
        for _ in range(300):
            numbers = [source.uniform(0, 1) * 2.0 ** source.randint(-1060, 1000) for _ in range(20)]
            total = int(sum(map(Fraction, numbers)) * 2**1074)
            partial = pb.NormPartial(norm_type=1, elements=20, sum=local.little(total << 1074))
            self.assertEqual(local.total_norm(partial), math.fsum(numbers))


class AgainstTheServer(unittest.TestCase):
    """The server merges partials, too."""

    def test_merges(self):
        with Servers(Path(EVENKEEL)) as servers, grpc.insecure_channel(servers.get("default").address) as channel:
            stub = rpc.TensorOpsServiceStub(channel)
            for case in cases.read("merge_") + cases.read("refused/"):
                with self.subTest(case["name"]):
                    if "-no-message" in case["name"] or "/no-message" in case["name"]:
                        continue  # the stubs cannot send what is no message
                    self.assertEqual(self.merged(stub, case), case["expect"].get("result", "refused"))

    @staticmethod
    def merged(stub, case: dict):
        partials = bare.partials(case["args"])
        try:
            if case["op"] == "merge_norms":
                read = [pb.NormPartial.FromString(partial) for partial in partials]
                request = pb.MeasureGradientsRequest(norm_type=read[0].norm_type, partials=read)
                return bare.measured(stub.MeasureGradients(iter([request])))
            read = [pb.StatisticsPartial.FromString(partial) for partial in partials]
            return {"partial": bare.encode(stub.MeasureStatistics(iter([pb.MeasureStatisticsRequest(partials=read)])))}
        except grpc.RpcError as error:
            return "refused" if error.code() == grpc.StatusCode.INVALID_ARGUMENT else error


if __name__ == "__main__":
    unittest.main()
