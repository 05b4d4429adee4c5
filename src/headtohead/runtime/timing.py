"""What a run will take, by a few real steps: `python -m headtohead.runtime.timing`.

Started by `plan` as a worker is: the first line of its standard input is a
`runtime.preflight.PreflightQuestion`, which it answers. The second, if there is one, is a
`TimingQuestion`: it trains each head for a few steps on random images, and says for each, in a line
{"event": "times"}, the seconds of a step and of evaluating an image. Then it ends.
"""

import sys
import time
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from headtohead.core.streams import stream
from headtohead.probes.speed import step_runner
from headtohead.runtime.models_check import answer_or_refusal
from headtohead.runtime.pipes import own_output, say
from headtohead.runtime.preflight import PreflightQuestion, TimingQuestion
from headtohead.training.device import choose_device, set_up_worker
from headtohead.training.inference import loss_and_accuracy
from headtohead.training.inputs import Features, Inputs, Pictures
from headtohead.training.plans import RunPlan

STEPS = 3
"""Steps that are timed, after a first one in which libraries get ready; the median counts."""


def main() -> None:
    """Answer, then time."""
    output = own_output()
    question = PreflightQuestion.model_validate_json(sys.stdin.readline())
    say(output, "answer", **answer_or_refusal(question).model_dump())
    if line := sys.stdin.readline():
        _time(question, TimingQuestion.model_validate_json(line), output)


def _time(question: PreflightQuestion, timing: TimingQuestion, output: IO[str]) -> None:
    setup, side = timing.setup, question.image_size
    device = choose_device(setup["device"])
    set_up_worker(setup["core"], device, deterministic=setup["deterministic"])
    count = max(timing.batches)
    random = stream(0, "timing")
    images = random.integers(0, 256, (count, side, side, 3), np.uint8)
    labels = np.arange(count, dtype=np.int64) % timing.classes
    pictures: Inputs = Pictures(images, labels, device)
    for (head, spec), recipe, batch in zip(
        question.models, timing.recipes, timing.batches, strict=True
    ):
        plan = RunPlan("", head, 0, spec, question.backbone, recipe, side, timing.classes)
        rows = np.arange(batch, dtype=np.int64)
        if question.backbone.frozen and not isinstance(pictures, Features):
            pictures = _features(plan, labels, device)
        runner = step_runner(plan, pictures, rows)
        runner.step()
        seconds = float(np.median([runner.step()[0] for _ in range(STEPS)]))
        inputs = pictures.for_head(runner.model.head)
        loss_and_accuracy(runner.model, inputs, rows)  # libraries get ready
        began = time.perf_counter()
        loss_and_accuracy(runner.model, inputs, rows)
        evaluation = (time.perf_counter() - began) / batch
        say(output, "times", head=head, step=seconds, image=evaluation)


def _features(plan: RunPlan, labels: NDArray[np.int64], device: torch.device) -> Features:
    """Random features of as many images, as the frozen backbone would have them."""
    backbone = plan.build().backbone
    shape = (1, len(labels), *backbone.map_size(plan.image_size), backbone.channels)
    features = stream(0, "timing", "features").random(shape, np.float32)
    return Features(features.astype(plan.backbone.features), labels, device)


if __name__ == "__main__":
    main()
