"""The probe stage: which evidence is missing, and collecting it from finished weights."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headtohead.core.errors import brief
from headtohead.probes.base import Context, Noting, Probe, of_heads, write_run, write_session
from headtohead.probes.probe_images import ProbeImages, images_path, read_images
from headtohead.probes.table import probe_named, probes_of
from headtohead.store.evidence import Arrays, evidence_path, read_evidence
from headtohead.store.ledger import Ledger

if TYPE_CHECKING:
    from headtohead.data.split import Split
    from headtohead.training.inputs import Inputs
    from headtohead.training.plans import RunPlan


def to_collect(ledger: Ledger, head: str, seed: int) -> tuple[str, ...]:
    """The probes whose evidence a finished run lacks and can still give."""
    missing = _missing(ledger, head, seed)
    if _has_weights(ledger, head, seed):
        return tuple(probe.name for probe in missing)
    return tuple(probe.name for probe in missing if not _reads_weights(probe))


def lost(ledger: Ledger, head: str, seed: int) -> tuple[str, ...]:
    """The probes whose evidence a finished run lacks for good: its weights are gone."""
    run = ledger.run(head, seed)
    if run is None or run.record.status == "failed" or _has_weights(ledger, head, seed):
        return ()
    return tuple(p.name for p in _missing(ledger, head, seed) if _reads_weights(p))


def collect_missing(
    ledger: Ledger,
    plan: "RunPlan",
    pictures: "Inputs",
    split: "Split",
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Collect what the finished run of `plan` lacks; `split` is the run's own.

    `note` is told what probes say that a user should know (`Noting`).
    Raises DamagedCheckpointError where its weights are damaged, UsageError for a probe of the
    user's own that fails to import, and StorageError where the ledger cannot be written.
    """
    study, head, seed = ledger.file.study, plan.head, plan.seed
    missing = to_collect(ledger, head, seed)
    probes = [probe for probe in probes_of(study) if probe.name in missing]
    images = None
    if any("images" in probe.needs for probe in probes):
        place = images_path(ledger.out, study.split.seed_for(seed))
        images = _images(place, ledger.file.digest)
    context = Context((plan,), pictures, split, ledger.run_folder(head, seed), images)
    for probe in probes:
        if images is not None or "images" not in probe.needs:
            found = probe.collect(context)
            write_run(ledger, probe, head, seed, found)
            _tell(probe, found, note)


def _images(place: Path, digest: str) -> ProbeImages | None:
    """The images of a split, which a process reads again only when their file is another."""
    written = place.stat().st_mtime_ns if place.is_file() else 0
    return _read_once(place, digest, written)


@lru_cache(maxsize=1)
def _read_once(place: Path, digest: str, written: int) -> ProbeImages | None:
    return read_images(place, digest)


def collect_session(
    ledger: Ledger,
    name: str,
    plans: "tuple[RunPlan, ...]",
    pictures: "Inputs",
    split: "Split",
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Let the probe called `name` measure all heads, whose `plans` at seed 0 these are.

    Raises as `collect_missing` does.
    """
    probe = probe_named(ledger.file.study, name)
    context = Context(plans, pictures, split, ledger.run_folder(plans[0].head, plans[0].seed))
    heads = [plan.head for plan in plans]
    found = probe.collect(context)
    write_session(ledger, probe, found, heads)
    _tell(probe, found, note)


def _tell(probe: Probe[Any], arrays: Arrays, note: Callable[[str], None]) -> None:
    if not isinstance(probe, Noting):
        return
    try:
        message = probe.note(arrays)
    except Exception as error:  # the user's own code; the evidence is written
        message = f"The note of the probe {probe.name} failed: {brief(repr(error))}"
    if message is not None:
        note(message)


def _missing(ledger: Ledger, head: str, seed: int) -> list[Probe[Any]]:
    if ledger.file.tunes is not None:
        return []
    key = ledger.run_key(head, seed)
    return [
        probe
        for probe in probes_of(ledger.file.study)
        if not of_heads(probe)
        and read_evidence(evidence_path(ledger.out, probe.name, head, seed), probe.name, key)
        is None
    ]


def _reads_weights(probe: Probe[Any]) -> bool:
    return not probe.needs.isdisjoint({"best", "last"})


def _has_weights(ledger: Ledger, head: str, seed: int) -> bool:
    run = ledger.run(head, seed)
    folder = ledger.run_folder(head, seed)
    return run is not None and all((folder / name).exists() for name in run.record.files)
