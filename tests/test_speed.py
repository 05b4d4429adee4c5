"""How long a training step takes: what is measured, never how long it took."""

import numpy as np
import pytest
import torch

from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.data.split import Split
from headtohead.probes import speed
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan

PIXELS = 24


def plan(head: str, batch_size: int) -> RunPlan:
    return RunPlan(
        key=head,
        head=head,
        seed=0,
        head_spec=HeadSpec(),
        backbone=BackboneSpec(options={"widths": [4, 4]}),
        recipe=RecipeSpec(batch_size=batch_size),
        image_size=PIXELS,
        classes=2,
    )


def test_every_head_is_timed_in_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else heads are timed one after the other, and whoever met a busy machine loses."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, PIXELS, PIXELS, 3), dtype=np.uint8)
    pictures = Pictures(images, np.arange(20) % 2, torch.device("cpu"))
    split = Split(np.arange(12), np.arange(12, 16), np.arange(16, 20))
    turns: list[int] = []  # by the size of the batch, which tells the heads apart

    def one_step(runner: speed.StepRunner) -> list[tuple[float, float]]:
        turns.append(len(runner.rows))
        return [runner.step()]

    monkeypatch.setattr(speed.StepRunner, "round", one_step)
    found = speed.collect_speed([plan("gap", 8), plan("fc", 64)], pictures, split)
    assert turns == [8, 12] * speed.ROUNDS
    assert found.heads == ("gap", "fc")
    assert found.batch_size == (8, 12)  # no larger than the training split
    assert found.device == "cpu"
    assert found.wall.shape == found.cpu.shape == (2, speed.ROUNDS)
    assert (found.wall > 0).all()
    assert (found.cpu > 0).all()
