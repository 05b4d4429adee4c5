"""A worker process: `python -m headtohead.runtime.worker`, started by `runtime.process`.

Each line of its standard input is a JSON object: first a `runtime.preflight.Question`, which it
answers, then its setup, then jobs, and at any moment {"lent": cores}, the cores that it may use
beside its own from now on. What happens is said as JSON lines on standard output. When its
standard input closes it ends at once: its parent is gone.
"""

import json
import os
import queue
import threading
import time
import traceback
from pathlib import Path
from typing import IO, Any

import torch

from headtohead.core.errors import HeadToHeadError, RunError
from headtohead.core.source_code import loaded_digest, source_digest
from headtohead.data.features import FeatureKey
from headtohead.data.pipeline import split_study
from headtohead.data.prepared import PreparedSet, load_prepared
from headtohead.data.split import in_stored_order
from headtohead.probes.stage import collect_missing, collect_session
from headtohead.runtime.jobs import Job
from headtohead.runtime.models_check import answer_or_refusal, in_words
from headtohead.runtime.preflight import Question
from headtohead.store.ledger import Ledger
from headtohead.store.records import EpochRecord
from headtohead.training.acceleration import get_ready, lend
from headtohead.training.device import choose_device, set_up_worker
from headtohead.training.features import frozen_features, key_of
from headtohead.training.inputs import Features, Inputs, Pictures
from headtohead.training.plans import run_plan
from headtohead.training.run import train

STEP_INTERVAL = 0.5  # seconds between two signs of life within an epoch


def main() -> None:
    """Do jobs until standard input closes."""
    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no event
    threading.Thread(target=_listen, args=(_own_input(), messages), daemon=True).start()
    _get_ready(Question.model_validate(messages.get()), output)
    setup = messages.get()
    _log_to(Path(setup["log"]))
    device = choose_device(setup["device"])
    set_up_worker(setup["core"], device, deterministic=setup["deterministic"])
    desk = _Desk(setup, device, output)
    while True:
        desk.do(messages.get())


def _get_ready(question: Question, output: IO[str]) -> None:
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


class _Desk:
    """What stays the same from job to job."""

    def __init__(self, setup: dict[str, Any], device: torch.device, output: IO[str]) -> None:
        self._out = Path(setup["out"])
        self._output = output
        self._prepared: PreparedSet = load_prepared(Path(setup["prepared"]))
        self._pictures = Pictures(self._prepared.images, self._prepared.labels, device)
        self._features: tuple[FeatureKey, Features] | None = None
        self._last_step = 0.0

    def do(self, job: dict[str, Any]) -> None:
        """Do a `Job` (train its run if it is not over, then probe it) or one of the others."""
        try:
            self._say("done", status=self._status_of(job))
        except HeadToHeadError as error:
            self._say("error", message=str(error), exit_code=error.exit_code)
        except Exception as error:
            traceback.print_exc()
            self._say("error", message=in_words(error))

    def _status_of(self, job: dict[str, Any]) -> str:
        if "heads" in job:
            return self._measure(job["probe"], job["heads"])
        if "metric" in job:
            return self._draw(job["metric"])
        return self._work(Job(**job))

    def _work(self, job: Job) -> str:
        ledger = Ledger.open(self._out)
        plan = run_plan(ledger, job.head, job.seed)
        parts = split_study(ledger.file.study, self._prepared, job.seed)
        folder = ledger.run_folder(job.head, job.seed)
        run = ledger.run(job.head, job.seed)
        ordered = in_stored_order(parts, self._prepared) if plan.recipe.stored_order else parts
        inputs = self._inputs(ledger, job.seed)
        record = run.record if run else train(plan, inputs, ordered, folder, self)
        if record.status == "finished":
            collect_missing(ledger, plan, inputs, parts, self.note)
        return record.status

    def _measure(self, probe: str, heads: list[str]) -> str:
        ledger = Ledger.open(self._out)
        plans = tuple(run_plan(ledger, head, 0) for head in heads)
        parts = split_study(ledger.file.study, self._prepared, 0)
        collect_session(ledger, probe, plans, self._inputs(ledger, 0), parts)
        return "finished"

    def _inputs(self, ledger: Ledger, seed: int) -> Inputs:
        """The images; their features, kept from job to job, where the backbone is frozen."""
        study, device = ledger.file.study, self._pictures.device
        if not study.backbone.frozen:
            return self._pictures
        key = key_of(study, self._prepared.digest, seed=seed, device=device)
        if self._features is None or self._features[0] != key:
            self._features = None  # their memory is free before the next are read
            cache = self._prepared.folder.parents[1]
            found = frozen_features(
                study, self._prepared, cache, seed=seed, device=device, tell=self._tell
            )
            self._features = key, found
        return self._features[1]

    def _tell(self, done: int, pictures: int, left: float) -> None:
        """Features are being computed: a sign of life, not too often, and the last."""
        now = time.monotonic()
        if now - self._last_step >= STEP_INTERVAL or done == pictures:
            self._last_step = now
            self._say("features", done=done, pictures=pictures, left=left)

    def _draw(self, metric: str) -> str:
        from headtohead.report import figures  # matplotlib, which no other job needs

        write = [known for known in figures.METRICS if known.name == metric]
        figures.write_figures(Ledger.open(self._out), write)
        return "finished"

    def start(self, epochs: int) -> None:
        """Training goes on after `epochs` epochs."""
        self._say("start", epochs=epochs)

    def step(self, epoch: int, done: int, pictures: int) -> None:
        """A sign of life, not too often."""
        now = time.monotonic()
        if now - self._last_step >= STEP_INTERVAL:
            self._last_step = now
            self._say("step", epoch=epoch, done=done, pictures=pictures)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is on disk."""
        self._say("epoch", record=record.model_dump())

    def note(self, message: str) -> None:
        """Something a user should know."""
        self._say("note", message=message)

    def _say(self, event: str, **details: Any) -> None:
        _say(self._output, event, **details)


def _source(name: str, head: str) -> str | None:
    """The digest of the code that this process has of `head`. Raises RunError where it is old."""
    loaded = loaded_digest(head)
    if source_digest(head) != loaded:
        raise RunError(
            f"the source of {name} changed while the study ran. Give the same command again once "
            f"it stays as it is."
        )
    return loaded


if __name__ == "__main__":
    main()
