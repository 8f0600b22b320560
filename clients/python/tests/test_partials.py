from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from evenkeel_client import GradientSums, InvalidArgument, NormPartial, SetStatistics, StatisticsPartial, keep_mask
from evenkeel_client._exact import rounded, rounded_root
from evenkeel_client._proto import tensor_ops_pb2 as pb

UNIT = Fraction(1, 2**2148)


def units(x: Fraction | float) -> int:
    return int(Fraction(x) / UNIT)


def of_squares(*values: float) -> NormPartial:
    return NormPartial(2.0, len(values), 0, 0, 0.0, sum(units(Fraction(x) ** 2) for x in values))


def test_the_root_is_rounded_correctly() -> None:
    for x in (5e-324, 1.0, 1 + 2**-52, 3.14, 1e-300, 2.0**1023, 1.7976931348623157e308):
        step = Fraction(math.ulp(x))
        exact = Fraction(x)
        half = exact + step / 2
        assert rounded_root(units(exact**2)) == x
        # Just below the middle between two neighbours x is nearer, just above the next number is.
        assert rounded_root(units(half**2) - 1) == x
        assert rounded_root(units(half**2) + 1) == (math.inf if x > 1e308 else math.nextafter(x, math.inf))
    # Exactly in the middle the even mantissa is taken.
    assert rounded_root(units((Fraction(1) + Fraction(1, 2**53)) ** 2)) == 1.0
    assert rounded_root(units((Fraction(1) + Fraction(3, 2**53)) ** 2)) == 1 + 2**-51
    assert rounded_root(0) == 0.0
    assert rounded_root(1 << 4255) == math.inf


def test_sums_are_rounded_correctly() -> None:
    for x in (5e-324, 1.0, 1.7976931348623157e308):
        assert rounded(units(x)) == x
    assert rounded(units(Fraction(1) + Fraction(1, 2**53))) == 1.0
    assert rounded(units(Fraction(1) + Fraction(3, 2**53))) == 1 + 2**-51
    assert rounded(units(2**1025)) == math.inf


def test_norms_merge() -> None:
    assert of_squares(3.0).merge(of_squares(4.0)).total_norm == 5.0
    assert of_squares().merge().total_norm == 0.0
    tiny = of_squares(1.0).merge(*[of_squares(1e-20)] * 3)
    assert (tiny.total_norm, tiny.elements) == (1.0, 4)
    assert of_squares(1.7e308, 1.7e308).total_norm == math.inf
    special = NormPartial(2.0, 2, 1, 1, 0.0, 0)
    assert math.isnan(special.total_norm)
    assert NormPartial(math.inf, 1, 0, 1, 0.0, 0).total_norm == math.inf
    largest = NormPartial(math.inf, 1, 0, 0, 2.0, 0).merge(NormPartial(math.inf, 1, 0, 0, 3.0, 0))
    assert largest.total_norm == 3.0
    assert NormPartial(1.0, 2, 0, 0, 0.0, units(2.5)).total_norm == 2.5


def test_norms_pass_as_bytes() -> None:
    partial = of_squares(3.0, 1e300, 5e-324)
    assert NormPartial.from_bytes(partial.to_bytes()) == partial
    message = pb.NormPartial.FromString(partial.to_bytes())
    assert not message.sum.endswith(b"\0")
    message.sum += b"\0\0"
    assert NormPartial.from_bytes(message.SerializeToString()) == partial


