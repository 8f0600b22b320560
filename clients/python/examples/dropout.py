"""Drops elements, computes the mask without the server, and drops a part and its gradient by the same draws."""

import os
from typing import Any

import numpy as np

from evenkeel_client import Client, keep_mask


def show(name: str, values: Any) -> None:
    """Print a name and numbers."""
    print(name, *(f"{value:.7f}" for value in np.ravel(values)))


with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    x = np.ones((2, 8), np.float32)

    dropped = client.dropout(x, 0.3, seed=42, return_mask=True)
    show("output", dropped.output)
    print("kept", dropped.kept)
    mask = keep_mask(seed=42, n=x.size, p=0.3).reshape(x.shape)
    print("same mask", "yes" if np.array_equal(mask, np.asarray(dropped.mask)) else "no")

    second = client.dropout(x[1:], 0.3, seed=42, offset=8)
    show("second row", second.output)
    grad_output = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.float32)
    show("grad_input", client.dropout_backward(grad_output, 0.3, seed=42, offset=8))
