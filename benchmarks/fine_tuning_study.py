"""What do epochs of fine-tuning on photographs cost, from JPEG files on, beside timm's own way?

    python benchmarks/fine_tuning_study.py --data FOLDER --network NAME --image-size N
        [--train all|none] [--images N] [--epochs N] [--rounds N]

FOLDER has two folders of JPEG photographs; N of them are copied into train, validation and test.
headtohead decodes each once and then trains `gap` by its own run: with statistics of batch norm
as they came, evaluation on validation and on a sample of the training images in each epoch, and
files to resume from; a frozen network computes its features once. Weights are
random: they change no time. timm's way is its own parts put
together as its training script does: `ImageDataset`, `create_loader` without augmentation, the
network in training mode (in evaluation mode where it is frozen), `create_optimizer_v2`, and
evaluation on validation; every epoch decodes every image. Both take AdamW, the same batches' size,
float32 and one thread. Probes and page of a study are not in it.

Each side and round has a process of its own, and they take turns. What is told is the CPU time of
the process and its children, without imports: wall time says nothing on a machine that does other
work. Medians with least and greatest, as Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from same_files import copy_photographs
from tables import spread, table

BATCH, RATE, DECAY = 16, 0.001, 0.01
SIDES = ("headtohead", "timm", "timm, channels last")


def ours(given: argparse.Namespace, photographs: Path, folder: Path) -> None:
    """Decode once, then every epoch, as a worker does."""
    import timm  # noqa: F401  (imported by all sides before they are timed)
    import torch
    import yaml

    from headtohead.config.study_files import load_study
    from headtohead.data.feature_cache import key_of
    from headtohead.data.pipeline import prepare_study, split_study
    from headtohead.training.device import set_up_worker
    from headtohead.training.feature_extraction import CachedFeatures
    from headtohead.training.inputs import Inputs, Pictures
    from headtohead.training.plans import RunPlan
    from headtohead.training.run import train

    began = cpu_seconds()
    device = torch.device("cpu")
    recipe = {
        "epochs": given.epochs, "batch_size": BATCH, "optimizer": "adamw", "weight_decay": DECAY,
        "learning_rate": RATE, "batch_norm": "frozen",
    }  # fmt: skip
    backbone = {"name": f"timm:{given.network}", "train": given.train}
    content = {
        "name": "fine-tuning", "data": str(photographs), "heads": ["gap"], "seeds": 1,
        "pictures": {"image_size": given.image_size}, "backbone": backbone, "recipe": recipe,
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    study = load_study(folder / "study.yaml")
    _, prepared = prepare_study(study, cache=folder, progress=lambda *_: None)
    set_up_worker(None, device, deterministic=False)
    plan = RunPlan(
        "key", "gap", 0, study.heads["gap"], study.backbone, study.recipe_for("gap"),
        given.image_size, len(prepared.classes),
    )  # fmt: skip
    inputs: Inputs = Pictures(prepared.images, prepared.labels, device)
    if study.backbone.frozen:
        key = key_of(study, prepared.digest, seed=0, device="cpu")
        cached = CachedFeatures(key, study.backbone, folder, 0, device)
        inputs = cached.of_prepared(prepared, lambda *_: None)
    record = train(plan, inputs, split_study(study, prepared, 0), folder / "run", Silent())
    if record.epochs != given.epochs:
        raise SystemExit(f"{record.epochs} epochs of {given.epochs}: {record.failure}")
    print(cpu_seconds() - began)


class Silent:
    """A watcher that tells nobody."""

    def start(self, epochs: int) -> None:
        """Nothing."""

    def step(self, epoch: int, done: int, pictures: int) -> None:
        """Nothing."""

    def epoch(self, record: object) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


def theirs(given: argparse.Namespace, photographs: Path, *, channels_last: bool) -> None:
    """timm's parts, put together as its training script does."""
    import timm
    import torch
    from timm.data import ImageDataset, create_loader
    from timm.optim import create_optimizer_v2
    from torch.nn.functional import cross_entropy

    began = cpu_seconds()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = timm.create_model(given.network, num_classes=2)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    frozen = given.train == "none"
    if frozen:
        network.requires_grad_(False)
        network.get_classifier().requires_grad_(True)
    loaders = {
        name: create_loader(
            ImageDataset(str(photographs / name)), (3, given.image_size, given.image_size), BATCH,
            is_training=name == "train", no_aug=True, interpolation="bilinear", num_workers=0,
            use_prefetcher=False, persistent_workers=False, device=torch.device("cpu"),
        )
        for name in ("train", "validation")
    }  # fmt: skip
    optimizer = create_optimizer_v2(network, opt="adamw", lr=RATE, weight_decay=DECAY)
    form = torch.channels_last if channels_last else torch.contiguous_format
    for _ in range(given.epochs):
        network.train(not frozen)
        for pixels, labels in loaders["train"]:
            loss = cross_entropy(network(pixels.contiguous(memory_format=form)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for pixels, labels in loaders["validation"]:
                logits = network(pixels.contiguous(memory_format=form))
                cross_entropy(logits, labels).item()
                (logits.argmax(1) == labels).sum().item()
    print(cpu_seconds() - began)


def cpu_seconds() -> float:
    """Of this process and of its children that are over."""
    return sum(os.times()[:4])


def measured(given: argparse.Namespace, photographs: Path) -> str:
    """Every side by turns, each time in a process of its own."""
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side, seconds in taken.items():
            told = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--side", side, "--copied", photographs],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout  # fmt: skip
            seconds.append(json.loads(told.splitlines()[-1]))
    times = {side: np.array(seconds) for side, seconds in taken.items()}
    mine = times[SIDES[0]]
    rows = [[side, spread(list(each)), spread(list(each / mine))] for side, each in times.items()]
    what = f"{given.network}, {given.image_size} pixels, {given.train} trained"
    return table([what, f"CPU s of {given.epochs} epochs", "times headtohead"], rows)


def main() -> None:
    """Measure and print; with --side, be that side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default="tf_efficientnet_lite0", help="a name of timm's")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--train", choices=("all", "none"), default="all")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--copied", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if given.side is None:
            counts = copy_photographs(given.data, Path(made) / "photographs", given.images)
            print(", ".join(f"{number} {name}" for name, number in counts.items()) + "\n")
            print(measured(given, Path(made) / "photographs"))
        elif given.side == SIDES[0]:
            ours(given, given.copied, Path(made))
        else:
            theirs(given, given.copied, channels_last=given.side == SIDES[2])


if __name__ == "__main__":
    main()
