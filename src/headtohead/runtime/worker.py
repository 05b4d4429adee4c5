"""A worker process: `python -m headtohead.runtime.worker`, started by `runtime.local`.

Each line of its standard input is a JSON object: first a `runtime.preflight.PreflightQuestion`,
which it answers, then its setup, then jobs, and at any moment {"lent": cores}, the cores that it
may use beside its own from now on. What happens is said as JSON lines on standard output. When its
standard input closes it ends at once: its parent is gone.
"""

import queue
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import IO, Any

from headtohead.core.errors import HeadToHeadError
from headtohead.core.processes import listen
from headtohead.runtime.jobs import AnyJob, from_data
from headtohead.runtime.models_check import answer_or_refusal, in_words
from headtohead.runtime.pipes import log_to, own_input, own_output, say
from headtohead.runtime.preflight import PreflightQuestion
from headtohead.runtime.run_job import Tell, Workplace, run_job
from headtohead.training.acceleration import get_ready, lend
from headtohead.training.device import choose_device, free_cached_memory, set_up_worker
from headtohead.training.step import CaptureError


def main() -> None:
    """Do jobs until standard input closes."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    output = own_output()
    listen(own_input(), partial(_take, messages))  # what is complete when it ends is on disk
    _get_ready(PreflightQuestion.model_validate(messages.get()), output)
    setup = messages.get()
    log_to(Path(setup["log"]))
    device = choose_device(setup["device"])
    set_up_worker(setup["core"], device, deterministic=setup["deterministic"])
    place = Workplace(Path(setup["out"]), Path(setup["prepared"]), device)
    while True:
        _do(from_data(messages.get()), place, partial(say, output))


def _get_ready(question: PreflightQuestion, output: IO[str]) -> None:
    """Answer, and load what any run needs."""
    found = answer_or_refusal(question)
    say(output, "answer", **found.model_dump())
    if found.setups and found.setups[0]["device"] == "cpu":
        try:
            get_ready(question.backbone)
        except Exception:  # the first run meets it again, and tells it
            traceback.print_exc()


def _take(messages: "queue.Queue[dict[str, Any]]", message: dict[str, Any]) -> None:
    if "lent" in message:
        lend(message["lent"])
    else:
        messages.put(message)


def _do(job: AnyJob, place: Workplace, tell: Tell) -> None:
    try:
        tell("done", status=run_job(job, place, tell))
    except CaptureError as error:
        tell("error", message=str(error), exit_code=error.exit_code, leaves=True)
        sys.exit(0)
    except HeadToHeadError as error:
        tell("error", message=str(error), exit_code=error.exit_code)
    except Exception as error:
        traceback.print_exc()
        tell("error", message=in_words(error))
    free_cached_memory(place.device)


if __name__ == "__main__":
    main()
