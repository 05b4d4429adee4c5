"""The public harness: it passes what is right, and finds what is broken."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from headtohead.core.errors import UsageError
from headtohead.heads.base import Head
from headtohead.heads.metric import ClassMean
from headtohead.testing import check_head


class Peak(Head):
    """The maximum of each map: a head of the user's own, right in everything."""

    permutation_invariant: bool | None = True
    translation_invariant: bool | None = True

    def __init__(
        self, channels: int, size: tuple[int, int], outputs: int, scale: float = 1.0
    ) -> None:
        super().__init__(channels, size, outputs)
        self.linear = torch.nn.Linear(channels, outputs)
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(features.amax(dim=(2, 3)) * self.scale)
        return logits


class WrongMaps(Peak):
    def class_maps(self, features: Tensor) -> Tensor:
        return torch.einsum("nchw,kc->nkhw", features, self.linear.weight)


class SmallMaps(Peak):
    def class_maps(self, features: Tensor) -> Tensor:
        logits: Tensor = self(features)
        return logits[:, :, None, None]


class AttentionWithoutMaps(Peak):
    fixed_attention = True


class Centred(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features - features.mean(dim=0))


class ScaledByBatch(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) * len(features)


class Unused(Peak):
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.spare = torch.nn.Parameter(torch.zeros(3))


class Detached(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.detach())


class Forgetful(Peak):
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.calls = 0

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return super().forward(features) + self.calls


class Pairs(Peak):
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.norm = torch.nn.BatchNorm1d(channels)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.norm(features.amax(dim=(2, 3))))
        return logits


class TwoColumns(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features).repeat(1, 2)


class Random(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features + torch.rand_like(features))


class Overwriting(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features if features.requires_grad else features.mul_(0.5))


class Drifting(Peak):
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        self.get_buffer("seen").add_(1)
        return super().forward(features)


class Divides(Peak):
    def forward(self, features: Tensor) -> Tensor:
        total = features.sum(dim=(2, 3), keepdim=True)
        return super().forward(features / total)


class InfiniteSlope(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.abs().mean(dim=(2, 3), keepdim=True).sqrt())


class Overflowing(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.clamp(min=0).pow(12))


class SeesPlaces(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features[:, :, :1, :1] + features.amax(dim=(2, 3), keepdim=True))


class OnlyRolls(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features + features.roll(1, dims=3))


class DeniesInvariance(Peak):
    permutation_invariant = False


class ReadsBack(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) * float(features.max() > -1)


class ChoosesByMask(Peak):
    def forward(self, features: Tensor) -> Tensor:
        features = features.clone()
        features[features < 0] = 0.0
        return super().forward(features)


class LooksAtChosen(Peak):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) + 0 * features[features > 0].sum()


class DrawsPlaces(Peak):
    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            shares = features.detach().flatten(2).softmax(2).flatten(0, 1)
            features = features + 0 * torch.multinomial(shares, 1).sum()
        return super().forward(features)


class ReadsBackAndSaysSo(ReadsBack):
    capturable = False


class Channelwise(Peak):
    def forward(self, features: Tensor) -> Tensor:
        n, c, h, w = features.shape
        return super().forward(torch.as_strided(features, (n, c, h, w), (c * h * w, h * w, w, 1)))


class WrongSlope(Peak):
    def forward(self, features: Tensor) -> Tensor:
        tanh = features.tanh()
        return super().forward(tanh + (tanh - tanh.detach()))


class NoClaims(Peak):
    permutation_invariant = translation_invariant = None


class NeedsTwoRows(Peak):
    def __init__(self, channels: int, size: tuple[int, int], outputs: int) -> None:
        super().__init__(channels, size, outputs)
        if size[0] < 2:
            raise UsageError(f"needs two rows; received {size[0]}: use larger images.")


class LastBatchAlone(ClassMean):
    def fit(self, features: Tensor, labels: Tensor) -> None:
        self.reset()
        super().fit(features, labels)


class NeverForgets(ClassMean):
    def reset(self) -> None:
        return


