"""A process that draws its share of the images, a line on stdout for each that is written.

It is sent one line of JSON, {"folder", "numbers", "seed"}, and says {"drawn": n} for
each image, then {"done": true}, or {"error": text} where the disk is at fault. It ends at once when
its standard input ends, so that it dies with its parent.
"""

import queue
import sys
from pathlib import Path
from typing import Any

from headtohead.core.processes import listen, say
from headtohead.data.synthetic.source import draw_share


def main() -> None:
    """Draw the share that is sent, then wait for the parent to end this process."""
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    listen(sys.stdin, orders.put)
    share = orders.get()
    folder = Path(share.pop("folder"))
    try:
        for index in draw_share(folder, **share):
            say({"drawn": index})
        say({"done": True})
    except OSError as error:
        say({"error": error.strerror or str(error)})
    orders.get()


if __name__ == "__main__":
    main()
