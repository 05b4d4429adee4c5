"""One run: it resumes where it was, to the bit, and it says when it fails."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from headtohead.config.recipe import AugmentSpec, RecipeSpec
from headtohead.config.study import BackboneSpec, HeadSpec
from headtohead.core.errors import RunError
from headtohead.core.streams import stream
from headtohead.data.split import Split
from headtohead.store.records import EpochRecord, RunRecord, read_history
from headtohead.training import checkpoint, state
from headtohead.training.inputs import Pictures
from headtohead.training.plans import RunPlan
from headtohead.training.run import train
from headtohead.training.sample import FEWEST_SAMPLED, stratified, training_sample

SIZE = 36


class Silent:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.records: list[EpochRecord] = []
        self.notes: list[str] = []
        self.started = -1

    def start(self, epochs: int) -> None:
        self.started = epochs

    def step(self, epoch: int, done: int, pictures: int) -> None:
        assert 0 < done <= pictures

    def epoch(self, record: EpochRecord) -> None:
        self.records.append(record)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Killed(Silent):
    """Stops the run after an epoch is on disk, as a kill does."""

    def epoch(self, record: EpochRecord) -> None:
        super().epoch(record)
        raise KeyboardInterrupt


def plan(head: str = "fc_dropout", seed: int = 0, classes: int = 2, **recipe: object) -> RunPlan:
    values = {"epochs": 3, "batch_size": 16, **recipe}
    return RunPlan(
        key="k",
        head=head,
        seed=seed,
        head_spec=HeadSpec(),
        backbone=BackboneSpec(),
        recipe=RecipeSpec.model_validate(values),
        image_size=SIZE,
        classes=classes,
    )


def pictures(count: int = 120, classes: int = 2) -> Pictures:
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = random.integers(0, 200, (count, SIZE, SIZE, 3), dtype=np.uint8)
    images[:, 8:20, 8:20] += (labels * 50 // (classes - 1)).astype(np.uint8)[:, None, None, None]
    return Pictures(images, labels, torch.device("cpu"))


def parts(train_rows: int = 80, rest: int = 20) -> Split:
    rows = np.arange(train_rows + 2 * rest)
    return Split(rows[:train_rows], rows[train_rows:-rest], rows[-rest:])


def curves(folder: Path) -> list[dict[str, float]]:
    timing = {"seconds", "cpu_seconds", "pictures_per_second"}
    return [record.model_dump(exclude=timing) for record in read_history(folder)]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return checkpoint.read(folder / f"{name}.safetensors")[0]


def assert_same_run(one: Path, other: Path) -> None:
    assert curves(one) == curves(other)
    for name in ("best", "last"):
        mine, theirs = weights(one, name), weights(other, name)
        assert mine.keys() == theirs.keys() != set()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


AUGMENT = AugmentSpec(flip=True, crop=0.2, color=0.2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(plan(augment=AUGMENT), pictures(), parts(), folder, Silent())
    return folder


def test_the_same_run_twice_is_bit_identical(undisturbed: Path, tmp_path: Path) -> None:
    torch.rand(7)  # nothing may hang on the state that other work left behind
    train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, Silent())
    assert_same_run(undisturbed, tmp_path)


def test_a_killed_run_goes_on_bit_identically(undisturbed: Path, tmp_path: Path) -> None:
    """Dropout, augmentation, optimiser and batch-norm state must all come back as they were."""
    for expected in (0, 1):
        watcher = Killed()
        with pytest.raises(KeyboardInterrupt):
            train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, watcher)
        assert watcher.started == expected
    train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, Silent())
    assert_same_run(undisturbed, tmp_path)
    assert not (tmp_path / "resume.safetensors").exists()


def test_a_kill_between_history_and_resume_repeats_one_epoch(
    undisturbed: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, Killed())
    with (tmp_path / "history.jsonl").open("a") as history:
        history.write(read_history(undisturbed)[1].model_dump_json() + "\n" + '{"epoch": 3, "lo')
    watcher = Silent()
    train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, watcher)
    assert watcher.started == 1
    assert_same_run(undisturbed, tmp_path)


def test_a_position_that_is_slow_to_write_is_written_seldom_and_gone_on_from(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost: a large head's time, half of it for half a gigabyte after each short epoch."""
    monkeypatch.setattr(state, "SLOW", 0.0)
    monkeypatch.setattr(state, "SHARE", 1e-9)

    class KilledLater(Silent):
        def epoch(self, record: EpochRecord) -> None:
            super().epoch(record)
            if record.epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, KilledLater())
    assert checkpoint.read(tmp_path / "resume.safetensors")[1]["epoch"] == 1
    assert len(read_history(tmp_path)) == 2
    watcher = Silent()
    train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, watcher)
    assert watcher.started == 1
    assert_same_run(undisturbed, tmp_path)


