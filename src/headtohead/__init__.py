"""headtohead settles, with evidence, which classification head a convolutional network wears."""

__version__ = "0.1.0"
