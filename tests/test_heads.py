"""The properties that every head must have, shipped or not.

`check_head` puts one head through all of them. For a head of your own, `mine.py` with a class
`MyHead(Head)` in it, add to your tests:

    from test_heads import check_head

    def test_my_head() -> None:
        check_head("mine:MyHead", channels=8, size=(6, 5), outputs=1)

It raises AssertionError with the property that failed.
"""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from headtohead.core.errors import UsageError
from headtohead.heads.base import HEADS, Head, build_head

BATCH = 5
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def check_head(
    name: str, channels: int, size: tuple[int, int], outputs: int, **options: Any
) -> None:
    """All properties of a head for feature maps (N, channels, *size) and `outputs` logits."""
    torch.manual_seed(0)
    head = build_head(name, channels, size, outputs, **options)
    features = torch.randn(BATCH, channels, *size).relu()
    check_logits(head, features, outputs)
    check_gradients(head, features)
    check_one_picture_in_training(head, features)
    check_rows_are_independent(head, features)
    check_memory_layout(head, features)
    check_class_maps(head, features, outputs)
    check_saved_and_loaded(head, build_head(name, channels, size, outputs, **options), features)


def evaluated(head: Head, features: Tensor) -> Tensor:
    head.eval()
    with torch.no_grad():
        logits: Tensor = head(features)
    return logits


def check_logits(head: Head, features: Tensor, outputs: int) -> None:
    before = features.clone()
    logits = evaluated(head, features)
    assert logits.shape == (len(features), outputs), "logits must be (N, outputs)"
    assert logits.dtype == torch.float32, "logits must be float32"
    assert logits.isfinite().all(), "logits must be finite"
    assert torch.equal(logits, evaluated(head, features)), "evaluation must be deterministic"
    assert torch.equal(features, before), "a head must not change its input"


def check_gradients(head: Head, features: Tensor) -> None:
    """From a loss in which no symmetry cancels, to the maps and to every parameter."""
    head.train()
    head.zero_grad()
    source = features.clone().requires_grad_()
    logits = head(source)
    weights = torch.linspace(-1, 2, logits.numel()).reshape(logits.shape)
    (logits.sigmoid() * weights).sum().backward()
    assert source.grad is not None, "no gradient reaches the feature maps"
    assert source.grad.isfinite().all(), "the maps' gradient must be finite"
    assert source.grad.abs().sum() > 0, "no gradient reaches the feature maps"
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert parameter.grad.isfinite().all(), f"the gradient of {name} must be finite"


def check_one_picture_in_training(head: Head, features: Tensor) -> None:
    """The last batch of an epoch may hold a single picture."""
    head.train()
    logits = head(features[:1])
    assert logits.shape[0] == 1, "a batch of one must train"
    assert logits.isfinite().all(), "a batch of one must give finite logits in training"


def check_rows_are_independent(head: Head, features: Tensor) -> None:
    together = evaluated(head, features)
    other = features.clone()
    other[1:] = torch.randn_like(other[1:])
    torch.testing.assert_close(
        evaluated(head, other)[:1], together[:1], **CLOSE, msg="a picture's logits hang on others"
    )
    alone = torch.cat([evaluated(head, row[None]) for row in features])
    torch.testing.assert_close(alone, together, **CLOSE, msg="logits hang on the batch's size")


def check_memory_layout(head: Head, features: Tensor) -> None:
    contiguous = evaluated(head, features.contiguous())
    channels_last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        evaluated(head, channels_last), contiguous, **CLOSE, msg="logits hang on the memory layout"
    )


def check_class_maps(head: Head, features: Tensor, outputs: int) -> None:
    """None, or maps whose mean over height and width is the logit."""
    logits = evaluated(head, features)
    with torch.no_grad():
        maps = head.class_maps(features)
    if maps is None:
        return
    assert maps.shape == (len(features), outputs, *features.shape[2:]), "maps: (N, outputs, H, W)"
    torch.testing.assert_close(
        maps.mean(dim=(2, 3)), logits, **CLOSE, msg="the mean of a class map must be the logit"
    )


def check_saved_and_loaded(head: Head, fresh: Head, features: Tensor) -> None:
    """Through a safetensors file, which holds tensors alone: no state may live elsewhere."""
    head.train()
    head(features)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.safetensors"
        save_file({name: value.contiguous() for name, value in head.state_dict().items()}, path)
        fresh.load_state_dict(load_file(path))
    assert torch.equal(evaluated(fresh, features), evaluated(head, features)), (
        "a head loaded from its weights must be the head that was saved"
    )


