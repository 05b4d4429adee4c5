"""What a ledger is made for: a study with its prepared set, and the folder it goes to."""

from collections.abc import Mapping
from pathlib import Path

import headtohead
from headtohead.config.study import StudySpec
from headtohead.config.study_files import name_after
from headtohead.data.pipeline import split_study
from headtohead.data.prepare import unreadable_per_class
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet
from headtohead.data.split import leaks, mislabelled
from headtohead.store.ledger import StudyFile


def study_file(
    spec: StudySpec,
    prepared: PreparedSet,
    backbone: Mapping[str, str] | None = None,
    functions: Mapping[str, str] | None = None,
) -> StudyFile:
    """What the ledger remembers of the study and its images, with the epochs that they ask for.

    `backbone` is what is known of its backbone, in words by topic, and `functions` what its heads
    compute, where that is known.
    """
    parts = split_study(spec, prepared, 0)
    spec = spec.for_images(len(parts.train))
    counts = {
        name: {
            label: int((prepared.labels[getattr(parts, name)] == index).sum())
            for index, label in enumerate(prepared.classes)
        }
        for name in ("train", "validation", "test")
    }
    return StudyFile.model_validate(
        {
            "headtohead": headtohead.__version__,
            "digest": spec.digest(prepared.digest),
            "prepared": prepared.digest,
            "classes": prepared.classes,
            "counts": counts,
            "given": [name for name in GIVEN_SPLITS if name in prepared.given],
            "leaks": len(leaks(prepared, parts)),
            "quarantined": unreadable_per_class(prepared),
            "two_labels": len(mislabelled(prepared, spec.split.duplicates)),
            "backbone": dict(backbone) if backbone else None,
            "functions": dict(functions) if functions else None,
            "study": spec,
        }
    )


def default_out(file: StudyFile) -> Path:
    """`runs/<study>-<first 8 of the digest>`.

    What has its data's name was called `standard` once: a folder from then is resumed.
    """
    study = file.study
    named = Path("runs") / f"{study.name}-{file.digest[:8]}"
    before = named.with_name(f"standard-{file.digest[:8]}")
    once = study.name == name_after(study.data) and before.is_dir() and not named.exists()
    return before if once else named
