"""Weights from files: whole or not at all, nothing but tensors, and told apart by name or order."""

import argparse
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import JsonValue
from safetensors.torch import save_file
from torch import Tensor, nn

from headtohead.backbones.stages import stages_of
from headtohead.backbones.table import backbone_of, build_backbone, resolve
from headtohead.backbones.tutorial_cnn import TutorialCNN
from headtohead.backbones.weights import (
    _state_of,
    load_weights,
    network_of,
    state_sha256,
)
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError
from headtohead.core.files import sha256_of

OPTIONS: dict[str, JsonValue] = {"widths": [4, 6]}


def donor() -> TutorialCNN:
    torch.manual_seed(7)
    found = TutorialCNN((4, 6))
    found.train()(torch.rand(2, 3, 20, 20))  # moves the averages off their initial values
    return found


def state() -> dict[str, Tensor]:
    return {name: value.clone() for name, value in donor().state_dict().items()}


def saved(path: Path, content: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


def fresh() -> TutorialCNN:
    torch.manual_seed(0)
    return TutorialCNN((4, 6))


def same(backbone: nn.Module) -> bool:
    mine, theirs = backbone.state_dict(), state()
    return all(torch.equal(mine[name], theirs[name]) for name in theirs)


HEAD = {"fc.weight": torch.zeros(5, 6), "fc.bias": torch.zeros(5)}


@pytest.mark.parametrize(
    ("name", "wrap", "over"),
    [
        ("w.safetensors", lambda s: s, ()),
        ("w.pth", lambda s: s, ()),
        ("w.pth", lambda s: {"state_dict": s, "epoch": 3}, ()),
        ("w.pth", lambda s: {"model": {f"module.{n}": v for n, v in s.items()}}, ()),
        ("w.pth", lambda s: {f"module.backbone.{n}": v for n, v in s.items()}, ()),
        ("w.pth", lambda s: {**{f"backbone.{n}": v for n, v in s.items()}, **HEAD}, tuple(HEAD)),
        ("w.safetensors", lambda s: {**s, **HEAD}, tuple(HEAD)),
    ],
)
def test_weights_are_matched_by_name(
    tmp_path: Path, name: str, wrap: Callable[[Any], Any], over: tuple[str, ...]
) -> None:
    """Else a checkpoint of another program must be rewritten by hand, or is taken in part."""
    backbone, path = fresh(), saved(tmp_path / name, wrap(state()))
    loaded = load_weights(backbone, path)
    assert same(backbone)
    assert set(loaded.passed_over) == set(over)
    assert (loaded.tensors, loaded.sha256) == (len(state()), sha256_of(path))
    assert backbone.identity.endswith(f"weights={sha256_of(path)}")
    assert bool(over) == any("ignored" in note for note in loaded.notes())


def renamed(content: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"_layer{number}": value for number, value in enumerate(content.values())}


def test_weights_of_other_names_are_taken_in_order_where_that_is_asked(tmp_path: Path) -> None:
    """Else the weights that arrive by pip, under another program's names, cannot be used."""
    path = saved(tmp_path / "w.pth", {**renamed(state()), **HEAD})
    backbone = fresh()
    loaded = load_weights(backbone, path, "order")
    assert same(backbone)
    assert loaded.passed_over == tuple(HEAD)


def test_weights_of_another_network_are_not_said_to_match_by_order(tmp_path: Path) -> None:
    """Lost: a second try, by order, where the file has not even as many tensors."""
    path = saved(tmp_path / "w.pth", {f"layer.{at}": torch.ones(2) for at in range(20)})
    with pytest.raises(UsageError, match=r"Name the backbone they belong to\.$") as found:
        load_weights(fresh(), path, "name")
    assert "20 unknown" in str(found.value)
    assert "order" not in str(found.value)


def test_safetensors_have_no_order_to_match_by(tmp_path: Path) -> None:
    """Else tensors of one shape change places in silence: the format sorts them."""
    path = saved(tmp_path / "w.safetensors", state())
    with pytest.raises(UsageError, match="by order"):
        load_weights(fresh(), path, "order")


def without(content: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key: value for key, value in content.items() if key != name}


FIRST = "blocks.0.convolution.weight"


@pytest.mark.parametrize(
    ("match", "change", "words"),
    [
        ("name", lambda s: without(s, FIRST), rf"1 missing.*{FIRST}"),
        ("name", lambda s: {**s, FIRST: torch.zeros(4, 3, 5, 5)}, rf"{FIRST} 4×3×5×5.*4×3×3×3"),
        ("name", lambda s: {**s, "blocks.2.gain": torch.ones(3)}, r"1 unknown.*blocks\.2\.gain"),
        ("name", renamed, r"missing.*unknown.*--weights-match order"),
        ("order", lambda s: without(s, FIRST), r"11 tensors.* 12; .*number 1: .*4×3×3×3"),
        ("order", lambda s: dict(list(s.items())[:-1]), r"11 tensors for the backbone's 12"),
        ("order", lambda s: {**s, "more": torch.ones(2)}, r"13 tensors.*left over: more"),
        ("order", lambda s: dict(reversed(s.items())), r"number 1: blocks\.1"),
    ],
)
def test_a_wrong_checkpoint_stops_with_its_first_mismatches(
    tmp_path: Path, match: Any, change: Callable[[Any], Any], words: str
) -> None:
    """Else a network is part trained and part random, and nobody is told."""
    backbone, path = fresh(), saved(tmp_path / "w.pth", change(state()))
    before = state_sha256(backbone)
    with pytest.raises(UsageError, match=words) as told:
        load_weights(backbone, path, match)
    assert "\n" not in str(told.value)
    assert state_sha256(backbone) == before, "a part was loaded"


class Hostile:
    """A pickle that runs a command when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_hostile_file_is_not_opened(tmp_path: Path) -> None:
    """Else a downloaded checkpoint can run any code on a user's machine."""
    mark = tmp_path / "was here"
    for name, write in (
        ("zip.pth", lambda path: torch.save({"a": Hostile(mark)}, path)),
        ("bare.pth", lambda path: path.write_bytes(pickle.dumps(Hostile(mark)))),
        (
            "old.pt",
            lambda path: torch.save(Hostile(mark), path, _use_new_zipfile_serialization=False),
        ),
        ("lie.safetensors", lambda path: path.write_bytes(pickle.dumps(Hostile(mark)))),
    ):
        path = tmp_path / name
        write(path)
        with pytest.raises(UsageError, match=name) as told:
            load_weights(fresh(), path)
        assert "\n" not in str(told.value)
        assert not re.search("PyTorch|trust|still be loaded", str(told.value))
        assert not mark.exists(), name


def test_what_a_file_holds_beside_tensors_is_named(tmp_path: Path) -> None:
    """Else a user reads advice to open it unsafely, and not what to remove."""
    held = saved(tmp_path / "w.pth", {"args": argparse.Namespace(), "state_dict": state()})
    with pytest.raises(UsageError, match=r"\(found argparse\.Namespace\)"):
        load_weights(fresh(), held)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
        lambda value: value.to(torch.complex64),
        lambda value: value.to(torch.int8),
        lambda value: value.to(torch.float8_e4m3fn),
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
    ],
)
def test_tensors_that_are_no_plain_numbers_are_refused(
    tmp_path: Path, make: Callable[[Tensor], Tensor]
) -> None:
    """Else they end in a traceback, load in part, or pass for the weights that they stand for."""
    found = state()
    backbone, path = fresh(), saved(tmp_path / "w.pth", {**found, FIRST: make(found[FIRST])})
    before = state_sha256(backbone)
    with pytest.raises(UsageError, match=rf"1 of 12 tensors .*{FIRST}") as told:
        load_weights(backbone, path)
    assert "\n" not in str(told.value)
    assert state_sha256(backbone) == before


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    """Else a broken download ends in a traceback, or in half a network."""
    whole = saved(tmp_path / name, state()).read_bytes()
    path = tmp_path / f"part-{name}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UsageError, match=path.name) as told:
        load_weights(fresh(), path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "content", [b"\xff\xd8\xff\xe0 a photograph", b"name: study\n", b"PK\x03\x04 no archive"]
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """Else a slip of the name ends in a traceback."""
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"w\.pth"):
        load_weights(fresh(), path)
    with pytest.raises(UsageError, match=r"absent\.pth"):
        load_weights(fresh(), tmp_path / "absent.pth")
    with pytest.raises(UsageError, match="not a file"):
        load_weights(fresh(), tmp_path)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.ones(2)], torch.ones(2), {}])
