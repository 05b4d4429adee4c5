"""The ledger → the five claims about its reference head, from records and evidence alone."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from headtohead.analysis.claims import (
    BySeed,
    Claim,
    Measure,
    Pace,
    Question,
    Size,
    decide,
    faster,
    fewer_parameters,
    measure,
    pairs,
)
from headtohead.analysis.maps import area_gain, score_maps
from headtohead.probes.evidence import (
    ClassMaps,
    Masks,
    Translation,
    class_maps_path,
    costs_path,
    masks_path,
    read_class_maps,
    read_costs,
    read_masks,
    read_speed,
    read_translation,
    speed_key,
    speed_path,
    translation_path,
)
from headtohead.report.pairs import pairing, targets_of
from headtohead.report.results import RunResult, run_result
from headtohead.study.ledger import Ledger, Run

Evidence = TypeVar("Evidence")


def claims_of(ledger: Ledger) -> tuple[Claim, ...]:
    """The five claims about the study's reference against the head it names; none for one head.

    Parameters, over-fitting, class maps, translation, speed, in this order. What is not there is
    said in rules and notes. Raises UsageError for records that do not belong to the study.
    """
    study = ledger.file.study
    against = study.claims_against
    if against is None:
        return ()
    desk = _Desk.open(ledger, study.reference, against)
    questions = (_overfitting(desk), _class_maps(desk), _translation(desk))
    return (
        fewer_parameters(desk.reference, against, _sizes(desk)),
        *decide(questions, study.verdict.level),
        _speed(desk),
    )


@dataclass(frozen=True)
class _Desk:
    """What every claim starts from. `seeds` are those that the two heads are paired at."""

    ledger: Ledger
    reference: str
    against: str
    runs: tuple[Run, ...]
    results: tuple[RunResult, ...]
    seeds: tuple[int, ...]

    @classmethod
    def open(cls, ledger: Ledger, reference: str, against: str) -> "_Desk":
        runs = tuple(ledger.runs())
        results = tuple(run_result(ledger, run) for run in runs)
        mine, theirs = ([r for r in results if r.head == head] for head in (reference, against))
        seeds: tuple[int, ...] = ()
        if mine and theirs:
            paired = pairing(mine, theirs).runs.items()
            seeds = tuple(seed for seed, two in paired if all(run.finished for run in two))
        return cls(ledger, reference, against, runs, results, seeds)

    @property
    def heads(self) -> list[str]:
        """Heads with a run that is over, in the study's order."""
        known = {result.head for result in self.results}
        return [head for head in self.ledger.file.study.heads if head in known]

    @property
    def finished(self) -> list[RunResult]:
        """Runs that came to their end."""
        return [result for result in self.results if result.finished]

    def by_seed(self, values: Iterable[tuple[str, int, float | None]]) -> BySeed:
        """Head → seed → value, without values that are not known."""
        table: dict[str, dict[int, float]] = {head: {} for head in self.heads}
        for head, seed, value in values:
            if value is not None and math.isfinite(value):
                table[head][seed] = value
        return table

    def evidence(
        self,
        path: Callable[[Path, str, int], Path],
        read: Callable[[Path, str], Evidence | None],
    ) -> dict[tuple[str, int], Evidence]:
        """(head, seed) → what a probe found on every finished run."""
        found = {}
        for run in self.finished:
            place = path(self.ledger.out, run.head, run.seed)
            value = read(place, self.ledger.run_key(run.head, run.seed))
            if value is not None:
                found[run.head, run.seed] = value
        return found

    def missing(self, found: Iterable[tuple[str, int]], what: str) -> tuple[str, ...]:
        """A note on finished runs without evidence."""
        known = set(found)
        silent = [f"{r.head} seed {r.seed}" for r in self.finished if (r.head, r.seed) not in known]
        if not silent:
            return ()
        return (
            f"No {what} of {', '.join(silent)}: the same command again collects it while the "
            f"run's weights are there",
        )


