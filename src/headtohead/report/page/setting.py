"""What was asked and where it ran: the study in words, as a file and as a command; environments."""

import shlex
from collections import Counter

from headtohead.config.from_options import arguments_for
from headtohead.config.strict_yaml import write_yaml
from headtohead.config.study import StudySpec, prepared_text
from headtohead.core.text import counted, names
from headtohead.probes.curves import CURVE_PICTURES, FEWER_CURVES, FEWER_STEPS, STEPS
from headtohead.probes.probe_images import MOST
from headtohead.probes.translation import FEWER, PHASES
from headtohead.report.summary import Summary
from headtohead.stats.metrics import BINS
from headtohead.store.ledger import StudyFile


def study_yaml(summary: Summary) -> str:
    """The study as a file that `headtohead compare` takes."""
    content = summary.file.study.model_dump(mode="json")
    return write_yaml(content, width=88)


def epochs_text(study: StudySpec) -> str:
    """`1 epoch`, `10 epochs`, `5 to 20 epochs` where heads have recipes of their own."""
    found = sorted({study.recipe_for(head).epochs for head in study.heads})
    if len(found) > 1:
        return f"{found[0]} to {found[-1]} epochs"
    return f"{found[0]} epoch{'s' if found[0] != 1 else ''}"


def split_text(file: StudyFile) -> str:
    """How many images each split has, and who made it, as far as that is kept."""
    split, given = file.study.split, file.given
    total = file.sizes
    sizes = f"{total['train']:,} / {total['validation']:,} / {total['test']:,} images"
    asked = f"shares of {split.train:g} / {split.validation:g} / {split.test:g}"
    mode = "one split for all seeds" if split.mode == "fixed" else "a split for each seed"
    if given is None:
        return f"{sizes}, {mode}"
    if not given:
        return f"{sizes}, {mode}: {asked}, {_KEPT[split.duplicates]}"
    if len(given) == len(total):
        return f"{sizes}: as the source gave them"
    carved = [name for name in ("validation", "test") if name not in given]
    return f"{sizes}, {mode}: {names(carved)} by {asked}, the rest as the source gave it"


_KEPT = {
    "near": "near-duplicates kept together",
    "exact": "images of equal pixels kept together",
    "off": "duplicates not kept together",
}

_COUNTED = {
    "near": "near-duplicates count as one",
    "exact": "images of equal pixels count as one",
    "off": "each image counts as its own",
}


def clusters_text(study: StudySpec) -> str:
    """Which test images intervals over images take as one: those that the split keeps together."""
    return _COUNTED[study.split.duplicates]


def backbone_facts(file: StudyFile) -> tuple[tuple[str, str], ...]:
    """What is known of a backbone with weights, and how the images for it were prepared."""
    if not file.backbone:
        return ()
    return (*file.backbone.items(), ("images for it", prepared_text(file.study)))


def command(study: StudySpec) -> str:
    """The shortest command that is this study exactly: a shipped one with options, or the file."""
    return shlex.join(["headtohead", "compare", *(arguments_for(study) or ["study.yaml"])])


def environments(summary: Summary) -> tuple[tuple[str, str], ...]:
    """What the runs ran on: each entry with every value it had and, where several, how often."""
    found: dict[str, Counter[str]] = {}
    for run in summary.runs:
        for key, value in run.environment.items():
            found.setdefault(key, Counter())[value] += 1

    def told(seen: Counter[str]) -> str:
        if len(seen) == 1:
            return next(iter(seen))
        return "; ".join(f"{value} ({counted(n, 'run')})" for value, n in seen.items())

    return tuple((key, told(seen)) for key, seen in found.items())


def backbone_text(study: StudySpec) -> str:
    """The backbone and how much of it is trained: `timm:resnet18, frozen`."""
    backbone, random = study.backbone, study.backbone.weights is None
    if backbone.frozen:
        return f"{backbone.name}, frozen{' at random weights' if random else ''}"
    if backbone.stages is not None:
        how = "trained from random weights" if random else "trained further"
        return f"{backbone.name}, last {counted(backbone.stages, 'stage')} {how}"
    if random:
        return f"{backbone.name}, trained from random weights"
    return f"{backbone.name}, all of it trained further"


def probed() -> dict[str, int]:
    """How much probes look at, by the names that the page's method has for it."""
    return {
        "images": MOST,
        "apart": CURVE_PICTURES,
        "percent": 100 // STEPS,
        "few_apart": FEWER_CURVES,
        "few_percent": 100 // FEWER_STEPS,
        "moved": FEWER,
        "phases": PHASES,
        "bins": BINS,
    }
