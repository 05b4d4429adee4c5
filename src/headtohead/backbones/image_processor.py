"""What an image processor of transformers does to images, from its configuration alone.

The configuration is the JSON object of `preprocessor_config.json`. Imports no transformers.
"""

from collections.abc import Mapping
from typing import Any

from headtohead.backbones.base import Normalization

TWICE = "EfficientNet"
"""Begins the names of processors that divide by `image_std` once more (`include_top`)."""

RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's, by number."""


def normalization_of(told: Mapping[str, Any]) -> Normalization | None:
    """What becomes of images in [0, 1]; None where it is not said, or is no mean and deviation.

    Raises TypeError and ValueError for numbers that are none.
    """
    plain = plain_normalization(told)
    if plain is None or told.get("do_flip_channel_order"):
        return None
    scale = _scale(told, plain)
    offset = 1.0 if told.get("rescale_offset") else 0.0
    again = told.get("image_std") if _divides_twice(told) else None
    if (scale, offset, again) == (1.0, 0.0, None):
        return plain
    divisors = (1.0, 1.0, 1.0) if again is None else again
    return Normalization.of(
        [(mean + offset) / scale for mean in plain.mean],
        [std * float(by) / scale for std, by in zip(plain.std, divisors, strict=True)],
    )


def plain_normalization(told: Mapping[str, Any]) -> Normalization | None:
    """Its mean and deviation alone, as versions up to 0.2 read all that it says."""
    if told.get("do_normalize") is False:
        return Normalization()
    mean, std = told.get("image_mean"), told.get("image_std")
    return None if mean is None or std is None else Normalization.of(mean, std)


def _scale(told: Mapping[str, Any], plain: Normalization) -> float:
    """How large white is before the mean is taken away."""
    if told.get("do_rescale") is False:  # it is given [0, 1], or [0, 255] where the mean says so
        return 255.0 if max(plain.mean) > 1 else 1.0
    factor = told.get("rescale_factor")
    scale = 1.0 if factor is None else 255 * float(factor)
    return 1.0 if abs(scale - 1) < 1e-6 else scale


def _divides_twice(told: Mapping[str, Any]) -> bool:
    kind = told.get("image_processor_type") or told.get("feature_extractor_type") or ""
    return str(kind).startswith(TWICE) and told.get("include_top", True) is True


def in_words(told: Mapping[str, Any]) -> dict[str, str]:
    """How it resizes and cuts images, by topic."""
    found = {}
    resample = told.get("resample")
    if resample is not None:
        known = isinstance(resample, int) and 0 <= resample < len(RESAMPLING)
        found["interpolation"] = RESAMPLING[resample] if known else str(resample)
    if told.get("crop_size") is not None and told.get("do_center_crop") is not False:
        found["crop"] = str(told["crop_size"])
    elif told.get("crop_pct") is not None:
        found["crop"] = f"{float(told['crop_pct']):.1%} of the side, from the centre"
    if told.get("size") is not None:
        found["size"] = str(told["size"])
    return found
