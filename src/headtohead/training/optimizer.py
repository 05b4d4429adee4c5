"""How weights are moved: Adam as Keras computes it; AdamW and SGD as PyTorch does."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from headtohead.config.recipe import MOMENTUM, RecipeSpec
from headtohead.heads.classifier import Classifier
from headtohead.training.schedule import Factor, constant

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-7
EPSILON_OF_PYTORCH = 1e-8


class Rates(NamedTuple):
    """How fast some parameters move and decay."""

    learning_rate: float
    weight_decay: float


NO_OWN: Mapping[Tensor, Rates] = MappingProxyType({})


class Optimizer(ABC):
    """Moves parameters by their gradients, each group of the same rates at once."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        schedule: Factor = constant,
        *,
        own: Mapping[Tensor, Rates] = NO_OWN,
        clip_norm: float | None = None,
    ) -> None:
        """`schedule` says by what each step's learning rates are multiplied.

        Parameters in `own` have rates of their own. `clip_norm` is the largest norm of all
        gradients of a step together: larger ones are scaled down (Pascanu et al. 2013, 1211.5063).
        """
        self._parameters: list[Tensor] = [p for p in parameters if p.requires_grad]
        self._schedule, self._clip_norm = schedule, clip_norm
        self._groups: dict[Rates, list[Tensor]] = {}
        for parameter in self._parameters:
            rates = own.get(parameter, Rates(learning_rate, weight_decay))
            self._groups.setdefault(rates, []).append(parameter)
        self._moments: dict[Tensor, dict[str, Tensor]] = {}
        self.steps = 0

    @abstractmethod
    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """What is kept of a parameter between steps, as it is before the first."""

    @abstractmethod
    def update(
        self,
        moving: list[Tensor],
        gradients: list[Tensor],
        kept: list[dict[str, Tensor]],
        rates: Rates,
    ) -> None:
        """Move parameters by their gradients at some rates, and what is kept of them."""

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its gradient, and forget the gradients."""
        self.steps += 1
        if self._clip_norm is not None:
            clip_grad_norm_(self._parameters, self._clip_norm)
        factor = self._schedule(self.steps)
        for rates, parameters in self._groups.items():
            moving = [p for p in parameters if p.grad is not None]
            gradients = [p.grad for p in moving if p.grad is not None]
            kept = [self._moments_of(p) for p in moving]
            if moving:
                scaled = Rates(rates.learning_rate * factor, rates.weight_decay)
                self.update(moving, gradients, kept, scaled)
            for parameter in moving:
                parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """What is kept of every parameter, by position, to be saved; empty before any step."""
        return {
            f"{index}.{name}": value
            for index, parameter in enumerate(self._parameters)
            for name, value in self._moments.get(parameter, {}).items()
        }

    def restore(self, state: dict[str, Tensor], steps: int) -> None:
        """Go on from `state()` as it was after `steps` steps."""
        self.steps = steps
        for key, value in state.items():
            index, _, name = key.partition(".")
            # The fused update walks memory: moments must lie as their parameter does. Copied, so
            # that nothing is shared with the optimiser that the state came from.
            self._moments_of(self._parameters[int(index)])[name].copy_(value)

    def _moments_of(self, parameter: Tensor) -> dict[str, Tensor]:
        if parameter not in self._moments:
            self._moments[parameter] = self.fresh(parameter)
        return self._moments[parameter]


def adam_moments(parameter: Tensor) -> dict[str, Tensor]:
    """By the names of `torch.optim.Adam`; zeros."""
    return {
        "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
        "exp_avg": torch.zeros_like(parameter, requires_grad=False),
        "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
    }


def move_by_adam(
    moving: list[Tensor],
    gradients: list[Tensor],
    kept: list[dict[str, Tensor]],
    rates: Rates,
    epsilon: float,
) -> None:
    """PyTorch's fused update, with decoupled weight decay.

    The function, not the class `torch.optim.Adam`, whose first step imports a second's worth of
    compiler.
    """
    adam(
        moving,
        gradients,
        [of["exp_avg"] for of in kept],
        [of["exp_avg_sq"] for of in kept],
        [],
        [of["step"] for of in kept],
        fused=True,
        decoupled_weight_decay=True,
        amsgrad=False,
        beta1=BETA_1,
        beta2=BETA_2,
        lr=rates.learning_rate,
        weight_decay=rates.weight_decay,
        eps=epsilon,
        maximize=False,
    )


class _Adam(Optimizer):
    """Adam by PyTorch's fused update; what differs is its epsilon."""

    @abstractmethod
    def epsilon(self) -> float:
        """Added to the root of the second moment in the step that is being taken."""

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """Moments of zero."""
        return adam_moments(parameter)

    def update(
        self,
        moving: list[Tensor],
        gradients: list[Tensor],
        kept: list[dict[str, Tensor]],
        rates: Rates,
    ) -> None:
        """By Adam's rule."""
        move_by_adam(moving, gradients, kept, rates, self.epsilon())


@final
class KerasAdam(_Adam):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980) with Keras's constants, decoupled weight decay.

    Keras adds epsilon to the root of the *uncorrected* second moment (the paper's "epsilon hat"),
    PyTorch to the corrected one. Dividing epsilon by the root of the step's correction turns one
    into the other exactly, so PyTorch's fused update does the work.
    """

    def epsilon(self) -> float:
        """Keras's, as PyTorch's rule takes it."""
        return EPSILON / math.sqrt(1 - BETA_2**self.steps)


@final
class AdamW(_Adam):
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) as `torch.optim.AdamW` computes it."""

    def epsilon(self) -> float:
        """PyTorch's."""
        return EPSILON_OF_PYTORCH


@final
class SGD(Optimizer):
    """Gradient descent with momentum as `torch.optim.SGD` computes it; weight decay is L2."""

    momentum = MOMENTUM

    def fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        """A velocity of zero, by PyTorch's name."""
        return {"momentum_buffer": torch.zeros_like(parameter, requires_grad=False)}

    def update(
        self,
        moving: list[Tensor],
        gradients: list[Tensor],
        kept: list[dict[str, Tensor]],
        rates: Rates,
    ) -> None:
        """By PyTorch's rule."""
        sgd(
            moving,
            gradients,
            [of["momentum_buffer"] for of in kept],
            fused=True,
            weight_decay=rates.weight_decay,
            momentum=self.momentum,
            lr=rates.learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


RULES: dict[str, type[Optimizer]] = {"adam": KerasAdam, "adamw": AdamW, "sgd": SGD}


def optimizer_of(model: Classifier, recipe: RecipeSpec, schedule: Factor = constant) -> Optimizer:
    """The recipe's optimiser of a model's parameters: the backbone's may have rates of its own."""
    backbone = set(model.backbone.parameters())
    of_backbone = recipe.backbone_learning_rate or recipe.learning_rate
    own: dict[Tensor, Rates] = {}
    for parameter in model.parameters():
        rate = of_backbone if parameter in backbone else recipe.learning_rate
        decays = recipe.weight_decay_on is None or parameter.ndim > 1
        own[parameter] = Rates(rate, recipe.weight_decay if decays else 0.0)
    found = RULES[recipe.optimizer or "adam"](
        model.parameters(),
        recipe.learning_rate,
        recipe.weight_decay,
        schedule,
        own=own,
        clip_norm=recipe.clip_norm,
    )
    if isinstance(found, SGD) and recipe.momentum is not None:
        found.momentum = recipe.momentum
    return found
