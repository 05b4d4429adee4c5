"""Where a test split comes from, and whether it is large enough to tell heads apart."""

import math
from collections.abc import Collection, Iterator

from headtohead.core.text import counted
from headtohead.data.prepared import GIVEN_SPLITS

ACCURACY = 0.9
WIDEST = 0.05
"""Half the width, as a share, that the 95 % interval of an accuracy of 90 % may have."""

Z = 1.96  # of 95 % of a normal distribution


def half_width(images: int) -> float:
    """Half the 95 % interval, as a share, of an accuracy of 90 % on so many test images."""
    return Z * math.sqrt(ACCURACY * (1 - ACCURACY) / images)


ENOUGH = math.ceil(ACCURACY * (1 - ACCURACY) * (Z / WIDEST) ** 2)
"""The fewest test images whose interval is not wider than that: 139."""


def carved(given: Collection[str | None]) -> tuple[str, ...]:
    """Which of validation and test are taken out of the train split that the user gave."""
    if "train" not in given:
        return ()
    return tuple(name for name in GIVEN_SPLITS[1:] if name not in given)


def holdout_lines(images: int, given: Collection[str | None]) -> Iterator[str]:
    """What a user must know of a test split of so many images; nothing where all is well."""
    if "test" in carved(given):
        yield (
            f"Test split: no test/ folder was given, so {counted(images, 'image')} "
            f"{'is' if images == 1 else 'are'} taken out of train/ and not trained on."
        )
    yield from (f"Warning: {line}" for line in small_test_split(images))


def small_test_split(images: int) -> Iterator[str]:
    """What a test split of so few images leaves uncertain, in a sentence; nothing where enough."""
    if 0 < images < ENOUGH:
        yield (
            f"the test split has only {counted(images, 'image')}. At "
            f"{100 * ACCURACY:.0f} % accuracy its 95 % interval is "
            f"±{100 * half_width(images):.1f} points. {ENOUGH} images or more give ±"
            f"{100 * WIDEST:.0f}."
        )
