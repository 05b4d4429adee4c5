"""Where a model looks on an image, for both classes that matter, and its drawing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headtohead.core.pictures import caption_font, drawable
from headtohead.core.text import printable, significant
from headtohead.deploy.image_files import Pixels
from headtohead.deploy.predictor import device_of
from headtohead.deploy.runs import Member
from headtohead.probes.probe_images import mask_file, read_mask
from headtohead.report.charts.overlay import edge_of, field_of, outlined, overlay
from headtohead.stats.metrics import probabilities

TILE, GAP, CAPTION, SCALE = 224, 12, 34, 22
"""Pixels: an image's side on a sheet, the space between two, the line above, the scale below."""

MOST_ROWS = 60
"""Images on a sheet, at most."""

INK, PAPER = (34, 34, 34), (255, 255, 255)
OUTLINE_WIDTH = 2


@dataclass(frozen=True)
class ClassEvidence:
    """What speaks for one class: `map` (side, side) float32 in logits, whose scale ends at `limit`.

    With one logit, class 1's evidence is the logit's and class 0's is its negative.
    """

    label: str
    probability: float
    map: NDArray[np.float32] = field(repr=False)
    limit: float


@dataclass(frozen=True)
class Explanation:
    """An image as the model saw it, and the evidence for its two likeliest classes.

    `exact`: the maps are the head's own, whose mean over the cells is the logit; else they are
    Grad-CAM's (Selvaraju et al. 2017, arXiv 1610.02391), in logits and before its ReLU.
    """

    head: str
    seed: int
    pixels: Pixels = field(repr=False)
    exact: bool
    evidence: tuple[ClassEvidence, ...]

    @property
    def label(self) -> str:
        """The predicted class."""
        return self.evidence[0].label

    def image(self, name: str = "", mask: NDArray[np.uint8] | None = None) -> Image.Image:
        """The image beside its maps; the object's outline of a (side, side) `mask` on each."""
        return draw_row(self, name, mask)


def explanations(member: Member, classes: Sequence[str], pixels: Pixels) -> list[Explanation]:
    """Of prepared images (n, side, side, 3), by the head's own maps where it has exact ones."""
    import torch

    from headtohead.probes.class_maps import maps_of
    from headtohead.probes.seen import features_of
    from headtohead.training.device import tf32
    from headtohead.training.inference import BATCH

    if not len(pixels):
        return []
    model = member.model.eval()
    features = features_of(model, pixels, device_of(model), shared=False)
    with torch.no_grad(), tf32(allowed=False):
        logits = torch.cat([model.head(part) for part in torch.split(features, BATCH)])
        shares = probabilities(logits.cpu().numpy() / member.temperature)
        ranked = np.argsort(-shares, axis=1, kind="stable")[:, :2]
        maps = [maps_of(model.head, features, labels) for labels in ranked.T]
    exact = maps[0].exact is not None
    found = []
    for at, image in enumerate(pixels):
        evidence = []
        for of_rank, label in zip(maps, ranked[at].tolist(), strict=True):
            values = of_rank.gradcam if of_rank.exact is None else of_rank.exact
            spread = field_of(values[at], image, model.backbone)
            limit = max(float(np.abs(spread).max()), 1e-9)
            evidence.append(ClassEvidence(classes[label], float(shares[at, label]), spread, limit))
        found.append(Explanation(member.head, member.seed, image, exact, tuple(evidence)))
    return found


def draw_row(explanation: Explanation, name: str, mask: NDArray[np.uint8] | None) -> Image.Image:
    """One row: the image, then the evidence for each class on a scale of its own."""
    columns = 1 + len(explanation.evidence)
    width = GAP + columns * (TILE + GAP)
    row = Image.new("RGB", (width, CAPTION + TILE + SCALE + GAP), PAPER)
    _put(row, 0, explanation.pixels, mask, printable(name))
    kind = "exact" if explanation.exact else "Grad-CAM"
    for column, found in enumerate(explanation.evidence, start=1):
        title = f"for {printable(found.label)}, {found.probability:.1%} ({kind})"
        _put(row, column, overlay(explanation.pixels, found.map, found.limit), mask, title)
        _scale(row, column, found.limit)
    return row


def sheet(rows: Sequence[Image.Image], title: str) -> Image.Image:
    """Rows under one another, below a title. Raises ValueError for none."""
    if not rows:
        raise ValueError("a sheet needs a row")
    page = Image.new("RGB", (rows[0].width, CAPTION + sum(row.height for row in rows)), PAPER)
    ImageDraw.Draw(page).text((GAP, GAP), _short(title, page.width), fill=INK, font=_font())
    top = CAPTION
    for row in rows:
        page.paste(row, (0, top))
        top += row.height
    return page


def masks_of(
    folder: Path | None, paths: Collection[Path], side: int
) -> list[NDArray[np.uint8] | None]:
    """The mask in `folder` of each file, by its class folder and name or its name; else None."""
    found: list[NDArray[np.uint8] | None] = []
    for path in paths:
        name = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
        place = None if folder is None else mask_file(folder, name)
        found.append(None if place is None else read_mask(place, side))
    return found


def _put(
    row: Image.Image, column: int, pixels: Pixels, mask: NDArray[np.uint8] | None, title: str
) -> None:
    left = GAP + column * (TILE + GAP)
    tile = Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BICUBIC)
    if mask is not None:
        large = Image.fromarray(np.asarray(mask == 1, np.uint8) * 255)
        inside = np.asarray(large.resize((TILE, TILE), Image.Resampling.NEAREST)) > 0
        tile = Image.fromarray(outlined(np.asarray(tile), edge_of(inside, OUTLINE_WIDTH)))
    row.paste(tile, (left, CAPTION))
    ImageDraw.Draw(row).text((left, GAP), _short(title, TILE), fill=INK, font=_font())


def _scale(row: Image.Image, column: int, limit: float) -> None:
    """The colours below a map, from -limit to limit, in logits."""
    left, top = GAP + column * (TILE + GAP), CAPTION + TILE + 4
    ramp = np.linspace(-1, 1, TILE, dtype=np.float32)[None].repeat(6, axis=0)
    grey = np.full((6, TILE, 3), 128, np.uint8)
    row.paste(Image.fromarray(overlay(grey, ramp, 1.0)), (left, top))
    pen, end = ImageDraw.Draw(row), significant(limit, 2)
    for text, at in ((f"-{end}", 0.0), ("logits", 0.5), (f"+{end}", 1.0)):
        width = pen.textlength(text, font=_font())
        pen.text((left + at * (TILE - width), top + 7), text, fill=INK, font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return caption_font(11)


def _short(text: str, width: int) -> str:
    """`text` cut to `width` pixels, its end kept: file names differ there."""
    font = _font()
    text = drawable(text, font)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"
