"""One decoding process: `python -m headtohead.data.decode_worker`, started by `decode_pool`.

It reads JSON lines from its standard input: first the job, then chunks of files. Each picture's
row is written straight into the array file, so no pixel passes through a pipe. It answers in JSON
lines: for each picture `[height, width]` or the reason why there is none, then `{"written": k}`
once the chunk's rows are on disk; `{"error": text}` where the disk or the machine is at fault.

When its input ends, the one who started it is done or dead, and it ends at once: no orphans.
"""

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from headtohead.data.decode import Undecodable, open_upright, read_file
from headtohead.data.resize import resize_image
from headtohead.errors import StorageError


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C reaches the whole process group; only the one in charge may decide what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    job = orders.get()
    try:
        with Path(job["array"]).open("r+b") as array:
            while True:
                _do_chunk(job, orders.get(), array)
    except OSError as error:
        _say({"error": f"{job['array']}: {error.strerror or error}"})
    except StorageError as error:
        _say({"error": str(error)})


def _listen(orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        orders.put(json.loads(line))
    os._exit(0)


def _do_chunk(job: dict[str, Any], chunk: dict[str, Any], array: BinaryIO) -> None:
    side = job["image_size"]
    row_bytes = side * side * 3
    for row, path in enumerate(chunk["paths"], chunk["first_row"]):
        try:
            picture = open_upright(read_file(Path(path)))
        except Undecodable as refusal:
            _say(refusal.reason)
            continue
        array.seek(job["offset"] + row * row_bytes)
        array.write(resize_image(picture, (side, side), job["resize"]).tobytes())
        _say((picture.height, picture.width))
    array.flush()
    os.fsync(array.fileno())
    _say({"written": chunk["chunk"]})


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
