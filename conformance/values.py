"""Tensors of case files and of the protocol. Numbers become bits by integer arithmetic, not by a library's."""

import base64
import math
import struct

import numpy as np

# Bits of the exponent and of the fraction.
FORMATS = {"float32": (8, 23), "float64": (11, 52), "float16": (5, 10), "bfloat16": (8, 7)}
SIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}


def to_bits(x: float, dtype: str) -> int:
    """The bits of `x` rounded to `dtype`, to nearest, ties to even; a NaN becomes the canonical one."""
    exponent_bits, fraction_bits = FORMATS[dtype]
    infinity = ((1 << exponent_bits) - 1) << fraction_bits
    if math.isnan(x):
        return infinity | 1 << (fraction_bits - 1)
    sign = (math.copysign(1.0, x) < 0) << (exponent_bits + fraction_bits)
    if math.isinf(x):
        return sign | infinity
    smallest = 2 - (1 << (exponent_bits - 1)) - fraction_bits  # the exponent of the smallest subnormal number
    quantum = max(math.frexp(x)[1] - 1 - fraction_bits, smallest) if x else smallest
    numerator, denominator = abs(x).as_integer_ratio()
    numerator <<= max(-quantum, 0)
    denominator <<= max(quantum, 0)
    whole, rest = divmod(numerator, denominator)
    whole += 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    # `whole` has the hidden bit, which adds one to the exponent; a carry goes into the exponent and into infinity.
    return sign | min(((quantum - smallest) << fraction_bits) + whole, infinity)


def from_bits(bits: int, dtype: str) -> float:
    """The number that has these bits; exact, because float64 contains every dtype."""
    exponent_bits, fraction_bits = FORMATS[dtype]
    sign = -1.0 if bits >> (exponent_bits + fraction_bits) else 1.0
    exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1)
    fraction = bits & ((1 << fraction_bits) - 1)
    if exponent == (1 << exponent_bits) - 1:
        return math.nan if fraction else sign * math.inf
    if exponent:
        fraction += 1 << fraction_bits
    smallest = 2 - (1 << (exponent_bits - 1)) - fraction_bits
    return math.copysign(math.ldexp(fraction, smallest + max(exponent, 1) - 1), sign)


def pack(numbers, dtype: str) -> bytes:
    """Little-endian elements."""
    size = SIZES[dtype]
    return b"".join(to_bits(float(x), dtype).to_bytes(size, "little") for x in numbers)


def unpack(data: bytes, dtype: str) -> list[float]:
    size = SIZES[dtype]
    return [from_bits(int.from_bytes(data[i : i + size], "little"), dtype) for i in range(0, len(data), size)]


def number(x) -> float:
    """A float64 of the protocol: a JSON number, "NaN", "Infinity" or "-Infinity"."""
    return float(x)


def jsonable(x: float):
    """The same in the other direction."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    return x


def random_elements(count: int, dtype: str, seed: int, scale: float, shift: float) -> bytes:
    """Numbers that are spread evenly over shift - scale to shift + scale, from the stream of Philox."""
    raw = np.random.Philox(key=seed).random_raw(count)
    numbers = ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0) * scale + shift
    if dtype == "float64":
        return numbers.astype("<f8").tobytes()
    if dtype == "float32":
        return numbers.astype("<f4").tobytes()
    return pack(numbers.tolist(), dtype)


def expand(tensor: dict) -> dict:
    """A tensor of a case file as the protocol has it: `values`, `hex` or `random` become `data`."""
    tensor = dict(tensor)
    dtype = tensor["dtype"]
    if "values" in tensor:
        data = pack([number(x) for x in tensor.pop("values")], dtype)
    elif "hex" in tensor:  # the bits of each element, the highest first
        data = b"".join(bytes.fromhex(bits)[::-1] for bits in tensor.pop("hex").split())
    elif "random" in tensor:
        how = tensor.pop("random")
        count = math.prod(tensor["shape"]) // tensor.get("repeat", 1)
        data = random_elements(count, dtype, how["seed"], how.get("scale", 1.0), how.get("shift", 0.0))
    else:
        return tensor
    tensor["data"] = base64.b64encode(data).decode()
    return tensor


def is_tensor(value) -> bool:
    return isinstance(value, dict) and "dtype" in value and "shape" in value


def expand_all(value):
    """Expands every tensor in the arguments of a request."""
    if is_tensor(value):
        return expand(value)
    if isinstance(value, list):
        return [expand_all(item) for item in value]
    if isinstance(value, dict):
        return {name: expand_all(item) for name, item in value.items()}
    return value


def elements(tensor: dict) -> bytes:
    """The bytes of a tensor of the protocol."""
    return base64.b64decode(tensor["data"]) * tensor.get("repeat", 1)


def float64_bits(x: float) -> int:
    """The bits of a float64; all NaNs are one."""
    return struct.unpack("<Q", struct.pack("<d", math.nan if math.isnan(x) else x))[0]
