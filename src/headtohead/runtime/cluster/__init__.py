"""The parts of `headtohead.runtime.ray`: which machine, which files, and what runs where."""
