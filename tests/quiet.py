"""Progress that nobody watches."""


def silent(doing: str, done: int, total: int) -> None:
    """Says nothing: see `headtohead.data.long_tasks.Progress`."""
