from __future__ import annotations

import itertools
import sys
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from evenkeel_client import InvalidArgument, convert
from evenkeel_client._libraries import numpy_dtype

BFLOAT16 = ml_dtypes.bfloat16
RNG = np.random.default_rng(3)


def nearest_bfloat16(x: float) -> int:
    """Return the bits of the nearest bfloat16 of a finite number, by exact arithmetic."""
    candidates = np.arange(0x7F81, dtype=np.uint16).view(BFLOAT16).astype(np.float64)
    low = int(np.searchsorted(candidates[:-1], abs(x), side="right")) - 1
    high = low + 1
    above = Fraction(2) ** 128 if high == 0x7F80 else Fraction(float(candidates[high]))
    middle = (Fraction(float(candidates[low])) + above) / 2
    magnitude = Fraction(abs(x))
    bits = high if magnitude > middle or (magnitude == middle and high % 2 == 0) else low
    return bits | (0x8000 if np.signbit(x) else 0)


def hard_numbers() -> Any:
    """Return numbers at and beside the middles of neighbours of bfloat16, which two roundings would get wrong."""
    bits = RNG.integers(0, 0x7F80, 300).astype(np.uint32)
    middles = ((bits << 16) | 0x8000).view(np.float32).astype(np.float64)
    beside = [middles, np.nextafter(middles, 0), np.nextafter(middles, np.inf)]
    special = [0.0, -0.0, 1e300, -1e300, 5e-324, 1e-46, 3.4e38, 3.3961775292304601e38, 2.0**-134, 2.0**-133 * 1.5]
    return np.concatenate([*beside, RNG.standard_normal(100), special])


def test_a_float64_becomes_the_nearest_bfloat16() -> None:
    x = hard_numbers()
    expected = [nearest_bfloat16(float(value)) for value in x]
    assert convert(x, "bfloat16").view(np.uint16).tolist() == expected
    assert convert(-x, "bfloat16").view(np.uint16).tolist() == [bits ^ 0x8000 for bits in expected]


def test_every_half_survives_the_way_up_and_down() -> None:
    for dtype in (np.float16, BFLOAT16):
        x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
        with np.errstate(invalid="ignore"):
            x = x[~np.isnan(x)]
        for wide in ("float32", "float64"):
            up = convert(x, wide)
            assert np.array_equal(up.astype(np.float64), x.astype(np.float64))
            assert convert(up, x.dtype.name).tobytes() == x.tobytes()


SIGNALING = {
    "float16": np.array([0x7C01, 0xFDFF], np.uint16).view(np.float16),
    "bfloat16": np.array([0x7F81, 0xFFBF], np.uint16).view(BFLOAT16),
    "float32": np.array([0x7F80_0001, 0xFFBF_FFFF], np.uint32).view(np.float32),
    "float64": np.array([0x7FF0_0000_0000_0001, 0xFFF7_FFFF_FFFF_FFFF], np.uint64).view(np.float64),
}
QUIET_BITS = {"float16": 0x200, "bfloat16": 0x40, "float32": 1 << 22, "float64": 1 << 51}


@pytest.mark.parametrize(("given", "to"), list(itertools.permutations(SIGNALING, 2)))
def test_nan_becomes_a_quiet_nan(given: str, to: Any) -> None:
    result = convert(SIGNALING[given], to)
    with np.errstate(invalid="ignore"):
        assert np.isnan(result).all()
    assert (result.view(f"u{result.itemsize}") & QUIET_BITS[to]).all()


def test_shape_and_layout_do_not_matter() -> None:
    x = np.arange(6, dtype=">f8").reshape(2, 3)
    assert np.array_equal(convert(x.T, "float16"), x.T.astype(np.float16))
    assert convert(np.float64(1.5), "float32").shape == ()
    again = convert(x, "float64")
    assert not np.shares_memory(again, x)


def test_other_types_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        convert(np.ones(1), "int8")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        convert(np.ones(1, int), "float32")


def test_bfloat16_without_ml_dtypes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy_dtype.cache_clear()
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"evenkeel-client\[bfloat16\]"):
        convert(np.ones(1), "bfloat16")
