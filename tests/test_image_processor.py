"""What transformers' image processors do to images, from their configurations."""

from typing import Any

import pytest
import torch

from headtohead.backbones.base import Normalization, Normalize
from headtohead.backbones.image_processor import in_words, normalization_of

MEAN, STD = [0.485, 0.456, 0.406], [0.5, 0.25, 0.2]
OF = {"image_mean": MEAN, "image_std": STD}
EFFICIENT = {**OF, "image_processor_type": "EfficientNetImageProcessor"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({**OF, "rescale_factor": 0.00392156862745098}, lambda x, m, s: (x / 255 - m) / s),
        ({**EFFICIENT, "include_top": False}, lambda x, m, s: (x / 255 - m) / s),
        (EFFICIENT, lambda x, m, s: (x / 255 - m) / s / s),
        (
            {**EFFICIENT, "include_top": True, "rescale_offset": True, "rescale_factor": 1 / 127.5},
            lambda x, m, s: (x / 127.5 - 1 - m) / s / s,
        ),
        ({**OF, "rescale_factor": 1 / 127.5}, lambda x, m, s: (x / 127.5 - m) / s),
        (
            {"image_mean": [v * 255 for v in MEAN], "image_std": STD, "do_rescale": False},
            lambda x, m, s: (x - 255 * m) / s,
        ),
        ({"do_normalize": False, "rescale_factor": 1 / 127.5}, lambda x, m, s: x / 127.5),
        ({"do_normalize": False}, lambda x, m, s: x / 255),
    ],
)
def test_images_are_made_as_the_processor_makes_them(told: dict[str, Any], expected: Any) -> None:
    """Else EfficientNet's features are of images with half their contrast, and heads lose by it."""
    pixels = torch.arange(0.0, 256, 5).expand(1, 3, 1, -1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    found = normalization_of(told)
    assert found is not None
    made = Normalize(found)(pixels / 255)
    torch.testing.assert_close(made, expected(pixels, mean, std), rtol=1e-5, atol=1e-4)


def test_what_is_no_mean_and_deviation_is_not_known() -> None:
    """Else weights that want blue first see red first, and nobody is told."""
    assert normalization_of({"do_normalize": False, "do_flip_channel_order": True}) is None
    assert normalization_of({"do_normalize": True}) is None
    assert normalization_of({"image_mean": MEAN, "image_std": STD}) == Normalization.of(MEAN, STD)


def test_what_it_does_is_told_in_words() -> None:
    """Else a report says "interpolation 3", and a crop that is not made."""
    told = {"resample": 3, "crop_size": 224, "size": 256}
    assert in_words(told) == {"interpolation": "bicubic", "crop": "224", "size": "256"}
    assert "crop" not in in_words({**told, "do_center_crop": False})
    assert in_words({"crop_pct": 0.875})["crop"].startswith("87.5%")
