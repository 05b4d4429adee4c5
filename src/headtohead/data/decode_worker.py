"""One decoding process: `python -m headtohead.data.decode_worker`, started by `decode_pool`.

It reads JSON lines from its standard input: first the job, then chunks of files. Each image's
row is written straight into the array file, so no pixel passes through a pipe. It answers in JSON
lines: `{"outcomes": […]}`, what became of the next images, each `[height, width]` or the reason
why there is none, then `{"written": k}` once the chunk's rows are on disk; `{"error": text}` where
the disk or the machine is at fault. Several images share a line, because a line wakes the one who
reads it. The number of the file that it is at stands in a file, for when it has died.

When its input ends, the one who started it is done or dead, and it ends at once: no orphans.
"""

import os
import queue
import sys
import time
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from headtohead.core.errors import StorageError
from headtohead.core.processes import listen, say
from headtohead.data.decode import Undecodable, open_upright, read_file
from headtohead.data.resize import resize_image

_SILENCE = 0.1  # seconds between two answers, unless one image takes longer
_BUFFER = 2**20  # bytes of rows that are written at once
_NUMBER = 8  # bytes of a file's number


def main() -> None:
    """Serve until standard input ends."""
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    listen(sys.stdin, orders.put)
    job = orders.get()
    try:
        with (
            Path(job["array"]).open("r+b", buffering=_BUFFER) as array,
            Path(job["position"]).open("r+b", buffering=0) as position,
        ):
            while True:
                _do_chunk(job, orders.get(), array, position)
    except OSError as error:
        say({"error": f"{job['array']}: {error.strerror or error}"})
    except StorageError as error:
        say({"error": str(error)})


def _do_chunk(
    job: dict[str, Any], chunk: dict[str, Any], array: BinaryIO, position: FileIO
) -> None:
    first = chunk["first_row"]
    array.seek(job["offset"] + first * job["image_size"] ** 2 * 3)
    outcomes: list[object] = []
    said = time.monotonic()
    for number, path in enumerate(chunk["paths"], first):
        position.seek(0)
        position.write(number.to_bytes(_NUMBER))
        outcome, row = _prepare(Path(path), job["image_size"], job["resize"])
        array.write(row)
        outcomes.append(outcome)
        if time.monotonic() - said > _SILENCE:
            say({"outcomes": outcomes})
            outcomes, said = [], time.monotonic()
    array.flush()
    os.fsync(array.fileno())
    say({"outcomes": outcomes})
    say({"written": chunk["chunk"]})


def _prepare(path: Path, side: int, method: str) -> tuple[object, bytes]:
    """What became of the image, and its row: black where there is none."""
    try:
        picture = open_upright(read_file(path))
    except Undecodable as refusal:
        return refusal.reason, bytes(side * side * 3)
    row = resize_image(picture, (side, side), method).tobytes()
    return (picture.height, picture.width), row


if __name__ == "__main__":
    main()
