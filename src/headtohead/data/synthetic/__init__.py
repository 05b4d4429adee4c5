"""Drawn cats and dogs: the project's own images, for which nothing is downloaded."""

from headtohead.data.synthetic.source import DEFAULT_COUNT, synthetic_source

__all__ = ["DEFAULT_COUNT", "synthetic_source"]
