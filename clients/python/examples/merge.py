"""Measures the gradients of two workers, and clips each worker's part by the norm of both."""

import os

import numpy as np

from evenkeel_client import Client, NormPartial

with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    here, there = [np.array([3], np.float32)], [np.array([4], np.float32)]

    sent = client.measure_gradients(there).to_bytes()  # what the other worker sends to this one
    norm = client.measure_gradients(here).merge(NormPartial.from_bytes(sent))
    print("total_norm", norm.total_norm, "of", norm.elements, "elements")

    clipped = client.clip_grad_norm(here, max_norm=1.0, total_norm=norm.total_norm)
    print("clipped", clipped.gradients[0])