def test_a_file_without_a_state_is_refused(tmp_path: Path, content: Any) -> None:
    """Else a file of something else passes as weights."""
    with pytest.raises(UsageError, match="no tensors by name"):
        load_weights(fresh(), saved(tmp_path / "w.pth", content))


def test_a_home_that_there_is_not_is_told() -> None:
    """Else a misspelt name of a user ends in a traceback."""
    spec = BackboneSpec(weights="~nobody-of-this-name/weights.pth")
    with pytest.raises(UsageError, match="nobody-of-this-name"):
        resolve(spec)


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    """Else one study mixes runs of two networks."""
    path = saved(tmp_path / "w.safetensors", state())
    spec, backbone, _ = resolve(BackboneSpec(options=OPTIONS, weights=str(path)))
    assert spec.weights_sha256 == sha256_of(path)
    assert same(backbone)
    moved = path.rename(tmp_path / "moved.safetensors")
    again = spec.model_copy(update={"weights": str(moved)})
    assert again.identity() == spec.identity(), "a path is no part of what was trained"
    assert same(backbone_of(again))
    saved(moved, {name: value + 1 for name, value in state().items()})
    with pytest.raises(UsageError, match="have changed"):
        backbone_of(again)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    """Else every head learns nothing, and hours later all of them look alike."""
    broken, backbone = state(), fresh()
    broken[FIRST][0, 0, 0, 0] = value
    before = state_sha256(backbone)
    with pytest.raises(UsageError, match=rf"1 of 12 tensors \({FIRST}\)"):
        load_weights(backbone, saved(tmp_path / "w.pth", broken))
    assert state_sha256(backbone) == before, "a part was loaded"
    over = {**state(), "fc.weight": torch.full((5, 6), value)}
    assert load_weights(backbone, saved(tmp_path / "over.pth", over)).passed_over == ("fc.weight",)


