"""The third claim: where the heads look, against masks or by taking pictures apart."""

from collections.abc import Iterable, Mapping

from headtohead.probes.class_maps import CLASS_MAPS, ClassMaps
from headtohead.probes.images import Masks, masks_path, read_masks
from headtohead.report.desk import Desk
from headtohead.stats.claims import BySeed, Measure, Question, measure, pairs
from headtohead.stats.maps import Objects, area_gain, objects_of, score_maps
from headtohead.store.ledger import MASKS_ELSEWHERE, Ledger

DRAWN = "synthetic"
"""Pictures that bring their masks."""

LOST = "the masks are lost"
BY_MASKS = (
    "the share of Grad-CAM's positive part that lies on the object, less what other pictures' maps "
    "have there"
)
BY_CURVES = (
    "insertion less deletion area of Grad-CAM, less that of random maps (the study has no masks)"
)


def class_map_question(desk: Desk) -> Question:
    """By masks where the study has or had them, else by deletion and insertion.

    Masks that are lost change no rule: the question then cannot be answered.
    """
    maps = desk.evidence(CLASS_MAPS)
    masks = masks_of(desk.ledger, (run.seed for run in desk.finished))
    measures = [*_curve_measures(desk, maps)]
    notes = desk.missing(maps, "class maps")
    if desk.ledger.file.study.data == DRAWN or masks_folder(desk.ledger) is not None:
        seen = {run: found for run, found in maps.items() if run[1] in masks}
        score, rows = _mask_measures(desk, seen, masks)
        measures = [*(rows if seen else ()), *measures]
        what = BY_MASKS
        lost = LOST if maps and not seen else ""
        unmasked = sorted({seed for _, seed in maps.keys() - seen.keys()})
        if seen and unmasked:
            notes += (f"Left out, their masks are lost: seeds {', '.join(map(str, unmasked))}",)
    else:
        score, what, lost = _gains(desk, maps, "gradcam"), BY_CURVES, ""
    return Question(
        name="class_maps",
        statement=f"{desk.reference}'s class maps find the object better than {desk.against}'s",
        tested=f"{what}, {desk.reference} minus {desk.against}",
        differences=pairs(score, desk.reference, desk.against, desk.seeds),
        measures=tuple(measures),
        notes=notes,
        lost=lost,
    )


def masks_folder(ledger: Ledger) -> str | None:
    """What `--masks` named, MASKS_ELSEWHERE where that is not known, None where it named nothing.

    Ledgers of earlier versions do not say: masks that did not come with drawn pictures were given.
    """
    if ledger.file.masks is not None or ledger.file.study.data == DRAWN:
        return ledger.file.masks
    seeds = range(ledger.file.study.seeds)
    return MASKS_ELSEWHERE if masks_of(ledger, seeds) else None


def masks_of(ledger: Ledger, seeds: Iterable[int]) -> dict[int, Masks]:
    """Seed → the masks of its split's probe pictures, where there are any."""
    split = ledger.file.study.split
    of_seed = {seed: split.seed_for(seed) for seed in seeds}
    of_split = {
        place: read_masks(masks_path(ledger.out, place), ledger.file.digest)
        for place in set(of_seed.values())
    }
    return {
        seed: masks for seed, place in of_seed.items() if (masks := of_split[place]) is not None
    }


def mask_scores(
    found: Mapping[tuple[str, int], ClassMaps], masks: Mapping[int, Masks]
) -> dict[str, dict[tuple[str, int], dict[str, float]]]:
    """By "Grad-CAM" and "exact map" → (head, seed) → the mean of each field of `MapScores`."""
    scores: dict[str, dict[tuple[str, int], dict[str, float]]] = {"Grad-CAM": {}, "exact map": {}}
    objects: dict[tuple[object, ...], Objects] = {}  # the same for all runs on one split
    for (head, seed), maps in found.items():
        for kind, values in (("Grad-CAM", maps.gradcam), ("exact map", maps.exact)):
            if values is not None and len(values) == len(masks[seed].masks):
                key = (id(masks[seed]), values.shape[1:], maps.first, maps.stride)
                if key not in objects:
                    height, width = values.shape[1:]
                    objects[key] = objects_of(
                        masks[seed].masks, (height, width), maps.first, maps.stride
                    )
                scores[kind][head, seed] = score_maps(values, objects[key]).mean()
    return scores


def _mask_measures(
    desk: Desk, found: dict[tuple[str, int], ClassMaps], masks: dict[int, Masks]
) -> tuple[BySeed, list[Measure]]:
    """Grad-CAM's energy beyond chance by seed, and all scores of both kinds of maps."""
    scores = mask_scores(found, masks)

    def of(kind: str, field: str) -> BySeed:
        return desk.by_seed((*run, values[field]) for run, values in scores[kind].items())

    beyond = desk.by_seed(
        (*run, values["energy"] - values["energy_others"])
        for run, values in scores["Grad-CAM"].items()
    )
    rows = [
        measure("Grad-CAM: energy on the object, beyond other pictures' maps", "points", beyond)
    ]
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


def _curve_measures(desk: Desk, found: dict[tuple[str, int], ClassMaps]) -> list[Measure]:
    names = {"gradcam": "Grad-CAM", "exact": "exact map"}
    return [
        measure(
            f"{name}: insertion less deletion area, beyond random maps",
            "points",
            _gains(desk, found, kind),
        )
        for kind, name in names.items()
    ]


def _gains(desk: Desk, found: dict[tuple[str, int], ClassMaps], kind: str) -> BySeed:
    def gain(maps: ClassMaps) -> float | None:
        curves, random = getattr(maps, f"{kind}_curves"), maps.random_curves
        if curves is None or not len(curves.deletion):
            return None
        chance = area_gain(random.deletion, random.insertion)
        return area_gain(curves.deletion, curves.insertion) - chance

    return desk.by_seed((*run, gain(maps)) for run, maps in found.items())
