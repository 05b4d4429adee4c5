"""headtohead's preparation: hashed, decoded, resized, searched for duplicates, written to disk."""

import json
import tempfile
import time
from pathlib import Path

from timing import check, cpu_seconds, folder

from headtohead.core.system import usable_cores
from headtohead.data.prepare import prepare
from headtohead.data.sources import open_source


def silent(doing: str, done: int, total: int | None) -> None:
    """Tell nobody."""


def main(data: Path) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as cache:
        began, cpu = time.perf_counter(), cpu_seconds()
        prepared = prepare(
            open_source(data, cache=Path(cache), progress=silent),
            image_size=100,
            resize="antialias",
            limit=None,
            max_unreadable=0.0,
            cache=Path(cache),
            workers=len(usable_cores()),
            progress=silent,
        )
        seconds = time.perf_counter() - began
    check(len(prepared.names), data)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - cpu}


if __name__ == "__main__":
    print(json.dumps(main(folder())))
