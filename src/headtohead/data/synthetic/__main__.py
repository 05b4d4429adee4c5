"""A process that draws its share of the pictures: one line on stdout for each that is written.

Its one argument is JSON: {"folder", "count", "seed", "first", "step"}. It ends at once when its
standard input ends, so that it dies with its parent.
"""

import json
import os
import sys
from pathlib import Path
from threading import Thread

from headtohead.core.errors import StorageError
from headtohead.data.synthetic.source import draw_share


def _die_with_parent() -> None:
    # Not sys.stdin: a thread that waits inside its buffer cannot be ended by the interpreter.
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> int:
    """Draw the share named on the command line; returns the exit status."""
    Thread(target=_die_with_parent, daemon=True).start()
    share = json.loads(sys.argv[1])
    folder = Path(share.pop("folder"))
    try:
        for index in draw_share(folder, **share):
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return StorageError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
