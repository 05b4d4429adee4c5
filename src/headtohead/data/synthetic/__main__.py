"""A process that draws its share of the images, a line on stdout for each that is written.

It is sent one line of JSON, {"folder", "numbers", "seed"}, and says {"drawn": n} for
each image, then {"done": true}, or {"error": text} where the disk is at fault. It ends at once when
its standard input ends, so that it dies with its parent.
"""

import json
import os
import sys
from pathlib import Path
from threading import Thread

from headtohead.data.synthetic.source import draw_share


def _die_with_parent() -> None:
    # Not sys.stdin: a thread that waits inside its buffer cannot be ended by the interpreter.
    while os.read(0, 1024):
        pass
    os._exit(1)


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Draw the share that is sent."""
    share = json.loads(sys.stdin.readline())
    Thread(target=_die_with_parent, daemon=True).start()
    folder = Path(share.pop("folder"))
    try:
        for index in draw_share(folder, **share):
            _say({"drawn": index})
    except OSError as error:
        _say({"error": error.strerror or str(error)})
    else:
        _say({"done": True})


if __name__ == "__main__":
    main()
