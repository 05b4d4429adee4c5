"""What a folder, an archive or a name means, and clear words where it means nothing."""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headtohead.core.errors import DataError
from headtohead.data.archives import extracted_folder
from headtohead.data.download import CATS_VS_DOGS
from headtohead.data.inventory import install
from headtohead.data.sources import Source, flat_folder, list_unlabelled, open_source
from headtohead.data.walking import HIDDEN, LOOSE, OWN, SPECIAL, SYSTEMS, TWICE
from photographs import SHARED, needs_photographs
from quiet import silent
from stated import stated


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"picture")
    return root


def opened(source: str | Path, tmp_path: Path) -> Source:
    return open_source(source, cache=tmp_path / "cache", progress=silent)


def names(source: Source) -> list[str]:
    return [file.name for file in source.files]


def refusal(source: str | Path, tmp_path: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened(source, tmp_path)
    return str(caught.value)


def test_a_class_per_subfolder(tmp_path: Path) -> None:
    """The plainest layout would not work, or images would get the wrong label."""
    root = made(tmp_path / "pets", "dog/b.jpg", "cat/2.JPG", "cat/deep/er/1.bin", "cat/10")
    source = opened(root, tmp_path)
    assert source.root == root
    assert source.classes == ("cat", "dog")
    assert names(source) == ["cat/10", "cat/2.JPG", "cat/deep/er/1.bin", "dog/b.jpg"]
    assert [file.label for file in source.files] == ["cat", "cat", "cat", "dog"]
    assert {file.split for file in source.files} == {None}
    assert all(file.path == root / file.name for file in source.files)
    assert opened(str(root), tmp_path) == source


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_splits_that_the_user_gave_are_accepted(tmp_path: Path, validation: str) -> None:
    """The user's own test images would be trained on."""
    folders = {"Train": "train", validation: "validation", "TEST": "test"}
    root = made(tmp_path / "pets", *(f"{f}/{c}/1.jpg" for f in folders for c in ("cat", "dog")))
    source = opened(root, tmp_path)
    assert source.classes == ("cat", "dog")
    assert names(source) == sorted(names(source))
    assert {file.name: file.split for file in source.files} == {
        f"{folder}/{label}/1.jpg": split
        for folder, split in folders.items()
        for label in ("cat", "dog")
    }
    assert {file.label for file in source.files} == {"cat", "dog"}


def test_train_alone_is_a_wrapper_and_with_test_it_is_not(tmp_path: Path) -> None:
    """A download with only a train folder would be refused."""
    root = made(tmp_path / "pets", "train/cat/1.jpg", "train/dog/1.jpg")
    source = opened(root, tmp_path)
    assert names(source) == ["cat/1.jpg", "dog/1.jpg"]
    assert source.root == root / "train"
    made(root, "test/cat/1.jpg", "test/dog/1.jpg")
    assert {file.split for file in opened(root, tmp_path).files} == {"train", "test"}


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    """Quarantine would fill with files that the user never made."""
    root = made(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg")
    made(root, ".git/x", "__MACOSX/cat/._1.jpg", "cat/.DS_Store", "cat/Thumbs.db", "Desktop.ini")
    made(root, "cat/Icon\r")  # macOS, of a folder with a picture of its own
    made(root, "dog/._1.jpg", "dog/.hidden/2.jpg", "readme.txt")
    nas = ("@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__pycache__", "cat/@eaDir/1.jpg")
    made(root, *(f"{folder}/x.jpg" for folder in nas), "System Volume Information/x")
    source = opened(root, tmp_path)
    assert names(source) == ["cat/1.jpg", "dog/1.jpg"]
    passed = {entry.name: entry.why for entry in source.passed_over}
    assert passed.pop("readme.txt") == LOOSE
    hidden = {".git", "cat/.DS_Store", "dog/._1.jpg", "dog/.hidden"}
    assert {name for name, why in passed.items() if why == HIDDEN} == hidden
    assert {name for name, why in passed.items() if why == SYSTEMS} == passed.keys() - hidden
    assert {"__MACOSX", "cat/Thumbs.db", "cat/@eaDir", *nas[:5]} < passed.keys()


@pytest.mark.parametrize("packing", ["folder", "zip", "tar", "gztar"])
def test_the_microsoft_archive_works_as_it_is(tmp_path: Path, packing: str) -> None:
    """Everyone who downloaded it by hand would have to rearrange it."""
    root = made(tmp_path / "in", "PetImages/Cat/0.jpg", "PetImages/Dog/0.jpg", "PetImages/Dog/t.db")
    made(root, "readme[1].txt", "CDLA-Permissive-2.0.pdf")
    given = (
        root
        if packing == "folder"
        else Path(shutil.make_archive(str(tmp_path / "a"), packing, root))
    )
    if packing != "folder":
        given = given.rename(tmp_path / "no suffix")  # recognised by content
    source = opened(given, tmp_path)
    assert names(source) == ["Cat/0.jpg", "Dog/0.jpg", "Dog/t.db"]
    assert source.root.name == "PetImages"
    assert source.files[0].path.read_bytes() == b"picture"


def test_the_named_set_is_used_where_it_was_extracted(tmp_path: Path) -> None:
    """`cats_vs_dogs` would be downloaded again although it is there."""
    folder = extracted_folder(tmp_path / "cache", CATS_VS_DOGS.sha256)
    made(tmp_path / "growing", "PetImages/Cat/0.jpg", "PetImages/Dog/0.jpg")
    install(tmp_path / "growing", folder)
    source = opened("cats_vs_dogs", tmp_path)
    assert (source.root, source.shown) == (folder / "PetImages", "cats_vs_dogs")


def test_home_is_meant_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that a shell left alone would not be found."""
    made(tmp_path / "pets", "a/1.jpg", "b/1.jpg")
    made(tmp_path / "flat", "1.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("~/pets", Path("~/pets")):
        assert opened(path, tmp_path).root == tmp_path / "pets"
    assert flat_folder("~/flat") == tmp_path / "flat"
    assert [flat_folder(name) for name in ("~/pets", "synthetic", "hf:a/b")] == [None] * 3


def test_results_of_headtohead_are_no_class(tmp_path: Path) -> None:
    """The same command typed twice would train on its own figures."""
    root = made(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg", "pictures.png")
    made(root, "runs/standard-1/study.yaml", "runs/standard-1/runs/gap/seed-0/run.json")
    made(root, "runs/standard-tuning-1/trials/study.yaml", "runs/standard-tuning-1/tuning.md")
    made(root, "c/prepared/ab/manifest.json", "c/prepared/ab/pictures.npy")
    made(root, "dog/out/study.yaml", "dog/out/pictures.csv", "dog/out/figures/1.png")
    source = opened(root, tmp_path)
    assert names(source) == ["cat/1.jpg", "dog/1.jpg"]
    assert [(entry.name, entry.why) for entry in source.passed_over] == [
        ("c", OWN),
        ("dog/out", OWN),
        ("pictures.png", LOOSE),
        ("runs", OWN),
    ]
    for own in ("runs", "runs/standard-1", "c"):
        message = refusal(root / own, tmp_path)
        assert stated(message, "results", "cache", "headtohead")[-3:] == [
            *("results", "cache", "headtohead"),
        ]


def test_a_path_in_an_archive_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    """An error would send the reader into the cache."""
    root = made(tmp_path / "in", "cat/1.jpg", "dog/1.jpg")
    (root / "bird").mkdir()
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", root)
    message = refusal(archive, tmp_path)
    assert repr(f"{archive}/bird") in message
    assert str(tmp_path / "cache") not in message
    (root / "bird").rmdir()
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", root)
    assert opened(archive, tmp_path).shown == archive


def test_files_deleted_from_the_cache_are_extracted_again(tmp_path: Path) -> None:
    """After a purge of old files a smaller set would be used without a word."""
    root = made(tmp_path / "in", *(f"{c}/{n}.jpg" for c in ("cat", "dog") for n in range(4)))
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", root)
    first = opened(archive, tmp_path)
    for name in ("cat/0.jpg", "cat/3.jpg"):
        (first.root / name).unlink()
    (first.root / "dog/1.jpg").write_bytes(b"pict")
    told: list[str] = []
    again = open_source(
        archive, cache=tmp_path / "cache", progress=lambda what, *_: told.append(what)
    )
    assert again == first
    assert all(file.path.read_bytes() == b"picture" for file in again.files)
    assert stated(told[1], "pets.zip", "cache") == ["pets.zip", "3", "8", "cache"]


def test_a_path_wins_where_it_is_written_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder called like a named source could not be used."""
    made(tmp_path / "cats_vs_dogs", "a/1.jpg", "b/1.jpg")
    monkeypatch.chdir(tmp_path)
    for path in ("./cats_vs_dogs", Path("cats_vs_dogs")):
        assert opened(path, tmp_path).classes == ("a", "b")


def test_links_are_followed_and_circles_end(tmp_path: Path) -> None:
    """A link to a folder above would hang the program or mix the classes."""
    root = made(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg")
    made(tmp_path / "elsewhere", "more/2.jpg", "bird/3.jpg")
    (root / "cat/linked.jpg").symlink_to(tmp_path / "elsewhere/more/2.jpg")
    (root / "cat/folder").symlink_to(tmp_path / "elsewhere/more")
    (root / "bird").symlink_to(tmp_path / "elsewhere/bird")
    (root / "cat/up").symlink_to(root)
    (root / "cat/self").symlink_to(root / "cat")
    (root / "cat/circle").symlink_to(root / "cat/circle")
    (root / "dog/gone.jpg").symlink_to(root / "nowhere.jpg")
    os.mkfifo(root / "dog/pipe.jpg")
    assert names(opened(root, tmp_path)) == [
        "bird/3.jpg",
        "cat/1.jpg",
        "cat/circle",  # listed, to be quarantined: links that lead nowhere are losses to be told
        "cat/folder/2.jpg",
        "cat/linked.jpg",
        "dog/1.jpg",
        "dog/gone.jpg",
    ]
    assert [(entry.name, entry.why) for entry in opened(root, tmp_path).passed_over] == [
        ("cat/self", TWICE),
        ("cat/up", TWICE),
        ("dog/pipe.jpg", SPECIAL),
    ]
    (root / "all").symlink_to(root)
    again = opened(root, tmp_path)
    assert again.classes == ("bird", "cat", "dog")
    assert ("all", TWICE) in [(entry.name, entry.why) for entry in again.passed_over]
    only = made(tmp_path / "only", "in/x/1.jpg")
    (only / "in/x/loop").symlink_to(only)
    assert "only one class" in refusal(only, tmp_path)


@given(
    name=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
    )
    | st.sampled_from(
        ["a\nb.jpg", "<script>.jpg", "-rf", "C:\\x.jpg", "%s{0}.jpg", "\u202egpj.exe"]
    )
)
def test_any_file_name_is_listed_as_it_is(tmp_path: Path, name: str) -> None:
    """A strange name would crash the listing or change the image's identity."""
    shutil.rmtree(tmp_path / "pets", ignore_errors=True)
    root = made(tmp_path / "pets", "cat/1.jpg", f"dog/x{name}")
    assert names(opened(root, tmp_path)) == ["cat/1.jpg", f"dog/x{name}"]


def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    """Writing the manifest would crash after all images were prepared."""
    root = made(tmp_path / "pets", "cat/1.jpg", "dog/1.jpg")
    try:
        Path(os.fsdecode(os.fsencode(root) + b"/dog/\xff.jpg")).write_bytes(b"picture")
    except OSError:
        pytest.skip("this file system allows UTF-8 names only")
    message = refusal(root, tmp_path)
    assert r"'dog/\xff.jpg'" in message
    assert message.encode()
    with tarfile.open(tmp_path / "pets.tar", "w", errors="surrogateescape") as archive:
        archive.add(root, "pets")
    message = refusal(tmp_path / "pets.tar", tmp_path)
    assert r"'dog/\xff.jpg'" in message
    assert "pets.tar" in message
    assert str(tmp_path / "cache") not in message  # nobody should rename what lies there


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), "an empty folder"),
        ((".hidden",), "an empty folder"),
        (("2.jpg", "1.jpg"), "2 files but no class folder"),
        (("cat/1.jpg",), "only one class in "),
        (("cat/1.jpg", "2.jpg"), "only one class in "),
        (("cat/1.jpg", "dog/.DS_Store"), "no image in the class folder "),
        (("train/cat/1", "train/dog/1", "test/cat/1"), "only one class in "),
        (("train/1.jpg", "test/1.jpg"), "1 file but no class folder"),
        (("val/a/1", "val/b/1", "test/a/1", "test/b/1"), "no train folder beside 'test', 'val'"),
        (("train/a/1", "train/b/1", "val/a/1", "valid/a/1"), "two folders for the validation"),
        (("train/a/1", "train/b/1", "val/a/1", "val/b/1", "x/1"), "'x' beside 'train', 'val'"),
        (
            ("train/a/1", "train/b/1", "val/a/1", "val/b/1", "val/c/1"),
            "'val' has 'c', which 'train' has not",
        ),
        (
            ("train/a/1", "train/b/1", "train/c/1", "val/a/1", "val/b/1"),
            "'train' has 'c', which 'val' has not",
        ),
    ],
)
def test_folders_that_are_no_classes_are_refused(
    tmp_path: Path, files: tuple[str, ...], expected: str
) -> None:
    """A training run on nothing, or on images silently left out."""
    (tmp_path / "pets").mkdir()
    message = refusal(made(tmp_path / "pets", *files), tmp_path)
    assert expected in message
    assert str(tmp_path / "pets") in message or "splits" in message


