"""A worker process: `python -m headtohead.runtime.worker`, started by `runtime.local`.

Each line of its standard input is a JSON object: first a `runtime.preflight.PreflightQuestion`,
which it answers, then its setup, then jobs, and at any moment {"lent": cores}, the cores that it
may use beside its own from now on. What happens is said as JSON lines on standard output. When its
standard input closes it ends at once: its parent is gone.
"""

import json
import os
import queue
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import IO, Any

from headtohead.core.errors import HeadToHeadError
from headtohead.runtime.jobs import AnyJob, from_data
from headtohead.runtime.models_check import answer_or_refusal, in_words
from headtohead.runtime.preflight import PreflightQuestion
from headtohead.runtime.run_job import Tell, Workplace, run_job
from headtohead.training.acceleration import get_ready, lend
from headtohead.training.device import choose_device, set_up_worker


def main() -> None:
    """Do jobs until standard input closes."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no event
    threading.Thread(target=_listen, args=(_own_input(), messages), daemon=True).start()
    _get_ready(PreflightQuestion.model_validate(messages.get()), output)
    setup = messages.get()
    _log_to(Path(setup["log"]))
    device = choose_device(setup["device"])
    set_up_worker(setup["core"], device, deterministic=setup["deterministic"])
    place = Workplace(Path(setup["out"]), Path(setup["prepared"]), device)
    while True:
        _do(from_data(messages.get()), place, partial(_say, output))


def _get_ready(question: PreflightQuestion, output: IO[str]) -> None:
    """Answer, and load what any run needs."""
    found = answer_or_refusal(question)
    _say(output, "answer", **found.model_dump())
    if found.setups and found.setups[0]["device"] == "cpu":
        try:
            get_ready(question.backbone)
        except Exception:  # the first run meets it again, and tells it
            traceback.print_exc()


def _log_to(path: Path) -> None:
    """From now on whatever is said on standard error is for the log."""
    with path.open("ab") as log:
        os.dup2(log.fileno(), 2)
    os.dup2(2, 1)


def _say(output: IO[str], event: str, **details: Any) -> None:
    output.write(json.dumps({"event": event, **details}) + "\n")
    output.flush()


def _own_input() -> IO[str]:
    """The parent's messages; whatever else reads standard input finds it empty.

    A `breakpoint()` or `input()` in a head would wait for ever, and eat messages.
    """
    messages = os.fdopen(os.dup(0), encoding="utf-8")
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    return messages


def _listen(source: IO[str], messages: "queue.Queue[dict[str, Any]]") -> None:
    for line in source:
        message = json.loads(line)
        if "lent" in message:
            lend(message["lent"])
        else:
            messages.put(message)
    os._exit(0)  # the parent is gone: what is complete is on disk


def _do(job: AnyJob, place: Workplace, tell: Tell) -> None:
    try:
        tell("done", status=run_job(job, place, tell))
    except HeadToHeadError as error:
        tell("error", message=str(error), exit_code=error.exit_code)
    except Exception as error:
        traceback.print_exc()
        tell("error", message=in_words(error))


if __name__ == "__main__":
    main()
