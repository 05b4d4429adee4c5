"""Constants of batch norm, which models and reports need. Imports no torch."""

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.99
"""Keras's; the momentum is that of moving averages as Keras counts it (PyTorch's is 1 - 0.99)."""

BATCH_NORM_IMAGES = 2048
"""Training images, at most, that statistics are recomputed over: docs/evaluation.md says why."""
