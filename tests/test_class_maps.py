"""Where a model looks, by one method for all heads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from headtohead.backbones.frozen import Frozen
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.claims.class_maps import _means, few_masks, same_images
from headtohead.heads.classifier import Classifier
from headtohead.heads.describe import class_maps_of
from headtohead.heads.pooling import GlobalAverage
from headtohead.heads.table import HEADS, build_head
from headtohead.probes.class_maps import (
    CLASS_MAPS,
    collect_class_maps,
    gradcam_of,
    taken_apart,
)
from headtohead.probes.curves import (
    FEWER_CURVES,
    FEWER_STEPS,
    STEPS,
    Curves,
    _shares,
    of_class,
)
from headtohead.probes.probe_images import UNKNOWN, Masks, ProbeImages
from headtohead.stats.maps import area_gain, at_pixels
from headtohead.store.evidence import read_evidence, write_evidence
from stated import stated

CPU = torch.device("cpu")
SIDE = 24
WIDE = (4, 32)
"""The blocks' widths for heads that divide the channels."""


def classifier(head: str, outputs: int = 1, widths: tuple[int, ...] = (4, 6)) -> Classifier:
    torch.manual_seed(0)
    backbone = TutorialCNN(widths)
    size = backbone.map_size(SIDE)
    model = Classifier(backbone, build_head(head, widths[-1], size, outputs))
    model.train()(torch.rand(16, 3, SIDE, SIDE))  # so that batch norm has seen images
    return model.eval()


def pictures(count: int = 6, classes: int = 2) -> ProbeImages:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
    rows = np.arange(count)
    return ProbeImages(rows, rows % classes, pixels, np.empty((count, 0, 0, 3), np.uint8))


def as_inputs(found: ProbeImages) -> torch.Tensor:
    return torch.from_numpy(found.pixels).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("widths", [(2,), (2, 2), (2, 2, 2)])
def test_cells_lie_where_their_receptive_fields_are_centred(widths: tuple[int, ...]) -> None:
    """Else every map is laid beside what it speaks of."""
    torch.manual_seed(0)
    backbone = TutorialCNN(widths).eval()
    side, cell = 40, 1
    base = torch.rand(8, 3, side, side)
    with torch.no_grad():
        before = backbone(base)[:, :, :, cell]
        moved = []
        for column in range(side):
            changed = base.clone()
            changed[..., column] += 2 * torch.randn(8, 3, side)
            moved.append(bool((backbone(changed)[:, :, :, cell] != before).any()))
    seen = np.flatnonzero(moved)
    assert (seen[0] + seen[-1]) / 2 == backbone.first + backbone.stride * cell


