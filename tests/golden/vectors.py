"""The parts of every operation's vectors: dtypes, rounding, seeded data, tolerances, and the files they go to."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

# How far an answer may be from the float64 reference, in units in the last place of its dtype. The half types have
# none to spare: a float64 sum that is a few bits off does not move the one rounding. Float64 answers are not rounded,
# so theirs is the freedom to sum in another order.
ULPS = {torch.float32: 1, torch.float64: 4, torch.float16: 0, torch.bfloat16: 0}

# Where terms cancel, the bits lost are those of float64, whatever the dtype: this times the largest term.
CANCELLATION = 2.0**-46

# How far an answer may be from PyTorch's result in the dtype itself, relative to the element and to the largest
# element of the tensor. PyTorch sums in float32 and rounds more than once.
TORCH = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3.2e-2}


def round_once(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Float64 to the nearest `dtype`, ties to even. PyTorch's own conversion to a half type goes through float32."""
    exact = values.detach().contiguous().numpy()
    if dtype == torch.float16:
        with np.errstate(over="ignore"):
            return torch.from_numpy(np.asarray(exact.astype(np.float16)))
    if dtype != torch.bfloat16:
        return values.detach().to(dtype).contiguous()
    # Rounding to odd first: toward zero, with the last bit set if anything was lost. This makes no false tie.
    with np.errstate(over="ignore"):
        nearest = exact.astype(np.float32)
    too_far = np.abs(nearest.astype(np.float64)) > np.abs(exact)
    toward_zero = np.where(too_far, np.nextafter(nearest, np.float32(0)), nearest)
    inexact = np.isfinite(exact) & (toward_zero.astype(np.float64) != exact)
    odd = np.asarray(toward_zero.view(np.uint32) | inexact.astype(np.uint32)).view(np.float32)
    return torch.from_numpy(odd).to(torch.bfloat16).reshape(values.shape)


class Data:
    """Random tensors that depend on the name alone, and not on tensors that were drawn before."""

    def __init__(self, name: str):
        self.rng = np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))

    def normal(self, shape, dtype: torch.dtype, mean: float = 0.0, deviation: float = 1.0) -> torch.Tensor:
        return round_once(torch.tensor(self.rng.standard_normal(shape) * deviation + mean), dtype)

    def uniform(self, shape, dtype: torch.dtype, low: float, high: float) -> torch.Tensor:
        return round_once(torch.tensor(self.rng.uniform(low, high, shape)), dtype)


def largest(*tensors: torch.Tensor | None) -> float:
    """The largest finite magnitude."""
    flat = torch.cat([t.detach().double().flatten() for t in tensors if t is not None])
    flat = flat[flat.isfinite()].abs()
    return flat.max().item() if flat.numel() else 0.0


class Case:
    """One call: its arguments and tensors under their wire names, and what must come back."""

    def __init__(self, suite: "Suite", name: str, arguments: dict):
        self.suite = suite
        self.entry = {"name": name, "arguments": arguments, "tensors": {}, "expect": []}

    def send(self, field: str, tensor: torch.Tensor | None) -> None:
        if tensor is not None:
            self.entry["tensors"][field] = self.suite.store(tensor)

    def send_list(self, field: str, tensors: list[torch.Tensor]) -> None:
        self.entry["tensors"][field] = [self.suite.store(tensor) for tensor in tensors]

    def expect_exact(self, field: str, tensor: torch.Tensor) -> None:
        self.entry["expect"].append({"field": field, "tensor": self.suite.store(tensor)})

    def expect(
        self,
        field: str,
        exact: torch.Tensor,
        dtype: torch.dtype,
        largest_term: float,
        own: torch.Tensor | None = None,
        own_from: torch.dtype | None = None,
        own_term: float = 0.0,
    ) -> None:
        """`exact` in float64, to be rounded to `dtype`.

        `own`: PyTorch's result in that dtype, from an input of `own_from` if that is another; `own_term`: a
        term of its sums that may be larger than every element.
        """
        reference = round_once(exact, dtype)
        tolerance = {"ulp": ULPS[dtype], "atol": float(f"{CANCELLATION * largest_term:.1e}")}
        self.entry["expect"].append({"field": field, "tensor": self.suite.store(reference)} | tolerance)
        if own is None or dtype == torch.float64:
            return
        assert own.dtype == dtype and own.shape == reference.shape, (self.entry["name"], field, own.dtype, own.shape)
        rtol = max(TORCH[dtype], TORCH[own_from or dtype])
        atol = float(f"{rtol * max(largest(exact), own_term, 2.0**-20):.1e}")
        close = torch.isclose(own.double(), reference.double(), rtol=rtol, atol=atol, equal_nan=True)
        assert close.all(), f"{self.entry['name']}: PyTorch's own {field} is off: {own[~close]}, {reference[~close]}"
        entry = {"field": field, "tensor": self.suite.store(own), "rtol": rtol, "atol": atol, "from": "torch"}
        self.entry["expect"].append(entry)

    def expect_value(self, field: str, value, rtol: float = 0.0) -> None:
        """A number, or a list of numbers."""
        entry = {"field": field, "value": [number(v) for v in value] if isinstance(value, list) else number(value)}
        self.entry["expect"].append(entry | ({"rtol": rtol} if rtol else {}))

    def expect_status(self, code: str) -> None:
        self.entry["status"] = code


def number(value):
    """JSON has no infinity and no NaN; protobuf's JSON writes them as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


class Suite:
    """The cases of one operation. Equal tensors are stored once."""

    def __init__(self, operation: str):
        self.operation = operation
        self.cases: list[Case] = []
        self.tensors: dict[str, torch.Tensor] = {}
        self.known: dict[tuple, str] = {}

    def case(self, name: str, arguments: dict) -> Case:
        case = Case(self, name, {key: number(value) for key, value in arguments.items() if value is not None})
        self.cases.append(case)
        return case

    def store(self, tensor: torch.Tensor) -> str:
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
        content = tensor.flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        key = (tensor.dtype, tuple(tensor.shape), content)
        if key not in self.known:
            self.known[key] = str(len(self.known))
            self.tensors[self.known[key]] = tensor
        return self.known[key]

    def write(self, folder: Path, stem: str) -> None:
        names = [case.entry["name"] for case in self.cases]
        assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
        versions = {"torch": torch.__version__, "numpy": np.__version__}
        lines = ",\n".join(json.dumps(case.entry, separators=(",", ":")) for case in self.cases)
        head = json.dumps({"operation": self.operation, "made_with": versions})
        (folder / f"{stem}.json").write_text(f'{head[:-1]}, "cases": [\n{lines}\n]}}\n')
        (folder / f"{stem}.safetensors").write_bytes(save(self.tensors))
        print(f"{stem}: {len(self.cases)} cases, {len(self.tensors)} tensors")