def _sizes(desk: _Desk) -> dict[str, Size]:
    found = desk.evidence(costs_path, read_costs)
    costs = {head: found[head, seed] for head, seed in reversed(list(found))}
    sizes = {}
    for result in reversed(desk.results):
        counts, cost = result.parameters, costs.get(result.head)
        sizes[result.head] = Size(
            head=counts.head,
            model=counts.total,
            multiply_adds_head=cost.multiply_adds_head if cost else None,
            multiply_adds=cost.multiply_adds if cost else None,
            weight_bytes=cost.weight_bytes if cost else None,
            activation_bytes=cost.activation_bytes if cost else None,
        )
    return {head: sizes[head] for head in desk.heads}


def _overfitting(desk: _Desk) -> Question:
    gap = desk.by_seed((r.head, r.seed, r.metrics["last_overfit"]) for r in desk.finished)
    best = desk.by_seed((r.head, r.seed, r.metrics["best_overfit"]) for r in desk.finished)
    histories = {(run.record.head, run.record.seed): run.history for run in desk.runs}
    rises = desk.by_seed(
        (r.head, r.seed, history[-1].val_loss - min(epoch.val_loss for epoch in history))
        for r in desk.finished
        if (history := histories[r.head, r.seed])
    )
    return Question(
        name="overfitting",
        statement=f"{desk.reference} over-fits less than {desk.against}",
        tested=(
            f"training minus validation accuracy at the last epoch, {desk.against} minus "
            f"{desk.reference}"
        ),
        differences=pairs(gap, desk.against, desk.reference, desk.seeds),
        measures=(
            measure("training minus validation accuracy, last epoch", "share", gap),
            measure("training minus validation accuracy, best epoch", "share", best),
            measure("rise of the validation loss after its minimum", "nats", rises),
        ),
    )


def _class_maps(desk: _Desk) -> Question:
    maps = desk.evidence(class_maps_path, read_class_maps)
    masks = _masks(desk)
    masked = bool(masks) and all(seed in masks for _, seed in maps)
    measures = [*_curve_measures(desk, maps)]
    if masked:
        score, rows = _mask_measures(desk, maps, masks)
        measures = [*rows, *measures]
        what = (
            "the share of Grad-CAM's positive part that lies on the object, less what other "
            "pictures' maps have there"
        )
    else:
        score = _gains(desk, maps, "gradcam")
        what = (
            "insertion less deletion area of Grad-CAM, less that of random maps (the study has "
            "no masks)"
        )
    return Question(
        name="class_maps",
        statement=f"{desk.reference}'s class maps find the object better than {desk.against}'s",
        tested=f"{what}, {desk.reference} minus {desk.against}",
        differences=pairs(score, desk.reference, desk.against, desk.seeds),
        measures=tuple(measures),
        notes=desk.missing(maps, "class maps"),
    )


def _masks(desk: _Desk) -> dict[int, Masks]:
    """Seed → the masks of its split's probe pictures."""
    found = {}
    split = desk.ledger.file.study.split
    for seed in sorted({run.seed for run in desk.finished}):
        place = masks_path(desk.ledger.out, split.seed_for(seed))
        masks = read_masks(place, desk.ledger.file.digest)
        if masks is not None:
            found[seed] = masks
    return found


def _mask_measures(
    desk: _Desk, found: dict[tuple[str, int], ClassMaps], masks: dict[int, Masks]
) -> tuple[BySeed, list[Measure]]:
    """Grad-CAM's energy beyond chance by seed, and all scores of both kinds of maps."""
    scores: dict[str, dict[tuple[str, int], dict[str, float]]] = {"Grad-CAM": {}, "exact map": {}}
    for (head, seed), maps in found.items():
        for kind, values in (("Grad-CAM", maps.gradcam), ("exact map", maps.exact)):
            if values is not None and len(values) == len(masks[seed].masks):
                scored = score_maps(values, masks[seed].masks, maps.first, maps.stride)
                scores[kind][head, seed] = scored.mean()

    def of(kind: str, field: str) -> BySeed:
        return desk.by_seed((*run, values[field]) for run, values in scores[kind].items())

    beyond = desk.by_seed(
        (*run, values["energy"] - values["energy_others"])
        for run, values in scores["Grad-CAM"].items()
    )
    rows = [measure("Grad-CAM: energy on the object, beyond other pictures' maps", "share", beyond)]
    for kind in scores:
        rows += [
            measure(f"{kind}: energy on the object", "share", of(kind, "energy")),
            measure(f"{kind}: points at the object", "share", of(kind, "pointing")),
        ]
    chance = {
        "energy, other pictures' Grad-CAM": "energy_others",
        "energy, a Gaussian in the middle": "energy_centre",
        "pointing, other pictures' Grad-CAM": "pointing_others",
        "pointing, the middle": "pointing_centre",
    }
    rows += [measure(f"chance: {n}", "share", of("Grad-CAM", f)) for n, f in chance.items()]
    return beyond, rows