@pytest.mark.parametrize("path", ["", " ", "nowhere", "nowhere/x.zip", "a\0b", "~nobody/x"])
def test_a_missing_path_is_named(tmp_path: Path, path: str) -> None:
    """A misspelt path or name would end in a traceback, or mean the working directory."""
    message = refusal(path, tmp_path)
    assert repr(path) in message
    assert "cats_vs_dogs, synthetic" in message
    assert "download" not in message
    assert "download it" in refusal(f"https://nowhere/{path}.zip", tmp_path)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A single image given as data would end in a traceback."""
    file = made(tmp_path, "one.jpg") / "one.jpg"
    message = refusal(file, tmp_path)
    assert repr(str(file)) in message
    assert stated(message, "folder", "zip", "tar")[:3] == ["folder", "zip", "tar"]
    with tarfile.open(tmp_path / "cut.tar.gz", "w:gz") as archive:
        archive.add(file, "cat/1.jpg")
    whole = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[:-12])
    assert "a corrupt or incomplete archive" in refusal(tmp_path / "cut.tar.gz", tmp_path)


AS_NOBODY = """
import os, sys
from pathlib import Path
from headtohead.core.errors import StorageError
from headtohead.data.sources import open_source
if os.geteuid() == 0:
    os.setuid(65534)  # the superuser may read everything
