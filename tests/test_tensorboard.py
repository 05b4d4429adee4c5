"""TensorBoard reads back what the ledger holds, by its own reader and by its own server."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from headtohead.core.errors import StorageError
from headtohead.report.formats.tensorboard import RunEvents, hparams, make_whole, run_folder
from headtohead.store.ledger import Ledger
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger


def _scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    reader = EventAccumulator(str(folder)).Reload()
    return [
        (event.step, round(float(event.tensor_proto.float_val[0]), 5))
        for event in reader.Tensors(tag)
    ]


def _tags(folder: Path) -> set[str]:
    return set(EventAccumulator(str(folder)).Reload().Tags()["tensors"])


def _history(ledger: Ledger, head: str, seed: int) -> Any:
    run = ledger.run(head, seed)
    assert run is not None
    return run.history


def test_charts_hold_the_history_under_keras_names(tmp_path: Path) -> None:
    """Training and validation must meet in one chart, as from the article's Keras callback."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    history = _history(ledger, "gap", 0)
    with RunEvents(StudyData(ledger), "gap", 0) as events:
        for epoch in history:
            events.epoch(epoch)
    folder = run_folder(tmp_path, "gap", 0)
    for part, tag, field in (
        ("train", "epoch_accuracy", "accuracy"),
        ("train", "epoch_loss", "loss"),
        ("train", "evaluation_accuracy", "train_accuracy"),
        ("train", "evaluation_loss", "train_loss"),
        ("validation", "epoch_accuracy", "val_accuracy"),
        ("validation", "epoch_loss", "val_loss"),
    ):
        expected = {epoch.epoch: getattr(epoch, field) for epoch in history}
        assert dict(_scalars(folder / part, tag)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("metric", "more"),
    [("test_accuracy", set()), ("macro_f1", {"result/test_macro_f1"})],
)
def test_what_verdicts_are_about_is_among_the_results(
    tmp_path: Path, metric: str, more: set[str]
) -> None:
    """Else the table of runs cannot be sorted by the one number that decides."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=1, metric=metric)
    assert made_whole(ledger)
    usual = ("best_val_accuracy", "last_val_accuracy", "test_accuracy", "last_overfit")
    expected = {f"result/{name}" for name in usual} | more
    found = _tags(run_folder(tmp_path, "gap", 0))
    assert {tag for tag in found if tag.startswith("result/")} == expected


def test_a_chart_says_how_its_values_are_measured(tmp_path: Path) -> None:
    """Else running and evaluated accuracy are read as the same thing, and one as an error."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=1)
    assert made_whole(ledger)
    reader = EventAccumulator(str(run_folder(tmp_path, "gap", 0) / "train")).Reload()
    running, evaluated = (
        reader.SummaryMetadata(tag).summary_description
        for tag in ("epoch_accuracy", "evaluation_accuracy")
    )
    assert "dropout" in running
    assert "evaluation mode" in evaluated


def test_what_is_not_set_is_told_by_what_it_is(tmp_path: Path) -> None:
    """Else a run with Adam is listed under the optimizer "None"."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1, heads_after={"gap": "fc"})
    first, second = (hparams(StudyData(ledger), head, 0) for head in ("fc", "gap"))
    assert "None" not in first.values()
    assert [first[name] for name in ("optimizer", "schedule", "precision")] == [
        *("adam", "constant", "float32")
    ]
    assert "after" not in first
    assert second["after"] == "fc"


def test_each_epoch_is_seen_while_the_run_goes_on(tmp_path: Path) -> None:
    """A user watches training live: an epoch must be readable before the files are closed."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    history = _history(ledger, "gap", 0)
    with RunEvents(StudyData(ledger), "gap", 0) as events:
        events.epoch(history[0])
        assert len(_scalars(run_folder(tmp_path, "gap", 0) / "train", "epoch_loss")) == 1


