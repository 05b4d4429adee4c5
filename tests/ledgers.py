"""Ledgers of studies that were never trained, with the records a real study leaves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headtohead.config.study import StudySpec
from headtohead.core.files import write_atomic
from headtohead.core.streams import stream
from headtohead.probes.base import write_run
from headtohead.probes.predictions import PREDICTIONS, Predictions, SplitPredictions
from headtohead.store.ledger import Ledger, SplitName, StudyFile
from headtohead.store.records import EpochRecord, Failure, Parameters, RunRecord

ENVIRONMENT = {
    "torch": "2.7.0",
    "platform": "Linux x86_64",
    "device": "cpu",
    "processor": "a processor",
    "threads": "1",
}
HEAD_PARAMETERS = {"fc": 676_401, "fc_dropout": 676_401, "gap": 165, "avgpool2x2": 5_121}
BACKBONE = 29_052
# What each head's validation accuracy settles at, and how far training runs ahead of it.
SKILL = {
    "fc": (0.842, 0.145),
    "fc_dropout": (0.861, 0.075),
    "gap": (0.858, 0.012),
    "avgpool2x2": (0.866, 0.05),
}


def study_ledger(
    out: Path,
    *,
    heads: Sequence[str] = ("fc", "fc_dropout", "gap"),
    seeds: int = 7,
    classes: Sequence[str] = ("cat", "dog"),
    per_class: int = 100,
    reference: str | None = None,
    epochs: int = 4,
    data: str = "synthetic",
    heads_after: Mapping[str, str] = MappingProxyType({}),
    batch_norm: str = "recomputed",
    pairs: Sequence[Any] | None = None,
    metric: str = "test_accuracy",
    rare: int = 1,
    masks: str | None = None,
    margin: float = 0.01,
    level: float = 0.05,
) -> Ledger:
    """A ledger of a study without runs; every split has `per_class` test images of a class.

    Of the last class it has `rare` times fewer.
    `heads_after` maps a head to the one whose backbone it starts from; `pairs` is its family.
    """
    counts = {
        "train": dict.fromkeys(classes, 8 * per_class),
        "validation": dict.fromkeys(classes, per_class),
        "test": dict.fromkeys(classes, per_class),
    }
    for shares in counts.values():
        shares[classes[-1]] //= rare
    study = StudySpec.model_validate(
        {
            "name": "quick",
            "data": data,
            "masks": masks,
            "heads": {head: {"after": heads_after.get(head)} for head in heads},
            "seeds": seeds,
            "recipe": {"epochs": epochs, "batch_norm": batch_norm},
            "verdict": {
                "reference": reference,
                "pairs": pairs,
                "metric": metric,
                "margin": margin,
                "level": level,
            },
        }
    )
    file = StudyFile.model_validate(
        {
            "headtohead": "0.1.0",
            "digest": "d" * 64,
            "prepared": "p" * 64,
            "classes": list(classes),
            "counts": counts,
            "study": study,
        }
    )
    return Ledger.create(out, file)


def add_run(
    ledger: Ledger,
    head: str,
    seed: int,
    *,
    skill: float | None = None,
    predictions: bool = True,
    failure: Failure | None = None,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> RunRecord:
    """One run that is over, with history and predictions; `skill` is the accuracy it settles at."""
    level, ahead = SKILL.get(head, (0.8, 0.05))
    level = float(level + stream(seed, "skill", head).normal(0, 0.008)) if skill is None else skill
    epochs = ledger.file.study.recipe_for(head).epochs
    history = [_epoch(e, epochs, level, ahead, head, seed) for e in range(1, epochs + 1)]
    if failure is not None:
        history = history[: failure.epoch - 1]
    folder = ledger.run_folder(head, seed)
    lines = "".join(epoch.model_dump_json() + "\n" for epoch in history)
    write_atomic(folder / "history.jsonl", lines.encode())
    best: EpochRecord | None = None
    for epoch in history:
        best = epoch if epoch.beats(best) else best
    record = RunRecord(
        key=ledger.run_key(head, seed),
        head=head,
        seed=seed,
        status="failed" if failure else "finished",
        failure=failure,
        epochs=len(history),
        best_epoch=best.epoch if best else None,
        parameters=parameters(head),
        feature_maps=(64, 12, 12),
        environment=dict(environment),
        seconds=sum(epoch.seconds for epoch in history),
        cpu_seconds=sum(epoch.cpu_seconds for epoch in history),
        files={},
    )
    if predictions and failure is None:
        found = Predictions(
            _split(ledger, "validation", level, head, seed),
            _split(ledger, "test", level, head, seed),
        )
        write_run(ledger, PREDICTIONS, head, seed, PREDICTIONS.pack(found))
    write_atomic(folder / "run.json", record.model_dump_json().encode())
    return record


def change_epochs(ledger: Ledger, head: str, **values: float) -> None:
    """Give every epoch of every run of `head` these values."""
    for path in sorted(ledger.out.glob(f"runs/{head}/*/history.jsonl")):
        lines = [json.loads(line) | values for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def made(out: Path, skills: dict[str, float], seeds: int = 7, **settings: Any) -> Ledger:
    """Every run of a head scores its skill, of 200 test images, half of them of either class."""
    ledger = study_ledger(
        out, heads=list(skills), seeds=seeds, epochs=2, reference="gap", **settings
    )
    for seed in range(seeds):
        for head, skill in skills.items():
            ahead = 0.01 * (seed % 3) if head == "gap" and skill > 0.5 else 0.0
            add_run(ledger, head, seed, skill=skill + ahead)
    return ledger


def full_ledger(out: Path, **settings: Any) -> Ledger:
    """A ledger with every run of its study finished."""
    ledger = study_ledger(out, **settings)
    for seed in range(ledger.file.study.seeds):
        for head in ledger.file.study.heads:
            add_run(ledger, head, seed)
    return ledger


def parameters(head: str) -> Parameters:
    """Counts as the article's models have them, for two classes."""
    own = HEAD_PARAMETERS.get(head, 1000)
    return Parameters(
        backbone=BACKBONE - 224, head=own, trainable=BACKBONE + own - 224, total=BACKBONE + own
    )


