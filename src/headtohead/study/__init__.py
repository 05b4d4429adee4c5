"""A study as runs: what there is to do, what is done, and the workers that do it."""
