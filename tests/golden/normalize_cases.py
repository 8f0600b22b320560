"""The normalizations that the vectors cover. Every row is made in every dtype and in both directions."""

from normalize_torch import Config

AFFINE = ("", "weight", "bias", "weight+bias")
BOTH = "weight+bias"


def rows() -> list[Config]:
    return [*batch(), *layer(), *rms(), *instance(), *group(), *special(), *l2()]


def batch():
    image = (2, 3, 4, 5)
    for running in ("", "training", "eval"):
        yield from (Config("BATCH", image, affine=affine, running=running) for affine in AFFINE)
    yield from (Config("BATCH", image, running="training", momentum=m) for m in (0.0, 0.37, 1.0))
    yield Config("BATCH", image, training=True, running="training", affine=BOTH, eps=1e-3)
    yield Config("BATCH", image, training=False, running="eval", eps=1e-12)
    yield Config("BATCH", image, running="eval", affine=BOTH, eps=0.0)
    yield Config("BATCH", image, eps=0.25)
    yield Config("BATCH", image, running="training", affine=BOTH, float32_parameters=True)
    yield Config("BATCH", image, running="eval", affine=BOTH, float32_parameters=True)
    yield Config("BATCH", image, axes=(-1, 0, 2), affine=BOTH)
    yield from (Config("BATCH", (33, 7), affine=BOTH, running=running) for running in ("", "training", "eval"))
    yield Config("BATCH", (257, 1), affine=BOTH)
    yield Config("BATCH", (1, 3, 33), affine=BOTH, running="training")
    yield Config("BATCH", (3, 5, 7), channel_axis=-1, affine=BOTH, running="training")
    yield Config("BATCH", (3, 5, 7), channel_axis=0, affine=BOTH)
    yield Config("BATCH", (2, 3, 2, 3, 2), affine=BOTH, running="training", momentum=0.1)
    # Other axes than the kind's own: statistics for each index of the other axes, the affine map still by channel.
    yield Config("BATCH", (7, 3, 5), axes=(0,), affine=BOTH)
    yield Config("BATCH", (3, 2, 4, 5), axes=(0, -1), affine=BOTH)


def layer():
    text = (2, 3, 33)
    yield from (Config("LAYER", text, affine=affine) for affine in AFFINE)
    yield from (Config("LAYER", text, affine=BOTH, eps=eps) for eps in (0.0, 1e-12, 1e-3, 0.5))
    yield Config("LAYER", text, affine=BOTH, float32_parameters=True)
    yield Config("LAYER", text, affine=BOTH, axes=(-1, -2))
    yield from (Config("LAYER", shape, affine=BOTH) for shape in ((7,), (1,), (3, 1), (5, 7), (2, 257)))
    yield from (Config("LAYER", (2, 3, 4, 5), affine=affine) for affine in ("", BOTH))
    yield Config("LAYER", (2, 3, 4, 5), affine=BOTH, axes=(3,))
    yield Config("LAYER", (2, 3, 4, 5), affine=BOTH, axes=(2, 3))
    yield Config("LAYER", (2, 2, 3, 2, 3), affine=BOTH)
    yield Config("LAYER", (2, 2, 3, 2, 3), affine=BOTH, axes=(-3, -2, -1))
    yield Config("LAYER", (3, 7, 4), affine=BOTH, axes=(1,))
    yield Config("LAYER", (2, 3, 4, 5), affine=BOTH, axes=(1, 3))
    yield Config("LAYER", (5, 7), affine=BOTH, axes=(0, 1))


def rms():
    text = (2, 3, 33)
    yield from (Config("RMS", text, affine=affine) for affine in ("", "weight"))
    yield from (Config("RMS", text, affine="weight", eps=eps) for eps in (0.0, 1e-12, 1e-5, 0.5))
    yield Config("RMS", text, affine="weight", float32_parameters=True)
    yield Config("RMS", text, affine="weight", axes=(-1, -2))
    yield from (Config("RMS", shape, affine="weight") for shape in ((7,), (1,), (3, 1), (5, 7), (2, 257)))
    yield from (Config("RMS", (2, 3, 4, 5), affine=affine) for affine in ("", "weight"))
    yield Config("RMS", (2, 3, 4, 5), affine="weight", axes=(2, 3))
    yield Config("RMS", (2, 2, 3, 2, 3), affine="weight")
    yield Config("RMS", (3, 7, 4), affine="weight", axes=(1,))
    yield Config("RMS", (3, 33), affine="weight", data="tiny")  # where the default eps decides


def instance():
    image = (2, 3, 4, 5)
    for running in ("", "training", "eval"):
        yield from (Config("INSTANCE", image, affine=affine, running=running) for affine in AFFINE)
    yield from (Config("INSTANCE", image, running="training", momentum=m) for m in (0.0, 0.37, 1.0))
    yield Config("INSTANCE", image, training=True, running="training", affine=BOTH, eps=1e-3)
    yield Config("INSTANCE", image, running="training", affine=BOTH, float32_parameters=True)
    yield Config("INSTANCE", (3, 2, 7), affine=BOTH, running="training")
    yield Config("INSTANCE", (1, 2, 257), affine=BOTH)
    yield Config("INSTANCE", (2, 7, 3), channel_axis=2, affine=BOTH, running="training")
    yield Config("INSTANCE", (2, 2, 2, 3, 4), affine=BOTH)
    yield Config("INSTANCE", (2, 3, 4, 5), axes=(2,), affine=BOTH)


