"""A study as data: frozen models, and how they are read."""
