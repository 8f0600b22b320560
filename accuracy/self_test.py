"""Tests of the yardstick and of the references' arithmetic, against known values and exact rational numbers.

    python self_test.py

They run before every report, since a wrong yardstick could pass wrong results.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np

import reference_dropout
import reference_normalize
from double_double import DD, fold
from shapes import Pooling
from yardstick import FORMATS, measure


def ulp_of_known_values() -> None:
    known = {
        "float32": [(1.0, -23), (1.5, -23), (2.0, -22), (2.0 - 2.0**-30, -22), (2.0 - 2.0**-23, -23), (0.0, -149)],
        "float16": [(1.0, -10), (300.0, -2), (65504.0, 5), (2.0**-14, -24), (1e-9, -24), (1e9, 5)],
        "bfloat16": [(1.0, -7), (255.9, 1), (1e-45, -133), (3e38, 120)],
        "float64": [(1.0, -52), (1e308, 971), (5e-324, -1074)],
    }
    for dtype, values in known.items():
        for value, exponent in values:
            got = FORMATS[dtype].ulp(np.array([value]))[0]
            assert got == 2.0**exponent, f"{dtype} {value}: {got}, not 2^{exponent}"


def neighbours_agree_with_numpy() -> None:
    values = np.abs(np.random.default_rng(1).standard_normal(1000)) * 10.0 ** np.arange(-37, 38).repeat(14)[:1000]
    for dtype, kind in (("float32", np.float32), ("float64", np.float64), ("float16", np.float16)):
        fit = values[values < float(np.finfo(kind).max) / 2].astype(kind)
        assert np.array_equal(FORMATS[dtype].ulp(fit.astype(np.float64)), np.spacing(fit).astype(np.float64)), dtype


def mistakes_are_caught() -> None:
    format = FORMATS["float32"]
    exact = DD(np.array([1.0, -3.0, 100.0, 1e-40]))
    right = np.float32(exact.high)
    assert measure(right, exact, format).worst <= 0.5
    for place in range(4):
        wrong = right.copy()
        wrong[place] += 3 * np.spacing(np.abs(right[place]))
        error = measure(wrong, exact, format)
        assert 2.5 <= error.worst <= 3.5 and error.place == place, error
        for bad in (np.nan, np.inf):
            wrong[place] = bad
            assert measure(wrong, exact, format).worst == np.inf
    third = DD(np.ones(1)) / 3.0
    assert 0.3 < measure(np.float32([1 / 3]), third, format).worst <= 0.5  # not rounded first
    assert measure(np.array([1 / 3]), third, FORMATS["float64"]).worst <= 0.5


def beside_zero_all_is_far_but_only_nan_is_infinitely_far() -> None:
    zero, format = DD(np.zeros(1)), FORMATS["float64"]
    assert measure(np.array([-0.0]), zero, format).worst == 0
    assert 1e300 < measure(np.array([1e-3]), zero, format).worst < np.inf
    assert measure(np.array([np.nan]), zero, format).worst == np.inf


def overflow_is_right_only_as_infinity() -> None:
    format = FORMATS["float32"]
    beyond = DD(np.array([1e39, -1e39]))
    assert measure(np.array([np.inf, -np.inf]), beyond, format).worst == 0
    assert measure(np.array([np.inf, np.inf]), beyond, format).worst == np.inf
    assert measure(np.array([float(np.finfo(np.float32).max), -np.inf]), beyond, format).worst == np.inf


def cancellation_is_judged_by_the_largest_term() -> None:
    error = measure(np.array([2.0**-20]), DD(np.array([0.0])), FORMATS["float32"], largest=np.array([8.0]))
    assert error.worst == 1.0 and error.strict == 2.0**129, error


def root(value: Fraction) -> Fraction:
    """To 300 bits."""
    scaled = value * 4**300
    return Fraction(isqrt(scaled.numerator // scaled.denominator), 2**300)


def exact(value: DD) -> list[Fraction]:
    return [Fraction(float(high)) + Fraction(float(low)) for high, low in zip(value.high.ravel(), value.low.ravel())]


def double_doubles_have_a_hundred_bits() -> None:
    rng = np.random.default_rng(2)
    a, b = (DD(*np.array([rng.standard_normal(99), rng.standard_normal(99) * 2.0**-60])) for _ in range(2))
    for name, got, operation in (
        ("sum", a + b, lambda x, y: x + y),
        ("product", a * b, lambda x, y: x * y),
        ("quotient", a / b, lambda x, y: x / y),
        ("root", abs(a).sqrt(), lambda x, _: root(abs(x))),
    ):
        for x, y, result in zip(exact(a), exact(b), exact(got)):
            expected = operation(x, y)
            assert abs(result - expected) <= abs(expected) * Fraction(1, 2**98), name
    for length in (1, 2, 3, 7, 1001):
        terms = rng.standard_normal(length) * 10.0 ** rng.integers(-9, 9, length)
        total = sum(Fraction(float(term)) for term in terms)
        scale = sum(abs(Fraction(float(term))) for term in terms)
        assert abs(exact(fold(DD(terms)))[0] - total) <= scale * Fraction(1, 2**96), length


def references_agree_with_rational_numbers() -> None:
    rng = np.random.default_rng(3)
    for offset in (0.0, 1.0, 1e6):
        x, dy = offset + rng.standard_normal((1, 37, 1)), rng.standard_normal((1, 37, 1))
        pooling = Pooling("layer", 1, 37, 1)
        statistics = reference_normalize.measured(pooling, x, 1e-5)
        output, _ = reference_normalize.output(pooling, statistics, x, None, None)
        gradient, _ = reference_normalize.grad_input(pooling, statistics, x, dy, None)
        values, g = ([Fraction(float(value)) for value in tensor.ravel()] for tensor in (x, dy))
        mean = sum(values) / 37
        variance = sum((value - mean) ** 2 for value in values) / 37
        rstd = 1 / root(variance + Fraction(1e-5))
        xh = [(value - mean) * rstd for value in values]
        mean_g, mean_product = sum(g) / 37, sum(a * b for a, b in zip(g, xh)) / 37
        dx = [rstd * (a - mean_g - b * mean_product) for a, b in zip(g, xh)]
        for name, got, expected in (
            ("mean", exact(statistics.mean), [mean]),
            ("rstd", exact(statistics.rstd), [rstd]),
            ("output", exact(output), xh),
            ("grad_input", exact(gradient), dx),
        ):
            worst = max(abs(a - b) / max(abs(b), Fraction(1, 2**20)) for a, b in zip(got, expected))
            assert worst <= Fraction(1, 2**70), f"{name} at offset {offset}: {float(worst)}"


def alpha_dropout_is_right_where_it_cancels() -> None:
    """The reference is right, and the plain formula fails since there is no allowance for terms that cancel."""
    for p in (0.2, 0.5687960724210359, 0.99, 1.0 - 2.0**-32):
        zero = -reference_dropout.ALPHA * p
        x = zero + np.array([0.0, 1.0, -1.0, 2.0, 1e6]) * np.spacing(abs(zero))
        kept = np.array([True, True, True, True, False])
        got = exact(reference_dropout.output("alpha", x, kept, p))
        alpha, probability = Fraction(reference_dropout.ALPHA), Fraction(p)
        scale = 1 / root((alpha * alpha * probability + 1) * (1 - probability))
        expected = [scale * (Fraction(float(value)) + alpha * probability) for value in x]
        expected[4] = -scale * alpha * (1 - probability)
        for value, right in zip(got, expected):
            assert abs(value - right) <= abs(right) * Fraction(1, 2**90), p
        plain = np.where(kept, float(scale) * x + float(scale * alpha * probability), float(expected[4]))
        reference = reference_dropout.output("alpha", x, kept, p)
        assert measure(plain, reference, FORMATS["float64"]).worst > 1000, "the plain formula is found out"


TESTS = [
    alpha_dropout_is_right_where_it_cancels,
    ulp_of_known_values,
    neighbours_agree_with_numpy,
    mistakes_are_caught,
    beside_zero_all_is_far_but_only_nan_is_infinitely_far,
    overflow_is_right_only_as_infinity,
    cancellation_is_judged_by_the_largest_term,
    double_doubles_have_a_hundred_bits,
    references_agree_with_rational_numbers,
]


def run() -> None:
    for test in TESTS:
        test()
    print(f"self-test: {len(TESTS)} passed")


if __name__ == "__main__":
    run()
