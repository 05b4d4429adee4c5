"""Finished runs → evidence files: the only readers of weights."""
