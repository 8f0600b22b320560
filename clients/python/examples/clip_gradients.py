"""Clips two gradients by their common norm and by value, and refuses those whose norm is infinite."""

import os
from typing import Any

import numpy as np

from evenkeel_client import Client, errors


def show(name: str, values: Any) -> None:
    """Print a name and numbers."""
    print(name, *(f"{value:.7f}" for value in np.ravel(values)))


with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    w, b = np.array([3, 0], np.float32), np.array([0, 4], np.float32)

    clipped = client.clip_grad_norm({"w": w, "b": b}, 1.0)
    show("total_norm", clipped.total_norm)
    show("scale", clipped.scale)
    for name, gradient in clipped.gradients.items():
        show(name, gradient)

    clamped = client.clip_grad_value({"w": w, "b": b}, 3.5)
    print("clipped_elements", clamped.clipped_elements)
    for name, gradient in clamped.gradients.items():
        show(name, gradient)

    b[0] = np.inf
    try:
        client.clip_grad_norm({"w": w, "b": b}, 1.0, error_if_nonfinite=True)
    except errors.NonfiniteNorm as error:
        print("skip this step:", *(name for _, name in error.gradients))
