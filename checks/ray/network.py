"""A small network in NumPy: it predicts the lower half of a handwritten digit from the upper half.

It is a 3x3 convolution with 8 channels, batch normalization, ReLU and a linear layer. The normalization is evenkeel's.
The rest is here, and gives each sample the same bits on any machine and beside any other samples, which libraries of
matrix products do not promise.
"""

import numpy as np

CHANNELS = 8
PIXELS = 8 * 8  # of an image, and so of each channel
HALF = PIXELS // 2

SHAPES = {
    "convolution": (9, CHANNELS),
    "scale": (CHANNELS,),
    "shift": (CHANNELS,),
    "linear": (CHANNELS * PIXELS, HALF),
    "bias": (HALF,),
}
SIZES = [int(np.prod(shape)) for shape in SHAPES.values()]
PARAMETERS = sum(SIZES)


def initial() -> np.ndarray:
    """The parameters before training, one after the other: float32 [PARAMETERS]."""
    # NumPy promises never to change these integers.
    flat = np.random.Philox(key=1).random_raw(PARAMETERS) / 2**64 - 0.5
    parts = named(flat)
    parts["scale"][:] = 1
    parts["shift"][:] = 0
    parts["linear"] *= 0.1
    parts["bias"][:] = 0
    return flat.astype(np.float32)


def named(flat: np.ndarray) -> dict[str, np.ndarray]:
    """The parameters, or their gradients, as views by name."""
    parts = np.split(flat, np.cumsum(SIZES)[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(SHAPES.items(), parts, strict=True)}


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The matrix product in float64. Terms are added one after the other, so no row depends on the other rows."""
    total = np.zeros((a.shape[0], b.shape[1]))
    for column, row in zip(a.T.astype(np.float64), b.astype(np.float64), strict=True):
        total += np.multiply.outer(column, row)
    return total


def patches(images: np.ndarray) -> np.ndarray:
    """The 3x3 neighbours of each pixel, where the lower half of the image is blank: [samples * PIXELS, 9]."""
    upper = np.zeros((len(images), 10, 10), dtype=np.float32)
    upper[:, 1:5, 1:9] = images[:, 0, :4]
    return np.lib.stride_tricks.sliding_window_view(upper, (3, 3), axis=(1, 2)).reshape(-1, 9)


class Shard:
    """Some samples on their way through the network: `forward` follows the normalization, `gradient` its gradient."""

    def __init__(self, parameters: np.ndarray, images: np.ndarray):
        self.images = images
        rows = product(patches(images), named(parameters)["convolution"]).reshape(-1, 8, 8, CHANNELS)
        # The input of the normalization: float32 [samples, CHANNELS, 8, 8].
        self.hidden = np.ascontiguousarray(rows.transpose(0, 3, 1, 2), dtype=np.float32)

    def forward(self, parameters: np.ndarray, normalized: np.ndarray) -> float:
        """Returns the loss: half the squares of the errors, summed over the samples."""
        parts = named(parameters)
        self.active = np.maximum(normalized, 0).reshape(-1, CHANNELS * PIXELS)
        self.error = product(self.active, parts["linear"]) + parts["bias"] - self.images[:, 0, 4:].reshape(-1, HALF)
        gradient = product(self.error, parts["linear"].T).reshape(normalized.shape)
        # The gradient of the loss with respect to the output of the normalization.
        self.grad_normalized = np.where(normalized > 0, gradient, 0).astype(np.float32)
        return float(np.sum(self.error**2)) / 2

    def gradient(self, grad_hidden: np.ndarray, grad_scale: np.ndarray, grad_shift: np.ndarray) -> np.ndarray:
        """The gradients of all parameters, summed over the samples: float64 [PARAMETERS]."""
        flat = np.empty(PARAMETERS)
        parts = named(flat)
        rows = grad_hidden.transpose(0, 2, 3, 1).reshape(-1, CHANNELS)
        parts["convolution"][:] = product(patches(self.images).T, rows)
        parts["scale"][:] = grad_scale
        parts["shift"][:] = grad_shift
        parts["linear"][:] = product(self.active.T, self.error)
        parts["bias"][:] = product(np.ones((1, len(self.error))), self.error)[0]
        return flat
