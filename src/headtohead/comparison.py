"""The main path: prepare → plan → run what is missing → probe → report."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import headtohead
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.prepared import GIVEN_SPLITS, PreparedSet
from headtohead.data.split import leaks
from headtohead.display import Display
from headtohead.machine import cache_folder
from headtohead.muster import answer_of, muster, question_about
from headtohead.probes.pictures import keep_pictures, margin_of
from headtohead.spec import StudySpec
from headtohead.study.ledger import StudyFile, hold
from headtohead.study.options import StudyOptions, study_from

if TYPE_CHECKING:
    from headtohead.finished import Comparison


def compare(
    study: str | Path | None = None,
    *,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    masks: str | Path | None = None,
    **options: Unpack[StudyOptions],
) -> "Comparison":
    """Run what is missing of a study, and report on all of it.

    `study` is a shipped study's name or a YAML file; by default it is `quick`, on drawn pictures,
    or `standard` where `data` is given. `options` (data, heads, seeds, epochs, image_size, resize,
    limit, batch_size, learning_rate, precision, until_decided: see StudyOptions) win over it. All
    have the names and the meaning of the command's. The same call again resumes, skips what is
    finished and adds what is new. `deterministic` makes runs on a GPU repeatable to the bit, as
    those on a CPU always are.
    `masks` is a folder with a mask of each picture, for scoring class maps
    (see `headtohead.probes.pictures.collect_masks`). Raises UsageError, DataError and
    StorageError; runs that failed are told in `Comparison.failures`.
    """
    spec = study_from(study, **options)
    question = question_about(spec, device, workers, deterministic=deterministic)
    with muster(question) as recruits, Display() as display:
        # Imported while the first worker imports torch: what draws takes as long.
        from headtohead.conduct import conduct
        from headtohead.crew import Crew

        machine = answer_of(recruits)
        recruits.call(min(len(machine.setups), len(spec.heads) * spec.seeds))
        source, prepared = prepare_study(spec, cache=cache_folder(cache), progress=display.progress)
        file = study_file(spec, prepared)
        folder = Path(out) if out is not None else default_out(file)
        keep = partial(
            keep_pictures,
            source=source,
            prepared=prepared,
            margin=margin_of(spec.pictures.image_size, machine.stride),
            masks=None if masks is None else Path(masks),
            progress=display.progress,
        )
        with hold(folder), Crew(folder, prepared, machine.setups, display, recruits) as crew:
            return conduct(folder, file, crew, keep)


def study_file(spec: StudySpec, prepared: PreparedSet) -> StudyFile:
    """What the ledger remembers of the study and its pictures."""
    parts = split_study(spec, prepared, 0)
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
            "study": spec,
        }
    )


def default_out(file: StudyFile) -> Path:
    """`runs/<study>-<first 8 of the digest>`."""
    return Path("runs") / f"{file.study.name}-{file.digest[:8]}"
