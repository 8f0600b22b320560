"""Dropout and DropoutBackward: the masks from NumPy's Philox, the alpha map checked against PyTorch."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from vectors import DTYPES, Data, Suite

SEEDS = (0, 42, 2**64 - 1)
OFFSETS = (0, 1, 7, 8, 1000003, 2**33 + 5)
PROBABILITIES = (0.0, 1e-10, 0.1, 0.5, 0.7, 0.9, 1.0)
# The first words of the streams of two keys: another version of NumPy must draw the same.
KNOWN_WORDS = {
    42: "4d62880e d1f8817d 5cc8797e 307266b6 f084ed03 de1f04e7 78cd1e59 65034a8e",
    0: "08e4d89b 02f4ba64 9ca8c5b2 3dd62b0b",
}
ALPHA = 1.7580993408473766


def words(seed: int, offset: int, count: int) -> np.ndarray:
    """`count` words of the seed's stream from number `offset` on; a block of the generator holds eight."""
    skip = offset % 8
    generator = np.random.Philox(key=seed, counter=offset // 8)
    return generator.random_raw((skip + count + 1) // 2).view("<u4")[skip : skip + count]


def keep(p: float, seed: int, offset: int, count: int) -> np.ndarray:
    return words(seed, offset, count) >= np.uint64(math.ceil(p * 2**32))


def alpha_map(p: float) -> tuple[float, float, float]:
    """The scale and the shift of kept elements, and the value of dropped ones."""
    scale = 1.0 / math.sqrt((ALPHA**2 * p + 1.0) * (1.0 - p))
    shift = scale * ALPHA * p
    return scale, shift, shift - scale * ALPHA


def suites() -> tuple[Suite, Suite]:
    check_words()
    check_alpha_map()
    forward, backward = Suite("Dropout"), Suite("DropoutBackward")
    x = with_extremes(Data("stream").normal((101,), torch.float32))
    for seed in SEEDS:
        for offset in OFFSETS:
            for p in PROBABILITIES:
                name = f"stream seed={seed} offset={offset} p={p:g}"
                make(forward, name, x, "", "", p=p, seed=seed, offset=offset)
    long = Data("long").normal((4999,), torch.bfloat16)
    make(forward, "long bfloat16", long, "", "", p=0.3, seed=7, offset=2**40 + 1)
    for suite in (forward, backward):
        for kind, scaling, shape in (
            ("", "NONE", (5, 7)),
            ("ELEMENT", "INVERTED", (3, 5, 7)),
            ("ELEMENT", "NONE", (3, 5, 7)),
            ("CHANNEL", "", (9, 11)),
            ("CHANNEL", "INVERTED", (3, 5, 7)),
            ("CHANNEL", "NONE", (2, 3, 4, 5)),
            ("ALPHA", "", (3, 5, 7)),
            ("FEATURE_ALPHA", "INVERTED", (2, 3, 4, 5)),
        ):
            for name, dtype in DTYPES.items():
                x = with_extremes(Data(f"dropout {shape}").normal(shape, dtype))
                for p in (0.0, 0.3, 0.5, 1.0):
                    title = f"{kind or 'default'} {scaling or 'default'} {'x'.join(map(str, shape))} p={p:g} {name}"
                    make(suite, title.lower(), x, kind, scaling, p=p, seed=42, offset=3)
        for shape in ((), (0, 3), (3, 0)):
            make(suite, f"shape {list(shape)}", torch.ones(shape), "", "", p=0.5, seed=0, offset=1)
    return forward, backward


def with_extremes(x: torch.Tensor) -> torch.Tensor:
    """Values that a multiplication by zero would not remove."""
    extremes = [math.nan, math.inf, -math.inf, -0.0, torch.finfo(x.dtype).max, torch.finfo(x.dtype).tiny / 2]
    flat = x.flatten()
    flat[1:31] = torch.tensor(extremes * 5, dtype=torch.float64).to(x.dtype)
    return flat.reshape(x.shape)


def make(suite: Suite, name: str, x: torch.Tensor, kind: str, scaling: str, *, p: float, seed: int, offset: int):
    backward = suite.operation == "DropoutBackward"
    by_channel = kind in ("CHANNEL", "FEATURE_ALPHA")
    case = suite.case(
        name,
        {
            "p": p,
            "seed": seed,
            "offset": offset,
            "kind": f"DROPOUT_KIND_{kind}" if kind else None,
            "scaling": f"DROPOUT_SCALING_{scaling}" if scaling else None,
            "return_mask": None if backward else True,
        },
    )
    case.send("grad_output" if backward else "input", x)

    draws = math.prod(x.shape[:2]) if by_channel else x.numel()
    mask = keep(p, seed, offset, draws)
    of_elements = np.repeat(mask, x.numel() // draws if draws else 1).reshape(x.shape)
    scale, shift, fill = 1.0, 0.0, 0.0
    if p < 1.0 and kind in ("ALPHA", "FEATURE_ALPHA"):
        scale, shift, fill = alpha_map(p)
    elif p < 1.0 and scaling != "NONE":
        scale = 1.0 / (1.0 - p)
    exact = x.double().numpy()
    if backward or kind not in ("ALPHA", "FEATURE_ALPHA"):
        shift, fill = -0.0, 0.0  # adding -0.0 changes nothing, also not a -0.0
    with np.errstate(over="ignore", invalid="ignore"):
        result = torch.from_numpy(np.where(of_elements, exact * scale + shift, fill))
    if scaling == "NONE":
        case.expect_exact("grad_input" if backward else "output", torch.where(torch.tensor(of_elements), x, 0.0))
    else:
        case.expect("grad_input" if backward else "output", result, x.dtype, largest_term=abs(shift))
        case.entry["expect"][-1]["signed_zeros"] = True
    if not backward:
        case.expect_value("kept", int(of_elements.sum()))
        case.expect_exact("mask", torch.from_numpy(np.packbits(mask, bitorder="little")))


def check_words() -> None:
    for seed, known in KNOWN_WORDS.items():
        drawn = [f"{word:08x}" for word in words(seed, 0, len(known.split()))]
        assert drawn == known.split(), (seed, drawn)
    for offset in OFFSETS[:5]:
        assert (words(42, offset, 20) == words(42, 0, offset + 20)[offset:]).all(), offset


def check_alpha_map() -> None:
    """Checks that each element of PyTorch's alpha dropouts is the map's value of a kept or of a dropped element."""
    x = Data("alpha").normal((40, 5, 6), torch.float64) + 3.0  # no kept element is near the dropped value
    for p in (0.1, 0.5, 0.9):
        scale, shift, fill = alpha_map(p)
        kept, dropped = x * scale + shift, torch.full_like(x, fill)
        for function, by_channel in ((F.alpha_dropout, False), (F.feature_alpha_dropout, True)):
            torch.manual_seed(1)
            x.requires_grad_()
            theirs = function(x, p, training=True)
            (gradient,) = torch.autograd.grad(theirs.sum(), x)
            theirs, x = theirs.detach(), x.detach()
            mask = gradient != 0
            assert 0 < mask.sum() < mask.numel()
            assert not by_channel or (mask.all(-1) == mask.any(-1)).all()
            torch.testing.assert_close(theirs, torch.where(mask, kept.detach(), dropped), rtol=1e-14, atol=1e-14)
            torch.testing.assert_close(gradient, mask.double() * scale, rtol=1e-14, atol=0)
