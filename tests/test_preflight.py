"""What a study's workers say before any work: real workers, asked as a command asks them."""

import os
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.from_options import study_from
from headtohead.core.errors import UsageError
from headtohead.runtime.preflight import PreflightAnswer, answer_of, first_worker, question_about

pytestmark = pytest.mark.usefixtures("quick_workers")


def answer(
    heads: str = "gap", device: str = "cpu", workers: int | None = None, **options: object
) -> PreflightAnswer:
    spec = study_from("quick", heads=heads, **options)
    question = question_about(spec, device, workers, deterministic=False)
    with first_worker(question) as standby:
        return answer_of(standby)


def test_every_worker_has_a_setup() -> None:
    """Else a machine's cores stay idle, or two workers share one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    found = answer(workers=len(cores))
    assert [setup["core"] for setup in found.setups] == cores
    assert {setup["device"] for setup in found.setups} == {"cpu"}
    assert found.stride == 8


def test_a_head_that_fails_to_be_built_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a slip in a head of one's own is a worker that died."""
    (tmp_path / "odd.py").write_text(
        "from headtohead.heads.pooling import GlobalAverage\n"
        "class Odd(GlobalAverage):\n"
        "    def __init__(self, channels, size, outputs):\n"
        "        raise ValueError('not on a Thursday')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="ValueError: not on a Thursday"):
        answer("odd:Odd")


def test_no_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="received 0"):
        answer(workers=0)


@pytest.mark.parametrize("wrong", [{"workers": 1.5}, {"workers": "1"}, {"workers": True}], ids=str)
def test_other_kinds_of_workers_are_refused(wrong: dict[str, Any]) -> None:
    """Else a slip in Python ends in another library's error."""
    with pytest.raises(UsageError, match="whole number"):
        answer(**wrong)


def test_another_kind_of_device_or_study_is_refused() -> None:
    """Else a slip in Python ends in another library's error."""
    with pytest.raises(UsageError, match="received None"):
        answer(device=None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"received \{\}"):
        study_from({})  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["breakpoint()", "input('go on? ')", "raise SystemExit(3)"])
def test_a_head_that_asks_or_leaves_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Else the command waits for ever, or says only that a worker died."""
    (tmp_path / "asks.py").write_text(
        f"from headtohead.heads.pooling import GlobalAverage\nclass Asks(GlobalAverage): {code}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="asks:Asks"):
        answer("asks:Asks")


def test_a_class_within_a_class_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else not every importable class is accepted."""
    (tmp_path / "nested.py").write_text(
        "from headtohead.heads.pooling import GlobalAverage\n"
        "class _Outer:\n    class Größer(GlobalAverage): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert answer("nested:_Outer.Größer", workers=1).refusal is None
