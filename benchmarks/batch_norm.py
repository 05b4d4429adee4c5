"""How many training images batch-norm statistics need, in which mode, and what they cost.

    python benchmarks/batch_norm.py --data FOLDER --limit 5000 --epochs 5

Trains each head once, with moving averages (the weights are those of recomputed statistics, too:
training normalises by its batches), and evaluates the last weights by the averages, by statistics
over more and more training images, and by those over the whole split; with dropout off, as runs
take them, and on. Prints a Markdown table: accuracy on validation and on the training sample, and
the mean absolute difference of the logits from those by the whole split.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from headtohead.config.study_files import resolve_study
from headtohead.core.system import cache_folder
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.split import Split
from headtohead.heads.classifier import Classifier
from headtohead.store.records import LAST, EpochRecord
from headtohead.training import batch_norm, checkpoint
from headtohead.training.device import choose_device, set_up_worker
from headtohead.training.inference import infer, predicted
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.run import train
from headtohead.training.sample import training_sample

COUNTS = (64, 128, 256, 512, 1024, 2048, 4096)


class Quiet:
    """A watcher that keeps the last record."""

    last: EpochRecord

    def start(self, epochs: int) -> None: ...
    def step(self, epoch: int, done: int, pictures: int) -> None: ...
    def note(self, message: str) -> None: ...
    def epoch(self, record: EpochRecord) -> None:
        self.last = record


def rows_of(
    plan: RunPlan, model: Classifier, pictures: Pictures, split: Split, last: EpochRecord
) -> list[str]:
    """The table's rows of one head."""
    sample = training_sample(plan, pictures.labels, split)
    order = np.concatenate([batch_norm.statistics_rows(split.train, plan.seed)])
    rest = np.setdiff1d(split.train, order)
    order = np.concatenate([order, np.random.default_rng(0).permutation(rest)])

    def logits(rows: np.ndarray) -> tuple[Tensor, float]:
        found, labels = infer(model, pictures, rows)
        return found, float((predicted(found) == labels).double().mean())

    def row(name: str, seconds: float | None, whole: Tensor | None) -> tuple[str, Tensor]:
        found, validation = logits(split.validation)
        _, training = logits(sample)
        off = "" if whole is None else f"{float((found - whole).abs().mean()):.4f}"
        took = "" if seconds is None else f"{seconds:.2f}"
        cells = (name, f"{100 * validation:.1f}", f"{100 * training:.1f}", off, took)
        return f"| {plan.head} {plan.seed} | " + " | ".join(cells) + " |", found

    def recomputed(count: int, dropout: bool) -> float:
        start = time.process_time()
        with dropout_in_training(model, dropout):
            batch_norm.recompute_statistics(model, pictures, order[:count], plan.recipe.batch_size)
        return time.process_time() - start

    lines = [row("moving averages", None, None)[0]]
    seconds = recomputed(len(order), dropout=False)
    text, whole = row(f"whole split ({len(order)})", seconds, None)
    lines.append(text)
    for count in COUNTS:
        if count < len(order):
            lines.append(row(f"{count}", recomputed(count, dropout=False), whole)[0])
    torch.manual_seed(0)
    lines.append(row("whole split, dropout on", recomputed(len(order), dropout=True), whole)[0])
    running = f"{100 * last.accuracy:.1f}"
    lines.append(f"| {plan.head} {plan.seed} | while training, last epoch | | {running} | | |")
    return lines


class dropout_in_training:  # noqa: N801
    """Keeps dropout layers in training mode, whatever the model is put into."""

    def __init__(self, model: nn.Module, on: bool) -> None:
        self.layers = [m for m in model.modules() if isinstance(m, nn.Dropout)] if on else []

    def __enter__(self) -> None:
        for layer in self.layers:
            layer.train()
            layer.train = lambda mode=True, layer=layer: layer  # type: ignore[method-assign, misc]

    def __exit__(self, *_: object) -> None:
        for layer in self.layers:
            del layer.train


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--study", default="article")
    parser.add_argument("--limit", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--heads")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    spec = resolve_study(
        asked.study,
        data=asked.data,
        heads=asked.heads,
        seeds=asked.seeds,
        pictures={"limit": asked.limit, "image_size": asked.image_size},
        recipe={"epochs": asked.epochs, "batch_size": asked.batch_size, "batch_norm": "moving"},
    )
    _, prepared = prepare_study(spec, cache=cache_folder(None), progress=lambda *_: None)
    device = choose_device(asked.device)
    set_up_worker(None, device, deterministic=False)
    torch.set_num_threads(1)
    pictures = Pictures(prepared.images, prepared.labels, device)
    print("| head, seed | statistics over | validation % | training % | logits off | CPU s |")
    print("|---|---|---|---|---|---|")
    for seed in range(spec.seeds):
        split = split_study(spec, prepared, seed)
        for head in spec.heads:
            plan = RunPlan(
                key="",
                head=head,
                seed=seed,
                head_spec=spec.heads[head],
                backbone=spec.backbone,
                recipe=spec.recipe_for(head),
                image_size=spec.pictures.image_size,
                classes=len(prepared.classes),
            )
            watcher = Quiet()
            with tempfile.TemporaryDirectory() as folder:
                train(plan, pictures, split, Path(folder), watcher)
                model = plan.build().to(device)
                model.load_state_dict(checkpoint.read(Path(folder) / LAST)[0])
            for line in rows_of(plan, model, pictures, split, watcher.last):
                print(line, flush=True)


if __name__ == "__main__":
    main()
