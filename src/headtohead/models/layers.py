"""The old name of `headtohead.backbones.layers`: heads written for version 0.1 import it."""

from headtohead.backbones.layers import BatchNorm, convolution, dense

__all__ = ["BatchNorm", "convolution", "dense"]
