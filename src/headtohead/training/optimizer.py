"""Adam as Keras computes it."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from headtohead.training.schedule import Factor, constant

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-7


class KerasAdam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980) with Keras's constants, decoupled weight decay.

    Keras adds epsilon to the root of the *uncorrected* second moment (the paper's "epsilon hat"),
    PyTorch to the corrected one. Dividing epsilon by the root of the step's correction turns one
    into the other exactly, so PyTorch's fused update does the work: the function, not the class
    `torch.optim.Adam`, whose first step imports a second's worth of compiler.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        weight_decay: float = 0.0,
        schedule: Factor = constant,
    ) -> None:
        """`schedule` says by what each step's learning rate is multiplied."""
        self._parameters = [p for p in parameters if p.requires_grad]
        self._learning_rate, self._weight_decay = learning_rate, weight_decay
        self._schedule = schedule
        self._moments: dict[Tensor, dict[str, Tensor]] = {}
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its gradient, and forget the gradients."""
        self.steps += 1
        moving: list[Tensor] = [p for p in self._parameters if p.grad is not None]
        moments = [self._moments_of(p) for p in moving]
        adam(
            moving,
            [p.grad for p in moving if p.grad is not None],
            [of["exp_avg"] for of in moments],
            [of["exp_avg_sq"] for of in moments],
            [],
            [of["step"] for of in moments],
            fused=True,
            decoupled_weight_decay=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self._learning_rate * self._schedule(self.steps),
            weight_decay=self._weight_decay,
            eps=EPSILON / math.sqrt(1 - BETA_2**self.steps),
            maximize=False,
        )
        for parameter in moving:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The moments of every parameter, by position, to be saved; empty before the first step."""
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
        """By the names of `torch.optim.Adam`; zeros at first."""
        if parameter not in self._moments:
            self._moments[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
        return self._moments[parameter]
