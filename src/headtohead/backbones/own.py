"""Backbones of the user's own: `module:callable`."""

from typing import Any

from torch import Tensor, nn

from headtohead.backbones.base import Backbone, Normalization
from headtohead.backbones.external import LibraryBackbone, called
from headtohead.core.errors import UsageError
from headtohead.core.own_code import imported

IMAGE_SIZE = 224


class OwnBackbone(LibraryBackbone):
    """A network of the user's that maps images (N, 3, H, W) in [0, 1] to maps or tokens.

    Where it has a `normalization`, that is applied to its inputs.
    """

    def __init__(self, name: str, network: nn.Module, channels: int) -> None:
        normalization = getattr(network, "normalization", Normalization())
        super().__init__(
            network,
            name=name,
            channels=channels,
            image_size=IMAGE_SIZE,
            normalization=normalization,
        )
        self.capturable = bool(getattr(network, "capturable", True))

    def output(self, images: Tensor) -> Tensor:
        """As the network says."""
        found: Tensor = self.network(images)
        return found


def own_backbone(name: str, **options: Any) -> Backbone:
    """What `module:callable` returns: a `Backbone`, or an nn.Module with an attribute `channels`.

    Importing a module runs its code: callers pass on only what the user typed. Raises UsageError
    for what cannot be imported, called with these options, or is neither.
    """
    build = imported("backbone", name)
    if not callable(build):
        raise UsageError(f"backbone {name!r} is not a class or function; received {build!r}.")
    found = build(**options)
    if isinstance(found, Backbone):
        if not isinstance(getattr(found, "identity", None), str):
            found.identity = called(name, options)
        return found
    channels = getattr(found, "channels", None)
    if not isinstance(found, nn.Module) or not isinstance(channels, int):
        raise UsageError(
            f"backbone {name!r} gives a {type(found).__name__}: return a Backbone, or an nn.Module "
            f"whose attribute `channels` is its number of feature maps."
        )
    return OwnBackbone(called(name, options), found, channels)
