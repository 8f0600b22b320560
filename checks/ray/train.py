"""Trains a small network on a local cluster of Ray, with the batch statistics and the gradient norm of all workers.

    python train.py --workers 4 --target 127.0.0.1:50051 --target 127.0.0.1:50052

Prints the SHA-256 of all statistics, norms, clipped gradients, and of the weights: the same for any number of workers.
"""

import argparse
import hashlib
import struct
from pathlib import Path

import numpy as np

import cluster
import network
from arrangement import Arrangement
from cluster import ray
from service import Service
from worker import BATCH, SHARDS, Worker

DIGITS = Path(__file__).resolve().parents[2] / "tests" / "data" / "digits.npy"
STEPS = 10


class Training:
    """The driver of a training: it has partials of the workers merged and hands the result to all of them.

    Worker i calls server i modulo the number of servers. `seed` is that of the `Arrangement`.
    """

    def __init__(self, workers: int, targets: list[str], seed: int | None = None):
        images = ray.put(np.load(DIGITS))
        self.services = [Service(target) for target in targets]
        self.workers = [Worker.remote(targets[worker % len(targets)], images) for worker in range(workers)]
        self.arrangement = Arrangement(workers, seed)
        self.hashes = {name: hashlib.sha256() for name in ("statistics", "norms", "clipped")}
        self.losses: list[float] = []  # of each step: the mean over the batch
        self.norms: list[float] = []  # of each step: of the averaged gradient
        self.clipped = np.empty(0, np.float32)  # the averaged gradient of the last step, clipped

    def run(self) -> None:
        for step in range(STEPS):
            self.step(step)

    def step(self, number: int) -> None:
        merger = self.services[number % len(self.services)]
        arrived = self.arrangement.arrived

        shards = self.arrangement.deal(SHARDS)
        partials = arrived([worker.measure.remote(number, its) for worker, its in self.each(shards)])
        statistics = merger.merge_statistics(partials)

        forward = arrived([worker.forward.remote(statistics) for worker in self.workers])
        of_gradients = merger.merge_statistics([partial for partial, _ in forward])
        losses = {shard: loss for _, losses in forward for shard, loss in losses.items()}

        backward = arrived([worker.backward.remote(of_gradients) for worker in self.workers])
        gradients = {shard: gradient for gradients in backward for shard, gradient in gradients.items()}

        # Each worker averages, measures and clips a piece of the gradient, and all workers get all pieces.
        in_order = [gradients[shard] for shard in range(SHARDS)]
        pieces = self.arrangement.cut(network.PARAMETERS)
        partials = arrived([worker.average.remote(piece, *in_order) for worker, piece in self.each(pieces)])
        total_norm = merger.merge_norms(partials)
        clipped = [worker.clip.remote(total_norm) for worker in self.workers]
        ray.get([worker.update.remote(*clipped) for worker in self.workers])

        self.clipped = np.concatenate(ray.get(clipped))
        self.losses.append(sum(losses[shard] for shard in range(SHARDS)) / BATCH)
        self.norms.append(total_norm)
        self.hashes["statistics"].update(statistics + of_gradients)
        self.hashes["norms"].update(struct.pack("<d", total_norm))
        self.hashes["clipped"].update(self.clipped.tobytes())

    def each(self, parts: list) -> zip:
        """Each worker and its part."""
        return zip(self.workers, parts, strict=True)

    def weights(self) -> list[str]:
        """The SHA-256 of each worker's weights."""
        return ray.get([worker.digest.remote() for worker in self.workers])

    def averaged(self) -> np.ndarray:
        """The averaged gradient of the last step, before clipping."""
        return np.concatenate(ray.get([worker.piece.remote() for worker in self.workers]))

    def digests(self) -> dict[str, str]:
        """The SHA-256 of everything that must not depend on the number of workers."""
        weights = " ".join(sorted(set(self.weights())))
        return {name: found.hexdigest() for name, found in self.hashes.items()} | {"weights": weights}

    def end(self) -> None:
        for worker in self.workers:
            ray.kill(worker)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=cluster.WORKERS, choices=range(1, cluster.WORKERS + 1))
    parser.add_argument("--target", action="append", required=True, help="HOST:PORT of a server; may be repeated")
    arguments = parser.parse_args()
    cluster.start()
    training = Training(arguments.workers, arguments.target)
    training.run()
    for name, values in (("loss", training.losses), ("norm", training.norms)):
        print(f"{name:10} {values[0]:.4f} to {values[-1]:.4f}")
    for name, digest in training.digests().items():
        print(f"{name:10} {digest}")
    ray.shutdown()


if __name__ == "__main__":
    main()