def test_a_right_head_passes() -> None:
    """Else a user's own head cannot be compared, or the harness knows only what is shipped."""
    found = check_head(Peak, channels=5, scale=0.5)
    assert found.passed == [(1, 1), (3, 5), (7, 7), (14, 14)]
    assert found.refused == {}
    assert found.skipped == []


def test_a_head_is_found_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else `module:Class`, as the command line takes it, is not what was tested."""
    text = "from headtohead.heads.pooling import GlobalMax\nclass Mine(GlobalMax): pass\n"
    (tmp_path / "found_head.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert check_head("found_head:Mine", sizes=[(4, 7)], outputs=[2]).passed == [(4, 7)]


def test_the_head_in_the_guide_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first head that a user copies does not work."""
    guide = (Path(__file__).parents[1] / "docs/own_head.md").read_text(encoding="utf-8")
    code = guide.partition("# mine.py\n")[2].partition("```")[0]
    assert "class GlobalMax(Head)" in code
    (tmp_path / "guide_head.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(check_head("guide_head:GlobalMax", channels=5).passed) == 4


@pytest.mark.parametrize(
    ("cls", "complaint"),
    [
        (WrongMaps, "mean of a class map"),
        (SmallMaps, "maps: "),
        (AttentionWithoutMaps, "fixed_attention"),
        (Centred, "depend on others"),
        (ScaledByBatch, "depend on the batch's size"),
        (Unused, "no gradient reaches spare"),
        (Detached, "no gradient reaches the feature maps"),
        (Forgetful, "the head that was saved"),
        (TwoColumns, "logits must be "),
        (Random, "evaluation must be deterministic"),
        (Overwriting, "change its input|deterministic"),
        (Drifting, "must not change seen"),
        (Divides, "finite for zeros"),
        (InfiniteSlope, "gradient must be finite for zeros"),
        (Overflowing, "finite for large"),
        (SeesPlaces, "permutation of the places changes"),
        (OnlyRolls, "permutation of the places changes"),
        (DeniesInvariance, "say permutation_invariant = True"),
        (ReadsBack, "say capturable = False"),
        (ChoosesByMask, "say capturable = False"),
        (LooksAtChosen, "say capturable = False"),
        (DrawsPlaces, "say capturable = False"),
        (Channelwise, "memory layout"),
        (WrongSlope, "differ from numerical"),
        (LastBatchAlone, "depends on the batches"),
        (NeverForgets, "depends on the batches|zero after reset"),
    ],
)
def test_the_harness_finds_broken_heads(cls: type[Head], complaint: str) -> None:
    """Else the harness passes everything and proves nothing."""
    with pytest.raises(AssertionError, match=complaint):
        check_head(cls, channels=5, sizes=[(4, 7)], outputs=[2])


def test_the_harness_finds_heads_that_cannot_train_on_one_image() -> None:
    """Else a user's batch norm stops the study at the first left-over image."""
    with pytest.raises(ValueError, match="1 value per channel"):
        check_head(Pairs, channels=5, sizes=[(4, 7)], outputs=[2])


def test_what_was_not_checked_is_said() -> None:
    """Else a head that claims nothing passes for one whose invariances hold."""
    found = check_head(NoClaims, channels=5, sizes=[(4, 7)], outputs=[2])
    assert len(found.skipped) == 2
    assert check_head(ReadsBackAndSaysSo, channels=5, sizes=[(4, 7)]).passed == [(4, 7)]


def test_a_size_that_is_refused_is_noted_and_all_refused_is_an_error() -> None:
    """Else a head that takes no maps at all passes."""
    found = check_head(NeedsTwoRows, channels=5, sizes=[(1, 4), (4, 7)], outputs=[2])
    assert found.passed == [(4, 7)]
    assert list(found.refused) == [(1, 4)]
    with pytest.raises(UsageError, match="needs two rows"):
        check_head(NeedsTwoRows, channels=5, sizes=[(1, 4)], outputs=[2])
    with pytest.raises(UsageError, match="cannot take the option 'pe'"):
        check_head("gem", pe=3)
