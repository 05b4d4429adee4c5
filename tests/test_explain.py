"""Explanations: the right class's evidence lies on the right place, with the right sign."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from commands import run
from deployed import Trained, trained_study
from headtohead.backbones.base import Backbone, Normalization
from headtohead.deploy.explain import TILE, explanations
from headtohead.deploy.runs import Member
from headtohead.heads.classifier import Classifier
from headtohead.heads.table import build_head
from headtohead.report.charts.overlay import OUTLINE, edge_of
from stated import stated
from test_class_maps import Wrong

RED, BLUE = (230, 30, 30), (30, 30, 230)


class RedLessBlue(Backbone):
    """One map: red minus blue, of cells of 4 × 4 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.stride, self.first = 1, 4.0, 1.5
        self.normalization, self.identity = Normalization(), "red less blue"

    def map_size(self, image_size: int) -> tuple[int, int]:
        return image_size // 4, image_size // 4

    def forward(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images[:, :1] - images[:, 2:], 4)


def drawn(place: int, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image of 32 × 32 with a coloured square of 8 × 8, and the square's mask."""
    image = np.full((32, 32, 3), 120, np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    image[place : place + 8, place : place + 8] = colour
    mask[place : place + 8, place : place + 8] = 1
    return image, mask


@pytest.mark.parametrize("head", ["gap", "gmp"])  # with maps of its own, and without
def test_each_classs_evidence_lies_on_its_object(head: str) -> None:
    """One logit: class 1 is red, class 0 is blue. Else a map blames or praises the wrong class."""
    top = build_head(head, 1, (8, 8), 1)
    with torch.no_grad():
        for name, value in top.named_parameters():
            value.fill_(0.0 if "bias" in name else 30.0)
    member = Member(head, 0, Classifier(RedLessBlue(), top).eval(), 1.0, 0)
    red, red_mask = drawn(4, RED)
    blue, blue_mask = drawn(20, BLUE)
    both = red.copy()
    both[20:28, 20:28] = BLUE
    found = explanations(member, ("blue", "red"), np.stack([red, blue, both]))
    for one, label, mask in zip(found[:1], ("red",), (red_mask,), strict=True):
        assert one.label == label
        assert {e.label for e in one.evidence} == {"red", "blue"}
        for evidence in one.evidence:
            sign = 1 if evidence.label == label else -1
            inside, outside = evidence.map[mask == 1], evidence.map[mask == 0]
            assert sign * inside.mean() > 3 * abs(outside.mean())
            assert evidence.limit == pytest.approx(np.abs(evidence.map).max())
    if head == "gap":  # a maximum sees no blue at all
        assert found[1].label == "blue"
        own = {e.label: e.map for e in found[1].evidence}
        assert own["blue"][blue_mask == 1].min() > 0 > own["red"][blue_mask == 1].max()
        two = {e.label: e.map for e in found[2].evidence}
        for label, mask in (("red", red_mask), ("blue", blue_mask)):
            assert np.unravel_index(two[label].argmax(), (32, 32)) in set(
                zip(*np.nonzero(mask), strict=True)
            )
    assert [one.exact for one in found] == [top.class_maps(torch.zeros(1, 1, 8, 8)) is not None] * 3


def test_maps_that_are_not_of_the_logits_are_not_called_exact() -> None:
    """Else a sheet shows as exact what the report of the same study leaves out as wrong."""
    image, mask = drawn(8, RED)
    backbone = RedLessBlue()
    (honest,), (wrong,) = (
        explanations(Member("own", 0, Classifier(backbone, head), 1.0, 0), ("b", "r"), image[None])
        for head in (build_head("gap", 1, (8, 8), 1), Wrong(1, (8, 8), 1))
    )
    assert (honest.exact, wrong.exact) == (True, False)
    assert np.ptp(wrong.evidence[0].map[mask == 1]) < np.ptp(wrong.evidence[0].map)  # Grad-CAM's


def test_the_drawing_shows_image_maps_and_mask() -> None:
    """Else the outline of the object lies beside the object, or colours are exchanged."""
    top = build_head("gap", 1, (8, 8), 1)
    with torch.no_grad():
        for name, value in top.named_parameters():
            value.fill_(0.0 if "bias" in name else 30.0)
    image, mask = drawn(8, RED)
    member = Member("gap", 0, Classifier(RedLessBlue(), top).eval(), 1.0, 0)
    (one,) = explanations(member, ("blue", "red"), image[None])
    tiles = np.asarray(one.image("a.jpg", mask), np.int64)
    from headtohead.deploy.explain import CAPTION, GAP

    middle = CAPTION + (12 * TILE) // 32
    columns = [GAP + k * (TILE + GAP) for k in range(3)]
    (first, second) = (tiles[middle, left + (12 * TILE) // 32] for left in columns[1:])
    assert [e.label for e in one.evidence] == ["red", "blue"]
    assert first[0] > first[2]  # red: for the class
    assert second[2] > second[0]  # blue: against it
    edge = CAPTION + (8 * TILE) // 32
    for left in columns:
        assert tuple(tiles[edge, left + (12 * TILE) // 32]) == OUTLINE


def test_an_edge_is_as_thick_as_it_was_asked() -> None:
    """Else an outline hides the object, or the border of the image has none."""
    inside = np.zeros((5, 6), bool)
    inside[:, :5] = True
    assert edge_of(inside, 1).sum() == 25 - 9
    assert edge_of(inside, 2).sum() == 25 - 1
    assert not edge_of(inside, 1)[:, 5].any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_study(tmp_path_factory.mktemp("explain"))


def test_the_command_writes_a_sheet(trained: Trained, tmp_path: Path) -> None:
    """A folder gives a contact sheet; a file that cannot be read is told, and costs no other."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in trained.prepared.names[:3]:
        (folder / Path(name).name).write_bytes((trained.source / name).read_bytes())
    (folder / "broken.jpg").write_bytes(b"nothing")
    out = tmp_path / "sheet.png"
    told = run("explain", trained.out, folder, "--out", out)
    assert told.returncode == 3, told.stderr
    assert "broken.jpg" in told.stderr
    assert "Traceback" not in told.stderr
    with Image.open(out) as image:
        assert image.height > 3 * TILE
        assert image.width > 3 * TILE


def test_images_without_a_mask_are_counted(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else masks under other names are not drawn, and nobody is told why."""
    masks = tmp_path / "masks"
    masks.mkdir()
    paths = [trained.source / name for name in trained.prepared.names[:3]]
    Image.fromarray(np.ones((48, 48), np.uint8)).save(masks / f"{paths[0].stem}.png")
    monkeypatch.setenv("HOME", str(tmp_path))
    options = ("--masks=~/masks", "--out", tmp_path / "sheet.png")  # no shell expands this `~`
    told = run("explain", trained.out, *paths, *options)
    assert told.returncode == 0
    assert stated(told.stderr.splitlines()[-1]) == ["2", "3"]
    assert "mask" not in run("explain", trained.out, paths[0], *options).stderr


def test_no_photograph_is_written_over(trained: Trained, tmp_path: Path) -> None:
    """Else a sheet of one photograph takes the photograph's place."""
    source = trained.source / trained.prepared.names[0]
    path = tmp_path / "one.jpg"
    path.write_bytes(source.read_bytes())
    for named in (path, tmp_path):
        told = run("explain", trained.out, named, "--out", tmp_path / "." / "one.jpg")
        assert told.returncode == 2
        assert "one.jpg" in told.stderr
        assert path.read_bytes() == source.read_bytes()
