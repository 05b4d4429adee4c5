"""The main path of tuning: prepare → propose → train trials → choose on validation → write."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from pydantic import JsonValue

from headtohead.config.from_options import study_from
from headtohead.config.options import TuneOptions, documented
from headtohead.config.search_space import OPTION
from headtohead.config.steps import step_lines
from headtohead.config.study import PROBLEMS, HeadSpec, StudySpec
from headtohead.config.study_files import resolve_tuning
from headtohead.config.verdict import VerdictSpec
from headtohead.core.errors import RunError, UsageError
from headtohead.core.files import check_out, digest_of, expanded, storage_error
from headtohead.core.streams import stream_seed
from headtohead.core.text import counted
from headtohead.runtime.jobs import Job, is_done
from headtohead.runtime.preflight import question_about
from headtohead.runtime.progress import Display
from headtohead.runtime.retraining import Retraining, clear_outdated
from headtohead.runtime.runner import StudyRunner
from headtohead.runtime.startup import start_up
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile, hold
from headtohead.store.new_study import study_file
from headtohead.tuning.proposals import optuna, propose
from headtohead.tuning.search_results import Tuning, write_results
from headtohead.tuning.trials import (
    as_trained,
    candidate,
    domain_text,
    trial_head,
    trial_jobs,
    trials_of,
    tuning_of,
    untuned_values,
    with_enough_steps,
)

TRIALS = "trials"

AT_ONCE = 2
"""Trials of a head that are proposed together, whatever the number of workers."""


@documented("tune")
def tune(
    study: str | Path | None = None,
    *,
    trials: int | None = None,
    epochs: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    deterministic: bool = False,
    cache: str | Path | None = None,
    **options: Unpack[TuneOptions],
) -> Tuning:
    """Search the settings of every head of a study on validation, and write the study to compare.

    `study` is as in `headtohead.compare`; what is searched is its part `tuning`, or that of
    `article-tuned`. The options win over it. The same call again resumes, and adds more trials or
    heads. Raises UsageError, DataError and StorageError, and RunError where trials could not be
    finished or all of a head's failed.
    """
    optuna()
    place = None if out is None else expanded(out)
    if place is not None:
        _refuse_foreign(place)
    asked = study_from(study, **options)
    spec = resolve_tuning(asked, trials=trials, epochs=epochs)
    question = question_about(
        spec, device, workers, deterministic=deterministic, models=_models(spec)
    )
    untuned = {head: untuned_values(spec, head) for head in spec.heads}
    with start_up(spec, question, cache) as startup:
        spec, display = startup.study, startup.display
        for line in startup.preflight.notes:
            display.note(f"Note: {line}")
        _, prepared = startup.prepare(len(spec.heads) * tuning_of(spec).seeds)
        startup.refuse_too_large(classes=len(prepared.classes))
        file = study_file(spec, prepared)
        images = file.sizes["train"]
        if epochs is None and asked.tuning is None:  # who names the epochs has so many
            spec = with_enough_steps(spec, images)
        for line in step_lines(as_trained(spec), images):
            display.note(line)
        file = _with_tuning(file, spec)
        folder = place or _default_out(file)
        _refuse_foreign(folder)
        trials_folder = folder / TRIALS
        with hold(trials_folder), startup.executor(trials_folder, prepared) as executor:
            ledger = _search(trials_folder, file, spec, StudyRunner(executor, display), untuned)
            return write_results(folder, ledger, spec)


def _models(spec: StudySpec) -> Iterator[tuple[str, HeadSpec]]:
    """Every head, and with each value of its options that is to be checked before the search."""
    for name, head in spec.heads.items():
        yield name, head
        for setting, domain in tuning_of(spec).space(name).items():
            option = setting.removeprefix(OPTION)
            for value in domain.checked() if option != setting else ():
                tried = head.with_settings({setting: value})
                called = {"head": head.head or name}
                yield f"{name} with {option} {value}", tried.model_copy(update=called)


def _with_tuning(file: StudyFile, spec: StudySpec) -> StudyFile:
    """The study's file, with what is searched by now."""
    return file.model_copy(update={"study": file.study.model_copy(update={"tuning": spec.tuning})})


def _default_out(file: StudyFile) -> Path:
    """`runs/<study>-tuning-<first 8 of a digest>`: another search has another folder."""
    tuning = tuning_of(file.study)
    searched = tuning.model_dump(mode="json", include={"epochs", "seeds", "recipe"})
    return Path("runs") / f"{file.study.name}-tuning-{digest_of([file.digest, searched])[:8]}"


def _refuse_foreign(out: Path) -> None:
    """A folder that holds anything, and no trials, is somebody else's."""
    check_out(out)
    try:
        found = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    except OSError as error:
        raise storage_error(out, error) from error
    if found and TRIALS not in found:
        raise UsageError(
            f"--out {out} is not empty and holds no {TRIALS} (found {found[0]!r}): choose another "
            f"folder."
        )


def _as_trials(folder: Path, file: StudyFile) -> StudyFile:
    """What the trials' ledger remembers: the study that is tuned, with heads tuned before.

    Raises UsageError where the folder holds another search.
    """
    tunes = file.study
    if (folder / STUDY_FILE).is_file():
        before = Ledger.open(folder).file.tunes
        if before is None:
            raise UsageError(
                f"{folder} is a study that was compared, not one's trials. Choose another --out."
            )
        common = [head for head in tunes.heads if head in before.heads]
        if unlike := _unlike(before, tunes, common):
            shown = "; ".join(unlike[:PROBLEMS])
            more = f"; and {len(unlike) - PROBLEMS} more" if len(unlike) > PROBLEMS else ""
            raise UsageError(
                f"{folder} holds trials of another search: it has {shown}{more}. Choose another "
                f"--out."
            )
        options = {**tuning_of(before).options, **tuning_of(tunes).options}
        tuning = tuning_of(tunes).model_copy(update={"options": options})
        heads = {**before.heads, **tunes.heads}
        tunes = tunes.model_copy(update={"heads": heads, "tuning": tuning})
    return file.model_copy(update={"tunes": tunes})


