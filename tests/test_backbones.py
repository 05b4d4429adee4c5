"""Backbones by name: what a study can name, and what is said of a name it cannot."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from headtohead.backbones.base import Normalization, Normalize
from headtohead.backbones.describe import facts
from headtohead.backbones.own import OwnBackbone
from headtohead.backbones.table import (
    BACKBONES,
    FAMILIES,
    backbone_of,
    build_backbone,
    resolve,
)
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.cli import main
from headtohead.config.backbone import ALIASES
from headtohead.config.differences import differences
from headtohead.config.study import BackboneSpec, HeadSpec, StudySpec
from headtohead.core.errors import UsageError
from headtohead.core.source_code import loaded_digest
from headtohead.deploy.runs import refuse_unknown_code
from headtohead.heads.classifier import build_classifier
from headtohead.testing import check_backbone


@pytest.mark.parametrize("name", [*BACKBONES, *ALIASES])
def test_every_backbone_builds_without_options(name: str) -> None:
    """Else a shipped name cannot be used as it is listed."""
    backbone = build_backbone(name)
    assert backbone.channels > 0
    assert backbone.identity


def test_what_a_library_builds_is_no_code_of_the_users_own() -> None:
    """Else a study of a library's backbone asks for --trust, or one of own code is run unasked."""
    for family in (*FAMILIES, "mine"):
        study = StudySpec.model_validate({"backbone": {"name": f"{family}:net"}, "heads": ["gap"]})
        if family == "mine":
            with pytest.raises(UsageError, match="--trust mine:net"):
                refuse_unknown_code(study, "gap", ())
        else:
            refuse_unknown_code(study, "gap", ())


def test_an_old_name_is_the_same_backbone() -> None:
    """Else studies of version 0.1 train another network."""
    assert build_backbone("article").identity == build_backbone("tutorial_cnn").identity


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    """Else a slip in a study file ends in a traceback."""
    with pytest.raises(UsageError, match=r"'resnet'.*tutorial_cnn"):
        build_backbone("resnet")


class Stub(nn.Module):
    """A network of the user's own: an nn.Module that knows nothing of headtohead."""

    def __init__(self, width: int = 5, tokens: bool = False) -> None:
        super().__init__()
        self.channels = width
        self.tokens = tokens
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.start = nn.Parameter(torch.randn(1, 1, width))

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.patches(images)
        if not self.tokens:
            return maps
        tokens = maps.flatten(2).transpose(1, 2)
        return torch.cat([self.start.expand(len(maps), -1, -1), tokens], dim=1)


class Unlike(TutorialCNN):
    """Promises other maps than it makes."""

    def map_size(self, image_size: int) -> tuple[int, int]:
        height, width = super().map_size(image_size)
        return height + 1, width


class Beside(TutorialCNN):
    """An image's maps depend on its batch."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - images.mean(0, keepdim=True))


class InPlace(TutorialCNN):
    """Writes into its inputs."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.mul_(0.5))


class Blind(TutorialCNN):
    """Makes the same maps of every image."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(torch.zeros_like(images) + 0.0 * images.sum())


@pytest.mark.parametrize("name", [*BACKBONES, "test_backbones:Stub"])
def test_every_backbone_keeps_the_contract(name: str) -> None:
    """Else heads, probes and training build on what is not so."""
    check_backbone(build_backbone(name), 40, other_sizes=(48, 57))


def test_the_backbone_of_the_guide_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the page's first backbone, or its way to test one, fails for whoever copies it."""
    page = (Path(__file__).parents[1] / "docs/backbones.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# own\.py\n(.*?)```", page, re.DOTALL)
    (tmp_path / "guide_backbone.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    (name, size) = re.findall(r'`check_backbone\(build_backbone\("own:(\w+)"\), (\d+)\)`', page)[0]
    built = build_backbone(f"guide_backbone:{name}")
    check_backbone(built, int(size))
    assert built.map_size(int(size)) == (12, 12)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (Unlike, "promised"),
        (Beside, "beside it"),
        (InPlace, "its inputs"),
        (Blind, "depend on the image"),
    ],
)
def test_a_backbone_that_breaks_the_contract_is_caught(
    broken: type[TutorialCNN], what: str
) -> None:
    """Else the harness passes whatever it is given."""
    with pytest.raises(AssertionError, match=what):
        check_backbone(broken(), 40)