@pytest.mark.parametrize("outputs", [1, 3])
def test_gradcam_of_global_average_pooling_is_its_own_map(outputs: int) -> None:
    """Else heads with exact maps and heads without are not on one scale, or a sign is wrong."""
    model, shown = classifier("gap", outputs), pictures(classes=max(2, outputs))
    maps = collect_class_maps(model, shown, CPU)
    assert maps.exact is not None
    bias = model.head.get_parameter("linear.bias").detach().numpy()
    shift = (2 * maps.labels - 1) * bias[0] if outputs == 1 else bias[maps.labels]
    np.testing.assert_allclose(
        maps.gradcam + shift[:, None, None], maps.exact, rtol=1e-4, atol=1e-5
    )
    logits = of_class(model(as_inputs(shown)), torch.from_numpy(maps.labels))
    np.testing.assert_allclose(maps.exact.mean((1, 2)), logits.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_has_maps(head: str) -> None:
    """Else the comparison of class maps stops at some head."""
    shown = pictures()
    maps = collect_class_maps(classifier(head, widths=WIDE), shown, CPU)
    assert maps.gradcam.shape == (6, 4, 4)
    assert np.isfinite(maps.gradcam).all()
    assert (maps.exact is None) == (class_maps_of(HEADS[head].cls) == "none")
    assert (maps.exact_curves is None) == (maps.exact is None)


def test_one_logit_speaks_for_class_1_and_against_class_0() -> None:
    """Else the maps of class 0 show where the model sees the other class."""
    logits = classifier("fc")(as_inputs(pictures()))
    ones = torch.ones(6, dtype=torch.int64)
    assert torch.equal(of_class(logits, ones), logits[:, 0])
    assert torch.equal(of_class(logits, 0 * ones), -logits[:, 0])


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    "head",
    [
        *("fc", "fc_dropout", "gap", "avgpool2x2", "gap_bn", "gap_fc", "fc_small"),
        *("gem", "spp", "wildcat", "attention", "abmil", "isqrt_cov", "cosine"),
    ],
)
def test_gradcam_is_captums(head: str, outputs: int) -> None:
    """Else the one method for all heads is not the one that the report names."""
    model, inputs = classifier(head, outputs, WIDE), as_inputs(pictures())
    labels = torch.arange(6) % max(2, outputs)

    def true_logit(shown: torch.Tensor) -> torch.Tensor:
        return of_class(model(shown), labels)

    theirs = LayerGradCam(true_logit, model.backbone).attribute(inputs)[:, 0]
    with torch.no_grad():
        mine = gradcam_of(model.head, model.backbone(inputs), labels)
    cells = mine.shape[1] * mine.shape[2]
    torch.testing.assert_close(mine, theirs.detach() * cells, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("head", ["gap", "gap_fc", "fc_small"])
def test_a_curve_is_what_the_model_says_of_each_mixed_picture(head: str, outputs: int) -> None:
    """Else sharing work between curves gives one the numbers of another."""
    model, shown = classifier(head, outputs), pictures(3, max(2, outputs))
    maps = collect_class_maps(model, shown, CPU)
    for values, curves in ((maps.gradcam, maps.gradcam_curves), (maps.exact, maps.exact_curves)):
        if values is None or curves is None:
            continue
        share = _shares(at_pixels(values, SIDE, maps.first, maps.stride))
        mean = np.zeros_like(shown.pixels) + shown.pixels.mean((1, 2), keepdims=True).astype("u1")
        for k in range(STEPS + 1):
            taken = np.where((share < k / STEPS)[..., None], mean, shown.pixels)
            logits = model(torch.from_numpy(taken).permute(0, 3, 1, 2) / 255).detach()
            both = torch.cat([-logits, logits], 1) / 2 if outputs == 1 else logits
            said = both.softmax(1)[torch.arange(3), torch.from_numpy(shown.labels)]
            np.testing.assert_allclose(curves.deletion[:, k], said, rtol=1e-3, atol=1e-5)


def frozen_classifier(head: str) -> Classifier:
    model = classifier(head)
    model.backbone = Frozen(model.backbone)
    return model


@pytest.mark.parametrize("head", ["gap", "fc_small"])
@pytest.mark.parametrize("seed", [0, 2])
def test_a_seeds_curves_on_a_frozen_backbone_are_of_its_own_images(head: str, seed: int) -> None:
    """Else a curve is told of an image that it does not show, or all seeds show the same two."""
    model, shown = frozen_classifier(head), pictures(5)
    maps = collect_class_maps(model, shown, CPU, seed)
    mine = [[0, 1], [2, 3], [4, 0]][seed]
    assert maps.apart.tolist() == mine
    share = _shares(at_pixels(maps.gradcam[mine], SIDE, maps.first, maps.stride))
    mean = np.zeros_like(shown.pixels) + shown.pixels.mean((1, 2), keepdims=True).astype("u1")
    for k in range(FEWER_STEPS + 1):
        taken = np.where((share < k / FEWER_STEPS)[..., None], mean[mine], shown.pixels[mine])
        logits = model(torch.from_numpy(taken).permute(0, 3, 1, 2) / 255).detach()[:, 0]
        said = torch.sigmoid(logits * torch.from_numpy(2 * shown.labels[mine] - 1))
        np.testing.assert_allclose(maps.gradcam_curves.deletion[:, k], said, rtol=1e-3, atol=1e-5)


def test_another_head_of_a_seed_costs_its_own_mixed_images_alone() -> None:
    """Else 25 heads × 7 seeds cost many times what the features cost."""
    first, shown, sizes = frozen_classifier("gap"), pictures(5), []
    first.backbone.register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    other = Classifier(first.backbone, frozen_classifier("gap").head)
    mixed = FEWER_CURVES * (FEWER_STEPS - 1)
    found = []
    for model, seed in ((first, 0), (other, 0), (first, 1), (other, 1)):
        collect_class_maps(model, shown, CPU, seed)
        found.append(sum(sizes))
        sizes.clear()
    ends = 2 * FEWER_CURVES  # the mean and the blurred copy of each
    shared = ends + 2 * mixed  # in random order, deletion and insertion
    assert found == [5 + shared + 2 * mixed, 2 * mixed, shared + 2 * mixed, 2 * mixed]


def test_seven_seeds_take_other_images_of_every_class_apart() -> None:
    """Else the claim stands on the same few images, however many seeds there are."""
    seeds = [taken_apart(96, seed, frozen=True) for seed in range(7)]
    assert np.unique(np.concatenate(seeds)).tolist() == list(range(14))
    assert [(apart % 2).tolist() for apart in seeds] == [[0, 1]] * 7
    assert taken_apart(96, 5, frozen=False).tolist() == list(range(24))
    assert [taken_apart(count, 3, frozen=True).tolist() for count in (0, 1)] == [[], [0]]


def test_evidence_of_before_has_the_curves_of_the_first_images() -> None:
    """Else a study of an earlier version has no class maps any more, or other numbers."""
    maps = collect_class_maps(frozen_classifier("gap"), pictures(5), CPU, 2)
    arrays = CLASS_MAPS.pack(maps)
    assert CLASS_MAPS.describe(arrays).apart.tolist() == [4, 0]
    del arrays["apart"]
    before = CLASS_MAPS.describe(arrays)
    assert before.apart.tolist() == [0, 1]
    np.testing.assert_array_equal(before.gradcam_curves.deletion, maps.gradcam_curves.deletion)


def test_heads_of_a_seed_are_compared_over_the_images_of_both() -> None:
    """Else a head that is added to a study of before is compared by other images' curves."""
    model, shown = frozen_classifier("gap"), pictures(5)
    new = {("new", seed): collect_class_maps(model, shown, CPU, seed) for seed in range(3)}
    rows = np.arange(4, dtype=np.float32)[:, None].repeat(6, axis=1)
    curve = {0: rows, 1: rows, 2: rows[:3]}
    old = {
        ("old", seed): replace(
            maps,
            gradcam_curves=Curves(curve[seed], curve[seed]),
            random_curves=Curves(curve[seed], curve[seed]),
            exact_curves=None,
            apart=np.arange(4) if seed < 2 else np.array([1, 2, 3]),
        )
        for (_, seed), maps in new.items()
    }
    kept, without = same_images({**old, **new})
    assert without == [2]
    for seed, images in enumerate(([0, 1], [2, 3], [])):
        for head in ("old", "new"):
            assert kept[head, seed].apart.tolist() == images
            assert len(kept[head, seed].random_curves.insertion) == len(images)
        assert kept["old", seed].gradcam_curves.deletion[:, 0].tolist() == images
    alike, without = same_images(new)
    assert without == []
    for run, maps in new.items():
        np.testing.assert_array_equal(
            alike[run].gradcam_curves.insertion, maps.gradcam_curves.insertion
        )


def test_maps_hang_on_no_other_picture() -> None:
    """Else an image's map changes with its neighbours in the batch."""
    model, shown = classifier("fc"), pictures()
    alone = ProbeImages(shown.rows[2:3], shown.labels[2:3], shown.pixels[2:3], shown.wide[2:3])
    together = collect_class_maps(model, shown, CPU).gradcam[2:3]
    np.testing.assert_allclose(
        collect_class_maps(model, alone, CPU).gradcam, together, rtol=1e-3, atol=1e-5
    )


def brightness() -> Classifier:
    """A model by hand: class 1 is what is bright, wherever it is."""
    backbone = TutorialCNN((1,))
    model = Classifier(backbone, build_head("gap", 1, backbone.map_size(SIDE), 1))
    with torch.no_grad():
        for name, value in backbone.named_parameters():
            if value.ndim == 4:
                value.fill_(1 / 27)
            else:
                value.fill_(1.0 if name.endswith("gamma") else 0.0)
        model.head.get_parameter("linear.weight").fill_(60.0)
        model.head.get_parameter("linear.bias").fill_(-4.0)
    return model.eval()


def bright_squares() -> ProbeImages:
    pixels = np.zeros((4, SIDE, SIDE, 3), np.uint8)
    for index, (top, left) in enumerate([(2, 2), (12, 3), (6, 12), (13, 13)]):
        pixels[index, top : top + 8, left : left + 8] = 255
    rows = np.arange(4)
    return ProbeImages(rows, np.ones(4, np.int64), pixels, np.empty((4, 0, 0, 3), np.uint8))


def test_curves_take_away_and_bring_back_what_the_map_points_at() -> None:
    """Else deletion and insertion reward maps that point anywhere."""
    model, shown = brightness(), bright_squares()
    maps = collect_class_maps(model, shown, CPU)
    for index, (top, left) in enumerate([(2, 2), (12, 3), (6, 12), (13, 13)]):
        row, column = np.unravel_index(maps.gradcam[index].argmax(), maps.gradcam[index].shape)
        centre = maps.first + maps.stride * np.array([row, column])
        assert (np.abs(centre - [top + 3.5, left + 3.5]) <= 4).all()
    kept = torch.sigmoid(model(as_inputs(shown)))[:, 0].detach().numpy()
    for curves in (maps.gradcam_curves, maps.random_curves):
        assert curves.deletion.shape == curves.insertion.shape == (4, 11)
        np.testing.assert_allclose(curves.deletion[:, 0], kept, rtol=1e-4)
        np.testing.assert_allclose(curves.insertion[:, -1], kept, rtol=1e-4)
    found, chance = maps.gradcam_curves, maps.random_curves
    gains = [area_gain(curves.deletion, curves.insertion) for curves in (found, chance)]
    assert gains[0] > gains[1] + 0.2


class Wrong(GlobalAverage):
    """Maps that have nothing to do with its logits."""

    def class_maps(self, features: torch.Tensor) -> torch.Tensor:
        return super().class_maps(features) * 0 + 5


class Flat(GlobalAverage):
    """Maps of another shape."""

    def class_maps(self, features: torch.Tensor) -> torch.Tensor:
        return super().class_maps(features)[:, 0]


class Raises(GlobalAverage):
    """No maps at all."""

    def class_maps(self, features: torch.Tensor) -> torch.Tensor:
        raise KeyError("gone")


@pytest.mark.parametrize("head", [Wrong, Flat, Raises])
def test_maps_whose_mean_is_not_the_logit_are_not_exact(
    head: type[GlobalAverage], tmp_path: Path
) -> None:
    """Else the page shows and scores as exact what has nothing to do with the decision."""
    model = classifier("gap")
    model.head = head(6, (4, 4), 1).eval()
    maps = collect_class_maps(model, pictures(), CPU)
    assert maps.exact is None
    assert maps.exact_curves is None
    assert maps.unfit
    write_evidence(tmp_path / "a.npz", "class_maps", "k", CLASS_MAPS.pack(maps))
    arrays = read_evidence(tmp_path / "a.npz", "class_maps", "k")
    assert arrays is not None
    again = CLASS_MAPS.describe(arrays)
    assert (again.exact, again.unfit) == (None, maps.unfit)


@pytest.mark.parametrize("name", HEADS)
def test_maps_of_shipped_heads_are_never_refused(name: str) -> None:
    """Else a head's exact maps vanish by rounding."""
    maps = collect_class_maps(classifier(name, 3, WIDE), pictures(classes=3), CPU)
    assert maps.unfit is None


def test_seeds_measured_in_steps_of_two_widths_are_drawn_together() -> None:
    """Else a frozen study of before, to which seeds are added, has no report any more."""
    fine, coarse = np.linspace(1, 0, 11)[None].repeat(3, 0), np.linspace(0.5, 0, 6)[None]
    found = _means([fine, coarse])
    np.testing.assert_allclose(
        found, [[100, 80, 60, 40, 20, 0], [50, 40, 30, 20, 10, 0]], atol=1e-12
    )
    np.testing.assert_allclose(_means([fine]), 100 * np.linspace(1, 0, 11)[None])


def test_images_without_a_mask_are_counted() -> None:
    """Else a verdict of ten masks passes for one of all images that were looked at."""
    whole = np.zeros((4, 6, 6), np.uint8)
    some = whole.copy()
    some[1:] = UNKNOWN
    full, few = (Masks(np.arange(4), masks) for masks in (whole, some))
    assert few_masks([full, full]) == ()
    (note,) = few_masks([few, few])  # two seeds of one split
    assert stated(note) == ["1", "4"]
    (note,) = few_masks([few, full])
    assert stated(note) == ["5", "8"]
