"""Layers, backbones, heads and the classifier made of them."""
