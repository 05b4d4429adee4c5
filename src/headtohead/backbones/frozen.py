"""Backbones of which a part, or all, stays as it came.

What is held has no gradients, and its batch norm and dropout stay in evaluation mode, whatever mode
the model is put into: `model.train()` moves no statistic of it.
"""

import copy
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Self, TypeAlias, final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from headtohead.backbones.base import Backbone
from headtohead.backbones.folding import Folding, folding_of
from headtohead.backbones.layers import BatchNorm
from headtohead.backbones.stages import stages_of, used_parameters
from headtohead.backbones.table import backbone_of
from headtohead.config.study import BackboneSpec
from headtohead.core.errors import UsageError, reason_of

CHECKPOINTING: dict[str, tuple[Any, ...]] = {
    "set_grad_checkpointing": (),
    "activation_checkpointing_enable": ({"use_reentrant": False},),
    "gradient_checkpointing_enable": ({"use_reentrant": False},),
}
"""How networks of timm and of transformers are told to, and with what. PyTorch's older, reentrant
way leaves a layer without gradients where its input has none, as after stages that are held."""


class Held(Backbone):
    """A backbone (`trunk`) of which some modules stay in evaluation mode."""

    def __init__(self, trunk: Backbone) -> None:
        super().__init__()
        self.trunk = trunk
        self.channels = trunk.channels
        self.normalization = trunk.normalization
        self.identity = trunk.identity
        self.architecture_sha256 = trunk.architecture_sha256
        self.capturable = trunk.capturable

    @abstractmethod
    def held(self) -> Iterable[nn.Module]:
        """What stays in evaluation mode, with all that is in it."""

    def train(self, mode: bool = True) -> Self:
        """Put all but what is held into training mode."""
        super().train(mode)
        for module in self.held():
            module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, channels, h, w)."""
        features: Tensor = self.trunk(images)
        return features

    def map_size(self, image_size: int) -> tuple[int, int]:
        """Height and width of the maps of square images. Raises UsageError."""
        return self.trunk.map_size(image_size)

    @property
    def stride(self) -> float:  # type: ignore[override]
        """Pixels between two cells."""
        return self.trunk.stride

    @property
    def first(self) -> float:  # type: ignore[override]
        """The pixel that the first cell is centred on."""
        return self.trunk.first

    def preprocessing(self) -> dict[str, str]:
        """The trunk's."""
        return self.trunk.preprocessing()

    def smallest_image(self) -> int:
        """The trunk's."""
        return self.trunk.smallest_image()


SeenKey: TypeAlias = tuple[object, ...]
"""Of what is kept in `Frozen.seen`: the device, the images, and what was made of their maps."""


@final
class Frozen(Held):
    """A backbone that is not trained at all. It is no part of a model's saved state.

    Loading a state leaves it as it is: its weights are those that it was built with. `seen` holds
    feature maps of images that probes show to every run: all backbones of the same weights in a
    process share it (see `headtohead.probes.seen`). `shared`, where there is a cache, gives the
    maps of images of a name, which all processes compute together.
    """

    shared: Callable[[Any, str], Tensor] | None = None
    _folding: Folding | None = None

    def __init__(self, trunk: Backbone, seen: dict[SeenKey, Tensor] | None = None) -> None:
        super().__init__(trunk.requires_grad_(False).eval())
        self.seen = {} if seen is None else seen
        self.register_load_state_dict_pre_hook(_with_own)  # type: ignore[no-untyped-call]

    def held(self) -> Iterable[nn.Module]:
        """All of it."""
        return (self.trunk,)

    def fold(self, images: Tensor) -> None:
        """Without gradients compute with folded batch norms from now on: the same up to rounding.

        `images` (N, 3, H, W) are laid out and on the device as those to come: see `folding_of`.
        """
        self._folding = folding_of(self.trunk, images)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] → (N, channels, h, w)."""
        if self._folding is None or not self._folding.suits(images):
            return super().forward(images)
        return self._folding(self.trunk, images)

    def train(self, mode: bool = True) -> Self:
        """Change nothing of the trunk, whose hundreds of modules are in evaluation mode already."""
        self.training = mode
        return self

    def state_dict(self, *args: Any, destination: Any = None, **kwargs: Any) -> Any:
        """Nothing."""
        return {} if destination is None else destination


def are_one(backbones: Sequence[Backbone]) -> bool:
    """Whether all are frozen and have the same weights, so that one can stand for any."""
    first = backbones[0]
    return isinstance(first, Frozen) and all(
        isinstance(other, Frozen) and other.seen is first.seen for other in backbones
    )


def _with_own(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Add the trunk's own state to a state that is about to be loaded."""
    trunk = module.get_submodule("trunk").state_dict()
    state.update({f"{prefix}trunk.{name}": value for name, value in trunk.items()})


