"""The vision networks of transformers (`pip install 'headtohead[transformers]'`) as backbones.

`transformers:NAME`: a folder with a `config.json`, as `save_pretrained` writes it, or a name on the
Hugging Face hub. Only the models are used, no image processors: torchvision is not needed.
"""

import json
import logging
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from headtohead.backbones.base import Normalization
from headtohead.backbones.library import LibraryBackbone
from headtohead.core.errors import UsageError

PREPROCESSING = "preprocessor_config.json"


class TransformersBackbone(LibraryBackbone):
    """`AutoModel` of a configuration and its last hidden state, with random weights.

    Of a model of images and text the half that sees. `options` replace entries of the
    configuration. Raises UsageError where transformers is missing, or there is no such model.
    """

    def __init__(self, name: str, **options: Any) -> None:
        config, preprocessing = _config(name, options)
        network = _created(name, config)
        size = getattr(config, "image_size", None) or 224
        told = ", ".join(f"{key}={value!r}" for key, value in sorted(options.items()))
        super().__init__(
            network,
            name=f"transformers:{name}" + (f"({told})" if told else ""),
            channels=_channels(config),
            image_size=int(size[-1] if isinstance(size, list | tuple) else size),
            normalization=_normalization(preprocessing),
        )
        self.config = config
        self.preprocessing = preprocessing

    def output(self, images: Tensor) -> Tensor:
        """The last hidden state."""
        found = self.network(pixel_values=images)
        state: Tensor = found.last_hidden_state
        return state

    def prefix_tokens(self) -> int | None:
        """Class token and registers, as far as the network has them."""
        parts = dict(self.network.named_parameters())
        tokens = sum(
            any(name.endswith(end) for name in parts)
            for end in ("cls_token", "class_embedding", "distillation_token")
        )
        return tokens + int(getattr(self.config, "num_register_tokens", 0) or 0)

    def patch(self) -> float | None:
        """The patch's side, doubled at each stage after the first that there is."""
        side = getattr(self.config, "patch_size", None)
        if side is None:
            return None
        first = side[0] if isinstance(side, list | tuple) else side
        stages = getattr(self.config, "depths", None) or [1]
        return float(first * 2 ** (len(stages) - 1))


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UsageError(
            f"backbones of transformers take the package transformers, which cannot be imported "
            f"({error}): pip install 'headtohead[transformers]'."
        ) from None
    return transformers


def _config(name: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The configuration of the half that sees, and the preprocessing beside it, if any."""
    transformers = _transformers()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # the hub's, the network's, a configuration's
        reason = " ".join(str(error).split())[:160]
        raise UsageError(
            f"transformers:{name} could not be loaded ({reason}). Offline, name a folder with its "
            f"config.json: transformers:PATH."
        ) from None
    config = getattr(config, "vision_config", config)
    for key, value in options.items():
        if not hasattr(config, key):
            raise UsageError(f"transformers:{name} has no option {key!r}; received {value!r}.")
        setattr(config, key, value)
    return config, _preprocessing(name)


def _preprocessing(name: str) -> dict[str, Any]:
    if Path(name).is_dir():
        path = Path(name) / PREPROCESSING
        found = path if path.is_file() else None
    else:
        from transformers.utils import cached_file

        found = cached_file(name, PREPROCESSING, _raise_exceptions_for_missing_entries=False)
    if found is None:
        return {}
    content: dict[str, Any] = json.loads(Path(found).read_text(encoding="utf-8"))
    return content


def _normalization(preprocessing: dict[str, Any]) -> Normalization:
    """As the preprocessing says; none where it says nothing."""
    if not preprocessing.get("do_normalize", "image_mean" in preprocessing):
        return Normalization()
    return Normalization.of(preprocessing["image_mean"], preprocessing["image_std"])


def _created(name: str, config: Any) -> nn.Module:
    try:
        network: nn.Module = _transformers().AutoModel.from_config(config)
    except Exception as error:  # a text model's configuration, one that needs another package
        reason = " ".join(str(error).split())[:160]
        raise UsageError(f"transformers:{name} gives no vision model: {reason}.") from None
    if getattr(network, "main_input_name", "") != "pixel_values":
        raise UsageError(
            f"transformers:{name} takes {network.main_input_name}, not images: use a vision model."
        )
    return network


def _channels(config: Any) -> int:
    sizes = getattr(config, "hidden_sizes", None)
    if sizes:
        return int(sizes[-1])
    return int(config.hidden_size)