def _clear_outdated(folder: Path, file: StudyFile, display: Display) -> None:
    """Clear trials of the heads of `file` that must be trained again; raises what that raises."""
    if not (folder / STUDY_FILE).is_file():
        return
    before = Ledger.open(folder).file
    if before.digest != file.digest:
        return
    known = before.study.heads.items()
    mine = {name: head for name, head in known if name.rpartition("-")[0] in file.study.heads}
    study = before.study.model_copy(update={"heads": mine})
    there = before.model_copy(update={"study": study})
    clear_outdated(folder, there, Retraining(retrain_changed=None), display.note)


def _unlike(before: StudySpec, study: StudySpec, heads: list[str]) -> list[str]:
    """What two searches of the same `heads` differ by, in words: once for what all heads have."""
    theirs, mine = tuning_of(before), tuning_of(study)
    found = []
    for what, their, my in (
        ("epoch", theirs.epochs, mine.epochs),
        ("seed", theirs.seeds, mine.seeds),
    ):
        if their != my:
            found.append(f"{counted(their, what)} a trial, received {my}")
    for head in heads:
        if before.heads[head] != study.heads[head]:
            found.append(f"another head {head}")
        spaces = theirs.space(head), mine.space(head)
        for setting in {**spaces[0], **spaces[1]}:
            old, new = (space.get(setting) for space in spaces)
            if old != new:
                option = setting.removeprefix(OPTION)
                whose = "" if option == setting else f" of {head}"
                found.append(f"{option}{whose} {domain_text(old)}, received {domain_text(new)}")
    return list(dict.fromkeys(found))


def _search(
    folder: Path,
    file: StudyFile,
    spec: StudySpec,
    runner: StudyRunner,
    untuned: dict[str, dict[str, JsonValue]],
) -> Ledger:
    """Train every trial that is not there yet, round by round; the ledger with all of them.

    Those of an earlier call are taken up. Raises UsageError where they are of another search.
    """
    file = _as_trials(folder, file)
    _clear_outdated(folder, file, runner.display)
    tuning = tuning_of(spec)
    first = {candidate(head, 0): trial_head(spec, head, untuned[head]) for head in spec.heads}
    ledger = _with_candidates(folder, file, first)
    for start in range(0, tuning.trials, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, tuning.trials))
        proposed = {
            candidate(head, number): trial_head(spec, head, values)
            for head in spec.heads
            for number, values in _proposals(ledger, spec, head, numbers)
        }
        ledger = _with_candidates(folder, file, {**ledger.file.study.heads, **proposed})
        jobs = [job for number in numbers for job in trial_jobs(spec, number)]
        if not all(is_done(ledger, job) for job in jobs):
            rounds = math.ceil(tuning.trials / AT_ONCE)
            runner.display.note(
                f"Round {start // AT_ONCE + 1} of {rounds}: of each head, trial "
                f"{' and '.join(map(str, numbers))} of 0 to {tuning.trials - 1}"
            )
            _train(ledger, jobs, runner, before=start)
        if not tuning.keep_weights:
            _drop_weights(ledger, jobs)
    return ledger


def _with_candidates(folder: Path, file: StudyFile, heads: dict[str, HeadSpec]) -> Ledger:
    bare = {"heads": heads, "tuning": None, "verdict": VerdictSpec(), "seeds": 1}
    study = file.study.model_copy(update=bare)
    return Ledger.create(folder, file.model_copy(update={"study": study}))


def _proposals(
    ledger: Ledger, spec: StudySpec, head: str, numbers: range
) -> list[tuple[int, dict[str, Any]]]:
    """The trials among `numbers` that are not in the ledger yet, and what they are to try.

    A round's proposals are a function of the rounds before it: neither an interruption nor the
    number of trials in all changes them.
    """
    known = ledger.file.study.heads
    missing = [number for number in numbers if candidate(head, number) not in known]
    if not missing:
        return []
    round_ = range(max(1, numbers.start), numbers.start + AT_ONCE)  # 0 is the untuned head
    told = [
        (trial.values, trial.accuracy)
        for trial in trials_of(ledger, spec, head, range(numbers.start))
    ]
    space = tuning_of(spec).space(head)
    seed = stream_seed(0, "tuning", head, numbers.start) % 2**32
    proposed = propose(space, told, count=len(round_), seed=seed)
    return [
        (number, values)
        for number, values in zip(round_, proposed, strict=True)
        if number in missing
    ]


def _train(ledger: Ledger, jobs: list[Job], runner: StudyRunner, before: int) -> None:
    """Train what is not over, after so many trials of each head `before`.

    Raises RunError where a run could not be finished.
    """
    if errors := runner.train(ledger, jobs):
        fewer = f", or choose among the trials before: --trials {before}" if before else ""
        raise RunError(
            f"not finished: {counted(len(errors), 'trial')}: {'; '.join(errors)}. Run the same "
            f"command to resume. Where it fails again, search other values, with another "
            f"--out{fewer}."
        )


def _drop_weights(ledger: Ledger, jobs: list[Job]) -> None:
    for job in jobs:
        for weights in ledger.run_folder(job.head, job.seed).glob("*.safetensors"):
            weights.unlink()
