"""Measures gradients and a row in two parts, as two workers would, and computes one part by the measures of both."""

import os
from typing import Any

import numpy as np

from evenkeel_client import Client, NormPartial, StatisticsPartial


def show(name: str, values: Any) -> None:
    """Print a name and numbers."""
    print(name, *(f"{value:.7f}" for value in np.ravel(values)))


with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    here, there = [np.array([3], np.float32)], [np.array([4], np.float32)]
    sent = client.measure_gradients(there).to_bytes()  # from the other worker
    norm = client.measure_gradients(here).merge(NormPartial.from_bytes(sent))
    show("total_norm", norm.total_norm)
    print("elements", norm.elements)
    clipped = client.clip_grad_norm(here, 1.0, total_norm=norm.total_norm)
    show("clipped here", clipped.gradients[0])

    first, second = np.array([[40000, 40001]], np.float32), np.array([[40002, 40003]], np.float32)
    sent = client.measure_statistics(first, "layer").to_bytes()  # from the other worker
    statistics = client.measure_statistics(second, "layer").merge(StatisticsPartial.from_bytes(sent))
    show("normalized here", client.layer_norm(second, statistics=statistics).output)
