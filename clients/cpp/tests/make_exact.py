"""Writes sums, and what they round to, by Python's integers, for exact_test.cpp.

round SUM BITS   SUM * 2^-2148 rounded to the nearest double, ties to even
root SUM BITS    its square root
product A B C    C = A * B; sum and difference alike
All numbers are hexadecimal; BITS are those of the double.
"""

import math
import random
import struct

UNIT = 2148
random.seed(20)


def bits(value: float) -> str:
    return f"{struct.unpack('<Q', struct.pack('<d', value))[0]:x}"


def divided(numerator: int, denominator: int) -> float:
    """The quotient, rounded once: Python's division of integers is correctly rounded, also of subnormal results."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf


def root(units: int) -> float:
    """The root with 128 bits more than it has as a whole number, and a last bit that says whether there is a rest."""
    scaled = units << 256
    whole = math.isqrt(scaled)
    return divided(2 * whole + (whole * whole != scaled), 2 ** (129 + UNIT // 2))


def sums() -> list[int]:
    cases = [0, 1, 2, 3, 4, 5, 6, 7, (1 << 4256) - 1, 1 << 4255, 1 << 4196, (1 << 4196) - 1]
    for power in (1, 52, 53, 54, 63, 64, 104, 105, 106, 107, 108, 117, 118, 1074, 1100, 1126, 2148, 2500, 4195):
        cases += [1 << power, (1 << power) + 1, (1 << power) - 1, 3 << power]
    for length in range(1, 4256, 29):
        cases.append(random.getrandbits(length) | 1 << (length - 1))
    for _ in range(60):  # squares of doubles, and of the points between two of them: ties, and what is next to ties
        mantissa = random.getrandbits(52) | 1 << 52
        shift = random.randrange(0, 2000)
        cases += [mantissa * mantissa << 2 * shift]
        cases += [((2 * mantissa + 1) ** 2 << 2 * shift) + off for off in (-1, 0, 1)]
        cases += [((2 * mantissa + 1) << shift + 1074) + off for off in (-1, 0, 1)]
    for _ in range(40):  # below the smallest normal double roots are whole numbers of units: k^2 + k is next to a tie
        k = random.getrandbits(random.randrange(1, 52)) | 1
        cases += [k * k + k, k * k + k + 1, k * k]
    return cases


def main() -> None:
    for units in sums():
        print("round", f"{units:x}", bits(divided(units, 2**UNIT)))
        print("root", f"{units:x}", bits(root(units)))
    for _ in range(60):
        a, b = (random.getrandbits(random.randrange(1, 4300)) for _ in range(2))
        a, b = max(a, b), min(a, b)
        for name, value in (("product", a * b), ("sum", a + b), ("difference", a - b)):
            print(name, f"{a:x}", f"{b:x}", f"{value:x}")


main()
