"""A study from options, and the options that give a study."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headtohead.config.options import options_of
from headtohead.core.errors import UsageError, brief

if TYPE_CHECKING:
    from headtohead.config.study import StudySpec


def study_from(study: str | Path | None, **options: Any) -> "StudySpec":
    """A study's name or file with `options` (see `StudyOptions`) on top; None is not given.

    Without a study it is `quick`, on drawn images, or `standard` where `data` is given, under the
    name of that data. Raises UsageError, and TypeError for an option that there is not.
    """
    # Imported here because reading a study needs pydantic, which no help text does.
    from headtohead.config.study_files import name_after, resolve_study

    if study is not None and not isinstance(study, str | os.PathLike):
        raise UsageError(
            f"study is a shipped study's name or a YAML file's path; received {brief(repr(study))}."
        )
    if study == "":  # as a shell's variable is that is not set
        raise UsageError(
            "the study is empty: name a shipped study or a YAML file, or leave it out."
        )
    given: dict[str, Any] = {}
    known = {option.name: option for option in options_of("compare") if option.place is not None}
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"unexpected option {name!r}: there are {', '.join(known)}")
        if value is not None:
            *parts, last = (known[name].place or "").split(".")
            below = given
            for part in parts:
                below = below.setdefault(part, {})
            below[last] = known[name].read(value)
    if "data" in given:
        given["data"] = str(given["data"])
        if study is None:
            given["name"] = name_after(given["data"])
    return resolve_study(
        ("standard" if "data" in given else "quick") if study is None else study, **given
    )


def arguments_for(study: "StudySpec") -> list[str] | None:
    """The arguments of `compare` that give this study, whatever its description says, or None."""
    from headtohead.config.study_files import shipped_studies

    # What was found of weights on this machine, and where it ran, is no part of what a user writes.
    study = study.model_copy(update={"backbone": study.backbone.unresolved()}).where_it_runs_aside()

    shipped = [study.name] if study.name in shipped_studies() else []
    for base in (*shipped, None):
        start = {} if base else {"data": study.data}
        changed = {**start, **_changes(study, study_from(base, **start))}
        try:
            found = study_from(base, **changed)
        except UsageError:
            continue
        if found.model_copy(update={"description": study.description}) == study:
            return [*([base] if base else []), *_as_flags(changed)]
    return None


def _changes(study: "StudySpec", base: "StudySpec") -> dict[str, Any]:
    """The options that differ, as they are given."""
    changed = {}
    for option in options_of("compare"):
        if option.place is None:
            continue
        mine, usual = option.write(option.of(study)), option.write(option.of(base))
        if mine != usual:
            changed[option.name] = mine
    return changed


def _as_flags(changed: Mapping[str, Any]) -> Iterator[str]:
    for option in options_of("compare"):
        if option.name in changed:
            yield from (option.flag, str(changed[option.name]))
