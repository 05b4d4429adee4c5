"""The networks of timm (`pip install 'headtohead[timm]'`) as backbones: `timm:NAME`."""

import difflib
import logging
from typing import Any

from torch import Tensor, nn

from headtohead.backbones.base import Normalization
from headtohead.backbones.external import LibraryBackbone, called
from headtohead.core.errors import UsageError, reason_of

LAST_STAGE = ("coat", "crossvit", "efficientvim", "pit")
"""Families whose `forward_features` gives several sizes, or class tokens alone: taken are the maps
of their last stage, as timm's `features_only` has them."""

SQUASHED = " of the image made square, its shape aside"


class TimmBackbone(LibraryBackbone):
    """`timm.create_model(name, num_classes=0)` and its `forward_features`, with random weights.

    Of a family of `LAST_STAGE` the last of its `forward_intermediates`. `options` go to
    `create_model` (`img_size`, `dynamic_img_size`, `drop_path_rate` …). Raises UsageError where
    timm is missing, knows no such model or option, or the model has no maps.
    """

    def __init__(self, name: str, **options: Any) -> None:
        network = _created(name, options)
        config: dict[str, Any] = dict(getattr(network, "pretrained_cfg", None) or {})
        size = options.get("img_size") or config.get("input_size", (3, 224, 224))[-1]
        channels = getattr(network, "num_features", 0)
        by_stage = type(network).__module__.rpartition(".")[2] in LAST_STAGE
        if by_stage:
            channels = network.feature_info[-1]["num_chs"]  # type: ignore[index]
        super().__init__(
            network,
            name=called(f"timm:{name}", options),
            channels=int(channels),
            image_size=int(size[-1] if isinstance(size, tuple | list) else size),
            normalization=Normalization.of(
                config.get("mean", (0.0, 0.0, 0.0)), config.get("std", (1.0, 1.0, 1.0))
            ),
        )
        self.config = config
        self._made_by = name, options
        self._by_stage = by_stage

    def load_pretrained(self) -> list[str]:
        """Those of timm's hub, by its own download and cache. Raises UsageError without them."""
        name, options = self._made_by
        try:
            other = _timm().create_model(name, pretrained=True, num_classes=0, **options)
        except Exception as error:  # the hub's, the network's; a model without weights
            reason = reason_of(error, 120)
            where = self.config.get("hf_hub_id") or self.config.get("url") or "no known place"
            raise UsageError(
                f"the pretrained weights of timm:{name} could not be loaded ({reason}). Offline, "
                f"copy model.safetensors of {where} to any folder and name it: --weights FILE."
            ) from None
        self.network.load_state_dict(other.state_dict())
        return []

    def preprocessing(self) -> dict[str, str]:
        """As timm's configuration of the model says."""
        size = self.config.get("input_size", ("", "", ""))[-1]
        return {
            **super().preprocessing(),
            "image size": str(size),
            "interpolation": str(self.config.get("interpolation", "unknown")),
            "crop": f"{float(self.config.get('crop_pct') or 1):.1%} of the side, from the centre"
            + (SQUASHED if self.config.get("crop_mode") == "squash" else ""),
        }

    def output(self, images: Tensor) -> Tensor:
        """As the network's `forward_features`, or its last stage, says."""
        found: Tensor
        if self._by_stage:
            (found,) = self.network.forward_intermediates(  # type: ignore[operator]
                images, indices=1, intermediates_only=True
            )
            return found
        found = self.network.forward_features(images)  # type: ignore[operator]
        if not isinstance(found, Tensor):
            raise ValueError(f"its features are a {type(found).__name__} of several sizes")
        return found

    def prefix_tokens(self) -> int | None:
        """As timm counts them."""
        known = getattr(self.network, "num_prefix_tokens", None)
        return None if known is None else int(known)

    def has_class_token(self) -> bool:
        """Whether there is one among the prefix tokens: registers alone are none."""
        return not self._by_stage and getattr(self.network, "cls_token", None) is not None

    def patch(self) -> float | None:
        """The reduction that timm tells."""
        info = getattr(self.network, "feature_info", None)
        if not isinstance(info, list) or not info:
            return None
        return float(info[-1]["reduction"])


def timm_names(part: str = "") -> list[str]:
    """The names of timm's models that hold `part`. Raises UsageError where timm is missing."""
    return list(_timm().list_models(f"*{part}*"))


def is_timm_model(name: str) -> bool:
    """Whether timm has a model of this name. Raises UsageError where timm is missing."""
    return bool(_timm().is_model(name))


def _timm() -> Any:
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells every retry

    try:
        import timm
    except ImportError as error:
        raise UsageError(
            f"backbones of timm take the package timm, which cannot be imported ({error}): "
            f"pip install 'headtohead[timm]'."
        ) from None
    return timm


def _created(name: str, options: dict[str, Any]) -> nn.Module:
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), 4)
        hint = f"; there are {', '.join(near)} …" if near else ""
        raise UsageError(
            f"timm has no model {name!r}{hint}. `headtohead backbones timm:PART` lists them."
        )
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UsageError(f"timm:{name} cannot take the options {options!r}: {error}.") from None
    if not hasattr(network, "forward_features"):
        raise UsageError(f"timm:{name} has no forward_features, so no maps: use another model.")
    return network