class TwoParts(TutorialCNN):
    """A backbone of a user's with a `network`, and more beside it."""

    def __init__(self) -> None:
        super().__init__((4, 6))
        self.network = torch.nn.Conv2d(6, 6, 1)
        self.identity = "two parts"


class OnePart(TutorialCNN):
    """A backbone of a user's that is its `network`."""

    def __init__(self) -> None:
        super().__init__((4, 6))
        del self.blocks
        self.network = TutorialCNN((4, 6))
        self.identity = "one part"


def test_weights_are_those_of_all_that_a_backbone_is(tmp_path: Path) -> None:
    """Else an attribute's name decides, and the rest of a user's backbone stays random."""
    torch.manual_seed(7)
    donor, backbone = TwoParts(), TwoParts()
    load_weights(backbone, saved(tmp_path / "all.pth", donor.state_dict()))
    assert state_sha256(backbone) == state_sha256(donor)
    with pytest.raises(UsageError, match="missing"):
        load_weights(backbone, saved(tmp_path / "part.pth", donor.network.state_dict()))
    assert network_of(backbone) is backbone
    assert len(stages_of(backbone, set(backbone.parameters()))) > 1
    one = OnePart()
    load_weights(one, saved(tmp_path / "one.pth", state()))
    assert same(one.network)


class Wild(TutorialCNN):
    """A backbone whose library has weights that are no numbers."""

    def load_pretrained(self) -> list[str]:
        with torch.no_grad():
            next(self.parameters()).fill_(float("nan"))
        return []


def test_pretrained_weights_that_are_not_finite_are_refused() -> None:
    """Else a broken download is told by no line of a report."""
    with pytest.raises(UsageError, match="NaN or infinity"):
        backbone_of(BackboneSpec(name="test_weights:Wild", weights="pretrained"))


def test_pretrained_weights_that_are_none_are_told() -> None:
    """Else random weights pass for pretrained ones."""
    with pytest.raises(UsageError, match="no pretrained weights"):
        backbone_of(BackboneSpec(weights="pretrained"))