@pytest.mark.parametrize("young", [True, False])
def test_what_is_finished_or_took_long_outlasts_a_power_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, young: bool
) -> None:
    """Lost: hours of training, or weights that run.json speaks of; or a light run's time on a disk
    that takes long for it."""
    if not young:
        monkeypatch.setattr(state, "YOUNG", -1.0)
    synced: list[str] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    train(plan("gap", epochs=3), pictures(), parts(), tmp_path, Silent())
    names = [name.removeprefix(".").partition(f".{os.getpid()}")[0] for name in synced]
    at_the_end = ["history.jsonl", "best.safetensors", "last.safetensors", "run.json"]
    assert names[-4:] == at_the_end
    positions = names.count("resume.safetensors")
    assert (positions, len(names) > 4) == ((0, False) if young else (3, True))


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign"])
def test_a_damaged_resume_file_is_said_and_the_run_begins_anew(
    undisturbed: Path, tmp_path: Path, damage: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, Killed())
    path = tmp_path / "resume.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flip":
        content[-100] ^= 1
    else:
        content = bytearray(os.urandom(1000))
    path.write_bytes(content)
    watcher = Silent()
    train(plan(augment=AUGMENT), pictures(), parts(), tmp_path, watcher)
    assert watcher.started == 0
    assert any("first epoch" in note for note in watcher.notes)
    assert_same_run(undisturbed, tmp_path)


def test_the_record_describes_the_run(undisturbed: Path) -> None:
    record = RunRecord.model_validate_json((undisturbed / "run.json").read_bytes())
    assert record.status == "finished"
    assert record.epochs == 3
    assert set(record.files) == {"history.jsonl", "best.safetensors", "last.safetensors"}
    best = max(read_history(undisturbed), key=lambda e: (e.val_accuracy, -e.val_loss, -e.epoch))
    assert record.best_epoch == best.epoch
    assert record.environment["device"] == "cpu"
    assert record.feature_maps == (64, 2, 2)


def test_every_head_sees_the_same_pictures_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison is paired only if batches do not depend on the head."""
    seen: list[list[list[int]]] = []
    batch = Pictures.batch

    def watched(self: Pictures, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen[-1].append(rows.tolist())
        return batch(self, rows)

    monkeypatch.setattr(Pictures, "batch", watched)
    for head in ("fc_dropout", "gap"):
        seen.append([])
        train(plan(head, epochs=2), pictures(), parts(), tmp_path / head, Silent())
    assert seen[0] == seen[1]
    assert seen[1][0] != seen[1][5]


@pytest.mark.parametrize("rows", [1, 2, 15, 16, 17, 31, 33])
def test_every_count_of_pictures_trains(tmp_path: Path, rows: int) -> None:
    """A last batch of one must not fail: leftovers wait for the next epoch's shuffle."""
    watcher = Silent()
    record = train(plan("fc", epochs=1), pictures(), parts(rows, 5), tmp_path, watcher)
    assert record.status == "finished"
    assert np.isfinite(watcher.records[0].loss)


def test_a_loss_that_is_not_finite_marks_the_run_failed_with_its_place(tmp_path: Path) -> None:
    watcher = Silent()
    record = train(plan(learning_rate=1e38), pictures(), parts(), tmp_path, watcher)
    assert record.status == "failed"
    assert record.failure is not None
    assert (record.failure.epoch, record.failure.step > 1) == (1, True)
    assert record.best_epoch is None
    assert RunRecord.model_validate_json((tmp_path / "run.json").read_bytes()) == record