@pytest.mark.parametrize("tokens", [False, True])
def test_a_network_of_the_users_own_is_a_backbone(tokens: bool) -> None:
    """Else a user must learn headtohead's classes to compare heads on a network that is there."""
    backbone = build_backbone("test_backbones:Stub", {"width": 7, "tokens": tokens})
    assert isinstance(backbone, OwnBackbone)
    assert (backbone.channels, backbone.map_size(48)) == (7, (6, 6))
    assert (backbone.first, backbone.stride) == (3.5, 8.0)
    images = torch.rand(2, 3, 48, 64)
    expected = backbone.network.get_submodule("patches")(images)
    torch.testing.assert_close(backbone(images), expected)


def test_a_study_runs_on_a_backbone_of_the_users_own() -> None:
    """Else the contract is kept, and training does not take it."""
    spec = BackboneSpec(name="test_backbones:Stub")
    model = build_classifier(spec, "gap", HeadSpec(), image_size=40, classes=3, seed=0)
    assert model(torch.rand(2, 3, 40, 40)).shape == (2, 3)
    counts = model.parameters_count()
    assert counts.backbone == 3 * 64 * 5 + 5 + 5
    assert counts.total == counts.trainable, "means and deviations are no weights"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("no_such_module:Net", {}, "no_such_module"),
        ("test_backbones:Nothing", {}, "Nothing"),
        ("test_backbones:Stub", {"depth": 3}, "depth"),
        ("builtins:dict", {}, "dict"),
        ("test_backbones:pytest", {}, "not a class or function"),
        ("tutorial_cnn", {"depth": 3}, "tutorial_cnn cannot take .*depth"),
        ("tutorial_cnn", {"widths": []}, r"widths .* received \[\]"),
        ("tutorial_cnn", {"widths": 32}, "widths .* received 32"),
        ("tutorial_cnn", {"widths": [32, 0]}, r"widths .* received \[32, 0\]"),
        ("tutorial_cnn", {"widths": [32, "x"]}, r"widths .* received \[32, 'x'\]"),
    ],
)
def test_mistakes_are_named(name: str, options: dict[str, Any], words: str) -> None:
    """Else a slip in a study file ends in a traceback."""
    with pytest.raises(UsageError, match=words):
        build_backbone(name, options)


@pytest.mark.parametrize("name", ["tutorial_cnn", "test_backbones:Stub"])
def test_a_class_token_that_there_is_none_of_is_refused(name: str) -> None:
    """Else maps without it pass for maps with it."""
    with pytest.raises(UsageError, match="no class token"):
        resolve(BackboneSpec(name=name, class_token=True))


def test_a_size_that_a_network_does_not_take_is_told_with_its_own() -> None:
    """Else a library's assertion is all a user sees."""
    backbone = build_backbone("test_backbones:Stub")
    with pytest.raises(UsageError, match=r"5 pixels.*--image-size 224"):
        backbone.map_size(5)


def test_normalisation_is_within_and_follows_the_model() -> None:
    """Else inputs are normalised twice, or never; or weights' files hold it."""
    told = Normalization.of([0.5, 0.25, 0], [0.5, 2, 1])
    layer = Normalize(told)
    images = torch.rand(2, 3, 4, 4)
    expected = torch.stack(
        [(images[:, 0] - 0.5) / 0.5, (images[:, 1] - 0.25) / 2, images[:, 2]], dim=1
    )
    torch.testing.assert_close(layer(images), expected)
    assert layer(images.double()).dtype == torch.float64
    assert not layer.state_dict()
    assert Normalize(Normalization())(images) is images


@pytest.mark.parametrize("package", ["timm", "transformers"])
def test_a_missing_package_is_told_with_how_to_install_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an ImportError's traceback is all a user sees."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install 'headtohead\[{package}\]'"):
        build_backbone(f"{package}:anything")


