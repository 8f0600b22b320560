"""A worker of the training: a process of Ray with some shards of each batch, and a piece of the averaged gradient."""

import hashlib

import numpy as np

from cluster import ray
from network import Shard, initial, named
from service import Service

BATCH = 128
SHARDS = 8  # of each batch, whatever the number of workers
RATE = 0.1


@ray.remote(num_cpus=1)
class Worker:
    """The driver calls the methods in this order, step by step."""

    def __init__(self, target: str, images: np.ndarray):
        self.service = Service(target)
        self.batches = images.reshape(-1, SHARDS, BATCH // SHARDS, *images.shape[1:])
        self.parameters = initial()

    def measure(self, step: int, shards: list[int]) -> bytes:
        """Takes these shards of the step's batch. Returns the statistics of their hidden values, some hundred bytes."""
        batch = self.batches[step % len(self.batches)]
        self.shards = {shard: Shard(self.parameters, batch[shard]) for shard in shards}
        return self.service.measure([shard.hidden for shard in self.shards.values()])

    def forward(self, statistics: bytes) -> tuple[bytes, dict[int, float]]:
        """Normalizes by the statistics of the batch. Returns those for the way back, and the loss of each shard."""
        losses = {}
        parts = named(self.parameters)
        for number, shard in self.shards.items():
            normalized = self.service.normalize(shard.hidden, parts["scale"], parts["shift"], statistics)
            losses[number] = shard.forward(self.parameters, normalized)
        shards = self.shards.values()
        partial = self.service.measure([shard.hidden for shard in shards], [shard.grad_normalized for shard in shards])
        return partial, losses

    def backward(self, statistics: bytes) -> dict[int, ray.ObjectRef]:
        """The gradient of each shard, which Ray keeps until a worker asks for it."""
        gradients = {}
        parts = named(self.parameters)
        for number, shard in self.shards.items():
            gradient = shard.gradient(
                *self.service.normalize_backward(
                    shard.hidden, shard.grad_normalized, parts["scale"], parts["shift"], statistics
                )
            )
            gradients[number] = ray.put(gradient)
        return gradients

    def average(self, piece: slice, *gradients: np.ndarray) -> bytes:
        """Averages a piece of the gradients of all shards. Returns its norm in a form that merges.

        The service has no part in this sum. The shards are added one after the other, in float64 and in the order of
        their numbers, so the sum does not depend on which worker computed them.
        """
        total = np.zeros(piece.stop - piece.start)
        for gradient in gradients:
            total += gradient[piece]
        self.averaged = (total / BATCH).astype(np.float32)
        return self.service.measure_gradient(self.averaged)

    def clip(self, total_norm: float) -> np.ndarray:
        """Clips the worker's piece by the norm of all pieces."""
        return self.service.clip(self.averaged, total_norm)

    def update(self, *clipped: np.ndarray) -> None:
        """Takes a step of gradient descent with the pieces of all workers."""
        self.parameters -= np.float32(RATE) * np.concatenate(clipped)

    def digest(self) -> str:
        """The SHA-256 of the worker's weights."""
        return hashlib.sha256(self.parameters.tobytes()).hexdigest()

    def piece(self) -> np.ndarray:
        """The worker's piece of the last averaged gradient, before clipping."""
        return self.averaged
