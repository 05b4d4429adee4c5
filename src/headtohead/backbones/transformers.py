"""The vision networks of transformers (`pip install 'headtohead[transformers]'`) as backbones.

`transformers:NAME`: a folder with a `config.json`, as `save_pretrained` writes it, or a name on the
Hugging Face hub. Only the models are used, no image processors: torchvision is not needed.
"""

import inspect
import json
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headtohead.backbones.base import Normalization
from headtohead.backbones.external import LibraryBackbone, called
from headtohead.backbones.image_processor import (
    in_words,
    normalization_of,
    plain_normalization,
)
from headtohead.backbones.weights import CLASSIFIERS
from headtohead.core.errors import UsageError, reason_of
from headtohead.core.files import expanded, sha256_of_bytes

PREPROCESSING = (("preprocessor_config.json", ""), ("processor_config.json", "image_processor"))
"""Files that say how images are made for a network, and the entry that does."""

NOT_ARCHITECTURE = ("_name_or_path", "transformers_version", "architectures")
"""Entries of a configuration that say where it is, and who wrote it."""

TOKENS = (
    *("cls_token", "class_embedding", "distillation_token"),
    *("dist_token", "reg_token"),  # of timm's networks, which transformers wraps
)
"""End the names of what stands before the patches."""


MASKED = "vit_mae"
"""Hides patches at random, and shuffles the others, unless it is told not to."""


