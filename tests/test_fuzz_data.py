"""Random folders and archives: what is in them is listed, passed over or quarantined, all of it.

A small fuzzer, bounded in time: whatever lies in a folder or an archive, the answer is either a set
that accounts for every file, or one error of one line. Never a traceback, never a silent loss.
"""

import io
import os
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fuzzing import inputs
from headtohead.config.images import PicturesSpec
from headtohead.config.study import StudySpec
from headtohead.core.errors import HeadToHeadError
from headtohead.data.pipeline import look_at, prepare_study, told
from headtohead.data.prepared import PreparedSet
from headtohead.data.sources import Source, open_source
from quiet import silent

NAMES = st.sampled_from(
    (
        *("cat", "dog", "Cat", "a: b", "x.jpg", "1.png", "-rf", "%s{0}", "a\nb", " ", "x ", "..."),
        *("train", "test", "val", "training_set", "test1", "dev", "train\n", "fold0", "fold1"),
        *("images", "masks", "runs", "prepared", "study.yaml", "manifest.json", "CACHEDIR.TAG"),
        *("@eaDir", "#recycle", "lost+found", ".hidden", "Thumbs.db", "__MACOSX", "\u202egpj"),
        *("café", unicodedata.normalize("NFD", "café"), "\udcff.jpg", "CON", "🐈", "\x1b[31m"),
    )
)
ANY_NAME = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))
LEAVES = st.sampled_from(("picture", "text", "empty", "link", "loop", "pipe"))
TREES = st.recursive(
    LEAVES,
    lambda below: st.dictionaries(NAMES | ANY_NAME, below, max_size=4),
    max_leaves=16,
)
# Half of the time something that may well be a set, with odd things within it.
SPLITS = st.sampled_from((("train", "test"), ("training", "dev"), ("fold0", "fold1"), ("", "")))
SETS = st.builds(
    lambda splits, odd, where: (
        {
            **{split: {c: {"1.png": "picture", **odd} for c in ("cat", "dog")} for split in splits},
            **where,
        }
        if splits[0]
        else {"cat": {"1.png": "picture", **odd}, "dog": {"1.png": "picture"}, **where}
    ),
    SPLITS,
    st.dictionaries(NAMES | ANY_NAME, TREES, max_size=3),
    st.dictionaries(NAMES | ANY_NAME, TREES, max_size=1),
)


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def build(folder: Path, tree: object, root: Path, count: list[int]) -> None:
    """Make `tree` at `folder`; what the file system refuses is left out."""
    count[0] += 1
    try:
        if isinstance(tree, dict):
            folder.mkdir(exist_ok=True)
            for name, below in tree.items():
                build(folder / name, below, root, count)
        elif tree == "link":
            folder.symlink_to(root / "nowhere")
        elif tree == "loop":
            folder.symlink_to(root, target_is_directory=True)
        elif tree == "pipe":
            os.mkfifo(folder)
        else:
            content = {"picture": picture(count[0]), "text": b"<html>", "empty": b""}
            folder.write_bytes(content[str(tree)])
    except (OSError, ValueError):
        return


def leaves(folder: Path) -> Iterator[str]:
    """Every file and link below `folder`, as paths relative to it; links are not followed."""
    for current, folders, files in os.walk(folder):
        below = [name for name in folders if (Path(current) / name).is_symlink()]
        yield from (os.path.relpath(Path(current) / name, folder) for name in [*files, *below])


def unaccounted(root: Path, source: Source) -> set[str]:
    """What of `root` is neither listed nor passed over."""
    inside = os.path.relpath(source.root, root)
    listed = {os.path.normpath(f"{inside}/{file.name}") for file in source.files}
    folders = {str(folder) for name in listed for folder in Path(name).parents}  # links to some
    passed = [entry.name for entry in source.passed_over]
    return {
        leaf
        for leaf in leaves(root)
        if leaf not in listed | folders
        and not any(leaf == name or leaf.startswith(f"{name}/") for name in passed)
    }


def check_line(error: HeadToHeadError, unknown: Path | None = None) -> None:
    """One line, printable, with an exit code, that names nothing the user does not know."""
    assert str(error).isprintable()
    assert unknown is None or str(unknown) not in str(error)
    assert 20 < len(str(error)) < 2000
    assert str(error).encode()
    assert error.exit_code in (2, 3, 5)


def fresh(tmp_path: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=tmp_path))  # not emptied: removing takes longer than all else