def _curve_measures(desk: _Desk, found: dict[tuple[str, int], ClassMaps]) -> list[Measure]:
    names = {"gradcam": "Grad-CAM", "exact": "exact map"}
    return [
        measure(
            f"{name}: insertion less deletion area, beyond random maps",
            "share",
            _gains(desk, found, kind),
        )
        for kind, name in names.items()
    ]


def _gains(desk: _Desk, found: dict[tuple[str, int], ClassMaps], kind: str) -> BySeed:
    def gain(maps: ClassMaps) -> float | None:
        curves, random = getattr(maps, f"{kind}_curves"), maps.random_curves
        if curves is None or not len(curves.deletion):
            return None
        chance = area_gain(random.deletion, random.insertion)
        return area_gain(curves.deletion, curves.insertion) - chance

    return desk.by_seed((*run, gain(maps)) for run, maps in found.items())


def _translation(desk: _Desk) -> Question:
    found = desk.evidence(translation_path, read_translation)
    known = {run: moved for run, moved in found.items() if len(moved.rows)}

    def of(value: Callable[[Translation], float]) -> BySeed:
        return desk.by_seed((*run, value(moved)) for run, moved in known.items())

    steady = of(lambda moved: float(moved.agreement[1:].mean()))
    rows: Sequence[tuple[str, Callable[[Translation], float]]] = (
        ("accuracy on the centre crop", lambda m: float(m.accuracy[0])),
        (
            "accuracy in single-pixel steps, less the centre's",
            lambda m: float(m.accuracy[m.fine][1:].mean() - m.accuracy[0]),
        ),
        (
            "accuracy in large steps, less the centre's",
            lambda m: float(m.accuracy[~m.fine].mean() - m.accuracy[0]),
        ),
        (
            "agreement with the centre in single-pixel steps",
            lambda m: float(m.agreement[m.fine][1:].mean()),
        ),
        ("agreement with the centre in large steps", lambda m: float(m.agreement[~m.fine].mean())),
    )
    return Question(
        name="translation",
        statement=f"{desk.reference} is more robust to translation than {desk.against}",
        tested=(
            f"share of pictures named as in the centre crop, mean over all moved windows, "
            f"{desk.reference} minus {desk.against}"
        ),
        differences=pairs(steady, desk.reference, desk.against, desk.seeds),
        measures=tuple(measure(name, "share", of(value)) for name, value in rows),
        notes=(
            "A model that names one class always agrees with itself: read it beside the accuracy "
            "on the centre crop",
            *desk.missing(found, "moved windows"),
        ),
    )


def _speed(desk: _Desk) -> Claim:
    study = desk.ledger.file.study
    keys = [desk.ledger.run_key(head, 0) for head in study.heads]
    speed = read_speed(speed_path(desk.ledger.out), speed_key(keys))
    results = {head: [r for r in desk.results if r.head == head] for head in desk.heads}
    targets = targets_of(desk.ledger, desk.runs, results, desk.reference)
    paces = {}
    for item in targets.heads if targets and speed else ():
        assert speed is not None  # noqa: S101 - the loop is empty without
        place = speed.heads.index(item.head)
        paces[item.head] = Pace(
            step=speed.cpu[place] / speed.batch_size[place],
            wall=speed.wall[place] / speed.batch_size[place],
            epochs=dict(zip(item.seeds, item.epochs.values, strict=True)),
            reached=item.epochs.reached,
            pictures=sum(desk.ledger.file.counts["train"].values()),
        )
    return faster(
        desk.reference,
        desk.against,
        paces,
        desk.seeds,
        targets.target if targets else None,
        targets.heads[0].epochs.horizon if targets and targets.heads else None,
        study.verdict.level,
    )