@pytest.mark.parametrize(("depth", "is_state"), [(60, True), (5000, False)])
def test_entries_within_entries_are_looked_through_once(depth: int, is_state: bool) -> None:
    """Else a small file keeps the command busy for ever, or ends it in a traceback."""
    content: dict[str, Any] = {"bias": torch.ones(2)}
    for _ in range(depth):
        content = {"state_dict": content}
    if is_state:
        assert set(_state_of(content, Path("w.pth"))) == {"bias"}
    else:
        with pytest.raises(UsageError, match="no tensors"):
            _state_of(content, Path("w.pth"))


def test_the_states_hash_covers_every_value_and_name() -> None:
    """Else two sets of pretrained weights are one study."""
    one, two = fresh(), fresh()
    assert state_sha256(one) == state_sha256(two)
    with torch.no_grad():
        two.get_buffer("blocks.1.norm.moving_mean")[0] += 1e-6
    assert state_sha256(one) != state_sha256(two)
    assert state_sha256(one) != state_sha256(build_backbone("tutorial_cnn", {"widths": [6, 4]}))


class Tied(TutorialCNN):
    """Two names of one convolution."""

    def __init__(self) -> None:
        super().__init__((4, 6))
        self.again = self.blocks[0]
        self.identity = "tied"


def test_a_tied_weight_needs_but_one_of_its_names(tmp_path: Path) -> None:
    """Else a file that safetensors wrote without the other names is "another network's"."""
    backbone, path = Tied(), saved(tmp_path / "w.safetensors", state())
    load_weights(backbone, path)
    assert all(torch.equal(backbone.state_dict()[name], value) for name, value in state().items())
    first = backbone.state_dict()["again.convolution.weight"]
    assert torch.equal(first, state()["blocks.0.convolution.weight"])
    with pytest.raises(UsageError, match=rf"2 missing.*{FIRST}, again"):
        load_weights(Tied(), saved(tmp_path / "part.pth", without(state(), FIRST)))


def test_an_averaged_model_is_its_weights(tmp_path: Path) -> None:
    """Else what `torch.optim.swa_utils` averaged is refused for the count that it keeps."""
    averaged = torch.optim.swa_utils.AveragedModel(donor())
    backbone, path = fresh(), saved(tmp_path / "w.pth", averaged.state_dict())
    loaded = load_weights(backbone, path)
    assert same(backbone)
    assert not any("classifier" in note for note in loaded.notes())


@pytest.mark.parametrize(
    ("before", "swapped", "words"),
    [
        ("gamma", "beta", r"number 3: _0\.beta 4, blocks\.0\.norm\.gamma 4"),
        ("moving_mean", "moving_variance", r"number 5: _0\.moving_variance 4"),
    ],
)
def test_an_order_that_names_contradict_is_refused(
    tmp_path: Path, before: str, swapped: str, words: str
) -> None:
    """Else scales and shifts, of one shape, change places in silence, and no head looks good."""
    own = [(f"_{n.split('.')[1]}.{n.rpartition('.')[2]}", v) for n, v in state().items()]
    place = {name.rpartition(".")[2]: index for index, (name, _) in reversed([*enumerate(own)])}
    one, other = place[before], place[swapped]
    own[one], own[other] = own[other], own[one]
    with pytest.raises(UsageError, match=words):
        load_weights(fresh(), saved(tmp_path / "w.pth", {f"{k}": v for k, v in own}), "order")


def test_which_of_two_states_was_read_is_told(tmp_path: Path) -> None:
    """Else a user believes that the averaged weights were taken, or the others."""
    averaged = {name: value + 1 for name, value in state().items()}
    content = {"state_dict_ema": averaged, "state_dict": state(), "optimizer": {"state": {}}}
    backbone = fresh()
    loaded = load_weights(backbone, saved(tmp_path / "w.pth", content))
    assert same(backbone)
    assert loaded.entries == ("state_dict", "state_dict_ema")
    (note,) = loaded.notes()
    assert "w.pth" in note
    assert "not state_dict_ema" in note
    alone = load_weights(backbone, saved(tmp_path / "one.pth", {"model": state()}))
    assert (alone.entries, alone.notes()) == (("model",), [])
