"""What does the linear head on frozen features cost, beside scikit-learn's logistic regression?

    python benchmarks/linear_head.py --data FOLDER [--network NAME] [--weights FILE] [--images N]

FOLDER has a folder of photographs for each class. The network is frozen; its feature maps are
computed once, before anything is timed. Then, by turns: a run of `gap` (a linear layer on the mean
of the maps) by headtohead, with the recipe of `standard`, evaluation in each epoch and files to
resume from; and scikit-learn's `LogisticRegression` as it comes, but for as many iterations as it
takes, on the same means, standardised. Both are given the maps, learn from the same training
images and are scored on the same test images. FILE is taken by order; without one the weights are
random, which change no time. CPU time, since wall time says nothing on a machine that does other
work. Medians with least and greatest, as Markdown.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fine_tuning_study import Silent
from frozen import CPU, seconds_of
from headtohead.backbones.table import resolve
from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.data.feature_cache import key_of
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import PreparedSet
from headtohead.data.split import Split
from headtohead.stats.metrics import accuracy
from headtohead.store.records import BEST
from headtohead.training import checkpoint
from headtohead.training.device import set_up_worker
from headtohead.training.feature_extraction import CachedFeatures
from headtohead.training.inference import infer
from headtohead.training.inputs import Features
from headtohead.training.plans import RunPlan
from headtohead.training.run import train
from tables import spread, table


def study_of(given: argparse.Namespace) -> StudySpec:
    """The study `standard` of `gap` on the frozen network."""
    weights = {} if given.weights is None else {"weights": given.weights, "weights_match": "order"}
    study = study_from(
        "standard", data=given.data, heads="gap", seeds=1, limit=given.images,
        image_size=given.image_size, backbone=f"timm:{given.network}", train_backbone="none",
        **weights,
    )  # fmt: skip
    return study.model_copy(update={"backbone": resolve(study.backbone)[0]})


def ours(
    study: StudySpec, prepared: PreparedSet, features: Features, parts: Split, folder: Path
) -> float:
    """Test accuracy of a run of headtohead."""
    recipe, classes = study.recipe_for("gap"), len(prepared.classes)
    size = study.pictures.image_size
    plan = RunPlan("key", "gap", 0, study.heads["gap"], study.backbone, recipe, size, classes)
    folder.mkdir()
    train(plan, features, parts, folder, Silent())
    model = plan.build()
    model.load_state_dict(checkpoint.read(folder / BEST)[0])
    return accuracy(infer(model, features, parts.test)[0].numpy(), prepared.labels[parts.test])


def theirs(prepared: PreparedSet, features: Features, parts: Split) -> float:
    """Test accuracy of scikit-learn's logistic regression."""

    def means(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> object:
        found = torch.split(features.rows(rows), 32)
        return torch.cat([features.batch(part)[0].mean((2, 3)) for part in found]).numpy()

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    model.fit(means(parts.train), prepared.labels[parts.train])
    return float(model.score(means(parts.test), prepared.labels[parts.test]))


def measured(given: argparse.Namespace, cache: Path) -> str:
    """Both sides by turns, after one call of each that is not counted."""
    study = study_of(given)
    _, prepared = prepare_study(study, cache=cache, progress=lambda *_: None)
    key = key_of(study, prepared.digest, seed=0, device="cpu")
    cached = CachedFeatures(key, study.backbone, cache, 0, CPU)
    features = cached.of_prepared(prepared, lambda *_: None)
    parts = split_study(study, prepared, 0)
    seconds: dict[str, list[float]] = {"headtohead": [], "scikit-learn": []}
    scores: dict[str, float] = {}

    def side(name: str, number: int) -> None:
        if name == "headtohead":
            scores[name] = ours(study, prepared, features, parts, cache / f"run-{number}")
        else:
            scores[name] = theirs(prepared, features, parts)

    for number in range(1 + given.rounds):
        for name, taken in seconds.items():
            spent = seconds_of(partial(side, name, number))
            if number:
                taken.append(spent)
    mine = float(np.median(seconds["headtohead"]))
    rows = [
        [name, spread(taken), f"{np.median(taken) / mine:.2f}", f"{100 * scores[name]:.1f}"]
        for name, taken in seconds.items()
    ]
    counts = f"{len(parts.train):,} to train, {len(parts.test):,} to test"
    return table([counts, "CPU s", "times headtohead", "test accuracy, %"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default="tf_efficientnet_lite0", help="a name of timm's")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    set_up_worker(None, CPU, deterministic=False)
    with tempfile.TemporaryDirectory() as made:
        print(measured(given, Path(made)))


if __name__ == "__main__":
    main()
