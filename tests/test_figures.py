"""Figures show the ledger's numbers, in the same bytes each time, whatever names they bear."""

import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image, ImageColor

from headtohead.core.errors import StorageError
from headtohead.report.charts.chart import drawing, figure_file
from headtohead.report.charts.curves import (
    QUANTITIES,
    Curve,
    Track,
    draw_curves,
    tracks_of,
    values_of,
)
from headtohead.report.charts.style import KNOWN_HEADS, head_styles
from headtohead.report.formats.figures import HEIGHT, WIDTH, Plot, plots, write_figures
from headtohead.store.records import Failure
from headtohead.study_data import StudyData
from ledgers import add_run, full_ledger, study_ledger

SUBTITLE = "study quick, 2 seeds"


QUANTITY = {quantity.name: quantity for quantity in QUANTITIES}


def curve(track: Track, quantity: str, label: str) -> Curve:
    return Curve(track, QUANTITY[quantity], label, track.style)


def draw(plot: Plot, subtitle: str) -> dict[str, bytes]:
    with drawing(WIDTH, HEIGHT) as paper:
        draw_curves(paper, plot.curves)
        return {s: figure_file(paper.figure, s, plot.title, subtitle) for s in ("png", "svg")}


def _texts(svg: bytes) -> list[str]:
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own drawing
    return [node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_articles_figures_are_drawn_for_the_heads_that_ran(tmp_path: Path) -> None:
    """FC alone, GAP against FC, all heads: what the tutorial's reader wants to see again."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=1, epochs=2)
    for head in ("fc", "gap"):
        add_run(ledger, head, 0)
    paths = write_figures(StudyData(ledger))
    names = {path.name for path in paths}
    stems = ("fc", "gap", "gap_vs_fc", "all_heads")
    assert names == {
        f"{stem}_{metric}.{suffix}"
        for stem in stems
        for metric in ("accuracy", "loss")
        for suffix in ("png", "svg")
    }
    for path in paths:
        assert path.parent == tmp_path / "figures"
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5
        else:
            assert "epoch" in _texts(path.read_bytes())


def test_a_study_without_fc_or_gap_has_its_figures(tmp_path: Path) -> None:
    """Names follow the heads that ran; the reference is the first one here."""
    ledger = full_ledger(tmp_path, heads=("avgpool2x2", "mine.Head"), seeds=1, epochs=1)
    tracks = tracks_of(StudyData(ledger))
    assert [plot.name for plot in plots(tracks, "avgpool2x2")][:4] == [
        "avgpool2x2_accuracy",
        "mine.Head_accuracy",
        "avgpool2x2_vs_mine.Head_accuracy",
        "all_heads_accuracy",
    ]


def test_lines_are_the_histories_in_per_cent(tmp_path: Path) -> None:
    """A figure of other numbers than the ledger's is worse than none."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=3)
    (track,) = tracks_of(StudyData(ledger))
    expected = [[100 * e.val_accuracy for e in run.history] for run in ledger.runs()]
    assert values_of(QUANTITY["val_accuracy"], track) == pytest.approx(np.array(expected))


def test_failed_runs_are_left_out_and_values_that_are_no_numbers_are_gaps(tmp_path: Path) -> None:
    """A diverged run would drag the mean and blow up the axis of the loss."""
    ledger = study_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    add_run(ledger, "gap", 0)
    add_run(ledger, "gap", 1, failure=Failure(reason="diverged", epoch=3, step=1))
    add_run(ledger, "fc", 0, failure=Failure(reason="diverged", epoch=1, step=1))
    (track,) = tracks_of(StudyData(ledger))
    assert (track.head, len(track.histories)) == ("gap", 1)
    first, *rest = track.histories[0]
    strange = first.model_copy(update={"val_loss": float("inf")})
    holed = replace(track, histories=((strange, *rest),))
    assert np.isnan(values_of(QUANTITY["val_loss"], holed)[0, 0])
    plot = Plot("x", "x", (curve(holed, "val_loss", "validation"),))
    assert draw(plot, SUBTITLE)["png"]


def test_the_same_ledger_gives_the_same_bytes(tmp_path: Path) -> None:
    """Reports under version control must not change when nothing has changed."""
    ledger = full_ledger(tmp_path, heads=("fc", "gap"), seeds=2)
    plot = list(plots(tracks_of(StudyData(ledger)), "gap"))[3]
    first = draw(plot, SUBTITLE)
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9}):  # a matplotlibrc of the user's
        second = draw(plot, SUBTITLE)
    assert first == second
    assert mpl.rcParams["svg.hashsalt"] is None
    assert not re.search(rb"<dc:date>", first["svg"])


