"""The ledger: it takes what belongs to its study and refuses the rest, losing nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from headtohead.config.study import StudySpec
from headtohead.core.errors import StorageError, UsageError
from headtohead.store.ledger import STUDY_FILE, Ledger, StudyFile, hold, refuse_another
from ledgers import full_ledger


def study_file(digest: str = "d" * 64, **study: object) -> StudyFile:
    half = {"cat": 6, "dog": 4}
    return StudyFile(
        headtohead="0.1.0",
        digest=digest,
        prepared="p" * 64,
        classes=("cat", "dog"),
        counts={"train": half, "validation": half, "test": half},
        study=StudySpec.model_validate({"heads": "fc,gap", "seeds": 2, **study}),
    )


def test_what_was_created_opens_again(tmp_path: Path) -> None:
    created = Ledger.create(tmp_path / "out", study_file())
    assert Ledger.open(tmp_path / "out") == created
    assert created.runs() == []
    assert created.file.majority_share("test") == 0.6


def test_heads_and_seeds_grow_and_nothing_is_lost(tmp_path: Path) -> None:
    Ledger.create(tmp_path, study_file())
    grown = Ledger.create(tmp_path, study_file(heads="gap,avgpool2x2", seeds=1))
    assert list(grown.file.study.heads) == ["fc", "gap", "avgpool2x2"]
    assert grown.file.study.seeds == 2
    assert Ledger.create(tmp_path, study_file(seeds=5)).file.study.seeds == 5


def test_what_heads_compute_is_kept_as_heads_are_added(tmp_path: Path) -> None:
    """Else a head that is added later is not known to be the same function as one before."""
    means = "one linear layer on the means"
    before = study_file().model_copy(update={"functions": {"gap": means}})
    Ledger.create(tmp_path, before)
    later = study_file(heads="nin,gmp").model_copy(update={"functions": {"nin": means}})
    Ledger.create(tmp_path, later)
    file = Ledger.open(tmp_path).file
    assert file.same_function("gap", "nin") == file.same_function("nin", "gap") == means
    assert (file.same_function("gap", "gmp"), file.same_function("gmp", "fc")) == ("", "")
    assert study_file().same_function("gap", "nin") == ""


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    Ledger.create(tmp_path, study_file())
    before = (tmp_path / STUDY_FILE).read_bytes()
    with pytest.raises(UsageError, match="another study"):
        Ledger.create(tmp_path, study_file(digest="e" * 64))
    assert (tmp_path / STUDY_FILE).read_bytes() == before


def test_a_folder_of_another_recipe_says_what_differs(tmp_path: Path) -> None:
    """Else a user must compare two study files by eye to learn which option to change back."""
    Ledger.create(tmp_path, study_file(recipe={"epochs": 8, "schedule": "cosine"}))
    other = study_file(
        "e" * 64, recipe={"epochs": 9, "schedule": "cosine"}, backbone={"options": {"widths": [4]}}
    ).model_copy(update={"prepared": "f" * 64})
    with pytest.raises(UsageError) as told:
        Ledger.create(tmp_path, other)
    assert "the images, " in str(told.value)
    assert f"backbone.options ({ {} }, received { {'widths': [4]} })" in str(told.value)
    assert "recipe.epochs (8, received 9)" in str(told.value)
    assert "schedule" not in str(told.value)


def test_a_head_with_other_settings_is_refused(tmp_path: Path) -> None:
    """Runs of two different heads under one name would be averaged as if they were one."""
    Ledger.create(tmp_path, study_file())
    changed = study_file(heads={"fc": {"options": {"dropout": 0.2}}})
    with pytest.raises(UsageError, match="'fc' with other settings"):
        Ledger.create(tmp_path, changed)


def refused(out: Path, study: StudySpec, prepared: str | None = None) -> str:
    with pytest.raises(UsageError) as told:
        refuse_another(out, study, prepared)
    return str(told.value)


def test_another_study_is_refused_before_its_images_are_read(tmp_path: Path) -> None:
    """Else hours of decoding end with the message that was known before."""
    refuse_another(tmp_path / "nowhere", study_file().study)
    study = Ledger.create(tmp_path, study_file(recipe={"epochs": 20})).file.study
    refuse_another(tmp_path, study, "p" * 64)

    def other(**content: Any) -> StudySpec:
        return study_file(**{"recipe": {"epochs": 20}, **content}).study

    assert "pictures.image_size (100, received 32)" in refused(
        tmp_path, other(pictures={"image_size": 32, "limit": 5})
    )
    assert "recipe.batch_size" in refused(tmp_path, other(recipe={"batch_size": 2}))
    assert "the images" in refused(tmp_path, study, "f" * 64)
    assert "'fc' with other settings" in refused(
        tmp_path, other(heads={"fc": {"options": {"dropout": 0.2}}})
    )


def test_what_may_be_the_same_study_is_not_refused(tmp_path: Path) -> None:
    """Else a study on a small folder, whose images say how many epochs it has, never resumes."""
    Ledger.create(tmp_path, study_file(recipe={"epochs": 20}))
    for recipe in ({"epochs": 10, "min_steps": 500}, {"epochs": 20, "min_steps": 1}):
        refuse_another(tmp_path, study_file(recipe=recipe).study)
    refuse_another(tmp_path, study_file(recipe={"epochs": 20}, pictures={"limit": 90}).study)
    assert "recipe.epochs" in refused(
        tmp_path, study_file(recipe={"epochs": 30, "min_steps": 500}).study
    )


def test_the_folder_of_masks_is_remembered(tmp_path: Path) -> None:
    """Else masks that are lost later change the rule of a claim, and nobody is told."""
    Ledger.create(tmp_path, study_file(masks="some/masks"))
    again = Ledger.create(tmp_path, study_file())
    assert (again.file.study.masks, again.file.digest) == ("some/masks", study_file().digest)
    assert Ledger.create(tmp_path, study_file(masks="others")).file.study.masks == "others"


def test_masks_that_an_earlier_version_kept_beside_the_study_are_its_own(tmp_path: Path) -> None:
    """Else a ledger of before does not open, or has lost its masks."""
    Ledger.create(tmp_path, study_file())
    path = tmp_path / STUDY_FILE
    path.write_text(path.read_text().replace("  masks: null\n", "") + "masks: their/masks\n")
    assert Ledger.open(tmp_path).file.study.masks == "their/masks"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.tex"), hold(tmp_path):
        raise AssertionError("held")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_as_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"), hold(tmp_path / "out"):
        raise AssertionError("held")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    held = FileLock(tmp_path / ".lock")
    with held, pytest.raises(StorageError, match="another headtohead"), hold(tmp_path):
        raise AssertionError("held twice")
    with hold(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told_plainly() -> None:
    with pytest.raises(StorageError, match="/proc"), hold(Path("/proc/headtohead")):
        raise AssertionError("held")


@pytest.mark.parametrize(
    "content", ["", "a: [", "- 1\n", "format: 99\n", "format: 1\nstudy: {heads: 3}\n", "\x00"]
)
def test_a_damaged_study_file_is_told_plainly(tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY_FILE).write_text(content)
    with pytest.raises(UsageError, match=r"study\.yaml"):
        Ledger.open(tmp_path)


def test_a_folder_without_study_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        Ledger.open(tmp_path)


def test_the_folder_above_studies_names_the_newest(tmp_path: Path) -> None:
    """Else a user who typed `runs` must look for a name with a digest in it."""
    for age, name in enumerate(("new", "old")):
        Ledger.create(tmp_path / "runs" / name, study_file())
        os.utime(tmp_path / "runs" / name / STUDY_FILE, (2e9 - age, 2e9 - age))
    for asked in (tmp_path, tmp_path / "runs"):
        with pytest.raises(UsageError, match=f"The newest in it is '{tmp_path}/runs/new'"):
            Ledger.open(asked)


@pytest.mark.parametrize("content", ["{}", "not json", '{"format": 2}'])
def test_a_run_that_cannot_be_read_is_told_plainly(tmp_path: Path, content: str) -> None:
    ledger = Ledger.create(tmp_path, study_file())
    folder = ledger.run_folder("fc", 0)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(content)
    with pytest.raises(UsageError, match="Delete the folder"):
        ledger.run("fc", 0)


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """Else gigabytes of weights that were never whole stay for ever, and are copied along."""
    ledger = full_ledger(tmp_path / "out", seeds=1, epochs=1)
    run = ledger.run_folder("gap", 0)
    begun = ledger.out / "runs" / "fc_none" / "seed-0"
    left = [
        *(ledger.out / ".study.yaml.12.tmp", ledger.out / "logs" / ".w.log.7.tmp"),
        *(run / ".best.safetensors.123.tmp", run / "resume.safetensors"),
        ledger.out / "evidence" / "speed" / ".session.npz.9.tmp",
    ]
    others = [
        *(begun / "resume.safetensors", run / "notes.tmp", run / ".mine.tmp"),
        ledger.out / "figures" / ".a.1.tmp",
    ]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with hold(ledger.out):
        assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in others)
    assert ledger.run("gap", 0) is not None
