"""The options of `compare` and `plan` → a study, the same for both."""

from collections.abc import Sequence
from pathlib import Path

from headtohead.spec import StudySpec
from headtohead.study.reading import resolve_study


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
    until_decided: str | None = None,
) -> StudySpec:
    """A study's name or file with what was asked for on top; None is not given.

    Without a study it is `quick`, on drawn pictures, or `standard` where `data` is given. Raises
    UsageError.
    """
    return resolve_study(
        study or ("quick" if data is None else "standard"),
        heads=heads,
        data=None if data is None else str(data),
        seeds=seeds,
        pictures={"image_size": image_size, "resize": resize, "limit": limit},
        recipe={"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate},
        verdict={"until_decided": until_decided},
    )