try:
    open_source(sys.argv[1], cache=Path(sys.argv[1]), progress=lambda *_: None)
except StorageError as error:
    print(error)
"""


def test_a_folder_that_may_not_be_read_is_a_storage_error(tmp_path: Path) -> None:
    """A traceback, or a class without its images."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are their user's alone
        root = made(Path(name) / "pets", "cat/1.jpg", "dog/1.jpg")
        Path(name).chmod(0o755)
        (root / "dog").chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, root], capture_output=True, text=True, check=True
        )
        (root / "dog").chmod(0o755)
    assert "dog" in done.stdout
    assert "Permission denied" in done.stdout


def test_listing_reports_progress(tmp_path: Path) -> None:
    """Minutes of silence on a slow disk."""
    root = made(tmp_path / "pets", *(f"{c}/{n}.jpg" for c in ("cat", "dog") for n in range(600)))
    reports: list[tuple[str, int, int]] = []
    open_source(root, cache=tmp_path, progress=lambda *report: reports.append(report))
    assert reports == [("listing images", 1000, 0), ("listing images", 1200, 1200)]


def test_pictures_without_classes_can_be_looked_at(tmp_path: Path) -> None:
    """A folder of unsorted files could not be checked at all."""
    root = made(tmp_path / "odd", "2.jpg", "deep/1.png", ".hidden")
    source = list_unlabelled(root, progress=silent)
    assert names(source) == ["2.jpg", "deep/1.png"]
    assert source.classes == ("",)
    assert {file.label for file in source.files} == {""}
    with pytest.raises(DataError, match="an empty folder"):
        list_unlabelled(made(tmp_path / "none", ".hidden"), progress=silent)


@needs_photographs
def test_real_folders_of_photographs(tmp_path: Path) -> None:
    """The sets that the documents name would be counted wrongly."""
    source = opened(SHARED / "petimages_sample", tmp_path)
    assert source.classes == ("cat", "dog")
    assert [sum(file.label == label for file in source.files) for label in source.classes] == [
        200,
        200,
    ]
    assert len(list_unlabelled(SHARED / "odd_images", progress=silent).files) == 25
