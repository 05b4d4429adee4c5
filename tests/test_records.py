"""Records: the best epoch is chosen by one rule, and a cut line is no epoch."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headtohead.store.records import EpochRecord, read_history


def epoch(number: int, val_accuracy: float = 0.5, val_loss: float = 0.7) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        loss=0.6,
        accuracy=0.6,
        train_loss=0.6,
        train_accuracy=0.6,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        seconds=1.0,
        cpu_seconds=1.0,
        pictures_per_second=100.0,
    )


def test_best_is_by_accuracy_then_loss_then_earlier() -> None:
    assert epoch(2, 0.9).beats(epoch(1, 0.8))
    assert epoch(2, 0.9, 0.4).beats(epoch(1, 0.9, 0.5))
    assert not epoch(2, 0.9, 0.4).beats(epoch(1, 0.9, 0.4))
    assert epoch(1).beats(None)


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.6]), st.sampled_from([0.3, 0.4])), min_size=1))
def test_one_pass_finds_the_best_epoch(values: list[tuple[float, float]]) -> None:
    best = None
    for number, (accuracy, loss) in enumerate(values, start=1):
        record = epoch(number, accuracy, loss)
        best = record if record.beats(best) else best
    assert best is not None
    top = max(values, key=lambda pair: (pair[0], -pair[1]))
    assert best.epoch == values.index(top) + 1


def test_history_comes_back_and_a_line_cut_short_does_not_count(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ()
    lines = [epoch(number).model_dump_json() for number in (1, 2)]
    (tmp_path / "history.jsonl").write_text("\n".join(lines) + "\n" + lines[0][:20])
    assert read_history(tmp_path) == (epoch(1), epoch(2))


def test_a_record_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(ValidationError):
        read_history(tmp_path)
