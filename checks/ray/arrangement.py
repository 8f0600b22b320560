"""Which worker has which part, and the order in which results are taken."""

import itertools
import random

from cluster import ray


class Arrangement:
    """Equal parts, and results as they come. With a seed: parts of random lengths, and results in a random order."""

    def __init__(self, workers: int, seed: int | None = None):
        self.workers = workers
        self.random = None if seed is None else random.Random(seed)

    def deal(self, shards: int) -> list[list[int]]:
        """The shards of each worker, at least one."""
        numbers = list(range(shards))
        self._shuffle(numbers)
        return [numbers[part] for part in self.cut(shards)]

    def cut(self, length: int) -> list[slice]:
        """The part of each worker, at least one element: they follow each other."""
        inner = [length * worker // self.workers for worker in range(1, self.workers)]
        if self.random:
            inner = sorted(self.random.sample(range(1, length), self.workers - 1))
        return [slice(begin, end) for begin, end in itertools.pairwise([0, *inner, length])]

    def arrived(self, pending: list[ray.ObjectRef]) -> list:
        """The results of all workers, the first to come first."""
        results = []
        while pending:
            ready, pending = ray.wait(pending)
            results += ray.get(ready)
        self._shuffle(results)
        return results

    def _shuffle(self, items: list) -> None:
        if self.random:
            self.random.shuffle(items)
