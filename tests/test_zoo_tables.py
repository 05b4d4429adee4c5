"""docs/zoo.md says what its runs gave."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo_tables
from headtohead.config.strict_yaml import read_yaml
from headtohead.heads.table import HEADS

ROOT = Path(__file__).parent.parent
SHARES = (0.70, 0.72, 0.71)


def write(path: Path, accuracies: dict[str, tuple[float, ...]]) -> None:
    lines = ["head,seed,head_parameters,test_accuracy,last_overfit,cpu_seconds"]
    for head, values in accuracies.items():
        lines += [f"{head},{seed},10,{value},0.1,2" for seed, value in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")


def test_the_page_has_the_tables_of_its_runs() -> None:
    """Else its figures are nobody's. Make them anew: python tools/zoo_tables.py."""
    page = zoo_tables.PAGE.read_text(encoding="utf-8")
    assert page == zoo_tables.filled(page)
    assert {name for name in zoo_tables.TABLES if f"<!-- table {name} -->" in page} == {
        *zoo_tables.TABLES
    }


@pytest.mark.parametrize("name", zoo_tables.ZOO)
def test_a_study_has_the_runs_that_the_page_speaks_of(name: str) -> None:
    """Lost: a head that the study names and nobody sees missing, or verdicts of too few seeds.

    A head that is added later takes no training here.
    """
    runs = zoo_tables.study(name).accuracies
    file = zoo_tables.DATA / f"{name}.yaml"
    named = {*read_yaml(file.read_text(encoding="utf-8"), file.name)["heads"]}
    assert {*runs} == named <= {*HEADS}
    assert {len(runs[head]) for head in ("gap", *zoo_tables.ASKED)} == {7}
    assert min(len(seeds) for seeds in runs.values()) >= (3 if name == "zoo-drawn" else 7)


def test_a_mark_needs_an_interval_that_does_not_hold_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else readers take noise for a better head."""
    monkeypatch.setattr(zoo_tables, "DATA", tmp_path)
    better = tuple(value + 0.1 + 0.001 * seed for seed, value in enumerate(SHARES))
    worse = tuple(value - 0.1 - 0.001 * seed for seed, value in enumerate(SHARES))
    write(tmp_path / "x.csv", {"gap": SHARES, "gem": better, "fc": worse, "gmp": (0.9, 0.6, 0.7)})
    found = zoo_tables.study("x")
    cells = {head: zoo_tables._cell(found, head) for head in found.accuracies}
    assert cells["gap"] == f"71.0 ± {100 * np.std(SHARES, ddof=1):.1f}"
    assert cells["gem"].startswith("81.1 ± ")
    assert {head: cell[-1] for head, cell in cells.items() if cell[-1] in "▲▼"} == {
        "gem": "▲",
        "fc": "▼",
    }
    assert zoo_tables._cell(found, "linear") == "–"


def test_ranks_are_those_of_spearman() -> None:
    """Else the page says that parameters help where they do not."""
    first, second = [1.0, 10.0, 10.0, 1000.0], [0.9, 0.8, 0.7, 0.6]
    assert zoo_tables._ranks(first) == [0, 1.5, 1.5, 3]
    found = np.corrcoef(zoo_tables._ranks(first), zoo_tables._ranks(second))[0, 1]
    assert found == pytest.approx(-0.9486832981)  # scipy.stats.spearmanr


def results(folder: Path, runs: list[tuple[object, ...]]) -> Path:
    columns = ("head", "seed", "status", "head_parameters", "test_accuracy", "last_overfit")
    folder.mkdir()
    with (folder / "results.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([*columns, "cpu_seconds", "test_loss"])
        table.writerows(runs)
    return folder


def test_packed_studies_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: the accuracies of hours. Runs that failed are left out, and none is counted twice."""
    monkeypatch.setattr(zoo_tables, "DATA", tmp_path / "zoo")
    run = ("gap", 0, "finished", 65, 2 / 3, 0.01, 1.5, 0.5)
    one = results(tmp_path / "one", [run, ("gap", 1, "failed", 65, "", "", "", "")])
    other = results(tmp_path / "other", [run, ("gem", 0, "finished", 66, 0.5, 0, 1, 0.7)])
    zoo_tables.pack([one, other], "x")
    found = zoo_tables.study("x")
    assert found.accuracies == {"gap": {0: pytest.approx(2 / 3, abs=1e-6)}, "gem": {0: 0.5}}
    assert found.parameters == {"gap": 65, "gem": 66}
    assert len((tmp_path / "zoo/x.csv").read_text().splitlines()) == 3


def test_the_figures_are_there_and_small() -> None:
    """Else the page has a hole, or a clone grows by it."""
    for name in ("parameters", "per_class"):
        path = zoo_tables.FIGURES / f"{name}.png"
        assert path.stat().st_size < 150_000
        with Image.open(path) as image:
            assert image.width > 600
