"""Normalizes a row of four numbers, and prints the result."""

import os

import numpy as np

from evenkeel_client import Client

with Client(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
    x = np.array([[40000, 40001, 40002, 40003]], np.float32)
    print(client.layer_norm(x).output)
