"""The options of `compare` and `plan` → a study, the same for both."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from headtohead.config.reading import resolve_study
from headtohead.config.study import StudySpec
from headtohead.core.errors import UsageError, brief


class StudyOptions(TypedDict, total=False):
    """What wins over a study; None is not given.

    data: a folder, an archive, `cats_vs_dogs` or `synthetic`. heads: names, `module:Class` among
    them, as a list or with commas. seeds: how many, 0, 1, … epochs: passes over the training split.
    image_size: side in pixels. resize: `antialias` or `bilinear`. limit: at most so many pictures.
    batch_size: pictures in a step. learning_rate: Adam's. precision: `float32`, `tf32` or `bf16`,
    that of training steps. until_decided: a head that is compared
    with the reference sequentially; seeds are added until a look decides
    (see `headtohead.runtime.interim`).
    """

    data: str | Path | None
    heads: str | Sequence[str] | None
    seeds: int | None
    epochs: int | None
    image_size: int | None
    resize: str | None
    limit: int | None
    batch_size: int | None
    learning_rate: float | None
    precision: str | None
    until_decided: str | None


def study_from(
    study: str | Path | None,
    *,
    data: str | Path | None = None,
    heads: str | Sequence[str] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    image_size: int | None = None,
    resize: str | None = None,
    limit: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    precision: str | None = None,
    until_decided: str | None = None,
) -> StudySpec:
    """A study's name or file with what was asked for on top; None is not given.

    Without a study it is `quick`, on drawn pictures, or `standard` where `data` is given. Raises
    UsageError.
    """
    if study is not None and not isinstance(study, str | os.PathLike):
        raise UsageError(
            f"study is a shipped study's name or a YAML file's path; received {brief(repr(study))}."
        )
    return resolve_study(
        study or ("quick" if data is None else "standard"),
        heads=heads,
        data=None if data is None else str(data),
        seeds=seeds,
        pictures={"image_size": image_size, "resize": resize, "limit": limit},
        recipe={
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "precision": precision,
        },
        verdict={"until_decided": until_decided},
    )
