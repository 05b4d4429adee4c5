"""Probes: each measures finished runs and leaves evidence. One file each; `table` lists them."""
