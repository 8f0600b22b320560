"""The mask of a dropout and the exact norm of gradients, bit for bit as evenkeel has them, without evenkeel.

    pip install numpy
    python reproduce.py cases.txt

Copy what you need: `keep` is the mask; `measure`, `merge` and `norm` are the norm. docs/numerics.md explains both.
"""

import math
import struct
import sys
from dataclasses import dataclass

import numpy as np


def keep(p: float, seed: int, offset: int, n: int) -> np.ndarray:
    """Draws `offset` to `offset + n - 1` of the seed's stream: True where an element is kept."""
    # NumPy increments the counter before it makes a block, so a generator with counter c starts at word 8 * c.
    block, skip = divmod(offset, 8)
    raw = np.random.Philox(key=seed, counter=block).random_raw((skip + n + 1) // 2)
    words = raw.view("<u4")[skip : skip + n]  # the low half of every 64-bit word comes first
    return words >= np.uint64(math.ceil(p * 2**32))  # 2^32, for p = 1, needs 33 bits


def mask_bytes(kept: np.ndarray) -> bytes:
    """The bytes of `mask` in a DropoutResponse: bit i % 8 of byte i / 8, from the lowest; the last byte is padded with 0."""
    return np.packbits(kept, bitorder="little").tobytes()


@dataclass(frozen=True)
class Partial:
    """The NormPartial of order 2."""

    elements: int
    nan_elements: int
    infinite_elements: int
    sum: int  # of the squares of the finite elements, in units of 2^-2148

    def sum_bytes(self) -> bytes:
        """The sum as in a message: little-endian, no zeros at the end."""
        return self.sum.to_bytes((self.sum.bit_length() + 7) // 8, "little")


def measure(values: list[float]) -> Partial:
    """The partial of some elements. A float32 becomes a float64, and so an element of `values`, without rounding."""
    nan = sum(math.isnan(x) for x in values)
    infinite = sum(math.isinf(x) for x in values)
    squares = sum(units(x) ** 2 for x in values if math.isfinite(x))
    return Partial(len(values), nan, infinite, squares)


def units(x: float) -> int:
    """|x| in units of 2^-1074, the smallest float64 above 0: every finite float64 is a whole number of them."""
    numerator, denominator = abs(x).as_integer_ratio()  # the denominator is a power of two, 2^1074 at the most
    return numerator * (2**1074 // denominator)


def merge(a: Partial, b: Partial) -> Partial:
    """The partial of the elements of both."""
    return Partial(
        a.elements + b.elements,
        a.nan_elements + b.nan_elements,
        a.infinite_elements + b.infinite_elements,
        a.sum + b.sum,
    )


def norm(partial: Partial) -> float:
    """The square root of the sum, rounded once, to nearest, ties to even."""
    if partial.nan_elements:
        return math.nan
    if partial.infinite_elements:
        return math.inf
    root = math.isqrt(partial.sum)  # rounded down, in units of 2^-1074, as the sum is in units of the square of that
    shift = max(root.bit_length() - 53, 0)  # how many of its bits a float64 has no room for
    if shift > 2045:
        return math.inf  # 2^1024 and above
    mantissa = root >> shift
    # Which neighbour is nearer? Compare the sum with the square of the middle between them, both times 4.
    rest = 4 * partial.sum - ((2 * mantissa + 1) << shift) ** 2
    mantissa += rest > 0 or rest == 0 and mantissa % 2 == 1
    # In the bits of a float64 the exponent lies above the mantissa without its highest bit. Adding the mantissa with that
    # bit adds 1 to the exponent. So the sum is right for subnormal numbers, and for a carry into the next power of two or
    # into infinity.
    return from_bits((shift << 52) + mantissa, "<Q", "<d")


def from_bits(bits: int, integer: str, float_format: str) -> float:
    return struct.unpack(float_format, struct.pack(integer, bits))[0]


def to_bits(x: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", math.nan if math.isnan(x) else x))[0]


def element(text: str) -> float:
    """The number that is written as `float32:` or `float64:` and its bits, in hexadecimal."""
    dtype, bits = text.split(":")
    return from_bits(int(bits, 16), *(("<I", "<f") if dtype == "float32" else ("<Q", "<d")))


def print_norm(name: str, elements: list[str]) -> None:
    cut = elements.index("/")  # where the list is cut in two, each part measured by itself
    first, second = (measure([element(text) for text in part]) for part in (elements[:cut], elements[cut + 1 :]))
    merged = merge(first, second)
    for which, part in (("first", first), ("second", second), ("merged", merged)):
        counts = f"{part.elements} {part.nan_elements} {part.infinite_elements}"
        print(f"norm {name} {which} {counts} {part.sum_bytes().hex() or '-'}")
    total = norm(merged)
    print(f"norm {name} total {to_bits(total):016x} {total:.16e}")


def main() -> None:
    for line in open(sys.argv[1], encoding="ascii"):
        match line.split():
            case ["mask", p, seed, offset, n]:
                mask = mask_bytes(keep(float(p), int(seed), int(offset), int(n)))
                print(f"mask {p} {seed} {offset} {n} {mask.hex() or '-'}")
            case ["norm", name, *elements]:
                print_norm(name, elements)


if __name__ == "__main__":
    main()