def test_more_than_two_classes_train(tmp_path: Path) -> None:
    record = train(plan("gap", classes=3), pictures(classes=3), parts(), tmp_path, Silent())
    assert record.status == "finished"
    assert record.parameters.head == 64 * 3 + 3


def test_the_training_sample_is_fixed_and_has_every_class_by_its_share() -> None:
    """Else over-fitting is measured on other images for each head, or on one class alone."""
    labels = (np.arange(4000) % 4 == 0).astype(np.int64)
    split = Split(np.arange(3000), np.arange(3000, 3400), np.arange(3400, 4000))
    sample = training_sample(plan(), labels, split)
    assert len(set(sample.tolist())) == FEWEST_SAMPLED == 1000
    assert set(sample.tolist()) <= set(split.train.tolist())
    assert labels[sample].sum() == 250
    assert (sample == training_sample(plan(head="gap"), labels, split)).all()
    assert (sample != training_sample(plan(seed=1), labels, split)).any()


def test_a_small_training_split_is_measured_whole() -> None:
    """Else a small study's over-fitting hangs on fewer images than there are."""
    labels = np.arange(300) % 3
    split = Split(np.arange(200), np.arange(200, 220), np.arange(220, 300))
    assert training_sample(plan(), labels, split).tolist() == list(range(200))


def test_moving_averages_keep_the_sample_of_old_ledgers() -> None:
    """Else runs that are added to a ledger of version 0.1 are measured on other images."""
    split = parts()
    sample = training_sample(plan(batch_norm="moving"), pictures().labels, split)
    expected = stream(0, "sample").permutation(np.sort(split.train))[: len(split.validation)]
    assert sample.tolist() == sorted(expected.tolist())


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), share=st.floats(0.05, 1))
def test_a_stratified_sample_is_within_one_of_each_share(counts: list[int], share: float) -> None:
    """Else a rare class is left out of what over-fitting is measured on."""
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(len(labels))
    size = max(1, round(share * len(labels)))
    taken = stratified(rows, labels, size)
    assert len(set(taken.tolist())) == size
    exact = np.array(counts) * size / len(labels)
    assert (np.abs(np.bincount(labels[taken], minlength=len(counts)) - exact) < 1).all()


def test_a_run_in_bf16_goes_on_bit_identically_and_says_so(tmp_path: Path) -> None:
    own = plan("fc_dropout", precision="bf16", epochs=2)
    record = train(own, pictures(60), parts(32, 14), tmp_path / "whole", Silent())
    assert record.environment["precision"] == "bf16"
    with pytest.raises(KeyboardInterrupt):
        train(own, pictures(60), parts(32, 14), tmp_path / "killed", Killed())
    train(own, pictures(60), parts(32, 14), tmp_path / "killed", Silent())
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_epochs_in_steps_go_on_bit_identically(tmp_path: Path) -> None:
    """The sequence of images runs on over the epochs, also after a kill."""
    own = plan(steps_per_epoch=7, shuffle_buffer=30, validation_pictures=50)
    train(own, pictures(), parts(), tmp_path / "whole", Silent())
    with pytest.raises(KeyboardInterrupt):
        train(own, pictures(), parts(), tmp_path / "killed", Killed())
    train(own, pictures(), parts(), tmp_path / "killed", Silent())
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_head_may_start_from_the_backbone_of_another(tmp_path: Path) -> None:
    """Else a shared backbone is not what the later head was given."""
    train(plan("fc", epochs=2), pictures(), parts(), tmp_path / "fc", Silent())
    later = replace(plan("gap", learning_rate=1e-30, epochs=1), after=tmp_path / "fc")
    train(later, pictures(), parts(), tmp_path / "gap", Silent())
    before, after = weights(tmp_path / "fc", "last"), weights(tmp_path / "gap", "last")
    convolutions = [name for name in before if name.startswith("backbone.") and ".conv" in name]
    assert convolutions
    assert all(torch.equal(before[name], after[name]) for name in convolutions)


def test_a_head_whose_backbone_is_gone_says_so(tmp_path: Path) -> None:
    later = replace(plan("gap"), after=tmp_path / "fc")
    with pytest.raises(RunError, match="starts from the backbone"):
        train(later, pictures(), parts(), tmp_path / "gap", Silent())