def _epoch(
    epoch: int, epochs: int, level: float, ahead: float, head: str, seed: int
) -> EpochRecord:
    rng = stream(seed, "history", head, epoch)
    done = 1 - np.exp(-3.0 * epoch / epochs)
    val = float(np.clip(0.5 + (level - 0.5) * done + rng.normal(0, 0.012), 0, 1))
    train = float(np.clip(val + ahead * done**2 + rng.normal(0, 0.004), 0, 1))
    return EpochRecord(
        epoch=epoch,
        loss=1.75 * (1 - train) + 0.04,
        accuracy=train - 0.015,
        train_loss=1.7 * (1 - train) + 0.02,
        train_accuracy=train,
        val_loss=1.7 * (1 - val) + 4 * ahead * done**4 + float(rng.normal(0, 0.02)),
        val_accuracy=val,
        seconds=12.5,
        cpu_seconds=12.4,
        pictures_per_second=256.0,
    )


def _split(ledger: Ledger, name: SplitName, level: float, head: str, seed: int) -> SplitPredictions:
    counts = ledger.file.counts[name]
    labels = np.repeat(np.arange(len(counts)), list(counts.values())).astype(np.int64)
    best = _logits(labels, len(counts), level, stream(seed, name, head, "best"))
    last = _logits(labels, len(counts), level - 0.01, stream(seed, name, head, "last"))
    return SplitPredictions(np.arange(len(labels), dtype=np.int64), labels, best, last)


def _logits(
    labels: NDArray[np.int64], classes: int, level: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Logits that name the true class in a share `level` of the images, exactly for each."""
    right = (np.arange(len(labels)) + 0.5) % 100 < 100 * level
    strength = rng.gamma(2.0, 1.0, len(labels)) + 0.05
    if classes == 2:
        sign = np.where(right == (labels == 1), 1.0, -1.0)
        return (sign * strength)[:, None].astype(np.float32)
    named = np.where(right, labels, (labels + 1) % classes)
    logits = np.zeros((len(labels), classes), dtype=np.float32)
    logits[np.arange(len(labels)), named] = strength
    return logits
