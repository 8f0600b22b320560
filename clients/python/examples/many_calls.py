"""Makes many calls at the same time with asyncio, with a deadline for each."""

import asyncio
import os

import numpy as np

from evenkeel_client import AsyncClient


async def main() -> None:
    """Drop elements with eight seeds."""
    async with AsyncClient(os.environ.get("EVENKEEL_ADDRESS", "127.0.0.1:50051")) as client:
        x = np.ones((2, 8), np.float32)
        calls = (client.dropout(x, 0.3, seed=seed, timeout=5) for seed in range(8))
        print("kept", [dropped.kept for dropped in await asyncio.gather(*calls)])


asyncio.run(main())
