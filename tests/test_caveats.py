"""What a study's numbers leave uncertain stands on its page, not only on the terminal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headtohead.config.steps import FEWEST
from headtohead.data.holdout import ENOUGH
from headtohead.report.page.caveats import caveats
from headtohead.report.summary import summarize
from headtohead.study_data import StudyData
from ledgers import full_ledger
from stated import stated


def told(out: Path, **settings: Any) -> list[str]:
    return list(caveats(summarize(StudyData(full_ledger(out, seeds=1, **settings)))))


@pytest.mark.parametrize(
    ("per_class", "interval"), [(20, ["40", "90", "95", "±9.3", "139"]), (70, [])]
)
def test_a_small_test_split_is_told(per_class: int, interval: list[str], tmp_path: Path) -> None:
    """Else whoever gets the page by mail takes 40 images for enough."""
    found = [line for line in told(tmp_path, per_class=per_class) if f"{ENOUGH} images" in line]
    numbers = [number for line in found for number in stated(line, "±9.3")]
    assert numbers[:5] == interval


def test_few_steps_are_told(tmp_path: Path) -> None:
    """Else a head that was hardly trained is taken for a bad one."""
    few = told(tmp_path / "few", epochs=4)  # 25 batches of 64 images in an epoch
    (line,) = (line for line in few if "steps" in line)
    assert stated(line, "--epochs")[:2] == ["100", str(FEWEST)]
    assert "--epochs 12" in line
    assert not any("steps" in line for line in told(tmp_path / "enough", epochs=12))


def test_few_steps_of_one_recipe_name_its_heads(tmp_path: Path) -> None:
    """Else all heads seem to be trained too little."""
    summary = summarize(StudyData(full_ledger(tmp_path, epochs=12, seeds=1)))
    study = summary.file.study
    short = study.heads["fc"].model_copy(update={"recipe": {"epochs": 2}})
    study = study.model_copy(update={"heads": {**study.heads, "fc": short}})
    file = summary.file.model_copy(update={"study": study})
    (line,) = (line for line in caveats(replace(summary, file=file)) if "steps" in line)
    assert stated(line, "fc", "fc_dropout", "gap")[:3] == ["fc", "50", str(FEWEST)]
