"""The third claim: where the heads look, against masks or by taking pictures apart."""

from headtohead.analysis.claims import BySeed, Measure, Question, measure, pairs
from headtohead.analysis.maps import Objects, area_gain, objects_of, score_maps
from headtohead.probes.evidence import (
    ClassMaps,
    Masks,
    class_maps_path,
    masks_path,
    read_class_maps,
    read_masks,
)
from headtohead.report.desk import Desk


def class_map_question(desk: Desk) -> Question:
    """By masks where every seed's split has them, else by deletion and insertion."""
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


def _masks(desk: Desk) -> dict[int, Masks]:
    """Seed → the masks of its split's probe pictures."""
    split = desk.ledger.file.study.split
    seeds = {run.seed: split.seed_for(run.seed) for run in desk.finished}
    of_split = {
        place: read_masks(masks_path(desk.ledger.out, place), desk.ledger.file.digest)
        for place in set(seeds.values())
    }
    return {seed: masks for seed, place in seeds.items() if (masks := of_split[place]) is not None}


def _mask_measures(
    desk: Desk, found: dict[tuple[str, int], ClassMaps], masks: dict[int, Masks]
) -> tuple[BySeed, list[Measure]]:
    """Grad-CAM's energy beyond chance by seed, and all scores of both kinds of maps."""
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


def _curve_measures(desk: Desk, found: dict[tuple[str, int], ClassMaps]) -> list[Measure]:
    names = {"gradcam": "Grad-CAM", "exact": "exact map"}
    return [
        measure(
            f"{name}: insertion less deletion area, beyond random maps",
            "share",
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
