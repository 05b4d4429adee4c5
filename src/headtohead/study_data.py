"""A study's records, evidence and settings, each file read at most once.

Claims and reports take this and never the ledger. Nothing is read before it is asked for, and
what was read stays as it was: open it anew to see what has changed on the disk.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from headtohead.analysis.lags import lags
from headtohead.analysis.pairs import (
    Scoring,
    Targets,
    TestAnswers,
    answers_on_test,
    pairing,
    targets_of,
)
from headtohead.analysis.run_results import RunResult, SeedImages, run_result, seed_images
from headtohead.analysis.shown_in_full import shown_in_full
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError
from headtohead.probes.base import Probe, read_run, read_session
from headtohead.probes.predictions import PREDICTIONS
from headtohead.probes.probe_images import (
    Masks,
    ProbeImages,
    images_path,
    masks_path,
    read_images,
    read_masks,
)
from headtohead.stats import Lag
from headtohead.store.changes import LateChange, read_changes
from headtohead.store.ledger import Ledger, Run, StudyFile
from headtohead.store.looks import LooksRecord, read_looks
from headtohead.store.picture_table import PictureTable, read_pictures

Found = TypeVar("Found")
RunName = tuple[str, int]
"""A head and a seed."""

BySeed: TypeAlias = Mapping[str, Mapping[int, float]]
"""Head → seed → value."""

DRAWN = "synthetic"
"""Images that bring their masks."""

MASKS_UNNAMED = "MASKS"
"""Stands for a folder of masks that a ledger of an earlier version does not name."""


@dataclass(frozen=True)
class StudyData:
    """What `ledger` holds. `own` are the claims of the user's own that this command named.

    Everything raises UsageError for records that do not belong to the study.
    """

    ledger: Ledger
    own: frozenset[str] = frozenset()
    _read: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def out(self) -> Path:
        """The study's folder."""
        return self.ledger.out

    @property
    def file(self) -> StudyFile:
        """The study as it was resolved, its classes and counts."""
        return self.ledger.file

    @property
    def study(self) -> StudySpec:
        """The question."""
        return self.ledger.file.study

    @property
    def reference(self) -> str:
        """The head that others are compared with."""
        return self.study.reference

    @property
    def against(self) -> str:
        """The head that claims are made against. Raises UsageError in a study of one head."""
        found = self.study.claims_against
        if found is None:
            raise UsageError(
                f"claims are made about one head against another; the study has "
                f"{self.reference} alone."
            )
        return found

    # Records

    def run(self, head: str, seed: int) -> Run | None:
        """A run that is over and whole, or None."""
        found = self._look_up(head, seed)
        return found if isinstance(found, Run) else None

    def _look_up(self, head: str, seed: int) -> Run | str | None:
        return self._once(("run", head, seed), lambda: self.ledger.look_up(head, seed))

    @property
    def _names(self) -> list[RunName]:
        return [(head, seed) for seed in range(self.study.seeds) for head in self.study.heads]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """All runs that are over, seed by seed, heads in the study's order."""
        return tuple(run for name in self._names if (run := self.run(*name)) is not None)

    @property
    def damaged(self) -> list[tuple[str, int, str]]:
        """Runs that are not counted, by head and seed, and why in words."""
        found = [(*name, self._look_up(*name)) for name in self._names]
        return [(head, seed, why) for head, seed, why in found if isinstance(why, str)]

    @cached_property
    def looks(self) -> LooksRecord | None:
        """The sequential design, with the looks taken; None where the study follows none."""
        return read_looks(self.out)

    @cached_property
    def late_changes(self) -> tuple[LateChange, ...]:
        """What was changed of the study when its runs could give verdicts already."""
        return read_changes(self.out)

    @cached_property
    def image_table(self) -> PictureTable | None:
        """Which image is which row; None in a ledger without `pictures.csv`."""
        return read_pictures(self.out)

    # Evidence

    def run_evidence(self, probe: Probe[Found], head: str, seed: int) -> Found | None:
        """What `probe` found on a run; None where there is nothing that is whole and its own."""
        return self._once(
            (probe.name, head, seed), lambda: read_run(self.ledger, probe, head, seed)
        )

    def evidence(self, probe: Probe[Found]) -> dict[RunName, Found]:
        """(head, seed) → what `probe` found on every finished run."""
        names = [(run.head, run.seed) for run in self.finished]
        found = {name: self.run_evidence(probe, *name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def session(self, probe: Probe[Found]) -> Found | None:
        """What `probe` found on all heads in one session, or None."""
        return self._once((probe.name,), lambda: read_session(self.ledger, probe, self.heads))

    def images(self, seed: int) -> ProbeImages | None:
        """The images that probes looked at for the runs of `seed`."""
        split = self.study.split.seed_for(seed)
        path = images_path(self.out, split)
        return self._once(("images", split), lambda: read_images(path, self.file.digest))

    def masks(self, seeds: Iterable[int]) -> dict[int, Masks]:
        """Seed → the masks of its split's probe images, where there are any."""
        found = {seed: self._masks(self.study.split.seed_for(seed)) for seed in seeds}
        return {seed: masks for seed, masks in found.items() if masks is not None}

    def _masks(self, split: int) -> Masks | None:
        path = masks_path(self.out, split)
        return self._once(("masks", split), lambda: read_masks(path, self.file.digest))

    @property
    def masks_folder(self) -> str | None:
        """The study's folder of masks, MASKS_UNNAMED where that is not known, None for none.

        Ledgers of earlier versions do not say: masks that did not come with drawn images were
        given.
        """
        if self.study.masks is not None or self.study.data == DRAWN:
            return self.study.masks
        return MASKS_UNNAMED if self.masks(range(self.study.seeds)) else None

    def _once(self, key: Any, read: Callable[[], Found]) -> Found:
        if key not in self._read:
            self._read[key] = read()
        found: Found = self._read[key]
        return found

    # What follows from them

    @cached_property
    def results(self) -> tuple[RunResult, ...]:
        """The numbers of every run that is over, in the order of `runs`."""
        return tuple(
            run_result(
                self.file,
                run,
                self.run_evidence(PREDICTIONS, run.record.head, run.record.seed),
                self._seed_images(run.record.seed),
            )
            for run in self.runs
        )

    def _seed_images(self, seed: int) -> SeedImages:
        """The images of a seed's splits, as any of its runs has them."""
        if self.study.split.mode == "fixed":
            return seed_images(self.file, None)
        heads = [run.record.head for run in self.runs if run.record.seed == seed]
        found = (self.run_evidence(PREDICTIONS, head, seed) for head in heads)
        return seed_images(self.file, next((one for one in found if one is not None), None))

    @cached_property
    def by_head(self) -> dict[str, list[RunResult]]:
        """Head → its results, in the study's order; heads without a run are left out."""
        every = {head: [r for r in self.results if r.head == head] for head in self.study.heads}
        return {head: mine for head, mine in every.items() if mine}

    @property
    def heads(self) -> list[str]:
        """Heads with a run that is over, in the study's order."""
        return list(self.by_head)

    @property
    def finished(self) -> list[RunResult]:
        """Runs that came to their end."""
        return [result for result in self.results if result.finished]

    @property
    def finished_runs(self) -> list[Run]:
        """Their records and epochs."""
        found = [self.run(run.head, run.seed) for run in self.finished]
        return [run for run in found if run is not None]

    @cached_property
    def shown_in_full(self) -> frozenset[str]:
        """Heads that charts draw in full; of a large study the others are faint, or folded away."""
        return shown_in_full(self.study, self.by_head)

    @cached_property
    def answers(self) -> TestAnswers:
        """Answers on the test split, scored by the primary metric."""
        return self._answers(self.study.verdict.metric)

    @cached_property
    def guesses(self) -> TestAnswers:
        """Answers as they are set against always predicting the largest class.

        By accuracy, or by balanced accuracy where the primary metric minds small classes: there
        any answer that does not look at the image scores the same, which F1 does not give.
        """
        if self.study.verdict.metric == "test_accuracy":
            return self.answers
        return self._answers("weighed")

    def _answers(self, metric: Scoring) -> TestAnswers:
        found = {
            (r.head, r.seed): self.run_evidence(PREDICTIONS, r.head, r.seed) for r in self.results
        }
        known = {name: value for name, value in found.items() if value is not None}
        return answers_on_test(self.file, self.results, known, metric)

    @cached_property
    def targets(self) -> Targets | None:
        """Times to the target accuracy; None without a target."""
        return targets_of(self.file, self.runs, self.by_head)

    @cached_property
    def lags(self) -> dict[str, Lag]:
        """Heads whose evaluation lags behind their weights."""
        return lags(self.finished_runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds at which the reference is paired with the head that claims are against."""
        return self.paired_with(self.against)

    def paired_with(self, head: str) -> tuple[int, ...]:
        """Seeds at which the reference and `head` both finished, in like environments."""
        mine, theirs = (self.by_head.get(name) for name in (self.reference, head))
        if not mine or not theirs:
            return ()
        paired = pairing(mine, theirs).runs.items()
        return tuple(seed for seed, two in paired if all(run.finished for run in two))

    def by_seed(self, values: Iterable[tuple[str, int, float | None]]) -> BySeed:
        """Head → seed → value, without values that are not known."""
        table: dict[str, dict[int, float]] = {head: {} for head in self.heads}
        for head, seed, value in values:
            if value is not None and math.isfinite(value):
                table[head][seed] = value
        return table

    def missing(self, found: Iterable[RunName], what: str) -> tuple[str, ...]:
        """A note on finished runs that are not in `found`: they have no `what`."""
        known = set(found)
        silent = [f"{r.head} seed {r.seed}" for r in self.finished if (r.head, r.seed) not in known]
        if not silent:
            return ()
        named = ", ".join(silent) if len(silent) < len(self.finished) else "any run"
        return (
            f"No {what} of {named}: give the same command again to make them, as long as the "
            f"weights of these runs are there",
        )
