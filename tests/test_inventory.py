"""A folder in the cache that has lost some of its files is not taken for a smaller set."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headtohead.data.inventory import install, loss
from stated import stated


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    growing = tmp_path / "growing"
    (growing / "cat").mkdir(parents=True)
    (growing / "empty").mkdir()
    for name in ("cat/1.jpg", "cat/2.jpg", "3.jpg"):
        (growing / name).write_bytes(b"picture")
    install(growing, tmp_path / "set")
    assert not growing.exists()
    return tmp_path / "set"


def test_a_whole_folder_is_whole(folder: Path) -> None:
    """Every command would extract everything again."""
    assert loss(folder) is None


def test_whatever_is_lost_is_seen(folder: Path) -> None:
    """A smaller set would be used in silence."""
    (folder / "cat/1.jpg").write_bytes(b"pict")
    assert stated(loss(folder) or "") == ["1", "4"]
    assert "files is gone" in (loss(folder) or "")
    (folder / "cat/2.jpg").unlink()
    assert stated(loss(folder) or "") == ["2", "4"]
    (folder / "empty").rmdir()
    assert stated(loss(folder) or "") == ["3", "4"]


def test_a_folder_that_goes_while_it_is_looked_at_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a study ends because another one makes the same folder again at that moment."""
    for entry in (folder / "cat").iterdir():  # as the other process has begun to
        entry.unlink()

    def listed(place: Path | str) -> Iterator[os.DirEntry[str]]:
        if Path(place) == folder / "cat":
            (folder / "cat").rmdir()
        return scandir(place)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", listed)
    assert loss(folder) == "it is gone"


def test_what_was_added_is_seen(folder: Path) -> None:
    """A file of another program would become an image of the set."""
    (folder / "cat/Thumb.jpg").write_bytes(b"x")
    assert stated(loss(folder) or "", "added") == ["1", "added"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2, "files": {}}', None])
def test_a_list_that_is_gone_or_damaged_vouches_for_nothing(
    folder: Path, content: str | None
) -> None:
    """A purge that takes the list first would leave the rest unchecked."""
    path = folder.with_name("set.files.json")
    path.unlink() if content is None else path.write_text(content)
    assert "no list" in (loss(folder) or "")


def test_a_folder_made_again_replaces_what_was_there(folder: Path, tmp_path: Path) -> None:
    """Files of the damaged folder would mix with those of the new one."""
    (tmp_path / "again").mkdir()
    (tmp_path / "again/new.jpg").write_bytes(b"new")
    install(tmp_path / "again", folder)
    assert [path.name for path in folder.iterdir()] == ["new.jpg"]
    assert loss(folder) is None