@final
class PartlyHeld(Held):
    """A backbone whose last stages alone are trained, or whose batch-norm statistics stay."""

    def __init__(self, trunk: Backbone, modules: Iterable[nn.Module]) -> None:
        super().__init__(trunk)
        self._held = tuple(modules)

    def held(self) -> Iterable[nn.Module]:
        """The modules that it was made with."""
        return self._held


def with_last_stages(trunk: Backbone, count: int, image_size: int) -> Backbone:
    """`trunk` with its last `count` stages trained, and all before them as it came.

    Of each stage what maps of images of `image_size` pixels depend on. Raises UsageError where it
    has no such number of stages, or nothing in them can be trained.
    """
    name = trunk.identity.partition(" ")[0]
    used = used_parameters(trunk, image_size)
    stages = stages_of(trunk, used)
    if count > len(stages):
        raise UsageError(
            f"the backbone {name} has {len(stages)} stages; received last:{count}. Use at most "
            f"last:{len(stages)}, or all."
        )
    last = {p for stage in stages[-count:] for m in stage.modules for p in m.parameters()}
    trained = last & used
    if not trained:
        raise UsageError(
            f"the maps of the backbone {name} depend on no parameter of its last {count} of "
            f"{len(stages)} stages, so last:{count} would train nothing: use none, or all."
        )
    for parameter in trunk.parameters():
        parameter.requires_grad_(parameter in trained)
    held = [m for stage in stages[:-count] for m in stage.modules]
    return PartlyHeld(trunk, [*held, *_before(trunk, stages[-count].modules)])


def _before(trunk: Backbone, begun: Sequence[nn.Module]) -> list[nn.Module]:
    """The modules that come before those of `begun`, and hold none of them.

    Such as are in no stage, for they have no parameters: dropout of position embeddings, batch norm
    without scale.
    """
    trained = {part for module in begun for part in module.modules()}
    found = []
    for part in trunk.modules():
        if part in trained:
            break
        if trained.isdisjoint(part.modules()):
            found.append(part)
    return found


def with_frozen_norms(trunk: Backbone) -> Backbone:
    """`trunk` with the batch-norm statistics that it came with; scales and shifts are trained."""
    return PartlyHeld(trunk, [m for m in trunk.modules() if isinstance(m, BatchNorm | _BatchNorm)])


def with_checkpointing(trunk: Backbone) -> Backbone:
    """`trunk` itself, which from now on computes activations again in the backward pass.

    By the library's own way. Raises UsageError where it has none.
    """
    reason = ""
    switch = _checkpointing_of(trunk)
    try:
        if switch is not None:
            switch()
            trunk.capturable = False  # random states are saved, which PyTorch 2.9 cannot
            return trunk
    except (AssertionError, NotImplementedError, ValueError) as error:
        reason = f": {reason_of(error, 120)}"
    raise UsageError(
        f"the backbone {trunk.identity.partition(' ')[0]} cannot compute activations again "
        f"(checkpointing{reason}): leave recipe.checkpointing out, or choose another backbone of "
        f"timm or transformers."
    )


def _checkpointing_of(trunk: Backbone) -> Callable[[], object] | None:
    """What switches it on in the network within, if anything does."""
    for part in trunk.modules():
        for way, arguments in CHECKPOINTING.items():
            if part is not trunk and callable(switch := getattr(part, way, None)):
                return partial(switch, *arguments)
    return None


def frozen_backbone(spec: BackboneSpec, seed: int, *, lent: bool = False) -> Frozen:
    """The frozen backbone of `spec`; PyTorch's random state is `seed`'s where it has no weights.

    A model of its own, or where `lent` the process's one, to be computed with and not to be
    changed: a copy takes as long as some hundred steps of a light head. Its weights are read once
    in a process. Raises UsageError as `backbone_of` does.
    """
    told = spec.model_dump(mode="json")
    key = json.dumps([told, 0 if spec.weights else seed], sort_keys=True)
    return _lent(key) if lent else _copied(key)


def _copied(key: str) -> Frozen:
    return Frozen(copy.deepcopy(_trunk(key)), _seen(key))


@lru_cache(maxsize=1)
def _lent(key: str) -> Frozen:
    return _copied(key)


@lru_cache(maxsize=1)
def _seen(key: str) -> dict[SeenKey, Tensor]:
    """What `Frozen.seen` is for this key; that of another key is dropped, with its memory."""
    return {}


@lru_cache(maxsize=2)
def _trunk(key: str) -> Backbone:
    told, seed = json.loads(key)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return backbone_of(BackboneSpec.model_validate(told))