def test_a_resumed_run_shows_no_epoch_twice(tmp_path: Path) -> None:
    """Epochs that were cut back by a crash would stay in the charts as a zigzag."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    history = _history(ledger, "gap", 0)
    with RunEvents(StudyData(ledger), "gap", 0) as events:
        for epoch in history[:3]:
            events.epoch(epoch)
    with RunEvents(StudyData(ledger), "gap", 0, history[:2]) as events:
        for epoch in history[2:]:
            events.epoch(epoch)
    folder = run_folder(tmp_path, "gap", 0) / "validation"
    assert [step for step, _ in _scalars(folder, "epoch_loss")] == [1, 2, 3, 4]


def made_whole(ledger: Ledger) -> bool:
    """Of a ledger with one run: whether its files had to be written."""
    data = StudyData(ledger)
    return make_whole(data, data.results[0])


def test_whole_runs_are_left_alone_and_others_completed(tmp_path: Path) -> None:
    """Rendering again must not reset a watching TensorBoard, nor keep results that grew."""
    ledger = study_ledger(tmp_path, heads=("gap",), seeds=1)
    record = add_run(ledger, "gap", 0, predictions=False)
    assert made_whole(ledger)
    assert not made_whole(ledger)
    assert "result/test_accuracy" not in _tags(run_folder(tmp_path, "gap", 0))
    assert add_run(ledger, "gap", 0) == record
    assert made_whole(ledger)
    assert "result/test_accuracy" in _tags(run_folder(tmp_path, "gap", 0))


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A file in the way, or a full disk, must not end in a traceback of TensorBoard's."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    (tmp_path / "tensorboard").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        RunEvents(StudyData(ledger), "gap", 0)


@contextmanager
def _server(logdir: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir)]
    options = ["--port", str(port), "--host", "127.0.0.1", "--load_fast", "false"]
    log = logdir.parent / "tensorboard.log"
    with log.open("wb") as handle:
        process = subprocess.Popen([*command, *options], stdout=handle, stderr=handle)
    try:
        yield f"http://127.0.0.1:{port}/data"
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def _fetch(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - a server of our own
        url, data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.loads(answer.read())


def _fetch_once_loaded(url: str, runs: int) -> Any:
    """The scalar tags, once the server has loaded `runs` runs; bounded at a minute."""
    found: Any = None
    for _ in range(240):
        try:
            found = _fetch(url)
        except OSError:
            found = {}
        if len(found) >= runs:
            return found
        time.sleep(0.25)
    raise AssertionError(f"TensorBoard showed {found} after a minute")


def test_the_real_server_shows_charts_and_the_table_of_runs(tmp_path: Path) -> None:
    """`tensorboard --logdir` is what the user types: its tabs must not be empty."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2, epochs=2)
    for head, seed in (("fc", 0), ("gap", 0), ("gap", 1)):
        add_run(ledger, head, seed)
    add_run(ledger, "fc", 1, failure=Failure(reason="diverged", epoch=2, step=3))
    data = StudyData(ledger)
    for result in data.results:
        make_whole(data, result)
    with _server(tmp_path / "tensorboard") as url:
        tags = _fetch_once_loaded(f"{url}/plugin/scalars/tags", runs=12)
        assert set(tags["gap/seed-1/validation"]) == {"epoch_accuracy", "epoch_loss"}
        points = _fetch(
            f"{url}/plugin/scalars/scalars?run=gap/seed-1/validation&tag=epoch_accuracy"
        )
        history = _history(ledger, "gap", 1)
        assert [(step, value) for _, step, value in points] == [
            (epoch.epoch, pytest.approx(epoch.val_accuracy, abs=1e-6)) for epoch in history
        ]
        experiment = _fetch(f"{url}/plugin/hparams/experiment", {"experimentName": ""})
        columns = {info["name"] for info in experiment["hparamInfos"]}
        assert {"head", "seed", "learning_rate", "parameters", "augment.flip"} <= columns
        metrics = [info["name"] for info in experiment["metricInfos"]]
        groups = _fetch(
            f"{url}/plugin/hparams/session_groups",
            {
                "startIndex": 0,
                "sliceSize": 100,
                "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_UNKNOWN"],
                "colParams": [{"metric": name} for name in metrics],
            },
        )["sessionGroups"]
    rows = {group["name"]: group for group in groups}
    assert set(rows) == {f"{head}/seed-{seed}" for head in ("fc", "gap") for seed in (0, 1)}
    assert rows["gap/seed-1"]["hparams"]["parameters"] == 29_217
    assert rows["gap/seed-1"]["hparams"]["head"] == "gap"
    values = {m["name"]["tag"]: m["value"] for m in rows["gap/seed-1"]["metricValues"]}
    shown = data.results[3].metrics
    assert values["result/test_accuracy"] == pytest.approx(shown["test_accuracy"])
    assert values["result/best_val_accuracy"] == pytest.approx(shown["best_val_accuracy"])
    assert rows["fc/seed-1"]["sessions"][0]["status"] == "STATUS_FAILURE"