@inputs(120)
@given(tree=SETS | st.dictionaries(NAMES | ANY_NAME, TREES, min_size=1, max_size=5))
def test_everything_in_a_folder_is_listed_or_passed_over(
    tmp_path: Path, tree: dict[str, object]
) -> None:
    """Images would be left out in silence, or a strange name end in a traceback."""
    case = fresh(tmp_path)
    build(case / "data", tree, case / "data", [0])
    try:
        source = open_source(case / "data", cache=case / "cache", progress=silent)
    except HeadToHeadError as error:
        check_line(error)
        return
    assert unaccounted(case / "data", source) == set()
    assert len({file.name for file in source.files}) == len(source.files)
    assert len(source.classes) >= 2


@inputs(6)
@given(tree=SETS)
def test_what_is_listed_is_prepared_or_quarantined(tmp_path: Path, tree: dict[str, object]) -> None:
    """A file that is no image would vanish from the counts."""
    case = fresh(tmp_path)
    build(case / "data", tree, case / "data", [0])
    spec = PicturesSpec(image_size=8)
    try:
        source, prepared = look_at(str(case / "data"), spec, cache=case / "cache", progress=silent)
    except HeadToHeadError as error:
        check_line(error)
        return
    check_counts(source, prepared)


def check_counts(source: Source, prepared: PreparedSet) -> None:
    names = [*prepared.names, *(bad.name for bad in prepared.quarantined)]
    assert sorted(names) == [file.name for file in source.files]
    for line in told(source, prepared):
        assert "\n" not in line
        assert line.encode()


MEMBERS = st.lists(
    st.tuples(
        st.lists(NAMES | ANY_NAME | st.sampled_from(("..", ".", "")), min_size=1, max_size=4).map(
            "/".join
        ),
        st.sampled_from(("picture", "text", "empty", "folder", "link")),
    ),
    max_size=6,
)
GOOD = [(f"{c}/{n}.png", "picture") for c in ("cat", "dog") for n in range(3)]


def zipped(members: list[tuple[str, str]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, (name, kind) in enumerate(members):
            entry = zipfile.ZipInfo(name + ("/" if kind == "folder" else ""))
            entry.external_attr = (0o120777 if kind == "link" else 0o100644) << 16
            content = {"picture": picture(number), "empty": b"", "folder": b""}.get(kind, b"text")
            archive.writestr(entry, content)
    return file.getvalue()


def tarred(members: list[tuple[str, str]]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for number, (name, kind) in enumerate(members):
            entry = tarfile.TarInfo(name)
            content = picture(number) if kind == "picture" else b"text"
            if kind in ("folder", "link"):
                entry.type = tarfile.DIRTYPE if kind == "folder" else tarfile.SYMTYPE
                content = b""
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@inputs(80)
@given(odd=MEMBERS, pack=st.sampled_from((zipped, tarred)), good=st.booleans())
def test_everything_in_an_archive_is_listed_or_passed_over(
    tmp_path: Path,
    odd: list[tuple[str, str]],
    pack: Callable[[list[tuple[str, str]]], bytes],
    good: bool,
) -> None:
    """A member would be lost, written elsewhere, or end in a traceback."""
    case = fresh(tmp_path)
    try:
        data = pack([*(GOOD if good else []), *odd])
    except (ValueError, UnicodeError):
        return  # no archive can be made of these names
    (case / "a").write_bytes(data)
    try:
        source = open_source(case / "a", cache=case / "cache", progress=silent)
    except HeadToHeadError as error:
        check_line(error, case / "cache")
        return
    folder = next(path for path in (case / "cache/sources").iterdir() if path.is_dir())
    assert unaccounted(folder, source) == set()
    files = [kind for _, kind in [*(GOOD if good else []), *odd] if kind != "folder"]
    assert len(list(leaves(folder))) == len(files)


@inputs(4)
@given(odd=MEMBERS)
def test_a_study_of_an_archive_counts_every_member(
    tmp_path: Path, odd: list[tuple[str, str]]
) -> None:
    """A study would run on fewer images than the archive has."""
    case = fresh(tmp_path)
    try:
        (case / "a").write_bytes(tarred([*GOOD, *odd]))
    except (ValueError, UnicodeError):
        return
    spec = StudySpec(data=str(case / "a"), pictures=PicturesSpec(image_size=8, max_unreadable=1))
    try:
        check_counts(*prepare_study(spec, cache=case / "cache", progress=silent))
    except HeadToHeadError as error:
        check_line(error)
