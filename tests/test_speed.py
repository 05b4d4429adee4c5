"""How long a training step takes: what is measured, never how long it took."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from headtohead.config.recipe import RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.data.split import Split
from headtohead.heads.base import Pool
from headtohead.heads.pools import of_stored
from headtohead.probes import speed
from headtohead.training import inputs
from headtohead.training.inputs import Features, Pictures
from headtohead.training.plans import RunPlan

PIXELS = 24
FROZEN = BackboneSpec(options={"widths": [4, 4]}, train="none")


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


def test_a_head_on_frozen_features_is_timed_as_it_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a head looks as slow as its pool, which its runs make once: dozens of times too slow."""
    maps = np.random.default_rng(0).random((1, 20, 3, 3, 4), np.float32)
    features = Features(maps, np.arange(20) % 2, torch.device("cpu"))
    pooled: list[int] = []

    def counted(pool: Pool, maps: Tensor) -> Tensor:
        pooled.append(len(maps))
        return of_stored(pool, maps)

    monkeypatch.setattr(inputs, "of_stored", counted)
    frozen = replace(plan("kmax", 8), backbone=FROZEN)
    runner = speed.step_runner(frozen, features, np.arange(8, 16))
    before = list(pooled)
    runner.step()
    runner.step()
    assert pooled == before == [1, 8]  # one to know the shape, then the batch
