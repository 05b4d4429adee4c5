"""One run, start to end."""