def norm(**fields: Any) -> bytes:
    return pb.NormPartial(**{"norm_type": 2.0, "elements": 1, **fields}).SerializeToString()


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"\xff", "partial"),
        (norm(norm_type=3.0), "norm_type"),
        (norm(norm_type=math.nan), "norm_type"),
        (norm(elements=2**59 + 1), "elements"),
        (norm(nan_elements=2), "elements"),
        (norm(largest=1.0), "largest"),
        (norm(norm_type=math.inf, largest=-1.0), "largest"),
        (norm(norm_type=math.inf, largest=math.nan), "largest"),
        (norm(norm_type=math.inf, largest=1.0, infinite_elements=1), "largest"),
        (norm(norm_type=math.inf, sum=b"\1"), "sum"),
        (norm(norm_type=1.0, sum=b"\1"), "sum"),
        (norm(sum=b"\1" * 533), "sum"),
        (norm(sum=b"\xff" * 532), "sum"),
        (norm(elements=0, sum=b"\1"), "sum"),
    ],
)
def test_norms_that_no_elements_have_are_refused(data: bytes, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        NormPartial.from_bytes(data)
    assert caught.value.fields[0].path == path


def test_norms_of_different_orders_do_not_merge() -> None:
    with pytest.raises(InvalidArgument):
        of_squares(1.0).merge(NormPartial(1.0, 0, 0, 0, 0.0, 0))
    half = NormPartial(2.0, 2**58 + 1, 0, 0, 0.0, 0)
    with pytest.raises(InvalidArgument):
        half.merge(half)
    with pytest.raises(InvalidArgument):
        of_squares(1.0).merge(b"")  # type: ignore[arg-type]


def a_set(*values: float, gradients: tuple[float, ...] | None = None) -> SetStatistics:
    sums = None
    if gradients is not None:
        products = (Fraction(x) * Fraction(g) for x, g in zip(values, gradients, strict=True))
        sums = GradientSums(0, sum(map(units, gradients)), sum(map(units, products)))
    squares = sum(units(Fraction(x) ** 2) for x in values)
    return SetStatistics(len(values), 0, 0, 0, sum(map(units, values)), squares, sums)


def test_statistics_merge_and_pass_as_bytes() -> None:
    values, gradients = [1.0, -2.5, 1e-300, 3e200], [0.5, 1.0, -1.0, 2.0]
    whole = StatisticsPartial("layer", (1, 1), (a_set(*values, gradients=tuple(gradients)),))
    parts = [
        StatisticsPartial("layer", (1, 1), (a_set(x, gradients=(g,)),)) for x, g in zip(values, gradients, strict=True)
    ]
    merged = parts[3].merge(*parts[:3])
    assert merged == whole
    assert StatisticsPartial.from_bytes(merged.to_bytes()) == whole
    message = pb.StatisticsPartial.FromString(merged.to_bytes())
    total = message.sets[0].sum_of_squares
    assert total.magnitude[0] != 0
    assert total.magnitude[-1] != 0
    assert (merged.elements, merged.has_gradients) == (4, True)
    assert StatisticsPartial("layer", (0,), ()).elements == 0


def statistics(change: Any) -> bytes:
    one = StatisticsPartial("layer", (1, 2), (a_set(2.0, 3.0), a_set(4.0, 5.0))).to_message()
    change(one)
    return one.SerializeToString()


def exact_sum(message: Any, **fields: Any) -> None:
    message.CopyFrom(pb.ExactSum(**fields))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda m: setattr(m, "kind", 0), "kind"),
        (lambda m: m.shape.__setitem__(0, -1), "shape"),
        (lambda m: m.shape.__setitem__(0, 2), "sets"),
        (lambda m: setattr(m.sets[1], "elements", 3), "sets[1].elements"),
        (lambda m: setattr(m.sets[0], "elements", 2**59 + 1), "sets[0].elements"),
        (lambda m: setattr(m.sets[0], "nan_elements", 3), "sets[0].elements"),
        (lambda m: setattr(m.sets[1], "nonfinite_gradients", 1), "sets[1].nonfinite_gradients"),
        (lambda m: exact_sum(m.sets[1].sum_of_products), "sets[1].sum_of_products"),
        (lambda m: exact_sum(m.sets[1].sum_of_gradients), "sets[1].sum_of_gradients"),
        (lambda m: exact_sum(m.sets[0].sum, magnitude=b"\1" * 533), "sets[0].sum.magnitude"),
        (lambda m: exact_sum(m.sets[0].sum, magnitude=b"\1", low_zero_bytes=2**32 - 1), "sets[0].sum.magnitude"),
        (lambda m: exact_sum(m.sets[0].sum, magnitude=b"\1"), "sets[0].sum"),
        (lambda m: exact_sum(m.sets[0].sum, magnitude=b"\1", low_zero_bytes=500), "sets[0].sum"),
        (lambda m: setattr(m.sets[0].sum_of_squares, "negative", True), "sets[0].sum_of_squares"),
        (lambda m: exact_sum(m.sets[0].sum_of_squares, magnitude=b"\1"), "sets[0].sum_of_squares"),
        (lambda m: exact_sum(m.sets[0].sum_of_squares, magnitude=b"\xff" * 532), "sets[0].sum_of_squares"),
    ],
)
def test_statistics_that_no_elements_have_are_refused(change: Any, path: str) -> None:
    StatisticsPartial.from_bytes(statistics(lambda _: None))
    with pytest.raises(InvalidArgument) as caught:
        StatisticsPartial.from_bytes(statistics(change))
    assert caught.value.fields[0].path == path


def test_a_zero_has_no_sign_and_no_length() -> None:
    message = StatisticsPartial("rms", (1,), (SetStatistics(1, 0, 0, 0, 0, 0, None),)).to_message()
    exact_sum(message.sets[0].sum, negative=True, low_zero_bytes=2**32 - 1, magnitude=b"\0\0")
    assert StatisticsPartial.from_message(message).sets[0].sum == 0


def test_statistics_of_different_tensors_do_not_merge() -> None:
    one = StatisticsPartial("layer", (1,), (a_set(1.0),))
    for other in (
        StatisticsPartial("rms", (1,), (a_set(1.0),)),
        StatisticsPartial("layer", (1, 1), (a_set(1.0),)),
        StatisticsPartial("layer", (1,), (a_set(1.0, gradients=(1.0,)),)),
        StatisticsPartial("layer", (1,), (SetStatistics(2**59, 0, 0, 0, 0, 0, None),)),
        "no partial",
    ):
        with pytest.raises(InvalidArgument):
            one.merge(other)  # type: ignore[arg-type]


def test_masks_join_and_keep_the_share() -> None:
    whole = keep_mask(42, 1000, 0.3)
    assert np.array_equal(np.concatenate([keep_mask(42, 13, 0.3), keep_mask(42, 987, 0.3, offset=13)]), whole)
    assert keep_mask(0, 0, 0.5).shape == (0,)
    assert keep_mask(7, 9, 0.0).all()
    assert not keep_mask(7, 9, 1.0).any()
    assert keep_mask(42, 8, 0.5).tolist() == [False, True, False, False, True, True, False, False]
    assert keep_mask(1, 2, 0.5, offset=2**64 - 2).shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((-1, 1, 0.5), "seed"),
        ((2**64, 1, 0.5), "seed"),
        ((1, -1, 0.5), "n"),
        ((1, 1, 1.5), "p"),
        ((1, 1, math.nan), "p"),
        ((1, 1, 0.5, -1), "offset"),
        ((1, 3, 0.5, 2**64 - 2), "offset"),
    ],
)
def test_masks_of_wrong_arguments_are_refused(arguments: Any, path: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        keep_mask(*arguments)
    assert caught.value.fields[0].path == path
