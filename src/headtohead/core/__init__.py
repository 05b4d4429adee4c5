"""Errors, random streams, files and what this machine offers."""
