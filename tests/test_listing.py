"""What files alone say of a study's images."""

from pathlib import Path

import pytest

from headtohead.config.from_options import study_from
from headtohead.config.study import StudySpec
from headtohead.core.errors import DataError, UsageError
from headtohead.data.listing import list_study
from headtohead.data.pipeline import prepare_study, split_study
from headtohead.data.split import Files
from photographs import write_pictures
from quiet import silent


def sizes(spec: StudySpec, files: Files) -> list[int]:
    parts = split_study(spec, files, 0)
    return [len(parts.train), len(parts.validation), len(parts.test)]


@pytest.mark.parametrize("limit", [None, 31])
def test_splits_are_as_large_as_those_of_the_prepared_set(
    tmp_path: Path, limit: int | None
) -> None:
    """Else the plan's steps are not the study's."""
    source = write_pictures(tmp_path / "source", {"cat": 25, "dog": 40})
    spec = study_from(None, data=source, limit=limit, image_size=36)
    listed = list_study(spec, cache=tmp_path / "cache", progress=silent)
    assert listed is not None
    assert not (tmp_path / "cache").exists()
    _, prepared = prepare_study(spec, cache=tmp_path / "cache", progress=silent)
    assert sizes(spec, listed) == sizes(spec, prepared)
    assert listed.names == prepared.names


@pytest.mark.parametrize(("data", "count"), [("synthetic", 3000), ("cats_vs_dogs", 25_000)])
def test_named_sources_are_neither_drawn_nor_downloaded(
    tmp_path: Path, data: str, count: int
) -> None:
    """A plan that downloads 800 MB is no plan."""
    spec = study_from(None, data=data)
    listed = list_study(spec, cache=tmp_path, progress=silent)
    assert listed is not None
    assert len(listed.names) == count
    assert list(tmp_path.iterdir()) == []


def test_a_hubs_set_is_not_opened(tmp_path: Path) -> None:
    """Its library would download it."""
    spec = study_from(None, data="hf:somebody/something")
    assert list_study(spec, cache=tmp_path, progress=silent) is None


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """As `compare` refuses it."""
    spec = study_from(None, data=tmp_path / "nowhere")
    with pytest.raises(DataError, match="nowhere"):
        list_study(spec, cache=tmp_path, progress=silent)


@pytest.mark.parametrize("data", ["a folder", "synthetic"])
def test_a_limit_that_starves_a_class_is_told_as_by_compare(tmp_path: Path, data: str) -> None:
    """Else a class of many images is called too small, with another exit code."""
    source = write_pictures(tmp_path / "source", {"cat": 9, "dog": 9})
    spec = study_from(None, data=source if data == "a folder" else data, limit=4)
    with pytest.raises(UsageError, match=r"limit 4 takes 2 .* at least 6"):
        list_study(spec, cache=tmp_path / "cache", progress=silent)