class TransformersBackbone(LibraryBackbone):
    """`AutoModel` of a configuration and its last hidden state, with random weights.

    Where there is no such model, `AutoBackbone` and the last of its maps. Of a model of images and
    text the half that sees. `options` replace entries of the configuration. Raises UsageError where
    transformers is missing, or there is no such model.
    """

    def __init__(self, name: str, **options: Any) -> None:
        folder = expanded(name)
        place = str(folder) if folder.is_dir() else name
        config, preprocessing = _config(place, options)
        was_half = _in_float32(config)
        network = _created(name, config)
        size = getattr(config, "image_size", None) or 224
        side = int(size[-1] if isinstance(size, list | tuple) else size)
        normalization = normalization_of(preprocessing)
        super().__init__(
            network,
            name=called(f"transformers:{name}", options),
            channels=_channels(name, network, side),
            image_size=side,
            normalization=normalization or Normalization(),
        )
        self.capturable = False  # some look tables on the GPU up by numbers on the CPU, as BEiT
        self.config = config
        self._processor = preprocessing
        self._source, self._options = place, options
        if preprocessing.get("do_flip_channel_order"):
            self.normalization_unknown = (
                "they are in the order blue, green, red, which headtohead does not make; take "
                "timm's network of this kind"
            )
        elif normalization is None:
            self.normalization_unknown = (
                f"put the checkpoint's {PREPROCESSING[0][0]} beside its config.json, with "
                f'image_mean and image_std, or {{"do_normalize": false}} where its images stay in '
                f"[0, 1]"
            )
        said = {k: v for k, v in _content(place).items() if k not in NOT_ARCHITECTURE}
        made: list[Any] = [said, preprocessing]
        if normalization not in (None, plain_normalization(preprocessing)):
            made.append(str(normalization))  # features of before were made of other images
        if was_half:
            made.append("float32")  # and these were computed in what the checkpoint is kept in
        told = json.dumps(made, sort_keys=True, default=str)
        self.architecture_sha256 = sha256_of_bytes(told.encode())

    def load_pretrained(self) -> list[str]:
        """Those of the folder or the hub, safetensors alone and all of them, or UsageError."""
        other, told = self._loaded()
        own = self.network.state_dict()
        wrong = [
            *(name for name in told["missing_keys"] if name in own),
            *(str(item) for item in told["mismatched_keys"]),
        ]
        if wrong:
            raise UsageError(
                f"the weights of transformers:{self._source} are not all of its network's: "
                f"{len(wrong)} missing or of another shape ({', '.join(sorted(wrong)[:3])}). Name "
                f"the checkpoint they belong to."
            )
        over = sorted(told["unexpected_keys"])
        strange = [name for name in over if self._is_within(name)]
        if strange and not self._options:  # which may ask for a part of the network alone
            raise UsageError(
                f"the weights of transformers:{self._source} are those of a larger network: "
                f"{len(strange)} unknown to the one of its config.json "
                f"({', '.join(strange[:3])}). Name the checkpoint they belong to."
            )
        theirs = other.state_dict()
        self.network.load_state_dict({name: theirs[name] for name in own})
        if not over:
            return []
        return [
            f"transformers:{self._source}: {len(over)} tensors that its network lacks, such as a "
            f"classifier's, were ignored ({', '.join((strange or over)[:3])})."
        ]

    def _loaded(self) -> tuple[Any, dict[str, Any]]:
        """The network with the weights of the folder or the hub, and what of them did not fit."""
        try:
            other, told = type(self.network).from_pretrained(  # type: ignore[attr-defined]
                self._source,
                config=self.config,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        except Exception as error:  # the hub's, the network's, safetensors'
            reason = reason_of(error, 160)
            raise UsageError(
                f"the pretrained weights of transformers:{self._source} could not be loaded "
                f"({reason}). Offline, name a folder with config.json and model.safetensors: "
                f"transformers:PATH."
            ) from None
        return other, told

    def _is_within(self, name: str) -> bool:
        """Whether a tensor of this name, which the network lacks, would be one of its layers'."""
        prefix = str(getattr(self.network, "base_model_prefix", ""))
        part = name.removeprefix(f"{prefix}.").partition(".")[0]
        module = dict(self.network.named_children()).get(part)
        has_weights = module is not None and next(module.parameters(), None) is not None
        return has_weights and not CLASSIFIERS.search(name)

    def preprocessing(self) -> dict[str, str]:
        """As the preprocessor's configuration beside the model says."""
        size = {"image size": str(self.image_size)}
        return {**super().preprocessing(), **size, **in_words(self._processor)}

    def output(self, images: Tensor) -> Tensor:
        """The last hidden state; of a masked autoencoder that of all patches, in their order."""
        given = {}
        if self.config.model_type == MASKED:
            side = self.config.patch_size
            patches = (images.shape[2] // side) * (images.shape[3] // side)
            given["noise"] = torch.arange(patches, device=images.device).expand(len(images), -1)
        return _maps_of(self.network(pixel_values=images, **given))

    def prefix_tokens(self) -> int | None:
        """Class token and registers, as far as the network has them; None where nothing says so."""
        tokens = sum(
            value.shape[-2] if value.ndim > 1 else 1
            for name, value in self.network.named_parameters()
            if name.endswith(TOKENS) and not CLASSIFIERS.search(name)
        )
        return tokens + int(getattr(self.config, "num_register_tokens", 0) or 0) or None

    def patch(self) -> float | None:
        """From patch to patch, doubled at each stage after the first that there is.

        Patches that overlap have a stride of their own, as in Hiera.
        """
        side = getattr(self.config, "patch_stride", None) or getattr(
            self.config, "patch_size", None
        )
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
    for talkative in ("transformers", "huggingface_hub"):
        logging.getLogger(talkative).setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _config(name: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The configuration of the half that sees, and the preprocessing beside it, if any."""
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # the hub's, the network's, a configuration's
        reason = reason_of(error, 160)
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


def _in_float32(config: Any) -> bool:
    """Have the network built in float32; whether it would have been in half precision.

    A checkpoint that is kept in half precision says so, and its network would be computed so.
    """
    key = "dtype" if hasattr(config, "dtype") else "torch_dtype"  # of version 4
    asked = getattr(config, key, None)
    setattr(config, key, None)
    return asked is not None and str(asked).removeprefix("torch.") != "float32"


def _preprocessing(name: str) -> dict[str, Any]:
    """What the checkpoint says of its image processor; empty where it says nothing.

    Raises UsageError where it cannot be read.
    """
    for file, part in PREPROCESSING:
        path = _file(name, file)
        if path is None:
            continue
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            told: dict[str, Any] = content.get(part, {}) if part else content
            normalization_of(told)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{file} of transformers:{name} cannot be read ({error}): restore it, with "
                f"image_mean and image_std of three numbers each."
            ) from None
        if told:
            return told
    return {}


def _content(name: str) -> dict[str, Any]:
    """A `config.json` as it was written: what the library adds differs between its versions."""
    file = _file(name, "config.json")
    found: dict[str, Any] = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    return found


def _file(name: str, file: str) -> Path | None:
    """A file of a checkpoint; None where there is none, or it cannot be downloaded."""
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    from transformers.utils import cached_file

    found = cached_file(
        name,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        _raise_exceptions_for_gated_repo=False,
    )
    return None if found is None else Path(found)


def _created(name: str, config: Any) -> nn.Module:
    if config.model_type == MASKED:
        config.mask_ratio = 0.0
    transformers = _transformers()
    auto, kind = transformers.AutoModel, type(config)
    if kind in transformers.MODEL_FOR_BACKBONE_MAPPING and kind not in transformers.MODEL_MAPPING:
        auto = transformers.AutoBackbone
    try:
        network: nn.Module = auto.from_config(config).float()
    except Exception as error:  # a text model's configuration, one that needs another package
        reason = reason_of(error, 160)
        raise UsageError(f"transformers:{name} gives no vision model: {reason}.") from None
    if getattr(network, "main_input_name", "") != "pixel_values":
        raise UsageError(
            f"transformers:{name} takes {network.main_input_name}, not images: use a vision model."
        )
    if getattr(config, "is_encoder_decoder", False):
        raise UsageError(f"transformers:{name} finds objects, which lie on no grid: use another.")
    if "add_pooling_layer" in inspect.signature(type(network).__init__).parameters:
        network.pooler = None  # type: ignore[assignment]  # no map sees it, many files lack it
        network.register_load_state_dict_pre_hook(_without_pooler)
    return network


def _without_pooler(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Leave out the pooler of a state that was saved when there still was one."""
    for name in [name for name in state if name.startswith(f"{prefix}pooler.")]:
        del state[name]


@torch.no_grad()
def _channels(name: str, network: nn.Module, image_size: int) -> int:
    """The features' size: configurations tell it under many names, or not at all."""
    try:
        found = network.eval()(pixel_values=torch.zeros(1, 3, image_size, image_size))
        shape = _maps_of(found).shape
    except Exception as error:  # a network that takes more than images, or has no such state
        reason = reason_of(error, 160)
        raise UsageError(f"transformers:{name} gives no vision model: {reason}.") from None
    network.train()
    return int(shape[1] if len(shape) == 4 and shape[1] != shape[2] else shape[-1])


def _maps_of(output: Any) -> Tensor:
    """Of a model its last hidden state, of a backbone the last of its maps."""
    state = getattr(output, "last_hidden_state", None)
    found: Tensor = output.feature_maps[-1] if state is None else state
    return found
