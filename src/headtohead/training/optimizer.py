"""Adam as Keras computes it."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-7


class KerasAdam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980) with Keras's constants, decoupled weight decay.

    Keras adds epsilon to the root of the *uncorrected* second moment (the paper's "epsilon hat"),
    PyTorch to the corrected one. Dividing epsilon by the root of the step's correction turns one
    into the other exactly, so PyTorch's fused update does the work.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float = 0.0
    ) -> None:
        self._parameters = [p for p in parameters if p.requires_grad]
        self._adam = torch.optim.Adam(
            self._parameters,
            lr=learning_rate,
            betas=(BETA_1, BETA_2),
            weight_decay=weight_decay,
            decoupled_weight_decay=True,
            fused=True,
        )
        self.steps = 0

    def step(self) -> None:
        """Move every parameter by its gradient, and forget the gradients."""
        self.steps += 1
        correction = math.sqrt(1 - BETA_2**self.steps)
        self._adam.param_groups[0]["eps"] = EPSILON / correction
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """The moments of every parameter, by position, to be saved; empty before the first step."""
        saved = {}
        for index, parameter in enumerate(self._parameters):
            for name, value in self._adam.state[parameter].items():
                saved[f"{index}.{name}"] = value
        return saved

    def restore(self, state: dict[str, Tensor], steps: int) -> None:
        """Go on from `state()` as it was after `steps` steps."""
        self.steps = steps
        for key, value in state.items():
            index, _, name = key.partition(".")
            parameter = self._parameters[int(index)]
            # The fused update walks memory: moments must lie as their parameter does. Copied, so
            # that nothing is shared with the optimiser that the state came from.
            layout = parameter if value.shape == parameter.shape else value
            empty = torch.empty_like(layout, device=parameter.device, requires_grad=False)
            self._adam.state[parameter][name] = empty.copy_(value)