def group():
    yield from (Config("GROUP", (2, 4, 7), groups=2, affine=affine) for affine in AFFINE)
    yield from (Config("GROUP", (2, 4, 7), groups=groups, affine=BOTH) for groups in (1, 4))
    yield from (Config("GROUP", (2, 6, 3, 5), groups=groups, affine=BOTH) for groups in (1, 2, 3, 6))
    yield from (Config("GROUP", (2, 4, 7), groups=2, affine=BOTH, eps=eps) for eps in (0.0, 1e-12, 1e-3))
    yield Config("GROUP", (2, 4, 7), groups=2, affine=BOTH, float32_parameters=True)
    yield from (Config("GROUP", (5, 6), groups=groups, affine=BOTH) for groups in (1, 2, 3))
    yield Config("GROUP", (1, 2, 257), groups=2, affine=BOTH)
    yield Config("GROUP", (2, 3, 33), groups=3, affine=BOTH)
    yield Config("GROUP", (2, 4, 2, 3, 2), groups=2, affine=BOTH)
    yield Config("GROUP", (2, 7, 4), groups=2, channel_axis=-1, affine=BOTH)
    yield Config("GROUP", (2, 4, 3, 5), groups=2, axes=(3,), affine=BOTH)


def l2():
    text = (2, 3, 33)
    yield from (Config("L2", shape) for shape in (text, (7,), (1,), (3, 1), (5, 7), (2, 257), (2, 3, 4, 5), (2, 2, 3, 2, 3)))
    # None, some and all of the norms are smaller than eps.
    yield from (Config("L2", text, eps=eps) for eps in (0.0, 1e-3, 3.0, 4.0, 50.0))
    yield from (Config("L2", text, axes=axes) for axes in ((-1,), (0,), (-1, -2)))
    yield Config("L2", (2, 3, 4, 5), axes=(1, 3))
    yield Config("L2", (5, 7), axes=(0, 1))
    yield from (Config("L2", (3, 33), data=data) for data in ("tiny", "uniform", "zeros", "subnormal", "a NaN", "an infinity"))
    yield from (Config("L2", (3, 33), eps=eps, data="tiny") for eps in (5e-4, 6.1e-4))
    yield Config("L2", (2, 33), data="near 1e30")
    yield Config("L2", (2, 3, 8), data="constant")
    yield from (Config("L2", shape) for shape in ((0, 3), (3, 0)))


def special():
    """Data on which other libraries were seen to fail."""
    yield Config("LAYER", (1, 4), data="consecutive from 40000")  # onnxruntime#28463
    yield Config("LAYER", (1, 2048), data="100 +- 0.01")  # pytorch#40302
    yield Config("BATCH", (5, 4), data="2000 +- 1")  # pytorch#51102
    yield Config("LAYER", (2, 33), data="near 1e30")  # pytorch#162489
    yield Config("RMS", (2, 33), data="near 1e30")
    yield Config("LAYER", (3, 64), data="1449 +- 1")  # mlx#2238
    yield Config("GROUP", (1, 2, 512), groups=1, data="uniform")  # pytorch#54293
    yield from (Config(kind, (2, 3, 8), data="constant") for kind in ("BATCH", "LAYER", "RMS", "INSTANCE"))
    yield Config("GROUP", (2, 4, 8), groups=2, data="constant")
    yield from (Config(kind, (3, 7), data="a NaN") for kind in ("LAYER", "RMS", "BATCH"))
    yield from (Config(kind, (3, 7), data="an infinity") for kind in ("LAYER", "RMS", "BATCH"))
    yield from (Config(kind, (2, 3, 8), running="training", data="a NaN") for kind in ("BATCH", "INSTANCE"))
    yield Config("GROUP", (2, 4, 8), groups=2, data="a NaN")
    yield from (Config(kind, (3, 7), data="zeros") for kind in ("LAYER", "RMS"))
    yield from (Config(kind, (2, 8), eps=0.0, data="zeros") for kind in ("LAYER", "RMS"))  # 0 / 0
    yield Config("GROUP", (2, 4, 8), groups=2, eps=0.0, data="zeros")
    yield from (Config(kind, (3, 7), data="subnormal") for kind in ("LAYER", "RMS"))
    yield from (Config(kind, (0, 3), affine=affine) for kind, affine in (("LAYER", BOTH), ("RMS", "weight")))
    yield from (Config(kind, (3, 0), affine=affine) for kind, affine in (("LAYER", BOTH), ("RMS", "weight")))
    yield from (Config("BATCH", (0, 3, 2), affine=BOTH, running=running) for running in ("", "training", "eval"))
    yield Config("INSTANCE", (2, 3, 0), affine=BOTH, running="training")
    yield Config("GROUP", (0, 4, 3), groups=2, affine=BOTH)