@pytest.mark.parametrize("name", HEADS)
@given(
    channels=st.integers(1, 17),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    outputs=st.integers(1, 5),
)
@settings(max_examples=10)
def test_every_shipped_head_has_every_property(
    name: str, channels: int, height: int, width: int, outputs: int
) -> None:
    """Else a study breaks at some picture size, or a head's results are not what they seem."""
    check_head(name, channels, (height, width), outputs)


@pytest.mark.parametrize("name", HEADS)
def test_every_shipped_head_has_every_property_at_the_articles_size(name: str) -> None:
    """Else the harness holds for toys alone."""
    check_head(name, channels=64, size=(10, 10), outputs=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fc", {"hidden": [7, 3]}),
        ("fc_dropout", {"dropout": 0.9, "hidden": [7, 3]}),
        ("avgpool2x2", {"window": 1}),
        ("avgpool2x2", {"window": 3}),
        ("avgpool2x2", {"window": 5}),
        ("gap_fc", {"hidden": [7, 3], "dropout": 0.5}),
        ("fc_small", {"maps": 3}),
    ],
)
def test_options_keep_the_properties(name: str, options: dict[str, Any]) -> None:
    """Else a study that tunes a head gets one that is broken."""
    check_head(name, channels=6, size=(7, 5), outputs=2, **options)


def test_one_pixel_is_enough_for_heads_that_pool_nothing() -> None:
    """Else the smallest pictures that the backbone takes are refused without need."""
    for name in ("fc", "fc_dropout", "gap"):
        check_head(name, channels=4, size=(1, 1), outputs=1)


def test_gap_sees_no_place_and_fc_does() -> None:
    """Else `gap` is not global: the article's own code pools 2 × 2 and keeps places."""
    features = torch.rand(2, 4, 6, 6)
    rolled = features.roll((3, 2), dims=(2, 3))
    gap = build_head("gap", 4, (6, 6), 1)
    torch.testing.assert_close(evaluated(gap, rolled), evaluated(gap, features))
    for name in ("fc", "avgpool2x2"):
        head = build_head(name, 4, (6, 6), 1)
        assert not torch.allclose(evaluated(head, rolled), evaluated(head, features), atol=1e-3)


def test_the_controls_are_as_large_as_they_say() -> None:
    """Else pooling and the number of parameters are told apart by heads that match in neither."""
    sizes = {
        name: sum(p.numel() for p in build_head(name, 64, (10, 10), 1).parameters())
        for name in ("gap", "fc_small", "fc", "gap_fc")
    }
    assert sizes == {"gap": 65, "fc_small": 166, "fc": 663_301, "gap_fc": 662_349}


def test_the_small_control_is_gap_with_places() -> None:
    """Else it differs from `gap` in more than the pooling that it is the control for."""
    features = torch.rand(3, 4, 6, 5)
    gap, control = build_head("gap", 4, (6, 5), 1), build_head("fc_small", 4, (6, 5), 1)
    weights = gap.state_dict()
    control.load_state_dict(
        {
            "squeeze.weight": weights["linear.weight"][:, :, None, None],
            "squeeze.bias": torch.zeros(1),
            "linear.weight": torch.full((1, 30), 1 / 30),
            "linear.bias": weights["linear.bias"],
        }
    )
    torch.testing.assert_close(evaluated(control, features), evaluated(gap, features))


def test_dropout_acts_in_training_alone() -> None:
    """Else `fc_dropout` is `fc` under another name, or dropout blurs what is measured."""
    torch.manual_seed(0)
    features = torch.rand(8, 4, 6, 6)
    differs = {}
    for name in ("fc", "fc_dropout"):
        head = build_head(name, 4, (6, 6), 1).train()
        differs[name] = not torch.equal(head(features), head(features))
    assert differs == {"fc": False, "fc_dropout": True}


# A user's own head ------------------------------------------------------------------------------