def test_the_command_lists_and_describes() -> None:
    """Else a user cannot see what a backbone makes of images before a study."""
    listed = CliRunner().invoke(main, ["backbones"], catch_exceptions=False).stdout
    assert {"tutorial_cnn", "module:callable"} <= set(listed.split())
    told = CliRunner().invoke(
        main, ["backbones", "article", "--image-size", "50"], catch_exceptions=False
    )
    words = told.stdout.replace(",", "").split()
    assert words[0] == "tutorial_cnn"
    assert {"64", "4", "8", "10.5", "28896"} <= set(words)
    assert CliRunner().invoke(main, ["backbones", "Tutorial"]).stdout.split() == ["tutorial_cnn"]
    wrong = CliRunner().invoke(main, ["backbones", "tutorial_cnn", "--image-size", "3"])
    assert (wrong.exit_code, "needs at least 22" in wrong.output) == (2, True)
    none = CliRunner().invoke(main, ["backbones", "tutorial_cnn", "--image-size", "0"])
    assert (none.exit_code, "received 0" in none.output) == (2, True)


def test_a_report_says_how_inputs_are_made_and_whose_the_weights_are() -> None:
    """Wrong preprocessing costs points in silence: a reader must be able to see it."""
    spec = BackboneSpec(weights="/home/me/secret/w.pth", weights_sha256="a" * 64)
    backbone = build_backbone("tutorial_cnn")
    found = facts(spec, backbone)
    size = sum(v.numel() * v.element_size() for v in backbone.state_dict().values())
    assert found["its mean"] == "0, 0, 0"
    assert found["its std"] == "1, 1, 1"
    assert found["weights"] == f"the file w.pth, {size / 1e6:.1f} MB of tensors"
    assert found["SHA-256"] == "a" * 64
    assert found["licence"].startswith("not known")
    assert facts(BackboneSpec(), backbone) == {}


SOURCE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.channels = 4
        self.layer = nn.Conv2d(3, 4, {kernel}, stride=8)

    def forward(self, images):
        return self.layer(images)

class Other(Net): ...
"""


def test_the_source_of_a_backbone_of_ones_own_is_part_of_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an edited network is given the features, and the finished runs, of the one before."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def found(kernel: int, name: str = "edited_h2h:Net") -> BackboneSpec:
        (tmp_path / "edited_h2h.py").write_text(SOURCE.format(kernel=kernel))
        sys.modules.pop("edited_h2h", None)
        importlib.invalidate_caches()
        loaded_digest.cache_clear()
        return resolve(BackboneSpec(name=name))[0]

    before, again, other = found(8), found(8), found(8, "edited_h2h:Other")
    edited = found(16)
    assert before == again
    assert before.architecture_sha256 is not None
    assert len({str(spec.trunk()) for spec in (before, edited, other)}) == 3
    assert len({str(spec.identity()) for spec in (before, edited, other)}) == 3
    backbone_of(BackboneSpec(name="edited_h2h:Net"))  # as a ledger of before recorded it
    with pytest.raises(UsageError, match="source of backbone edited_h2h:Net changed"):
        backbone_of(before)
    unknown = StudySpec(backbone=before.unresolved())
    (told,) = differences(unknown, StudySpec(backbone=edited))
    assert "not recorded" in told


class PaddedBefore(nn.Module):
    """Pads before its layers, as TensorFlow's networks do where they were put into PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 4
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.around = nn.ZeroPad2d((0, 1, 0, 1))
        self.second = nn.Conv2d(4, 4, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.first(nn.functional.pad(images, (1, 2, 1, 2)))
        found: Tensor = self.second(self.around(maps))
        return found


def test_padding_before_a_layer_is_the_layers_own() -> None:
    """Else class maps of EfficientNet and MobileNet of transformers lie half a cell aside.

    Each cell's receptive field is an interval, whose middle is the cell's centre.
    """
    backbone = build_backbone("test_backbones:PaddedBefore")
    assert backbone.map_size(33) == (8, 8)
    images = torch.rand(1, 3, 33, 33, requires_grad=True)
    backbone(images)[0, :, 4, 0].sum().backward()
    assert images.grad is not None
    rows = images.grad.abs().sum((0, 1, 3)).nonzero()
    assert backbone.first + 4 * backbone.stride == (int(rows.min()) + int(rows.max())) / 2
