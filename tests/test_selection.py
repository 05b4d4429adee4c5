"""Which files are prepared, and the digest of what comes out."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import UsageError
from headtohead.data.selection import Selection, check_limit, hash_files, select
from headtohead.data.sources import PictureFile


def test_a_limit_that_starves_a_class_names_one_that_does_not() -> None:
    """Lost: which limit would do; the class would be called too small."""
    files = files_of({("a", None): 60, ("b", None): 3, ("tiny", None): 2})
    with pytest.raises(UsageError, match=r"limit 20 .*1 .*3 .*'b'") as caught:
        check_limit(files, 20)
    enough = int(str(caught.value).partition("at least ")[2].partition(",")[0])
    check_limit(files, enough)
    with pytest.raises(UsageError):
        check_limit(files, enough - 1)
    check_limit(files, None)


def test_a_limit_that_empties_a_given_split_names_one_that_does_not() -> None:
    """Else a class of 60 images is told to be missing from the split that it was given in."""
    files = files_of({("a", "train"): 60, ("b", "train"): 9, ("a", "test"): 9, ("b", "test"): 2})
    with pytest.raises(UsageError, match=r"limit 3 .*split.*Give at least") as caught:
        check_limit(files, 3)
    enough = int(str(caught.value).partition("at least ")[2].partition(",")[0])
    check_limit(files, enough)
    taken = Counter((file.label, file.split) for file in select(files, enough))
    assert min(taken["b", "train"], taken["a", "train"]) >= 2  # validation is carved out of it
    assert min(taken["b", "test"], taken["a", "test"]) >= 1
    with pytest.raises(UsageError):
        check_limit(files, enough - 1)


def files_of(counts: dict[tuple[str, str | None], int]) -> list[PictureFile]:
    return [
        PictureFile(Path("unused"), f"{split}/{label}/{number:04}.jpg", label, split)
        for (label, split), count in counts.items()
        for number in range(count)
    ]


STRATA = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from([None, "train", "test"])),
    st.integers(1, 80),
    min_size=1,
)


@given(STRATA, st.integers(1, 300), st.integers(1, 300))
def test_a_limit_takes_a_proportional_subset_of_any_larger_limit(
    counts: dict[tuple[str, str | None], int], one: int, other: int
) -> None:
    """Lost: a quick trial on few images that resembles the whole, and grows into it."""
    files = files_of(counts)
    smaller, larger = (select(files, limit) for limit in sorted((one, other)))
    assert len(smaller) == min(one, other, len(files))
    assert set(smaller) <= set(larger) <= set(files)
    assert [file.name for file in smaller] == sorted(file.name for file in smaller)
    share = len(smaller) / len(files)
    taken = Counter((file.label, file.split) for file in smaller)
    for stratum, count in counts.items():
        assert abs(taken[stratum] - share * count) <= len(counts)
        assert taken[stratum] >= 1 or len(smaller) < len(counts)


@given(STRATA)
def test_without_a_limit_every_file_is_taken(counts: dict[tuple[str, str | None], int]) -> None:
    """Lost: images."""
    files = files_of(counts)
    assert set(select(files, None)) == set(files)


def test_the_digest_tells_what_decides_the_pixels_and_nothing_else(tmp_path: Path) -> None:
    """Lost: stale images after a file was replaced, or decoding again after a folder moved."""
    paths = [tmp_path / name for name in ("1.jpg", "2.jpg")]
    for path in paths:
        path.write_bytes(path.name.encode())
    files = tuple(
        PictureFile(path, f"{label}/{path.name}", label, None)
        for path, label in zip(paths, ("cat", "dog"), strict=True)
    )
    hashes = hash_files(files, 2, lambda *_: None)
    selection = Selection(("cat", "dog"), files, hashes, 100, "antialias")
    moved = tuple(replace(file, path=Path("elsewhere") / file.path.name) for file in files)
    assert replace(selection, files=moved).digest() == selection.digest()
    renamed = (replace(files[0], name="cat/3.jpg"), files[1])
    relabelled = (replace(files[0], label="dog"), files[1])
    others = [
        replace(selection, image_size=99),
        replace(selection, resize="bilinear"),
        replace(selection, sha256=(hashes[1], hashes[0])),
        replace(selection, files=renamed),
        replace(selection, files=relabelled),
    ]
    assert len({selection.digest(), *(other.digest() for other in others)}) == 6


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_cannot_be_read_has_no_hash_and_blocks_nothing(tmp_path: Path, kind: str) -> None:
    """Lost: a data set with one dangling link or named pipe, waited for without end."""
    path = tmp_path / "x.jpg"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    assert hash_files([PictureFile(path, "x.jpg", "cat", None)], 1, lambda *_: None) == ("",)
