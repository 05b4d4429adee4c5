"""One seed → independent named random streams.

A stream is keyed by (seed, name, further keys such as the epoch), never by how far another
stream was read: every head of one seed sees the same batches and the same augmentation however
many random numbers its own dropout consumed, and a resumed epoch draws what it would have drawn.
"""

import hashlib

import numpy as np


def stream_seed(seed: int, name: str, *keys: int | str) -> int:
    """A 63-bit seed for the stream `name` of replicate `seed`, for any random generator.

    Derived by SHA-256, so that neighbouring seeds and names give unrelated streams, on every
    platform and in every process alike.
    """
    text = "\0".join([str(seed), name, *map(str, keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, name: str, *keys: int | str) -> np.random.Generator:
    """A NumPy generator at the start of the stream (seed, name, keys)."""
    return np.random.Generator(np.random.PCG64(stream_seed(seed, name, *keys)))