def test_hostile_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    """`$` would be read as mathematics and stop the report; `<script>` would run in the SVG."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    (track,) = tracks_of(StudyData(ledger))
    name = r"$\frac{<script>alert(1)</script> & 50 %"
    svg = draw(Plot("x", name, (curve(track, "val_accuracy", name),)), name)["svg"]
    assert b"<script" not in svg
    texts = [text.strip() for text in _texts(svg)]
    assert texts.count(name) == 3


def test_a_head_keeps_its_colour_whatever_runs_beside_it() -> None:
    """GAP in blue here and in green there misleads; heads that share a study differ."""
    all_heads = head_styles(("fc", "fc_dropout", "gap", "avgpool2x2", "a", "b"))
    assert head_styles(["gap"])["gap"].color == all_heads["gap"].color
    assert len(set(all_heads.values())) == 6
    many = head_styles(f"head{i}" for i in range(8))
    assert len(set(many.values())) == 8


def test_few_colours_are_enough_for_every_head(tmp_path: Path) -> None:
    """Else a head of a small PNG has another colour than on the page."""
    heads = KNOWN_HEADS[:10]
    ledger = full_ledger(tmp_path, heads=heads, seeds=2)
    tracks = tracks_of(StudyData(ledger))
    curves = tuple(curve(track, "val_accuracy", track.head) for track in tracks)
    with Image.open(io.BytesIO(draw(Plot("x", "x", curves), SUBTITLE)["png"])) as image:
        assert image.mode == "P"
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    for track in tracks:
        off = np.abs(pixels - np.array(ImageColor.getrgb(track.style.color))).max(axis=1)
        assert (off <= 12).sum() > 200, track.head


def test_legend_does_not_cover_the_lines_and_fits(tmp_path: Path) -> None:
    """Long head names must neither run out of the figure nor hide the curves."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    (track,) = tracks_of(StudyData(ledger))
    names = [f"{'n' * 60}{i}" for i in range(4)]
    curves = tuple(curve(track, "val_loss", name) for name in names)
    png = draw(Plot("x", "x", curves), SUBTITLE)["png"]
    with Image.open(io.BytesIO(png)) as image:
        pixels = np.asarray(image.convert("L"))
    # Nothing is drawn on the outermost columns: text that does not fit would be cut there.
    assert (pixels[:, :3] == 255).all()
    assert (pixels[:, -3:] == 255).all()


@pytest.mark.parametrize("epochs", [1, 3, 60])
def test_epochs_are_whole_and_start_at_one(tmp_path: Path, epochs: int) -> None:
    """There is no epoch 0 and no epoch 1.5 to read off."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1, epochs=epochs)
    plot = next(plots(tracks_of(StudyData(ledger)), "gap"))
    texts = _texts(draw(plot, SUBTITLE)["svg"])
    ticks = texts[: texts.index("epoch")]
    assert all(1 <= int(tick) <= epochs for tick in ticks)
    assert str(epochs) in ticks


def test_a_figure_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """Something else under a figure's name is the user's to move, not a traceback."""
    ledger = full_ledger(tmp_path, heads=("gap",), seeds=1)
    (tmp_path / "figures" / "gap_accuracy.png").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot write"):
        write_figures(StudyData(ledger))