OWN = '''
import torch
from headtohead.heads.base import Head

class Peak(Head):
    """The maximum of each map.

    Second line."""

    def __init__(self, channels, size, outputs, scale=1.0):
        super().__init__(channels, size, outputs)
        self.linear = torch.nn.Linear(channels, outputs)
        self.scale = scale

    def forward(self, features):
        return self.linear(features.amax(dim=(2, 3)) * self.scale)

    def class_maps(self, features):
        return None

class WrongMaps(Peak):
    def class_maps(self, features):
        return torch.einsum("nchw,kc->nkhw", features, self.linear.weight)

class Centred(Peak):
    def forward(self, features):
        return super().forward(features - features.mean(dim=0))

class Unused(Peak):
    def __init__(self, channels, size, outputs):
        super().__init__(channels, size, outputs)
        self.spare = torch.nn.Parameter(torch.zeros(3))

class Forgetful(Peak):
    def __init__(self, channels, size, outputs):
        super().__init__(channels, size, outputs)
        self.shift = float(torch.rand(()))

    def forward(self, features):
        return super().forward(features) + self.shift

class Pairs(Peak):
    def __init__(self, channels, size, outputs):
        super().__init__(channels, size, outputs)
        self.norm = torch.nn.BatchNorm1d(channels)

    def forward(self, features):
        return self.linear(self.norm(features.amax(dim=(2, 3))))

not_a_head = 3
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of heads of the user's own, on the path for one test."""
    module = f"own_heads_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return module


def test_a_head_of_the_users_own_passes(own: str) -> None:
    """Else `module:Class` cannot be compared, or the harness knows only what is shipped."""
    check_head(f"{own}:Peak", channels=5, size=(4, 7), outputs=3)
    check_head(f"{own}:Peak", channels=5, size=(4, 7), outputs=1, scale=0.5)


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        ("WrongMaps", "mean of a class map"),
        ("Centred", "hang on others"),
        ("Unused", "no gradient reaches spare"),
        ("Forgetful", "the head that was saved"),
    ],
)
def test_the_harness_finds_broken_heads(own: str, cls: str, complaint: str) -> None:
    """Else the harness passes everything and proves nothing."""
    with pytest.raises(AssertionError, match=complaint):
        check_head(f"{own}:{cls}", channels=5, size=(4, 7), outputs=2)


def test_the_harness_finds_heads_that_cannot_train_on_one_picture(own: str) -> None:
    """Else a user's batch norm stops the study at the first left-over picture."""
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        check_head(f"{own}:Pairs", channels=5, size=(4, 7), outputs=2)


# Mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("gapp", (4, 4), {}, "no head 'gapp'; there are fc, fc_dropout, gap"),
        ("gap", (4, 4), {"window": 2}, "gap cannot take .*window"),
        ("fc", (4, 4), {"dropout": 1.0}, r"dropout is a share in \[0, 1\); received 1.0"),
        ("fc", (4, 4), {"dropout": "half"}, "fc cannot take .*half"),
        ("fc", (4, 4), {"hidden": [100]}, r"two dense .* received \[100\]"),
        ("fc", (4, 4), {"hidden": [0, 100]}, r"at least 1.* received \[0, 100\]"),
        ("fc", (4, 4), {"hidden": 100}, "two .* received 100"),
        ("avgpool2x2", (1, 4), {}, "2 × 2; received 1 × 4: use larger pictures"),
        ("avgpool2x2", (4, 4), {"window": 5}, "5 × 5; received 4 × 4"),
        ("avgpool2x2", (4, 4), {"window": 0}, "window .* at least 1; received 0"),
        ("avgpool2x2", (4, 4), {"window": 1.5}, "window .* received 1.5"),
        ("fc_small", (4, 4), {"maps": 0}, "maps .* at least 1; received 0"),
        ("no_such_module:Head", (4, 4), {}, "cannot be imported: No module named"),
        (":Head", (4, 4), {}, "cannot be imported"),
        ("headtohead.heads.base:Nothing", (4, 4), {}, "cannot be imported.*Nothing"),
        ("headtohead.heads.base:Head", (4, 4), {}, "cannot take .*abstract"),
        ("headtohead.heads.base:HEADS", (4, 4), {}, "no subclass of"),
    ],
)
def test_mistakes_are_named(
    name: str, size: tuple[int, int], options: dict[str, Any], words: str
) -> None:
    """Else a slip in a study file ends in a traceback."""
    with pytest.raises(UsageError, match=words):
        build_head(name, 4, size, 1, **options)


@pytest.mark.parametrize(
    ("text", "words"),
    [("class Head(", "was never closed"), ("raise ValueError('not today')", "not today")],
)
def test_a_module_that_does_not_run_is_named(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a typing error in the user's own head ends in headtohead's traceback."""
    (tmp_path / "half_written_head.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=f"half_written_head:Mine.*{words}"):
        build_head("half_written_head:Mine", 4, (4, 4), 1)


def test_something_that_is_no_head_is_refused(own: str) -> None:
    """Else a study starts with an object that cannot be trained."""
    with pytest.raises(UsageError, match="is no subclass of headtohead"):
        build_head(f"{own}:not_a_head", 4, (4, 4), 1)


def test_shipped_heads_are_modules_with_a_summary() -> None:
    """Else `headtohead heads` lists a candidate without saying what it is."""
    for name, entry in HEADS.items():
        assert entry.summary, name
        assert isinstance(build_head(name, 4, (4, 4), 1), nn.Module)
