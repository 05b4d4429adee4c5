"""Where a run goes on: position, epochs and best weights must be of one beginning."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headtohead.store.records import EpochRecord, RunRecord
from headtohead.training import checkpoint, state
from headtohead.training.device import environment
from headtohead.training.run import train
from test_run import Silent, assert_same_run, parts, pictures, plan

NAMES = ("history.jsonl", "best.safetensors", "resume.safetensors")
PLAN = plan("gap", epochs=4)


class KilledAt(Silent):
    """Keeps the files of every epoch aside, and is killed when so many are whole."""

    def __init__(self, folder: Path, at: int) -> None:
        super().__init__()
        self.folder, self.at = folder, at

    def epoch(self, record: EpochRecord) -> None:
        super().epoch(record)
        for name in NAMES:
            content = (self.folder / name).read_bytes()
            (self.folder / f"{record.epoch}-{name}").write_bytes(content)
        if record.epoch == self.at:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def every_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written at each epoch, however long a busy disk takes for one."""
    monkeypatch.setattr(state, "SLOW", math.inf)


@pytest.fixture
def best_are(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which epochs are better than those before."""

    def choose(*epochs: int) -> None:
        better = lambda self, other: other is None or self.epoch in epochs  # noqa: E731
        monkeypatch.setattr(EpochRecord, "beats", better)

    return choose


def killed(folder: Path, at: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(PLAN, pictures(), parts(), folder, KilledAt(folder, at))


def finished(folder: Path, whole: Path) -> tuple[Silent, RunRecord]:
    """Goes on, and leaves what an undisturbed run leaves."""
    train(PLAN, pictures(), parts(), whole, Silent())
    watcher = Silent()
    record = train(PLAN, pictures(), parts(), folder, watcher)
    assert checkpoint.read(folder / "best.safetensors")[1]["epoch"] == record.best_epoch
    assert_same_run(whole, folder)
    return watcher, record


def put(folder: Path, epoch: int, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes((folder / f"{epoch}-{name}").read_bytes())


def test_best_weights_of_an_older_epoch_are_not_gone_on_with(
    tmp_path: Path, best_are: Callable[..., None]
) -> None:
    """Else run.json names epoch 2, and the weights beside it are those of epoch 1."""
    best_are(2)
    killed(tmp_path / "run", 3)
    put(tmp_path / "run", 1, "best.safetensors")
    watcher, record = finished(tmp_path / "run", tmp_path / "whole")
    assert (watcher.started, record.best_epoch) == (0, 2)
    assert len(watcher.notes) == 1


@pytest.mark.parametrize("change", ["older", "gone", "cut"])
def test_a_position_that_is_the_best_epoch_has_its_weights(
    tmp_path: Path, best_are: Callable[..., None], change: str
) -> None:
    """Else epochs are lost whose best weights could be written again."""
    best_are(2, 3)
    killed(tmp_path / "run", 3)
    path = tmp_path / "run" / "best.safetensors"
    if change == "older":
        put(tmp_path / "run", 2, path.name)
    elif change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])
    watcher, record = finished(tmp_path / "run", tmp_path / "whole")
    assert (watcher.started, record.best_epoch, watcher.notes) == (3, 3, [])


@pytest.mark.parametrize(("repeatable", "started"), [(True, 2), (False, 0)])
def test_best_weights_of_a_later_epoch_are_kept_only_where_it_comes_again(
    tmp_path: Path,
    best_are: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    repeatable: bool,
    started: int,
) -> None:
    """Else a GPU's second epoch 3 is no better, and epoch 1 is reported with the first one's."""
    best_are(3)
    monkeypatch.setattr(state, "_is_repeatable", lambda device: repeatable)
    killed(tmp_path / "run", 3)
    put(tmp_path / "run", 2, "resume.safetensors")
    watcher, record = finished(tmp_path / "run", tmp_path / "whole")
    assert (watcher.started, record.best_epoch) == (started, 3)


def test_a_position_of_another_arithmetic_does_not_vouch_for_later_best_weights(
    tmp_path: Path, best_are: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `--deterministic` on the second try reports an epoch with another one's weights."""
    best_are(3)
    monkeypatch.setattr(state, "_is_repeatable", lambda device: False)
    killed(tmp_path / "run", 2)
    position = (tmp_path / "run" / "resume.safetensors").read_bytes()
    killed(tmp_path / "run", 3)
    (tmp_path / "run" / "resume.safetensors").write_bytes(position)
    monkeypatch.setattr(state, "_is_repeatable", lambda device: True)
    watcher, record = finished(tmp_path / "run", tmp_path / "whole")
    assert (watcher.started, record.best_epoch) == (0, 3)


@pytest.mark.parametrize(
    ("repeatable", "order"),
    [(True, ["best", "resume"]), (False, ["resume", "best"])],
)
def test_a_kill_between_two_files_costs_one_epoch_at_most(
    tmp_path: Path,
    best_are: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    repeatable: bool,
    order: list[str],
) -> None:
    """Else a run on a GPU, of which best weights came first, begins anew after nearly any kill."""
    best_are(1)
    monkeypatch.setattr(state, "_is_repeatable", lambda device: repeatable)
    written: list[str] = []
    save = checkpoint.save

    def noted(path: Path, *given: Any, **named: Any) -> None:
        written.append(path.stem)
        save(path, *given, **named)

    monkeypatch.setattr(checkpoint, "save", noted)
    killed(tmp_path / "run", 1)
    assert written[:2] == order


def test_a_position_of_another_beginning_is_not_gone_on_from(
    tmp_path: Path, best_are: Callable[..., None]
) -> None:
    """Else the first epochs are those of one machine, and the weights those of another."""
    best_are(1)
    killed(tmp_path / "run", 2)
    killed(tmp_path / "again", 3)
    content = (tmp_path / "again" / "history.jsonl").read_bytes()
    (tmp_path / "run" / "history.jsonl").write_bytes(content)
    watcher, _ = finished(tmp_path / "run", tmp_path / "whole")
    assert watcher.started == 0


def test_a_run_that_fails_at_once_has_no_weights_of_an_earlier_beginning(tmp_path: Path) -> None:
    """Else a failed run is deployed with weights that it never had."""
    killed(tmp_path, 2)
    (tmp_path / "resume.safetensors").unlink()
    (tmp_path / "last.safetensors").write_bytes(b"")
    diverging = plan("gap", epochs=4, learning_rate=1e38)
    record = train(diverging, pictures(), parts(), tmp_path, Silent())
    assert record.status == "failed"
    assert record.best_epoch is None
    assert set(record.files) == {"history.jsonl"}


@pytest.mark.parametrize(
    ("entry", "started"), [("processor", 0), ("torch", 0), ("cores", 2), ("release", 2)]
)
def test_no_run_has_epochs_of_two_kinds_of_machine(
    tmp_path: Path,
    best_are: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
    started: int,
) -> None:
    """Else the second half rounds otherwise, and the run's pairs are not flagged."""
    best_are(1)
    killed(tmp_path / "run", 2)
    monkeypatch.setattr(
        state, "environment", lambda *given: {**environment(*given), entry: "of another kind"}
    )
    watcher, _ = finished(tmp_path / "run", tmp_path / "whole")
    assert watcher.started == started
    assert len(watcher.notes) == (started == 0)


def test_a_position_of_an_earlier_version_is_gone_on_from(
    tmp_path: Path, best_are: Callable[..., None]
) -> None:
    """Else an update costs every half-trained run its epochs."""
    best_are(1)
    killed(tmp_path / "run", 2)
    path = tmp_path / "run" / "resume.safetensors"
    tensors, position = checkpoint.read(path)
    old: dict[str, Any] = {name: position[name] for name in ("key", "epoch", "steps")}
    checkpoint.save(path, tensors, **old)
    watcher, _ = finished(tmp_path / "run", tmp_path / "whole")
    assert (watcher.started, watcher.notes) == (2, [])
